//! The end of a run that somebody asks for: with its keeper, or without one.

use crate::folder::{Folder, JobError, io_error};
use crate::run::Run;
use rustix::process::Signal;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(20);
/// How long the end of what was killed may take.
const DEATH: Duration = Duration::from_secs(20);

impl Folder {
    /// Stops the newest run of a job that has not ended, and gives the process of its command: it is asked to end, and forced after `grace`.
    /// All of it has ended afterwards, and that is written down.
    pub fn stop(&self, job: &str, grace: Duration) -> Result<(Run, u32), JobError> {
        if self.runs(job)?.is_empty() {
            return Err(JobError::Missing { job: job.to_owned(), folder: self.path.clone() });
        }
        // Who is starting a run is waited for.
        drop(self.lock(job)?);
        for run in self.settled(job)?.into_iter().rev() {
            if !run.is_over()? {
                let pid = run.process()?.map_or(0, |process| process.pid);
                end(&run, grace)?;
                return Ok((run, pid));
            }
        }
        Err(JobError::NotRunning { job: job.to_owned() })
    }
}

fn end(run: &Run, grace: Duration) -> Result<(), JobError> {
    let path = run.stop_file();
    fs::write(&path, b"").map_err(io_error("write", &path))?;
    run.signal(Signal::TERM)?;
    let force_at = Instant::now() + grace;
    while !run.is_over()? {
        run.settle()?;
        if Instant::now() >= force_at {
            run.signal(Signal::KILL)?;
        }
        if Instant::now() >= force_at + DEATH {
            return Err(io_error("end the processes of", &run.pid_file())(io::ErrorKind::TimedOut.into()));
        }
        thread::sleep(LOOK);
    }
    Ok(())
}
