//! GPU wheels: what a file's name says, what has been published, and the index from which pip and uv choose.

pub mod label;
pub mod name;
pub mod project;

pub use label::Label;
pub use name::{NameError, WheelName};
pub use project::normalize;
