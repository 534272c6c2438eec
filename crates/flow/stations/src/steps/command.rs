//! A program of the plan's own: `command`, and `package_build`, which is the same under another name. No shell reads the arguments.
//!
//! The program runs beside the engine and outlives it ([`wootz_pipeline::Launcher`]). What it writes to `$WOOTZ_OUTPUT` is the step's
//! output. It is run again in each run, unless the plan says what it depends on (`inputs`) or that it depends on nothing (`cache: true`).

use super::io;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use wootz_pipeline::{Ended, Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Progress;

/// Two hours, as plans that were written for other runners expect.
pub(super) const TIMEOUT_SECONDS: f64 = 7200.0;
/// How much of the end of a log is looked at for a line.
const TAIL_BYTES: u64 = 4096;
/// Longest line that a summary quotes.
const LINE_CHARS: usize = 200;

/// The step; `kind` is `command`, whose settings stand in the step itself, or the name of the block they stand in.
pub struct Command {
    pub kind: &'static str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    command: String,
    args: Vec<Value>,
    env: BTreeMap<String, Value>,
    working_dir: Option<PathBuf>,
    /// Files and folders that the result depends on.
    inputs: Option<Vec<PathBuf>>,
    /// What it must have left, below `$WOOTZ_OUTPUT`.
    outputs: Vec<PathBuf>,
    cache: Option<bool>,
}

impl Settings {
    fn is_cacheable(&self) -> bool {
        self.cache.unwrap_or(self.inputs.is_some())
    }
}

impl Command {
    fn settings(&self, config: &Value) -> Result<Settings, StepError> {
        let settings: Settings = settings(config)?;
        if settings.command.trim().is_empty() {
            return Err(StepError::usage(match self.kind {
                "command" => "command is required".to_owned(),
                kind => format!("{kind} requires command"),
            }));
        }
        for (key, value) in &settings.env {
            word(value).map_err(|error| error.at_key(format!("env.{key}")))?;
        }
        for (at, value) in settings.args.iter().enumerate() {
            word(value).map_err(|error| error.at_key(format!("args.{at}")))?;
        }
        let outside = settings.outputs.iter().find(|path| path.is_absolute() || path.starts_with(".."));
        match outside {
            Some(path) => {
                let message = format!("the output {} is not below the step's own folder", path.display());
                let hint = "write to $WOOTZ_OUTPUT, and name what is there by its path below it";
                Err(StepError::usage(message).with_hint(hint).at_key("outputs"))
            }
            None => Ok(settings),
        }
    }
}

impl Step for Command {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn version(&self) -> u32 {
        1
    }

    fn inline_keys(&self) -> &'static [&'static str] {
        match self.kind {
            "command" => &["command", "args", "env", "working_dir", "inputs", "outputs", "cache"],
            _ => &[],
        }
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        self.settings(config).map(drop)
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        let settings = self.settings(config)?;
        let folder = settings.working_dir.clone().unwrap_or_default();
        let inputs = settings.inputs.iter().flatten();
        Ok(inputs.map(|input| folder.join(input)).collect())
    }

    fn is_cacheable(&self, config: &Value) -> bool {
        self.settings(config).is_ok_and(|settings| settings.is_cacheable())
    }

    fn is_launched(&self) -> bool {
        true
    }

    fn timeout_seconds(&self) -> Option<f64> {
        Some(TIMEOUT_SECONDS)
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let settings = self.settings(config)?;
        let mut argv = vec![settings.command.clone()];
        for value in &settings.args {
            argv.push(word(value)?);
        }
        let mut env = BTreeMap::from([
            ("WOOTZ_OUTPUT".to_owned(), context.work.to_string_lossy().into_owned()),
            ("WOOTZ_RUN".to_owned(), context.label.run_id.clone()),
            ("WOOTZ_STEP".to_owned(), context.label.step_id.clone()),
            ("WOOTZ_ATTEMPT".to_owned(), context.attempt.to_string()),
        ]);
        for (key, value) in &settings.env {
            env.insert(key.clone(), word(value)?);
        }
        let here = std::env::current_dir().map_err(|error| io("find", Path::new("."), &error))?;
        let folder = settings.working_dir.as_ref().map_or(here.clone(), |folder| here.join(folder));
        let ended = context.launch(argv, env, &folder)?;
        judge(context, &ended)?;
        for output in &settings.outputs {
            if !context.work.join(output).exists() {
                let message = format!("it ended well, but left no {}", output.display());
                return Err(StepError::failed(message).with_hint("it is to be written below $WOOTZ_OUTPUT"));
            }
        }
        Ok(StepOutcome::passed(last_line(&context.logs.stdout), Metrics::new()))
    }
}

/// An error where the process has not ended well.
pub(super) fn judge(context: &StepContext<'_>, ended: &Ended) -> Result<(), StepError> {
    if let Some(why) = &ended.lost_output {
        context.observe.observe(Progress::Message(&format!("what it said is not whole in its logs: {why}")));
    }
    if ended.code == Some(0) {
        return Ok(());
    }
    if context.cancel.load(Ordering::Relaxed) {
        return Err(StepError::cancelled());
    }
    let how = match (ended.code, ended.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "nobody knows how it ended".to_owned(),
    };
    let said = last_line(&context.logs.stderr);
    let message = if said.is_empty() { how } else { format!("{how}: {said}") };
    Err(StepError { code: ended.code, ..StepError::failed(message).retryable() })
}

/// The last line of a log that says something, shortened.
pub(super) fn last_line(path: &str) -> String {
    let tail = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    });
    // A log that cannot be read leaves the summary empty; the path is told elsewhere.
    let tail = tail.unwrap_or_default();
    let text = String::from_utf8_lossy(&tail);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(LINE_CHARS) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// A scalar as the text that a program is given.
pub(super) fn word(value: &Value) -> Result<String, StepError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(StepError::usage(format!("{value} is no text")).with_hint("put it in quotes"))
        }
    }
}
