//! What can be done to issues: each a function of the issues, of what is asked, and of the time.
//!
//! Two lists mirror each other, `blocked_by` of the one and `blocks` of the other; both are written, `blocked_by` is the truth.

use crate::id;
use crate::lease;
use crate::ownership::{self, Move, Status};
use crate::record::Record;
use crate::store::{Config, Issues, TrackerError};
use crate::time::stored;
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use std::collections::HashSet;

/// Types that `ba` knows; it reads others as `task`.
pub const BA_TYPES: [&str; 4] = ["task", "epic", "refactor", "spike"];

/// An issue to be made.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// What it is about.
    pub title: &'a str,
    /// The rest.
    pub description: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// From 0, the most urgent, to 4.
    pub priority: u8,
}

/// Makes an issue and gives it an ID.
pub fn create(
    issues: &mut Issues,
    config: &Config,
    draft: &Draft<'_>,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    check_priority(i64::from(draft.priority))?;
    let (id, record) = new_issue(config, draft, now, &|id| issues.has(id));
    issues.put(&id, Some(record.clone()));
    Ok(record)
}

/// A new issue and its ID; `taken` says which IDs are.
pub(crate) fn new_issue(
    config: &Config,
    draft: &Draft<'_>,
    now: Timestamp,
    taken: &dyn Fn(&str) -> bool,
) -> (String, Record) {
    let created_at = stored(now);
    let of = |suffix: &str| format!("{}-{suffix}", config.prefix);
    let id = of(&id::suffix(draft.title, &created_at, |suffix| taken(&of(suffix))));
    let record = fresh(&id, draft, &created_at);
    (id, record)
}

/// The record of a new issue.
pub(crate) fn fresh(id: &str, draft: &Draft<'_>, created_at: &str) -> Record {
    let mut record = Record::default();
    record.set("id", id);
    record.set("title", draft.title);
    record.set("description", draft.description);
    record.set("status", Status::Open.name());
    record.set("priority", &draft.priority);
    record.set("issue_type", draft.kind);
    let none: [&str; 0] = [];
    for list in ["labels", "comments", "blocks", "blocked_by"] {
        record.set(list, &none);
    }
    record.set("created_at", created_at);
    record.set("updated_at", created_at);
    record
}

/// Whether a priority can be.
pub fn check_priority(priority: i64) -> Result<(), TrackerError> {
    match priority {
        0..=4 => Ok(()),
        _ => Err(TrackerError::invalid("Priority must be 0-4")),
    }
}

/// The status that an issue's line says.
pub fn status_of(record: &Record) -> Result<Status, TrackerError> {
    let name = record.text("status").unwrap_or_else(|| "open".to_owned());
    Status::named(&name).ok_or_else(|| TrackerError::invalid(format!("Unknown status: {name}")))
}

/// Moves an issue in its life; what it was before, and who had it, comes back with it.
pub fn advance(
    issues: &mut Issues,
    id: &str,
    what: Move<'_>,
    now: Timestamp,
) -> Result<(Record, Option<String>), TrackerError> {
    let mut record = issues.get(id)?;
    let owner = record.text("session_id");
    let after = ownership::step(id, status_of(&record)?, owner.as_deref(), what)
        .map_err(|refused| lease::told(refused, &record))?;
    let now = stored(now);
    record.set("status", after.status.name());
    for key in [ORIGINAL_STATUS, lease::CLAIMED_AT, lease::LEASE_UNTIL] {
        record.remove(key);
    }
    match &after.owner {
        Some(owner) => record.set("session_id", owner),
        None => record.remove("session_id"),
    }
    match after.status {
        Status::Closed => record.set("closed_at", &now),
        _ => record.remove("closed_at"),
    }
    record.set("updated_at", &now);
    issues.put(id, Some(record.clone()));
    Ok((record, after.was))
}

/// Opens a closed issue again, for nobody.
pub fn reopen(issues: &mut Issues, id: &str, now: Timestamp) -> Result<Record, TrackerError> {
    let mut record = issues.get(id)?;
    let status = record.text("status").unwrap_or_default();
    if status != "closed" {
        return Err(TrackerError::invalid(format!("Issue {id} is {status}, not closed")));
    }
    record.set("status", Status::Open.name());
    for key in
        ["session_id", "closed_at", "close_reason", ORIGINAL_STATUS, lease::CLAIMED_AT, lease::LEASE_UNTIL]
    {
        record.remove(key);
    }
    touch(issues, id, record, now)
}

/// Makes an issue wait for another. With `refuse_rings` an edge that would close a ring is refused, as it should be.
pub fn block(
    issues: &mut Issues,
    id: &str,
    blocker: &str,
    refuse_rings: bool,
    now: Timestamp,
) -> Result<(), TrackerError> {
    let mut blocked = issues.get(id)?;
    let mut other = issues.get(blocker)?;
    if id == blocker {
        return Err(TrackerError::invalid("Issue cannot block itself"));
    }
    let mut blocked_by = blocked.texts("blocked_by");
    if blocked_by.iter().any(|known| known == blocker) {
        return Err(TrackerError::invalid(format!("{id} already blocked by {blocker}")));
    }
    if refuse_rings && let Some(mut ring) = path(issues, blocker, id)? {
        ring.insert(0, id.to_owned());
        return Err(TrackerError::Cycle { ring });
    }
    blocked_by.push(blocker.to_owned());
    let mut blocks = other.texts("blocks");
    if !blocks.iter().any(|known| known == id) {
        blocks.push(id.to_owned());
    }
    let now = stored(now);
    blocked.set("blocked_by", &blocked_by);
    blocked.set("updated_at", &now);
    other.set("blocks", &blocks);
    other.set("updated_at", &now);
    issues.put(id, Some(blocked));
    issues.put(blocker, Some(other));
    Ok(())
}

