//! An issue as each side has it, in values that can be compared.
//!
//! A field of either side is one text: what it would be after a way to Jira and back. Labels are a set, which is written sorted with a
//! space between two, because Jira's have none within.

use super::adf;
use super::maps::Maps;
use crate::record::Record;
use crate::time;
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
pub use wootz_schema::jira::{JiraField as Field, JiraFields as Fields};

/// Labels that begin with this carry the ID of an issue of ours.
pub const MARKER: &str = "wootz-id-";

/// An issue of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// Its ID.
    pub id: String,
    /// Its values.
    pub fields: Fields,
    /// When it was changed.
    pub updated: Timestamp,
    /// Where it is found elsewhere.
    pub external_ref: Option<String>,
    /// The issues of which it is a part.
    pub parents: Vec<String>,
}

/// An issue of Jira's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// What stays when an issue is moved to another project.
    pub number: String,
    /// Its key.
    pub key: String,
    /// Its values.
    pub fields: Fields,
    /// When it was changed, as Jira writes it.
    pub updated: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When it was resolved.
    pub resolved: Option<Timestamp>,
    /// The ID that a label carries.
    pub marker: Option<String>,
}

impl Local {
    /// Of a record; `None` where it is no issue.
    pub fn of(record: &Record, maps: &Maps) -> Option<Local> {
        let text = |key: &str| record.text(key).unwrap_or_default();
        let id = record.text("id")?;
        record.get("created_at")?;
        let status = record.text(ORIGINAL_STATUS).or_else(|| record.text("status"));
        let priority: i64 = record.read_as("priority").unwrap_or(2);
        let assignee = record.text("assignee").or_else(|| record.text("owner")).unwrap_or_default();
        let fields = Fields::from([
            (Field::Title, title(&text("title"))),
            (Field::Description, text("description")),
            (Field::Status, maps.status_of(status.as_deref().unwrap_or("open"))),
            (Field::Priority, maps.priority.agreed(&priority.clamp(0, 4).to_string()).to_owned()),
            (Field::Kind, maps.kind.agreed(&text("issue_type")).to_owned()),
            (Field::Labels, labels(&record.texts("labels"))),
            (Field::Assignee, assignee.trim().to_owned()),
        ]);
        Some(Local {
            parents: parents(record, &id),
            fields,
            updated: time::read(&text("updated_at")).unwrap_or(Timestamp::MIN),
            external_ref: record.text("external_ref").filter(|text| !text.is_empty()),
            id,
        })
    }
}

