//! Order: a hundred runs of the same plan begin their steps alike.

use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use tempfile::TempDir;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;

/// Over as soon as it has begun, and never cached.
struct Instant;

impl Step for Instant {
    fn kind(&self) -> &'static str {
        "instant"
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, _: &Value) -> Result<(), StepError> {
        Ok(())
    }
    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }
    fn is_cacheable(&self, _: &Value) -> bool {
        false
    }
    fn run(&self, _: &StepContext<'_>, _: &Value) -> Result<StepOutcome, StepError> {
        Ok(StepOutcome::passed("", Metrics::new()))
    }
}

/// Steps without dependencies, in an order that is not their names', and one that waits for all.
const IDS: [&str; 8] = ["h", "b", "g", "a", "f", "c", "e", "d"];

/// What happened in a run: kind and step of each event, behind the creation.
fn events(max_parallel: usize) -> Vec<(String, String)> {
    let steps: Vec<String> = IDS.iter().map(|id| format!("  - {{id: {id}, type: instant}}\n")).collect();
    let last = format!("  - {{id: last, type: instant, depends_on: [{}]}}\n", IDS.join(", "));
    let text = format!("steps:\n{}{last}", steps.concat());
    let mut registry = Registry::new();
    registry.register(Instant);
    let none = BTreeMap::new();
    let plan = load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &registry).unwrap();
    let file = PlanFile { plan, text, path: "p.yaml".to_owned() };
    let folder = TempDir::new().unwrap();
    let runner = Runner::open(folder.path()).unwrap();
    let cancel = AtomicBool::new(false);
    let options = Options { max_parallel, ..Options::new("wootz run p.yaml", &cancel) };
    let summary = runner.run(&file, &options, &registry, &Silent).unwrap();
    let records = runner.events(&summary.run).unwrap();
    let word = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let event = |record: &wootz_schema::event::Record| {
        let event = serde_json::to_value(&record.event).unwrap();
        (word(&event, "kind"), word(&event, "step"))
    };
    records[1..].iter().map(event).collect()
}

#[test]
fn one_at_a_time_steps_run_in_the_plans_order() {
    let ids = IDS.iter().chain(&["last"]);
    let both = |id: &&str| ["started", "succeeded"].map(|kind| (kind.to_owned(), (*id).to_owned()));
    let expected: Vec<(String, String)> = ids.flat_map(both).collect();
    for _ in 0..100 {
        assert_eq!(events(1), expected);
    }
}

#[test]
fn four_at_a_time_a_step_begins_when_at_most_three_before_it_are_left() {
    let first = events(4);
    for _ in 0..100 {
        let events = events(4);
        let mut ended = 0;
        for (kind, step) in &events {
            match kind.as_str() {
                "succeeded" => ended += 1,
                _ => {
                    // Which of those at work is first is up to the machine; that a later step is not begun in place of an earlier is not.
                    let position = IDS.iter().position(|id| id == step).unwrap_or(IDS.len() + 3);
                    assert!(ended + 4 > position, "{step} begins when {ended} steps have ended: {events:?}");
                }
            }
        }
        let sorted = |mut events: Vec<(String, String)>| {
            events.sort();
            events
        };
        assert_eq!(sorted(events), sorted(first.clone()));
    }
}
