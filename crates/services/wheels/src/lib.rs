//! GPU wheels: what a file's name says and what is inside, what has been published, and the index from which pip and uv choose.

mod archive;
pub mod build;
pub mod catalogue;
pub mod choose;
pub mod compat;
pub mod config;
mod elf;
mod fatbin;
mod inspect;
mod label;
pub mod lint;
mod manylinux;
pub mod matrix;
mod metadata;
mod name;
pub mod pages;
pub mod publish;
mod record;
mod relabel;
pub mod releases;
pub mod rules;
pub mod scan;
pub mod serve;
pub mod variants;

pub use archive::WheelError;
pub use catalogue::{Catalogue, CatalogueError, Entry, Prefer};
pub use elf::{Library, library};
pub use fatbin::architectures;
pub use inspect::inspect;
pub use label::{Cuda, Label, Minor};
pub use manylinux::earliest;
pub use name::{Build, NameError, Tag, Variants, WheelName, project};
pub use relabel::relabel;
