//! NVIDIA GPUs, through libraries that are loaded at run time: the program builds and runs with no CUDA on the machine.
//!
//! In the order of use: [`library`] finds NVIDIA's libraries; [`driver`] opens a device; [`gpu`] adds the compiler and the
//! caches; [`lower`] brings programs into the device's precision, and [`fuse`] puts one node where one kernel does the work of
//! two, [`token_order`] one sort where several would do the same,
//! [`partial_sums`] the last steps of all sums together; [`session`] gives every value its memory and every node its launches ([`launch`], [`ops`]), and records a program as
//! one graph. [`gemm`] chooses the algorithms of products; [`nccl`] connects several GPUs; [`power`]
//! tells what one draws.

mod attention_rope;
mod backend;
mod compiler;
mod convert;
pub mod cudnn;
mod driver;
mod fp8;
mod fp8_hidden;
mod fp8_norm;
mod function;
mod fuse;
mod gate_rope;
pub mod gemm;
mod gpu;
mod largest;
mod launch;
mod library;
#[cfg(test)]
mod long_rows;
mod lower;
pub mod nccl;
mod noise;
mod of_input;
mod ops;
mod partial_sums;
mod parts;
mod peaks;
mod power;
mod session;
mod survey;
mod tensor_map;
mod token_order;

pub use backend::CudaBackend;
pub use compiler::{Compiled, Compiler, Macros};
pub use driver::{CudaError, Device, Driver, Memory, Pointer, Properties, Stream};
pub use gpu::{Gpu, Launches, Options, Precision};
pub use launch::{Launch, Scratch};
pub use library::{Library, LibraryError, Name, Search};
pub use survey::{DeviceFound, Found, Missing, Survey, ready, survey};
