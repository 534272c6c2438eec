//! One issue, and how many there are of what.

use super::{Desk, Told};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::collections::BTreeMap;
use wootz_tracker::ready::{Ready, Rules};
use wootz_tracker::time::minute;
use wootz_tracker::{ORIGINAL_STATUS, Record, TrackerError, View};

/// Show an issue with everything that is known of it.
#[derive(clap::Args)]
pub struct Show {
    /// Its ID, or the beginning of one.
    id: String,
}

/// Count issues by status, type and priority.
#[derive(clap::Args)]
pub struct Stats {}

/// Keys that the text of an issue shows in places of their own, or not at all.
const PLACED: [&str; 14] = [
    "id",
    "title",
    "description",
    "status",
    "priority",
    "issue_type",
    "session_id",
    "labels",
    "comments",
    "blocks",
    "blocked_by",
    "dependencies",
    ORIGINAL_STATUS,
    "_type",
];

/// Shows one.
pub fn show(args: &Show, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let record = issues.get(&issues.resolve(&args.id)?)?;
    Ok(Told { text: text(&record), json: record.line() })
}

/// One line for people, the issue for programs.
pub fn shown(text: &str, record: &Record) -> Told {
    Told { text: format!("{text}\n"), json: record.line() }
}

fn text(record: &Record) -> String {
    let of = |key: &str| record.text(key).unwrap_or_default();
    let status = record.text(ORIGINAL_STATUS).unwrap_or_else(|| of("status"));
    let mut rows = vec![
        ("status", status),
        ("priority", record.read_as::<i64>("priority").unwrap_or(2).to_string()),
        ("type", of("issue_type")),
    ];
    rows.extend(record.text("session_id").map(|session| ("session", session)));
    for (key, value) in record.fields().filter(|(key, _)| !PLACED.contains(key)) {
        let told = match serde_json::from_str::<String>(value.get()) {
            Ok(text) if key.ends_with("_at") => minute(&text),
            Ok(text) => text,
            Err(_) => value.get().to_owned(),
        };
        rows.push((key, told));
    }
    for (name, key) in [("labels", "labels"), ("blocked by", "blocked_by"), ("blocks", "blocks")] {
        let list = record.texts(key);
        if !list.is_empty() {
            rows.push((name, list.join(", ")));
        }
    }
    let mut text = format!("{}: {}\n{}", of("id"), of("title"), facts(&rows));
    let edges: Vec<&serde_json::value::RawValue> = record.read_as("dependencies").unwrap_or_default();
    for edge in edges.into_iter().filter_map(|edge| Record::read(edge.get().as_bytes()).ok()) {
        let of = |key: &str| edge.text(key).unwrap_or_default();
        if of("type") != "blocks" {
            text.push_str(&format!("{} {}\n", of("type"), of("depends_on_id")));
        }
    }
    if !of("description").is_empty() {
        text.push_str(&format!("\n{}\n", of("description")));
    }
    for comment in super::shape::comments(record) {
        let of = |key: &str| comment.text(key).unwrap_or_default();
        text.push_str(&format!("\n{} {}: {}\n", minute(&of("created_at")), of("author"), of("text")));
    }
    text
}

/// Counts.
pub fn stats(_: &Stats, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let count = |name: &dyn Fn(&View<'_>) -> String| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for view in &views {
            *counts.entry(name(view)).or_default() += 1;
        }
        counts
    };
    let by_status = count(&|view| view.status().into_owned());
    let by_type = count(&|view| view.kind().into_owned());
    let by_priority = count(&|view| view.priority().to_string());
    let ready = Ready::new(&views, Rules::Wootz, desk.now).all(None).len();
    let mut rows = vec![
        vec!["issues".to_owned(), String::new(), views.len().to_string()],
        vec!["ready".to_owned(), String::new(), ready.to_string()],
    ];
    for (what, counts) in [("status", &by_status), ("type", &by_type), ("priority", &by_priority)] {
        rows.extend(
            counts.iter().map(|(name, count)| vec![what.to_owned(), name.clone(), count.to_string()]),
        );
    }
    let header = [("what", Align::Left), ("", Align::Left), ("issues", Align::Right)];
    Ok(Told {
        text: table(&header, &rows),
        json: json!({
            "issues": views.len(), "ready": ready,
            "by_status": by_status, "by_type": by_type, "by_priority": by_priority,
        })
        .to_string(),
    })
}
