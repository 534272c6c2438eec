//! `wootz runs logs`.

use super::tail::{attend, last_word};
use super::{Home, exit_of};
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use wootz_runner::{LogFile, Runner};

/// How much of a log is read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Print what the steps of a run said.
#[derive(clap::Args)]
pub struct Logs {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Only this step.
    #[arg(long, value_name = "STEP")]
    step: Option<String>,
    /// Print what comes, too, until the run is over; exits with the run's code.
    #[arg(long, short)]
    pub follow: bool,
    #[command(flatten)]
    home: Home,
}

/// Runs the command.
pub fn run(args: &Logs, json: bool) -> Result<Outcome, Failure> {
    let runner = args.home.open()?;
    if args.follow {
        return follow(args, &runner, json);
    }
    let logs = runner.logs(&args.run, args.step.as_deref())?;
    let mut text = Vec::new();
    let mut all = Vec::new();
    for log in &logs {
        let bytes = std::fs::read(&log.path).map_err(|error| Failure::io("read", &log.path, &error))?;
        text.extend(title(log).into_bytes());
        text.extend(&bytes);
        let lines: Vec<String> = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
        all.push(json!({ "step": log.step, "attempt": log.attempt, "stream": log.stream, "path": log.path, "lines": lines }));
    }
    Ok(Outcome::ok(text, json!({ "logs": all })))
}

fn title(log: &LogFile) -> String {
    let stream = if log.stream == "log" { String::new() } else { format!(" {}", log.stream) };
    format!("== {} attempt {}{stream}\n", log.step, log.attempt)
}

fn follow(args: &Logs, runner: &Runner, json: bool) -> Result<Outcome, Failure> {
    let registry = wootz_stations::registry(&environment::machine());
    let mut following = runner.follow(&args.run, &registry)?;
    let mut reader = Reader { json, ..Reader::default() };
    let summary = attend(runner, &mut following, &mut |following| {
        following.news()?;
        for log in runner.logs(following.run(), args.step.as_deref())? {
            if !reader.read(&log, following.is_over())? {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    let text = if json { String::new() } else { last_word(&summary) };
    Ok(Outcome { text: text.into(), exit: exit_of(&summary), json: Value::Null })
}

/// What was read of each log.
#[derive(Default)]
struct Reader {
    read: BTreeMap<PathBuf, u64>,
    /// The log whose lines were printed last.
    current: Option<PathBuf>,
    json: bool,
}

impl Reader {
    /// Prints the lines of a log that were not printed yet; `all`: also one that is not ended. False where nobody reads them.
    fn read(&mut self, log: &LogFile, all: bool) -> Result<bool, Failure> {
        let failed = |error| Failure::io("read", &log.path, &error);
        let mut file = File::open(&log.path).map_err(failed)?;
        let read = self.read.entry(log.path.clone()).or_default();
        loop {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(*read)).map_err(failed)?;
            file.by_ref().take(PIECE_BYTES).read_to_end(&mut bytes).map_err(failed)?;
            // A line that is longer than a piece is printed in pieces.
            let is_last = (bytes.len() as u64) < PIECE_BYTES;
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let end = if (is_last && all) || (!is_last && end == 0) { bytes.len() } else { end };
            *read += end as u64;
            bytes.truncate(end);
            if !bytes.is_empty() {
                let is_same = self.current.as_ref() == Some(&log.path);
                self.current = Some(log.path.clone());
                let text = if self.json { as_json(log, &bytes) } else { as_text(log, bytes, is_same) };
                if !render::stream(&text) {
                    return Ok(false);
                }
            }
            if is_last {
                return Ok(true);
            }
        }
    }
}

fn as_text(log: &LogFile, mut bytes: Vec<u8>, is_same: bool) -> Vec<u8> {
    if !bytes.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    if is_same { bytes } else { [title(log).into_bytes(), bytes].concat() }
}

fn as_json(log: &LogFile, bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let line = |line: &str| {
        json!({ "step": log.step, "attempt": log.attempt, "stream": log.stream, "line": line }).to_string()
            + "\n"
    };
    text.lines().map(line).collect::<String>().into_bytes()
}
