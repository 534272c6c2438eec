//! `wootz doctor`: is this machine ready, and what would be missing for which command.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use wootz_schema::ExitCode;
use wootz_stations::machine;
use wootz_stdx::human;

/// Look at the machine: processor, memory, disk, tools, and where wootz keeps its files.
///
/// Exits with 3 where something that the line needs is missing; what only some commands need is a note.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of runs and cached outputs to check [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// One thing looked at.
struct Finding {
    name: &'static str,
    value: String,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// As it should be.
    Ok,
    /// Works, with a loss.
    Note,
    /// The line cannot run.
    Missing,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Note => "note",
            State::Missing => "missing",
        }
    }
}

/// Memory below which the tiny recipe would swap.
const WANTED_MEMORY_BYTES: u64 = 2 << 30;
/// Disk below which a run of the tiny recipe may not fit.
const WANTED_DISK_BYTES: u64 = 1 << 30;

/// Runs the command.
pub fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let home = environment::home(args.home.as_ref());
    let mut findings = machine_findings();
    findings.push(home_finding(&home));
    findings.push(disk_finding(&home));
    findings.extend(tool_findings());
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| vec![finding.name.to_owned(), finding.state.word().to_owned(), finding.value.clone()])
        .collect();
    let header = [("what", table::Align::Left), ("", table::Align::Left), ("found", table::Align::Left)];
    let missing = findings.iter().any(|finding| finding.state == State::Missing);
    let variables: serde_json::Map<String, Value> = environment::ALL
        .iter()
        .map(|variable| {
            (variable.name.to_owned(), json!(variable.get().map(|v| v.to_string_lossy().into_owned())))
        })
        .collect();
    let found: Vec<Value> = findings
        .iter()
        .map(|finding| json!({ "name": finding.name, "state": finding.state.word(), "found": finding.value }))
        .collect();
    Ok(Outcome {
        text: table::table(&header, &rows).into(),
        json: json!({ "ok": !missing, "findings": found, "home": home, "environment": variables, "machine": machine::hardware() }),
        exit: if missing { ExitCode::Environment } else { ExitCode::Ok },
    })
}

fn machine_findings() -> Vec<Finding> {
    let hardware = machine::hardware();
    let fast = hardware
        .features
        .iter()
        .any(|feature| matches!(feature.as_str(), "avx512f" | "avx2" | "neon" | "sve"));
    let available = machine::available_memory_bytes();
    let memory = format!("{} of {} available", human::bytes(available), human::bytes(hardware.memory_bytes));
    let enough = available == 0 || available >= WANTED_MEMORY_BYTES;
    vec![
        Finding { name: "wootz", value: env!("CARGO_PKG_VERSION").to_owned(), state: State::Ok },
        Finding { name: "system", value: hardware.os, state: State::Ok },
        Finding {
            name: "processor",
            value: format!("{}, {} threads", hardware.cpu, hardware.threads),
            state: State::Ok,
        },
        Finding {
            name: "vectors",
            value: if fast {
                hardware.features.join(", ")
            } else {
                "none that the fast path uses: training is slow".into()
            },
            state: if fast { State::Ok } else { State::Note },
        },
        Finding { name: "memory", value: memory, state: if enough { State::Ok } else { State::Note } },
    ]
}

fn home_finding(home: &Path) -> Finding {
    let existing = existing_ancestor(home);
    let writable = can_write(&existing);
    let note = match (writable, existing == home) {
        (false, _) => ", which cannot be written",
        (true, false) => ", made by the first run",
        (true, true) => "",
    };
    let state = if writable { State::Ok } else { State::Missing };
    Finding { name: "home", value: format!("{}{note}", home.display()), state }
}

fn disk_finding(home: &Path) -> Finding {
    match rustix::fs::statvfs(existing_ancestor(home)) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let state = if free >= WANTED_DISK_BYTES { State::Ok } else { State::Missing };
            Finding { name: "disk", value: format!("{} free at home", human::bytes(free)), state }
        }
        Err(error) => {
            Finding { name: "disk", value: format!("free space is not known: {error}"), state: State::Note }
        }
    }
}

/// Tools that only comparisons and sources use; the line itself needs none.
fn tool_findings() -> Vec<Finding> {
    let tool = |name, program: &str, args: &[&str], without: &str| match answer(program, args) {
        Some(value) => Finding { name, value, state: State::Ok },
        None => Finding { name, value: format!("not found: {without}"), state: State::Note },
    };
    let torch = "import torch; print(torch.__version__)";
    vec![
        tool("git", "git", &["--version"], "documents carry no commit"),
        tool("python", "python3", &["--version"], "no comparison with PyTorch"),
        tool(
            "torch",
            "python3",
            &["-c", torch],
            "no comparison with PyTorch (dev/setup.sh bench installs it)",
        ),
    ]
}

/// The first line a program prints, if it can be run.
fn answer(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
}

/// Whether a file can be made in a folder. Permission bits do not tell: a super-user passes them on a file system
/// that takes no files.
fn can_write(folder: &Path) -> bool {
    let probe = folder.join(format!(".wootz-doctor-{}", std::process::id()));
    let made = std::fs::File::create_new(&probe).is_ok();
    if made {
        // The probe was made above, so it can only fail to go if someone else took it away.
        let _ = std::fs::remove_file(&probe);
    }
    made
}

/// The path itself or the nearest folder above it that exists.
fn existing_ancestor(path: &Path) -> PathBuf {
    let found = path.ancestors().find(|ancestor| !ancestor.as_os_str().is_empty() && ancestor.exists());
    found.map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}
