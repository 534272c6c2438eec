//! `train`: pretraining on a dataset, resumed from the newest whole checkpoint of its work folder.

use super::{METRICS_FILE, io, outside, write_json};
use crate::device::{Machine, Wanted};
use crate::model::token_bytes;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wootz_dataset::{Cursor, Loader, MANIFEST, Split, load_tokenizer};
use wootz_mesh::World;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::{Metric, Metrics};
use wootz_schema::progress::{Observe, Progress, Silent};
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_stdx::{digest, human};
use wootz_tokenizer::Tokenizer;
use wootz_train::{Data, Rows, RowsError, TrainError};

/// Encoding is far faster than training, so one thread beside the training's is enough.
const LOADER_THREADS: usize = 1;

/// The kind.
pub struct Train {
    /// What it may run on.
    pub machine: Machine,
}

impl Step for Train {
    fn kind(&self) -> &'static str {
        "train"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        let config: PretrainConfig = settings(config)?;
        check(&config)
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        let config: PretrainConfig = settings(config)?;
        Ok(outside(&[&config.data, &config.tokenizer]))
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let config: PretrainConfig = settings(config)?;
        let summary = pretrain(&config, context.work, &self.machine, context.observe, context.cancel)?;
        let metrics = figures(&summary);
        let bpb = summary.final_bpb.map_or_else(String::new, |bpb| format!(", {bpb:.4} bits per byte"));
        let text = format!(
            "{} steps, {} tokens, {} parameters, {:.0} tok/s{bpb}",
            summary.steps,
            human::count(summary.tokens),
            human::count(summary.parameters),
            summary.tokens_per_second,
        );
        Ok(StepOutcome::passed(text, metrics))
    }
}

/// Trains as a configuration says, into the folder `out`, and writes the figures that gates read; goes on where an
/// earlier call stopped.
pub fn pretrain(
    config: &PretrainConfig,
    out: &Path,
    machine: &Machine,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, StepError> {
    pretrain_among(&World::single(), config, out, machine, observe, cancel)
}

/// The same as one of several ranks, which all call it; only rank 0 reports its progress.
pub fn pretrain_among(
    world: &World,
    config: &PretrainConfig,
    out: &Path,
    machine: &Machine,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, StepError> {
    let observe = if world.leads() { observe } else { &Silent };
    // Whatever ends this rank ends the others, with its reason.
    train(world, config, out, machine, observe, cancel).inspect_err(|error| world.fail(error))
}

fn train(
    world: &World,
    config: &PretrainConfig,
    out: &Path,
    machine: &Machine,
    observe: &dyn Observe,
    cancel: &AtomicBool,
) -> Result<TrainSummary, StepError> {
    check(config)?;
    let tokenizer =
        Arc::new(load_tokenizer(&config.tokenizer).map_err(|error| StepError::from_error(&error))?);
    let token_bytes = token_bytes(&tokenizer);
    let validation = validation_rows(config, &tokenizer)?;
    let open = |cursor: Option<Cursor>| -> Result<Box<dyn Rows>, RowsError> {
        let (rows, len) = (config.device_batch_size, config.sequence_len);
        let loader = Loader::open(
            &config.data,
            Split::Train,
            Arc::clone(&tokenizer),
            rows,
            len,
            LOADER_THREADS,
            cursor,
        )
        .map_err(|error| -> RowsError { Box::new(error) })?;
        Ok(Box::new(LoaderRows(loader)))
    };
    let data = Data {
        train: &open,
        validation: &validation,
        token_bytes: &token_bytes,
        digest: data_digest(config)?,
    };
    let opened = machine.open_among(world, Wanted::from(config))?;
    if let Some(reason) = opened.reason(config.device) {
        observe.observe(Progress::Message(&reason));
    }
    let trained = wootz_train::pretrain_among(world, config, &data, out, opened.backend(), observe, cancel);
    let summary = trained.map_err(|error| match error {
        TrainError::Cancelled { .. } => StepError { cancelled: true, ..StepError::from_error(&error) },
        error => StepError::from_error(&error),
    })?;
    if world.leads() {
        write_json(&out.join(METRICS_FILE), &figures(&summary))?;
    }
    Ok(summary)
}

/// What can be said about a configuration before any file is read.
fn check(config: &PretrainConfig) -> Result<(), StepError> {
    let required =
        [("data", &config.data, "a dataset folder"), ("tokenizer", &config.tokenizer, "a tokenizer.json")];
    for (key, path, what) in required {
        if path.as_os_str().is_empty() {
            return Err(StepError::usage(format!("find the setting `{key}`: it was not given"))
                .with_hint(format!("name {what}")));
        }
    }
    // The vocabulary is not known yet; any will do for the rest.
    wootz_train::resolve(config, 4096).map(drop).map_err(|error| StepError::from_error(&error))
}

/// Rows for the evaluations during training, a whole number of micro-batches.
fn validation_rows(config: &PretrainConfig, tokenizer: &Arc<Tokenizer>) -> Result<Vec<i32>, StepError> {
    let rows = config.eval_rows.next_multiple_of(config.device_batch_size.max(1));
    let mut validation = vec![0; rows * (config.sequence_len + 1)];
    let tokenizer = Arc::clone(tokenizer);
    Loader::open(&config.data, Split::Validation, tokenizer, rows, config.sequence_len, LOADER_THREADS, None)
        .and_then(|mut loader| loader.next_batch(&mut validation))
        .map_err(|error| StepError::from_error(&error))?;
    Ok(validation)
}

/// Digest of what the rows are made from: the shards, by their manifest, and the tokenizer.
fn data_digest(config: &PretrainConfig) -> Result<String, StepError> {
    let mut all = String::new();
    for path in [&config.data.join(MANIFEST), &config.tokenizer] {
        let bytes = fs::read(path).map_err(|error| io("read", path, &error))?;
        all.push_str(&digest::sha256(&bytes));
    }
    Ok(digest::sha256(all.as_bytes()))
}

/// A dataset's loader as the training loop sees it.
struct LoaderRows(Loader);

impl Rows for LoaderRows {
    fn next_rows(&mut self, rows: &mut [i32]) -> Result<(), RowsError> {
        self.0.next_batch(rows).map_err(|error| -> RowsError { Box::new(error) })
    }

    fn cursor(&self) -> Cursor {
        self.0.cursor()
    }
}

/// What a gate can ask of a training run. Bits per byte are those of the run's own evaluations.
fn figures(summary: &TrainSummary) -> Metrics {
    let mut metrics = Metrics::from([
        ("train_tokens_per_second".to_owned(), Metric::Number(summary.tokens_per_second)),
        ("train_tokens".to_owned(), Metric::Number(summary.tokens as f64)),
        ("loss_finite".to_owned(), Metric::Bool(summary.final_loss.is_some_and(f64::is_finite))),
    ]);
    let figures = [
        ("train_loss", summary.final_loss),
        ("train_bpb_first", summary.initial_bpb),
        ("train_bpb_last", summary.final_bpb),
        (
            "train_bpb_drop",
            summary.initial_bpb.zip(summary.final_bpb).map(|(first, last)| 1.0 - last / first),
        ),
    ];
    metrics.extend(
        figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Metric::Number(value?)))),
    );
    metrics
}
