//! From the outputs of a run's steps to a report.
//!
//! A step is found by its kind; of two of one kind the later one counts. A step without output (skipped, failed)
//! leaves its part out; an output that cannot be read is an error, since a report must not hide it.

use crate::machine;
use crate::steps::{EVAL_FILE, VERDICT_FILE, io, read_json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use wootz_pipeline::{RunView, StepError, StepView};
use wootz_schema::corpus::{CorpusManifest, DropReason, MANIFEST_FILE, Tally};
use wootz_schema::dataset::DatasetManifest;
use wootz_schema::eval::EvalReport;
use wootz_schema::event::Status;
use wootz_schema::gate::{Check, Decision, Direction, Verdict};
use wootz_schema::metrics::{EvalPoint, Metric, MetricsRecord, TrainStep};
use wootz_schema::report::{
    CheckSummary, CorpusSummary, DatasetSummary, GateSummary, ModelSummary, Report, ReportCommand,
    RunSummary, Sample, Share, Skipped, StepResult, StepTime, TokenizerSummary, VERSION,
};
use wootz_schema::train::TrainSummary;

/// Reads what the steps left.
pub fn collect(run: &RunView, title: Option<String>) -> Result<Report, StepError> {
    let mut report = Report {
        version: VERSION,
        run: RunSummary {
            plan: title.unwrap_or_else(|| run.plan.clone()),
            id: run.run.clone(),
            wootz: env!("CARGO_PKG_VERSION").to_owned(),
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
    if let Some((_, output)) = step(run, "corpus") {
        report.corpus = Some(corpus(&read_json::<CorpusManifest>(&output.join(MANIFEST_FILE))?));
    }
    if let Some((step, _)) = step(run, "tokenizer") {
        report.tokenizer = figure_of(step, "vocab_size").map(|entries| TokenizerSummary {
            vocab_size: entries as u64,
            bytes_per_token: figure_of(step, "bytes_per_token"),
        });
    }
    if let Some((_, output)) = step(run, "dataset") {
        report.dataset = Some(dataset(&read_json::<DatasetManifest>(&output.join(wootz_dataset::MANIFEST))?));
    }
    if let Some((_, output)) = step(run, "train") {
        report.model = Some(model(read_json::<TrainSummary>(&output.join("summary.json"))?));
        (report.train, report.evals) = curves(&output.join("metrics.jsonl"))?;
    }
    if let Some((_, output)) = step(run, "eval") {
        let evaluated = read_json::<EvalReport>(&output.join(EVAL_FILE))?;
        report.samples = evaluated.samples.into_iter().map(sample).collect();
    }
    if let Some((_, output)) = step(run, "gate") {
        report.gate = Some(gate(&read_json::<Verdict>(&output.join(VERDICT_FILE))?));
    }
    Ok(report)
}

fn dataset(manifest: &DatasetManifest) -> DatasetSummary {
    DatasetSummary {
        train_documents: manifest.train.documents,
        validation_documents: manifest.validation.documents,
        train_bytes: manifest.train.text_bytes,
        validation_bytes: manifest.validation.text_bytes,
        shards: manifest.shards.len() as u64,
    }
}

fn model(summary: TrainSummary) -> ModelSummary {
    ModelSummary {
        config: summary.model,
        parameters: Some(summary.parameters),
        peak_bytes: Some(summary.persistent_bytes + summary.arena_bytes),
        total_batch_size: Some(summary.total_batch_size),
        checkpoint_sha256: Some(summary.digest),
    }
}

/// The steps and evaluations of a `metrics.jsonl`.
fn curves(path: &Path) -> Result<(Vec<TrainStep>, Vec<EvalPoint>), StepError> {
    let text = std::fs::read_to_string(path).map_err(|error| io("read", path, &error))?;
    let (mut steps, mut evals) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let record = serde_json::from_str(line)
            .map_err(|error| StepError::usage(format!("read {}:{number}: {error}", path.display())))?;
        match record {
            MetricsRecord::Train(step) => steps.push(step),
            MetricsRecord::Eval(point) => evals.push(point),
            MetricsRecord::Skipped(_) => {}
        }
    }
    Ok((steps, evals))
}

fn sample(sample: wootz_schema::eval::Sample) -> Sample {
    let sampling = &sample.sampling;
    let method = match (sampling.temperature, sampling.top_k) {
        (0.0, _) => "greedy".to_owned(),
        (temperature, None) => format!("temperature {temperature}, seed {}", sampling.seed),
        (temperature, Some(k)) => format!("temperature {temperature}, top {k}, seed {}", sampling.seed),
    };
    Sample { method, prompt: sample.prompt, completion: sample.completion }
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
        DropReason::MassChange => "in mass changes",
        DropReason::NoDefinition => "in no definition",
        DropReason::AddedOrRemoved => "added or removed",
        DropReason::Submodule => "submodules",
        DropReason::Merge => "merges",
        DropReason::Vendored => "vendored",
        DropReason::Test => "tests",
        DropReason::Generated => "generated",
        DropReason::Minified => "minified",
        DropReason::Data => "data files",
        DropReason::NearDuplicate => "near duplicates",
        DropReason::Contaminated => "shared with a benchmark",
        DropReason::BadRecord => "lines that are no records",
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
        value: check.value.as_ref().map_or_else(|| "missing".to_owned(), Metric::figure),
        wanted: format!("{direction}{}", check.threshold.figure()),
        passed: !check.outcome.holds(),
        required: check.required,
        reason: check.reason.clone(),
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
    let mut commands = vec![command("The whole line, with every parameter as it was in this run", all)];
    if let Some((train, output)) = step(run, "train") {
        let path = |path: &Path| quote(&path.display().to_string());
        let setting = |name: &str| train.config.get(name).and_then(Value::as_str).map(quote);
        if let (Some(tokenizer), Some(data)) = (setting("tokenizer"), setting("data")) {
            let model = path(output);
            let bpb = format!("wootz eval bpb {model} --data {data} --tokenizer {tokenizer}");
            commands.push(command("Bits per byte of its checkpoint", bpb));
            let text = format!("wootz generate {model} --tokenizer {tokenizer} --prompt 'fn main() {{'");
            commands.push(command("A sample from it", text));
        }
    }
    commands.push(command("What each step did", format!("wootz runs show {}", run.run)));
    commands
}

/// A word of a command line, in quotes where a shell would take it apart.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The last step of a kind that has an output, and that output.
fn step<'a>(run: &'a RunView, kind: &str) -> Option<(&'a StepView, &'a Path)> {
    run.steps
        .iter()
        .rev()
        .filter(|step| step.kind == kind)
        .find_map(|step| Some((step, step.output.as_deref()?)))
}

fn figure_of(step: &StepView, name: &str) -> Option<f64> {
    match step.metrics.get(name) {
        Some(Metric::Number(figure)) => Some(*figure),
        _ => None,
    }
}