impl Remote {
    /// Of one of the objects that Jira sends; `None` where it is none.
    pub fn of(issue: &Value, maps: &Maps) -> Option<Remote> {
        let fields = &issue["fields"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = |key: &str| fields[key]["name"].as_str().unwrap_or_default();
        let all = fields["labels"].as_array();
        let all: Vec<String> = all.into_iter().flatten().map(text).collect();
        let marker = all.iter().find_map(|label| label.strip_prefix(MARKER)).map(str::to_owned);
        let own: Vec<String> = all.into_iter().filter(|label| !label.starts_with(MARKER)).collect();
        let time = |key: &str| time::read(fields[key].as_str()?);
        Some(Remote {
            number: text(&issue["id"]),
            key: issue["key"].as_str()?.to_owned(),
            fields: Fields::from([
                (Field::Title, title(&text(&fields["summary"]))),
                (Field::Description, adf::to_text(&fields["description"])),
                (Field::Status, maps.status.from_jira(name("status")).to_owned()),
                (Field::Priority, maps.priority.from_jira(name("priority")).to_owned()),
                (Field::Kind, maps.kind.from_jira(name("issuetype")).to_owned()),
                (Field::Labels, labels(&own)),
                (Field::Assignee, text(&fields["assignee"]["displayName"]).trim().to_owned()),
            ]),
            updated: text(&fields["updated"]),
            created: time("created"),
            resolved: time("resolutiondate"),
            marker,
        })
    }

    /// A number of its values.
    pub fn hash(&self) -> String {
        let parts: Vec<String> = self.fields.iter().map(|(field, value)| mark(*field, value)).collect();
        digest(&parts.join("\n"))
    }

    /// When it was changed.
    pub fn changed(&self) -> Timestamp {
        time::read(&self.updated).unwrap_or(Timestamp::MIN)
    }
}

/// What is kept of a value to see whether it is another: itself, or of a long one a number.
pub fn mark(field: Field, value: &str) -> String {
    match field {
        Field::Description => digest(value),
        _ => value.to_owned(),
    }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A title as Jira takes it: one line of at most 255 letters.
fn title(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().take(255).collect::<String>().trim_end() {
        "" => "(no title)".to_owned(),
        line => line.to_owned(),
    }
}

/// A label as Jira takes it.
pub fn label(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join("-")
}

/// Labels as one text.
pub fn labels<T: AsRef<str>>(labels: &[T]) -> String {
    let set: BTreeSet<String> = labels.iter().map(|text| label(text.as_ref())).collect();
    set.into_iter().filter(|label| !label.is_empty()).collect::<Vec<_>>().join(" ")
}

fn parents(record: &Record, id: &str) -> Vec<String> {
    let dependencies: Vec<Value> = record.read_as("dependencies").unwrap_or_default();
    let of = |dependency: &Value| {
        let on = dependency["depends_on_id"].as_str()?;
        (dependency["type"] == "parent-child").then(|| on.to_owned())
    };
    let by_name = id.rsplit_once('.').map(|(parent, _)| parent.to_owned());
    dependencies.iter().filter_map(of).chain(by_name).collect()
}

/// Brings values of Jira's into a record.
pub fn apply(record: &mut Record, fields: &Fields, remote: &Remote, maps: &Maps) {
    for (field, value) in fields {
        match field {
            Field::Title => record.set("title", value),
            Field::Description => record.set("description", value),
            Field::Status => set_status(record, value, remote),
            Field::Priority => record.set("priority", &value.parse::<u8>().unwrap_or(2).min(4)),
            Field::Kind => record.set("issue_type", value),
            Field::Labels => set_labels(record, value),
            Field::Assignee => set_assignee(record, value),
        }
    }
    let known = record.text("updated_at").and_then(|text| time::read(&text));
    if let Some(changed) = time::read(&remote.updated)
        && !fields.is_empty()
        && known.is_none_or(|known| known < changed)
    {
        record.set("updated_at", &time::stored(changed));
    }
    debug_assert!(fields.is_empty() || Local::of(record, maps).is_some());
}

fn set_status(record: &mut Record, status: &str, remote: &Remote) {
    record.remove(ORIGINAL_STATUS);
    match status {
        "closed" => {
            let at = remote.resolved.unwrap_or_else(|| remote.changed());
            record.set("status", "closed");
            record.set("closed_at", &time::stored(at));
            record.remove("session_id");
        }
        "in_progress" => record.set("status", "in_progress"),
        "open" => {
            record.set("status", "open");
            record.remove("session_id");
        }
        other => {
            record.set("status", "in_progress");
            record.set(ORIGINAL_STATUS, other);
        }
    }
    if status != "closed" {
        record.remove("closed_at");
    }
}

/// Labels that stay keep their spelling.
fn set_labels(record: &mut Record, value: &str) {
    let wanted: BTreeSet<&str> = value.split_whitespace().collect();
    let mut all: Vec<String> =
        record.texts("labels").into_iter().filter(|own| wanted.contains(label(own).as_str())).collect();
    let known: BTreeSet<String> = all.iter().map(|own| label(own)).collect();
    all.extend(wanted.into_iter().filter(|label| !known.contains(*label)).map(str::to_owned));
    all.sort();
    record.set("labels", &all);
}

/// `owner` is where other importers put the name, `assignee` is what questions for work look at; where both stand, they are one.
fn set_assignee(record: &mut Record, name: &str) {
    for key in ["assignee", "owner"] {
        match name {
            "" => record.remove(key),
            name => record.set(key, name),
        }
    }
}
