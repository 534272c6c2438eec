//! `events.jsonl`: every change that this program made, with the issue before and after it; and how to take one back.
//!
//! The file only grows. It is no part of the truth: a change counts when `issues.jsonl` has it, and its event is written behind that, so a
//! crash between the two loses the event and nothing else. Lines that cannot be read, such as one that a crash cut, are skipped.
//! What other programs change has no event; [`undo`] therefore looks whether an issue still is what the event left.

use crate::record::Record;
use crate::store::{Store, TrackerError};
use crate::time::stored;
use jiff::Timestamp;
use serde_json::value::RawValue;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
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
    store.folder().join("events.jsonl")
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

/// Adds changes behind all others. They have been made: that they cannot be written down is not an error.
pub(crate) fn append(folder: &Path, command: &str, by: Option<&str>, changes: Vec<Change>) {
    let by = by.map(str::to_owned);
    let event = Event { at: stored(Timestamp::now()), command: command.to_owned(), by, changes };
    let path = folder.join("events.jsonl");
    let written = OpenOptions::new().append(true).read(true).create(true).open(path).and_then(|mut file| {
        // What a crash cut is ended here, so that it spoils no more than itself.
        let torn = !ends_line(&mut file)?;
        file.write_all(format!("{}{}", if torn { "\n" } else { "" }, event.line()).as_bytes())
    });
    drop(written);
}

fn ends_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// All events, in the order in which they happened; with an ID, those that changed this issue.
pub fn events(store: &Store, id: Option<&str>) -> Result<Vec<Event>, TrackerError> {
    let path = file(store);
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes.map_err(|error| TrackerError::io("read", &path, error))?,
    };
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
        let all = events(store, None)?;
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
