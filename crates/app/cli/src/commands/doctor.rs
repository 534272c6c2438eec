//! `wootz doctor`: is this machine ready, and what would be missing for which command.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use wootz_cuda::{Properties, Survey};
use wootz_schema::ExitCode;
use wootz_stations::machine;
use wootz_stdx::human;

/// Look at the machine: processor, memory, disk, GPUs, tools, and where wootz keeps its files.
///
/// Exits with 3 where something that the line needs is missing; what only some commands need is a note. CUDA is such: its
/// libraries are looked for in $WOOTZ_CUDA_LIBRARIES, in the packages beside each python3 on PATH, where the system's loader
/// looks, and in /usr/local/cuda; without them everything runs on the CPU.
#[derive(clap::Args)]
pub struct Args {
    /// Folder of runs and cached outputs to check [default: $WOOTZ_HOME, or .wootz].
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
}

/// One thing looked at.
struct Finding {
    name: String,
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
    let cuda = wootz_cuda::survey(&environment::machine().libraries);
    findings.extend(cuda_findings(&cuda));
    findings.extend(tool_findings());
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| vec![finding.name.clone(), finding.state.word().to_owned(), finding.value.clone()])
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
        json: json!({ "ok": !missing, "findings": found, "home": home, "cuda": cuda_json(&cuda), "environment": variables, "machine": machine::hardware() }),
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
        Finding { name: "wootz".to_owned(), value: env!("CARGO_PKG_VERSION").to_owned(), state: State::Ok },
        Finding { name: "system".to_owned(), value: hardware.os, state: State::Ok },
        Finding {
            name: "processor".to_owned(),
            value: format!("{}, {} threads", hardware.cpu, hardware.threads),
            state: State::Ok,
        },
        Finding {
            name: "vectors".to_owned(),
            value: if fast {
                hardware.features.join(", ")
            } else {
                "none that the fast path uses: training is slow".into()
            },
            state: if fast { State::Ok } else { State::Note },
        },
        Finding {
            name: "memory".to_owned(),
            value: memory,
            state: if enough { State::Ok } else { State::Note },
        },
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
    Finding { name: "home".to_owned(), value: format!("{}{note}", home.display()), state }
}

fn disk_finding(home: &Path) -> Finding {
    match rustix::fs::statvfs(existing_ancestor(home)) {
        Ok(stat) => {
            let free = stat.f_bavail * stat.f_frsize;
            let state = if free >= WANTED_DISK_BYTES { State::Ok } else { State::Missing };
            Finding { name: "disk".to_owned(), value: format!("{} free at home", human::bytes(free)), state }
        }
        Err(error) => Finding {
            name: "disk".to_owned(),
            value: format!("free space is not known: {error}"),
            state: State::Note,
        },
    }
}

/// CUDA's libraries and devices: only training on a GPU needs them.
fn cuda_findings(cuda: &Survey) -> Vec<Finding> {
    let libraries = cuda.libraries.iter().map(|(name, found)| match found {
        Ok(found) => Finding {
            name: name.title().to_owned(),
            value: format!("{} at {}", found.version, found.path.display()),
            state: State::Ok,
        },
        Err(missing) => Finding {
            name: name.title().to_owned(),
            value: format!("missing: {}; {}", missing.what, missing.fix),
            state: State::Note,
        },
    });
    let devices = cuda.devices.iter().map(|device| {
        let Properties { ordinal, name, capability, .. } = &device.properties;
        let what = format!("{name}, capability {}.{}", capability / 10, capability % 10);
        let (state, rest) = match &device.memory {
            Ok((free, total)) => {
                (State::Ok, format!("{} of {} free", human::bytes(*free as u64), human::bytes(*total as u64)))
            }
            Err(missing) => (State::Note, format!("cannot be used: {}; {}", missing.what, missing.fix)),
        };
        Finding { name: format!("cuda:{ordinal}"), value: format!("{what}, {rest}"), state }
    });
    libraries.chain(devices).collect()
}

fn cuda_json(cuda: &Survey) -> Value {
    let libraries = cuda.libraries.iter().map(|(name, found)| match found {
        Ok(found) => {
            json!({ "name": name.title(), "found": true, "path": found.path, "version": found.version })
        }
        Err(missing) => {
            json!({ "name": name.title(), "found": false, "reason": missing.what, "fix": missing.fix })
        }
    });
    let devices = cuda.devices.iter().map(|device| {
        let Properties { ordinal, name, capability, multiprocessors, .. } = &device.properties;
        let (free, total) =
            device.memory.as_ref().map_or((None, None), |(free, total)| (Some(free), Some(total)));
        let problem = device.memory.as_ref().err();
        json!({
            "device": format!("cuda:{ordinal}"), "name": name,
            "compute_capability": format!("{}.{}", capability / 10, capability % 10),
            "multiprocessors": multiprocessors, "memory_free_bytes": free, "memory_total_bytes": total,
            "usable": problem.is_none(), "reason": problem.map(|p| &p.what), "fix": problem.map(|p| &p.fix),
        })
    });
    json!({ "libraries": libraries.collect::<Vec<_>>(), "devices": devices.collect::<Vec<_>>() })
}

/// Tools that only comparisons and sources use; the line itself needs none.
fn tool_findings() -> Vec<Finding> {
    let tool = |name: &str, program: &str, args: &[&str], without: &str| match answer(program, args) {
        Some(value) => Finding { name: name.to_owned(), value, state: State::Ok },
        None => Finding { name: name.to_owned(), value: format!("not found: {without}"), state: State::Note },
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
