//! The issues of a file: lines that are found by ID and parsed when somebody asks, and the changes to be written.
//!
//! A large file is read in parts, cut between lines, each on its own thread, which looks for the lines while they are in its cache.

use super::TrackerError;
use super::index::Stamp;
use crate::events::Change;
use crate::record::Record;
use crate::scan;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;

/// A line of the file.
#[derive(Debug, Clone)]
pub struct Line {
    part: usize,
    /// In the part, without the line's end.
    bytes: Range<usize>,
    /// Its ID, where that stands in the line as it is; else in `other`.
    id: Id,
}

#[derive(Debug, Clone)]
enum Id {
    /// This many bytes behind `{"id":"`.
    Leading(usize),
    Elsewhere(Box<str>),
    /// A record that is no issue.
    None,
}

/// A file of issues in memory.
#[derive(Debug)]
pub struct Issues {
    path: PathBuf,
    /// The file, one behind the other.
    parts: Vec<Vec<u8>>,
    /// Sorted by ID; of lines with one ID the last counts.
    lines: Vec<Line>,
    /// What takes the place of the line with this ID, or is new; `None` where it goes.
    changes: BTreeMap<String, Option<Record>>,
    /// Which command makes them, and for whom.
    command: (String, Option<String>),
    /// The state of the file that was read.
    stamp: Option<Stamp>,
    /// Whether the lines stand in the file as they do here, each with an ID of its own.
    is_ascending: bool,
}

/// Files are read in parts of at least this size.
const PART_BYTES: u64 = 2 << 20;

