//! The Temporal engine: the same state machine inside a workflow, attempts as activities, the log mirrored into the home folder.
//!
//! ```text
//! machine   start            activity wootz.look, then, where the output has to be made, activity wootz.attempt
//!           wake             timer
//!           cancel           cancellation of the activity, whose end is waited for
//! client    signal cancel    the run was asked to stop
//!           query records    what happened, from a position on
//! ```
//!
//! These names are in histories that outlive a build, so they never change. Not covered: steps that read the whole run, workers on
//! several machines without a common home folder, two workers on one home folder, and a log line's progress.

mod blocking;
mod client;
mod history;
mod worker;
mod workflow;

pub use blocking::{resume, run, work};
pub use client::{Server, TemporalError};
pub use history::replay;
pub use worker::Worker;
