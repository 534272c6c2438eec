//! What of the GPU backend can be tested on a machine without a GPU.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // The lints' own exemption stops at the functions marked as tests.

mod cudnn {
    mod graphs;
    mod interpreter;
    mod math;
    mod plans;
}
