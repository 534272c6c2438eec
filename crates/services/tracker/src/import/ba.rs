//! What `ba` says of a record of beads: which it refuses, and with which words.

use super::report::Remark;
use super::source::Entry;
use crate::actions::BA_TYPES;
use crate::ownership::Status;
use crate::record::Record;
use crate::time;
use serde::Deserialize;

/// What `ba` reads of a record. A field that has another type refuses the record.
#[derive(Deserialize)]
struct BeadsIssue {
    id: String,
    #[serde(rename = "title")]
    _title: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default = "open")]
    status: String,
    #[serde(default, rename = "priority")]
    _priority: u8,
    #[serde(default = "task")]
    issue_type: String,
    created_at: String,
    updated_at: String,
    #[serde(default)]
    closed_at: Option<String>,
    #[serde(default, rename = "dependencies")]
    _dependencies: Option<Vec<Dependency>>,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(rename = "issue_id")]
    _issue_id: String,
    #[serde(rename = "depends_on_id")]
    _depends_on_id: String,
    #[serde(rename = "type")]
    _kind: String,
}

fn open() -> String {
    "open".to_owned()
}

fn task() -> String {
    "task".to_owned()
}

/// Why a record is not even read; the first of two passes.
pub(super) fn unread(entry: &Entry, record: &Record) -> Option<Remark> {
    match read(record) {
        Ok(_) => None,
        Err(error) => {
            let id = record.text("id");
            Some(Remark {
                place: entry.place.clone(),
                id,
                field: "parsing".to_owned(),
                message: error.to_string(),
            })
        }
    }
}

fn read(record: &Record) -> Result<BeadsIssue, serde_json::Error> {
    let value: serde_json::Value = serde_json::from_str(&record.line())?;
    serde_json::from_value(value)
}

/// What is said of a record that was read, and whether it is refused; the second pass.
pub(super) fn unconverted(entry: &Entry, record: &Record) -> (Vec<Remark>, bool) {
    let Ok(issue) = read(record) else { return (Vec::new(), true) };
    let mut remarks = Vec::new();
    let mut say = |field: &str, message: String| {
        let (place, id) = (entry.place.clone(), Some(issue.id.clone()));
        remarks.push(Remark { place, id, field: field.to_owned(), message });
    };
    if Status::named(&issue.status).is_none() {
        say("status", format!("Unknown status '{}', expected open/in_progress/closed", issue.status));
        return (remarks, true);
    }
    if !BA_TYPES.contains(&issue.issue_type.as_str()) {
        say("issue_type", format!("Unknown type '{}' mapped to 'task'", issue.issue_type));
    }
    let mut refused = false;
    let closed_at = issue.closed_at.as_deref().map(|time| ("closed_at", time));
    let times = [("created_at", issue.created_at.as_str()), ("updated_at", issue.updated_at.as_str())];
    for (field, text) in times.into_iter().chain(closed_at) {
        if time::read(text).is_none() {
            say(field, format!("Invalid timestamp '{text}'"));
            refused = true;
        }
    }
    (remarks, refused)
}
