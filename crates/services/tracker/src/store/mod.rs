//! The folder `.ba`: `config.json`, and `issues.jsonl` with an issue a line, sorted by the bytes of their IDs.
//!
//! A change reads the file under the exclusive lock, is made in memory, and writes the whole file to a temporary one that takes its place; what
//! failed has written nothing. Lines that did not change are carried over as they are, without being parsed. Readers take the lock shared.
//! The truth is the file and nothing else: any program that keeps these rules can work on it in turn.
//!
//! Not covered: network file systems whose `flock` is not one.

mod config;
mod index;
mod insert;
mod issues;
mod lock;
mod records;
mod save;

pub use config::Config;
pub use issues::{Issues, Line};
pub use lock::LOCK_LIMIT;
pub(crate) use save::replace;

use crate::actions::{self, Draft};
use crate::events::{Change, Event, ahead};
use crate::ownership::Refused;
use crate::record::Record;
use crate::time::stored;
use crate::view::View;
use index::{Index, Stamp, Update};
use jiff::Timestamp;
use lock::{Lock, Mode};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wootz_schema::exit::hint_of_io;
use wootz_schema::{Diagnose, ExitCode};

/// The folder that is looked for from the working folder upwards.
pub const FOLDER: &str = ".ba";

/// A store that exists.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    lock_limit: Duration,
    indexed_from: u64,
}

impl Store {
    /// The store of a folder, or of the nearest folder above it.
    pub fn find(start: &Path) -> Option<Store> {
        start.ancestors().map(|folder| folder.join(FOLDER)).find(|folder| folder.is_dir()).map(Store::at)
    }

    /// The store in this folder, without looking whether it is there.
    pub fn at(folder: PathBuf) -> Store {
        Store { folder, lock_limit: LOCK_LIMIT, indexed_from: index::LEAST_BYTES }
    }

    /// The same store, whose lock is waited for no longer than this.
    pub fn waiting(self, lock_limit: Duration) -> Store {
        Store { lock_limit, ..self }
    }

    /// The same store, whose file has an index beside it when it is of at least this size.
    pub fn indexed_from(self, bytes: u64) -> Store {
        Store { indexed_from: bytes, ..self }
    }

    /// Makes a store; `project` is the path whose prefix its IDs get. One that a crash left half made is completed.
    pub fn create(folder: &Path, project: &str) -> Result<Config, TrackerError> {
        let config = Config { version: 1, prefix: crate::id::prefix(project) };
        let failed = |error| TrackerError::io("make the store", folder, error);
        let store = Store::at(folder.to_owned());
        match fs::create_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && store.is_complete() => {
                let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                return Err(TrackerError::Exists { folder });
            }
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        File::options().append(true).create(true).open(store.file()).map_err(failed)?;
        // With it the store is complete.
        config.write(folder)?;
        Ok(config)
    }

