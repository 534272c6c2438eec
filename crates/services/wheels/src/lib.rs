//! GPU wheels: what a file's name says, what has been published, and the index from which pip and uv choose.

pub mod catalogue;
pub mod choose;
pub mod label;
pub mod lint;
pub mod metadata;
pub mod name;
pub mod pages;
pub mod project;
pub mod publish;
pub mod releases;
pub mod scan;
pub mod serve;

pub use catalogue::{CatalogueError, Entry, Prefer};
pub use label::Label;
pub use name::{NameError, WheelName};
pub use project::normalize;
