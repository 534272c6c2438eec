//! The counts that beads' lines carry: of what an issue depends on, of what depends on it, of its comments.

use crate::record::Record;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};

/// Their keys.
pub(crate) const KEYS: [&str; 3] = ["dependency_count", "dependent_count", "comment_count"];

/// The counts of an issue on which so many others depend.
pub(crate) fn of(record: &Record, dependents: usize) -> [usize; 3] {
    let comments = record.read_as::<Vec<&RawValue>>("comments").map_or(0, |comments| comments.len());
    [edges(record).len(), dependents, comments]
}

/// How many issues depend on each.
pub(crate) fn dependents<'a>(all: impl Iterator<Item = &'a Record>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for record in all {
        for (_, on) in edges(record) {
            *counts.entry(on).or_insert(0) += 1;
        }
    }
    counts
}

/// Type and other end of each edge, once.
fn edges(record: &Record) -> BTreeSet<(String, String)> {
    let blocks = record.texts("blocked_by").into_iter().map(|on| ("blocks".to_owned(), on));
    let mut edges: BTreeSet<(String, String)> = blocks.collect();
    let list: Vec<&RawValue> = record.read_as("dependencies").unwrap_or_default();
    for edge in list.into_iter().filter_map(|value| Record::read(value.get().as_bytes()).ok()) {
        let kind = edge.text("type").filter(|kind| kind != "blocks");
        edges.extend(kind.zip(edge.text("depends_on_id")));
    }
    edges
}
