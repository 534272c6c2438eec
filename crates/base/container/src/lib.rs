//! One process in an image, through podman or docker: created, started, waited for, looked at, removed, each on its own.
//!
//! `run --rm` does all of that at once and is never used: over podman's socket docker's own client then reports 0 for a
//! container that failed, and a container that removes itself leaves nobody its exit code and its log after a crash.
//!
//! A container is known by its name and its labels. Whoever asks again for one that is there gets that one.

mod run;
mod runtime;
mod spec;

pub use run::{Exit, Outputs};
pub use runtime::{ContainerError, Kind, Runtime};
pub use spec::{Gpus, Mount, Spec, Talk};
