//! The seam to whatever runs the process of an attempt.

use crate::step::StepError;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_schema::task::Task;

/// Runs the process of one attempt: on this machine, in a container, on a cluster.
///
/// A launcher knows tasks by their names (step and attempt), so that an engine that asks again for what an engine before it began is
/// given that, and nothing is run twice.
pub trait Launcher: Send + Sync {
    /// Runs the task to its end, or waits for the end of the one that was begun. When `cancel` is set it is asked to end, and forced
    /// after `grace`.
    fn run(&self, task: &Task, cancel: &AtomicBool, grace: Duration) -> Result<Ended, StepError>;

    /// Whether a task that an earlier engine of this run may have begun can be asked for again: it goes on, has ended with a record, or
    /// was never begun.
    fn survives(&self, task: &str) -> bool;
}

/// The launcher of an engine that has none: every step runs inside it.
#[derive(Debug, Clone, Copy)]
pub struct NoLauncher;

impl Launcher for NoLauncher {
    fn run(&self, task: &Task, _: &AtomicBool, _: Duration) -> Result<Ended, StepError> {
        Err(StepError::environment(format!(
            "run the process of {}: this engine starts none",
            task.label.task()
        )))
    }

    fn survives(&self, _: &str) -> bool {
        false
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How long it ran.
    pub seconds: f64,
    /// Why what it said is not whole in the logs, if it is not.
    pub lost_output: Option<String>,
}
