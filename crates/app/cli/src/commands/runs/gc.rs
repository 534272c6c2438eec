//! `wootz runs gc`: old runs removed.

use super::Home;
use crate::outcome::{Failure, Outcome};
use serde_json::{Value, json};
use std::time::Duration;
use wootz_runner::{Freed, Old};
use wootz_stdx::human;

/// Remove old runs: their logs, their folders, and with --artifacts outputs that no run names any more.
///
/// A run that goes on, or whose processes do, is not touched. With both --keep and --older-than a run goes that neither keeps.
#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).multiple(true).args(["keep", "older_than", "artifacts"])))]
pub struct Gc {
    /// The newest runs stay, so many.
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// Runs to which something happened since then stay: `30d`, `12h`, `90m`, `10s`.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Option<Duration>,
    /// Remove outputs as well that no remaining run names and that are older than a day; alone it removes no run.
    #[arg(long)]
    artifacts: bool,
    /// Remove nothing, and say what would be.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    home: Home,
}

/// Runs the command.
pub fn run(args: &Gc) -> Result<Outcome, Failure> {
    let is_of_runs = args.keep.is_some() || args.older_than.is_some();
    let old = Old {
        keep: if is_of_runs { args.keep.unwrap_or(0) } else { usize::MAX },
        older_than: args.older_than.unwrap_or_default(),
        artifacts: args.artifacts,
        dry_run: args.dry_run,
    };
    let freed = args.home.open()?.gc(&old)?;
    let artifacts: Vec<Value> =
        freed.artifacts.iter().map(|(key, bytes)| json!({ "key": key, "bytes": bytes })).collect();
    let runs: Vec<Value> =
        freed.runs.iter().map(|run| json!({ "run": run.run, "bytes": run.bytes })).collect();
    let object = json!({
        "dry_run": args.dry_run, "runs": runs, "busy": freed.busy, "artifacts": artifacts, "bytes": freed.bytes(),
        "artifacts_wait": freed.is_waiting,
    });
    Ok(Outcome::ok(text(&freed, args), object))
}

fn text(freed: &Freed, args: &Gc) -> String {
    let mut text = String::new();
    for run in &freed.runs {
        text.push_str(&format!("run {}: {}\n", run.run, human::bytes(run.bytes)));
    }
    for (key, bytes) in &freed.artifacts {
        text.push_str(&format!("output {key}: {}\n", human::bytes(*bytes)));
    }
    for run in &freed.busy {
        text.push_str(&format!("run {run}: goes on, or cannot be read, and stays\n"));
    }
    if freed.is_waiting {
        text.push_str("outputs stay while a run goes on\n");
    }
    let verb = if args.dry_run { "would be freed" } else { "freed" };
    let (runs, outputs) = (freed.runs.len(), freed.artifacts.len());
    text.push_str(&format!("{runs} runs, {outputs} outputs: {} {verb}\n", human::bytes(freed.bytes())));
    text
}

/// A time as people write it: a number and `s`, `m`, `h`, `d` or `w`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and s, m, h, d or w: 30d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        'w' => 7 * 24 * 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}
