//! Stopping a run from another process.
//!
//! The wish is a file, `cancel` in the run's folder. The engine that drives the run looks for it, records the request, and removes the file
//! then. A run whose engine has died is taken up for no other purpose than to be stopped, so that what its keeper still runs ends. Who takes
//! a run up to go on with it removes an older wish first: the newer one counts.

use crate::error::RunnerError;
use crate::runner::{Options, Runner};
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use wootz_pipeline::Registry;
use wootz_schema::event::{Event, Record, RunSummary, Status};
use wootz_schema::progress::Observe;
use wootz_stdx::file;
use wootz_store::StoreError;

/// How often an engine looks for a request.
const LOOK: Duration = Duration::from_millis(250);
/// How often it is looked at what came of a request.
const GLANCE: Duration = Duration::from_millis(50);

/// What came of a request to stop a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// The run was over already.
    Late(RunSummary),
    /// The run's engine has heard the request, and stops.
    Heard(RunSummary),
    /// The run is over now.
    Over(RunSummary),
}

/// The file of the request, as the engine looks for it.
pub(crate) struct Request {
    path: PathBuf,
    next_look: Instant,
}

impl Request {
    pub fn of(runner: &Runner, run: &str) -> Request {
        Request { path: runner.folder(run).join("cancel"), next_look: Instant::now() }
    }

    /// Whether the request is there; the disk is asked now and then only.
    pub fn is_there(&mut self) -> bool {
        let now = Instant::now();
        if now < self.next_look {
            return false;
        }
        self.next_look = now + LOOK;
        self.path.exists()
    }

    fn make(&self) -> Result<(), RunnerError> {
        let made = if self.path.exists() { Ok(()) } else { file::write_atomic(&self.path, b"") };
        Ok(made.map_err(|source| StoreError::Io { action: "write", path: self.path.clone(), source })?)
    }

    /// Removes it; where it stays it is removed by whoever takes the run up.
    pub fn forget(&self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Runner {
    /// Asks a run to stop, whoever drives it; with `wait` until it has. `run` is an id or `latest`. The request to stop in `options` is
    /// expected to be set: it is what a run is taken up with whose engine has died.
    pub fn cancel(
        &self,
        run: &str,
        wait: bool,
        options: &Options<'_>,
        registry: &Registry,
        observe: &dyn Observe,
    ) -> Result<Cancellation, RunnerError> {
        let run = self.id(run)?;
        let request = Request::of(self, &run);
        let mut is_first = true;
        loop {
            let summary = self.show(&run)?;
            match summary.status {
                Status::Interrupted => match self.resume(&run, options, registry, observe) {
                    // Somebody else was faster, and can be asked.
                    Err(RunnerError::Taken { .. }) => {}
                    resumed => return Ok(Cancellation::Over(resumed?)),
                },
                Status::Running if is_stopping(&self.events(&run)?) => {
                    if !wait {
                        return Ok(Cancellation::Heard(summary));
                    }
                }
                Status::Running => request.make()?,
                _ => {
                    request.forget();
                    let over = if is_first { Cancellation::Late } else { Cancellation::Over };
                    return Ok(over(summary));
                }
            }
            is_first = false;
            sleep(GLANCE);
        }
    }
}

/// Whether the engine that drives the run was asked to stop it.
fn is_stopping(records: &[Record]) -> bool {
    let last = records.iter().rev().find_map(|record| match record.event {
        Event::CancelRequested => Some(true),
        Event::Created(_) | Event::Resumed { .. } | Event::Replanned { .. } => Some(false),
        _ => None,
    });
    last == Some(true)
}
