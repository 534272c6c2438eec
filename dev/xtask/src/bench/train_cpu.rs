//! `cargo xtask bench train-cpu`: our training step against PyTorch's on the CPU.
//!
//! Each round runs ours, then the peer, each as a fresh process pinned to the same cores with the same number of
//! threads; the ratio of a round compares neighbours in time, so a slow minute of the machine hits both. Both sides
//! report tokens per second of a whole optimizer step and the peak resident size of their process.
//!
//! Not covered: the peer's optimizer is AdamW and ours MuonAdamW, which does more work; over the 512 micro-steps of
//! an optimizer step at the default shapes that favours the peer slightly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use super::{Refusal, cargo, median};

#[derive(Args)]
pub struct Arguments {
    /// The peer's script; a relative path begins at the repository.
    #[arg(long, default_value = "../shared/peers/torch_pretrain.py")]
    peer: PathBuf,
    /// The Python that has torch, which `dev/setup.sh bench` makes; a relative path begins at the repository.
    #[arg(long, default_value = ".venv/bin/python")]
    python: PathBuf,
    /// Layers; the width is 64 per layer.
    #[arg(long, default_value_t = 4)]
    depth: usize,
    /// Sequences per micro-step.
    #[arg(long, default_value_t = 4)]
    batch: usize,
    /// Tokens per sequence.
    #[arg(long, default_value_t = 256)]
    seq: usize,
    /// Entries of the vocabulary.
    #[arg(long, default_value_t = 32_768)]
    vocab: usize,
    /// Tokens per optimizer step.
    #[arg(long, default_value_t = 524_288)]
    tokens_per_step: usize,
    /// Threads, and cores, that each side gets.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Rounds of ours and the peer in turn.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The least ratio of tokens per second, ours to the peer's.
    #[arg(long, default_value_t = 1.2)]
    speed_at_least: f64,
    /// The greatest ratio of peak memory, ours to the peer's.
    #[arg(long, default_value_t = 0.6)]
    memory_at_most: f64,
    /// One JSON object on stdout in place of the table.
    #[arg(long)]
    json: bool,
}

/// What one process reported.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Report {
    tokens_per_second: f64,
    micro_ms: f64,
    optimizer_ms: f64,
    peak_gib: f64,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    if arguments.rounds == 0 || arguments.threads == 0 {
        bail!(Refusal::Input("--rounds and --threads must be at least 1".into()));
    }
    let (python, peer) = (root.join(&arguments.python), root.join(&arguments.peer));
    if !peer.is_file() {
        let message = format!("no peer script at {}; give its path with --peer", peer.display());
        bail!(Refusal::Input(message));
    }
    find_torch(&python)?;
    build_ours(&root)?;
    let mut rounds = Vec::new();
    for round in 1..=arguments.rounds {
        let ours = measure(ours(&root, arguments)).context("run our side")?;
        let theirs = measure(theirs(&python, &peer, arguments)).context("run the peer")?;
        let (a, b) = (ours.tokens_per_second, theirs.tokens_per_second);
        eprintln!("round {round}/{}: ours {a:.0} tok/s, torch {b:.0} tok/s", arguments.rounds);
        rounds.push((ours, theirs));
    }
    let summary = Summary::of(&rounds);
    if arguments.json {
        println!("{}", summary.json())
    } else {
        println!("{}", summary.table(arguments))
    }
    Ok(summary.speed >= arguments.speed_at_least && summary.memory <= arguments.memory_at_most)
}

