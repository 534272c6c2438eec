//! What two sides changed differently: entries of a record's list `conflicts`, one for each of the values.
//!
//! An entry is `{"field":…,"value":…}`, for a claim with `at`, its time. The list is a set: an entry that is there is not added again, so
//! merging what was merged before adds nothing. A conflict is settled by whoever edits the field and takes its entries away.

use super::value::{Fields, Value};
use crate::record::Record;
use std::collections::BTreeMap;

/// The key of the list.
pub const CONFLICTS: &str = "conflicts";

/// One of the values that a field was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The record; empty where it is no issue.
    pub id: String,
    /// The field; of one within another both, with a dot between.
    pub field: String,
    /// The value as JSON.
    pub value: String,
}

/// The conflicts that a record keeps.
pub fn conflicts(record: &Record) -> Vec<Conflict> {
    let id = record.text("id").unwrap_or_default();
    let fields = Fields::new(record);
    let entries = fields.get(CONFLICTS).map(entries).unwrap_or_default();
    entries.iter().filter_map(|entry| conflict(&id, entry)).collect()
}

pub(super) fn conflict(id: &str, entry: &Value) -> Option<Conflict> {
    let entry = entry.object()?;
    let (field, value) = (entry.text("field")?, entry.get("value")?.raw.get().to_owned());
    Some(Conflict { id: id.to_owned(), field, value })
}

/// The elements of the list; of what is no list, itself.
pub(super) fn entries(value: &Value) -> Vec<Value> {
    match value.list() {
        Some(list) => list,
        None if value.is_null() => Vec::new(),
        None => vec![value.clone()],
    }
}

/// Entries that a merge finds.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub entries: BTreeMap<String, Value>,
}

impl Found {
    pub fn add(&mut self, field: &str, value: &Value, at: Option<&str>) {
        let mut entry = Record::default();
        entry.push("field", field);
        entry.push("value", &value.raw);
        if let Some(at) = at {
            entry.push("at", at);
        }
        let entry = Value::new(&entry.to_raw());
        self.entries.insert(entry.canon().to_owned(), entry);
    }
}
