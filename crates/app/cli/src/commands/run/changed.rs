//! Whether a plan is still what a run was started with, and what it is now.
//!
//! A run goes on with the plan that its log holds. Where the file says something else by now, whoever takes the run up may expect that
//! instead, so the run is not taken up before it is said which is meant. A file that is gone says nothing.

use crate::commands::plan::{self, Params};
use crate::environment;
use crate::outcome::Failure;
use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wootz_pipeline::{Source, load};
use wootz_runner::{PlanFile, Runner};
use wootz_schema::event::{Created, Event};

/// A run's plan, and the file as it is now.
pub struct Compared {
    run: String,
    created: Created,
    path: PathBuf,
    /// The file's text; none where there is no file any more.
    text: Option<String>,
}

impl Compared {
    /// Compares the plan of a run with `file`, or else with the file that the run was started with.
    pub fn new(runner: &Runner, run: &str, file: Option<&Path>) -> Result<Compared, Failure> {
        let run = runner.show(run)?.run;
        let events = runner.events(&run)?;
        let created = events.into_iter().rev().find_map(|record| match record.event {
            Event::Created(created) | Event::Replanned { created, .. } => Some(*created),
            _ => None,
        });
        let created = created.expect("a plan, because the run was shown above, which reads it");
        let path = file.unwrap_or(Path::new(&created.plan_path)).to_owned();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if file.is_none() && error.kind() == ErrorKind::NotFound => None,
            text => Some(text.map_err(|error| Failure::io("read the plan", &path, &error))?),
        };
        Ok(Compared { run, created, path, text })
    }

    /// Whether the file says what the run's plan says, or nothing.
    pub fn is_same(&self) -> bool {
        self.text.as_ref().is_none_or(|text| *text == self.created.plan_text)
    }

    /// What is said where the run is not taken up because of the difference.
    pub fn refusal(&self, runner: &Runner) -> Failure {
        let (run, path) = (&self.run, self.path.display());
        let text = self.text.as_deref().unwrap_or_default();
        let message = format!(
            "take run {run} up again: {path} differs from the plan that it was started with\n--- run {run}\n+++ {path}\n{}",
            difference(&self.created.plan_text, text).trim_end(),
        );
        let recorded = runner.store().home().join("runs").join(run).join("plan.yaml");
        let hint = format!(
            "--accept-plan goes on with the new plan, `wootz run --resume {run} {}` with the plan as it was",
            recorded.display(),
        );
        Failure::usage(message, hint)
    }

    /// The file as the run's plan: parameters that are not given now are what they were given as.
    pub fn accepted(&self, params: &Params) -> Result<PlanFile, Failure> {
        let mut values = self.given();
        // A parameter that the new plan no longer has is left behind, one that is given now and not there is a mistake.
        let text = self.text.as_deref().unwrap_or(&self.created.plan_text);
        let declared = serde_yaml_ng::from_str::<Value>(text).ok();
        let declared = declared.and_then(|plan| plan.get("params")?.as_object().cloned()).unwrap_or_default();
        values.retain(|name, _| declared.contains_key(name));
        values.extend(params.by_name());
        let (plan, text) = plan::read(&self.path, &Params::of(values))?;
        Ok(PlanFile { plan, text, path: self.path.display().to_string() })
    }

    /// Parameters that were given when the run was started: those that are not what the plan says by itself.
    fn given(&self) -> BTreeMap<String, String> {
        let (none, env) = (BTreeMap::new(), environment::all());
        let source =
            Source { text: &self.created.plan_text, file: &self.created.plan_path, params: &none, env: &env };
        let defaults = load(source, &wootz_stations::registry(&environment::machine()));
        let defaults = defaults.map(|plan| plan.params).unwrap_or_default();
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let given =
            self.created.plan.params.iter().filter(|(name, value)| defaults.get(*name) != Some(*value));
        given.map(|(name, value)| (name.clone(), word(value))).collect()
    }
}

/// The lines that differ, as people write a difference.
fn difference(before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string()
}
