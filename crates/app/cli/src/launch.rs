//! One process that starts the ranks of a job on this host and watches over them.
//!
//! A rank is this program with the same arguments and the variables that say which rank it is. The launcher reads each
//! rank's result or error from its stdout as JSON; rank 0 speaks to people through the stderr they share, the others' last
//! lines are kept for the case that one dies. When a rank ends badly the others have a moment to end by themselves, since
//! their control connections tell them; then their process groups are killed. Ranks die with the launcher, whatever kills
//! it: each asks the system for that when it starts.

use crate::environment;
use crate::outcome::Failure;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wootz_mesh::Place;
use wootz_schema::ExitCode;

/// How long ranks have to end by themselves when one has ended badly.
const GRACE: Duration = Duration::from_secs(15);
/// Between two looks at the ranks.
const PAUSE: Duration = Duration::from_millis(20);
/// Lines of a dead rank's stderr that are shown.
const LAST_LINES: usize = 12;

/// Runs this command line as `ranks` processes and returns rank 0's result.
pub fn ranks(ranks: usize, cancel: &AtomicBool) -> Result<Value, Failure> {
    let mut job = Job { ranks: Vec::with_capacity(ranks) };
    let port = free_port().map_err(|error| trouble("find a free port", &error))?;
    for rank in 0..ranks {
        let place = Place { rank, size: ranks, local_rank: rank, host: "127.0.0.1".to_owned(), port };
        job.ranks.push(start(&place).map_err(|error| trouble(&format!("start rank {rank}"), &error))?);
    }
    job.watch(cancel);
    job.verdict()
}

struct Job {
    ranks: Vec<Rank>,
}

struct Rank {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<VecDeque<String>>>,
    ended: Option<ExitStatus>,
    /// Whether it was killed from here.
    killed: bool,
}

fn start(place: &Place) -> std::io::Result<Rank> {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--json") {
        arguments.push("--json".into());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).envs(place.variables()).process_group(0);
    command.env(environment::LAUNCHER.name, std::process::id().to_string());
    let (multicast, off) = wootz_stations::MULTICAST_OFF;
    command.env(multicast, off);
    if environment::THREADS.get().is_none() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        command.env(environment::THREADS.name, (cores / place.size).max(1).to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(if place.rank == 0 { Stdio::inherit() } else { Stdio::piped() });
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().map(|mut pipe| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before a pipe broke is all there is.
            let _ = pipe.read_to_end(&mut bytes);
            bytes
        })
    });
    let stderr = child.stderr.take().map(|pipe| std::thread::spawn(move || last_lines(pipe)));
    Ok(Rank { child, stdout, stderr, ended: None, killed: false })
}

fn last_lines(pipe: impl Read) -> VecDeque<String> {
    let mut lines = VecDeque::new();
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).into_owned());
    }
    lines
}

