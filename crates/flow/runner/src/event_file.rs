//! A folder of logs as it stands: the runs and steps of an `events.jsonl`, this engine's or one of a program that writes the same lines.
//!
//! What cannot be read is passed over: lines that are no JSON, and lines that do not say whose they are. A key that is missing is empty.
//! Such a file knows only of steps that something happened to, so a run in it is as far as its steps are.

use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;
use wootz_schema::event::StepLine;

/// The events of a folder, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct EventFile {
    events: Vec<StepEvent>,
}

/// A line of such a file.
#[derive(Debug, Clone, PartialEq)]
pub struct StepEvent {
    /// The line as it stands.
    pub line: String,
    value: Value,
}

/// A run that events are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRun {
    /// Its workflow: the plan's name.
    pub workflow: String,
    /// Its id.
    pub run: String,
    /// When something happened to it last, as the file says.
    pub last: String,
    /// Steps that are over.
    pub done: usize,
    /// Steps that something happened to.
    pub steps: usize,
    /// `running`, `succeeded` or `failed`, as far as the events tell.
    pub status: &'static str,
}

/// A step that events are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStep {
    /// Its id, or its name where it has none.
    pub step: String,
    /// What happened last: `started`, `finished`, `cached`, `skipped` or `cancelled`.
    pub status: String,
    /// Exit code, once it has finished.
    pub exit_code: Option<String>,
    /// Whole seconds, once it has finished.
    pub seconds: Option<String>,
    /// The files of standard output, of standard error, and of both line by line; empty where there are none.
    pub logs: [String; 3],
    /// What was said of it last: what it runs, or why it ended as it did.
    pub message: String,
}

impl EventFile {
    /// Reads `events.jsonl` of a folder; without that file there are no events.
    pub fn read(folder: &Path) -> io::Result<EventFile> {
        let file = match File::open(folder.join("events.jsonl")) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(EventFile { events: Vec::new() }),
            file => file?,
        };
        let mut events = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            events.extend(StepEvent::parse(&String::from_utf8_lossy(&line?)));
        }
        Ok(EventFile { events })
    }

    /// The runs, newest first.
    pub fn runs(&self) -> Vec<FileRun> {
        let mut grouped: BTreeMap<(&str, &str), Vec<&StepEvent>> = BTreeMap::new();
        for event in self.events.iter().filter(|event| !event.text("workflowId").is_empty()) {
            if !event.text("runId").is_empty() {
                grouped.entry((event.text("workflowId"), event.text("runId"))).or_default().push(event);
            }
        }
        let run = |((workflow, run), events): (&(&str, &str), &Vec<&StepEvent>)| {
            let steps = steps(events.iter().copied());
            let is_open = |step: &&FileStep| step.status == "started";
            let has_failed =
                |step: &FileStep| step.exit_code.as_ref().is_some_and(|code| code != "0" && code != "None");
            let open = steps.iter().filter(is_open).count();
            FileRun {
                workflow: (*workflow).to_owned(),
                run: (*run).to_owned(),
                last: events.last().map_or("", |event| event.text("timestamp")).to_owned(),
                done: steps.len() - open,
                steps: steps.len(),
                status: match () {
                    () if open > 0 => "running",
                    () if steps.iter().any(has_failed) => "failed",
                    () => "succeeded",
                },
            }
        };
        let mut runs: Vec<FileRun> = grouped.iter().map(run).collect();
        // Times are compared as times: `…:01Z` is before `…:01.5Z`, which their letters do not say.
        runs.sort_by_key(|run| Reverse((run.last.parse::<jiff::Timestamp>().ok(), run.last.clone())));
        runs
    }

    /// The events of one run, by its id, or by its workflow's name or `latest`, which mean the newest; none where there is no such run.
    pub fn of(&self, run: &str) -> Vec<&StepEvent> {
        let runs = self.runs();
        let found = runs.iter().find(|other| other.run == run);
        let found = found.or_else(|| runs.iter().find(|other| other.workflow == run || run == "latest"));
        let is_its = |event: &&StepEvent| {
            found
                .is_some_and(|run| event.text("runId") == run.run && event.text("workflowId") == run.workflow)
        };
        self.events.iter().filter(is_its).collect()
    }
}

impl StepEvent {
    /// A line, where it is an event.
    fn parse(line: &str) -> Option<StepEvent> {
        let value: Value = serde_json::from_str(line).ok()?;
        value.is_object().then(|| StepEvent { line: line.trim().to_owned(), value })
    }

    /// What a key says; empty where it is missing or no text.
    pub fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A figure, as it stands in the line.
    pub fn figure(&self, key: &str) -> Option<String> {
        match self.value.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            figure => Some(figure.to_string()),
        }
    }

    /// The step: its id, or its name where it has none.
    pub fn step(&self) -> &str {
        match self.text("stepId") {
            "" => self.text("stepName"),
            id => id,
        }
    }

    /// What happened, without the `step_` in front.
    pub fn status(&self) -> &str {
        let status = self.text("status");
        status.strip_prefix("step_").unwrap_or(status)
    }
}

impl From<&StepLine> for StepEvent {
    fn from(line: &StepLine) -> StepEvent {
        let value = serde_json::to_value(line).expect("a line has text keys and plain values only");
        // The text keeps the order of the type's fields.
        let line = serde_json::to_string(line).expect("a line has text keys and plain values only");
        StepEvent { line, value }
    }
}

/// The steps that events of one run are about, in the order in which they were first heard of.
pub fn steps<'a>(events: impl Iterator<Item = &'a StepEvent>) -> Vec<FileStep> {
    let mut steps: Vec<FileStep> = Vec::new();
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events.filter(|event| !event.step().is_empty()) {
        let place = *places.entry(event.step()).or_insert_with(|| {
            steps.push(FileStep {
                step: event.step().to_owned(),
                status: String::new(),
                exit_code: None,
                seconds: None,
                logs: Default::default(),
                message: String::new(),
            });
            steps.len() - 1
        });
        let step = &mut steps[place];
        let is_finished = event.status() == "finished";
        step.status = event.status().to_owned();
        step.exit_code = event.figure("exitCode").filter(|_| is_finished);
        step.seconds = event.figure("durationSec").filter(|_| is_finished);
        step.logs = ["stdoutPath", "stderrPath", "structuredPath"].map(|key| event.text(key).to_owned());
        step.message = event.text("message").to_owned();
    }
    steps
}
