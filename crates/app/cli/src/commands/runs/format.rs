//! Where runs are looked at, and in which form they are told: for people, for programs, or in the columns of older scripts.

use super::Home;
use crate::outcome::Failure;
use std::path::{Path, PathBuf};
use wootz_runner::{EventFile, FileRun, FileStep, Following, Runner, StepEvent};

/// The form of a listing.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Aligned, with a header.
    Table,
    /// JSON.
    Json,
    /// Columns separated by tabs, without a header.
    Tsv,
}

/// What is looked at, and how it is told.
#[derive(clap::Args)]
pub struct Source {
    /// As a table, as JSON, or in columns separated by tabs.
    #[arg(long, value_enum, default_value_t = Format::Table, hide_possible_values = true, value_name = "table|json|tsv")]
    pub format: Format,
    /// Read the events.jsonl of this folder, in place of a home folder; lines of other programs will do.
    #[arg(long, value_name = "DIR", conflicts_with = "home")]
    pub log_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) home: Home,
}

impl Source {
    /// Whether the result is wanted as JSON.
    pub fn is_json(&self, json: bool) -> bool {
        json || self.format == Format::Json
    }

    pub(super) fn open(&self) -> Result<Runner, Failure> {
        self.home.open()
    }
}

/// Reads a folder of logs.
pub fn read(folder: &Path) -> Result<EventFile, Failure> {
    if !folder.is_dir() {
        let message = format!("find events in {}: there is no such folder", folder.display());
        return Err(Failure::usage(message, "name the folder that holds events.jsonl"));
    }
    EventFile::read(folder).map_err(|error| Failure::io("read events.jsonl of", folder, &error))
}

/// The events of one run of a folder; a failure where there are none.
pub fn of<'a>(file: &'a EventFile, run: &str, folder: &Path) -> Result<Vec<&'a StepEvent>, Failure> {
    let events = file.of(run);
    if events.is_empty() {
        let message = format!("find run `{run}` in {}", folder.display());
        return Err(Failure::usage(message, "`wootz runs list --log-dir DIR` lists the runs of a folder"));
    }
    Ok(events)
}

/// The events of a run in a home folder.
pub fn events(following: &mut Following<'_>) -> Result<Vec<StepEvent>, Failure> {
    Ok(following.news()?.iter().map(StepEvent::from).collect())
}

/// `workflow, run, when something happened last`.
pub fn run_columns(run: &FileRun) -> String {
    line(&[&run.workflow, &run.run, &run.last])
}

/// `step, status, exit code, seconds, stdout, stderr, structured`.
pub fn step_columns(step: &FileStep) -> String {
    let none = || "None".to_owned();
    let code = step.exit_code.clone().unwrap_or_else(none);
    let seconds = step.seconds.clone().unwrap_or_else(none);
    let [stdout, stderr, structured] = &step.logs;
    line(&[&step.step, &step.status, &code, &seconds, stdout, stderr, structured])
}

/// `time, step, status, exit code, seconds, message`.
pub fn event_columns(event: &StepEvent) -> String {
    let code = event.figure("exitCode").unwrap_or_else(|| "None".to_owned());
    let seconds = event.figure("durationSec").unwrap_or_else(|| "None".to_owned());
    line(&[event.text("timestamp"), event.step(), event.status(), &code, &seconds, event.text("message")])
}

/// An event for people.
pub fn sentence(event: &StepEvent) -> String {
    let message = event.text("message");
    let seconds = event.figure("durationSec").unwrap_or_default();
    let said = match (event.status(), event.figure("exitCode").as_deref()) {
        ("started", _) => format!("started: {message}"),
        ("finished", Some("0")) => format!("finished in {seconds}s"),
        ("finished", code) => format!("failed with {} in {seconds}s: {message}", code.unwrap_or("no code")),
        (status, _) => format!("{status}: {message}"),
    };
    let attempt = match event.figure("attempt").and_then(|attempt| attempt.parse::<u32>().ok()) {
        Some(attempt) if attempt > 1 => format!(" (attempt {attempt})"),
        _ => String::new(),
    };
    let said = said.trim_end_matches([':', ' ']).replace('\n', " ");
    format!("{}  {}{attempt}  {said}\n", event.text("timestamp"), event.step())
}

/// Cells between tabs. What would end a cell or a line is a space.
fn line(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
    format!("{}\n", cells.join("\t"))
}
