//! The embedded engine: runs a plan on this machine, keeps its log in SQLite, goes on after a crash where it was.
//!
//! ```text
//! <home>/runs.db                            the event logs
//! <home>/runs/<run>/plan.yaml               the plan as it was written, for people
//! <home>/runs/<run>/logs/<step>.<n>.log     what attempt n said
//! <home>/runs/<run>/logs/events.jsonl       what happened to steps, for programs; beside it what their processes said
//! <home>/runs/<run>/keepers/<n>.jsonl       what became of processes
//! <home>/runs/<run>/cancel                  the wish that the run stops, until it is heard
//! <home>/runs/<run>/<step>                  link to the step's output
//! ```

mod attempt;
mod cancel;
mod clock;
mod engine;
mod error;
mod event_file;
mod following;
mod gc;
mod journal;
mod key;
mod narrator;
mod remote;
mod replan;
mod runner;
mod tee;
mod teller;
mod view;

pub use cancel::Cancellation;
pub use clock::{Clock, SystemClock, rfc3339};
pub use error::RunnerError;
pub use event_file::{EventFile, FileRun, FileStep, StepEvent, steps};
pub use following::Following;
pub use gc::{Freed, FreedRun, Old};
pub use remote::Ask;
pub use runner::{Attendants, LogFile, Options, PlanFile, Runner};
