//! One run of a job: its files, whether it is alive, and the writing down of how far it is.

use crate::folder::{Folder, JobError, io_error};
use crate::process::Process;
use crate::{MARK, UNKNOWN_RC};
use jiff::Timestamp;
use rustix::process::Signal;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use wootz_keeper::group;
use wootz_schema::job::{JobEvent, JobState, JobStatus};
use wootz_stdx::file::write_atomic;

/// A run of a job.
#[derive(Debug, Clone)]
pub struct Run {
    pub(crate) folder: Folder,
    /// Name of the job.
    pub job: String,
    /// When it began, and which of that second it is.
    pub stamp: String,
}

impl Run {
    pub(crate) fn new(folder: &Folder, job: &str, stamp: &str) -> Run {
        Run { folder: folder.clone(), job: job.to_owned(), stamp: stamp.to_owned() }
    }

    fn log_file(&self, ending: &str) -> PathBuf {
        self.folder.logs().join(format!("{}-{}.{ending}", self.job, self.stamp))
    }

    fn job_file(&self, ending: &str) -> PathBuf {
        self.folder.jobs().join(format!("{}-{}.{ending}", self.job, self.stamp))
    }

    /// What the command said.
    pub fn log(&self) -> PathBuf {
        self.log_file("log")
    }

    /// Its process.
    pub fn pid_file(&self) -> PathBuf {
        self.log_file("pid")
    }

    pub(crate) fn stop_file(&self) -> PathBuf {
        self.log_file("stop")
    }

    /// What happened.
    pub fn events(&self) -> PathBuf {
        self.job_file("jsonl")
    }

    /// How far it is.
    pub fn status_file(&self) -> PathBuf {
        self.job_file("status")
    }

    /// What its processes carry in their environment. The whole path: two roots may have a run of the same name.
    pub(crate) fn mark(&self) -> Result<String, JobError> {
        let logs = self.folder.logs();
        let logs = fs::canonicalize(&logs).map_err(io_error("find", &logs))?;
        Ok(format!("{}/{}-{}", logs.display(), self.job, self.stamp))
    }

    /// Whether its keeper lives.
    pub fn is_kept(&self) -> Result<bool, JobError> {
        let path = self.pid_file();
        let looked = File::open(&path).map_err(TryLockError::Error).and_then(|file| file.try_lock_shared());
        match looked {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(io_error("look at", &path)(error)),
        }
    }

    /// The process of its command, once it was started.
    pub fn process(&self) -> Result<Option<Process>, JobError> {
        let path = self.pid_file();
        Process::read(&path).map_err(io_error("read", &path))
    }

    /// Whether any of its processes lives: of its group or with its mark.
    pub fn is_alive(&self) -> Result<bool, JobError> {
        Ok(self.process()?.is_some_and(Process::is_alive) || !group::marked(MARK, &self.mark()?).is_empty())
    }

    /// The last status that was written.
    pub fn status(&self) -> Result<Option<JobStatus>, JobError> {
        let path = self.status_file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim_end().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Whether it has ended, and that is written down.
    pub fn is_over(&self) -> Result<bool, JobError> {
        Ok(self.status()?.is_some_and(|status| status.state.is_over()))
    }

    /// Writes down how far it is. Whoever calls holds the job's lock.
    pub(crate) fn tell(&self, state: JobState, argv: Option<Vec<String>>) -> Result<(), JobError> {
        let ts = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let msg = match state.rc() {
            Some(rc) => format!("rc={rc}"),
            None => "running".to_owned(),
        };
        let event = JobEvent {
            ts: ts.clone(),
            event: state.word().to_owned(),
            job: self.job.clone(),
            msg,
            argv,
            rc: state.rc(),
        };
        let mut line = serde_json::to_vec(&event).expect("an event has text keys only");
        line.push(b'\n');
        let path = self.events();
        let written = File::options().create(true).append(true).open(&path).and_then(|mut file| {
            file.write_all(&line)?;
            if state.is_over() { file.sync_data() } else { Ok(()) }
        });
        written.map_err(io_error("write", &path))?;
        let text = format!("{}\n", JobStatus { job: self.job.clone(), ts, state });
        let newest = self.folder.newest(&self.job)?.is_some_and(|newest| newest.stamp == self.stamp);
        // The run's own is last: where it says that the run is over, nothing is left to write.
        let paths =
            newest.then(|| self.folder.status_path(&self.job)).into_iter().chain([self.status_file()]);
        for path in paths {
            write_atomic(&path, text.as_bytes()).map_err(io_error("write", &path))?;
        }
        Ok(())
    }

    /// Writes down the end of a run that has no keeper and no process any more: whoever polls its status waits for that.
    pub fn settle(&self) -> Result<(), JobError> {
        // A run without a process may be one that is just being started, by one who holds the lock.
        if self.is_over()? || self.is_kept()? || self.is_alive()? {
            return Ok(());
        }
        let _lock = self.folder.lock(&self.job)?;
        if self.is_over()? || self.is_kept()? || self.is_alive()? {
            return Ok(());
        }
        let state = match self.stop_file().exists() {
            true => JobState::Stopped(UNKNOWN_RC),
            false => JobState::Failed(UNKNOWN_RC),
        };
        self.tell(state, None)
    }

    /// Sends a signal to its group and to whoever carries its mark.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), JobError> {
        if let Some(process) = self.process()?.filter(|process| process.is_there()) {
            group::signal(process.pid, signal);
        }
        for pid in group::marked(MARK, &self.mark()?) {
            let _ = rustix::process::kill_process(pid, signal);
        }
        Ok(())
    }
}
