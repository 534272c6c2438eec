//! `events.jsonl`: the run's log once more, in the lines that programs outside follow.
//!
//! The lines are a function of the log. Those that a crash kept out of the file are written when the run is taken up again; several runs
//! may share a file.

use crate::clock;
use crate::engine::Setting;
use crate::error::RunnerError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::Path;
use wootz_pipeline::machine::{State, StepState};
use wootz_schema::event::{Event, Record, StepLine};
use wootz_schema::plan::PlanStep;
use wootz_schema::task::TaskLogs;
use wootz_store::StoreError;

/// Writes the lines of one run.
pub(crate) struct Narrator<'a> {
    setting: &'a Setting<'a>,
    file: File,
    /// Lines that are in the file already.
    written: usize,
    told: usize,
    pending: Vec<u8>,
    /// When the attempts were begun, by step.
    begun_ms: BTreeMap<usize, u64>,
}

impl<'a> Narrator<'a> {
    pub fn open(setting: &'a Setting<'a>) -> Result<Narrator<'a>, RunnerError> {
        let folder = setting.runner.log_folder(setting.run, &setting.created.plan);
        let made = fs::create_dir_all(&folder);
        made.map_err(|source| StoreError::Io { action: "create", path: folder.clone(), source })?;
        let path = folder.join("events.jsonl");
        let failed = |source| StoreError::Io { action: "write", path: path.clone(), source };
        let written = count(&path, setting.run).map_err(failed)?;
        let mut file = File::options().append(true).create(true).open(&path).map_err(failed)?;
        if written.is_torn {
            file.write_all(b"\n").map_err(failed)?;
        }
        let (told, pending, begun_ms) = (0, Vec::new(), BTreeMap::new());
        Ok(Narrator { setting, file, written: written.lines, told, pending, begun_ms })
    }

    /// Takes an event and the state that it led to.
    pub fn hear(&mut self, record: &Record, state: &State) {
        let position = |id: &String| state.graph().position(id);
        let at_ms = record.at_ms;
        match &record.event {
            Event::Started { step, attempt, .. } => {
                if let Some(position) = position(step) {
                    self.begun_ms.insert(position, at_ms);
                    let message = said(&self.setting.created.plan.steps[position]);
                    self.tell(at_ms, position, *attempt, "step_started", 0, &message);
                }
            }
            Event::Succeeded { step, attempt, .. } => self.finish(at_ms, position(step), *attempt, 0, ""),
            Event::Held { step, attempt, summary, .. } => {
                self.finish(at_ms, position(step), *attempt, 1, summary)
            }
            Event::Failed { step, attempt, failure } => {
                self.finish(at_ms, position(step), *attempt, failure.code.unwrap_or(-1), &failure.message);
            }
            Event::Cached { step, attempt, .. } => {
                if let Some(position) = position(step) {
                    self.tell(at_ms, position, *attempt, "step_cached", 0, "");
                }
            }
            Event::Created(_)
            | Event::Resumed { .. }
            | Event::Cancelled { .. }
            | Event::RetryDue { .. }
            | Event::CancelRequested => {}
        }
        for position in state.touched() {
            let step = &state.steps()[*position];
            match &step.state {
                StepState::Skipped(why) => self.tell(at_ms, *position, 0, "step_skipped", 0, why),
                StepState::Cancelled => self.tell(at_ms, *position, step.attempt, "step_cancelled", -1, ""),
                _ => {}
            }
        }
    }

    fn finish(&mut self, at_ms: u64, position: Option<usize>, attempt: u32, code: i32, message: &str) {
        if let Some(position) = position {
            self.tell(at_ms, position, attempt, "step_finished", code, message);
        }
    }

    fn tell(
        &mut self,
        at_ms: u64,
        position: usize,
        attempt: u32,
        status: &str,
        exit_code: i32,
        message: &str,
    ) {
        self.told += 1;
        if self.told <= self.written {
            return;
        }
        let Setting { runner, registry, run, created, .. } = self.setting;
        let step = &created.plan.steps[position];
        let is_launched = registry.get(&step.kind).is_some_and(|kind| kind.is_launched());
        let logs =
            (is_launched && attempt > 0).then(|| runner.task_logs(run, &created.plan, &step.id, attempt));
        let nothing = || TaskLogs { stdout: String::new(), stderr: String::new(), structured: String::new() };
        let TaskLogs { stdout, stderr, structured } = logs.unwrap_or_else(nothing);
        let begun_ms = self.begun_ms.get(&position).filter(|_| status == "step_finished");
        let line = StepLine {
            timestamp: clock::format(at_ms, "%Y-%m-%dT%H:%M:%S.%3fZ"),
            workflow_id: created.plan.name.clone(),
            run_id: (*run).to_owned(),
            step_id: step.id.clone(),
            step_name: step.name.clone(),
            attempt,
            status: status.to_owned(),
            exit_code,
            duration_sec: begun_ms.map_or(0, |begun_ms| at_ms.saturating_sub(*begun_ms) / 1000),
            stdout_path: stdout,
            stderr_path: stderr,
            structured_path: structured,
            message: message.to_owned(),
        };
        serde_json::to_writer(&mut self.pending, &line).expect("a line has text keys and plain values only");
        self.pending.push(b'\n');
    }

    /// Writes the lines of what is in the log by now.
    pub fn flush(&mut self) {
        // A file that cannot be written must not fail the run, whose log is elsewhere; what is missing comes when it is taken up again.
        let _ = self.file.write_all(&self.pending);
        self.pending.clear();
    }
}

/// What the file has of a run.
struct Written {
    lines: usize,
    /// Whether it ends in the middle of a line.
    is_torn: bool,
}

fn count(path: &Path, run: &str) -> std::io::Result<Written> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Written { lines: 0, is_torn: false }),
        file => file?,
    };
    let (mut lines, mut is_torn) = (0, false);
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        is_torn = serde_json::from_slice::<StepLine>(&line)
            .map(|line| lines += usize::from(line.run_id == run))
            .is_err();
    }
    Ok(Written { lines, is_torn })
}

/// What a step runs, for people.
fn said(step: &PlanStep) -> String {
    let command = step.config.get("command").and_then(Value::as_str);
    let arguments = step.config.get("args").and_then(Value::as_array).into_iter().flatten();
    let words: Vec<&str> = command.into_iter().chain(arguments.filter_map(Value::as_str)).collect();
    if words.is_empty() { step.kind.clone() } else { words.join(" ") }
}