impl Issues {
    pub(crate) fn read(path: &Path) -> Result<Issues, TrackerError> {
        let failed = |error| TrackerError::io("read", path, error);
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Issues::of_parts(path, Vec::new());
            }
            file => file.map_err(failed)?,
        };
        let metadata = file.metadata().map_err(failed)?;
        let length = metadata.len();
        let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64).min(8);
        let share = length.div_ceil(threads).max(PART_BYTES);
        let mut cuts = vec![0];
        while let Some(next) = cuts.last().map(|last| last + share).filter(|next| *next < length) {
            cuts.push(behind_line_end(&file, next, length).map_err(failed)?);
        }
        cuts.push(length);
        let read = |range: &[u64]| {
            let mut bytes = vec![0; usize::try_from(range[1] - range[0]).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, range[0])?;
            let lines = find_lines(&bytes, range[0] == 0);
            Ok((bytes, lines))
        };
        let parts = thread::scope(|scope| {
            let others: Vec<_> = cuts[1..].windows(2).map(|range| scope.spawn(|| read(range))).collect();
            let first = read(&cuts[..2]);
            let others = others.into_iter().map(|part| part.join().expect("reading does not panic"));
            std::iter::once(first).chain(others).collect::<io::Result<Vec<_>>>()
        });
        let stamp = Some(Stamp::of(&metadata));
        Ok(Issues { stamp, ..Issues::of_parts(path, parts.map_err(failed)?)? })
    }

    /// Reads bytes as if they were the file.
    pub fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Issues, TrackerError> {
        let lines = find_lines(&bytes, true);
        Issues::of_parts(path, vec![(bytes, lines)])
    }

    fn of_parts(path: &Path, parts: Vec<(Vec<u8>, Vec<Line>)>) -> Result<Issues, TrackerError> {
        let mut lines = Vec::with_capacity(parts.iter().map(|(_, lines)| lines.len()).sum());
        let mut all = Vec::with_capacity(parts.len());
        for (part, (bytes, found)) in parts.into_iter().enumerate() {
            lines.extend(found.into_iter().map(|line| Line { part, ..line }));
            all.push(bytes);
        }
        let mut issues = Issues {
            path: path.to_owned(),
            parts: all,
            lines: Vec::new(),
            changes: BTreeMap::new(),
            command: Default::default(),
            stamp: None,
            is_ascending: false,
        };
        for line in lines.iter_mut().filter(|line| matches!(line.id, Id::None)) {
            line.id = issues.id_elsewhere(line)?;
        }
        issues.is_ascending = lines.is_sorted_by(|a, b| issues.id_bytes(a) < issues.id_bytes(b));
        if !issues.is_ascending {
            lines.sort_by(|a, b| issues.id_bytes(a).cmp(issues.id_bytes(b)));
        }
        issues.lines = lines;
        Ok(issues)
    }

    /// The ID of a line that does not begin with it.
    fn id_elsewhere(&self, line: &Line) -> Result<Id, TrackerError> {
        let record = self.parse(line)?;
        if record.text("_type").is_some_and(|kind| kind != "issue") {
            return Ok(Id::None);
        }
        match record.text("id").filter(|id| !id.is_empty()) {
            Some(id) => Ok(Id::Elsewhere(id.into())),
            None => Err(self.corrupt(line, "missing field `id`")),
        }
    }

    /// The lines, sorted by ID, of which changes know nothing.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The bytes of a line.
    pub fn bytes_of(&self, line: &Line) -> &[u8] {
        &self.parts[line.part][line.bytes.clone()]
    }

    /// The ID of a line; empty where it is no issue.
    pub fn id_of<'a>(&'a self, line: &'a Line) -> &'a str {
        std::str::from_utf8(self.id_bytes(line)).expect("it was text when it was found")
    }

    fn id_bytes<'a>(&'a self, line: &'a Line) -> &'a [u8] {
        match &line.id {
            Id::Leading(length) => {
                let start = line.bytes.start + LEADING.len();
                &self.parts[line.part][start..start + length]
            }
            Id::Elsewhere(id) => id.as_bytes(),
            Id::None => b"",
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

    /// Says which command makes the changes, and for whom, for the history.
    pub fn describe(&mut self, command: &str, by: Option<&str>) {
        self.command = (command.to_owned(), by.map(str::to_owned));
    }

    pub(crate) fn command(&self) -> &str {
        if self.command.0.is_empty() { "change" } else { &self.command.0 }
    }

    pub(crate) fn by(&self) -> Option<&str> {
        self.command.1.as_deref()
    }

    /// How much was read.
    pub(super) fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// The state of the file that was read, where it was one.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.stamp
    }

    /// Whether the file is lines that begin with their IDs, which ascend, and nothing else.
    pub(super) fn is_plain(&self) -> bool {
        let bytes: usize = self.lines.iter().map(|line| line.bytes.len() + 1).sum();
        self.is_ascending
            && bytes as u64 == self.bytes()
            && self.lines.iter().all(|line| matches!(line.id, Id::Leading(_)))
    }

    /// What has been changed, as it is to be.
    pub(super) fn changed(&self) -> impl Iterator<Item = (&str, Option<&Record>)> {
        self.changes.iter().map(|(id, record)| (id.as_str(), record.as_ref()))
    }

    /// ID and line of an issue that no change is about.
    pub(super) fn unchanged(&self, id: &str) -> Option<(&str, &[u8])> {
        let line = self.line(id).filter(|_| !self.changes.contains_key(id))?;
        Some((self.id_of(line), self.bytes_of(line)))
    }

    /// What has been changed, with what it was.
    pub(crate) fn changes(&self) -> Vec<Change> {
        let change = |(id, after): (&String, &Option<Record>)| {
            let before = self.line(id).and_then(|line| self.parse(line).ok());
            Change { id: id.clone(), before, after: after.clone() }
        };
        self.changes.iter().map(change).collect()
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
        let mut out: Vec<Piece> = Vec::new();
        let mut at = 0;
        for (id, record) in &self.changes {
            let found = self.lines_of(id);
            self.push_old(&mut out, &self.lines[at..found.start]);
            if let Some(record) = record {
                out.push(Piece::New(format!("{}\n", record.line()).into_bytes()));
            }
            at = found.end;
        }
        self.push_old(&mut out, &self.lines[at..]);
        let bytes = |piece| match piece {
            Piece::Old(part, range) => Cow::Borrowed(&self.parts[part][range]),
            Piece::New(bytes) => Cow::Owned(bytes),
        };
        out.into_iter().map(bytes).collect()
    }

    /// The lines with an ID, or the place where they would stand.
    fn lines_of(&self, id: &str) -> Range<usize> {
        let start = self.lines.partition_point(|line| self.id_bytes(line) < id.as_bytes());
        let count =
            self.lines[start..].iter().take_while(|line| self.id_bytes(line) == id.as_bytes()).count();
        start..start + count
    }

    fn line(&self, id: &str) -> Option<&Line> {
        self.lines[self.lines_of(id)].last().filter(|_| !id.is_empty())
    }

    /// What is wrong with a line that a scan did not understand.
    pub(crate) fn unreadable(&self, line: &Line) -> TrackerError {
        match self.parse(line) {
            Err(error) => error,
            Ok(record) if record.get("created_at").is_none() => {
                self.corrupt(line, "missing field `created_at`")
            }
            Ok(_) => self.corrupt(line, "a field of an issue has a value of another type"),
        }
    }

    fn parse(&self, line: &Line) -> Result<Record, TrackerError> {
        Record::read(self.bytes_of(line)).map_err(|error| {
            // The line within the line is always the first.
            self.corrupt(line, &error.to_string().replace(" at line 1 column", " at column"))
        })
    }

    fn corrupt(&self, line: &Line, why: &str) -> TrackerError {
        let before = self.parts[..line.part].iter().map(Vec::as_slice);
        let before = before.chain([&self.parts[line.part][..line.bytes.start]]);
        let ends: usize = before.map(|bytes| memchr::memchr_iter(b'\n', bytes).count()).sum();
        TrackerError::Corrupt { file: self.path.clone(), line: ends + 1, why: why.to_owned() }
    }

    /// Adds lines; those that stand one behind the other in the file are one piece.
    fn push_old(&self, out: &mut Vec<Piece>, lines: &[Line]) {
        for line in lines {
            let bytes = &self.parts[line.part];
            let ended = bytes.get(line.bytes.end) == Some(&b'\n');
            let end = if ended {
                line.bytes.end + 1
            } else {
                bytes[line.bytes.end..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(bytes.len(), |at| line.bytes.end + at + 1)
            };
            match out.last_mut() {
                Some(Piece::Old(part, run)) if *part == line.part && run.end == line.bytes.start => {
                    run.end = end
                }
                _ => out.push(Piece::Old(line.part, line.bytes.start..end)),
            }
            if bytes[end - 1] != b'\n' {
                out.push(Piece::New(b"\n".to_vec()));
            }
        }
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

/// What the lines of this family begin with.
const LEADING: &[u8] = b"{\"id\":\"";

enum Piece {
    /// Of a part.
    Old(usize, Range<usize>),
    New(Vec<u8>),
}

/// The lines of a part, those without a leading ID as if they had none.
fn find_lines(bytes: &[u8], is_first: bool) -> Vec<Line> {
    let mut lines = Vec::with_capacity(bytes.len() / 256);
    let base = bytes.as_ptr() as usize;
    let found = if is_first { scan::lines(bytes) } else { scan::lines_within(bytes) };
    for line in found.filter(|line| !line.trim_ascii().is_empty()) {
        let start = line.as_ptr() as usize - base;
        let id = scan::leading_id(line).map_or(Id::None, |id| Id::Leading(id.len()));
        lines.push(Line { part: 0, bytes: start..start + line.len(), id });
    }
    lines
}

/// Where the line that goes over this place ends.
fn behind_line_end(file: &File, mut at: u64, length: u64) -> io::Result<u64> {
    let mut block = [0; 4096];
    while at < length {
        let read = file.read_at(&mut block, at)?;
        match memchr::memchr(b'\n', &block[..read]) {
            Some(end) => return Ok(at + end as u64 + 1),
            None if read == 0 => break,
            None => at += read as u64,
        }
    }
    Ok(length)
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
