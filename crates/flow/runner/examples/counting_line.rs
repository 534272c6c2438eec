//! A small line of steps that count: `counting_line HOME run` runs it, `counting_line HOME resume` takes the latest run
//! up again. The kill test starts it, kills it at random moments, and compares what is left with an undisturbed run.
//!
//! Each step appends to its work folder one line at a time, so that an attempt that was killed leaves a part which the
//! next one goes on from; and notes every beginning in `HOME/begun.log`.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::Duration;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::event::Status;
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;

const PLAN: &str = r#"
name: counting
steps:
  - {id: first, type: count, count: {lines: 4}}
  - {id: left, type: count, count: {lines: 6, after: "${steps.first}"}}
  - {id: right, type: count, count: {lines: 3, after: "${steps.first}"}}
  - {id: both, type: count, depends_on: [left, right], count: {lines: 2, after: "${steps.left}"}}
  - {id: last, type: count, count: {lines: 3, after: "${steps.both}"}}
"#;

/// Writes numbered lines, slowly.
struct Count {
    begun: PathBuf,
}

fn io(error: std::io::Error) -> StepError {
    StepError::environment(error.to_string())
}

impl Step for Count {
    fn kind(&self) -> &'static str {
        "count"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        config["lines"]
            .as_u64()
            .map(drop)
            .ok_or_else(|| StepError::usage("lines must be a number").at_key("lines"))
    }

    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let mut begun = File::options().append(true).create(true).open(&self.begun).map_err(io)?;
        begun.write_all(format!("{} {}\n", context.id, context.attempt).as_bytes()).map_err(io)?;
        let before = config["after"].as_str().map(|after| fs::read_to_string(Path::new(after).join("lines")));
        let before = before.transpose().map_err(io)?.unwrap_or_default();
        let path = context.work.join("lines");
        let mut text = fs::read_to_string(&path).unwrap_or_default();
        // A killed attempt may have left half a line.
        text.truncate(text.rfind('\n').map_or(0, |end| end + 1));
        for line in text.lines().count() as u64..config["lines"].as_u64().unwrap_or_default() {
            context.check_cancelled()?;
            sleep(Duration::from_millis(4));
            text.push_str(&format!("{} {line} after {} bytes\n", context.id, before.len()));
            fs::write(&path, &text).map_err(io)?;
        }
        Ok(StepOutcome::passed(format!("{} lines", text.lines().count()), Metrics::new()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, home, verb] = arguments.as_slice() else {
        return Err("usage: counting_line HOME run|resume".into());
    };
    let mut registry = Registry::new();
    registry.register(Count { begun: Path::new(home).join("begun.log") });
    let none = BTreeMap::new();
    let plan = load(Source { text: PLAN, file: "counting.yaml", params: &none, env: &none }, &registry)?;
    let runner = Runner::open(Path::new(home))?;
    let cancel = AtomicBool::new(false);
    let options = Options { max_parallel: 0, ..Options::new("counting_line", &cancel) };
    let summary = match verb.as_str() {
        "run" => {
            let plan = PlanFile { plan, text: PLAN.to_owned(), path: "counting.yaml".to_owned() };
            runner.run(&plan, &options, &registry, &Silent)?
        }
        _ => runner.resume("latest", &options, &registry, &Silent)?,
    };
    match summary.status {
        Status::Succeeded => Ok(()),
        _ => Err(json!(summary).to_string().into()),
    }
}
