//! The checks, and the repair of each.

use super::document::{self, Content, Line};
use super::rings::rings;
use super::{Finding, Kind};
use crate::import;
use crate::merge::{self, Source};
use crate::ownership::Status;
use crate::record::Record;
use crate::store::TrackerError;
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wrong with a file, in the order of its lines.
pub(super) fn examine(file: &Path, lines: &[Line<'_>], now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut say = |kind: Kind, line: usize, id: Option<&str>, message: String| {
        findings.push(Finding {
            kind,
            file: file.to_owned(),
            line: Some(line),
            id: id.map(str::to_owned),
            message,
        });
    };
    let mut issues: BTreeMap<&str, (usize, &Record)> = BTreeMap::new();
    let mut doubled = Vec::new();
    let mut first_marker = None;
    for line in lines {
        let (number, message) = (line.number, String::new());
        match &line.content {
            Content::Issue(id, record) => {
                if let Some((first, _)) = issues.insert(id, (number, record)) {
                    doubled.push((number, id, format!("Issue {id} stands on line {first} too")));
                }
            }
            Content::Other(_) => {
                say(Kind::NoIssue, number, None, "a record that is no issue: ba cannot read it".to_owned());
            }
            Content::Marker => first_marker = first_marker.or(Some(number)),
            Content::Unreadable(why, true) => {
                say(Kind::Torn, number, None, message + "the last line is cut off: " + why);
            }
            Content::Unreadable(why, false) => {
                say(Kind::Unreadable, number, None, message + "no record: " + why);
            }
        }
    }
    // Between markers stand versions of the same issues; what is wrong with them is told when they are merged.
    if let Some(line) = first_marker {
        say(Kind::Conflict, line, None, "a merge of branches left both versions".to_owned());
        findings.sort_by_key(|finding| finding.line);
        return findings;
    }
    for (number, id, message) in doubled {
        say(Kind::Duplicate, number, Some(id), message);
    }
    for (id, (line, record)) in &issues {
        for (kind, message) in of_issue(id, record, now) {
            say(kind, *line, Some(id), message);
        }
        for (kind, message) in of_edges(id, record, &issues) {
            say(kind, *line, Some(id), message);
        }
    }
    let edges: Vec<(String, Vec<String>)> =
        issues.iter().map(|(id, (_, record))| ((*id).to_owned(), record.texts("blocked_by"))).collect();
    for ring in rings(&edges) {
        let line = issues.get(ring[0].as_str()).map_or(0, |(line, _)| *line);
        say(Kind::Cycle, line, Some(&ring[0]), format!("these wait for each other: {}", ring.join(" -> ")));
    }
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// What is wrong with an issue by itself.
fn of_issue(id: &str, record: &Record, now: Timestamp) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    if let Some((_, notes)) = import::mend(record, now) {
        if notes.is_empty() {
            found.push((Kind::Value, format!("Issue {id} lacks values that ba needs")));
        }
        found.extend(notes.into_iter().map(|(key, why)| match key {
            "status" => (Kind::Status, format!("Issue {id} has an unknown status: {why}")),
            _ => (Kind::Value, format!("Issue {id} has a value in {key} that ba cannot read: {why}")),
        }));
    }
    if let Some(session) = owner_of_open(record) {
        found.push((Kind::Owner, format!("Issue {id} is open and session {session} has it")));
    }
    let is_shown = |conflict: &merge::Conflict| {
        record.get(&conflict.field).is_some_and(|value| value.get() == conflict.value)
    };
    for conflict in merge::conflicts(record).into_iter().filter(|conflict| !is_shown(conflict)) {
        let merge::Conflict { field, value, .. } = conflict;
        found.push((Kind::Undecided, format!("Issue {id} has another {field} from a merge: {value}")));
    }
    found
}

