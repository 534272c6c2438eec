//! A source as a list of records, each with its place, in the order in which they stand.
//!
//! What a source is, it says itself: a folder holds tickets; a file that begins with a bracket is a list of issues, of GitHub or of
//! beads' own listing; anything else has a record a line, or one over several lines.

use super::report::{Place, Remark};
use super::{github, tickets};
use crate::record::Record;
use crate::scan;
use crate::store::TrackerError;
use serde_json::value::RawValue;
use std::fs;
use std::path::Path;

/// A record of a source.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// Which program's it is: `beads`, `ba`, `tk`, `github`.
    pub from: &'static str,
    /// The record with beads' keys, or why there is none.
    pub record: Result<Record, Remark>,
    /// What was changed to give it those keys.
    pub changes: Vec<Remark>,
    /// Whether it is told and passed over, which is no error.
    pub is_left_out: bool,
}

impl Entry {
    pub(super) fn refused(place: Place, id: Option<String>, field: &str, message: String) -> Entry {
        let remark = Remark { place: place.clone(), id, field: field.to_owned(), message };
        Entry { place, from: "beads", record: Err(remark), changes: Vec::new(), is_left_out: false }
    }
}

/// What stands in a file or a folder.
pub fn entries(path: &Path) -> Result<Vec<Entry>, TrackerError> {
    let failed = |error| TrackerError::io("read", path, error);
    if path.is_dir() {
        return tickets::of_folder(path);
    }
    let bytes = fs::read(path).map_err(failed)?;
    if path.extension().is_some_and(|extension| extension == "md") {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return Ok(vec![tickets::entry(&name, &bytes)]);
    }
    Ok(entries_of(&bytes))
}

/// What stands in the bytes of a JSON file.
pub fn entries_of(bytes: &[u8]) -> Vec<Entry> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    values(bytes).unwrap_or_else(|| lines(bytes))
}

fn lines(bytes: &[u8]) -> Vec<Entry> {
    let numbered = scan::lines(bytes).enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    numbered.map(|(at, line)| entry(Place::Line(at + 1), line)).collect()
}

/// The values of a file that is no list of lines: arrays of records, or records over several lines.
fn values(bytes: &[u8]) -> Option<Vec<Entry>> {
    let trimmed = bytes.trim_ascii_start();
    let is_list = trimmed.first() == Some(&b'[');
    let first = scan::lines(trimmed).next()?;
    if !is_list && (trimmed.first() != Some(&b'{') || first.trim_ascii() != b"{") {
        return None;
    }
    let mut counted = Counted { bytes, at: 0, line: 1 };
    let mut entries = Vec::new();
    for value in serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>() {
        let value = value.ok()?;
        match serde_json::from_str::<Vec<&RawValue>>(value.get()) {
            Ok(list) => entries.extend(list.into_iter().map(|one| counted.entry(one))),
            Err(_) => entries.push(counted.entry(value)),
        }
    }
    Some(entries)
}

/// Counts the lines up to values that are asked for in order.
struct Counted<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Counted<'_> {
    fn entry(&mut self, value: &RawValue) -> Entry {
        let at = value.get().as_ptr() as usize - self.bytes.as_ptr() as usize;
        self.line += memchr::memchr_iter(b'\n', &self.bytes[self.at..at]).count();
        self.at = at;
        entry(Place::Line(self.line), value.get().as_bytes())
    }
}

fn entry(place: Place, json: &[u8]) -> Entry {
    match Record::read(json) {
        Ok(record) if github::is_issue(&record) => github::entry(place, &record),
        Ok(record) => {
            let is_ba = record.get("blocked_by").is_some() || record.get("blocks").is_some();
            let from = if is_ba { "ba" } else { "beads" };
            Entry { place, from, record: Ok(record), changes: Vec::new(), is_left_out: false }
        }
        Err(error) => Entry::refused(place, None, "json", format!("Invalid JSON: {error}")),
    }
}
