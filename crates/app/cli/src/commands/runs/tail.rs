//! `wootz runs tail` and `wootz runs follow`: what happened to the steps of a run, line by line.

use super::format::{self, Format, Source};
use super::{Home, exit_of};
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;
use wootz_runner::{Following, Runner, StepEvent};
use wootz_schema::event::{RunSummary, Status};

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Looks after which a run that nobody drives is given up.
const LOOKS: u32 = 20;

/// Print the events of a run: a line each, or with --json an object in each line.
#[derive(clap::Args)]
pub struct Tail {
    /// Id of the run, or `latest`; with --log-dir also the name of its plan.
    #[arg(default_value = "latest")]
    run: String,
    /// Only the last events, so many.
    #[arg(long, value_name = "N")]
    lines: Option<usize>,
    /// Only this step.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    source: Source,
}

/// Print the events of a run from its start and then as they come, until the run is over.
///
/// It does not matter which process works on the run. Exits with the run's code; a run whose process has died is given up after two
/// seconds.
#[derive(clap::Args)]
pub struct Follow {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Only this step.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    #[command(flatten)]
    home: Home,
}

/// `wootz runs tail`.
pub fn tail(args: &Tail, json: bool) -> Result<Outcome, Failure> {
    let form = if json { Format::Json } else { args.source.format };
    let events = match &args.source.log_dir {
        Some(folder) => {
            let file = format::read(folder)?;
            format::of(&file, &args.run, folder)?.into_iter().cloned().collect()
        }
        None => {
            let runner = args.source.open()?;
            let registry = wootz_stations::registry(&environment::machine());
            if args.step.is_some() {
                // An error where the run has no such step.
                runner.logs(&args.run, args.step.as_deref())?;
            }
            format::events(&mut runner.follow(&args.run, &registry)?)?
        }
    };
    let events: Vec<&StepEvent> = events.iter().filter(|event| is_of(event, &args.step)).collect();
    let left_out = args.lines.map_or(0, |lines| events.len().saturating_sub(lines));
    let text: String = events[left_out..].iter().map(|event| told(event, form)).collect();
    Ok(Outcome::ok(text, Value::Null))
}

/// `wootz runs follow`.
pub fn follow(args: &Follow, json: bool) -> Result<Outcome, Failure> {
    let runner = args.home.open()?;
    let registry = wootz_stations::registry(&environment::machine());
    if args.step.is_some() {
        runner.logs(&args.run, args.step.as_deref())?;
    }
    let mut following = runner.follow(&args.run, &registry)?;
    let form = if json { Format::Json } else { Format::Table };
    let summary = attend(&runner, &mut following, &mut |following| {
        let events = format::events(following)?;
        let wanted = events.iter().filter(|event| is_of(event, &args.step));
        let text: String = wanted.map(|event| told(event, form)).collect();
        Ok(render::stream(text.as_bytes()))
    })?;
    let text = if json { String::new() } else { last_word(&summary) };
    Ok(Outcome { text: text.into(), exit: exit_of(&summary), json: Value::Null })
}

/// Calls `look` again and again, which reads what is new and prints it, until the run is over, or nobody drives it any more, or nobody
/// reads what is printed, which `look` says by `false`.
pub fn attend(
    runner: &Runner,
    following: &mut Following<'_>,
    look: &mut dyn FnMut(&mut Following<'_>) -> Result<bool, Failure>,
) -> Result<RunSummary, Failure> {
    let mut idle = 0;
    loop {
        // The state before what is printed because of it: nothing comes after the last look.
        let is_over = following.is_over();
        let is_read = look(following)?;
        if is_over || !is_read || idle == LOOKS {
            return Ok(runner.show(following.run())?);
        }
        if following.is_over() {
            continue;
        }
        idle = if runner.is_driven(following.run())? { 0 } else { idle + 1 };
        sleep(LOOK);
    }
}

/// How a run that was followed ended, for people.
pub fn last_word(summary: &RunSummary) -> String {
    let mut text = format!("run {}: {}\n", summary.run, summary.status.word());
    if summary.status == Status::Interrupted {
        text.push_str(&format!("go on with: wootz run --resume {}\n", summary.run));
    }
    text
}

fn is_of(event: &StepEvent, step: &Option<String>) -> bool {
    step.as_ref().is_none_or(|step| event.step() == step)
}

fn told(event: &StepEvent, form: Format) -> String {
    match form {
        Format::Table => format::sentence(event),
        Format::Json => format!("{}\n", event.line),
        Format::Tsv => format::event_columns(event),
    }
}
