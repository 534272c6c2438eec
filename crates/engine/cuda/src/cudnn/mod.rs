//! Fused attention through cuDNN's backend API, with no C++ and nothing of CUDA at build time.
//!
//! In the order of use: [`api`] is the table of functions; [`sdpa`] makes attention's graphs from a shape; [`graph`]
//! tells cuDNN about a graph ([`descriptor`] owns what that makes); [`plan`] asks for the engines that can run it and
//! compiles them; [`attention`] binds pointers and launches. Plans can be made with no GPU on the machine, for a device
//! that a [`DeviceProperties`] describes: that is how the tests run.
//!
//! Limits: cuDNN 9.16 or newer; older ones need lengths in the backward pass where T is no multiple of 128, still older
//! ones another mask value and a cleared sum of the gradient of the queries. Written and tested for 9.19.

pub mod api;
pub mod attention;
pub mod descriptor;
pub mod graph;
pub mod plan;
pub mod sdpa;

pub use attention::{Attention, Backward, BackwardPointers, Forward, ForwardPointers, Sequences};
pub use descriptor::{Cudnn, CudnnError, DeviceProperties, Handle};
pub use plan::Plan;
pub use sdpa::{Layout, SdpaShape, ShapeError, Strides};
