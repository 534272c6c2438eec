//! The launcher of this machine: gives tasks to a keeper, and goes on with those that an earlier engine gave to one.

use crate::group;
use crate::journal::{self, Past};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use wootz_pipeline::{Ended, Launcher, StepError};
use wootz_schema::task::{Order, Task, TaskEvent};

/// How often the caller's flag is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How often the journal of another engine's keeper is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Processes of one run on this machine.
pub struct Local {
    folder: PathBuf,
    command: Vec<OsString>,
    past: Mutex<BTreeMap<String, Fate>>,
    keeper: Mutex<Option<Keeper>>,
}

/// What a journal says of a task of an earlier engine.
#[derive(Debug, Clone)]
enum Fate {
    /// This is how it ended.
    Over(TaskEvent),
    /// It goes on; its process, and the journal in which its end will stand.
    GoesOn { pid: u32, journal: PathBuf },
    /// Its keeper was killed, and with it what was known of it.
    Lost,
}

struct Keeper {
    process: Child,
    orders: ChildStdin,
    waiting: Waiting,
}

/// Who waits for the end of which task; `None` once the keeper has gone.
type Waiting = Arc<Mutex<Option<BTreeMap<String, Sender<TaskEvent>>>>>;

impl Local {
    /// The launcher of a run whose keepers have their journals in `folder`. `command` starts a keeper when the path of a journal is added
    /// to it. What earlier engines of the run left is looked at: nobody else may work on the run.
    pub fn open(folder: &Path, command: Vec<OsString>, run: &str) -> io::Result<Local> {
        let mut past = BTreeMap::new();
        for path in journal::paths(folder)? {
            read_past(&path, run, &mut past)?;
        }
        Ok(Local { folder: folder.to_owned(), command, past: Mutex::new(past), keeper: Mutex::new(None) })
    }

    /// Gives a task to the keeper.
    fn order(&self, task: &Task) -> io::Result<(Receiver<TaskEvent>, Waiting)> {
        let mut keeper = lock(&self.keeper);
        if keeper.as_ref().is_none_or(|keeper| lock(&keeper.waiting).is_none()) {
            *keeper = Some(self.start()?);
        }
        let keeper = keeper.as_mut().expect("it was started above");
        let (sender, receiver) = channel();
        if let Some(waiting) = lock(&keeper.waiting).as_mut() {
            waiting.insert(task.label.task(), sender);
        }
        send(&mut keeper.orders, &Order::Run(Box::new(task.clone())))?;
        Ok((receiver, Arc::clone(&keeper.waiting)))
    }

    fn start(&self) -> io::Result<Keeper> {
        fs::create_dir_all(&self.folder)?;
        let journal = journal::next_path(&self.folder)?;
        let (program, arguments) = self.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(journal)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = command.spawn()?;
        let (orders, answers) = (process.stdin.take(), process.stdout.take());
        let (orders, answers) = orders.zip(answers).ok_or(io::ErrorKind::BrokenPipe)?;
        let waiting: Waiting = Arc::new(Mutex::new(Some(BTreeMap::new())));
        let listener = Arc::clone(&waiting);
        thread::spawn(move || {
            for line in BufReader::new(answers).split(b'\n') {
                let Ok(event) = line.and_then(|line| Ok(serde_json::from_slice::<TaskEvent>(&line)?)) else {
                    break;
                };
                let task = match &event {
                    TaskEvent::Exited { task, .. } | TaskEvent::Refused { task, .. } => task,
                    TaskEvent::Spawned { .. } | TaskEvent::Closed => continue,
                };
                let asked = lock(&listener).as_mut().and_then(|waiting| waiting.remove(task));
                // Who no longer waits finds it in the journal.
                asked.map(|asked| asked.send(event));
            }
            *lock(&listener) = None;
        });
        Ok(Keeper { process, orders, waiting })
    }

