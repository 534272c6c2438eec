//! `wootz generate`: let a model go on with a text.

use super::Context;
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::path::PathBuf;
use wootz_eval::model::{Generate, Prompt};
use wootz_schema::eval::{EvalOptions, Sampling};
use wootz_stations::model::TextModel;

/// Let a model go on with a text.
///
/// Prints the prompt and what the model writes after it. The same seed writes the same text.
#[derive(clap::Args)]
pub struct Args {
    /// Output folder of a training run, its checkpoints folder, or one step folder.
    model: PathBuf,
    /// The tokenizer.json that the model was trained with.
    #[arg(long, short, value_name = "FILE")]
    tokenizer: PathBuf,
    /// The text to go on with.
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    prompt: String,
    /// Tokens to write at most.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Divides the logits: lower is more certain; 0 takes the likeliest token always.
    #[arg(long, value_name = "T", default_value_t = EvalOptions::default().temperature)]
    temperature: f32,
    /// Draw from this many likeliest tokens only.
    #[arg(long, value_name = "K", default_value_t = EvalOptions::default().top_k)]
    top_k: usize,
    /// Seed of the draws.
    #[arg(long, value_name = "N", default_value_t = EvalOptions::default().seed)]
    seed: u64,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Runs the command.
pub fn run(args: &Args, _: &Context) -> Result<Outcome, Failure> {
    let Args { max_new_tokens, temperature, seed, .. } = *args;
    let sampling = Sampling { max_new_tokens, temperature, top_k: Some(args.top_k), seed };
    let threads = super::threads(args.threads)?.unwrap_or(0);
    let model = TextModel::open(&args.model, &args.tokenizer, threads)?;
    let prompts = [Prompt { text: args.prompt.clone() }];
    let completions = model.generator()?.generate(&prompts, &sampling)?;
    let [completion] = completions.as_slice() else {
        return Err(Failure::bug());
    };
    let json = json!({
        "prompt": args.prompt,
        "completion": completion.text,
        "tokens": completion.tokens,
        "ended": completion.ended,
        "step": model.step(),
        "checkpoint": model.digest(),
    });
    Ok(Outcome::ok(format!("{}{}\n", args.prompt, completion.text), json))
}
