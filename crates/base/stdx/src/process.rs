//! A process run to its end under limits: input and output in memory, a wall for time and for output.
//!
//! The process leads a group of its own, so that what it starts (a compiler's driver starts the compiler) ends with
//! it. Output above the wall is read and thrown away: the process never waits for a full pipe.
//!
//! Not covered: limits of memory or processor time, and processes that leave their group.

use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long and how loud a process may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// It is killed after this time.
    pub time: Duration,
    /// Bytes kept of each of its two outputs.
    pub output_bytes: usize,
}

/// What became of a process.
#[derive(Debug)]
pub struct Finished {
    /// How it ended; a killed one by signal.
    pub status: ExitStatus,
    /// The first bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The first bytes of its standard error.
    pub stderr: Vec<u8>,
    /// Why it was killed, if it was.
    pub killed: Option<Killed>,
}

/// Why a process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// It ran past its time.
    Time,
    /// The caller asked to stop.
    Cancelled,
}

/// How often the caller's flag is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// Runs a command with `input` on its standard input until it ends, or until it has to.
///
/// An error means that it could not be started; whatever it does afterwards is in [`Finished`].
pub fn run(command: &mut Command, input: &[u8], limits: Limits, cancel: &AtomicBool) -> io::Result<Finished> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + limits.time;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (sender, receiver) = channel();
    let (outputs, killed) = thread::scope(|scope| {
        scope.spawn(move || {
            // A process that reads no input ends the pipe; its verdict counts, not this.
            stdin.map(|mut pipe| pipe.write_all(input))
        });
        let stdout = scope.spawn({
            let sender = sender.clone();
            move || read(stdout, limits.output_bytes, &sender)
        });
        let stderr = scope.spawn(move || read(stderr, limits.output_bytes, &sender));
        let killed = watch(&child, &receiver, deadline, cancel);
        ([stdout, stderr].map(|reader| reader.join().unwrap_or_default()), killed)
    });
    // It may have closed its outputs and live on.
    let killed = killed.or_else(|| outlives(&mut child, deadline, cancel));
    let status = child.wait()?;
    let [stdout, stderr] = outputs;
    Ok(Finished { status, stdout, stderr, killed })
}

/// The first `limit` bytes; the rest is read too, so that the writer does not wait.
fn read(pipe: Option<impl Read>, limit: usize, done: &Sender<()>) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8 << 10];
    if let Some(mut pipe) = pipe {
        loop {
            match pipe.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => kept.extend_from_slice(&buffer[..count.min(limit - kept.len())]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
    }
    // The receiver is there until both readers are.
    let _ = done.send(());
    kept
}

/// Waits until both outputs are closed, and sees to it that they will be.
fn watch(child: &Child, closed: &Receiver<()>, deadline: Instant, cancel: &AtomicBool) -> Option<Killed> {
    let mut open = 2;
    while open > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        match closed.recv_timeout(left.min(GLANCE)) {
            Ok(()) => open -= 1,
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if let Some(reason) = reason(deadline, cancel) {
                    kill(child);
                    return Some(reason);
                }
            }
        }
    }
    None
}

fn outlives(child: &mut Child, deadline: Instant, cancel: &AtomicBool) -> Option<Killed> {
    let mut pause = Duration::from_micros(200);
    while matches!(child.try_wait(), Ok(None)) {
        if let Some(reason) = reason(deadline, cancel) {
            kill(child);
            return Some(reason);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(GLANCE);
    }
    None
}

fn reason(deadline: Instant, cancel: &AtomicBool) -> Option<Killed> {
    if cancel.load(Ordering::Relaxed) {
        Some(Killed::Cancelled)
    } else {
        (Instant::now() >= deadline).then_some(Killed::Time)
    }
}

fn kill(child: &Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It fails only for a group that has ended, which is what is wanted.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], seconds: f64) -> Finished {
        let limits = Limits { time: Duration::from_secs_f64(seconds), output_bytes: 1000 };
        run(Command::new("sh").args(["-c", script]), input, limits, &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn output_beyond_the_wall_is_dropped_and_does_not_block() {
        let input = vec![b'x'; 1 << 20];
        let finished = shell("cat; cat <&0 >&2; exit 3", &input, 20.0);
        assert_eq!((finished.status.code(), finished.killed), (Some(3), None));
        assert_eq!((finished.stdout.len(), finished.stderr.len()), (1000, 0));
    }

    #[test]
    fn input_that_nobody_reads_is_no_error() {
        assert!(shell("exit 0", &vec![b'x'; 1 << 20], 20.0).status.success());
    }

    #[test]
    fn what_a_process_started_ends_with_it() {
        let start = Instant::now();
        for script in ["sleep 60 & sleep 60", "exec >/dev/null 2>&1; sleep 60 & sleep 60"] {
            let finished = shell(script, b"", 0.3);
            assert_eq!((finished.killed, finished.status.code()), (Some(Killed::Time), None));
        }
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_flag_stops_it() {
        let limits = Limits { time: Duration::from_secs(60), output_bytes: 10 };
        let finished = run(Command::new("sleep").arg("60"), b"", limits, &AtomicBool::new(true)).unwrap();
        assert_eq!(finished.killed, Some(Killed::Cancelled));
    }
}
