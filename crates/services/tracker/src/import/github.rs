//! GitHub's issues: the objects of `gh issue list --json ...` and those of its REST interface.
//!
//! Field names are from the manual of `gh` and the published schema of the REST interface; where the two differ both are read. What has no place among
//! beads' keys stays whole under `github`. A pull request, which REST lists among issues, is told and left out.

use super::report::{Place, Remark};
use super::source::Entry;
use crate::record::Record;
use serde_json::value::RawValue;

/// Whether a record is an issue of GitHub.
pub(super) fn is_issue(record: &Record) -> bool {
    record.get("number").is_some() && record.get("title").is_some() && record.get("status").is_none()
}

/// Fields that have a place of their own.
const PLACED: [&str; 12] = [
    "title",
    "body",
    "state",
    "createdAt",
    "created_at",
    "updatedAt",
    "updated_at",
    "closedAt",
    "closed_at",
    "stateReason",
    "state_reason",
    "comments",
];

/// An issue of GitHub with beads' keys.
pub(super) fn entry(place: Place, issue: &Record) -> Entry {
    let number = issue.get("number").map_or("0", |number| number.get()).to_owned();
    let url = issue.text("html_url").or_else(|| issue.text("url"));
    let id = format!("{}-{number}", repository(url.as_deref()).unwrap_or_else(|| "gh".to_owned()));
    let mut changes = Vec::new();
    let mut note = |field: &str, message: String| {
        changes.push(Remark { place: place.clone(), id: Some(id.clone()), field: field.to_owned(), message });
    };
    if issue.get("pull_request").is_some_and(|pull| pull.get() != "null") {
        note("pull_request", "a pull request is no issue: it is left out".to_owned());
        let mut entry = Entry::refused(place, Some(id), "pull_request", String::new());
        entry.changes = changes;
        entry.is_left_out = true;
        return entry;
    }
    let mut record = Record::default();
    record.push("id", &id);
    record.push("title", &issue.text("title").unwrap_or_default());
    record.push("description", &issue.text("body").unwrap_or_default());
    let is_closed = issue.text("state").is_some_and(|state| state.eq_ignore_ascii_case("closed"));
    record.push("status", if is_closed { "closed" } else { "open" });
    let labels = names(issue, "labels", "name");
    record.push("priority", &priority(&labels).unwrap_or(2));
    record.push("issue_type", &kind(issue, &labels));
    record.push("labels", &labels);
    let comments = comments(issue);
    record.push("comments", &comments.clone().unwrap_or_default());
    for (key, camel) in [("created_at", "createdAt"), ("updated_at", "updatedAt"), ("closed_at", "closedAt")]
    {
        if let Some(time) = issue.text(camel).or_else(|| issue.text(key)).filter(|time| !time.is_empty()) {
            record.push(key, &time);
        }
    }
    let reason = issue.text("stateReason").or_else(|| issue.text("state_reason"));
    if let Some(reason) = reason.filter(|reason| is_closed && !reason.is_empty()) {
        record.push("close_reason", &reason.to_lowercase());
    }
    if let Some(assignee) = names(issue, "assignees", "login").first() {
        record.push("assignee", assignee);
    }
    let author = named(issue, "author", "login").or_else(|| named(issue, "user", "login"));
    if let Some(author) = author {
        record.push("created_by", &author);
    }
    if let Some(url) = &url {
        record.push("external_ref", url);
    }
    let edges = edges(issue, &id);
    if !edges.is_empty() {
        record.push("dependencies", &edges);
    }
    if comments.is_none() && issue.get("comments").is_some_and(|count| !matches!(count.get(), "0" | "null")) {
        note("comments", "the file has their number only".to_owned());
    }
    let mut rest = Record::default();
    for (key, value) in issue.fields() {
        if !PLACED.contains(&key) || key == "comments" && comments.is_none() {
            rest.push(key, value);
        }
    }
    record.push("github", &rest.to_raw());
    Entry { place, from: "github", record: Ok(record), changes, is_left_out: false }
}

/// The repository's name, as an ID can begin.
fn repository(url: Option<&str>) -> Option<String> {
    let (before, _) = url?.rsplit_once("/issues/")?;
    let name = before.rsplit('/').next()?.to_lowercase();
    let name: String =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let name = name.trim_matches('-');
    (!name.is_empty()).then(|| name.to_owned())
}

