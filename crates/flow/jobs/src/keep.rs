//! The keeper of one run.
//!
//! ```text
//! on                      then
//! the heartbeat           PROGRESS is written
//! the command's end       its group is asked to end, forced after a second; DONE, FAILED, or STOPPED is written
//! ```
//!
//! The command is not waited for (`waitpid`) before its group got its last signal: until then nobody else can have its number. Nobody
//! needs the keeper to stop a job: whoever stops it says so in a file, and signals the command himself.

use crate::MARK;
use crate::folder::{Folder, JobError, io_error};
use crate::process::Process;
use crate::run::Run;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, setsid};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wootz_keeper::group;
use wootz_schema::job::JobState;

/// How long what a command left behind may take to end by itself.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How often, and how many times, an end that could not be written is written again.
const AGAIN: (Duration, u32) = (Duration::from_secs(1), 600);

/// Runs the command of a run that was prepared, to its end; standard output and error are the raw log.
pub fn keep(
    folder: &Folder,
    job: &str,
    stamp: &str,
    heartbeat_seconds: u64,
    argv: &[OsString],
) -> Result<(), JobError> {
    // Without a terminal nothing that is typed there reaches the command. Fails where the caller made it a leader already.
    let _ = setsid();
    let run = Run::new(folder, job, stamp);
    let path = run.pid_file();
    let opened = File::options().append(true).open(&path);
    let mut pid_file = opened.map_err(io_error("write", &path))?;
    pid_file.lock().map_err(io_error("lock", &path))?;
    let mark = run.mark()?;
    let (mut child, process, end) = match spawn(argv, &mark) {
        Ok(spawned) => spawned,
        Err(error) => {
            let rc = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            let program = argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
            // Standard error is the log.
            let _ = writeln!(io::stderr(), "failed to start {program}: {error}");
            return pid_file
                .write_all(format!("refused {rc}\n").as_bytes())
                .map_err(io_error("write", &path));
        }
    };
    if let Err(error) = pid_file.write_all(process.text().as_bytes()) {
        // Nobody could find it.
        group::signal(process.pid, Signal::KILL);
        return Err(io_error("write", &path)(error));
    }
    let heartbeat = (heartbeat_seconds > 0).then(|| Duration::from_secs(heartbeat_seconds));
    while !wait(&end, heartbeat) {
        // The next one comes, whatever hinders this one.
        let _ = tell(&run, JobState::Progress);
    }
    end_group(process.pid, &mark);
    let rc = child.wait().map_or(crate::UNKNOWN_RC, rc);
    let (pause, times) = AGAIN;
    let mut told = Ok(());
    for _ in 0..times {
        told = tell(&run, ended(&run, rc));
        if told.is_ok() {
            break;
        }
        thread::sleep(pause);
    }
    told
}

fn spawn(argv: &[OsString], mark: &str) -> io::Result<(Child, Process, OwnedFd)> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).env(MARK, mark).process_group(0).stdin(Stdio::null());
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
    let end = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty())).map_err(io::Error::from);
    match end.and_then(|end| Ok((Process::of(child.id())?, end))) {
        Ok((process, end)) => Ok((child, process, end)),
        Err(error) => {
            group::signal(child.id(), Signal::KILL);
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Waits for the end of the process, or for the heartbeat; whether it has ended.
fn wait(end: &OwnedFd, heartbeat: Option<Duration>) -> bool {
    let until = heartbeat.map(|heartbeat| Instant::now() + heartbeat);
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut [PollFd::new(end, PollFlags::IN)], timeout.as_ref()) {
            Ok(ready) => return ready > 0,
            Err(Errno::INTR) => {}
            // A signal ends it, or its end is waited for.
            Err(_) => return true,
        }
    }
}

/// Ends what the command left behind.
fn end_group(pid: u32, mark: &str) {
    group::signal(pid, Signal::TERM);
    let until = Instant::now() + LEFT_BEHIND;
    while !group::marked(MARK, mark).is_empty() && Instant::now() < until {
        thread::sleep(LOOK);
    }
    group::signal(pid, Signal::KILL);
    group::sweep_all(MARK, mark);
}

/// The exit code as a shell tells it.
fn rc(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(crate::UNKNOWN_RC)
}

fn ended(run: &Run, rc: i32) -> JobState {
    match rc {
        _ if run.stop_file().exists() => JobState::Stopped(rc),
        0 => JobState::Done,
        rc => JobState::Failed(rc),
    }
}

fn tell(run: &Run, state: JobState) -> Result<(), JobError> {
    let _lock = run.folder.lock(&run.job)?;
    run.tell(state, None)
}
