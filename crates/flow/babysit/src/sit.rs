//! The loop: look, decide, write down, do. What is to be done stands on the disk before it is done, so that a babysitter that is killed goes
//! on where it was, and looks before it starts anything.

use crate::checkpoint::newest_whole;
use crate::machine::{Action, Event, Sight, next};
use crate::profile::Profile;
use crate::provider::Provider;
use jiff::Timestamp;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wootz_schema::babysit::{Phase, VERSION, Watch, WatchLine};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::file::write_atomic;

/// Why a babysitter cannot sit.
#[derive(Debug, thiserror::Error)]
pub enum BabysitError {
    /// Another one does.
    #[error("watch over {profile}: another babysitter does")]
    Taken {
        /// Name of the profile.
        profile: String,
    },
    /// Its state is none.
    #[error("read the state {}: {what}", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The system said no.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnose for BabysitError {
    fn exit(&self) -> ExitCode {
        match self {
            BabysitError::Taken { .. } => ExitCode::Failed,
            BabysitError::State { .. } => ExitCode::Usage,
            BabysitError::Io { source, .. } => exit_of_io(source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            BabysitError::Taken { .. } => Some("stop that one first".to_owned()),
            BabysitError::State { .. } => Some("move it away to begin with a look at the machine".to_owned()),
            BabysitError::Io { source, .. } => hint_of_io(source),
        }
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BabysitError {
    move |source| BabysitError::Io { what, path: path.to_owned(), source }
}

/// The one babysitter of a profile, on this computer.
#[derive(Debug)]
pub struct Sitter {
    /// What is known.
    pub watch: Watch,
    path: PathBuf,
    log: PathBuf,
    failures_most: u32,
    ranks: u32,
    last_step: Option<u64>,
    _lock: Option<File>,
}

impl Sitter {
    /// Takes up what an earlier one left in `folder`, or begins.
    pub fn open(folder: &Path, profile: &Profile) -> Result<Sitter, BabysitError> {
        fs::create_dir_all(folder).map_err(io_error("make", folder))?;
        let lock_path = folder.join(format!("{}.lock", profile.name));
        let opened = File::options().create(true).append(true).open(&lock_path);
        let lock = opened.map_err(io_error("write", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(BabysitError::Taken { profile: profile.name.clone() });
            }
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        Ok(Sitter { _lock: Some(lock), ..Sitter::rehearsal(folder, profile)? })
    }

    /// One that knows what is known, and writes nothing: for [`Sitter::rehearse`].
    pub fn rehearsal(folder: &Path, profile: &Profile) -> Result<Sitter, BabysitError> {
        let path = folder.join(format!("{}.state.json", profile.name));
        let watch = match fs::read(&path) {
            Ok(bytes) => known(&bytes, &profile.name)
                .map_err(|what| BabysitError::State { path: path.clone(), what })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Watch::new(&profile.name),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        Ok(Sitter {
            watch,
            path,
            log: folder.join(format!("{}.log.jsonl", profile.name)),
            failures_most: profile.failures_most,
            ranks: profile.training.optimizer_ranks,
            last_step: profile.training.last_step,
            _lock: None,
        })
    }

    /// The file with what is known.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Looks once, and does what follows; the lines that it logged. Ends where one has to wait.
    pub fn round(&mut self, provider: &mut dyn Provider) -> Result<(Vec<WatchLine>, Action), BabysitError> {
        let mut lines = Vec::new();
        if matches!(self.watch.phase, Phase::Finished | Phase::GaveUp) {
            return Ok((lines, Action::End));
        }
        let mut event = Event::Seen(provider.look());
        loop {
            let (watch, action) = next(&self.watch, &event, self.failures_most);
            self.watch = watch;
            lines.push(self.note(&event, action)?);
            event = match action {
                Action::Wait | Action::End => return Ok((lines, action)),
                Action::Ask => self.ask(provider),
                Action::Remove => done(provider.remove()),
                Action::Create => done(provider.create()),
                Action::Launch { from } => done(provider.launch(from)),
            };
        }
    }

    /// Looks, and says what would follow; nothing is done or written.
    pub fn rehearse(&self, provider: &mut dyn Provider) -> Vec<(Event, Action)> {
        let event = Event::Seen(provider.look());
        let (watch, action) = next(&self.watch, &event, self.failures_most);
        let mut steps = vec![(event, action)];
        if action == Action::Ask {
            let event = self.ask(provider);
            let (_, action) = next(&watch, &event, self.failures_most);
            steps.push((event, action));
        }
        steps
    }

    fn ask(&self, provider: &mut dyn Provider) -> Event {
        match provider.checkpoints() {
            Err(trouble) => Event::AskedInVain(trouble.0),
            Ok(names) => match newest_whole(names.iter().map(String::as_str), self.ranks) {
                // A machine that was taken away at the very end has forgotten that the run was.
                Some(step) if self.last_step.is_some_and(|last| step >= last) => Event::Seen(Sight::Finished),
                newest => Event::Newest(newest),
            },
        }
    }

    /// Puts the state on the disk, then a line in the log.
    fn note(&self, event: &Event, action: Action) -> Result<WatchLine, BabysitError> {
        let mut state = serde_json::to_vec(&self.watch).expect("a state has text keys only");
        state.push(b'\n');
        write_atomic(&self.path, &state).map_err(io_error("write", &self.path))?;
        let line = WatchLine {
            ts: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            profile: self.watch.profile.clone(),
            saw: event.to_string(),
            phase: self.watch.phase,
            action: action.to_string(),
            failures: self.watch.failures.max(self.watch.crashes),
        };
        let mut text = serde_json::to_vec(&line).expect("a line has text keys only");
        text.push(b'\n');
        let opened = File::options().create(true).append(true).open(&self.log);
        opened.and_then(|mut log| log.write_all(&text)).map_err(io_error("write", &self.log))?;
        Ok(line)
    }
}

fn known(bytes: &[u8], profile: &str) -> Result<Watch, String> {
    let watch: Watch = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if watch.version != VERSION {
        return Err(format!("its version is {}, and {VERSION} is known", watch.version));
    }
    if watch.profile != profile {
        return Err(format!("it is of the profile {}", watch.profile));
    }
    Ok(watch)
}

fn done(result: Result<(), crate::Trouble>) -> Event {
    match result {
        Ok(()) => Event::Done,
        Err(trouble) => Event::Failed(trouble.0),
    }
}
