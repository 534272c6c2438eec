//! Issues as people read them in the `ba` role: tables, one issue whole, and JSON with the keys that readers expect.

use std::fmt::Write;
use wootz_tracker::ownership::Status;
use wootz_tracker::{Record, View, scan, time};

/// Cut to so many letters, the last three of which are dots.
pub fn cut(title: &str, letters: usize) -> String {
    match title.char_indices().nth(letters) {
        None => title.to_owned(),
        Some(_) => title.chars().take(letters - 3).chain("...".chars()).collect(),
    }
}

/// The table of `list`.
pub fn list(views: &[&View<'_>]) -> String {
    if views.is_empty() {
        return "No issues found.\n".to_owned();
    }
    let mut text = format!("\n  ID        P  TYPE     STATUS       TITLE\n  {}\n", "-".repeat(70));
    for view in views {
        let (id, priority, kind, status) = (view.id(), view.priority(), view.kind(), view.line_status());
        let _ = writeln!(text, "  {id:<9} {priority}  {kind} {status} {}", cut(&view.title(), 40));
    }
    let count = |status: Status| views.iter().filter(|view| view.line_status() == status.name()).count();
    let [open, in_progress, closed] = Status::ALL.map(count);
    let _ =
        writeln!(text, "\n{} issues ({open} open, {in_progress} in_progress, {closed} closed)", views.len());
    text
}

/// The table of `ready` and `mine`.
pub fn short_list(views: &[&View<'_>], footer: &str) -> String {
    let mut text = format!("\n  ID        P  TYPE     TITLE\n  {}\n", "-".repeat(60));
    for view in views {
        let (id, priority, kind) = (view.id(), view.priority(), view.kind());
        let _ = writeln!(text, "  {id:<9} {priority}  {kind} {}", cut(&view.title(), 40));
    }
    let _ = writeln!(text, "\n{} issue(s) {footer}", views.len());
    text
}

/// An issue whole.
pub fn show(record: &Record) -> String {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let mut shown = format!("\n{}: {}\n{}\n", text("id"), text("title"), "-".repeat(60));
    let priority: i64 = record.read_as("priority").unwrap_or(2);
    let _ = writeln!(shown, "Status:   {} Priority: P{priority}", text("status"));
    let _ = writeln!(shown, "Type:     {}", text("issue_type"));
    if let Some(session) = record.text("session_id") {
        let _ = writeln!(shown, "Session:  {session}");
    }
    for (name, key) in [("Created:", "created_at"), ("Updated:", "updated_at"), ("Closed:", "closed_at")] {
        if let Some(at) = record.text(key) {
            let _ = writeln!(shown, "{name:<10}{}", time::minute(&at));
        }
    }
    if !text("description").is_empty() {
        let _ = writeln!(shown, "\nDescription:\n{}", text("description"));
    }
    let names = |key: &str| Some(record.texts(key).join(", ")).filter(|names| !names.is_empty());
    if let Some(names) = names("blocked_by") {
        let _ = writeln!(shown, "\nBlocked by: {names}");
    }
    if let Some(names) = names("blocks") {
        let _ = writeln!(shown, "Blocks: {names}");
    }
    if let Some(names) = names("labels") {
        let _ = writeln!(shown, "\nLabels: {names}");
    }
    let comments: Vec<serde_json::Value> = record.read_as("comments").unwrap_or_default();
    if !comments.is_empty() {
        let _ = writeln!(shown, "\nComments ({}):", comments.len());
        for comment in &comments {
            let text = |key: &str| comment[key].as_str().unwrap_or_default().to_owned();
            let at = time::minute(&text("created_at"));
            let _ = writeln!(shown, "  [{at}] {}: {}", text("author"), text("text"));
        }
    }
    shown
}

/// Keys that every issue has when it is printed, with what is meant where a line does not say.
const ALWAYS: [(&str, &str); 6] = [
    ("description", "\"\""),
    ("priority", "2"),
    ("labels", "[]"),
    ("comments", "[]"),
    ("blocks", "[]"),
    ("blocked_by", "[]"),
];

/// An issue as one line of JSON.
pub fn json(record: &Record) -> String {
    let mut record = record.clone();
    for (key, value) in ALWAYS {
        if record.get(key).is_none() {
            let value: serde_json::Value = serde_json::from_str(value).unwrap_or_default();
            record.set(key, &value);
        }
    }
    record.line()
}

/// Issues as one line of JSON: their lines as they are, where they have what every issue has.
pub fn json_list(views: &[&View<'_>]) -> String {
    let mut text = String::from("[");
    let mut fields = Vec::new();
    for (at, view) in views.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        let line = view.line();
        let is_whole = scan::fields(line, &mut fields).is_some()
            && ALWAYS.iter().all(|(key, _)| fields.iter().any(|(known, _)| *known == key.as_bytes()));
        match std::str::from_utf8(line) {
            Ok(line) if is_whole => text.push_str(line),
            _ => text.push_str(&Record::read(line).map(|record| json(&record)).unwrap_or_default()),
        }
    }
    text + "]\n"
}
