//! `eval`: bits per byte on the validation shard, and samples for people.

use super::{METRICS_FILE, apart, fresh, outside, write_json};
use crate::model::TextModel;
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use wootz_eval::bpb::bits_per_byte;
use wootz_eval::samples::samples;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome};
use wootz_schema::Diagnose;
use wootz_schema::eval::{EvalOptions, EvalReport, VERSION};

/// The file with figures and samples.
pub const EVAL_FILE: &str = "eval.json";

/// The kind.
pub struct Eval;

/// Settings beside the library's options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// The output of a training run, or a checkpoint.
    model: PathBuf,
    /// The dataset whose validation shard is used.
    data: PathBuf,
    /// The tokenizer.json the model was trained with.
    tokenizer: PathBuf,
    /// Worker threads; 0: one per core.
    #[serde(default)]
    threads: usize,
}

fn read(config: &Value) -> Result<(Own, EvalOptions), StepError> {
    apart(config, &["model", "data", "tokenizer", "threads"])
}

impl Step for Eval {
    fn kind(&self) -> &'static str {
        "eval"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        read(config).map(drop)
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        let own = read(config)?.0;
        Ok(outside(&[&own.model, &own.data, &own.tokenizer]))
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let (own, options) = read(config)?;
        fresh(context.work)?;
        let model = TextModel::open(&own.model, &own.tokenizer, own.threads).map_err(fault)?;
        let mut scorer = model.scorer().map_err(fault)?;
        let mut rows = model.validation(&own.data).map_err(fault)?;
        let bpb =
            bits_per_byte(&mut scorer, &mut rows, &model.token_bytes(), options.tokens, context.observe)
                .map_err(fault)?;
        context.check_cancelled()?;
        let mut generator = model.generator().map_err(fault)?;
        let samples = samples(&mut generator, &options, context.observe).map_err(fault)?;
        let report = EvalReport { version: VERSION, step: model.step(), metrics: bpb.metrics(), samples };
        write_json(&context.work.join(EVAL_FILE), &report)?;
        write_json(&context.work.join(METRICS_FILE), &report.metrics)?;
        let summary = format!(
            "{:.4} bits per byte over {} tokens at step {}, {} samples",
            bpb.bpb,
            bpb.tokens,
            report.step,
            report.samples.len()
        );
        Ok(StepOutcome::passed(summary, report.metrics))
    }
}

fn fault(error: impl Diagnose) -> StepError {
    StepError::from_error(&error)
}
