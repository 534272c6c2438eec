//! A project's container: the folders, variables and users that it shares with the machine, its entry points, whether its GPUs are new
//! enough, and when its image is to be built.
//!
//! [`Contained`] is the launcher of steps: what a keeper starts is an attendant of a container, which the container outlives, and which
//! the next attendant of the same attempt finds again.

mod entrypoint;
mod gpu;
mod image;
mod launcher;
mod project;

pub use entrypoint::{Entrypoint, EntrypointError, SPACK_BUILD};
pub use gpu::{Choice, GpuError, Version, choose, driver};
pub use image::{ImageState, Recipe, RecipeError};
pub use launcher::{Contained, Mark};
pub use project::{Project, User};
