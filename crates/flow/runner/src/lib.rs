//! The embedded engine: runs a plan on this machine, keeps its log in SQLite, goes on after a crash where it was.
//!
//! ```text
//! <home>/runs.db                            the event logs
//! <home>/runs/<run>/plan.yaml               the plan as it was written, for people
//! <home>/runs/<run>/logs/<step>.<n>.log     what attempt n said
//! <home>/runs/<run>/logs/events.jsonl       what happened to steps, for programs; beside it what their processes said
//! <home>/runs/<run>/keepers/<n>.jsonl       what became of processes
//! <home>/runs/<run>/<step>                  link to the step's output
//! ```

mod attempt;
mod clock;
mod engine;
mod error;
mod journal;
mod key;
mod narrator;
mod remote;
mod runner;
mod tee;
mod view;

pub use clock::{Clock, SystemClock};
pub use error::RunnerError;
pub use remote::Ask;
pub use runner::{LogFile, Options, PlanFile, Runner};
