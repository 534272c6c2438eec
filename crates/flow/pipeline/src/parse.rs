//! From a plan's text to a [`Plan`]: every mistake is reported, with its line and its fix, and all at once.
//!
//! ```yaml
//! version: 1
//! name: tiny
//! params:
//!   source: ${env.CARGO_HOME:-/usr/src}/registry
//!   depth: 4
//! steps:
//!   - id: corpus
//!     type: corpus
//!     corpus: { source: "${params.source}" }
//!   - id: train
//!     type: train
//!     timeout_seconds: 3600
//!     retries: { max_attempts: 3 }
//!     train: { data: "${steps.corpus}", depth: "${params.depth}" }
//! ```
//!
//! The text becomes a tree of plain values first; the tree is then read by hand, which is what makes more than one
//! mistake visible at a time. Positions are looked up afterwards, for mistakes only.

mod fields;
mod matrix;
mod resources;

use crate::step::Registry;
use crate::template::Named;
use crate::tree::read_tree;
use crate::{graph, suggest, template};
use matrix::{Cell, Families};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wootz_schema::plan::{OnFailure, Plan, PlanStep, Retries, VERSION};
use wootz_schema::task::Resources;
use wootz_schema::yaml::{Part, locate};
use wootz_schema::{Diagnose, ExitCode};

/// A plan's text and what its parameters are filled from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// YAML.
    pub text: &'a str,
    /// The file as the caller named it.
    pub file: &'a str,
    /// Values given for parameters, in place of their defaults.
    pub params: &'a BTreeMap<String, String>,
    /// Environment variables that defaults may refer to.
    pub env: &'a BTreeMap<String, String>,
}

/// One mistake in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, from 1; absent where the plan as a whole or a `--param` is at fault.
    pub at: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// The fix.
    pub hint: Option<String>,
}

/// Every mistake found in a plan, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct PlanErrors {
    /// The file as the caller named it.
    pub file: String,
    /// The mistakes; at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plan validation failed:")?;
        for problem in &self.problems {
            write!(f, "\n  {}", self.file)?;
            if let Some((line, column)) = problem.at {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": {}", problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl Diagnose for PlanErrors {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }
}

/// Reads and checks a plan: its form, its parameters, its graph, and each step's settings by the step's own kind.
pub fn load(source: Source<'_>, registry: &Registry) -> Result<Plan, PlanErrors> {
    let errors = |problems| PlanErrors { file: source.file.to_owned(), problems };
    let tree = read_tree(source.text).map_err(|problem| errors(vec![problem]))?;
    let mut reader = Reader { registry, found: Vec::new() };
    let plan = reader.plan(&tree, &source);
    let mut problems: Vec<Problem> = reader
        .found
        .into_iter()
        .map(|(path, message, hint)| {
            let at = path.and_then(|path| locate(source.text, &path));
            Problem { at, message, hint }
        })
        .collect();
    problems.sort_by_key(|p| p.at);
    // A mistake in a step with a matrix is made once, however many steps it stands for.
    problems.dedup();
    if problems.is_empty() { Ok(plan) } else { Err(errors(problems)) }
}

type Path = Vec<Part>;

/// What a step may refer to.
struct Scope<'a> {
    cell: &'a Cell,
    params: &'a BTreeMap<String, Value>,
    families: &'a Families,
}

/// Reads the tree and collects what is wrong with it.
struct Reader<'a> {
    registry: &'a Registry,
    found: Vec<(Option<Path>, String, Option<String>)>,
}

fn under(path: &[Part], key: &str) -> Path {
    let mut path = path.to_vec();
    path.push(Part::Key(key.to_owned()));
    path
}

const TOP_KEYS: [&str; 6] = ["version", "name", "log_dir", "params", "pools", "steps"];
const STEP_KEYS: [&str; 11] = [
    "id",
    "name",
    "type",
    "depends_on",
    "when",
    "matrix",
    "timeout_seconds",
    "allow_failure",
    "on_failure",
    "retries",
    "resources",
];

