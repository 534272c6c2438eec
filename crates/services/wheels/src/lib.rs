//! Wheels of GPU packages: what a file's name says, what is inside the file, and another label for the same build.

mod label;
mod name;

pub use label::{Cuda, Label, Minor};
pub use name::{Build, NameError, Tag, Variants, WheelName, project};
