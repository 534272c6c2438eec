//! Element types of the reference: binary32 and binary64.

use crate::ops::{AngleTables, Kernel};
use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub, SubAssign};
use wootz_program::Op;
use wootz_tensor::{Data, HostTensor, TensorError};

/// A floating-point type an op can be evaluated in.
pub(crate) trait Real:
    Copy
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
{
    const ZERO: Self;
    const NAN: Self;
    fn of(x: f64) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    /// The larger one; not a number is ignored.
    fn max(self, other: Self) -> Self;
    /// The fast kernel of an op in this type, where there is one.
    fn fast(op: &dyn Op, tables: &AngleTables) -> Option<Kernel<Self>>;
    /// Copies a tensor's elements.
    fn copy_from(tensor: &HostTensor, to: &mut [Self]) -> Result<(), TensorError>;
    fn data(elements: Vec<Self>) -> Data;
    /// Appends the elements' bytes.
    fn append(elements: &[Self], to: &mut Vec<u8>);
    /// The elements of these bytes.
    fn of_bytes(bytes: &[u8]) -> Vec<Self>;

    fn sigmoid(self) -> Self {
        Self::of(1.0) / (Self::of(1.0) + (-self).exp())
    }
}

macro_rules! real {
    ($ty:ty, $variant:ident, $fast:expr) => {
        impl Real for $ty {
            const ZERO: Self = 0.0;
            const NAN: Self = <$ty>::NAN;
            fn of(x: f64) -> Self {
                x as $ty
            }
            fn exp(self) -> Self {
                self.exp()
            }
            fn ln(self) -> Self {
                self.ln()
            }
            fn sqrt(self) -> Self {
                self.sqrt()
            }
            fn tanh(self) -> Self {
                self.tanh()
            }
            fn max(self, other: Self) -> Self {
                <$ty>::max(self, other)
            }
            fn fast(op: &dyn Op, tables: &AngleTables) -> Option<Kernel<Self>> {
                $fast(op, tables)
            }
            fn copy_from(tensor: &HostTensor, to: &mut [Self]) -> Result<(), TensorError> {
                match tensor.data() {
                    Data::F32(from) => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as $ty),
                    Data::F64(from) => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from as $ty),
                    Data::I32(_) => tensor.as_f32().map(drop)?,
                }
                Ok(())
            }
            fn data(elements: Vec<Self>) -> Data {
                Data::$variant(elements)
            }
            fn append(elements: &[Self], to: &mut Vec<u8>) {
                to.extend(elements.iter().flat_map(|x| x.to_le_bytes()));
            }
            fn of_bytes(bytes: &[u8]) -> Vec<Self> {
                let (words, _) = bytes.as_chunks::<{ size_of::<$ty>() }>();
                words.iter().map(|word| <$ty>::from_le_bytes(*word)).collect()
            }
        }
    };
}

real!(f32, F32, crate::ops::fast);
real!(f64, F64, |_: &dyn Op, _: &AngleTables| None);
