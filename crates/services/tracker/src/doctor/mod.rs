//! What is wrong with a store, each with file and line, and its repair as far as that loses nothing.
//!
//! `issues.jsonl` is read line by line, so that what makes every other command fail can be told. A repair works under the store's lock: conflicts that
//! a merge of branches left are merged issue by issue, what cannot be read moves to [`REJECTED`] beside the file, values that `ba` could not read get
//! its types and stay in the issue as they were, lists mirror each other again, temporary files of crashes go. What only a person can decide, such as
//! a ring of issues that wait for each other or a title that two branches changed, is told and left.

mod document;
mod examine;
mod rests;
mod rings;

pub use rings::rings;

use crate::store::{Store, TrackerError};
use jiff::Timestamp;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

/// The file that takes the lines that cannot be read.
pub const REJECTED: &str = "issues.jsonl.rejected";

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A merge of branches left both versions.
    Conflict,
    /// A line that is no record.
    Unreadable,
    /// The last line, which is no record and has no end.
    Torn,
    /// A record that is no issue, which `ba` cannot read.
    NoIssue,
    /// An ID that stands several times.
    Duplicate,
    /// A value that `ba` cannot read.
    Value,
    /// A status that is none of the three.
    Status,
    /// An open issue with an owner.
    Owner,
    /// Two lists that do not mirror each other.
    Mirror,
    /// A blocker that is not there.
    Dangling,
    /// Issues that wait for each other.
    Cycle,
    /// What both sides of a merge changed, of which the issue shows one.
    Undecided,
    /// What a crash left.
    Temporary,
    /// An event that was announced by a command that did not end.
    Unsettled,
}

impl Kind {
    /// One stable word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Conflict => "conflict",
            Kind::Unreadable => "unreadable",
            Kind::Torn => "torn",
            Kind::NoIssue => "no_issue",
            Kind::Duplicate => "duplicate",
            Kind::Value => "value",
            Kind::Status => "status",
            Kind::Owner => "owner",
            Kind::Mirror => "mirror",
            Kind::Dangling => "dangling",
            Kind::Cycle => "cycle",
            Kind::Undecided => "undecided",
            Kind::Temporary => "temporary",
            Kind::Unsettled => "unsettled",
        }
    }

    /// Whether the store cannot be worked with as long as this is so.
    pub fn is_fatal(self) -> bool {
        matches!(self, Kind::Conflict | Kind::Unreadable | Kind::Torn)
    }

    /// Whether a repair can be made without anybody's decision.
    pub fn is_repairable(self) -> bool {
        !matches!(self, Kind::Dangling | Kind::Cycle | Kind::Undecided)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// In which file.
    pub file: PathBuf,
    /// On which line, from 1.
    pub line: Option<usize>,
    /// Of which issue.
    pub id: Option<String>,
    /// What.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        write!(f, " {}", self.message)
    }
}

/// What a repair did.
#[derive(Debug, Clone, Default)]
pub struct Repair {
    /// What was wrong and is no more.
    pub repaired: Vec<Finding>,
    /// What is wrong still.
    pub left: Vec<Finding>,
    /// Where lines went that cannot be read.
    pub moved_to: Option<PathBuf>,
}

/// All that is wrong, in the order of the file.
pub fn examine(store: &Store, now: Timestamp) -> Result<Vec<Finding>, TrackerError> {
    let (bytes, rests) = store.reading(|| Ok((store.bytes_if_any()?, rests::find(store)?)))?;
    let mut findings = examine::examine(&store.file(), &document::read(&bytes), now);
    findings.extend(rests);
    Ok(findings)
}

/// Repairs what can be repaired.
pub fn fix(store: &Store, now: Timestamp) -> Result<Repair, TrackerError> {
    store.rewrite(|bytes| {
        let file = store.file();
        let lines = document::read(bytes);
        let before = examine::examine(&file, &lines, now);
        let mut repair = Repair::default();
        let (cleared, rests): (Vec<_>, Vec<_>) =
            rests::find(store)?.into_iter().partition(|finding| rests::clear(store, finding, bytes));
        repair.repaired.extend(cleared);
        if !before.iter().any(|finding| finding.kind.is_repairable()) {
            repair.left.extend(rests.into_iter().chain(before));
            return Ok((None, repair));
        }
        let mended = examine::mend(&file, &lines, now)?;
        if !mended.rejected.is_empty() {
            repair.moved_to = Some(reject(store, &mended.rejected)?);
        }
        store.add_records(&mended.others)?;
        // Where the file could not be read before, it can be now.
        let (cleared, rests): (Vec<_>, Vec<_>) =
            rests.into_iter().partition(|finding| rests::clear(store, finding, &mended.bytes));
        repair.repaired.extend(cleared);
        repair.left.extend(rests);
        let after = examine::examine(&file, &document::read(&mended.bytes), now);
        let is_left = |finding: &Finding| {
            after
                .iter()
                .any(|one| (one.kind, &one.id, &one.message) == (finding.kind, &finding.id, &finding.message))
        };
        repair.repaired.extend(before.into_iter().filter(|finding| !is_left(finding)));
        repair.left.extend(after);
        Ok((Some(mended.bytes), repair))
    })
}

/// Adds lines to those that cannot be read; one that is there is so because a repair was cut short.
fn reject(store: &Store, lines: &[Vec<u8>]) -> Result<PathBuf, TrackerError> {
    let path = store.folder().join(REJECTED);
    let mut bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        bytes => bytes.map_err(|error| TrackerError::io("read", &path, error))?,
    };
    let known: HashSet<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for line in lines.iter().filter(|line| !known.contains(*line)) {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    store.replace(&path, &bytes)?;
    Ok(path)
}
