//! The checks, and the repair of each.

use super::document::{Conflict, Content, Document, Line};
use super::rings::rings;
use super::{Finding, Kind, Merge};
use crate::import;
use crate::ownership::Status;
use crate::record::Record;
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What is wrong with a document, in the order of its lines; of the whole graph last.
pub(super) fn examine(file: &Path, document: &Document<'_>, now: Timestamp) -> Vec<Finding> {
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
    for conflict in &document.conflicts {
        let (ours, theirs) = (conflict.ours.len(), conflict.theirs.len());
        let message = format!("a merge left both sides, {ours} lines of ours and {theirs} of theirs");
        say(Kind::Conflict, conflict.number, None, message);
    }
    for line in document.lines.iter() {
        match &line.content {
            Content::Issue(id, record) => {
                if let Some((first, _)) = issues.insert(id, (line.number, record)) {
                    let message = format!("Issue {id} stands on line {first} too");
                    say(Kind::Duplicate, line.number, Some(id), message);
                }
            }
            Content::Other(_) => {
                say(
                    Kind::NoIssue,
                    line.number,
                    None,
                    "a record that is no issue: ba cannot read it".to_owned(),
                );
            }
            Content::Unreadable(why, true) => {
                say(Kind::Torn, line.number, None, format!("the last line is cut off: {why}"));
            }
            Content::Unreadable(why, false) => {
                say(Kind::Unreadable, line.number, None, format!("no record: {why}"));
            }
        }
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

/// A document after its repair.
pub(super) struct Mended {
    pub(super) bytes: Vec<u8>,
    /// Lines that cannot be read.
    pub(super) rejected: Vec<Vec<u8>>,
    /// Records that are no issues.
    pub(super) others: Vec<Record>,
}

/// Versions of one issue, each with its line where that is still as it was.
type Versions<'a> = Vec<(Option<&'a [u8]>, Record)>;

/// Repairs what can be repaired. A document with conflicts needs `merge`.
pub(super) fn mend<'a>(document: Document<'a>, merge: Option<Merge<'_>>, now: Timestamp) -> Mended {
    let mut mended = Mended { bytes: Vec::new(), rejected: Vec::new(), others: Vec::new() };
    let mut issues: BTreeMap<String, Versions<'a>> = BTreeMap::new();
    for line in document.lines {
        put(line, &mut issues, &mut mended);
    }
    for conflict in document.conflicts {
        if let Some(merge) = merge {
            resolve(conflict, merge, &mut issues, &mut mended);
        }
    }
    for versions in issues.values_mut() {
        join(versions, merge);
        for (line, record) in versions.iter_mut() {
            if repair(record, now) {
                *line = None;
            }
        }
    }
    mirror(&mut issues);
    for (line, record) in issues.into_values().flatten() {
        match line {
            Some(line) => mended.bytes.extend_from_slice(line),
            None => mended.bytes.extend_from_slice(record.line().as_bytes()),
        }
        mended.bytes.push(b'\n');
    }
    mended
}

fn put<'a>(line: Line<'a>, issues: &mut BTreeMap<String, Versions<'a>>, mended: &mut Mended) {
    match line.content {
        Content::Issue(id, record) => issues.entry(id).or_default().push((Some(line.bytes), record)),
        Content::Other(record) => mended.others.push(record),
        Content::Unreadable(..) => mended.rejected.push(line.bytes.to_vec()),
    }
}

/// Merges a conflict issue by issue: what one side added or changed stays, what one side deleted and the other left alone goes.
fn resolve<'a>(
    conflict: Conflict<'a>,
    merge: Merge<'_>,
    issues: &mut BTreeMap<String, Versions<'a>>,
    mended: &mut Mended,
) {
    let mut read = |lines: Vec<Line<'a>>| {
        let mut side = BTreeMap::new();
        for line in lines {
            put(line, &mut side, mended);
        }
        side.values_mut().for_each(|versions| join(versions, Some(merge)));
        side
    };
    let (mut ours, mut theirs) = (read(conflict.ours), read(conflict.theirs));
    let mut base = conflict.base.map(&mut read).unwrap_or_default();
    let ids: BTreeSet<String> = ours.keys().chain(theirs.keys()).cloned().collect();
    for id in ids {
        let first = |side: &mut BTreeMap<String, Versions<'a>>| {
            side.remove(&id).and_then(|versions| versions.into_iter().next())
        };
        let (one, other, base) = (first(&mut ours), first(&mut theirs), first(&mut base));
        let version = match (one, other) {
            (Some(one), Some(other)) if one.1 == other.1 => Some(one),
            (Some((_, one)), Some((_, other))) => {
                Some((None, merge(base.as_ref().map(|(_, base)| base), &one, &other)))
            }
            (Some(only), None) | (None, Some(only)) => match base {
                Some((_, base)) if base == only.1 => None,
                _ => Some(only),
            },
            (None, None) => None,
        };
        issues.entry(id).or_default().extend(version);
    }
}

/// Makes one of versions that are equal, and with `merge` of all.
fn join(versions: &mut Versions<'_>, merge: Option<Merge<'_>>) {
    let mut at = 1;
    while at < versions.len() {
        if versions[..at].iter().any(|(_, known)| *known == versions[at].1) {
            versions.remove(at);
        } else if let Some(merge) = merge {
            let (_, other) = versions.remove(at);
            let merged = merge(None, &versions[0].1, &other);
            if merged != versions[0].1 {
                versions[0] = (None, merged);
            }
        } else {
            at += 1;
        }
    }
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
fn mirror(issues: &mut BTreeMap<String, Versions<'_>>) {
    let mut waiting: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (id, versions) in issues.iter() {
        for blocker in versions.iter().flat_map(|(_, record)| record.texts("blocked_by")) {
            waiting.entry(blocker).or_default().insert(id.clone());
        }
    }
    for (id, versions) in issues.iter_mut() {
        let expected = waiting.remove(id).unwrap_or_default();
        for (line, record) in versions.iter_mut() {
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
}
