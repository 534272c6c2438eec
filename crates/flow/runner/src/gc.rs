//! Removing old runs, and outputs that no run names any more.
//!
//! A run's log goes first and its folder then: what is listed is whole, and a folder without a log, which a crash leaves, goes the next time.
//! Before either go the files of its processes that stand in a folder of the plan's own. A run that a process works on, or whose processes a
//! keeper still keeps, is not touched. An output goes only while no run goes on, since a step may be about to use it.
//!
//! Not covered: an `events.jsonl` that several runs share keeps its lines; a relative `log_dir` is looked for from the folder one is in.

use crate::error::RunnerError;
use crate::journal::first;
use crate::runner::Runner;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};
use wootz_schema::event::{Event, Record, Status};
use wootz_schema::task::TaskLogs;
use wootz_store::{Lookup, StoreError};

/// Outputs that are younger stay.
const YOUNG: Duration = Duration::from_secs(24 * 3600);
/// A run that was begun is not yet driven; one to which something happened so lately counts as one that goes on.
const JUST_NOW: Duration = Duration::from_secs(60);

/// What is to go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Old {
    /// So many of the newest runs stay in any case.
    pub keep: usize,
    /// Runs to which something happened since so long ago stay.
    pub older_than: Duration,
    /// Outputs, too, that no run names any more and that are older than a day.
    pub artifacts: bool,
    /// Nothing goes; only what would is told.
    pub dry_run: bool,
}

/// What went, or would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Freed {
    /// The runs, newest first.
    pub runs: Vec<FreedRun>,
    /// Runs that are old enough but go on, or whose logs cannot be read.
    pub busy: Vec<String>,
    /// Keys of the outputs, and their bytes.
    pub artifacts: Vec<(String, u64)>,
    /// Outputs were asked for, but a run goes on.
    pub is_waiting: bool,
}

/// A run that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreedRun {
    /// Its id.
    pub run: String,
    /// Bytes of its files; not those of its log's rows, whose place is used again.
    pub bytes: u64,
}

impl Freed {
    /// Bytes of all that went.
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes).chain(self.artifacts.iter().map(|(_, bytes)| *bytes)).sum()
    }
}

impl Runner {
    /// Removes what is old.
    pub fn gc(&self, old: &Old) -> Result<Freed, RunnerError> {
        let mut freed = Freed::default();
        for run in self.journal().runs()?.into_iter().skip(old.keep) {
            let records = match self.journal().load(&run) {
                Err(RunnerError::NoSuchRun(_)) => continue,
                Err(RunnerError::Log { .. }) => {
                    freed.busy.push(run);
                    continue;
                }
                records => records?,
            };
            let last_ms = records.last().map_or(0, |record| record.at_ms);
            if self.age(last_ms) < old.older_than {
                continue;
            }
            match self.remove(&run, &records, old.dry_run)? {
                Some(bytes) => freed.runs.push(FreedRun { run, bytes }),
                None => freed.busy.push(run),
            }
        }
        self.remove_leftovers(old.dry_run)?;
        if old.artifacts {
            self.remove_artifacts(old, &mut freed)?;
        }
        Ok(freed)
    }

    /// Removes a run, and tells the bytes of its files; none where it goes on.
    fn remove(&self, run: &str, records: &[Record], dry_run: bool) -> Result<Option<u64>, RunnerError> {
        let folder = self.folder(run);
        let lock = match folder.is_dir() {
            true => match wootz_store::lock(&folder.join(".lock"))? {
                Ok(lock) => Some(lock),
                Err(_) => return Ok(None),
            },
            false => None,
        };
        // What an engine elsewhere drives goes on until its log says that it is over.
        let is_driven = first(run, records)?.driver.is_some();
        if is_driven && matches!(self.show(run)?.status, Status::Running | Status::Interrupted) {
            return Ok(None);
        }
        let keepers = folder.join("keepers");
        let is_alive = wootz_keeper::is_alive(&keepers);
        if is_alive.map_err(|source| StoreError::Io { action: "read", path: keepers, source })? {
            return Ok(None);
        }
        let elsewhere = self.logs_elsewhere(run, records)?;
        let bytes = size(&folder) + elsewhere.iter().map(|path| size(Path::new(path))).sum::<u64>();
        if !dry_run {
            for path in elsewhere {
                // A file that is gone is what was wanted; one that stays is in nobody's way.
                let _ = fs::remove_file(path);
            }
            self.journal().forget(run)?;
            remove(&folder)?;
        }
        drop(lock);
        Ok(Some(bytes))
    }

