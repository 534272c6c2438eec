//! Dtype, shape and host tensors: values without a device.

mod dtype;
mod host;
mod shape;

pub use dtype::DType;
pub use host::{Data, HostTensor, TensorError};
pub use shape::Shape;
