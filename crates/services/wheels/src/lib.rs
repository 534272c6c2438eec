//! Wheels of GPU packages: what a file's name says, what is inside the file, and another label for the same build.

mod archive;
mod elf;
mod fatbin;
mod inspect;
mod label;
mod manylinux;
mod metadata;
mod name;
mod record;
mod relabel;

pub use archive::WheelError;
pub use elf::{Library, library};
pub use fatbin::architectures;
pub use inspect::inspect;
pub use label::{Cuda, Label, Minor};
pub use manylinux::earliest;
pub use name::{Build, NameError, Tag, Variants, WheelName, project};
pub use relabel::relabel;