/// The texts of a list, of objects by one of their keys.
fn names(issue: &Record, list: &str, key: &str) -> Vec<String> {
    let values: Vec<&RawValue> = issue.read_as(list).unwrap_or_default();
    let name = |value: &&RawValue| match Record::read(value.get().as_bytes()) {
        Ok(object) => object.text(key),
        Err(_) => serde_json::from_str(value.get()).ok(),
    };
    values.iter().filter_map(name).collect()
}

fn named(issue: &Record, object: &str, key: &str) -> Option<String> {
    Record::read(issue.get(object)?.get().as_bytes()).ok()?.text(key).filter(|text| !text.is_empty())
}

/// What labels say of urgency: `p0` to `p4`, also behind `priority:` or `priority/`.
fn priority(labels: &[String]) -> Option<u8> {
    labels.iter().find_map(|label| {
        let label = label.to_lowercase();
        let word = label.strip_prefix("priority").unwrap_or(&label).trim_start_matches([':', '/', ' ', '-']);
        match word {
            "p0" | "critical" | "urgent" => Some(0),
            "p1" | "high" => Some(1),
            "p2" | "medium" => Some(2),
            "p3" | "low" => Some(3),
            "p4" | "lowest" => Some(4),
            _ => None,
        }
    })
}

/// The type that GitHub names, or that a label does.
fn kind(issue: &Record, labels: &[String]) -> String {
    let named = named(issue, "issueType", "name").or_else(|| named(issue, "type", "name"));
    let words = named.iter().chain(labels).map(|word| word.to_lowercase());
    let known = words.filter_map(|word| match word.as_str() {
        "bug" => Some("bug"),
        "enhancement" | "feature" => Some("feature"),
        "epic" => Some("epic"),
        "chore" => Some("chore"),
        "task" => Some("task"),
        _ => None,
    });
    known.into_iter().next().unwrap_or("task").to_owned()
}

/// Comments where the file has them; what else each says stays in it.
fn comments(issue: &Record) -> Option<Vec<Box<RawValue>>> {
    let values: Vec<&RawValue> = issue.read_as("comments")?;
    let comments = values.into_iter().map(|value| {
        let Ok(found) = Record::read(value.get().as_bytes()) else { return value.to_owned() };
        let author = named(&found, "author", "login").or_else(|| named(&found, "user", "login"));
        let mut comment = Record::default();
        comment.push("author", &author.unwrap_or_else(|| "anonymous".to_owned()));
        comment.push("text", &found.text("body").unwrap_or_default());
        if let Some(time) = found.text("createdAt").or_else(|| found.text("created_at")) {
            comment.push("created_at", &time);
        }
        for (key, value) in found.fields() {
            let placed = ["author", "text", "body", "createdAt", "created_at"];
            if !placed.contains(&key)
                || key == "author"
                    && found.get("user").is_none()
                    && named(&found, "author", "login").is_none()
            {
                comment.push(if key == "author" { "github_author" } else { key }, value);
            }
        }
        comment.to_raw()
    });
    Some(comments.collect())
}

/// The issue that this one is part of, and those that block it, where the file names them.
fn edges(issue: &Record, id: &str) -> Vec<Box<RawValue>> {
    let family = id.rsplit_once('-').map_or("gh", |(family, _)| family);
    let edge = |number: &str, kind: &str| {
        let mut edge = Record::default();
        edge.push("issue_id", id);
        edge.push("depends_on_id", &format!("{family}-{number}"));
        edge.push("type", kind);
        edge.to_raw()
    };
    let number = |json: &RawValue| {
        let object = Record::read(json.get().as_bytes()).ok()?;
        let number: u64 = object.read_as("number")?;
        Some(number.to_string())
    };
    let mut edges = Vec::new();
    edges.extend(issue.get("parent").and_then(number).map(|number| edge(&number, "parent-child")));
    if let Some(blockers) = issue.get("blockedBy") {
        let nodes = Record::read(blockers.get().as_bytes()).ok();
        let list = nodes.as_ref().and_then(|nodes| nodes.get("nodes")).unwrap_or(blockers);
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).unwrap_or_default();
        edges.extend(list.into_iter().filter_map(number).map(|number| edge(&number, "blocks")));
    }
    edges
}
