//! From the outputs of a run's steps to a report.
//!
//! A step is found by its kind; of two of one kind the later one counts. A step without output (skipped, failed)
//! leaves its part out; an output that cannot be read is an error, since a report must not hide it.

use crate::machine;
use crate::steps::{VERDICT_FILE, read_json};
use std::collections::BTreeMap;
use std::path::Path;
use wootz_pipeline::{RunView, StepError, StepView};
use wootz_schema::corpus::{CorpusManifest, DropReason, MANIFEST_FILE, Tally};
use wootz_schema::event::Status;
use wootz_schema::gate::{Check, Decision, Direction, Verdict};
use wootz_schema::metrics::Metric;
use wootz_schema::report::{
    CheckSummary, CorpusSummary, GateSummary, Report, ReportCommand, RunSummary, Share, Skipped, StepResult,
    StepTime, VERSION,
};

/// Reads what the steps left.
pub fn collect(run: &RunView, title: Option<String>) -> Result<Report, StepError> {
    let mut report = Report {
        version: VERSION,
        run: RunSummary {
            plan: title.unwrap_or_else(|| run.plan.clone()),
            id: run.run.clone(),
            wootz: env!("CARGO_PKG_VERSION").to_owned(),
            started: None,
        },
        gate: None,
        corpus: None,
        tokenizer: None,
        dataset: None,
        model: None,
        train: Vec::new(),
        evals: Vec::new(),
        samples: Vec::new(),
        steps: times(&run.steps),
        hardware: Some(machine::hardware()),
        commands: commands(run),
    };
    if let Some(output) = output(run, "gate") {
        report.gate = Some(gate(&read_json::<Verdict>(&output.join(VERDICT_FILE))?));
    }
    if let Some(output) = output(run, "corpus") {
        report.corpus = Some(corpus(&read_json::<CorpusManifest>(&output.join(MANIFEST_FILE))?));
    }
    Ok(report)
}

fn corpus(manifest: &CorpusManifest) -> CorpusSummary {
    let files = manifest.files.dropped.iter().map(|(reason, count)| (*reason, *count));
    let documents = manifest.dropped_documents.iter().map(|(reason, tally)| (*reason, tally.documents));
    CorpusSummary {
        documents: manifest.documents.documents,
        bytes: manifest.documents.bytes,
        files: manifest.files.kept,
        languages: shares(&manifest.languages),
        licenses: shares(&manifest.licenses),
        skipped: files
            .map(|(reason, count)| Skipped { reason: drop_reason(reason).to_owned(), count })
            .chain(documents.map(|(reason, count)| Skipped {
                reason: format!("{} documents", drop_reason(reason)),
                count,
            }))
            .collect(),
    }
}

fn shares(parts: &BTreeMap<String, Tally>) -> Vec<Share> {
    let share = |(name, tally): (&String, &Tally)| Share {
        name: name.clone(),
        documents: tally.documents,
        bytes: tally.bytes,
    };
    let mut shares: Vec<Share> = parts.iter().map(share).collect();
    shares.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
    shares
}

/// A reason as people read it.
pub fn drop_reason(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Symlink => "links",
        DropReason::UnknownLanguage => "other kinds",
        DropReason::OtherLanguage => "other languages",
        DropReason::TooLarge => "too large",
        DropReason::Unreadable => "unreadable",
        DropReason::Binary => "binary",
        DropReason::NotUtf8 => "not UTF-8",
        DropReason::Empty => "empty",
        DropReason::License => "license not wanted",
        DropReason::Duplicate => "duplicates",
        DropReason::Oversized => "oversized",
        DropReason::OverTotal => "over the total",
    }
}

/// The gate's verdict as rows.
pub fn gate(verdict: &Verdict) -> GateSummary {
    GateSummary {
        stage: verdict.stage.clone(),
        promoted: verdict.verdict == Decision::Promote,
        checks: verdict.checks.iter().map(check).collect(),
    }
}

fn check(check: &Check) -> CheckSummary {
    let direction = match check.direction {
        Direction::AtLeast => "at least ",
        Direction::AtMost => "at most ",
        Direction::Equals => "",
    };
    CheckSummary {
        metric: check.metric.clone(),
        value: check.value.as_ref().map_or_else(|| "missing".to_owned(), figure),
        wanted: format!("{direction}{}", figure(&check.threshold)),
        passed: !check.outcome.holds(),
        required: check.required,
        reason: check.reason.clone(),
    }
}

/// A metric with as many digits as tell two apart at a glance.
fn figure(metric: &Metric) -> String {
    match metric {
        Metric::Bool(truth) => truth.to_string(),
        Metric::Number(x) if x.fract() == 0.0 && x.abs() < 1e15 => format!("{x:.0}"),
        Metric::Number(x) if x.abs() >= 0.001 => format!("{x:.4}").trim_end_matches('0').to_owned(),
        Metric::Number(x) => format!("{x:e}"),
    }
}

fn times(steps: &[StepView]) -> Vec<StepTime> {
    let time = |step: &StepView| StepTime {
        id: step.id.clone(),
        kind: step.kind.clone(),
        state: match step.status {
            _ if step.cached => StepResult::Cached,
            Status::Succeeded => StepResult::Done,
            Status::Cached => StepResult::Cached,
            Status::Failed | Status::Cancelled | Status::Interrupted => StepResult::Failed,
            Status::Pending | Status::Running | Status::Skipped => StepResult::Skipped,
        },
        seconds: step.seconds.unwrap_or(0.0),
        summary: step.summary.clone(),
    };
    steps.iter().map(time).collect()
}

fn commands(run: &RunView) -> Vec<ReportCommand> {
    let command = |purpose: &str, line: String| ReportCommand { purpose: purpose.to_owned(), line };
    let mut all = String::from("wootz run ");
    all.push_str(&quote(&run.plan_path));
    for (name, value) in &run.params {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        all.push_str(&format!(" --param {}", quote(&format!("{name}={value}"))));
    }
    vec![
        command("The whole line, with every parameter as it was in this run", all),
        command("What the run did, step by step", format!("wootz runs show {}", run.run)),
    ]
}

/// A word of a command line, in quotes where a shell would take it apart.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The output of the last step of a kind that has one.
fn output<'a>(run: &'a RunView, kind: &str) -> Option<&'a Path> {
    run.steps.iter().rev().filter(|step| step.kind == kind).find_map(|step| step.output.as_deref())
}
