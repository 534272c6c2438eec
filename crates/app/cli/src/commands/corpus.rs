//! `wootz corpus`: source trees become documents, and what is in them.

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_schema::commits::{CommitForm, CommitOptions};
use wootz_schema::corpus::{CorpusFormat, CorpusManifest, CorpusOptions, Tally};
use wootz_stations::report::drop_reason;
use wootz_stdx::human;
use wootz_tokenizer::Tokenizer;

/// Turn source trees into training documents, and count them.
#[derive(clap::Subcommand)]
pub enum Command {
    Build(Build),
    Commits(Commits),
    Stats(Stats),
}

/// Read source trees into a corpus folder: documents with provenance, and a manifest.
///
/// Files that ignore rules hide, that are too large, binary or not UTF-8, that are copies, or whose license is not
/// wanted are left out and counted. The output's bytes depend on the sources and the options only. The folder appears
/// complete or not at all.
#[derive(clap::Args)]
pub struct Build {
    /// Folders to read.
    #[arg(required = true, value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Corpus folder to write; an earlier corpus there is replaced.
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// Languages to keep, with commas between them [default: all that are known].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    languages: Option<Vec<String>>,
    /// SPDX ids to keep, with commas between them; NOASSERTION stands for unknown [default: all].
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    licenses: Option<Vec<String>>,
    /// Longer files are left out.
    #[arg(long, value_name = "BYTES", default_value_t = CorpusOptions::default().max_file_bytes)]
    max_file_bytes: u64,
    /// Longer files are cut between top-level items.
    #[arg(long, value_name = "BYTES", default_value_t = CorpusOptions::default().max_document_bytes)]
    max_document_bytes: u64,
    /// At most this much text, taken from all projects in turn [default: no limit].
    #[arg(long, value_name = "BYTES")]
    max_total_bytes: Option<u64>,
    /// Form of the documents file.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Read git histories into a corpus folder: what each commit changed in functions and types, before and after.
///
/// A document is one file of one commit: the message, the imports, the functions that the changed ones call, and the
/// changed ones in both versions (chain) or the hunks (diff). Only whole definitions are shown; the output's bytes depend on
/// the repositories and the options only.
#[derive(clap::Args)]
pub struct Commits {
    /// Repositories to read, bare ones too.
    #[arg(required = true, value_name = "REPO")]
    repositories: Vec<PathBuf>,
    /// Corpus folder to write; an earlier corpus there is replaced.
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
    /// How changes are shown.
    #[arg(long = "as", value_name = "FORM", value_enum, default_value_t = Form::Both)]
    form: Form,
    /// Languages to keep, with commas between them [default: all that are known].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    languages: Option<Vec<String>>,
    /// SPDX ids to keep, with commas between them; NOASSERTION stands for unknown [default: all].
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    licenses: Option<Vec<String>>,
    /// Longer files are left out.
    #[arg(long, value_name = "BYTES", default_value_t = CommitOptions::default().max_file_bytes)]
    max_file_bytes: u64,
    /// Commits that modify more files are left out.
    #[arg(long, value_name = "N", default_value_t = CommitOptions::default().max_files)]
    max_files: usize,
    /// No document is longer.
    #[arg(long, value_name = "TOKENS", default_value_t = CommitOptions::default().max_tokens)]
    max_tokens: u64,
    /// Tokenizer that counts (tokenizer.json) [default: the built-in one].
    #[arg(long, short, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Form of the documents file.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// Definitions before and after.
    Chain,
    /// Hunks.
    Diff,
    /// A document each.
    Both,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// One JSON object per line.
    Jsonl,
    /// Parquet, zstd.
    Parquet,
}

impl From<Format> for CorpusFormat {
    fn from(format: Format) -> CorpusFormat {
        match format {
            Format::Jsonl => CorpusFormat::Jsonl,
            Format::Parquet => CorpusFormat::Parquet,
        }
    }
}

/// Count the documents of a corpus by language, license and size.
#[derive(clap::Args)]
pub struct Stats {
    /// A corpus folder, or a file of documents (.jsonl, .parquet).
    corpus: PathBuf,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Build(args) => build(args, context),
        Command::Commits(args) => commits(args, context),
        Command::Stats(args) => stats(args),
    }
}

