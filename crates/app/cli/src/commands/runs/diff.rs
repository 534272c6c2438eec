//! `wootz runs diff`: two runs side by side, step by step.

use super::Home;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use wootz_runner::Runner;
use wootz_schema::event::{Event, RunSummary, StepSummary};
use wootz_schema::metrics::{Metric, Metrics};
use wootz_schema::plan::{Plan, PlanStep};
use wootz_stdx::human;

/// Compare two runs: what was asked of each step, how it ended, what it took, which figures it gave.
#[derive(clap::Args)]
pub struct Diff {
    /// Id of the one run, or `latest`.
    before: String,
    /// Id of the other run, or `latest`.
    after: String,
    #[command(flatten)]
    home: Home,
}

/// A run, with what was asked.
struct Side {
    summary: RunSummary,
    plan: Plan,
}

/// A step of both runs, or of one.
struct Pair<'a> {
    id: &'a str,
    /// What was asked and what came of it, before and after.
    sides: [Option<(&'a PlanStep, &'a StepSummary)>; 2],
}

/// Runs the command.
pub fn run(args: &Diff) -> Result<Outcome, Failure> {
    let runner = args.home.open()?;
    let (before, after) = (side(&runner, &args.before)?, side(&runner, &args.after)?);
    let pairs = pairs(&before, &after);
    let mut text = text(&pairs);
    for pair in &pairs {
        for (key, [one, other]) in pair.settings() {
            text.push_str(&format!("{}: {key}: {} -> {}\n", pair.id, word(&one), word(&other)));
        }
        for (name, [one, other]) in pair.metrics() {
            text.push_str(&format!("{}: {name}: {}\n", pair.id, change(&one, &other)));
        }
    }
    let runs =
        [&before, &after].map(|side| json!({ "run": side.summary.run, "status": side.summary.status }));
    let steps: Vec<Value> = pairs.iter().map(Pair::object).collect();
    Ok(Outcome::ok(text, json!({ "runs": runs, "steps": steps })))
}

fn side(runner: &Runner, run: &str) -> Result<Side, Failure> {
    let summary = runner.show(run)?;
    let plan = runner.events(&summary.run)?.into_iter().rev().find_map(|record| match record.event {
        Event::Created(created) | Event::Replanned { created, .. } => Some(created.plan),
        _ => None,
    });
    Ok(Side { summary, plan: plan.expect("a plan, because the run was shown above, which reads it") })
}

/// The steps of both, in the order of the first run; those that only the other has come last.
fn pairs<'a>(before: &'a Side, after: &'a Side) -> Vec<Pair<'a>> {
    let of = |side: &'a Side, id: &str| {
        let steps = side.plan.steps.iter().zip(&side.summary.steps);
        steps.into_iter().find(|(step, _)| step.id == id)
    };
    let ids = before.plan.steps.iter().map(|step| step.id.as_str());
    let own = after.plan.steps.iter().map(|step| step.id.as_str());
    let own = own.filter(|id| of(before, id).is_none());
    ids.chain(own).map(|id| Pair { id, sides: [of(before, id), of(after, id)] }).collect()
}

impl Pair<'_> {
    /// Settings that differ: what a step is and does, by its keys.
    fn settings(&self) -> Vec<(String, [Value; 2])> {
        let [Some((before, _)), Some((after, _))] = self.sides else { return Vec::new() };
        let (before, after) = (flat(before), flat(after));
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let of = |side: &Map<String, Value>, key: &String| side.get(key).cloned().unwrap_or(Value::Null);
        let values = keys.into_iter().map(|key| (key.clone(), [of(&before, key), of(&after, key)]));
        values.filter(|(_, [one, other])| one != other).collect()
    }

    /// Figures of both, where one has them.
    fn metrics(&self) -> Vec<(String, [Option<Metric>; 2])> {
        let of = |side: usize, name: &str| self.figures(side).and_then(|metrics| metrics.get(name).cloned());
        let names: BTreeSet<&String> =
            [0, 1].into_iter().filter_map(|side| self.figures(side)).flat_map(Metrics::keys).collect();
        let values = names.into_iter().map(|name| (name.clone(), [of(0, name), of(1, name)]));
        values.filter(|(_, [one, other])| one != other).collect()
    }

    fn figures(&self, side: usize) -> Option<&Metrics> {
        self.sides[side].map(|(_, step)| &step.metrics)
    }

    /// The key of the output: its folder's name.
    fn key(&self, side: usize) -> Option<&str> {
        let output = self.sides[side]?.1.output.as_ref()?;
        Path::new(output).file_name()?.to_str()
    }

    /// Whether both left the same output; absent where one left none.
    fn is_same(&self) -> Option<bool> {
        Some(self.key(0)? == self.key(1)?)
    }

    fn object(&self) -> Value {
        let side = |side: usize| {
            self.sides[side].map(|(_, step)| {
                json!({ "status": step.status, "seconds": step.seconds, "output": self.key(side), "metrics": step.metrics })
            })
        };
        let settings: Map<String, Value> =
            self.settings().into_iter().map(|(key, values)| (key, json!(values))).collect();
        json!({
            "step": self.id, "before": side(0), "after": side(1), "settings": settings, "same_output": self.is_same(),
        })
    }
}

fn text(pairs: &[Pair<'_>]) -> String {
    let header = [
        ("step", Align::Left),
        ("status", Align::Left),
        ("time", Align::Left),
        ("settings", Align::Left),
        ("output", Align::Left),
    ];
    let row = |pair: &Pair<'_>| {
        let [before, after] = pair.sides.map(|side| side.map(|(_, step)| step));
        let both = |word: &dyn Fn(&StepSummary) -> String| {
            let [one, other] = [before, after].map(|step| step.map_or_else(|| "-".to_owned(), word));
            if one == other { one } else { format!("{one} -> {other}") }
        };
        let time = |step: &StepSummary| step.seconds.map_or_else(|| "-".to_owned(), human::seconds);
        let settings = match (before, after) {
            (None, _) => "new".to_owned(),
            (_, None) => "gone".to_owned(),
            _ if pair.settings().is_empty() => "same".to_owned(),
            _ => format!("{} changed", pair.settings().len()),
        };
        let output = match pair.is_same() {
            Some(true) => "same",
            Some(false) => "another",
            None => "",
        };
        let status = both(&|step| step.status.word().to_owned());
        [pair.id.to_owned(), status, both(&time), settings, output.to_owned()]
    };
    table(&header, &pairs.iter().map(row).collect::<Vec<_>>())
}

/// A step's definition with its settings beside its other keys.
fn flat(step: &PlanStep) -> Map<String, Value> {
    let mut keys = match serde_json::to_value(step) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    };
    match keys.remove("config") {
        Some(Value::Object(config)) => {
            keys.extend(config.into_iter().map(|(key, value)| (format!("{}.{key}", step.kind), value)));
        }
        config => keys.extend(config.map(|config| (step.kind.clone(), config))),
    }
    keys
}

fn word(value: &Value) -> String {
    if value.is_null() { "-".to_owned() } else { value.to_string() }
}

/// `2.5 -> 2.25 (-10.0%)`.
fn change(before: &Option<Metric>, after: &Option<Metric>) -> String {
    let [one, other] = [before, after].map(|metric| metric.as_ref().map_or("-".to_owned(), Metric::figure));
    let share = match (before, after) {
        (Some(Metric::Number(one)), Some(Metric::Number(other))) if *one != 0.0 && one.is_finite() => {
            format!(" ({:+.1}%)", (other - one) / one.abs() * 100.0)
        }
        _ => String::new(),
    };
    format!("{one} -> {other}{share}")
}
