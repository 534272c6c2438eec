//! Values: what nodes read and write.

use std::fmt;
use wootz_tensor::{DType, Shape};

/// A value of a program, by its place in [`crate::Program::values`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(crate) u32);

impl Value {
    /// Its place in [`crate::Program::values`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// Shape and element type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Its dims.
    pub shape: Shape,
    /// Its element type.
    pub dtype: DType,
}

impl Type {
    /// A binary32 value of this shape.
    pub fn f32(shape: impl Into<Shape>) -> Type {
        Type { shape: shape.into(), dtype: DType::F32 }
    }
    /// A bfloat16 value of this shape.
    pub fn bf16(shape: impl Into<Shape>) -> Type {
        Type { shape: shape.into(), dtype: DType::BF16 }
    }
    /// A value of 32-bit integers of this shape.
    pub fn i32(shape: impl Into<Shape>) -> Type {
        Type { shape: shape.into(), dtype: DType::I32 }
    }
    /// A value of this shape whose elements are of the same type: what mirrors an activation.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> Type {
        Type { shape: shape.into(), dtype: self.dtype }
    }
    /// A binary32 scalar.
    pub fn scalar() -> Type {
        Type::f32([])
    }
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.len() * self.dtype.bytes()
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}

/// What a value is for, which decides where it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A trained weight: persistent, shared by name between programs.
    Parameter,
    /// The accumulated gradient of a parameter: persistent.
    Gradient,
    /// Optimizer moments, caches, running sums: persistent.
    State,
    /// Written by the host before a run: persistent.
    Input,
    /// Written by the program, read by the host after a run: persistent.
    Output,
    /// Lives in the arena, between its definition and its last use.
    Activation,
}

/// A value's name, type and role.
#[derive(Debug, Clone)]
pub struct ValueInfo {
    /// Unique among the persistent values; a label otherwise.
    pub name: String,
    /// Shape and element type.
    pub ty: Type,
    /// What it is for.
    pub role: Role,
}