    /// Files of a run's processes in a folder that the plan names.
    fn logs_elsewhere(&self, run: &str, records: &[Record]) -> Result<Vec<String>, RunnerError> {
        let mut plan = &first(run, records)?.plan;
        let mut logs = Vec::new();
        for record in records {
            match &record.event {
                Event::Replanned { created, .. } => plan = &created.plan,
                Event::Started { step, attempt, .. } if plan.log_dir.is_some() => {
                    let TaskLogs { stdout, stderr, structured } = self.task_logs(run, plan, step, *attempt);
                    logs.extend([stdout, stderr, structured]);
                }
                _ => {}
            }
        }
        Ok(logs)
    }

    /// Removes folders of runs that have no log.
    fn remove_leftovers(&self, dry_run: bool) -> Result<(), RunnerError> {
        let runs: BTreeSet<String> = self.journal().runs()?.into_iter().collect();
        for entry in fs::read_dir(self.store().home().join("runs")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_one = !runs.contains(&name) && entry.file_type().is_ok_and(|kind| kind.is_dir());
            // Whoever begins a run writes its log before it makes the folder.
            if is_one && !dry_run && wootz_store::lock(&entry.path().join(".lock"))?.is_ok() {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes outputs that no run names which stays.
    fn remove_artifacts(&self, old: &Old, freed: &mut Freed) -> Result<(), RunnerError> {
        // Nobody begins a run, or records anything, before it is decided.
        self.journal().begin()?;
        let decided = self.discard(old, freed);
        self.journal().abandon();
        decided?;
        if !old.dry_run {
            self.store().sweep()?;
        }
        Ok(())
    }

    fn discard(&self, old: &Old, freed: &mut Freed) -> Result<(), RunnerError> {
        let mut named = BTreeSet::new();
        for run in self.journal().runs()? {
            let records = self.journal().load(&run)?;
            let summary = self.show(&run)?;
            let is_fresh = self.age(summary.updated_ms) < JUST_NOW;
            let is_open =
                summary.status == Status::Running || (summary.status == Status::Interrupted && is_fresh);
            if is_open {
                freed.is_waiting = true;
                return Ok(());
            }
            if freed.runs.iter().all(|gone| gone.run != run) {
                named.extend(records.into_iter().filter_map(key));
            }
        }
        for key in self.store().keys()? {
            let path = self.store().artifact_path(&key);
            if named.contains(&key) || self.age(self.made_ms(&key, &path)) < YOUNG {
                continue;
            }
            let bytes = size(&path);
            if !old.dry_run {
                self.store().discard(&key)?;
            }
            freed.artifacts.push((key, bytes));
        }
        Ok(())
    }

    /// When an output was made.
    fn made_ms(&self, key: &str, path: &Path) -> u64 {
        match self.store().find(key) {
            Lookup::Whole(artifact) => artifact.manifest.origin.at_ms,
            Lookup::Missing | Lookup::Broken(_) => {
                let changed = fs::metadata(path).and_then(|folder| folder.modified()).ok();
                let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
                since.map_or(0, |since| since.as_millis() as u64)
            }
        }
    }

    fn age(&self, at_ms: u64) -> Duration {
        Duration::from_millis(self.clock().now_ms().saturating_sub(at_ms))
    }
}

/// The output that an event names.
fn key(record: Record) -> Option<String> {
    match record.event {
        Event::Started { key, .. }
        | Event::Cached { key, .. }
        | Event::Succeeded { key, .. }
        | Event::Held { key, .. } => Some(key),
        _ => None,
    }
}

/// Bytes of a file, or of the files below a folder; what links lead to is not counted.
fn size(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

fn remove(folder: &Path) -> Result<(), RunnerError> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::Io { action: "remove", path: folder.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}