    /// Waits for the end of a task that was given to this engine's keeper; `None`: the keeper has gone.
    fn wait(
        &self,
        name: &str,
        ends: &Receiver<TaskEvent>,
        cancel: &AtomicBool,
        grace: Duration,
    ) -> Option<TaskEvent> {
        let mut is_stopped = false;
        loop {
            match ends.recv_timeout(GLANCE) {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if !is_stopped && cancel.load(Ordering::Relaxed) => {
                    is_stopped = true;
                    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                    let stop = Order::Stop { task: name.to_owned(), grace_ms };
                    // A keeper that does not hear has gone, which the next look tells.
                    lock(&self.keeper).as_mut().map(|keeper| send(&mut keeper.orders, &stop));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Launcher for Local {
    fn survives(&self, task: &str) -> bool {
        !matches!(lock(&self.past).get(task), Some(Fate::Lost))
    }

    fn run(&self, task: &Task, cancel: &AtomicBool, grace: Duration) -> Result<Ended, StepError> {
        let name = task.label.task();
        let fate = lock(&self.past).get(&name).cloned();
        let event = match fate {
            Some(Fate::Over(event)) => Some(event),
            Some(Fate::GoesOn { pid, journal }) => {
                let stop = Stop { pid, mark: task.label.mark(), grace, cancel };
                follow(&journal, &name, &stop).map_err(|error| failed(&self.folder, &error))?
            }
            Some(Fate::Lost) => None,
            None => {
                let (ends, _waiting) = self.order(task).map_err(|error| failed(&self.folder, &error))?;
                self.wait(&name, &ends, cancel, grace)
            }
        };
        match event {
            Some(TaskEvent::Exited { code, signal, seconds, lost_output, .. }) => {
                Ok(Ended { code, signal, seconds, lost_output })
            }
            Some(TaskEvent::Refused { error, is_missing, .. }) => {
                let program = task.argv.first().map_or("", String::as_str);
                let refused = StepError::environment(format!("start {program}: {error}"));
                Err(match is_missing {
                    true => refused.with_hint(format!("install `{program}`, or name it by its path")),
                    false => refused,
                })
            }
            _ => {
                // What is left of it must not work beside the next attempt.
                group::sweep(&task.label.mark());
                Err(StepError::failed("the keeper of its process was killed, and the process with it")
                    .retryable())
            }
        }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let Some(Keeper { mut process, orders, waiting }) = lock(&self.keeper).take() {
            drop(orders);
            if lock(&waiting).as_ref().is_none_or(BTreeMap::is_empty) {
                // It has nothing left to do.
                let _ = process.wait();
            }
        }
    }
}

fn failed(folder: &Path, error: &io::Error) -> StepError {
    StepError::environment(format!("keep processes by {}: {error}", folder.display())).retryable()
}

fn send(orders: &mut ChildStdin, order: &Order) -> io::Result<()> {
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    orders.write_all(&line)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the journal of an earlier engine's keeper. One that lives has lost its engine and closes soon.
fn read_past(path: &Path, run: &str, past: &mut BTreeMap<String, Fate>) -> io::Result<()> {
    let mut journal = Past::open(path)?;
    let mut is_alive = journal.is_alive()?;
    let mut events = journal.news()?;
    while is_alive && !journal.is_closed {
        thread::sleep(LOOK);
        is_alive = journal.is_alive()?;
        events.extend(journal.news()?);
    }
    for event in events {
        match event {
            TaskEvent::Spawned { task, pid, .. } => {
                let fate = if is_alive { Fate::GoesOn { pid, journal: path.to_owned() } } else { Fate::Lost };
                past.insert(task, fate);
            }
            TaskEvent::Exited { ref task, .. } | TaskEvent::Refused { ref task, .. } => {
                past.insert(task.clone(), Fate::Over(event));
            }
            TaskEvent::Closed => {}
        }
    }
    let lost = past.iter().filter(|(_, fate)| matches!(fate, Fate::Lost));
    lost.for_each(|(task, _)| group::sweep(&format!("{run}/{task}")));
    Ok(())
}

/// How a task of another engine's keeper is stopped.
struct Stop<'a> {
    pid: u32,
    mark: String,
    grace: Duration,
    cancel: &'a AtomicBool,
}

/// Waits until the end of a task stands in the journal; `None`: its keeper has gone without a word.
fn follow(path: &Path, task: &str, stop: &Stop<'_>) -> io::Result<Option<TaskEvent>> {
    let mut journal = Past::open(path)?;
    let mut force_at = None;
    loop {
        // In this order: what a keeper wrote last it wrote before it went.
        let is_alive = journal.is_alive()?;
        let of_task = |event: &TaskEvent| match event {
            TaskEvent::Exited { task: told, .. } | TaskEvent::Refused { task: told, .. } => told == task,
            TaskEvent::Spawned { .. } | TaskEvent::Closed => false,
        };
        if let Some(event) = journal.news()?.into_iter().find(of_task) {
            return Ok(Some(event));
        }
        if !is_alive {
            return Ok(None);
        }
        if stop.cancel.load(Ordering::Relaxed) {
            match force_at {
                None => {
                    group::signal(stop.pid, Signal::TERM);
                    force_at = Some(Instant::now() + stop.grace);
                }
                Some(at) if at <= Instant::now() => {
                    group::signal(stop.pid, Signal::KILL);
                    group::sweep(&stop.mark);
                }
                Some(_) => {}
            }
        }
        thread::sleep(LOOK);
    }
}
