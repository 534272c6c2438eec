//! Laws of merging, on random edits of real issues and of made ones: the order of sides does not count, merging again changes nothing,
//! and every value that a side added or changed can be found.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use wootz_tracker::Record;
use wootz_tracker::merge::{Merged, Source, merge};

const REAL: &str = include_str!("../data/merge/beads.jsonl");
const CASES: u32 = 10_000;

type Issues = BTreeMap<String, Record>;

/// What is done to a file, as numbers that any file makes something of: what, where, with which value, when.
type Edit = (u8, u8, u8, u8);

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    proptest::collection::vec(any::<Edit>(), 0..most)
}

/// A file that is shown as it is written.
struct Base(Issues);

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(&file(&self.0)))
    }
}

/// A few real issues and a few made ones, edited.
fn base() -> impl Strategy<Value = Base> {
    (any::<[u8; 3]>(), edits(12)).prop_map(|(real, edits)| {
        let lines: Vec<&str> = REAL.lines().collect();
        let mut issues = Issues::new();
        for at in real {
            let record = Record::read(lines[usize::from(at) % lines.len()].as_bytes()).unwrap();
            issues.insert(record.text("id").unwrap(), record);
        }
        for number in 0..4 {
            add(&mut issues, number, 0);
        }
        edit(&mut issues, &edits, "b", true);
        Base(issues)
    })
}

fn add(issues: &mut Issues, number: u8, time: u8) {
    let id = format!("wz-{number}");
    let time = stamp(time);
    let made = json!({
        "id": id, "title": "made", "description": "", "status": "open", "priority": 2, "issue_type": "task", "labels": [],
        "comments": [], "created_at": time, "updated_at": time, "blocks": [], "blocked_by": [],
        "x-deep": {"a": 1, "b": {"c": "text"}}, "x-list": ["one"], "x-number": 123456789
    });
    issues.entry(id).or_insert_with(|| Record::read(made.to_string().as_bytes()).unwrap());
}

fn stamp(time: u8) -> String {
    // Some with another offset, so that times are not in the order of their letters.
    match time % 3 {
        0 => format!("2026-01-01T12:{:02}:00+02:00", time % 60),
        _ => format!("2026-01-01T10:{:02}:00.{:03}Z", time % 60, u16::from(time) + 1),
    }
}

fn list(record: &Record, key: &str) -> Vec<Value> {
    record.read_as::<Value>(key).and_then(|value| value.as_array().cloned()).unwrap_or_default()
}

fn toggle(record: &mut Record, key: &str, value: Value) {
    let mut values = list(record, key);
    match values.iter().position(|known| *known == value) {
        Some(at) => drop(values.remove(at)),
        None => values.push(value),
    }
    record.set(key, &values);
}

/// Edits a file as a tracker does: mirrors are kept, and deleted issues are mentioned nowhere.
fn edit(issues: &mut Issues, edits: &[Edit], side: &str, with_claims: bool) {
    for (what, place, value, time) in edits.iter().copied() {
        let ids: Vec<String> = issues.keys().cloned().collect();
        let id = ids[usize::from(place) % ids.len()].clone();
        let other = ids[usize::from(value) % ids.len()].clone();
        let short = value % 3;
        let mut record = issues[&id].clone();
        match what % 24 {
            0..3 => record.set("title", &format!("{side} titled it {short}")),
            3 => record.set("description", &format!("{side} é\n\"{short}\"")),
            4 => record.set("notes", &format!("{side}{short}")),
            5 => record.set("priority", &(value % 5)),
            6..8 => toggle(&mut record, "labels", json!(format!("label-{short}"))),
            8 => toggle(
                &mut record,
                "comments",
                json!({"author": side, "text": format!("said {value}"), "created_at": stamp(time)}),
            ),
            9 => toggle(
                &mut record,
                "comments",
                json!({"id": short, "author": "a", "text": side, "created_at": stamp(short)}),
            ),
            10..12 => {
                if id != other
                    && list(&record, "blocked_by").contains(&json!(other))
                        == list(&issues[&other], "blocks").contains(&json!(id))
                {
                    toggle(&mut record, "blocked_by", json!(other));
                    let mut blocker = issues[&other].clone();
                    toggle(&mut blocker, "blocks", json!(id));
                    issues.insert(other, blocker);
                }
            }
            12 => {
                let mut all = list(&record, "dependencies");
                match all.iter_mut().find(|known| known["depends_on_id"] == json!(other)) {
                    Some(known) => known["metadata"] = json!(format!("{side}{short}")),
                    None => all.push(json!({"issue_id": id, "depends_on_id": other, "type": "related"})),
                }
                record.set("dependencies", &all);
            }
            13 => record.set("x-deep", &json!({"a": short, "b": {"c": "text", side: value}})),
            14 => toggle(&mut record, "x-list", json!(short)),
            15 => record.set("x-number", &value),
            16 => record.remove(["x-number", "x-list", "notes", "labels"][usize::from(value % 4)]),
            17..20 => advance(&mut record, what, side, short, time, with_claims),
            20 => {
                record.set("status", "in_progress");
                record.remove("session_id");
                record.remove("closed_at");
                record.set("original_status", ["deferred", "blocked"][usize::from(value % 2)]);
            }
            21 if ids.len() > 2 => {
                delete(issues, &id);
                continue;
            }
            22 => add(issues, 4 + short, time),
            _ => record = Record::read(record.line().replace("\":", "\" : ").as_bytes()).unwrap(),
        }
        record.set("updated_at", &stamp(time));
        issues.insert(id, record);
    }
}

