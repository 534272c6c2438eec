//! The issues of a file: lines that are found by ID and parsed when somebody asks, and the changes to be written.

use super::TrackerError;
use crate::record::Record;
use crate::scan;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A line of the file.
#[derive(Debug, Clone)]
pub struct Line {
    /// Without its end.
    pub bytes: Range<usize>,
    /// From 1.
    pub number: usize,
    /// Its ID, where that stands in the line as it is; else in `other`.
    id: Id,
}

#[derive(Debug, Clone)]
enum Id {
    /// This many bytes behind `{"id":"`.
    Leading(usize),
    Elsewhere(String),
    /// A record that is no issue.
    None,
}

/// A file of issues in memory.
#[derive(Debug)]
pub struct Issues {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Sorted by ID; of lines with one ID the last counts.
    lines: Vec<Line>,
    /// What takes the place of the line with this ID, or is new; `None` where it goes.
    changes: BTreeMap<String, Option<Record>>,
}

impl Issues {
    pub(super) fn read(path: &Path) -> Result<Issues, TrackerError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes.map_err(|error| TrackerError::io("read", path, error))?,
        };
        Issues::of_bytes(path, bytes)
    }

    /// Reads bytes as if they were the file.
    pub fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Issues, TrackerError> {
        let mut lines = Vec::with_capacity(bytes.len() / 256);
        let base = bytes.as_ptr() as usize;
        for (number, line) in scan::lines(&bytes) {
            let start = line.as_ptr() as usize - base;
            let id = match scan::leading_id(line) {
                Some(id) => Id::Leading(id.len()),
                None if line.trim_ascii().is_empty() => continue,
                None => id_elsewhere(path, line, number)?,
            };
            lines.push(Line { bytes: start..start + line.len(), number, id });
        }
        let mut issues = Issues { path: path.to_owned(), bytes, lines, changes: BTreeMap::new() };
        let mut lines = std::mem::take(&mut issues.lines);
        if !lines.is_sorted_by(|a, b| issues.id_of(a) <= issues.id_of(b)) {
            lines.sort_by(|a, b| issues.id_of(a).cmp(issues.id_of(b)));
        }
        issues.lines = lines;
        Ok(issues)
    }

    /// The lines, sorted by ID, of which changes know nothing.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The bytes of a line.
    pub fn bytes_of(&self, line: &Line) -> &[u8] {
        &self.bytes[line.bytes.clone()]
    }

    /// The ID of a line; empty where it is no issue.
    pub fn id_of<'a>(&'a self, line: &'a Line) -> &'a str {
        match &line.id {
            Id::Leading(length) => {
                let start = line.bytes.start + 7;
                std::str::from_utf8(&self.bytes[start..start + length])
                    .expect("it was text when it was found")
            }
            Id::Elsewhere(id) => id,
            Id::None => "",
        }
    }

    /// Whether there is an issue of this ID.
    pub fn has(&self, id: &str) -> bool {
        match self.changes.get(id) {
            Some(change) => change.is_some(),
            None => self.line(id).is_some(),
        }
    }

    /// An issue.
    pub fn get(&self, id: &str) -> Result<Record, TrackerError> {
        match self.changes.get(id) {
            Some(Some(record)) => return Ok(record.clone()),
            Some(None) => {}
            None => {
                if let Some(line) = self.line(id) {
                    return self.parse(line);
                }
            }
        }
        Err(TrackerError::NotFound { id: id.to_owned(), nearest: self.nearest(id) })
    }

    /// Every issue, sorted by ID, with what has been changed; records that are no issues are left out.
    pub fn all(&self) -> Result<Vec<Record>, TrackerError> {
        let mut all: Vec<(Cow<'_, str>, Record)> = Vec::with_capacity(self.lines.len());
        for (at, line) in self.lines.iter().enumerate() {
            let id = self.id_of(line);
            let again = self.lines.get(at + 1).is_some_and(|next| self.id_of(next) == id);
            if !id.is_empty() && !again && !self.changes.contains_key(id) {
                all.push((Cow::Borrowed(id), self.parse(line)?));
            }
        }
        let changed = self
            .changes
            .iter()
            .filter_map(|(id, change)| Some((Cow::Borrowed(id.as_str()), change.clone()?)));
        all.extend(changed);
        all.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(all.into_iter().map(|(_, record)| record).collect())
    }

    /// Puts an issue in its place, or takes one away.
    pub fn put(&mut self, id: &str, record: Option<Record>) {
        self.changes.insert(id.to_owned(), record);
    }

    /// The IDs that `part` may stand for: itself, or all that end in it behind their prefix, or begin with it.
    pub fn resolve(&self, part: &str) -> Result<String, TrackerError> {
        if self.has(part) {
            return Ok(part.to_owned());
        }
        let fits = |id: &&str| {
            !part.is_empty()
                && !id.is_empty()
                && (id.starts_with(part)
                    || id.split_once('-').is_some_and(|(_, suffix)| suffix.starts_with(part)))
        };
        let of_lines = self.lines.iter().map(|line| self.id_of(line)).filter(|id| self.has(id));
        let new = self.changes.keys().map(String::as_str).filter(|id| self.has(id));
        let mut found: Vec<String> = of_lines.chain(new).filter(fits).map(str::to_owned).collect();
        found.sort();
        found.dedup();
        match found.len() {
            0 => Err(TrackerError::NotFound { id: part.to_owned(), nearest: self.nearest(part) }),
            1 => Ok(found.remove(0)),
            _ => Err(TrackerError::Ambiguous { part: part.to_owned(), ids: found }),
        }
    }

    /// Whether anything is to be written.
    pub fn is_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The file as it is to be: pieces of the old one as they are, and lines that are new.
    pub(super) fn pieces(&self) -> Vec<Cow<'_, [u8]>> {
        let mut changes = self.changes.iter().peekable();
        let mut out: Vec<Piece> = Vec::new();
        for line in &self.lines {
            let id = self.id_of(line);
            while let Some((_, record)) = changes.next_if(|(new, _)| new.as_str() < id) {
                push_new(&mut out, record);
            }
            if let Some((_, record)) = changes.next_if(|(new, _)| new.as_str() == id) {
                push_new(&mut out, record);
                continue;
            }
            if self.changes.contains_key(id) {
                // Another line of an ID that has changed.
                continue;
            }
            push_old(&mut out, line.bytes.clone(), &self.bytes);
        }
        for (_, record) in changes {
            push_new(&mut out, record);
        }
        let bytes = |piece| match piece {
            Piece::Old(range) => Cow::Borrowed(&self.bytes[range]),
            Piece::New(bytes) => Cow::Owned(bytes),
        };
        out.into_iter().map(bytes).collect()
    }

    fn line(&self, id: &str) -> Option<&Line> {
        let behind = self.lines.partition_point(|line| self.id_of(line) <= id);
        let line = self.lines.get(behind.checked_sub(1)?)?;
        (self.id_of(line) == id && !id.is_empty()).then_some(line)
    }

    /// What is wrong with a line that a scan did not understand.
    pub(crate) fn unreadable(&self, line: &Line) -> TrackerError {
        let why = match Record::read(self.bytes_of(line)) {
            Err(error) => return corrupt(&self.path, line.number, &error),
            Ok(record) if record.get("created_at").is_none() => "missing field `created_at`",
            Ok(_) => "a field of an issue has a value of another type",
        };
        TrackerError::Corrupt { file: self.path.clone(), line: line.number, why: why.to_owned() }
    }

    fn parse(&self, line: &Line) -> Result<Record, TrackerError> {
        Record::read(self.bytes_of(line)).map_err(|error| corrupt(&self.path, line.number, &error))
    }

    /// The ID that differs least from one that does not exist.
    fn nearest(&self, id: &str) -> Option<String> {
        let suffix = |id: &str| id.split_once('-').map_or(id, |(_, suffix)| suffix).to_owned();
        let wanted = suffix(id);
        let ids = self.lines.iter().map(|line| self.id_of(line)).filter(|id| !id.is_empty() && self.has(id));
        let (distance, nearest) = ids.map(|known| (distance(&wanted, &suffix(known)), known)).min()?;
        (distance <= 2.min(wanted.len() / 2)).then(|| nearest.to_owned())
    }
}

