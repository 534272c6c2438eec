//! Progress of one attempt: into its log file, and on to whoever watches the run.
//!
//! Several steps may report at once, and a terminal has one bar: it belongs to the first step that begins a task, until
//! that task ends. Messages and training steps of all steps are passed on.

use crate::clock::{self, Clock};
use std::fs::File;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use wootz_schema::metrics::TrainStep;
use wootz_schema::progress::{Observe, Progress};
use wootz_stdx::human;

/// Which step's task the watcher sees; shared by the attempts of a run.
pub(crate) type Stage = Mutex<Option<usize>>;

/// Observes one attempt.
pub(crate) struct Tee<'a> {
    pub position: usize,
    pub step: &'a str,
    pub log: Option<File>,
    pub stage: &'a Stage,
    pub clock: &'a dyn Clock,
    pub observe: &'a dyn Observe,
}

impl Observe for Tee<'_> {
    fn observe(&self, progress: Progress<'_>) {
        match &progress {
            Progress::Begin { task, total: Some(total), unit } => {
                self.write(&format!("{task}: {total} {unit}"))
            }
            Progress::Begin { task, total: None, .. } => self.write(task),
            Progress::Train(step) => self.write(&train_line(step)),
            Progress::Message(message) => self.write(message),
            Progress::Advance { .. } | Progress::Files(_) | Progress::End => {}
        }
        match progress {
            Progress::Begin { .. } => {
                let mut stage = self.lock_stage();
                if stage.is_none_or(|holder| holder == self.position) {
                    *stage = Some(self.position);
                    self.observe.observe(progress);
                }
            }
            Progress::Advance { .. } | Progress::Files(_) if *self.lock_stage() == Some(self.position) => {
                self.observe.observe(progress)
            }
            Progress::Advance { .. } | Progress::Files(_) => {}
            Progress::End => self.leave_stage(),
            Progress::Train(_) => self.observe.observe(progress),
            Progress::Message(message) => {
                self.observe.observe(Progress::Message(&format!("{}: {message}", self.step)));
            }
        }
    }
}

impl Tee<'_> {
    /// Ends the task that the watcher sees, if it is this step's.
    pub fn leave_stage(&self) {
        let mut stage = self.lock_stage();
        if *stage == Some(self.position) {
            *stage = None;
            self.observe.observe(Progress::End);
        }
    }

    /// A line in the log file alone.
    pub fn write(&self, message: &str) {
        if let Some(log) = &self.log {
            let at = clock::format(self.clock.now_ms(), "%Y-%m-%dT%H:%M:%S.%3fZ");
            // One write for the whole line, so that lines of several threads do not mix. A log that cannot be written
            // (a full disk) must not fail the work, which will notice by itself.
            let _ = (&mut &*log).write_all(format!("{at} {message}\n").as_bytes());
        }
    }

    fn lock_stage(&self) -> std::sync::MutexGuard<'_, Option<usize>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn train_line(step: &TrainStep) -> String {
    format!(
        "step {}/{} loss {:.4} lr {:.3} norm {:.3} {} tok/s {:.1} GFLOP/s {}",
        step.step,
        step.steps,
        step.loss,
        step.lr_multiplier,
        step.grad_norm,
        human::count(step.tokens_per_second.max(0.0) as u64),
        step.gflops,
        human::seconds(step.elapsed_seconds),
    )
}
