//! The CPU backend: the plain code that defines every op, and the fast path that training uses.
//!
//! One file per op in `ops/` holds both. The reference is generic over the element type, so that gradients are checked
//! in binary64 against finite differences; the fast path is binary32, runs on a thread pool, and is compared with the
//! reference. Results do not depend on the number of threads: work is cut by shape, never by thread count, and partial
//! sums are added in a fixed order.
//!
//! A session allocates its memory when it is loaded. What a step still allocates is small and short-lived: packing buffers
//! inside `gemm`, and a few vectors as long as a matrix has rows.

mod backend;
mod io;
mod matmul;
mod memory;
mod ops;
mod parallel;
mod real;
mod session;
mod simd;

pub use backend::{CpuBackend, Mode};
