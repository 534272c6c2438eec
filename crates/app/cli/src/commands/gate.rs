//! `wootz gate`: may the checkpoint go on?

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::json;
use std::path::{Path, PathBuf};
use wootz_schema::ExitCode;
use wootz_schema::gate::{Decision, Verdict};
use wootz_stations::report;

/// Compare metrics with the thresholds of a gate.
#[derive(clap::Subcommand)]
pub enum Command {
    Check(Check),
}

/// Say whether a gate promotes or holds, and why.
///
/// Everything that is not plainly met holds: a metric that is missing, NaN, infinite, or false.
/// Exits with 0 when the gate promotes and with 1 when it holds.
///
/// A gate is a YAML file:
///
///   stage: pretrain
///   metrics:
///     bpb: { at_most: 3.2 }
///     loss_finite: { equals: true }
///     train_tokens_per_second: { at_least: 1000, required: false }
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Check {
    /// The gate's file, or the name of a stage whose file is gates/STAGE.yaml.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// A metrics.json, or the folder of one, such as a training run's; may be given more than once.
    #[arg(long, value_name = "FILE", required = true)]
    metrics: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(command: &Command, _: &Context) -> Result<Outcome, Failure> {
    let Command::Check(args) = command;
    let path = gate_file(&args.stage)?;
    let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
    let gate = wootz_gate::parse(&text, &path.display().to_string())
        .map_err(|error| Failure::from(error).within("read the gate"))?;
    let metrics = wootz_stations::evidence(&args.metrics)?;
    let verdict = wootz_gate::judge(&gate, &metrics).map_err(|error| Failure::from(error).within("judge"))?;
    Ok(Outcome {
        text: render(&verdict).into(),
        json: json!(verdict),
        exit: if verdict.verdict == Decision::Promote { ExitCode::Ok } else { ExitCode::Failed },
    })
}

fn gate_file(stage: &str) -> Result<PathBuf, Failure> {
    let by_name = Path::new("gates").join(format!("{stage}.yaml"));
    [PathBuf::from(stage), by_name.clone()].into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::usage(
            format!("find the gate {stage}: neither the file {stage} nor {} is there", by_name.display()),
            "name a gate file; `wootz gate check --help` shows one",
        )
    })
}

fn render(verdict: &Verdict) -> String {
    let summary = report::gate(verdict);
    let header = [
        ("", Align::Left),
        ("metric", Align::Left),
        ("found", Align::Right),
        ("wanted", Align::Left),
        ("reason", Align::Left),
    ];
    let rows: Vec<Vec<String>> = summary
        .checks
        .into_iter()
        .map(|check| {
            let sign = if check.passed { "pass" } else { "hold" };
            vec![sign.to_owned(), check.metric, check.value, check.wanted, check.reason]
        })
        .collect();
    let word = if summary.promoted { "promote" } else { "hold" };
    format!("{}\n{}: {word}\n", table(&header, &rows), summary.stage)
}
