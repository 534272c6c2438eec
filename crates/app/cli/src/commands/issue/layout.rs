//! How `ba` prints: tables, one issue, trees. Scripts read these, so each space counts, also where a column looks wrong.

use super::shape;
use wootz_tracker::graph::{Below, Place};
use wootz_tracker::time::minute;
use wootz_tracker::{Record, View};

/// The table of `list`, with how many of each status it shows.
pub fn list(views: &[&View<'_>]) -> String {
    let mut text = format!("\n  ID        P  TYPE     STATUS       TITLE\n  {}\n", "-".repeat(70));
    let mut counts = [0; 3];
    for view in views {
        let told = view.line_status();
        let status = shape::ba_status(&told);
        counts[["open", "in_progress", "closed"].iter().position(|name| *name == status).unwrap_or(0)] += 1;
        text.push_str(&row(view, &format!("{status} ")));
    }
    let [open, in_progress, closed] = counts;
    text.push_str(&format!(
        "\n{} issues ({open} open, {in_progress} in_progress, {closed} closed)\n",
        views.len()
    ));
    text
}

/// The tables of `ready` and `mine`.
pub fn work(views: &[&View<'_>], footer: &str) -> String {
    let mut text = format!("\n  ID        P  TYPE     TITLE\n  {}\n", "-".repeat(60));
    for view in views {
        text.push_str(&row(view, ""));
    }
    text.push_str(&format!("\n{} issue(s) {footer}\n", views.len()));
    text
}

fn row(view: &View<'_>, status: &str) -> String {
    let kind = view.kind();
    let kind = shape::ba_type(&kind);
    format!("  {:<9} {}  {kind} {status}{}\n", view.id(), view.priority(), cut(&view.title(), 40))
}

/// The first letters of a title that is too long. `ba` counts bytes here, and fails between two of a letter.
pub fn cut(title: &str, limit: usize) -> String {
    if title.chars().count() <= limit {
        return title.to_owned();
    }
    title.chars().take(limit - 3).chain("...".chars()).collect()
}

/// One issue.
pub fn show(record: &Record) -> String {
    let of = |key: &str| record.text(key).unwrap_or_default();
    let mut text = format!("\n{}: {}\n{}\n", of("id"), of("title"), "-".repeat(60));
    let priority: i64 = record.read_as("priority").unwrap_or(2);
    let (status, kind) = (of("status"), of("issue_type"));
    text.push_str(&format!("Status:   {} Priority: P{priority}\n", shape::ba_status(&status)));
    text.push_str(&format!("Type:     {}\n", shape::ba_type(&kind)));
    if let Some(session) = record.text("session_id") {
        text.push_str(&format!("Session:  {session}\n"));
    }
    for (name, key) in [("Created:", "created_at"), ("Updated:", "updated_at"), ("Closed:", "closed_at")] {
        if let Some(time) = record.text(key) {
            text.push_str(&format!("{name:<9} {}\n", minute(&time)));
        }
    }
    if !of("description").is_empty() {
        text.push_str(&format!("\nDescription:\n{}\n", of("description")));
    }
    let (blocked_by, blocks, labels) =
        (record.texts("blocked_by"), record.texts("blocks"), record.texts("labels"));
    if !blocked_by.is_empty() {
        text.push_str(&format!("\nBlocked by: {}\n", blocked_by.join(", ")));
    }
    if !blocks.is_empty() {
        text.push_str(&format!("Blocks: {}\n", blocks.join(", ")));
    }
    if !labels.is_empty() {
        text.push_str(&format!("\nLabels: {}\n", labels.join(", ")));
    }
    let comments = shape::comments(record);
    if !comments.is_empty() {
        text.push_str(&format!("\nComments ({}):\n", comments.len()));
    }
    for comment in comments {
        let of = |key: &str| comment.text(key).unwrap_or_default();
        text.push_str(&format!("  [{}] {}: {}\n", minute(&of("created_at")), of("author"), of("text")));
    }
    text
}

/// A tree; `told` gives title and status of an issue.
pub fn tree(places: &[Place], told: impl Fn(&str) -> (String, String)) -> String {
    let mut text = String::from("\n");
    // How far the indentation of each depth goes.
    let mut indent = String::new();
    let mut ends: Vec<usize> = Vec::new();
    for place in places {
        ends.truncate(place.depth);
        indent.truncate(ends.last().copied().unwrap_or(0));
        text.push_str(&indent);
        if place.depth > 0 {
            text.push_str(if place.is_last { "└── " } else { "├── " });
            indent.push_str(if place.is_last { "    " } else { "│   " });
        }
        ends.push(indent.len());
        let id = &place.id;
        text.push_str(&match place.below {
            Below::Ring => format!("{id} [CYCLE]\n"),
            Below::Missing => format!("{id} [MISSING]\n"),
            Below::Walked => {
                let (title, status) = told(id);
                format!("{id}: {} [{}]\n", cut(&title, 30), status.to_uppercase())
            }
        });
    }
    text
}

/// A tree as JSON on one line; what is below an issue stands under a key of its own.
pub fn tree_json(places: &[Place], under: &str, told: impl Fn(&str) -> (String, String)) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    let close = |out: &mut String, id: &str| {
        let (title, status) = told(id);
        let (id, status, title) = (shape::text(id), shape::text(&status), shape::text(&title));
        out.push_str(&format!("],\"id\":{id},\"status\":{status},\"title\":{title}}}"));
    };
    for place in places {
        while open.len() > place.depth {
            close(&mut out, open.pop().unwrap_or_default());
        }
        if out.ends_with('}') {
            out.push(',');
        }
        match place.below {
            Below::Ring => out.push_str(&format!("{{\"cycle\":true,\"id\":{}}}", shape::text(&place.id))),
            Below::Missing => {
                out.push_str(&format!("{{\"id\":{},\"missing\":true}}", shape::text(&place.id)))
            }
            Below::Walked => {
                out.push_str(&format!("{{\"{under}\":["));
                open.push(&place.id);
            }
        }
    }
    while let Some(id) = open.pop() {
        close(&mut out, id);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_cut_between_letters() {
        assert_eq!(cut(&"x".repeat(40), 40), "x".repeat(40));
        assert_eq!(cut(&"x".repeat(41), 40), format!("{}...", "x".repeat(37)));
        assert_eq!(cut(&"é".repeat(41), 40), format!("{}...", "é".repeat(37)));
        assert_eq!(cut(&"日".repeat(31), 30), format!("{}...", "日".repeat(27)));
    }
}