fn find_torch(python: &Path) -> Result<()> {
    let probe = Command::new(python)
        .args(["-c", "import torch"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if probe.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let message = format!("{} has no torch; run `dev/setup.sh bench` (about 5 GB) first", python.display());
    bail!(Refusal::Tool(message))
}

const OURS: [&str; 6] = ["--release", "--quiet", "--package", "wootz-train", "--example", "bench_step"];

/// Builds before the first round, so that no compiler runs beside a measurement.
fn build_ours(root: &Path) -> Result<()> {
    let status = cargo().current_dir(root).arg("build").args(OURS).status().context("start cargo")?;
    ensure!(status.success(), "the example bench_step of wootz-train does not build");
    Ok(())
}

fn ours(root: &Path, arguments: &Arguments) -> Command {
    let mut command = pinned(cargo(), arguments.threads);
    command.current_dir(root).arg("run").args(OURS).arg("--").args(shapes(arguments));
    command.args(["--threads", &arguments.threads.to_string()]);
    command
}

fn theirs(python: &Path, peer: &Path, arguments: &Arguments) -> Command {
    let mut command = pinned(Command::new(python), arguments.threads);
    command.arg(peer).args(["--device", "cpu"]).args(shapes(arguments));
    command
}

fn shapes(arguments: &Arguments) -> Vec<String> {
    let pairs = [
        ("--depth", arguments.depth),
        ("--batch", arguments.batch),
        ("--seq", arguments.seq),
        ("--vocab", arguments.vocab),
        ("--tokens-per-step", arguments.tokens_per_step),
    ];
    pairs.iter().flat_map(|(flag, value)| [flag.to_string(), value.to_string()]).collect()
}

/// The command on the first `threads` cores, where the machine has `taskset`; the thread counts hold anyway.
fn pinned(command: Command, threads: usize) -> Command {
    let probe = Command::new("taskset").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let mut command = match probe {
        Ok(status) if status.success() => {
            let mut pinned = Command::new("taskset");
            pinned.arg("--cpu-list").arg(format!("0-{}", threads - 1)).arg(command.get_program());
            pinned
        }
        _ => command,
    };
    for variable in ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"] {
        command.env(variable, threads.to_string());
    }
    command
}

/// Runs one side; its last line on stdout is a JSON object.
fn measure(mut command: Command) -> Result<Report> {
    let output = command.stderr(Stdio::piped()).output().with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(stdout: &str) -> Result<Report> {
    let last = stdout.trim().lines().last().context("nothing on stdout")?;
    let value: Value = serde_json::from_str(last).with_context(|| format!("read the report `{last}`"))?;
    let number = |key: &str| value[key].as_f64().with_context(|| format!("`{key}` is missing in `{last}`"));
    Ok(Report {
        tokens_per_second: number("tokens_per_second")?,
        micro_ms: number("micro_ms")?,
        optimizer_ms: number("optimizer_ms")?,
        peak_gib: number("peak_gib")?,
    })
}

/// Medians over the rounds, and the ratios of neighbours.
struct Summary {
    ours: Report,
    theirs: Report,
    speed: f64,
    speed_range: (f64, f64),
    memory: f64,
    rounds: usize,
}

impl Summary {
    fn of(rounds: &[(Report, Report)]) -> Summary {
        let ratios: Vec<f64> =
            rounds.iter().map(|(a, b)| a.tokens_per_second / b.tokens_per_second).collect();
        let memory: Vec<f64> = rounds.iter().map(|(a, b)| a.peak_gib / b.peak_gib).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = ratios.iter().copied().fold(0.0, f64::max);
        Summary {
            ours: medians(rounds.iter().map(|(ours, _)| *ours)),
            theirs: medians(rounds.iter().map(|(_, theirs)| *theirs)),
            speed: median(&ratios),
            speed_range: (least, greatest),
            memory: median(&memory),
            rounds: rounds.len(),
        }
    }

    fn table(&self, arguments: &Arguments) -> String {
        let Arguments { depth, batch, seq, vocab, threads, .. } = arguments;
        let row = |name: &str, r: Report| {
            let Report { tokens_per_second, micro_ms, optimizer_ms, peak_gib } = r;
            format!("{name:<8}{tokens_per_second:>10.0}{micro_ms:>15.1}{optimizer_ms:>15.1}{peak_gib:>10.2}")
        };
        let verdict = |held: bool| if held { "reached" } else { "missed" };
        let (low, high) = self.speed_range;
        [
            format!(
                "depth {depth}, B {batch}, T {seq}, vocabulary {vocab}, {threads} threads, median of {}",
                self.rounds
            ),
            format!(
                "{:<8}{:>10}{:>15}{:>15}{:>10}",
                "", "tok/s", "micro-step ms", "optimizer ms", "peak GiB"
            ),
            row("wootz", self.ours),
            row("torch", self.theirs),
            format!(
                "speed   {:.2}x (rounds {low:.2} to {high:.2}), target at least {:.2}x: {}",
                self.speed,
                arguments.speed_at_least,
                verdict(self.speed >= arguments.speed_at_least)
            ),
            format!(
                "memory  {:.2}x, target at most {:.2}x: {}",
                self.memory,
                arguments.memory_at_most,
                verdict(self.memory <= arguments.memory_at_most)
            ),
        ]
        .join("\n")
    }

    fn json(&self) -> Value {
        let side = |r: Report| {
            serde_json::json!({
                "tokens_per_second": r.tokens_per_second, "micro_ms": r.micro_ms,
                "optimizer_ms": r.optimizer_ms, "peak_gib": r.peak_gib,
            })
        };
        serde_json::json!({
            "ours": side(self.ours), "torch": side(self.theirs), "rounds": self.rounds,
            "speed_ratio": self.speed, "speed_ratio_range": [self.speed_range.0, self.speed_range.1],
            "memory_ratio": self.memory,
        })
    }
}

fn medians(reports: impl Iterator<Item = Report> + Clone) -> Report {
    let of = |field: fn(&Report) -> f64| median(&reports.clone().map(|r| field(&r)).collect::<Vec<_>>());
    Report {
        tokens_per_second: of(|r| r.tokens_per_second),
        micro_ms: of(|r| r.micro_ms),
        optimizer_ms: of(|r| r.optimizer_ms),
        peak_gib: of(|r| r.peak_gib),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(tokens_per_second: f64, peak_gib: f64) -> Report {
        Report { tokens_per_second, micro_ms: 10.0, optimizer_ms: 20.0, peak_gib }
    }

    #[test]
    fn the_report_is_the_last_line() {
        let text = "warming up\n{\"tokens_per_second\": 5, \"micro_ms\": 10.0, \"optimizer_ms\": 20, \"peak_gib\": 1.5}\n";
        assert_eq!(parse(text).unwrap(), report(5.0, 1.5));
        let missing = parse("{\"tokens_per_second\": 5}").unwrap_err().to_string();
        assert!(missing.contains("`micro_ms` is missing"), "{missing}");
    }

    #[test]
    fn ratios_are_of_neighbours() {
        let rounds = [
            (report(100.0, 1.0), report(50.0, 4.0)),
            (report(60.0, 1.0), report(40.0, 2.0)),
            (report(30.0, 1.0), report(30.0, 2.0)),
        ];
        let summary = Summary::of(&rounds);
        assert_eq!((summary.speed, summary.speed_range, summary.memory), (1.5, (1.0, 2.0), 0.5));
        assert_eq!(summary.ours.tokens_per_second, 60.0);
    }
}
