//! NVIDIA GPUs, through libraries that are loaded at run time: the program builds and runs with no CUDA on the machine.

pub mod cudnn;
pub mod library;
