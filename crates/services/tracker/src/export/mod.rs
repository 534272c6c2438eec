//! Issues as beads' JSON lines, in the form that its releases from 1.0 on take.
//!
//! An issue that an import brought comes back as it came, as far as the store still says what the import wrote: its ID, its status,
//! values that the store has in another form, keys that were not there. One that was made here gets the keys of beads, `_type` and counts
//! included. Edges of the type `blocks` are those that `blocked_by` names; their metadata and all other edges are kept as they were.
//! An export that is imported into an empty store and exported again is the same to the byte.

pub(crate) mod counts;

use crate::import::{AS_IMPORTED, ORIGINAL_ID, is_blocks};
use crate::record::{Record, raw};
use crate::store::{Issues, Store, TrackerError};
use crate::view::ORIGINAL_STATUS;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap, HashSet};

/// All issues of a store, and its records that are no issues, as lines.
pub fn beads(store: &Store) -> Result<String, TrackerError> {
    let issues = store.read()?;
    beads_of(&issues, &store.records()?)
}

/// Issues as lines sorted by ID, then records that are no issues.
pub fn beads_of(issues: &Issues, others: &[Record]) -> Result<String, TrackerError> {
    let all = issues.all()?;
    let ids = exported_ids(&all);
    let dependents = counts::dependents(all.iter());
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    for record in &all {
        let own = record.text("id").unwrap_or_default();
        let dependents = dependents.get(&own).copied().unwrap_or_default();
        let line = issue(record, &ids, dependents).line();
        lines.insert(ids.get(&own).cloned().unwrap_or(own), line);
    }
    let mut text: String = lines.into_values().map(|line| line + "\n").collect();
    let stored = issues.lines().iter().filter(|line| issues.id_of(line).is_empty());
    for line in stored {
        text.push_str(&String::from_utf8_lossy(issues.bytes_of(line)));
        text.push('\n');
    }
    text.extend(others.iter().map(|record| record.line() + "\n"));
    Ok(text)
}

/// The ID under which each issue is known outside: the one it came with, unless another issue has that.
fn exported_ids(all: &[Record]) -> HashMap<String, String> {
    let own: Vec<String> = all.iter().filter_map(|record| record.text("id")).collect();
    let mut taken: HashSet<String> = own.iter().cloned().collect();
    let mut ids = HashMap::new();
    for (record, own) in all.iter().zip(own) {
        if let Some(original) = record.text(ORIGINAL_ID).filter(|original| !taken.contains(original)) {
            taken.insert(original.clone());
            ids.insert(own, original);
        }
    }
    ids
}

/// An issue with beads' keys.
fn issue(record: &Record, ids: &HashMap<String, String>, dependents: usize) -> Record {
    let own = record.text("id").unwrap_or_default();
    let mark = record.get(AS_IMPORTED).and_then(|mark| Record::read(mark.get().as_bytes()).ok());
    let is_ours = mark.as_ref().and_then(|mark| mark.text("from")).is_none_or(|from| from == "ba");
    let now = counts::of(record, dependents);
    let mut out = record.clone();
    edges(&mut out, &own, ids);
    for key in [AS_IMPORTED, ORIGINAL_ID, "blocks", "blocked_by"] {
        out.remove(key);
    }
    if let Some(status) = record.get(ORIGINAL_STATUS) {
        out.set("status", status);
        out.remove(ORIGINAL_STATUS);
    }
    let part = |key: &str| {
        let part = mark.as_ref()?.get(key)?;
        Record::read(part.get().as_bytes()).ok()
    };
    for (key, pair) in part("fields").unwrap_or_default().fields() {
        restore(&mut out, key, pair);
    }
    if let Some(session) = out.text("session_id").filter(|_| out.get("assignee").is_none()) {
        out.push("assignee", &session);
    }
    if is_ours {
        for list in ["labels", "comments"] {
            if out.get(list).is_some_and(|list| list.get() == "[]") {
                out.remove(list);
            }
        }
        if out.get("_type").is_none() {
            out.push("_type", "issue");
        }
        counts::KEYS.iter().zip(now).for_each(|(key, count)| out.set(key, &count));
    } else if let Some(then) = mark.as_ref().and_then(|mark| mark.read_as::<[usize; 3]>("counts")) {
        for (at, key) in counts::KEYS.iter().enumerate() {
            if out.get(key).is_some() && now[at] != then[at] {
                out.set(key, &now[at]);
            }
        }
    }
    out.lead("id", ids.get(&own).unwrap_or(&own));
    if let Some(kind) = out.get("_type").map(RawValue::to_owned) {
        out.lead("_type", &kind);
    }
    out
}

/// Gives a field back what it was before an import, where it still is what that wrote.
fn restore(out: &mut Record, key: &str, pair: &RawValue) {
    let Ok(pair) = Record::read(pair.get().as_bytes()) else { return };
    let value =
        |json: Option<&RawValue>| json.and_then(|json| serde_json::from_str::<Value>(json.get()).ok());
    let (now, then) = (value(out.get(key)), value(pair.get("is")));
    let was = pair.get("was").map(RawValue::to_owned);
    if now == then {
        match was {
            Some(was) => out.set_raw(key, was),
            None => out.remove(key),
        }
        return;
    }
    // Comments that came later stand behind those that came as they were.
    if let (Some(Value::Array(_)), Some(Value::Array(then)), Some(was)) = (&now, &then, was) {
        let lists = (serde_json::from_str::<Vec<&RawValue>>(was.get()), out.read_as::<Vec<&RawValue>>(key));
        if let (Ok(mut list), Some(current)) = lists
            && list.len() == then.len()
            && current.len() > then.len()
            && current.iter().zip(then).all(|(current, then)| value(Some(current)).as_ref() == Some(then))
        {
            list.extend(&current[then.len()..]);
            let list = raw(&list);
            out.set_raw(key, list);
        }
    }
}

/// Edges under the IDs of the outside; those of the type `blocks` as `blocked_by` has them.
fn edges(out: &mut Record, own: &str, ids: &HashMap<String, String>) {
    let outside = |id: &str| ids.get(id).map_or(id, String::as_str).to_owned();
    let blocked_by = out.texts("blocked_by");
    let mut missing: Vec<&String> = blocked_by.iter().collect();
    let mut edges: Vec<Box<RawValue>> = Vec::new();
    let list: Option<Vec<&RawValue>> = out.read_as("dependencies");
    let is_list = list.is_some();
    for value in list.unwrap_or_default() {
        let Ok(mut edge) = Record::read(value.get().as_bytes()) else {
            edges.push(value.to_owned());
            continue;
        };
        let of_this = edge.text("issue_id").is_none_or(|issue| issue == own);
        if let Some(on) = edge.text("depends_on_id").filter(|_| of_this && is_blocks(&edge)) {
            if !blocked_by.contains(&on) {
                continue;
            }
            missing.retain(|blocker| **blocker != on);
        }
        for key in ["issue_id", "depends_on_id"] {
            if let Some(id) = edge.text(key) {
                edge.set(key, &outside(&id));
            }
        }
        edges.push(edge.to_raw());
    }
    if missing.is_empty() && !is_list {
        return;
    }
    for blocker in missing {
        let mut edge = Record::default();
        edge.push("issue_id", &outside(own));
        edge.push("depends_on_id", &outside(blocker));
        edge.push("type", "blocks");
        edge.push("created_at", &out.text("created_at").unwrap_or_default());
        edge.push("created_by", "");
        edge.push("metadata", "{}");
        edges.push(edge.to_raw());
    }
    out.set("dependencies", &edges);
}