/// What is wrong with its lists.
fn of_edges(id: &str, record: &Record, issues: &BTreeMap<&str, (usize, &Record)>) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    let has = |other: &str, list: &str| {
        issues.get(other).is_some_and(|(_, record)| record.texts(list).iter().any(|one| one == id))
    };
    for blocker in record.texts("blocked_by") {
        if !issues.contains_key(blocker.as_str()) {
            found.push((Kind::Dangling, format!("Issue {id} waits for {blocker}, which is not there")));
        } else if !has(&blocker, "blocks") {
            found
                .push((Kind::Mirror, format!("Issue {id} waits for {blocker}, whose blocks do not have it")));
        }
    }
    for blocked in record.texts("blocks") {
        if !has(&blocked, "blocked_by") {
            found.push((
                Kind::Mirror,
                format!("Issue {id} blocks {blocked}, whose blocked_by does not have it"),
            ));
        }
    }
    found
}

fn owner_of_open(record: &Record) -> Option<String> {
    let is_open = record.text("status").as_deref() == Some(Status::Open.name());
    record.text("session_id").filter(|_| is_open && record.get(ORIGINAL_STATUS).is_none())
}

/// A file after its repair.
pub(super) struct Mended {
    pub(super) bytes: Vec<u8>,
    /// Lines that cannot be read.
    pub(super) rejected: Vec<Vec<u8>>,
    /// Records that are no issues.
    pub(super) others: Vec<Record>,
}

/// Issues by ID, each with its line where that is still as it was.
type Issues<'a> = BTreeMap<String, (Option<&'a [u8]>, Record)>;

/// Repairs what can be repaired.
pub(super) fn mend(file: &Path, lines: &[Line<'_>], now: Timestamp) -> Result<Mended, TrackerError> {
    let mut mended = Mended { bytes: Vec::new(), rejected: Vec::new(), others: Vec::new() };
    let mut sound = Vec::new();
    for line in lines {
        match &line.content {
            Content::Unreadable(..) => mended.rejected.push(line.bytes.to_vec()),
            Content::Other(_) | Content::Issue(..) | Content::Marker => {
                sound.extend_from_slice(line.bytes);
                sound.push(b'\n');
            }
        }
    }
    // Versions between markers become one, and so do lines with one ID.
    let merged = merge::mend(Source { name: file, bytes: &sound }, None)?.bytes;
    let mut issues = Issues::new();
    for line in document::read(&merged) {
        match line.content {
            Content::Issue(id, record) => drop(issues.insert(id, (Some(line.bytes), record))),
            Content::Other(record) => mended.others.push(record),
            Content::Marker | Content::Unreadable(..) => mended.rejected.push(line.bytes.to_vec()),
        }
    }
    for (line, record) in issues.values_mut() {
        if repair(record, now) {
            *line = None;
        }
    }
    mirror(&mut issues);
    for (line, record) in issues.into_values() {
        match line {
            Some(line) => mended.bytes.extend_from_slice(line),
            None => mended.bytes.extend_from_slice(record.line().as_bytes()),
        }
        mended.bytes.push(b'\n');
    }
    Ok(mended)
}

/// Repairs an issue by itself; whether anything had to be.
fn repair(record: &mut Record, now: Timestamp) -> bool {
    let mended = import::mend(record, now);
    let is_mended = mended.is_some();
    if let Some((mended, _)) = mended {
        *record = mended;
    }
    let is_owned = owner_of_open(record).is_some();
    if is_owned {
        record.set("status", Status::InProgress.name());
    }
    is_mended || is_owned
}

/// Writes the lists `blocks` anew where they do not say what the lists `blocked_by` do.
fn mirror(issues: &mut Issues<'_>) {
    let mut waiting: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, (_, record)) in issues.iter() {
        for blocker in record.texts("blocked_by") {
            waiting.entry(blocker).or_default().insert(id.clone());
        }
    }
    for (id, (line, record)) in issues.iter_mut() {
        let expected = waiting.remove(id).unwrap_or_default();
        let mut blocks = record.texts("blocks");
        let before: BTreeSet<String> = blocks.iter().cloned().collect();
        if before == expected {
            continue;
        }
        blocks.retain(|blocked| expected.contains(blocked));
        blocks.extend(expected.difference(&before).cloned());
        record.set("blocks", &blocks);
        *line = None;
    }
}
