//! The cache key of a step: everything its output may depend on, in one digest.
//!
//! Outputs of other steps count by their content, not by how they came about: a step that made the same bytes again
//! leaves everything after it cached. Where in the file system the home folder stands does not count.

use serde_json::{Map, Value, json};
use wootz_stdx::digest;

/// Bumped when the engine itself makes other outputs from the same inputs.
const FORMAT: u32 = 1;

/// What a key is made of.
pub(crate) struct KeyParts<'a> {
    pub kind: &'a str,
    pub version: u32,
    /// Settings in which every step's output stands as its digest.
    pub config: &'a Value,
    /// For each step it waits for, how that ended and the digest of its output.
    pub needs: Vec<(&'static str, Option<String>)>,
    /// Fingerprint of its sources.
    pub sources: &'a str,
    /// Whether what its process says is part of its output.
    pub captures: bool,
    /// What a step reads that reports on the run; null for others.
    pub run: Value,
}

/// `kind-` and 32 hex digits.
pub(crate) fn key(parts: KeyParts<'_>) -> String {
    let KeyParts { kind, version, config, mut needs, sources, captures, run } = parts;
    needs.sort();
    let mut material = json!({
        "format": FORMAT, "kind": kind, "version": version, "config": config, "needs": needs, "sources": sources,
        "run": run,
    });
    if captures {
        material["captures"] = Value::Bool(true);
    }
    let digest = digest::sha256(sorted(&material).to_string().as_bytes());
    format!("{kind}-{}", &digest[..32])
}

/// The same value with the keys of every object in order: their order in the plan means nothing.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let mut entries: Vec<(&String, &Value)> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries = entries.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(config: &Value, needs: &[&str], sources: &str) -> String {
        let needs = needs.iter().map(|digest| ("succeeded", Some((*digest).to_owned()))).collect();
        key(KeyParts { kind: "train", version: 1, config, needs, sources, captures: false, run: Value::Null })
    }

    #[test]
    fn only_what_matters_counts() {
        let base = of(&json!({"a": 1, "b": {"c": 2, "d": 3}}), &["x", "y"], "s");
        assert!(base.starts_with("train-") && base.len() == 38, "{base}");
        assert_eq!(of(&json!({"b": {"d": 3, "c": 2}, "a": 1}), &["y", "x"], "s"), base);
        for other in [
            of(&json!({"a": 1, "b": {"c": 2, "d": 4}}), &["x", "y"], "s"),
            of(&json!({"a": 1, "b": {"c": 2, "d": 3}}), &["x"], "s"),
            of(&json!({"a": 1, "b": {"c": 2, "d": 3}}), &["x", "y"], "t"),
        ] {
            assert_ne!(other, base);
        }
    }
}
