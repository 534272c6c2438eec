//! The start of a run: under the job's lock, so that of many who try one succeeds.

use crate::folder::{Folder, JobError, Stamp, check, io_error};
use crate::process::Process;
use crate::run::Run;
use crate::{MARK, UNKNOWN_RC};
use jiff::Timestamp;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use wootz_keeper::group;
use wootz_schema::job::JobState;

/// How often a new keeper's pid file is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What is to be run.
#[derive(Debug)]
pub struct Request {
    /// Name of the job.
    pub job: String,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<OsString>,
    /// Seconds between two lines that say that it runs; 0: none.
    pub heartbeat_seconds: u64,
    /// Whether it may run beside itself.
    pub again: bool,
    /// The command that starts a keeper when the folder, the job, the stamp, the heartbeat, and the argv are added.
    pub keeper: Vec<OsString>,
}

/// A run that was started.
#[derive(Debug)]
pub struct Started {
    /// Which.
    pub run: Run,
    /// The process of its command.
    pub pid: u32,
}

impl Folder {
    /// Starts a run of a job, which outlives this process.
    pub fn start(&self, request: &Request) -> Result<Started, JobError> {
        let job = request.job.as_str();
        check("job", job)?;
        let Some(program) = request.argv.first() else {
            return Err(JobError::Command { job: job.to_owned() });
        };
        for folder in [self.logs(), self.jobs()] {
            fs::create_dir_all(&folder).map_err(io_error("make", &folder))?;
        }
        self.settled(job)?;
        let _lock = self.lock(job)?;
        let runs = self.runs(job)?;
        for run in runs.iter().rev().filter(|_| !request.again) {
            if !run.is_over()? && (run.is_kept()? || run.is_alive()?) {
                let pid = run.process()?.map_or(0, |process| process.pid);
                return Err(JobError::Running { job: job.to_owned(), pid });
            }
        }
        let last = runs.last().and_then(|run| Stamp::read(&run.stamp));
        let stamp = Stamp::behind(last, Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string());
        let run = Run::new(self, job, &stamp.text());
        let log = File::create_new(run.log()).map_err(io_error("write", &run.log()))?;
        File::create_new(run.pid_file()).map_err(io_error("write", &run.pid_file()))?;
        let argv = request.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        run.tell(JobState::Start, Some(argv))?;
        let begun = keeper(self, &run, request, log).map_err(io_error("start a keeper for", &run.pid_file()));
        let rc = match begun.and_then(|mut keeper| wait(&run, &mut keeper))? {
            Begun::Runs(process) => return Ok(Started { run, pid: process.pid }),
            Begun::Refused(rc) => rc,
        };
        run.tell(JobState::Failed(rc), None)?;
        Err(JobError::Start { program: program.to_string_lossy().into_owned(), log: run.log() })
    }

    /// The runs of a job, oldest first, when the ends that nobody saw are written down.
    pub fn settled(&self, job: &str) -> Result<Vec<Run>, JobError> {
        let runs = self.runs(job)?;
        runs.iter().try_for_each(Run::settle)?;
        Ok(runs)
    }
}

fn keeper(folder: &Folder, run: &Run, request: &Request, log: File) -> io::Result<Child> {
    let (program, arguments) = request.keeper.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(fs::canonicalize(&folder.path)?).args([&run.job, &run.stamp]);
    command.arg(request.heartbeat_seconds.to_string()).arg("--").args(&request.argv);
    // A job outlives what started it, also where that is a step or a job: it is not swept away with it.
    command.env_remove(MARK).env_remove(group::MARK);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

enum Begun {
    Runs(Process),
    Refused(i32),
}

/// Waits until the keeper has written its pid file, or has gone.
fn wait(run: &Run, keeper: &mut Child) -> Result<Begun, JobError> {
    let path = run.pid_file();
    loop {
        // In this order: what a keeper wrote last it wrote before it went.
        let has_gone = keeper.try_wait().map_err(io_error("wait for the keeper of", &path))?.is_some();
        if let Some(process) = run.process()? {
            return Ok(Begun::Runs(process));
        }
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        match text.strip_prefix("refused ").and_then(|rc| rc.strip_suffix('\n')?.parse().ok()) {
            Some(rc) => return Ok(Begun::Refused(rc)),
            None if has_gone => return Ok(Begun::Refused(UNKNOWN_RC)),
            None => thread::sleep(LOOK),
        }
    }
}
