//! Fields of objects, one by one: what only one side changed has that side's value; what both changed follows the rule of its key, and
//! where there is none both values are kept as a conflict.
//!
//! Every rule is the greater or the lesser of two in some total order, so neither the order of two sides nor that of several merges counts.

use super::conflict::Found;
use super::list::{self, Kind};
use super::value::{DEEPEST, Fields, Value};
use crate::time;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// The value where no rule is needed: both sides agree, or one of them left it as it was.
pub(super) fn decided<'a>(
    base: Option<&'a Value>,
    left: Option<&'a Value>,
    right: Option<&'a Value>,
) -> Option<Option<&'a Value>> {
    if left == right {
        let bytes = |value: Option<&'a Value>| value.map(|value| value.raw.get());
        return Some(match (bytes(base), bytes(left), bytes(right)) {
            (base, left, _) if base == left => right,
            (base, _, right_bytes) if base == right_bytes => left,
            // Of two spellings the shorter: a merged value is written without white space, and merging it again leaves it so.
            (_, one, other) => {
                let length = |bytes: Option<&'a str>| (bytes.map(str::len), bytes);
                if length(one) <= length(other) { left } else { right }
            }
        });
    }
    if left == base {
        return Some(right);
    }
    (right == base).then_some(left)
}

/// Merges the fields of objects, `skipped` keys left out.
pub(super) fn merge(
    path: &str,
    base: Option<&Fields>,
    left: &Fields,
    right: &Fields,
    skipped: &[&str],
    depth: usize,
    found: &mut Found,
) -> Fields {
    let mut merged = Fields::default();
    let keys: BTreeSet<&String> = left.values.keys().chain(right.values.keys()).collect();
    for key in keys.into_iter().filter(|key| !skipped.contains(&key.as_str())) {
        let (b, l, r) = (base.and_then(|base| base.get(key)), left.get(key), right.get(key));
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let value = match (decided(b, l, r), l, r) {
            (Some(value), ..) => value.cloned(),
            (None, l, r) => match (lists_of(&path, b, l, r), l, r) {
                (Some((kind, lists)), ..) => {
                    let lists = lists.each_ref().map(Vec::as_slice);
                    Some(Value::of_list(&list::merge(kind, &path, lists, depth, found)))
                }
                (None, Some(l), Some(r)) => Some(choose(&path, b, l, r, depth, found)),
                (None, edited, None) | (None, None, edited) => edited.cloned(),
            },
        };
        merged.values.extend(value.map(|value| (key.clone(), value)));
    }
    merged
}

/// The sides as lists, where they are to be merged as sets. Known lists may be absent or null, which is none.
fn lists_of(
    path: &str,
    base: Option<&Value>,
    left: Option<&Value>,
    right: Option<&Value>,
) -> Option<(Kind, [Vec<Value>; 3])> {
    let known = Kind::of(path);
    let list = |value: Option<&Value>| match value {
        None => known.map(|_| Vec::new()),
        Some(value) if value.is_null() => known.map(|_| Vec::new()),
        Some(value) => value.list().filter(|list| known.is_some() || list::is_set(list)),
    };
    let (left, right) = (list(left)?, list(right)?);
    Some((known.unwrap_or(Kind::Other), [list(base).unwrap_or_default(), left, right]))
}

/// The value of what both sides changed.
pub(super) fn choose(
    path: &str,
    base: Option<&Value>,
    left: &Value,
    right: &Value,
    depth: usize,
    found: &mut Found,
) -> Value {
    if let Some(value) = ruled(path, left, right) {
        return value.clone();
    }
    if depth < DEEPEST
        && let (Some(left), Some(right)) = (left.object(), right.object())
    {
        let base = base.and_then(Value::object);
        let merged = merge(path, base.as_ref(), &left, &right, &[], depth + 1, found);
        let order = base.map(|base| base.order).unwrap_or_default();
        return Value::new(&merged.record(&order).to_raw());
    }
    found.add(path, left, None);
    found.add(path, right, None);
    let chosen = match path {
        "created_at" => of_two(left, right, Ordering::Less, by_time),
        _ => of_two(left, right, Ordering::Greater, by_length),
    };
    chosen.clone()
}

/// By a rule that loses nothing.
fn ruled<'a>(path: &str, left: &'a Value, right: &'a Value) -> Option<&'a Value> {
    if left.is_null() || right.is_null() {
        return Some(if left.is_null() { right } else { left });
    }
    match path {
        "priority" => {
            let number =
                |value: &Value| value.canon().parse::<f64>().ok().filter(|number| number.is_finite());
            let (l, r) = (number(left)?, number(right)?);
            Some(of_two(left, right, Ordering::Less, |one, other| {
                number(one)
                    .partial_cmp(&number(other))
                    .filter(|_| l != r)
                    .unwrap_or_else(|| by_length(one, other))
            }))
        }
        "updated_at" | "closed_at" => Some(of_two(left, right, Ordering::Greater, by_time)),
        // What is counted elsewhere; a number of digits more is more.
        "dependency_count" | "dependent_count" | "comment_count" => {
            Some(of_two(left, right, Ordering::Greater, by_length))
        }
        _ => None,
    }
}

/// The greater or the lesser, as `wanted` says of the one against the other.
pub(super) fn of_two<'a>(
    one: &'a Value,
    other: &'a Value,
    wanted: Ordering,
    order: impl Fn(&Value, &Value) -> Ordering,
) -> &'a Value {
    if order(one, other) == wanted { one } else { other }
}

/// Times; what is none comes first; equal times by how they are written.
pub(super) fn by_time(one: &Value, other: &Value) -> Ordering {
    let time = |value: &Value| value.text().and_then(|text| time::read(&text));
    time(one).cmp(&time(other)).then_with(|| one.canon().cmp(other.canon()))
}

/// The longer says more.
fn by_length(one: &Value, other: &Value) -> Ordering {
    (one.canon().len(), one.canon()).cmp(&(other.canon().len(), other.canon()))
}
