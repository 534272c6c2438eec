//! What an attempt has for itself, and the steps that handle failures.

use super::{Cell, Path, Reader, Scope, under};
use crate::suggest;
use crate::template::{self, Named};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use wootz_schema::plan::{OnFailure, Plan, PlanStep};
use wootz_schema::task::Resources;
use wootz_schema::yaml::Part;

/// Fields beside the settings that may be given by parameters.
const FILLED: [&str; 4] = ["name", "timeout_seconds", "retries", "resources"];

impl Reader<'_> {
    /// The step's text with parameters in those fields of its own that may have them.
    pub(super) fn with_params(
        &mut self,
        tree: &Map<String, Value>,
        path: &[Part],
        who: &str,
        scope: &Scope<'_>,
    ) -> Map<String, Value> {
        let mut tree = tree.clone();
        for key in FILLED {
            if let Some(value) = tree.get_mut(key) {
                let mut named = Named::default();
                *value = plain(self.fill(value, &mut under(path, key), who, scope, &mut named));
                if let Some(step) = named.steps.first() {
                    *value = Value::Null;
                    let message =
                        format!("{who}: {key} names the output of {step}, which is not known in time");
                    self.problem(&under(path, key), message);
                }
            }
        }
        tree
    }

    /// The one step that an id of the text means here.
    pub(super) fn one(&mut self, id: &str, at: &Path, who: &str, scope: &Scope<'_>) -> Option<String> {
        match scope.families.one(id, &scope.cell.values) {
            Ok(id) => Some(id),
            Err(error) => {
                self.found.push((Some(at.clone()), format!("{who}: {}", error.message), error.hint));
                None
            }
        }
    }

    pub(super) fn resources(
        &mut self,
        tree: &Map<String, Value>,
        path: &[Part],
        who: &str,
    ) -> (Resources, BTreeMap<String, u32>) {
        let at = under(path, "resources");
        let tree = match tree.get("resources") {
            None | Some(Value::Null) => return Default::default(),
            Some(Value::Object(tree)) => tree,
            Some(_) => {
                let hint = "write resources: { gpus: 2, cpus: 4, memory: 16GiB }";
                self.hinted(&at, format!("{who}: resources must be a mapping"), hint);
                return Default::default();
            }
        };
        let who = format!("{who}: resources");
        self.unknown_keys(tree, &["cpus", "gpus", "nodes", "memory", "pools"], &at, &format!("{who}: "));
        let resources = Resources {
            cpus: self.count(tree, "cpus", &at, &who),
            gpus: self.count(tree, "gpus", &at, &who),
            nodes: self.count(tree, "nodes", &at, &who),
            memory_mb: match tree.get("memory") {
                None | Some(Value::Null) => None,
                Some(memory) => match memory.as_str().and_then(mebibytes) {
                    Some(memory) => Some(memory),
                    None => {
                        let message =
                            format!("{who}: memory must be a size like 512MiB or 16GiB, not {memory}");
                        self.problem(&under(&at, "memory"), message);
                        None
                    }
                },
            },
        };
        let pools = self.counts(tree.get("pools"), &under(&at, "pools"), &format!("{who}: pools"));
        (resources, pools)
    }

    fn count(&mut self, tree: &Map<String, Value>, key: &str, at: &[Part], who: &str) -> u32 {
        match tree.get(key).map(|value| (value, value.as_u64().and_then(|n| u32::try_from(n).ok()))) {
            None | Some((Value::Null, _)) => 0,
            Some((_, Some(n))) => n,
            Some((found, None)) => {
                self.problem(&under(at, key), format!("{who}: {key} must be a whole number, not {found}"));
                0
            }
        }
    }

    /// Names with how many there are of each.
    pub(super) fn counts(&mut self, tree: Option<&Value>, at: &[Part], who: &str) -> BTreeMap<String, u32> {
        let tree = match tree {
            None | Some(Value::Null) => return BTreeMap::new(),
            Some(Value::Object(tree)) => tree,
            Some(_) => {
                self.hinted(
                    at,
                    format!("{who} must be a mapping of names to numbers"),
                    "write pools: { disk: 2 }",
                );
                return BTreeMap::new();
            }
        };
        let mut counts = BTreeMap::new();
        for (name, value) in tree {
            match value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) {
                Some(n) => drop(counts.insert(name.clone(), n)),
                None => {
                    let message = format!("{who}: {name} must be a whole number above 0, not {value}");
                    self.problem(&under(at, name), message);
                }
            }
        }
        counts
    }

    /// Whether the pools that a step takes of are the plan's, and large enough.
    pub(super) fn pools_known(&mut self, step: &PlanStep, who: &str, plan: &Plan, path: &[Part]) {
        let names: Vec<&str> = plan.pools.keys().map(String::as_str).collect();
        let at = under(&under(path, "resources"), "pools");
        for (pool, n) in &step.pools {
            match plan.pools.get(pool) {
                None => {
                    let hint = match suggest::nearest(pool, &names) {
                        Some(near) => format!("did you mean `{near}`?"),
                        None => format!("declare it at the top: pools: {{ {pool}: {n} }}"),
                    };
                    self.hinted(
                        &under(&at, pool),
                        format!("step {who} takes of an unknown pool {pool}"),
                        hint,
                    );
                }
                Some(has) if n > has => {
                    let message = format!("step {who} takes {n} of the pool {pool}, which has {has}");
                    self.problem(&under(&at, pool), message);
                }
                Some(_) => {}
            }
        }
    }

    /// Makes the steps that failures run wait for the steps that may fail.
    pub(super) fn handlers(&mut self, steps: &mut [PlanStep], cells: &[Cell]) {
        for position in 0..steps.len() {
            let Some(OnFailure::Run(handler)) = steps[position].on_failure.clone() else { continue };
            let id = steps[position].id.clone();
            let who = cells[position].shown(&id);
            let path =
                under(&[Part::Key("steps".to_owned()), Part::Index(cells[position].index)], "on_failure");
            let Some(found) = steps.iter_mut().find(|step| step.id == handler) else {
                self.problem(&path, format!("step {who} runs an unknown step {handler} on failure"));
                continue;
            };
            if found.when.is_some() {
                let message =
                    format!("step {who} runs {handler} on failure, which has a condition of its own");
                self.hinted(&path, message, format!("leave out `when` of {handler}"));
            } else if !found.depends_on.contains(&id) {
                found.depends_on.push(id);
            }
        }
    }
}

/// The text as it is meant, since nothing is put into these fields later.
fn plain(value: Value) -> Value {
    template::fill_steps::<()>(&value, &mut |id, _| Ok(id.to_owned())).unwrap_or(value)
}

/// A size with its unit, in MiB, rounded up.
fn mebibytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0)?;
    let bytes = match text[end..].trim() {
        "MiB" | "Mi" | "M" => number * f64::from(1u32 << 20),
        "GiB" | "Gi" | "G" => number * f64::from(1u32 << 30),
        "TiB" | "Ti" | "T" => number * 1024.0 * f64::from(1u32 << 30),
        "MB" => number * 1e6,
        "GB" => number * 1e9,
        "TB" => number * 1e12,
        _ => return None,
    };
    Some((bytes / f64::from(1u32 << 20)).ceil() as u64)
}