impl Job {
    /// Returns when every rank has ended.
    fn watch(&mut self, cancel: &AtomicBool) {
        let (mut told, mut deadline) = (false, None);
        while self.ranks.iter().any(|rank| rank.ended.is_none()) {
            for rank in self.ranks.iter_mut().filter(|rank| rank.ended.is_none()) {
                rank.ended = rank.child.try_wait().ok().flatten();
            }
            if self.ranks.iter().any(|rank| rank.ended.is_some_and(|status| !status.success())) {
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                self.kill();
            }
            // Ranks agree on the step to stop at, so one would do; all are told, in case that one is gone.
            if cancel.load(Ordering::Relaxed) && !told {
                self.ranks.iter().for_each(|rank| rank.signal(Signal::TERM));
                told = true;
            }
            std::thread::sleep(PAUSE);
        }
    }
    fn kill(&mut self) {
        for rank in self.ranks.iter_mut().filter(|rank| rank.ended.is_none() && !rank.killed) {
            rank.signal(Signal::KILL);
            rank.killed = true;
        }
    }
    /// Rank 0's result, or the failure that all others come of.
    fn verdict(mut self) -> Result<Value, Failure> {
        let ends: Vec<End> = self.ranks.iter_mut().map(Rank::end).collect();
        let causes = [
            ends.iter().position(End::is_death),
            ends.iter().position(|end| end.error().is_some_and(|error| !error.follows())),
            ends.iter().position(|end| end.error().is_some()),
            ends.iter().position(|end| matches!(end, End::Killed)),
        ];
        let Some(rank) = causes.into_iter().flatten().next() else {
            return match ends.into_iter().next() {
                Some(End::Result(result)) => Ok(result),
                _ => Err(Failure::bug()),
            };
        };
        // What several ranks find by themselves is no fault of one.
        let errors: Vec<&Error> =
            ends.iter().filter_map(End::error).filter(|error| !error.follows()).collect();
        let all_say = errors.len() > 1 && errors.iter().all(|error| error.message == errors[0].message);
        Err(ends[rank].failure(rank, all_say))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Rank {
    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // A rank that is gone already is what is wanted, or is seen at the next look.
            let _ = kill_process_group(group, signal);
        }
    }
    /// How it ended. A grandchild that holds its pipes open would be waited for: there are none.
    fn end(&mut self) -> End {
        let stdout = self.stdout.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let stderr = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let said: Value = serde_json::from_slice(&stdout).unwrap_or_default();
        let status = self.ended.unwrap_or_default();
        match (status.signal(), said.get("error")) {
            (Some(_), _) if self.killed => End::Killed,
            (Some(signal), _) => End::Died { how: signal_words(signal), lines: stderr.into() },
            (None, Some(error)) => End::Failed(Error::read(error)),
            (None, None) if status.success() => End::Result(said),
            (None, None) => {
                let how = format!("ended with exit code {}", status.code().unwrap_or_default());
                End::Died { how, lines: stderr.into() }
            }
        }
    }
}

enum End {
    Result(Value),
    Failed(Error),
    /// It ended without a word.
    Died {
        how: String,
        lines: Vec<String>,
    },
    /// From here, when its time was over.
    Killed,
}

/// What a rank says of its failure.
struct Error {
    message: String,
    causes: Vec<String>,
    hint: Option<String>,
    exit: ExitCode,
}

impl Error {
    fn read(error: &Value) -> Error {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = text(&error["message"]);
        let code = error["exit"].as_u64().unwrap_or(1);
        let codes = [ExitCode::Usage, ExitCode::Environment, ExitCode::Bug];
        Error {
            message: message.strip_prefix("failed to ").unwrap_or(&message).to_owned(),
            causes: error["causes"].as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default(),
            hint: error["hint"].as_str().map(str::to_owned),
            exit: codes.into_iter().find(|known| *known as u64 == code).unwrap_or(ExitCode::Failed),
        }
    }
    /// Whether it only follows from another rank's end.
    fn follows(&self) -> bool {
        self.message.starts_with(wootz_mesh::PEER)
    }
}

impl End {
    fn is_death(&self) -> bool {
        matches!(self, End::Died { .. })
    }
    fn error(&self) -> Option<&Error> {
        match self {
            End::Failed(error) => Some(error),
            _ => None,
        }
    }
    fn failure(&self, rank: usize, all_say: bool) -> Failure {
        match self {
            End::Failed(error) => Failure {
                message: match all_say || error.follows() {
                    true => error.message.clone(),
                    false => format!("go on: rank {rank} failed to {}", error.message),
                },
                causes: error.causes.clone(),
                hint: error.hint.clone(),
                exit: error.exit,
            },
            End::Died { how, lines } => Failure {
                message: format!("go on: rank {rank} {how}"),
                causes: lines.clone(),
                hint: Some(
                    "run the same command again: it goes on from the last whole checkpoint".to_owned(),
                ),
                exit: ExitCode::Failed,
            },
            End::Killed | End::Result(_) => Failure {
                message: format!("go on: rank {rank} did not end when it should"),
                causes: Vec::new(),
                hint: None,
                exit: ExitCode::Bug,
            },
        }
    }
}

fn signal_words(signal: i32) -> String {
    let name = [
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::TERM, "SIGTERM"),
    ]
    .into_iter()
    .find(|(known, _)| known.as_raw() == signal)
    .map(|(_, name)| format!(" ({name})"));
    format!("was killed by signal {signal}{}", name.unwrap_or_default())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn trouble(what: &str, error: &std::io::Error) -> Failure {
    let exit = ExitCode::Environment;
    Failure { message: format!("{what}: {error}"), causes: Vec::new(), hint: None, exit }
}
