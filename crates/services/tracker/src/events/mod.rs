//! `events.jsonl`: every change that this program made, with the issue before and after it; and how to take one back.
//!
//! The file only grows. It is no part of the truth: a change counts when `issues.jsonl` has it. Its event is written ahead of it, so that
//! neither a crash nor a full disk makes a change that history does not know; how an event that nothing came of goes again is told in
//! [`ahead`]. Lines that cannot be read are skipped. What other programs change has no event; [`undo`] therefore looks whether an
//! issue still is what the event left.

pub(crate) mod ahead;

use crate::record::Record;
use crate::store::{Store, TrackerError};
use serde_json::value::RawValue;
use std::io;
use std::path::{Path, PathBuf};

/// Some issues before and after one command.
#[derive(Debug, Clone)]
pub struct Event {
    /// When, as it is stored.
    pub at: String,
    /// The command's name.
    pub command: String,
    /// The session or person who gave it, where that is known.
    pub by: Option<String>,
    /// The issues, sorted by ID.
    pub changes: Vec<Change>,
}

/// An issue before and after.
#[derive(Debug, Clone)]
pub struct Change {
    /// Its ID.
    pub id: String,
    /// Absent where the command made it.
    pub before: Option<Record>,
    /// Absent where the command deleted it.
    pub after: Option<Record>,
}

/// The file of a store's events.
pub fn file(store: &Store) -> PathBuf {
    file_in(store.folder())
}

fn file_in(folder: &Path) -> PathBuf {
    folder.join("events.jsonl")
}

impl Event {
    fn line(&self) -> String {
        let raw = |record: &Option<Record>| record.as_ref().map(Record::to_raw);
        let changes: Vec<Box<RawValue>> = self
            .changes
            .iter()
            .map(|change| {
                let mut line = Record::default();
                line.push("id", &change.id);
                line.push("before", &raw(&change.before));
                line.push("after", &raw(&change.after));
                line.to_raw()
            })
            .collect();
        let mut line = Record::default();
        line.push("version", &1);
        line.push("at", &self.at);
        line.push("command", &self.command);
        line.push("by", &self.by);
        line.push("changes", &changes);
        line.line() + "\n"
    }

    fn read(line: &[u8]) -> Option<Event> {
        let line = Record::read(line).ok()?;
        let record = |change: &Record, key: &str| {
            let value = change.get(key)?.get();
            Record::read(value.as_bytes()).ok()
        };
        let changes: Vec<&RawValue> = line.read_as("changes")?;
        let changes = changes.into_iter().filter_map(|change| {
            let change = Record::read(change.get().as_bytes()).ok()?;
            let (before, after) = (record(&change, "before"), record(&change, "after"));
            Some(Change { id: change.text("id")?, before, after })
        });
        Some(Event {
            at: line.text("at")?,
            command: line.text("command")?,
            by: line.text("by"),
            changes: changes.collect(),
        })
    }
}

/// All events, in the order in which they happened; with an ID, those that changed this issue.
pub fn events(store: &Store, id: Option<&str>) -> Result<Vec<Event>, TrackerError> {
    store.reading(|| {
        let happened = ahead::open(store.folder())?.map(|open| (open, open.happened(store)));
        of_file(store, id, happened)
    })
}

/// Those of the file, for a caller that holds the lock; what was announced and did not happen is left out.
fn of_file(
    store: &Store,
    id: Option<&str>,
    open: Option<(ahead::Open, bool)>,
) -> Result<Vec<Event>, TrackerError> {
    let path = file(store);
    let mut bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes.map_err(|error| TrackerError::io("read", &path, error))?,
    };
    if let Some((open, false)) = open {
        bytes.truncate(open.start(bytes.len()));
    }
    let told = |line: &&[u8]| id.is_none_or(|id| memchr::memmem::find(line, id.as_bytes()).is_some());
    let events = crate::scan::lines(&bytes).filter(told).filter_map(Event::read);
    Ok(events
        .filter(|event| id.is_none_or(|id| event.changes.iter().any(|change| change.id == id)))
        .collect())
}

/// Takes back the last event that is not itself a taking back, or that was taken back; the event comes back.
///
/// Refused where one of its issues has changed since.
pub fn undo(store: &Store) -> Result<Event, TrackerError> {
    store.change(|issues| {
        let mut taken_back = 0_usize;
        let all = of_file(store, None, None)?;
        let last = all.into_iter().rev().find(|event| match event.command.as_str() {
            "undo" => {
                taken_back += 1;
                false
            }
            _ if taken_back > 0 => {
                taken_back -= 1;
                false
            }
            _ => true,
        });
        let event = last.ok_or_else(|| TrackerError::invalid("there is nothing to take back"))?;
        for Change { id, before, after } in &event.changes {
            let now = if issues.has(id) { Some(issues.get(id)?) } else { None };
            if now != *after {
                return Err(TrackerError::Invalid {
                    message: format!("Issue {id} has changed since `{}` at {}", event.command, event.at),
                    hint: Some(format!("`wootz issue history {id}` shows what it was")),
                });
            }
            issues.put(id, before.clone());
        }
        issues.describe("undo", None);
        Ok(event)
    })
}
