//! The keeper: one thread that waits for orders, for what processes say, and for their ends.
//!
//! ```text
//! a process is   on                        then
//! running        its end                   its group is asked to end; ending
//!                Stop                      its group is asked to end, and forced after the grace
//! ending         both outputs closed       its group is forced to end; over, told
//!                a second                  its group and whoever carries its mark are forced to end
//!                another second            its outputs are not waited for; over, told
//! ```
//!
//! The leader of a group is not waited for (`waitpid`) before the group got its last signal: until then nobody else can have its number.

use crate::group::{self, MARK};
use crate::journal::Journal;
use crate::lines::Lines;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open, setrlimit, setsid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wootz_schema::task::{Order, Task, TaskEvent};

/// How long what is left of a group may take to end by itself.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// How much is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// How often a journal that could not be written is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Serves orders from `orders` until they end and every process has ended. The journal is a new file.
pub fn keep(journal: &Path, orders: impl Read + AsFd, answers: impl Write) -> io::Result<()> {
    // Without a terminal nothing that is typed there reaches the processes. Fails where the caller made it a leader already.
    let _ = setsid();
    raise_files();
    let keeper = Keeper {
        journal: Journal::create(journal)?,
        orders: Some(orders),
        heard: Vec::new(),
        answers,
        told: Vec::new(),
        running: Vec::new(),
        buffer: vec![0; PIECE_BYTES],
    };
    keeper.serve()
}

/// Three files are open for each process.
fn raise_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

struct Keeper<Orders, Answers> {
    journal: Journal,
    /// `None` when they have ended.
    orders: Option<Orders>,
    /// The beginning of an order.
    heard: Vec<u8>,
    answers: Answers,
    /// Answers that are given when the journal has them.
    told: Vec<u8>,
    running: Vec<Running>,
    buffer: Vec<u8>,
}

/// What woke the keeper.
#[derive(Clone, Copy)]
enum Source {
    Orders,
    End(usize),
    Output(usize, usize),
}

impl<Orders: Read + AsFd, Answers: Write> Keeper<Orders, Answers> {
    fn serve(mut self) -> io::Result<()> {
        let mut flushed = Ok(());
        while self.orders.is_some() || !self.running.is_empty() || flushed.is_err() {
            let woken = self.wait(flushed.is_err())?;
            for source in woken {
                match source {
                    Source::Orders => self.hear(),
                    Source::End(at) => self.running[at].begin_to_end(),
                    Source::Output(at, stream) => self.running[at].read(stream, &mut self.buffer),
                }
            }
            self.running.iter_mut().for_each(Running::force);
            self.settle();
            flushed = self.journal.flush();
            // The engine is told in any case: what it makes of an end it puts on the disk itself.
            let _ = self.answers.write_all(&self.told).and_then(|()| self.answers.flush());
            self.told.clear();
        }
        Ok(())
    }

    /// Waits until something is to be done.
    fn wait(&self, is_behind: bool) -> io::Result<Vec<Source>> {
        let mut sources = Vec::new();
        if let Some(orders) = &self.orders {
            sources.push((Source::Orders, orders.as_fd()));
        }
        for (at, running) in self.running.iter().enumerate() {
            if !running.has_ended {
                sources.push((Source::End(at), running.end.as_fd()));
            }
            for (stream, output) in running.outputs.iter().enumerate() {
                sources.extend(output.pipe.iter().map(|pipe| (Source::Output(at, stream), pipe.as_fd())));
            }
        }
        let fds = sources.iter().map(|(_, fd)| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = fds.collect();
        let next = self.running.iter().filter_map(|running| running.force_at).min();
        let left = next.map(|at| at.saturating_duration_since(Instant::now()));
        let left = if is_behind { Some(left.map_or(AGAIN, |left| left.min(AGAIN))) } else { left };
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let woken = fds.iter().zip(&sources).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(woken.map(|(_, (source, _))| *source).collect())
    }

    /// Reads orders; at their end it says so in the journal.
    fn hear(&mut self) {
        let read = match self.orders.as_mut().map(|orders| orders.read(&mut self.buffer)) {
            Some(Ok(read)) => read,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => return,
            _ => 0,
        };
        if read == 0 {
            self.orders = None;
            self.journal.add(&TaskEvent::Closed);
            return;
        }
        self.heard.extend_from_slice(&self.buffer[..read]);
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            // Half an order is what an engine leaves that dies while it writes; it counts on nothing yet.
            if let Ok(order) = serde_json::from_slice(&line) {
                self.obey(order);
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Run(task) => match Running::start(&task) {
                Ok(running) => {
                    self.journal.add(&TaskEvent::Spawned {
                        task: running.task.clone(),
                        pid: running.child.id(),
                        at_ms: SystemTime::now()
                            .duration_since(UNIX_EPOCH)
                            .map_or(0, |time| time.as_millis() as u64),
                    });
                    self.running.push(running);
                }
                Err((error, is_missing)) => {
                    self.tell(&TaskEvent::Refused { task: task.label.task(), error, is_missing });
                }
            },
            Order::Stop { task, grace_ms } => {
                let found = self.running.iter_mut().find(|running| running.task == task);
                found.into_iter().for_each(|running| running.stop(Duration::from_millis(grace_ms)));
            }
        }
    }

    /// Tells of the processes that are over.
    fn settle(&mut self) {
        let is_over = |running: &mut Running| {
            running.has_ended && running.outputs.iter().all(|output| output.pipe.is_none())
        };
        let over: Vec<Running> = self.running.extract_if(.., is_over).collect();
        for running in over {
            let event = running.finish();
            self.tell(&event);
        }
    }

    fn tell(&mut self, event: &TaskEvent) {
        self.journal.add(event);
        serde_json::to_writer(&mut self.told, event).expect("an event has text keys and finite figures only");
        self.told.push(b'\n');
    }
}

/// A process and its group.
struct Running {
    task: String,
    mark: String,
    child: Child,
    begun: Instant,
    /// Readable when the process has ended.
    end: OwnedFd,
    has_ended: bool,
    /// When it, or what it left behind, is forced to end.
    force_at: Option<Instant>,
    /// How often that was done since it ended.
    forced: u32,
    is_stopped: bool,
    outputs: [Output; 2],
    structured: File,
    lost_output: Option<String>,
}

/// One of the outputs of a process.
struct Output {
    pipe: Option<Pipe>,
    file: File,
    lines: Lines,
}

enum Pipe {
    Stdout(ChildStdout),
    Stderr(ChildStderr),
}

impl Pipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Pipe::Stdout(pipe) => pipe.as_fd(),
            Pipe::Stderr(pipe) => pipe.as_fd(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Pipe::Stdout(pipe) => pipe.read(buffer),
            Pipe::Stderr(pipe) => pipe.read(buffer),
        }
    }
}

