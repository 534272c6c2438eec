//! Tensors in host memory: what enters and leaves a backend, and what a checkpoint holds.

use crate::{DType, Shape};

/// Elements of a host tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// binary32 elements.
    F32(Vec<f32>),
    /// binary64 elements.
    F64(Vec<f64>),
    /// 32-bit integers.
    I32(Vec<i32>),
}

/// A row-major tensor in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct HostTensor {
    shape: Shape,
    data: Data,
}

/// Why a tensor could not be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The number of elements does not fit the shape.
    #[error("shape {shape} needs {expected} elements, got {actual}")]
    Length {
        /// The shape asked for.
        shape: Shape,
        /// Elements it needs.
        expected: usize,
        /// Elements given.
        actual: usize,
    },
    /// The tensor has another element type.
    #[error("expected {expected} elements, got {actual}")]
    DType {
        /// The type asked for.
        expected: DType,
        /// The type it has.
        actual: DType,
    },
}

impl HostTensor {
    /// A tensor of this shape and these elements.
    pub fn new(shape: impl Into<Shape>, data: Data) -> Result<HostTensor, TensorError> {
        let shape = shape.into();
        let actual = match &data {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::I32(v) => v.len(),
        };
        match shape.len() {
            expected if expected == actual => Ok(HostTensor { shape, data }),
            expected => Err(TensorError::Length { shape, expected, actual }),
        }
    }
    /// A binary32 tensor.
    pub fn f32(shape: impl Into<Shape>, data: Vec<f32>) -> Result<HostTensor, TensorError> {
        HostTensor::new(shape, Data::F32(data))
    }
    /// A binary64 tensor.
    pub fn f64(shape: impl Into<Shape>, data: Vec<f64>) -> Result<HostTensor, TensorError> {
        HostTensor::new(shape, Data::F64(data))
    }
    /// A tensor of 32-bit integers.
    pub fn i32(shape: impl Into<Shape>, data: Vec<i32>) -> Result<HostTensor, TensorError> {
        HostTensor::new(shape, Data::I32(data))
    }
    /// A binary32 scalar.
    pub fn scalar(value: f32) -> HostTensor {
        HostTensor { shape: Shape::scalar(), data: Data::F32(vec![value]) }
    }
    /// Its shape.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }
    /// Its elements.
    pub fn data(&self) -> &Data {
        &self.data
    }
    /// Its element type.
    pub fn dtype(&self) -> DType {
        match self.data {
            Data::F32(_) => DType::F32,
            Data::F64(_) => DType::F64,
            Data::I32(_) => DType::I32,
        }
    }
    /// Its elements as binary32.
    pub fn as_f32(&self) -> Result<&[f32], TensorError> {
        match &self.data {
            Data::F32(v) => Ok(v),
            _ => Err(TensorError::DType { expected: DType::F32, actual: self.dtype() }),
        }
    }
    /// Its elements as binary64.
    pub fn as_f64(&self) -> Result<&[f64], TensorError> {
        match &self.data {
            Data::F64(v) => Ok(v),
            _ => Err(TensorError::DType { expected: DType::F64, actual: self.dtype() }),
        }
    }
    /// Its elements as 32-bit integers.
    pub fn as_i32(&self) -> Result<&[i32], TensorError> {
        match &self.data {
            Data::I32(v) => Ok(v),
            _ => Err(TensorError::DType { expected: DType::I32, actual: self.dtype() }),
        }
    }
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.shape.len() * self.dtype().bytes()
    }
}
