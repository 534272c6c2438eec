//! The fields that a step of any kind has.

use super::{Reader, under};
use crate::suggest;
use serde_json::{Map, Value};
use wootz_schema::plan::{Retries, When, WhenStatus};
use wootz_schema::yaml::Part;

/// Longest id: it becomes part of file names.
const ID_LIMIT: usize = 100;
/// Ten years: a limit beyond it is a mistake, and times stay within their types.
const MOST_SECONDS: f64 = 3.2e8;

impl Reader<'_> {
    pub(super) fn id_characters(&mut self, id: &str, path: &[Part]) {
        let path = under(path, "id");
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !id.chars().all(allowed) || id.starts_with(['-', '_']) {
            let suggestion: String = id.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
            let suggestion = suggestion.trim_matches(['-', '_']).to_owned();
            let message = format!("step id `{id}` has characters other than letters, digits, `-` and `_`");
            match suggestion.is_empty() {
                true => self.problem(&path, message),
                false => self.hinted(&path, message, format!("e.g. `{suggestion}`")),
            }
        } else if id.len() > ID_LIMIT {
            self.problem(&path, format!("step id `{id}` is longer than {ID_LIMIT} characters"));
        } else if id == "logs" {
            self.hinted(&path, "step id `logs` is the name of the logs' folder", "choose another");
        }
    }

    pub(super) fn depends_on(&mut self, tree: &Map<String, Value>, path: &[Part], who: &str) -> Vec<String> {
        let at = under(path, "depends_on");
        let items = match tree.get("depends_on") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.hinted(&at, format!("{who}: depends_on must be a list of step ids"), "write [a, b]");
                return Vec::new();
            }
        };
        let mut ids: Vec<String> = Vec::new();
        for item in items {
            match item {
                Value::String(id) if !ids.contains(id) => ids.push(id.clone()),
                Value::String(_) => {}
                other => self.problem(&at, format!("{who}: depends_on has {other}, which is no step id")),
            }
        }
        ids
    }

    pub(super) fn when(&mut self, tree: &Map<String, Value>, path: &[Part], who: &str) -> Option<When> {
        let at = under(path, "when");
        let invalid = format!("{who} has invalid when condition");
        let hint = "write when: { step: ID, status: success }; status is success, failure or finished";
        let tree = match tree.get("when") {
            None | Some(Value::Null) => return None,
            Some(Value::Object(tree)) => tree,
            Some(_) => {
                self.hinted(&at, invalid, hint);
                return None;
            }
        };
        self.unknown_keys(tree, &["step", "status"], &at, &format!("{who}: when: "));
        let step = tree.get("step").and_then(Value::as_str).filter(|s| !s.is_empty());
        let status = match tree.get("status").and_then(Value::as_str) {
            Some("success") => Some(WhenStatus::Success),
            Some("failure") => Some(WhenStatus::Failure),
            Some("finished") => Some(WhenStatus::Finished),
            _ => None,
        };
        match (step, status) {
            (Some(step), Some(status)) => Some(When { step: step.to_owned(), status }),
            _ => {
                self.hinted(&at, invalid, hint);
                None
            }
        }
    }

    pub(super) fn retries(&mut self, tree: &Map<String, Value>, path: &[Part], who: &str) -> Retries {
        let at = under(path, "retries");
        let default = Retries::default();
        let tree = match tree.get("retries") {
            None | Some(Value::Null) => return default,
            Some(Value::Object(tree)) => tree,
            Some(_) => {
                self.hinted(
                    &at,
                    format!("{who}: retries must be a mapping"),
                    "write retries: { max_attempts: 3 }",
                );
                return default;
            }
        };
        let valid = ["max_attempts", "initial_seconds", "factor", "max_seconds", "jitter", "on_exit_codes"];
        let who = format!("{who}: retries");
        self.unknown_keys(tree, &valid, &at, &format!("{who}: "));
        let max_attempts = match tree.get("max_attempts").map(|v| (v, v.as_u64())) {
            None => default.max_attempts,
            Some((_, Some(n @ 1..=1000))) => n as u32,
            Some((found, _)) => {
                let message =
                    format!("{who}: max_attempts must be a whole number from 1 to 1000, not {found}");
                self.problem(&under(&at, "max_attempts"), message);
                default.max_attempts
            }
        };
        Retries {
            max_attempts,
            initial_seconds: self
                .positive(tree, "initial_seconds", &at, &who)
                .unwrap_or(default.initial_seconds),
            factor: self.positive(tree, "factor", &at, &who).unwrap_or(default.factor),
            max_seconds: self.positive(tree, "max_seconds", &at, &who).unwrap_or(default.max_seconds),
            jitter: self.share(tree, "jitter", &at, &who),
            on_exit_codes: self.exit_codes(tree, &at, &who),
        }
    }

    fn share(&mut self, tree: &Map<String, Value>, key: &str, path: &[Part], who: &str) -> f64 {
        match tree.get(key).map(|value| (value, value.as_f64())) {
            None | Some((Value::Null, _)) => 0.0,
            Some((_, Some(share))) if (0.0..=1.0).contains(&share) => share,
            Some((found, _)) => {
                let message = format!("{who}: {key} must be a number from 0 to 1, not {found}");
                self.problem(&under(path, key), message);
                0.0
            }
        }
    }

    fn exit_codes(&mut self, tree: &Map<String, Value>, path: &[Part], who: &str) -> Vec<i32> {
        let at = under(path, "on_exit_codes");
        let items = match tree.get("on_exit_codes") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(_) => {
                self.hinted(
                    &at,
                    format!("{who}: on_exit_codes must be a list of exit codes"),
                    "write [75, 111]",
                );
                return Vec::new();
            }
        };
        let mut codes = Vec::new();
        for item in items {
            match item.as_i64().filter(|code| (1..=255).contains(code)) {
                Some(code) => codes.push(code as i32),
                None => self.problem(
                    &at,
                    format!("{who}: on_exit_codes has {item}, which is no exit code from 1 to 255"),
                ),
            }
        }
        codes
    }

    pub(super) fn positive(
        &mut self,
        tree: &Map<String, Value>,
        key: &str,
        path: &[Part],
        who: &str,
    ) -> Option<f64> {
        match tree.get(key).map(|v| (v, v.as_f64())) {
            None | Some((Value::Null, _)) => None,
            Some((_, Some(x))) if x > 0.0 && x <= MOST_SECONDS => Some(x),
            Some((found, _)) => {
                self.problem(
                    &under(path, key),
                    format!("{who}: {key} must be a number above 0, not {found}"),
                );
                None
            }
        }
    }

    pub(super) fn text(
        &mut self,
        tree: &Map<String, Value>,
        key: &str,
        path: &[Part],
        who: &str,
    ) -> Option<String> {
        match tree.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(found) => {
                self.hinted(
                    &under(path, key),
                    format!("{who}: {key} must be text, not {found}"),
                    "put it in quotes",
                );
                Some(found.to_string())
            }
        }
    }

    pub(super) fn unknown_keys(
        &mut self,
        tree: &Map<String, Value>,
        valid: &[&str],
        path: &[Part],
        who: &str,
    ) {
        for key in tree.keys().filter(|key| !valid.contains(&key.as_str())) {
            let message = format!("{who}{}", suggest::unknown_key(key, valid));
            match suggest::nearest(key, valid) {
                Some(near) => self.hinted(&under(path, key), message, format!("did you mean `{near}`?")),
                None => self.problem(&under(path, key), message),
            }
        }
    }
}
