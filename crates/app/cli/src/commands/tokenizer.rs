//! `wootz tokenizer`: learn a vocabulary, and use it.

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::facts;
use serde_json::json;
use std::io::Read;
use std::path::{Path, PathBuf};
use wootz_dataset::{load_tokenizer, save_tokenizer};
use wootz_schema::tokenizer::TokenizerOptions;
use wootz_stations::{Learned, train_tokenizer};
use wootz_stdx::human;
use wootz_tokenizer::Tokenizer;

/// Learn a byte-level BPE vocabulary, and turn text into ids and back.
#[derive(clap::Subcommand)]
pub enum Command {
    Train(Train),
    Encode(Encode),
    Decode(Decode),
    Stats(Stats),
}

/// Learn a vocabulary from a corpus.
///
/// Writes a tokenizer.json that the ecosystem's packages read. The bytes depend on the corpus and the options only.
#[derive(clap::Args)]
pub struct Train {
    /// A corpus folder, or a file of documents (.jsonl, .parquet).
    corpus: PathBuf,
    /// File to write.
    #[arg(long, short, value_name = "FILE", default_value = "tokenizer.json")]
    out: PathBuf,
    /// Entries of the vocabulary: bytes, merges and special tokens together.
    #[arg(long, value_name = "N", default_value_t = TokenizerOptions::default().vocab_size)]
    vocab_size: usize,
    /// Text to learn from, bytes; documents after it are not read.
    #[arg(long, value_name = "BYTES", default_value_t = TokenizerOptions::default().max_bytes)]
    max_bytes: u64,
    /// Text taken from one document at most, bytes.
    #[arg(long, value_name = "BYTES", default_value_t = TokenizerOptions::default().document_cap_bytes)]
    document_cap_bytes: usize,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Turn text into ids, one space between them.
#[derive(clap::Args)]
pub struct Encode {
    /// The tokenizer.json.
    #[arg(long, short, value_name = "FILE", default_value = "tokenizer.json")]
    tokenizer: PathBuf,
    /// File to encode; stdin without it.
    #[arg(conflicts_with = "text")]
    file: Option<PathBuf>,
    /// Text to encode.
    #[arg(long)]
    text: Option<String>,
}

/// Turn ids into the bytes they stand for, exactly.
#[derive(clap::Args)]
pub struct Decode {
    /// The tokenizer.json.
    #[arg(long, short, value_name = "FILE", default_value = "tokenizer.json")]
    tokenizer: PathBuf,
    /// Ids; from stdin, with white space between them, without any.
    ids: Vec<u32>,
}

/// Say what is in a tokenizer, and how well it does on a text.
#[derive(clap::Args)]
pub struct Stats {
    /// The tokenizer.json.
    #[arg(long, short, value_name = "FILE", default_value = "tokenizer.json")]
    tokenizer: PathBuf,
    /// A file of text to measure bytes per token on.
    file: Option<PathBuf>,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Train(args) => train(args, context),
        Command::Encode(args) => encode(args),
        Command::Decode(args) => decode(args),
        Command::Stats(args) => stats(args),
    }
}

fn train(args: &Train, context: &Context) -> Result<Outcome, Failure> {
    let Train { vocab_size, max_bytes, document_cap_bytes, .. } = *args;
    let options = TokenizerOptions { vocab_size, max_bytes, document_cap_bytes };
    let threads = super::threads(args.threads)?;
    let Learned { trained, bytes_per_token } =
        train_tokenizer(&args.corpus, &options, threads, context.observe.as_ref())?;
    save_tokenizer(&trained.tokenizer, &args.out)?;
    let entries = trained.tokenizer.vocab_size();
    let text = facts(&[
        ("tokenizer", args.out.display().to_string()),
        ("entries", entries.to_string()),
        ("learned from", format!("{} documents, {}", trained.documents, human::bytes(trained.bytes))),
        ("bytes per token", format!("{bytes_per_token:.3}")),
    ]);
    let json = json!({
        "tokenizer": args.out,
        "vocab_size": entries,
        "documents": trained.documents,
        "bytes": trained.bytes,
        "distinct_pieces": trained.distinct_pieces,
        "bytes_per_token": bytes_per_token,
    });
    Ok(Outcome::ok(text, json))
}

fn encode(args: &Encode) -> Result<Outcome, Failure> {
    let tokenizer = load(&args.tokenizer)?;
    let bytes = match &args.text {
        Some(text) => text.clone().into_bytes(),
        None => read_input(args.file.as_deref())?,
    };
    let ids = tokenizer.encode_ordinary(&bytes);
    let words: Vec<String> = ids.iter().map(u32::to_string).collect();
    Ok(Outcome::ok(
        format!("{}\n", words.join(" ")),
        json!({ "ids": ids, "tokens": ids.len(), "bytes": bytes.len() }),
    ))
}

fn decode(args: &Decode) -> Result<Outcome, Failure> {
    let tokenizer = load(&args.tokenizer)?;
    let ids = if args.ids.is_empty() { ids_of(&read_input(None)?)? } else { args.ids.clone() };
    let bytes = tokenizer.decode(&ids)?;
    let json = json!({ "text": String::from_utf8_lossy(&bytes), "bytes": bytes.len() });
    Ok(Outcome::ok(bytes, json))
}

fn stats(args: &Stats) -> Result<Outcome, Failure> {
    let tokenizer = load(&args.tokenizer)?;
    let longest = (0..tokenizer.ordinary() as u32).map(|id| tokenizer.token_bytes(id)).max().unwrap_or(0);
    let mut rows = vec![
        ("entries", tokenizer.vocab_size().to_string()),
        ("merges", tokenizer.pairs().len().to_string()),
        ("special tokens", tokenizer.special_tokens().join(" ")),
        ("longest token", human::bytes(longest as u64)),
    ];
    let mut json = json!({
        "vocab_size": tokenizer.vocab_size(),
        "merges": tokenizer.pairs().len(),
        "special_tokens": tokenizer.special_tokens(),
        "longest_token_bytes": longest,
    });
    if let Some(file) = &args.file {
        let bytes = read_input(Some(file))?;
        let tokens = tokenizer.encode_ordinary(&bytes).len();
        let density = bytes.len() as f64 / tokens.max(1) as f64;
        rows.push(("bytes per token", format!("{density:.3} ({} bytes, {tokens} tokens)", bytes.len())));
        json["bytes"] = bytes.len().into();
        json["tokens"] = tokens.into();
        json["bytes_per_token"] = density.into();
    }
    Ok(Outcome::ok(facts(&rows), json))
}

/// Reads a tokenizer.json.
pub fn load(path: &Path) -> Result<Tokenizer, Failure> {
    Ok(load_tokenizer(path)?)
}

fn read_input(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    match file {
        Some(path) => std::fs::read(path).map_err(|error| Failure::io("read", path, &error)),
        None => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::io("read", Path::new("stdin"), &error))?;
            Ok(bytes)
        }
    }
}

fn ids_of(bytes: &[u8]) -> Result<Vec<u32>, Failure> {
    let text = String::from_utf8_lossy(bytes);
    text.split_whitespace()
        .map(|word| {
            word.parse().map_err(|_| {
                Failure::usage(
                    format!("read the ids: {word:?} is no id"),
                    "write numbers with white space between them",
                )
            })
        })
        .collect()
}