/// Takes such an edge away; the other issue need not be there any more.
pub fn unblock(issues: &mut Issues, id: &str, blocker: &str, now: Timestamp) -> Result<(), TrackerError> {
    let mut blocked = issues.get(id)?;
    let mut blocked_by = blocked.texts("blocked_by");
    let before = blocked_by.len();
    blocked_by.retain(|known| known != blocker);
    if blocked_by.len() == before {
        return Err(TrackerError::invalid(format!("{id} is not blocked by {blocker}")));
    }
    let now = stored(now);
    blocked.set("blocked_by", &blocked_by);
    blocked.set("updated_at", &now);
    issues.put(id, Some(blocked));
    if issues.has(blocker) {
        let mut other = issues.get(blocker)?;
        let mut blocks = other.texts("blocks");
        blocks.retain(|known| known != id);
        other.set("blocks", &blocks);
        other.set("updated_at", &now);
        issues.put(blocker, Some(other));
    }
    Ok(())
}

/// Adds a label; they are kept sorted.
pub fn add_label(issues: &mut Issues, id: &str, label: &str, now: Timestamp) -> Result<Record, TrackerError> {
    let mut record = issues.get(id)?;
    let mut labels = record.texts("labels");
    if labels.iter().any(|known| known == label) {
        return Err(TrackerError::invalid(format!("Label '{label}' already exists on {id}")));
    }
    labels.push(label.to_owned());
    labels.sort();
    record.set("labels", &labels);
    touch(issues, id, record, now)
}

/// Takes a label away.
pub fn remove_label(
    issues: &mut Issues,
    id: &str,
    label: &str,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    let mut record = issues.get(id)?;
    let mut labels = record.texts("labels");
    let before = labels.len();
    labels.retain(|known| known != label);
    if labels.len() == before {
        return Err(TrackerError::invalid(format!("Label '{label}' not found on {id}")));
    }
    record.set("labels", &labels);
    touch(issues, id, record, now)
}

/// Sets the priority; what it was comes back with the issue.
pub fn prioritize(
    issues: &mut Issues,
    id: &str,
    priority: i64,
    now: Timestamp,
) -> Result<(Record, i64), TrackerError> {
    check_priority(priority)?;
    let mut record = issues.get(id)?;
    let before = record.read_as("priority").unwrap_or(2);
    record.set("priority", &priority);
    Ok((touch(issues, id, record, now)?, before))
}

/// Adds a comment, which comes back with how many there are.
pub fn comment(
    issues: &mut Issues,
    id: &str,
    author: &str,
    text: &str,
    now: Timestamp,
) -> Result<(Record, usize), TrackerError> {
    let mut record = issues.get(id)?;
    let created_at = stored(now);
    let mut comment = Record::default();
    comment.push("author", author);
    comment.push("text", text);
    comment.push("created_at", &created_at);
    let mut comments: Vec<Box<serde_json::value::RawValue>> = record.read_as("comments").unwrap_or_default();
    comments.push(comment.to_raw());
    record.set("comments", &comments);
    touch(issues, id, record, now)?;
    Ok((comment, comments.len()))
}

/// Takes issues away, and every mention of them in the lists of others.
pub fn delete(issues: &mut Issues, ids: &HashSet<String>, now: Timestamp) -> Result<(), TrackerError> {
    let now = stored(now);
    for mut record in issues.all()? {
        let Some(id) = record.text("id") else { continue };
        if ids.contains(&id) {
            issues.put(&id, None);
            continue;
        }
        let mut is_changed = false;
        for list in ["blocks", "blocked_by"] {
            let mut others = record.texts(list);
            let before = others.len();
            others.retain(|other| !ids.contains(other));
            if others.len() < before {
                record.set(list, &others);
                is_changed = true;
            }
        }
        if is_changed {
            record.set("updated_at", &now);
            issues.put(&id, Some(record));
        }
    }
    Ok(())
}

fn touch(issues: &mut Issues, id: &str, mut record: Record, now: Timestamp) -> Result<Record, TrackerError> {
    record.set("updated_at", &stored(now));
    issues.put(id, Some(record.clone()));
    Ok(record)
}

/// The issues from one to another along `blocked_by`, both included.
fn path(issues: &Issues, from: &str, to: &str) -> Result<Option<Vec<String>>, TrackerError> {
    let mut came_from: Vec<(String, usize)> = vec![(from.to_owned(), usize::MAX)];
    let mut seen = HashSet::from([from.to_owned()]);
    let mut at = 0;
    while at < came_from.len() {
        let id = came_from[at].0.clone();
        if id == to {
            let mut path = Vec::new();
            let mut next = at;
            while next != usize::MAX {
                path.push(came_from[next].0.clone());
                next = came_from[next].1;
            }
            path.reverse();
            return Ok(Some(path));
        }
        if issues.has(&id) {
            let blockers = issues.get(&id)?.texts("blocked_by");
            came_from.extend(
                blockers.into_iter().filter(|other| seen.insert(other.clone())).map(|other| (other, at)),
            );
        }
        at += 1;
    }
    Ok(None)
}
