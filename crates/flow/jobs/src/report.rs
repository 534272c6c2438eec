//! What is said of a run to those who ask.

use crate::folder::{Folder, JobError};
use crate::run::Run;
use std::fmt;
use wootz_schema::job::JobStatus;

/// Whether somebody watches over a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It runs under its keeper.
    Running(u32),
    /// It has ended, or its keeper has gone.
    Stale(u32),
    /// There is no process.
    Unknown,
}

impl Health {
    /// The process of its command.
    pub fn pid(self) -> Option<u32> {
        match self {
            Health::Running(pid) | Health::Stale(pid) => Some(pid),
            Health::Unknown => None,
        }
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Health::Running(_) => "running",
            Health::Stale(_) => "stale",
            Health::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Health::Running(pid) => write!(f, "running pid={pid}"),
            Health::Stale(pid) => write!(f, "stale pid={pid}"),
            Health::Unknown => f.write_str("pid=unknown"),
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which.
    pub run: Run,
    /// Its status line.
    pub status: Option<JobStatus>,
    /// Whether somebody watches over it.
    pub health: Health,
    /// Whether its command, or what that started, lives.
    pub is_alive: bool,
}

impl Folder {
    /// How the newest run of a job stands; `None` where there never was one.
    pub fn report(&self, job: &str) -> Result<Option<Report>, JobError> {
        self.settled(job)?.pop().map(report).transpose()
    }

    /// How every run of a job stands, oldest first.
    pub fn reports(&self, job: &str) -> Result<Vec<Report>, JobError> {
        self.settled(job)?.into_iter().map(report).collect()
    }
}

fn report(run: Run) -> Result<Report, JobError> {
    let process = run.process()?;
    let is_kept = run.is_kept()?;
    // Read last: what is over by now is told as over.
    let status = run.status()?;
    let is_over = status.as_ref().is_some_and(|status| status.state.is_over());
    let health = match process {
        None => Health::Unknown,
        Some(process) if is_kept && !is_over => Health::Running(process.pid),
        Some(process) => Health::Stale(process.pid),
    };
    let is_alive = !is_over && run.is_alive()?;
    Ok(Report { run, status, health, is_alive })
}