impl Reader<'_> {
    fn problem(&mut self, path: &[Part], message: impl Into<String>) {
        self.found.push((Some(path.to_vec()), message.into(), None));
    }

    fn hinted(&mut self, path: &[Part], message: impl Into<String>, hint: impl Into<String>) {
        self.found.push((Some(path.to_vec()), message.into(), Some(hint.into())));
    }

    fn plan(&mut self, tree: &Value, source: &Source<'_>) -> Plan {
        let stem = source.file.rsplit(['/', '\\']).next().unwrap_or_default();
        let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
        let mut plan = Plan {
            version: VERSION,
            name: stem.to_owned(),
            log_dir: None,
            params: BTreeMap::new(),
            pools: BTreeMap::new(),
            steps: Vec::new(),
        };
        let empty = Map::new();
        let top = match tree {
            Value::Object(top) => top,
            Value::Null => &empty,
            _ => {
                self.problem(&[], "a plan is a mapping with the key `steps`");
                return plan;
            }
        };
        self.unknown_keys(top, &TOP_KEYS, &[], "");
        match top.get("version").map(|v| (v, v.as_u64())) {
            None | Some((_, Some(1))) => {}
            Some((found, _)) => {
                self.problem(
                    &under(&[], "version"),
                    format!("plan version {found}: this build reads version {VERSION}"),
                );
            }
        }
        if let Some(name) = self.text(top, "name", &[], "plan") {
            plan.name = name;
        }
        plan.log_dir = self.text(top, "log_dir", &[], "plan").filter(|folder| !folder.is_empty());
        plan.params = self.params(top.get("params"), source);
        plan.pools = self.counts(top.get("pools"), &under(&[], "pools"), "pools");
        let mut cells = Vec::new();
        match top.get("steps") {
            Some(Value::Array(steps)) if !steps.is_empty() => {
                cells = self.cells(steps);
                let families = Families::of(&cells);
                let (params, mut heard) = (&plan.params, BTreeSet::new());
                let scope = |cell| Scope { cell, params, families: &families };
                let steps = cells.iter().map(|cell| self.step(&scope(cell), &mut heard));
                plan.steps = steps.collect();
                for step in plan.steps.iter_mut().filter(|step| heard.contains(&step.id)) {
                    step.captures = true;
                }
            }
            None | Some(Value::Null | Value::Array(_)) => {
                self.problem(&[], "plan must have at least one step")
            }
            Some(_) => self.problem(&under(&[], "steps"), "steps must be a list"),
        }
        self.handlers(&mut plan.steps, &cells);
        self.graph(&plan, &cells);
        plan
    }

    /// Parameters with the values they have in this run.
    fn params(&mut self, declared: Option<&Value>, source: &Source<'_>) -> BTreeMap<String, Value> {
        let path = under(&[], "params");
        let mut params = BTreeMap::new();
        let empty = Map::new();
        let declared = match declared {
            None | Some(Value::Null) => &empty,
            Some(Value::Object(declared)) => declared,
            Some(_) => {
                self.problem(&path, "params must be a mapping of names to defaults");
                &empty
            }
        };
        for (name, default) in declared {
            let path = under(&path, name);
            let value = match (source.params.get(name), default) {
                (Some(given), default) => typed(given, default),
                (None, Value::Null) => Err(template::TemplateError {
                    message: format!("parameter `{name}` has no default and no value"),
                    hint: Some(format!("pass --param {name}=VALUE")),
                }),
                (None, Value::String(text)) => template::fill_env(text, source.env).map(Value::String),
                (None, Value::Bool(_) | Value::Number(_)) => Ok(default.clone()),
                (None, _) => Err(template::TemplateError {
                    message: format!(
                        "the default of parameter `{name}` must be text, a number, true or false"
                    ),
                    hint: None,
                }),
            };
            match value {
                Ok(value) => drop(params.insert(name.clone(), value)),
                Err(error) => {
                    self.found.push((Some(path), error.message, error.hint));
                    // Any value will do from here on: the plan is refused, and one report of this is enough.
                    params.insert(name.clone(), default.clone());
                }
            }
        }
        let names: Vec<&str> = params.keys().map(String::as_str).collect();
        for name in source.params.keys().filter(|name| !params.contains_key(*name)) {
            let hint = match suggest::nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the plan's parameters: {}", suggest::list(&names)),
            };
            self.found.push((None, format!("--param {name}: the plan has no such parameter"), Some(hint)));
        }
        params
    }

    /// A step; `heard` collects the steps of which it reads what their processes said.
    fn step(&mut self, scope: &Scope<'_>, heard: &mut BTreeSet<String>) -> PlanStep {
        let index = scope.cell.index;
        let path = [Part::Key("steps".to_owned()), Part::Index(index)];
        let mut step = PlanStep {
            id: String::new(),
            name: String::new(),
            kind: String::new(),
            depends_on: Vec::new(),
            when: None,
            timeout_seconds: None,
            allow_failure: false,
            on_failure: None,
            retries: Retries::default(),
            resources: Resources::default(),
            pools: BTreeMap::new(),
            captures: false,
            config: Value::Object(Map::new()),
        };
        let Value::Object(tree) = &scope.cell.tree else {
            self.problem(&path, format!("step {index} is not a mapping"));
            return step;
        };
        step.id = self.text(tree, "id", &path, &format!("step {index}")).unwrap_or_default();
        if step.id.trim().is_empty() {
            self.problem(&path, format!("step {index} is missing id"));
        } else {
            self.id_characters(&step.id, &path);
        }
        let who = if step.id.is_empty() { format!("step {index}") } else { format!("step {}", step.id) };
        if !scope.cell.values.is_empty() {
            step.id = scope.cell.id.clone();
        }
        let tree = &self.with_params(tree, &path, &who, scope);
        step.name = self.text(tree, "name", &path, &who).unwrap_or_else(|| step.id.clone());
        step.timeout_seconds = self.positive(tree, "timeout_seconds", &path, &who);
        self.order(tree, &path, &who, scope, &mut step);
        step.retries = self.retries(tree, &path, &who);
        (step.resources, step.pools) = self.resources(tree, &path, &who);
        if !scope.cell.is_broken {
            self.settings(tree, &path, &who, scope, &mut step, heard);
        }
        step
    }

    /// What the step waits for, and what its failure means.
    fn order(
        &mut self,
        tree: &Map<String, Value>,
        path: &[Part],
        who: &str,
        scope: &Scope<'_>,
        step: &mut PlanStep,
    ) {
        for id in self.depends_on(tree, path, who) {
            for id in scope.families.meant(&id, &scope.cell.values) {
                if !step.depends_on.contains(&id) {
                    step.depends_on.push(id);
                }
            }
        }
        step.when = self.when(tree, path, who);
        if let Some(when) = &mut step.when {
            match self.one(&when.step, &under(path, "when"), who, scope) {
                Some(id) => when.step = id,
                None => step.when = None,
            }
        }
        step.allow_failure = match tree.get("allow_failure") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(allow)) => *allow,
            Some(_) => {
                self.problem(
                    &under(path, "allow_failure"),
                    format!("{who}: allow_failure must be true or false"),
                );
                false
            }
        };
        step.on_failure = match tree.get("on_failure") {
            None | Some(Value::Null) => None,
            Some(Value::String(word)) if word == "issue" => Some(OnFailure::Issue),
            Some(Value::String(words)) if words.starts_with("run ") => {
                let at = under(path, "on_failure");
                self.one(words["run ".len()..].trim(), &at, who, scope).map(OnFailure::Run)
            }
            Some(_) => {
                let message = format!("{who}: on_failure must be issue or run STEP");
                self.problem(&under(path, "on_failure"), message);
                None
            }
        };
        if let Some(when) = step.when.as_ref().filter(|when| !step.depends_on.contains(&when.step)) {
            step.depends_on.push(when.step.clone());
        }
    }

    /// The kind of the step and its settings.
    fn settings(
        &mut self,
        tree: &Map<String, Value>,
        path: &[Part],
        who: &str,
        scope: &Scope<'_>,
        step: &mut PlanStep,
        heard: &mut BTreeSet<String>,
    ) {
        let Some(name) = self.text(tree, "type", path, who).filter(|kind| !kind.is_empty()) else {
            return self.problem(path, format!("{who} is missing type"));
        };
        step.kind = name;
        let Some(kind) = self.registry.get(&step.kind).cloned() else {
            let kinds: Vec<&str> = self.registry.kinds().collect();
            let hint = match suggest::nearest(&step.kind, &kinds) {
                Some(near) => format!("did you mean `{near}`? types: {}", suggest::list(&kinds)),
                None => format!("types: {}", suggest::list(&kinds)),
            };
            return self.hinted(
                &under(path, "type"),
                format!("{who} has unsupported type {}", step.kind),
                hint,
            );
        };
        let inline = kind.inline_keys();
        let mut valid: Vec<&str> = STEP_KEYS.to_vec();
        valid.extend(inline);
        if inline.is_empty() {
            valid.push(kind.kind());
        }
        self.unknown_keys(tree, &valid, path, &format!("{who}: "));
        let (config, base) = if inline.is_empty() {
            let config = match tree.get(&step.kind) {
                None | Some(Value::Null) => Value::Object(Map::new()),
                Some(config @ Value::Object(_)) => config.clone(),
                Some(_) => {
                    let message = format!("{who}: the settings under `{}` must be a mapping", step.kind);
                    return self.problem(&under(path, &step.kind), message);
                }
            };
            (config, under(path, &step.kind))
        } else {
            let settings = inline.iter().filter_map(|key| Some(((*key).to_owned(), tree.get(*key)?.clone())));
            (Value::Object(settings.collect()), path.to_vec())
        };
        let mistakes = self.found.len();
        let mut named = Named::default();
        step.config = self.fill(&config, &mut base.clone(), who, scope, &mut named);
        heard.append(&mut named.heard);
        for id in named.steps {
            if !step.depends_on.contains(&id) {
                step.depends_on.push(id);
            }
        }
        if self.found.len() > mistakes {
            return; // A second complaint about a value that could not be filled in helps nobody.
        }
        if let Err(error) = kind.validate(&step.config) {
            let key = error.key.iter().flat_map(|key| key.split('.'));
            let at = key.fold(base, |at, part| match part.parse() {
                Ok(index) => at.into_iter().chain([Part::Index(index)]).collect(),
                Err(_) => under(&at, part),
            });
            // Of what is missing it is said as a sentence about the step.
            let colon = if error.message.ends_with(" is required") { "" } else { ":" };
            self.found.push((Some(at), format!("{who}{colon} {}", error.message), error.hint));
        }
    }

    fn fill(
        &mut self,
        value: &Value,
        path: &mut Path,
        who: &str,
        scope: &Scope<'_>,
        named: &mut Named,
    ) -> Value {
        let meant = |id: &str| scope.families.one(id, &scope.cell.values);
        match value {
            Value::String(text) => match template::fill_params(text, scope.params, &meant, named) {
                Ok(value) => value,
                Err(error) => {
                    self.found.push((Some(path.clone()), format!("{who}: {}", error.message), error.hint));
                    value.clone()
                }
            },
            Value::Array(items) => {
                let mut filled = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    path.push(Part::Index(index));
                    filled.push(self.fill(item, path, who, scope, named));
                    path.pop();
                }
                Value::Array(filled)
            }
            Value::Object(entries) => {
                let mut filled = Map::new();
                for (key, item) in entries {
                    path.push(Part::Key(key.clone()));
                    filled.insert(key.clone(), self.fill(item, path, who, scope, named));
                    path.pop();
                }
                Value::Object(filled)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// What can only be seen when all steps are known.
    fn graph(&mut self, plan: &Plan, cells: &[Cell]) {
        let steps = plan.steps.as_slice();
        let ids: Vec<&str> = steps.iter().map(|s| s.id.as_str()).collect();
        let known: BTreeSet<&str> = ids.iter().copied().collect();
        // The first step of each id, whatever the case of its letters.
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for (position, (step, cell)) in
            steps.iter().zip(cells).enumerate().filter(|(_, (s, _))| !s.id.is_empty())
        {
            let path = [Part::Key("steps".to_owned()), Part::Index(cell.index)];
            let (id, who) = (&step.id, cell.shown(&step.id));
            let unknown = |id: &str| suggest::nearest(id, &ids).map(|near| format!("did you mean `{near}`?"));
            let other = *first.entry(id.to_ascii_lowercase()).or_insert(position);
            let other = (other != position).then(|| ids[other]);
            if other == Some(id) {
                self.problem(&under(&path, "id"), format!("duplicate step id: {id}"));
            } else if let Some(other) = other {
                let message = format!("step ids `{other}` and `{id}` differ in case only");
                self.hinted(&under(&path, "id"), message, "their files would collide on some file systems");
            }
            for dependency in &step.depends_on {
                if dependency == id {
                    self.problem(&under(&path, "depends_on"), format!("step {who} depends on itself"));
                } else if step.when.as_ref().is_some_and(|when| when.step == *dependency) {
                    // The condition says it, if there is something wrong with it.
                } else if !known.contains(dependency.as_str()) {
                    let message = format!("step {who} depends on unknown step {dependency}");
                    self.found.push((Some(under(&path, "depends_on")), message, unknown(dependency)));
                }
            }
            if let Some(when) = &step.when {
                let target = &when.step;
                if !known.contains(target.as_str()) {
                    let message = format!("step {who} when references unknown step {target}");
                    self.found.push((Some(under(&path, "when")), message, unknown(target)));
                }
            }
            self.pools_known(step, who, plan, &path);
            if step.captures && self.registry.get(&step.kind).is_some_and(|kind| !kind.is_launched()) {
                let message =
                    format!("step {who} has no stdout: a step of type {} runs no process", step.kind);
                self.problem(&path, message);
            }
        }
        for cycle in graph::cycles(steps) {
            let at = steps.iter().position(|s| s.id == cycle[0]).map_or(0, |at| cells[at].index);
            let path = [Part::Key("steps".to_owned()), Part::Index(at)];
            self.problem(&path, format!("dependency cycle: {}", cycle.join(" -> ")));
        }
    }
}

/// A value given on the command line, in the type of the parameter's default.
fn typed(given: &str, default: &Value) -> Result<Value, template::TemplateError> {
    let wrong = |wanted: &str| template::TemplateError {
        message: format!("a value given for this parameter is `{given}`, which is not {wanted}"),
        hint: Some(format!("its default is {default}")),
    };
    match default {
        Value::Bool(_) => given.parse().map(Value::Bool).map_err(|_| wrong("true or false")),
        Value::Number(n) if n.is_f64() => match given.parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => Ok(Value::Number(number)),
            None => Err(wrong("a finite number")),
        },
        Value::Number(_) => match (given.parse::<u64>(), given.parse::<i64>()) {
            (Ok(n), _) => Ok(Value::from(n)),
            (Err(_), Ok(n)) => Ok(Value::from(n)),
            (Err(_), Err(_)) => Err(wrong("a whole number")),
        },
        _ => Ok(Value::String(given.to_owned())),
    }
}
