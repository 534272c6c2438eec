//! What an import did: counts, what was refused, what stands otherwise than it came, and where.

use crate::record::Record;
use std::collections::BTreeMap;
use std::fmt;

/// Where in the source something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line, from 1.
    Line(usize),
    /// A file of a folder.
    File(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "Line {line}"),
            Place::File(name) => f.write_str(name),
        }
    }
}

/// Something about one issue of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where it stands.
    pub place: Place,
    /// Its ID in the source, where it has one.
    pub id: Option<String>,
    /// The field, or the step that failed: `json`, `parsing`.
    pub field: String,
    /// What is wrong, or what was done.
    pub message: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Remark { place, id, field, message } = self;
        match id {
            Some(id) => write!(f, "{place}: Issue '{id}' - {field}: {message}"),
            None => write!(f, "{place}: {field}: {message}"),
        }
    }
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Issues that are new in the store.
    pub imported: usize,
    /// Issues that were there already, which stay as they are.
    pub skipped: usize,
    /// Records that are no issues and are new beside the store.
    pub records: usize,
    /// What the role calls errors, in its order: each refused line, and under `ba` also types that it does not know.
    pub errors: Vec<Remark>,
    /// How many lines were refused.
    pub refused: usize,
    /// What stands otherwise in the store than it came; the store has kept what it was.
    pub changes: Vec<Remark>,
    /// The ID that each issue of the source has in the store, sorted.
    pub ids: BTreeMap<String, String>,
}

impl Report {
    /// For people; several changes of one kind are told once.
    pub fn text(&self) -> String {
        let Report { imported, skipped, records, errors, changes, .. } = self;
        let mut text = format!("Imported {imported} issues ({skipped} skipped, {} errors)\n", errors.len());
        if *records > 0 {
            text.push_str(&format!("Kept {records} records that are no issues\n"));
        }
        if !errors.is_empty() {
            text.push_str("\nErrors:\n");
            text.extend(errors.iter().map(|error| format!("  {error}\n")));
        }
        if !changes.is_empty() {
            text.push_str("\nChanged, with what it was kept in the issue:\n");
            let mut kinds: BTreeMap<(&str, &str), Vec<&Remark>> = BTreeMap::new();
            for change in changes {
                kinds.entry((&change.field, &change.message)).or_default().push(change);
            }
            for ((field, message), of_kind) in kinds {
                match of_kind[..] {
                    [one] => text.push_str(&format!("  {one}\n")),
                    _ => text.push_str(&format!(
                        "  {field}: {message} ({} issues, first {})\n",
                        of_kind.len(),
                        of_kind[0].place
                    )),
                }
            }
        }
        text
    }

    /// For programs: the counts.
    pub fn counts(&self) -> Record {
        let mut counts = Record::default();
        counts.push("imported", &self.imported);
        counts.push("skipped", &self.skipped);
        counts.push("errors", &self.errors.len());
        counts
    }
}