impl Running {
    /// Starts it; else what the system said, and whether it is the program that is missing.
    fn start(task: &Task) -> Result<Running, (String, bool)> {
        let failed = |what: &str, error: &io::Error| (format!("{what}: {error}"), false);
        let log = |path: &String| {
            let path = Path::new(path);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            let opened = made.and_then(|()| OpenOptions::new().append(true).create(true).open(path));
            opened.map_err(|error| failed(&format!("write the log {}", path.display()), &error))
        };
        let (stdout, stderr) = (log(&task.logs.stdout)?, log(&task.logs.stderr)?);
        let structured = log(&task.logs.structured)?;
        let Some((program, arguments)) = task.argv.split_first() else {
            return Err(("no program is named".to_owned(), false));
        };
        let mark = task.label.mark();
        let mut command = Command::new(program);
        command.args(arguments).envs(&task.env).env(MARK, &mark).current_dir(&task.folder).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| match fs::metadata(&task.folder) {
            Err(error) => failed(&format!("use the folder {}", task.folder), &error),
            Ok(_) => (error.to_string(), error.kind() == io::ErrorKind::NotFound),
        })?;
        let end = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
        let end = end.and_then(|pid| pidfd_open(pid, PidfdFlags::empty())).map_err(|error| {
            group::signal(child.id(), Signal::KILL);
            let _ = child.wait();
            failed("watch the process", &error.into())
        })?;
        let outputs = [
            (child.stdout.take().map(Pipe::Stdout), stdout, "stdout"),
            (child.stderr.take().map(Pipe::Stderr), stderr, "stderr"),
        ];
        Ok(Running {
            task: task.label.task(),
            mark,
            child,
            begun: Instant::now(),
            end,
            has_ended: false,
            force_at: None,
            forced: 0,
            is_stopped: false,
            outputs: outputs.map(|(pipe, file, name)| Output {
                pipe,
                file,
                lines: Lines::new(&task.label, name),
            }),
            structured,
            lost_output: None,
        })
    }

    fn stop(&mut self, grace: Duration) {
        self.is_stopped = true;
        group::signal(self.child.id(), Signal::TERM);
        if !self.has_ended {
            self.force_at = Some(Instant::now() + grace);
        }
    }

    fn begin_to_end(&mut self) {
        self.has_ended = true;
        group::signal(self.child.id(), Signal::TERM);
        self.force_at = Some(Instant::now() + LEFT_BEHIND);
    }

    /// Forces what had its time.
    fn force(&mut self) {
        if self.force_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        group::signal(self.child.id(), Signal::KILL);
        group::sweep(&self.mark);
        self.force_at = self.has_ended.then(|| Instant::now() + LEFT_BEHIND);
        self.forced += u32::from(self.has_ended);
        if self.forced > 1 {
            // Whoever holds the outputs now is none of the attempt's.
            self.outputs.iter_mut().for_each(|output| output.pipe = None);
        }
    }

    /// Takes what an output has to say.
    fn read(&mut self, stream: usize, buffer: &mut [u8]) {
        let output = &mut self.outputs[stream];
        let Some(pipe) = &mut output.pipe else { return };
        let read = match pipe.read(buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(_) => 0,
        };
        let now = jiff::Timestamp::now().to_string();
        let mut lines = Vec::new();
        if read == 0 {
            output.pipe = None;
            output.lines.end(&now, &mut lines);
        } else {
            output.lines.take(&buffer[..read], &now, &mut lines);
        }
        let written = output.file.write_all(&buffer[..read]).and_then(|()| self.structured.write_all(&lines));
        if let Err(error) = written {
            // The process is not made to wait for a disk; that its log is not whole is told with its end.
            self.lost_output.get_or_insert_with(|| error.to_string());
        }
    }

    /// Ends what is left of the group, and tells how its leader ended.
    fn finish(mut self) -> TaskEvent {
        group::signal(self.child.id(), Signal::KILL);
        if self.is_stopped {
            group::sweep(&self.mark);
        }
        let seconds = self.begun.elapsed().as_secs_f64();
        let status = self.child.wait().ok();
        TaskEvent::Exited {
            task: self.task,
            code: status.and_then(|status| status.code()),
            signal: status.and_then(|status| status.signal()),
            seconds,
            lost_output: self.lost_output,
        }
    }
}
