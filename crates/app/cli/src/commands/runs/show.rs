//! `wootz runs show`.

use super::format::{self, Format, Source};
use super::rendered;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::{Value, json};
use wootz_runner::{FileStep, steps};

/// Show one run: its steps, how they ended, where their outputs are.
#[derive(clap::Args)]
pub struct Show {
    /// Id of the run, or `latest`; with --log-dir also the name of its plan.
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    pub source: Source,
}

/// Runs the command.
pub fn run(args: &Show) -> Result<Outcome, Failure> {
    if let Some(folder) = &args.source.log_dir {
        let file = format::read(folder)?;
        let steps = steps(format::of(&file, &args.run, folder)?.into_iter());
        let text = match args.source.format {
            Format::Tsv => steps.iter().map(format::step_columns).collect(),
            Format::Table | Format::Json => of_file(&steps),
        };
        return Ok(Outcome::ok(text, json!({ "steps": steps.iter().map(object).collect::<Vec<_>>() })));
    }
    let runner = args.source.open()?;
    if args.source.format == Format::Tsv {
        let registry = wootz_stations::registry(&environment::machine());
        let events = format::events(&mut runner.follow(&args.run, &registry)?)?;
        let text: String = steps(events.iter()).iter().map(format::step_columns).collect();
        return Ok(Outcome::ok(text, json!(runner.show(&args.run)?)));
    }
    let summary = runner.show(&args.run)?;
    Ok(Outcome::ok(rendered(&summary), json!(summary)))
}

fn of_file(steps: &[FileStep]) -> String {
    let header =
        [("step", Align::Left), ("status", Align::Left), ("exit", Align::Right), ("seconds", Align::Right)];
    let row = |step: &FileStep| {
        let figure = |figure: &Option<String>| figure.clone().unwrap_or_default();
        [step.step.clone(), step.status.clone(), figure(&step.exit_code), figure(&step.seconds)]
    };
    table(&header, &steps.iter().map(row).collect::<Vec<_>>())
}

fn object(step: &FileStep) -> Value {
    let figure = |figure: &Option<String>| figure.as_ref().and_then(|figure| figure.parse::<i64>().ok());
    let [stdout, stderr, structured] = &step.logs;
    json!({
        "stepId": step.step, "status": step.status, "exitCode": figure(&step.exit_code),
        "durationSec": figure(&step.seconds), "stdoutPath": stdout, "stderrPath": stderr,
        "structuredPath": structured, "message": step.message,
    })
}
