//! Processes of steps as jobs of Slurm.
//!
//! What the keeper of a run starts for an attempt is not its process but an attendant: it submits a batch job that runs the process, hands
//! on what that says, and ends as it ends. So all that is true of processes on this machine is true of jobs: an engine that dies leaves
//! its attendants and goes on with them, logs are written by one hand, a cancellation reaches the job through its attendant.
//!
//! A job is known by its comment, run and attempt. An attendant asks for it before it submits, so that nothing is submitted twice; the job
//! writes how it ended into a file of its own, because Slurm forgets jobs within minutes.
//!
//! Limits: the folder of runs must be seen by all nodes under one path. Programs of Slurm are called, none of its libraries; seen with 22.05.

mod attend;
mod job;
mod launcher;
mod state;

pub use attend::{Attended, attend};
pub use job::{Job, missing};
pub use launcher::Slurm;
