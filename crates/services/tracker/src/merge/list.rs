//! Lists as sets: what one side added is added, what one side took away is gone, and what the other side edited meanwhile stays.
//!
//! An element is known by what it says, a dependency by its target and type, so that an edit of one is no removal. Of a comment that both
//! edited both versions stay; two clones number their comments alike, and equal numbers make no two comments one.

use super::conflict::Found;
use super::field::{self, decided};
use super::value::Value;
use crate::time;
use std::collections::{BTreeMap, BTreeSet};

/// What is in a list, by the name of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Texts, sorted.
    Labels,
    /// By time.
    Comments,
    Dependencies,
    Other,
}

impl Kind {
    /// The kind of a key that is a list wherever it has a value, in an issue.
    pub fn of(key: &str) -> Option<Kind> {
        match key {
            "labels" => Some(Kind::Labels),
            "comments" => Some(Kind::Comments),
            "dependencies" => Some(Kind::Dependencies),
            "blocks" | "blocked_by" => Some(Kind::Other),
            _ => None,
        }
    }

    /// What makes an element the same element.
    fn identity(self, value: &Value) -> String {
        let edge =
            value.object().filter(|edge| self == Kind::Dependencies && edge.get("depends_on_id").is_some());
        let Some(edge) = edge else { return value.canon().to_owned() };
        let parts = ["depends_on_id", "type", "issue_id"].map(|key| edge.get(key).map_or("", Value::canon));
        parts.join(",")
    }
}

/// Whether every element stands once.
pub(super) fn is_set(values: &[Value]) -> bool {
    let canons: BTreeSet<&str> = values.iter().map(Value::canon).collect();
    canons.len() == values.len()
}

/// Merges sides of a list.
pub(super) fn merge(
    kind: Kind,
    path: &str,
    [base, left, right]: [&[Value]; 3],
    depth: usize,
    found: &mut Found,
) -> Vec<Value> {
    let sides = [base, left, right];
    let doubled: BTreeSet<String> = sides.iter().flat_map(|side| doubled(kind, side)).collect();
    let identity = |value: &Value| {
        let identity = kind.identity(value);
        if doubled.contains(&identity) { format!("{identity},{}", value.canon()) } else { identity }
    };
    let index = |side: &[Value]| -> BTreeMap<String, Value> {
        side.iter().map(|value| (identity(value), value.clone())).collect()
    };
    let [base_index, left, right] = sides.map(index);
    let mut merged: BTreeMap<&String, Value> = BTreeMap::new();
    for id in left.keys().chain(right.keys()) {
        if merged.contains_key(id) {
            continue;
        }
        let (b, l, r) = (base_index.get(id), left.get(id), right.get(id));
        let value = match (decided(b, l, r), l, r) {
            (Some(value), ..) => value.cloned(),
            (None, Some(l), Some(r)) => {
                Some(field::choose(&format!("{path}[{id}]"), b, l, r, depth + 1, found))
            }
            // Edited here and taken away there.
            (None, edited, None) | (None, None, edited) => edited.cloned(),
        };
        merged.extend(value.map(|value| (id, value)));
    }
    match kind {
        Kind::Labels => sorted(merged.into_values(), |value| (value.text(), value.canon().to_owned())),
        Kind::Comments => sorted(merged.into_values(), |value| {
            let at = value.object().and_then(|comment| comment.text("created_at"));
            (at.and_then(|at| time::read(&at)), value.canon().to_owned())
        }),
        Kind::Dependencies | Kind::Other => {
            let mut values: Vec<Value> =
                base.iter().filter_map(|value| merged.remove(&identity(value))).collect();
            values.extend(sorted(merged.into_values(), |value| value.canon().to_owned()));
            values
        }
    }
}

fn sorted<K: Ord>(values: impl Iterator<Item = Value>, key: impl Fn(&Value) -> K) -> Vec<Value> {
    let mut values: Vec<Value> = values.collect();
    values.sort_by_cached_key(key);
    values
}

/// Identities that different elements of one side have.
fn doubled(kind: Kind, side: &[Value]) -> Vec<String> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    side.iter()
        .filter_map(|value| {
            let identity = kind.identity(value);
            match seen.insert(identity.clone(), value.canon()) {
                Some(other) if other != value.canon() => Some(identity),
                _ => None,
            }
        })
        .collect()
}
