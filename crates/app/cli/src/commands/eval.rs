//! `wootz eval`: how good is a model?

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::facts;
use serde_json::json;
use std::path::PathBuf;
use wootz_eval::bpb::bits_per_byte;
use wootz_schema::eval::EvalOptions;
use wootz_stations::model::TextModel;

/// Measure a model.
#[derive(clap::Subcommand)]
pub enum Command {
    Bpb(Bpb),
}

/// Bits per byte over a dataset's validation shard: how well a model predicts text, whatever its tokenizer.
#[derive(clap::Args)]
pub struct Bpb {
    /// Output folder of a training run, its checkpoints folder, or one step folder.
    model: PathBuf,
    /// The dataset.
    #[arg(long, short, value_name = "DIR")]
    data: PathBuf,
    /// The tokenizer.json that the model was trained with.
    #[arg(long, short, value_name = "FILE")]
    tokenizer: PathBuf,
    /// Validation tokens to measure on, rounded up to whole rows.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().tokens)]
    tokens: u64,
    /// Also write the figures to this file, for `wootz gate check --metrics`.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    let Command::Bpb(args) = command;
    let threads = super::threads(args.threads)?.unwrap_or(0);
    let model = TextModel::open(&args.model, &args.tokenizer, threads)?;
    let mut rows = model.validation(&args.data)?;
    let observe = context.observe.as_ref();
    let measured =
        bits_per_byte(&mut model.scorer()?, &mut rows, &model.token_bytes(), args.tokens, observe)?;
    if let Some(path) = &args.metrics {
        let bytes = format!("{:#}\n", json!(measured.metrics()));
        wootz_stdx::file::write_atomic(path, bytes.as_bytes())
            .map_err(|error| Failure::io("write", path, &error))?;
    }
    let text = facts(&[
        ("bits per byte", format!("{:.4}", measured.bpb)),
        ("loss", format!("{:.4} nats per token", measured.loss)),
        ("over", format!("{} tokens, {} bytes", measured.tokens, measured.bytes)),
        ("step", model.step().to_string()),
    ]);
    let json = json!({ "metrics": measured.metrics(), "step": model.step(), "checkpoint": model.digest() });
    Ok(Outcome::ok(text, json))
}
