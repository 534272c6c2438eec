//! `blocks` of one issue mirrors `blocked_by` of another. Where a merge made them differ, `blocked_by` is the truth.
//!
//! It does when one side deletes an issue, and with it every mention, which the other side edits. The edit wins, so the issue stays;
//! then it is waited for, and waits, as it did before. What differed in a side already is left as it is: that is for `doctor`.

use super::file::{File, Key, Line, content, fields as fields_of};
use super::value::Value;
use crate::record::Record;
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Makes lists agree again.
pub(super) fn mend(base: &File<'_>, left: &File<'_>, right: &File<'_>, merged: &mut File<'_>) {
    for (deleting, keeping) in [(left, right), (right, left)] {
        restore(base, deleting, keeping, merged);
    }
    let changed: Vec<String> = left
        .lines
        .keys()
        .chain(right.lines.keys())
        .filter(|key| !key.id.is_empty())
        .filter(|key| {
            let line = merged.lines.get(*key);
            line != left.lines.get(*key) || line != right.lines.get(*key)
        })
        .map(|key| key.id.clone())
        .collect();
    let mut edges: BTreeSet<(String, String)> = BTreeSet::new();
    for id in &changed {
        for file in [base, left, right, &*merged] {
            edges.extend(others(file, id, "blocked_by").map(|other| (id.clone(), other)));
            edges.extend(others(file, id, "blocks").map(|other| (other, id.clone())));
        }
    }
    for (blocked, blocker) in edges {
        let both = |file: &File<'_>| {
            (names(file, &blocked, "blocked_by", &blocker), names(file, &blocker, "blocks", &blocked))
        };
        let now = both(merged);
        let is_known = [left, right].into_iter().any(|side| both(side) == now);
        if now.0 != now.1 && !is_known {
            set(merged, base, &blocker, "blocks", &blocked, now.0);
        }
    }
}

/// Issues that one side deleted and the other edited are blockers again of all that they were blockers of.
fn restore(base: &File<'_>, deleting: &File<'_>, keeping: &File<'_>, merged: &mut File<'_>) {
    let revived: Vec<String> = base
        .lines
        .keys()
        .filter(|key| {
            !key.id.is_empty() && !deleting.lines.contains_key(key) && merged.lines.contains_key(key)
        })
        .map(|key| key.id.clone())
        .collect();
    for id in revived {
        let blocked: Vec<String> = others(keeping, &id, "blocks").collect();
        for other in blocked {
            let was = |file: &File<'_>| names(file, &other, "blocked_by", &id);
            let is_scrubbed = deleting.lines.contains_key(&Key::issue(&other)) && !was(deleting);
            if was(base) && was(keeping) && is_scrubbed && !was(merged) {
                set(merged, base, &other, "blocked_by", &id, true);
            }
        }
    }
}

fn line<'f, 'a>(file: &'f File<'a>, id: &str) -> Option<&'f Line<'a>> {
    file.lines.get(&Key::issue(id))
}

fn others(file: &File<'_>, id: &str, list: &str) -> impl Iterator<Item = String> + use<> {
    let record = line(file, id).and_then(|line| Record::read(content(line)).ok());
    record.map(|record| record.texts(list)).unwrap_or_default().into_iter()
}

fn names(file: &File<'_>, id: &str, list: &str, other: &str) -> bool {
    others(file, id, list).any(|known| known == other)
}

/// Puts an ID into a list or takes it away. IDs and keys stand in the base's order, as those of merged records do.
fn set(merged: &mut File<'_>, base: &File<'_>, id: &str, list: &str, other: &str, is_in: bool) {
    let Some(line) = merged.lines.get_mut(&Key::issue(id)) else { return };
    let mut fields = fields_of(line);
    let mut ids: Vec<Value> = fields.get(list).and_then(Value::list).unwrap_or_default();
    let other = Value::of(other);
    if is_in {
        let before: Vec<String> = others(base, id, list).collect();
        ids.push(other);
        ids.sort_by_cached_key(|id| {
            let place = before.iter().position(|known| id.text().as_ref() == Some(known));
            (place.unwrap_or(before.len()), id.canon().to_owned())
        });
    } else {
        ids.retain(|known| *known != other);
    }
    fields.values.insert(list.to_owned(), Value::of_list(&ids));
    let order = base.lines.get(&Key::issue(id)).map(|line| fields_of(line).order);
    let order = order.unwrap_or_default();
    let mut bytes = fields.record(&order).line().into_bytes();
    if line.ends_with(b"\r") {
        bytes.push(b'\r');
    }
    *line = Cow::Owned(bytes);
}
