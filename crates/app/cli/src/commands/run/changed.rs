//! Whether a plan is still what a run was started with.
//!
//! A run goes on with the plan that its log holds. Where the file says something else by now, whoever takes the run up may expect that
//! instead, so the run is not taken up before it is said which is meant. A file that is gone says nothing.

use crate::outcome::Failure;
use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff, InternedInput, UnifiedDiffConfig};
use std::io::ErrorKind;
use std::path::Path;
use wootz_runner::Runner;
use wootz_schema::event::Event;

/// A failure with the difference where `plan`, or else the file that the run was started with, differs from the run's plan.
pub fn check(runner: &Runner, run: &str, plan: Option<&Path>) -> Result<(), Failure> {
    let run = runner.show(run)?.run;
    let events = runner.events(&run)?;
    let Some(Event::Created(created)) = events.first().map(|record| &record.event) else { return Ok(()) };
    let path = plan.unwrap_or(Path::new(&created.plan_path));
    let text = match std::fs::read_to_string(path) {
        Err(error) if plan.is_none() && error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(|error| Failure::io("read the plan", path, &error))?,
    };
    if text == created.plan_text {
        return Ok(());
    }
    let path = path.display();
    let message = format!(
        "take run {run} up again: {path} differs from the plan that it was started with\n--- run {run}\n+++ {path}\n{}",
        difference(&created.plan_text, &text).trim_end(),
    );
    let recorded = runner.store().home().join("runs").join(&run).join("plan.yaml");
    let hint = format!(
        "`wootz run {path}` runs it anew, with finished steps from the cache; `wootz run --resume {run} {}` goes on with the plan as it was",
        recorded.display(),
    );
    Err(Failure::usage(message, hint))
}

/// The lines that differ, as people write a difference.
fn difference(before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let printer = BasicLineDiffPrinter(&input.interner);
    diff.unified_diff(&printer, UnifiedDiffConfig::default(), &input).to_string()
}