fn build(args: &Build, context: &Context) -> Result<Outcome, Failure> {
    let options = CorpusOptions {
        sources: args.sources.clone(),
        languages: args.languages.clone(),
        licenses: args.licenses.clone(),
        max_file_bytes: args.max_file_bytes,
        max_document_bytes: args.max_document_bytes,
        max_total_bytes: args.max_total_bytes,
        threads: super::threads(args.threads)?,
        format: args.format.into(),
    };
    let manifest = wootz_corpus::build(&options, &args.out, context.observe.as_ref())?;
    let text = format!(
        "{}\n{}\n{}",
        shares("language", &manifest.languages),
        shares("license", &manifest.licenses),
        facts(&summary(&args.out, &manifest))
    );
    Ok(Outcome::ok(text, json!({ "corpus": args.out, "manifest": manifest })))
}

fn commits(args: &Commits, context: &Context) -> Result<Outcome, Failure> {
    let options = CommitOptions {
        repositories: args.repositories.clone(),
        forms: match args.form {
            Form::Chain => vec![CommitForm::Chain],
            Form::Diff => vec![CommitForm::Diff],
            Form::Both => vec![CommitForm::Chain, CommitForm::Diff],
        },
        languages: args.languages.clone(),
        licenses: args.licenses.clone(),
        max_file_bytes: args.max_file_bytes,
        max_files: args.max_files,
        max_tokens: args.max_tokens,
        threads: super::threads(args.threads)?,
        format: args.format.into(),
    };
    let given = args.tokenizer.as_deref().map(wootz_dataset::load_tokenizer).transpose()?;
    let tokenizer = given.as_ref().unwrap_or_else(|| Tokenizer::built_in());
    let count = |text: &str| tokenizer.encode_ordinary(text.as_bytes()).len() as u64;
    let manifest = wootz_corpus::commits(&options, &count, &args.out, context.observe.as_ref())?;
    let text =
        format!("{}\n{}", shares("language", &manifest.languages), facts(&summary(&args.out, &manifest)));
    Ok(Outcome::ok(text, json!({ "corpus": args.out, "manifest": manifest })))
}

fn summary(out: &Path, manifest: &CorpusManifest) -> Vec<(&'static str, String)> {
    let total = &manifest.documents;
    let mut rows = vec![
        ("corpus", out.display().to_string()),
        ("documents", format!("{}, {}", total.documents, human::bytes(total.bytes))),
        ("files", format!("{} kept of {} seen", manifest.files.kept, manifest.files.seen)),
    ];
    let dropped: Vec<String> = manifest
        .files
        .dropped
        .iter()
        .map(|(reason, count)| format!("{} {count}", drop_reason(*reason)))
        .collect();
    if !dropped.is_empty() {
        rows.push(("left out", dropped.join(", ")));
    }
    rows.push(("sha256", manifest.sha256.clone()));
    rows
}

fn stats(args: &Stats) -> Result<Outcome, Failure> {
    let stats = wootz_corpus::stats(&args.corpus)?;
    let [smallest, median, p99, largest] = stats.size_quantiles.map(human::bytes);
    let text = format!(
        "{}\n{}\n{}",
        shares("language", &stats.languages),
        shares("license", &stats.licenses),
        facts(&[
            ("documents", format!("{}, {}", stats.total.documents, human::bytes(stats.total.bytes))),
            ("whole files", stats.whole_files.documents.to_string()),
            ("projects", stats.projects.len().to_string()),
            ("size", format!("{smallest} smallest, {median} median, {p99} at 99%, {largest} largest")),
        ])
    );
    Ok(Outcome::ok(text, json!(stats)))
}

/// A table of parts, largest first.
fn shares(name: &str, parts: &BTreeMap<String, Tally>) -> String {
    let total: u64 = parts.values().map(|tally| tally.bytes).sum();
    let mut sorted: Vec<(&String, &Tally)> = parts.iter().collect();
    sorted.sort_by_key(|(name, tally)| (std::cmp::Reverse(tally.bytes), *name));
    let rows: Vec<Vec<String>> = sorted
        .iter()
        .map(|(name, tally)| {
            let share = 100.0 * tally.bytes as f64 / total.max(1) as f64;
            vec![
                (*name).clone(),
                tally.documents.to_string(),
                human::bytes(tally.bytes),
                format!("{share:.1}%"),
            ]
        })
        .collect();
    let header =
        [(name, Align::Left), ("documents", Align::Right), ("text", Align::Right), ("share", Align::Right)];
    table(&header, &rows)
}
