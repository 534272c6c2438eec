//! `wootz dataset`: documents become shards, and what is in them.

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use wootz_schema::dataset::{
    DatasetManifest, DatasetOptions, Inspection, PackManifest, ShardInspection, Split,
};
use wootz_stations::documents_file;
use wootz_stdx::human;

/// Turn documents into shards for training, and look into them.
#[derive(clap::Subcommand)]
pub enum Command {
    Pack(Pack),
    Inspect(Inspect),
}

/// Write the shards of a dataset, or pack a dataset's tokens into rows.
///
/// From a corpus: parquet shards with the column `text`, in a shuffled order that depends on the seed only; the last
/// shard in name order is for validation, and no project stands on both sides.
///
/// From a dataset with --tokenizer: rows of tokens as .npy (int32, N x T), each document begun by <|bos|> and placed by
/// best fit, and how many tokens were cropped away.
#[derive(clap::Args)]
pub struct Pack {
    /// A corpus folder or a file of documents; with --tokenizer, a dataset folder.
    input: PathBuf,
    /// Folder of shards to write; with --tokenizer, the .npy file.
    #[arg(long, short, value_name = "PATH")]
    out: PathBuf,
    /// Share of the text for validation.
    #[arg(long, value_name = "SHARE", default_value_t = DatasetOptions::default().validation_share, conflicts_with = "tokenizer")]
    validation_share: f64,
    /// Text of one training shard, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = DatasetOptions::default().shard_bytes, conflicts_with = "tokenizer")]
    shard_bytes: u64,
    /// Seed of the documents' order.
    #[arg(long, value_name = "N", default_value_t = DatasetOptions::default().seed, conflicts_with = "tokenizer")]
    seed: u64,
    /// Pack tokens: the tokenizer.json.
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Tokens of a row.
    #[arg(long, value_name = "T", default_value_t = 2048, requires = "tokenizer")]
    sequence_len: usize,
    /// Pack the validation part instead of the training part.
    #[arg(long, requires = "tokenizer")]
    validation: bool,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Say what is in a dataset folder, a parquet shard, or a file of packed tokens.
#[derive(clap::Args)]
pub struct Inspect {
    /// A dataset folder, a .parquet shard, or a .npy file.
    path: PathBuf,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Pack(args) => match &args.tokenizer {
            Some(tokenizer) => pack(args, tokenizer, context),
            None => write(args, context),
        },
        Command::Inspect(args) => inspect(args),
    }
}

fn write(args: &Pack, context: &Context) -> Result<Outcome, Failure> {
    let Pack { validation_share, shard_bytes, seed, .. } = *args;
    let options = DatasetOptions { validation_share, shard_bytes, seed, ..DatasetOptions::default() };
    let manifest =
        wootz_dataset::write(&documents_file(&args.input)?, &args.out, &options, context.observe.as_ref())?;
    Ok(Outcome::ok(facts(&manifest_rows(&manifest)), json!({ "dataset": args.out, "manifest": manifest })))
}

fn pack(args: &Pack, tokenizer: &std::path::Path, context: &Context) -> Result<Outcome, Failure> {
    let tokenizer = Arc::new(super::tokenizer::load(tokenizer)?);
    let split = if args.validation { Split::Validation } else { Split::Train };
    let threads = super::threads(args.threads)?
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let observe = context.observe.as_ref();
    let manifest =
        wootz_dataset::pack(&args.input, split, tokenizer, args.sequence_len, &args.out, threads, observe)?;
    Ok(Outcome::ok(facts(&pack_rows(&manifest)), json!({ "tokens": args.out, "manifest": manifest })))
}

fn inspect(args: &Inspect) -> Result<Outcome, Failure> {
    let inspection = wootz_dataset::inspect(&args.path)?;
    let text = match &inspection {
        Inspection::Dataset(dataset) => {
            let manifest = dataset.manifest.as_ref().map(|manifest| facts(&manifest_rows(manifest)));
            format!("{}\n{}", shard_table(&dataset.shards), manifest.unwrap_or_default())
        }
        Inspection::Shard(shard) => shard_table(std::slice::from_ref(shard)),
        Inspection::Packed(packed) => {
            let mut rows = vec![
                ("rows", packed.rows.to_string()),
                ("tokens of a row", packed.sequence_len.to_string()),
                ("type", packed.dtype.clone()),
                ("size", human::bytes(packed.bytes)),
            ];
            rows.extend(packed.manifest.iter().flat_map(|manifest| pack_rows(manifest).into_iter().skip(1)));
            facts(&rows)
        }
    };
    Ok(Outcome::ok(text, json!(inspection)))
}

fn shard_table(shards: &[ShardInspection]) -> String {
    let header = [
        ("shard", Align::Left),
        ("part", Align::Left),
        ("documents", Align::Right),
        ("row groups", Align::Right),
        ("text", Align::Right),
        ("file", Align::Right),
    ];
    let rows: Vec<Vec<String>> = shards
        .iter()
        .map(|shard| {
            vec![
                shard.file.clone(),
                shard.split.map_or("", part).to_owned(),
                shard.documents.to_string(),
                shard.row_groups.to_string(),
                human::bytes(shard.uncompressed_bytes),
                human::bytes(shard.bytes),
            ]
        })
        .collect();
    table(&header, &rows)
}

fn manifest_rows(manifest: &DatasetManifest) -> Vec<(&'static str, String)> {
    let size = |documents, bytes| format!("{documents} documents, {}", human::bytes(bytes));
    vec![
        ("training", size(manifest.train.documents, manifest.train.text_bytes)),
        ("validation", size(manifest.validation.documents, manifest.validation.text_bytes)),
        ("left out of training", format!("{} documents that validation has too", manifest.leaked_documents)),
        ("shards", manifest.shards.len().to_string()),
    ]
}

fn pack_rows(manifest: &PackManifest) -> Vec<(&'static str, String)> {
    let share = 100.0 * manifest.dropped_tokens as f64 / manifest.tokens.max(1) as f64;
    vec![
        ("rows", format!("{} of {} tokens", manifest.rows, manifest.sequence_len)),
        ("part", part(manifest.split).to_owned()),
        ("documents", manifest.documents.to_string()),
        ("tokens", format!("{} read, {} placed", manifest.tokens, manifest.placed_tokens)),
        ("dropped", format!("{} tokens ({share:.2}%)", manifest.dropped_tokens)),
        ("sha256", manifest.sha256.clone()),
    ]
}

fn part(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Validation => "validation",
    }
}