enum Piece {
    Old(Range<usize>),
    New(Vec<u8>),
}

fn push_new(out: &mut Vec<Piece>, record: &Option<Record>) {
    if let Some(record) = record {
        out.push(Piece::New(format!("{}\n", record.line()).into_bytes()));
    }
}

fn push_old(out: &mut Vec<Piece>, line: Range<usize>, bytes: &[u8]) {
    let ended = bytes.get(line.end) == Some(&b'\n');
    let with_end = line.start..line.end + usize::from(ended);
    match out.last_mut() {
        Some(Piece::Old(run)) if run.end == with_end.start => run.end = with_end.end,
        _ => out.push(Piece::Old(with_end)),
    }
    if !ended {
        let carriage = bytes[line.end..].starts_with(b"\r\n");
        out.push(Piece::New(if carriage { b"\r\n".to_vec() } else { b"\n".to_vec() }));
    }
}

fn id_elsewhere(path: &Path, line: &[u8], number: usize) -> Result<Id, TrackerError> {
    let record = Record::read(line).map_err(|error| corrupt(path, number, &error))?;
    if record.text("_type").is_some_and(|kind| kind != "issue") {
        return Ok(Id::None);
    }
    match record.text("id").filter(|id| !id.is_empty()) {
        Some(id) => Ok(Id::Elsewhere(id)),
        None => {
            let why = "missing field `id`".to_owned();
            Err(TrackerError::Corrupt { file: path.to_owned(), line: number, why })
        }
    }
}

fn corrupt(path: &Path, line: usize, error: &serde_json::Error) -> TrackerError {
    let why = error.to_string();
    // The line within the line is always the first.
    let why = why.replace(" at line 1 column", " at column");
    TrackerError::Corrupt { file: path.to_owned(), line, why }
}

/// How many letters must be inserted, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in b.iter().enumerate() {
            let replaced = before + usize::from(letter != *other);
            before = row[column + 1];
            row[column + 1] = replaced.min(before + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}