fn advance(record: &mut Record, what: u8, side: &str, short: u8, time: u8, with_claims: bool) {
    record.remove("original_status");
    record.remove("session_id");
    record.remove("closed_at");
    match what % 24 {
        17 if with_claims => {
            record.set("status", "in_progress");
            record.set("session_id", &format!("{side}-{short}"));
        }
        18 => {
            record.set("status", "closed");
            record.set("closed_at", &stamp(time));
        }
        _ => record.set("status", "open"),
    }
}

fn delete(issues: &mut Issues, id: &str) {
    issues.remove(id);
    for record in issues.values_mut() {
        for key in ["blocks", "blocked_by"] {
            let mut values = list(record, key);
            let before = values.len();
            values.retain(|value| value != id);
            if values.len() < before {
                record.set(key, &values);
            }
        }
    }
}

fn file(issues: &Issues) -> Vec<u8> {
    issues.values().flat_map(|record| (record.line() + "\n").into_bytes()).collect()
}

fn sides(base: &Issues, left: &[Edit], right: &[Edit]) -> [Issues; 2] {
    [("l", left), ("r", right)].map(|(side, edits)| {
        let mut issues = base.clone();
        edit(&mut issues, edits, side, true);
        issues
    })
}

fn merged(base: &[u8], left: &[u8], right: &[u8]) -> Merged {
    let source = |bytes| Source { name: Path::new("file"), bytes };
    merge(source(base), source(left), source(right)).unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn parsed(bytes: &[u8]) -> BTreeMap<String, Map<String, Value>> {
    let issues = text(bytes).lines().map(|line| {
        let object: Map<String, Value> = serde_json::from_str(line).unwrap();
        (object["id"].as_str().unwrap().to_owned(), object)
    });
    issues.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn sides_can_be_swapped_and_merging_again_changes_nothing(Base(base) in base(), left in edits(8), right in edits(8)) {
        let [left, right] = sides(&base, &left, &right).map(|side| file(&side));
        let base = file(&base);
        let once = merged(&base, &left, &right);
        let swapped = merged(&base, &right, &left);
        prop_assert_eq!(text(&once.bytes), text(&swapped.bytes));
        prop_assert_eq!(&once.conflicts, &swapped.conflicts);
        for side in [&left, &right] {
            let alone = [merged(&base, side, side), merged(&base, side, &base)];
            for alone in &alone {
                prop_assert_eq!(text(&alone.bytes), text(side));
            }
            let again = merged(&base, &once.bytes, side);
            prop_assert_eq!(text(&again.bytes), text(&once.bytes));
            // Every conflict is told once.
            prop_assert_eq!(again.conflicts, vec![]);
        }
        let keys: Vec<String> = parsed(&once.bytes).into_keys().collect();
        let lines: Vec<String> = text(&once.bytes).lines().map(|line| Record::read(line.as_bytes()).unwrap().text("id").unwrap()).collect();
        prop_assert_eq!(keys, lines, "sorted by ID");
    }

    #[test]
    fn nothing_is_lost(Base(base) in base(), left in edits(8), right in edits(8)) {
        let [left, right] = sides(&base, &left, &right);
        let merged = merged(&file(&base), &file(&left), &file(&right));
        let [b, l, r] = [&base, &left, &right].map(|side| parsed(&file(side)));
        let all = parsed(&merged.bytes);
        let deletions = b.keys().any(|id| !l.contains_key(id) || !r.contains_key(id));
        let ids: BTreeSet<&String> = l.keys().chain(r.keys()).collect();
        for id in ids {
            match (b.get(id), l.get(id), r.get(id)) {
                (Some(b), None, Some(side)) | (Some(b), Some(side), None) if b == side => {
                    prop_assert!(!all.contains_key(id), "{} was deleted", id);
                }
                (b, l, r) => {
                    prop_assert!(all.contains_key(id), "{} is lost", id);
                    if let (Some(l), Some(r)) = (l, r) {
                        let none = Map::new();
                        check(b.unwrap_or(&none), l, r, &all[id], deletions)?;
                    }
                }
            }
        }
        prop_assert_eq!(drift(&all), Vec::<String>::new());
        let told = !merged.conflicts.is_empty();
        prop_assert_eq!(told, text(&merged.bytes).contains("\"conflicts\":["));
    }

    #[test]
    fn three_sides_can_be_merged_in_any_order(Base(base) in base(), x in edits(5), y in edits(5), z in edits(5)) {
        let [x, y, z] = [("x", x), ("y", y), ("z", z)].map(|(side, edits)| {
            // Claims are told apart by when the issue changed last, which a merge with another change forgets;
            // and an issue that two sides delete and one keeps is for the order to decide.
            let kept: Vec<Edit> = edits.into_iter().filter(|edit| edit.0 % 24 != 21).collect();
            let mut issues = base.clone();
            edit(&mut issues, &kept, side, false);
            file(&issues)
        });
        let base = file(&base);
        let first = merged(&base, &merged(&base, &x, &y).bytes, &z);
        let last = merged(&base, &x, &merged(&base, &y, &z).bytes);
        prop_assert_eq!(text(&first.bytes), text(&last.bytes));
    }
}

/// Lists that do not mirror each other.
fn drift(all: &BTreeMap<String, Map<String, Value>>) -> Vec<String> {
    let has = |id: &str, key: &str, other: &str| {
        all[id].get(key).and_then(Value::as_array).is_some_and(|ids| ids.iter().any(|known| known == other))
    };
    let pairs = all.keys().flat_map(|one| all.keys().map(move |other| (one, other)));
    pairs
        .filter(|(one, other)| has(one, "blocked_by", other) != has(other, "blocks", one))
        .map(|(one, other)| format!("{one} and {other}"))
        .collect()
}

type Object = Map<String, Value>;

/// One record, key by key, against what each side did.
fn check(b: &Object, l: &Object, r: &Object, m: &Object, deletions: bool) -> Result<(), TestCaseError> {
    let keys: BTreeSet<&String> = l.keys().chain(r.keys()).collect();
    for key in keys {
        let (old, left, right, new) = (b.get(key), l.get(key), r.get(key), m.get(key));
        match key.as_str() {
            "status" | "original_status" | "session_id" | "closed_at" | "conflicts" => continue,
            "blocks" | "blocked_by" if deletions => continue,
            _ => {}
        }
        if left == old || right == old || left == right {
            let expected = if left == old { right } else { left };
            prop_assert_eq!(new, expected, "{} was changed by one side", key);
            continue;
        }
        // Of a list that is known for one, no list is none; another key is taken away whole, unless the other side edited it.
        let is_known = matches!(key.as_str(), "labels" | "comments" | "blocks" | "blocked_by");
        let is_list = |value: Option<&Value>| value.map_or(is_known, Value::is_array);
        match key.as_str() {
            "priority" => {
                prop_assert_eq!(new.unwrap().as_u64(), left.unwrap().as_u64().min(right.unwrap().as_u64()))
            }
            "updated_at" => {
                let time = |value: Option<&Value>| {
                    value.unwrap().as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
                };
                prop_assert_eq!(time(new), time(left).max(time(right)));
            }
            "dependencies" => {
                let edges = |value: Option<&Value>| -> BTreeSet<String> {
                    let all = value.and_then(Value::as_array).cloned().unwrap_or_default();
                    all.iter()
                        .map(|edge| edge["depends_on_id"].to_string() + &edge["type"].to_string())
                        .collect()
                };
                let (l, r) = (edges(left), edges(right));
                prop_assert!(edges(new).is_superset(&l.intersection(&r).cloned().collect()));
                prop_assert!(edges(new).is_superset(
                    &l.symmetric_difference(&r).filter(|edge| !edges(old).contains(*edge)).cloned().collect()
                ));
            }
            _ if is_list(left) && is_list(right) => same_set(key, old, left, right, new)?,
            _ => {
                for value in [left, right].into_iter().flatten() {
                    prop_assert!(findable(key, old, value, m), "{} of {} is lost: {:?}", key, value, m);
                }
            }
        }
    }
    check_state(b, l, r, m)
}

fn same_set(
    key: &str,
    old: Option<&Value>,
    left: Option<&Value>,
    right: Option<&Value>,
    new: Option<&Value>,
) -> Result<(), TestCaseError> {
    let set = |value: Option<&Value>| -> BTreeSet<String> {
        let all = value.and_then(Value::as_array).cloned().unwrap_or_default();
        all.iter().map(Value::to_string).collect()
    };
    let (b, l, r, m) = (set(old), set(left), set(right), set(new));
    for element in
        l.union(&r).filter(|element| (l.contains(*element) && r.contains(*element)) || !b.contains(*element))
    {
        prop_assert!(m.contains(element), "{} lost {}", key, element);
    }
    for element in &m {
        prop_assert!(l.contains(element) || r.contains(element), "{} of nobody: {}", key, element);
        prop_assert!(
            !b.contains(element) || (l.contains(element) && r.contains(element)),
            "{} came back: {}",
            key,
            element
        );
    }
    Ok(())
}

/// Whether a value is in a field, within it, or among the conflicts; of an object, what is not as it was.
fn findable(key: &str, old: Option<&Value>, value: &Value, m: &Object) -> bool {
    let conflicts = m.get("conflicts").and_then(Value::as_array).cloned().unwrap_or_default();
    let kept = |field: &str, value: &Value| {
        conflicts.iter().any(|entry| entry["field"] == json!(field) && entry["value"] == *value)
    };
    fn within(
        field: &str,
        old: Option<&Value>,
        value: &Value,
        there: Option<&Value>,
        kept: &dyn Fn(&str, &Value) -> bool,
    ) -> bool {
        match (value, there) {
            (value, there) if there == Some(value) || old == Some(value) => true,
            (Value::Object(object), Some(Value::Object(there))) => object.iter().all(|(key, value)| {
                let old = old.and_then(|old| old.get(key));
                within(&format!("{field}.{key}"), old, value, there.get(key), kept)
            }),
            (value, _) => kept(field, value),
        }
    }
    within(key, old, value, m.get(key), &kept)
}

/// Where an issue stands: as one side says, whole.
fn check_state(b: &Object, l: &Object, r: &Object, m: &Object) -> Result<(), TestCaseError> {
    let state =
        |object: &Object| ["status", "original_status", "session_id"].map(|key| object.get(key).cloned());
    let (old, left, right, new) = (state(b), state(l), state(r), state(m));
    if left == old || right == old {
        prop_assert_eq!(&new, if left == old { &right } else { &left });
    } else {
        prop_assert!(new == left || new == right);
        if left != right {
            for state in [left, right] {
                prop_assert!(
                    state[0] == new[0]
                        || findable("status", None, state[1].as_ref().or(state[0].as_ref()).unwrap(), m)
                );
                prop_assert!(
                    state[2] == new[2]
                        || state[2] == old[2]
                        || state[2].as_ref().is_none_or(|session| findable("session_id", None, session, m))
                );
            }
        }
    }
    // Issues of the beads project's older releases were closed without a time.
    let consistent = |object: &Object| {
        (object.get("status") == Some(&json!("closed"))) == object.contains_key("closed_at")
    };
    prop_assert!(consistent(m) || !consistent(l) || !consistent(r));
    Ok(())
}

/// One field has the left side's spelling and another the right side's; merging that with either side leaves it so.
#[test]
fn of_two_spellings_of_each_field_one_stands() {
    let base = "{\"id\":\"aa-1\",\"title\":\"t\",\"created_at\":\"2026-01-01T00:00:00Z\",\"x\":{\"a\":1}}\n";
    let left = base.replace("}}", "},\"y\":{\"b\":2}}");
    let right = base.replace("{\"a\":1}}", "{\"a\" : 1},\"y\":{\"b\" : 2}}");
    let once = merged(base.as_bytes(), left.as_bytes(), right.as_bytes());
    assert!(text(&once.bytes).contains("\"x\":{\"a\" : 1},\"y\":{\"b\":2}"), "{}", text(&once.bytes));
    for side in [&left, &right] {
        let again = merged(base.as_bytes(), &once.bytes, side.as_bytes());
        assert_eq!(text(&again.bytes), text(&once.bytes));
    }
}