    /// Whether it has all that a store needs.
    pub fn is_complete(&self) -> bool {
        self.folder.join("config.json").exists()
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of issues.
    pub fn file(&self) -> PathBuf {
        self.folder.join("issues.jsonl")
    }

    /// What the store says of itself.
    pub fn config(&self) -> Result<Config, TrackerError> {
        Config::read(&self.folder)
    }

    /// All that `config.json` says.
    pub fn settings(&self) -> Result<Record, TrackerError> {
        config::record(&self.folder)
    }

    /// The issues as they are.
    pub fn read(&self) -> Result<Issues, TrackerError> {
        let _lock = Lock::take(&self.folder, Mode::Shared, self.lock_limit)?;
        Issues::read(&self.file())
    }

    /// Asks all issues that are not done, depend on others, or are depended on; of a large store, without reading it.
    ///
    /// Others may be among them. Those that are done may know their status, why they were closed and what they depend on, and nothing
    /// else; views of others have their whole lines `with_lines`, else perhaps without long values.
    pub fn ask_work<T>(
        &self,
        with_lines: bool,
        ask: impl FnOnce(&[View<'_>]) -> T,
    ) -> Result<T, TrackerError> {
        let lock = Lock::take(&self.folder, Mode::Shared, self.lock_limit)?;
        let stamp = fs::metadata(self.file()).ok().map(|metadata| Stamp::of(&metadata));
        let index = stamp.and_then(|stamp| Index::read(&self.folder, stamp, with_lines));
        if let Some(views) = index.as_ref().and_then(Index::views) {
            drop(lock);
            return Ok(ask(&views));
        }
        let issues = Issues::read(&self.file())?;
        drop(lock);
        let views = issues.views()?;
        let answer = ask(&views);
        if let Some(stamp) = issues.stamp().filter(|_| issues.bytes() >= self.indexed_from) {
            // A store that cannot be written is read whole every time.
            let _ = index::write(&self.folder, stamp, issues.is_plain(), &views);
        }
        Ok(answer)
    }

    /// Does something while nobody can change the store.
    pub(crate) fn reading<T>(
        &self,
        read: impl FnOnce() -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        let _lock = Lock::take(&self.folder, Mode::Shared, self.lock_limit)?;
        read()
    }

    /// Changes issues: all that `change` did is on disk when this returns, or, if it failed, nothing.
    pub fn change<T>(
        &self,
        change: impl FnOnce(&mut Issues) -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        let _lock = Lock::take(&self.folder, Mode::Exclusive, self.lock_limit)?;
        let mut issues = Issues::read(&self.file())?;
        ahead::settle(&self.folder, &issues)?;
        let done = change(&mut issues)?;
        if issues.is_changed() {
            self.save(&issues)?;
        }
        Ok(done)
    }

    /// Writes changes, for a caller that holds the lock.
    fn save(&self, issues: &Issues) -> Result<(), TrackerError> {
        let event = event(issues.command(), issues.by(), issues.changes());
        let announced = ahead::announce(&self.folder, &event)?;
        match save::save(&self.file(), issues) {
            Ok(()) => {
                self.keep_index(issues.stamp(), |stamps| Update::of(stamps, issues));
                announced.settle();
                Ok(())
            }
            Err(error) => {
                self.settle_as_it_is();
                Err(TrackerError::io("write", &self.file(), error))
            }
        }
    }

    /// Brings the index to what the file is now; without one that counted before there is nothing to do.
    fn keep_index<'a>(&self, before: Option<Stamp>, update: impl FnOnce([Stamp; 2]) -> Update<'a>) {
        if let Some(before) = before.filter(|before| index::is_plain(&self.folder, *before).is_some())
            && let Ok(now) = fs::metadata(self.file())
        {
            // Where it cannot be written it counts no more, and is written anew.
            let _ = index::update(&self.folder, &update([before, Stamp::of(&now)]));
        }
    }

    /// Tells history what became of a change whose writing failed: also then the file may have been replaced.
    fn settle_as_it_is(&self) {
        // Where the file cannot be read now, the next command that can read it settles this.
        let _ = Issues::read(&self.file()).and_then(|issues| ahead::settle(&self.folder, &issues));
    }

    /// The bytes of the file, which need not be issues.
    pub fn bytes(&self) -> Result<Vec<u8>, TrackerError> {
        let _lock = Lock::take(&self.folder, Mode::Shared, self.lock_limit)?;
        self.bytes_if_any()
    }

    /// A store without the file is one without issues.
    pub(crate) fn bytes_if_any(&self) -> Result<Vec<u8>, TrackerError> {
        match fs::read(self.file()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            bytes => bytes.map_err(|error| TrackerError::io("read", &self.file(), error)),
        }
    }

    /// Replaces a file beside the issues, for a caller that holds the lock.
    pub(crate) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), TrackerError> {
        replace(path, &[bytes]).map_err(|error| TrackerError::io("write", path, error))
    }

    /// Makes an issue; in a large store without reading the others.
    pub fn add(&self, draft: &Draft<'_>, now: Timestamp, by: Option<&str>) -> Result<Record, TrackerError> {
        actions::check_priority(i64::from(draft.priority))?;
        let _lock = Lock::take(&self.folder, Mode::Exclusive, self.lock_limit)?;
        let config = self.config()?;
        // Settling reads the issues.
        if ahead::open(&self.folder)?.is_none()
            && let Some(record) = self.insert(&config, draft, now, by)?
        {
            return Ok(record);
        }
        let mut issues = Issues::read(&self.file())?;
        ahead::settle(&self.folder, &issues)?;
        issues.describe("create", by);
        let record = actions::create(&mut issues, &config, draft, now)?;
        self.save(&issues)?;
        Ok(record)
    }

    /// Makes an issue where the file is such that this can be done without reading it.
    fn insert(
        &self,
        config: &Config,
        draft: &Draft<'_>,
        now: Timestamp,
        by: Option<&str>,
    ) -> Result<Option<Record>, TrackerError> {
        let mut announced = None;
        let before = fs::metadata(self.file()).ok().map(|metadata| Stamp::of(&metadata));
        let is_plain = before.and_then(|before| index::is_plain(&self.folder, before)) == Some(true);
        let make = |taken: &dyn Fn(&str) -> bool| {
            let (id, record) = actions::new_issue(config, draft, now, taken);
            (id, record.line(), record)
        };
        let inserted = insert::insert(&self.file(), is_plain, make, |id, record| {
            let change = Change { id: id.to_owned(), before: None, after: Some(record.clone()) };
            announced = Some(ahead::announce(&self.folder, &event("create", by, vec![change]))?);
            Ok(())
        });
        if let Ok(Some(record)) = &inserted {
            let id = record.text("id").unwrap_or_default();
            let issues = vec![(id.as_str(), Some(record.line()))];
            self.keep_index(before, |stamps| Update { stamps, issues });
        }
        match (&inserted, announced) {
            (_, None) => {}
            (Ok(Some(_)), Some(announced)) => announced.settle(),
            (Ok(None), Some(announced)) => announced.withdraw(),
            (Err(_), Some(_)) => self.settle_as_it_is(),
        }
        inserted
    }

    /// The bytes of the file, and what takes their place; for what works on a file that cannot be read as issues.
    pub fn rewrite<T>(
        &self,
        change: impl FnOnce(&[u8]) -> Result<(Option<Vec<u8>>, T), TrackerError>,
    ) -> Result<T, TrackerError> {
        let _lock = Lock::take(&self.folder, Mode::Exclusive, self.lock_limit)?;
        let path = self.file();
        let bytes = self.bytes_if_any()?;
        let (new, done) = change(&bytes)?;
        if let Some(new) = new.filter(|new| *new != bytes) {
            replace(&path, &[&new]).map_err(|error| TrackerError::io("write", &path, error))?;
        }
        Ok(done)
    }
}

fn event(command: &str, by: Option<&str>, changes: Vec<Change>) -> Event {
    Event { at: stored(Timestamp::now()), command: command.to_owned(), by: by.map(str::to_owned), changes }
}

/// Why the tracker did not do what it was asked. Messages are those that people's scripts know.
#[derive(Debug, thiserror::Error)]
pub enum TrackerError {
    /// A store is there already.
    #[error("{} already exists", folder.display())]
    Exists {
        /// Where.
        folder: PathBuf,
    },
    /// No store here or above.
    #[error("Failed to open lock file '{}': No such file or directory (os error 2)", lock.display())]
    NoStore {
        /// The file that a store would have.
        lock: PathBuf,
    },
    /// Nothing has this ID.
    #[error("Issue not found: {id}")]
    NotFound {
        /// What was asked for.
        id: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// Part of an ID that several have.
    #[error("{part} is the beginning of several IDs: {}", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        part: String,
        /// What has it.
        ids: Vec<String>,
    },
    /// The state does not allow it.
    #[error("{0}")]
    Refused(Refused),
    /// A value is not one that can be.
    #[error("{message}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What would be right.
        hint: Option<String>,
    },
    /// An edge would close a ring.
    #[error("{} would wait for itself: {}", ring[0], ring.join(" -> "))]
    Cycle {
        /// The issues of the ring; the last is the first.
        ring: Vec<String>,
    },
    /// A line that cannot be read.
    #[error("Failed to parse issue at line {line}: {why} ({}:{line})", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The configuration cannot be read.
    #[error("Failed to parse {}: {why}", file.display())]
    Config {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The lock was not had in time.
    #[error(
        "gave up after {} s of waiting for {}{}", waited.as_secs(), lock.display(),
        holder.map(|pid| format!(", which process {pid} holds")).unwrap_or_default()
    )]
    Locked {
        /// The lock's file.
        lock: PathBuf,
        /// Who has it, where the system tells.
        holder: Option<u32>,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Another server did not do what it was asked.
    #[error("{message}")]
    Remote {
        /// What went wrong there.
        message: String,
        /// What may help.
        hint: Option<String>,
    },
    /// A file operation.
    #[error("Failed to {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl TrackerError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> TrackerError {
        TrackerError::Io { action, path: path.to_owned(), source }
    }

    /// An error about a value.
    pub fn invalid(message: impl Into<String>) -> TrackerError {
        TrackerError::Invalid { message: message.into(), hint: None }
    }

    /// One stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            TrackerError::Exists { .. } => "exists",
            TrackerError::NoStore { .. } => "no_store",
            TrackerError::NotFound { .. } => "not_found",
            TrackerError::Ambiguous { .. } => "ambiguous",
            TrackerError::Refused(refused) => refused.why.code(),
            TrackerError::Invalid { .. } => "invalid",
            TrackerError::Cycle { .. } => "cycle",
            TrackerError::Corrupt { .. } | TrackerError::Config { .. } => "corrupt",
            TrackerError::Locked { .. } => "locked",
            TrackerError::Remote { .. } => "remote",
            TrackerError::Io { .. } => "io",
        }
    }

    /// The exit code of the tracker's commands: 1 what was asked cannot be done, 3 the lock, 4 a store that cannot be read.
    pub fn status(&self) -> u8 {
        match self {
            TrackerError::Locked { .. } => 3,
            TrackerError::Corrupt { .. } | TrackerError::Config { .. } => 4,
            _ => 1,
        }
    }
}

impl From<Refused> for TrackerError {
    fn from(refused: Refused) -> TrackerError {
        TrackerError::Refused(refused)
    }
}

impl Diagnose for TrackerError {
    fn exit(&self) -> ExitCode {
        match self {
            TrackerError::Locked { .. } | TrackerError::Io { .. } | TrackerError::Remote { .. } => {
                ExitCode::Environment
            }
            TrackerError::Refused(_) | TrackerError::Cycle { .. } => ExitCode::Failed,
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            TrackerError::NoStore { .. } => Some("make a store with `wootz issue init`".to_owned()),
            TrackerError::Refused(refused) => refused.hint(),
            TrackerError::NotFound { nearest: Some(nearest), .. } => Some(format!("did you mean {nearest}?")),
            TrackerError::Invalid { hint, .. } | TrackerError::Remote { hint, .. } => hint.clone(),
            TrackerError::Cycle { .. } => Some("take one of these edges away first".to_owned()),
            TrackerError::Corrupt { .. } => {
                Some("`wootz issue doctor --fix` mends what can be mended".to_owned())
            }
            TrackerError::Locked { .. } => Some("wait for that process, or end it".to_owned()),
            TrackerError::Io { source, .. } => hint_of_io(source),
            _ => None,
        }
    }
}
