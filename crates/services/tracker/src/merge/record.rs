//! One record with up to three versions of it.

use super::conflict::{CONFLICTS, Found, entries};
use super::field::{self, decided};
use super::state;
use super::value::{Fields, Value};
use crate::record::Record;
use std::collections::BTreeMap;

/// The merged record, and the conflicts that neither side knew of.
pub(super) fn merge(base: Option<&Fields>, left: &Fields, right: &Fields) -> (Record, Vec<Value>) {
    let mut found = Found::default();
    let mut skipped = state::KEYS.to_vec();
    skipped.push(CONFLICTS);
    let mut merged = field::merge("", base, left, right, &skipped, 0, &mut found);
    state::merge(base, left, right, &mut found, &mut merged);
    let new = keep_conflicts(base, left, right, found, &mut merged);
    let order = base.map(|base| base.order.clone()).unwrap_or_default();
    (merged.record(&order), new)
}

/// Merges the list of conflicts and adds what was found; what is new comes back.
fn keep_conflicts(
    base: Option<&Fields>,
    left: &Fields,
    right: &Fields,
    found: Found,
    merged: &mut Fields,
) -> Vec<Value> {
    let entries = |side: &Fields| -> BTreeMap<String, Value> {
        let list = side.get(CONFLICTS).map(entries).unwrap_or_default();
        list.into_iter().map(|entry| (entry.canon().to_owned(), entry)).collect()
    };
    let empty = Fields::default();
    let base = base.unwrap_or(&empty);
    let [base_entries, left_entries, right_entries] = [base, left, right].map(entries);
    let mut kept: BTreeMap<String, Value> = BTreeMap::new();
    for (canon, entry) in left_entries.iter().chain(&right_entries) {
        let is_in_both = left_entries.contains_key(canon) && right_entries.contains_key(canon);
        if is_in_both || !base_entries.contains_key(canon) {
            kept.insert(canon.clone(), entry.clone());
        }
    }
    let is_new = |canon: &String| !left_entries.contains_key(canon) && !right_entries.contains_key(canon);
    let new =
        found.entries.iter().filter(|(canon, _)| is_new(canon)).map(|(_, entry)| entry.clone()).collect();
    kept.extend(found.entries);
    if !kept.is_empty()
        || !matches!(decided(base.get(CONFLICTS), left.get(CONFLICTS), right.get(CONFLICTS)), Some(None))
    {
        let list: Vec<Value> = kept.into_values().collect();
        merged.values.insert(CONFLICTS.to_owned(), Value::of_list(&list));
    }
    new
}
