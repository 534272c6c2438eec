//! `wootz corpus`: source trees become documents, and what is in them.

mod audit;
mod page;
mod stats;

use super::Context;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_schema::clean::{CleanOptions, FileFilter};
use wootz_schema::commits::{CommitForm, CommitOptions};
use wootz_schema::corpus::{
    ComposeMode, ComposeOptions, CorpusFormat, CorpusManifest, CorpusOptions, FileCounts, Tally,
};
use wootz_schema::record::RecordOptions;
use wootz_schema::shard::Share;
use wootz_stations::report::drop_reason;
use wootz_stdx::human;
use wootz_tokenizer::Tokenizer;

/// Turn source trees into training documents, count them, and see whether they compile.
#[derive(clap::Subcommand)]
pub enum Command {
    Build(Build),
    Merge(Merge),
    Commits(Commits),
    Stats(stats::Stats),
    Audit(audit::Audit),
}

/// Read source trees into a corpus folder: documents with provenance, and a manifest.
///
/// Files that ignore rules hide, that are too large, binary or in no known encoding, that are copies or nearly so, that a
/// program wrote, or whose license is not wanted are left out and counted; secrets and personal data give way to
/// placeholders. The output's bytes depend on the sources and the options only. The folder appears complete or not at all.
#[derive(clap::Args)]
pub struct Build {
    /// Folders to read.
    #[arg(required_unless_present = "from_jsonl", value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Files of JSON lines to read behind the folders, a source file each line: {"text": ...}, with "path", "repo", "language",
    /// "license" and "commit" where they are known, also under the names that public datasets give them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    from_jsonl: Vec<PathBuf>,
    /// Language of lines that tell theirs neither by "language" nor by the ending of "path" [default: they are left out].
    #[arg(long, value_name = "NAME", requires = "from_jsonl")]
    record_language: Option<String>,
    /// At most so many lines of each file [default: all].
    #[arg(long, value_name = "N", requires = "from_jsonl")]
    max_records: Option<u64>,
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
    /// With --plain, longer files are cut between top-level items.
    #[arg(long, value_name = "BYTES", default_value_t = CorpusOptions::default().max_document_bytes)]
    max_document_bytes: u64,
    /// At most this much text, taken from all projects in turn [default: no limit].
    #[arg(long, value_name = "BYTES")]
    max_total_bytes: Option<u64>,
    #[command(flatten)]
    compose: Compose,
    #[command(flatten)]
    clean: Clean,
    /// Do one of N shares of the work, 0/N to N-1/N, and write a shard in place of a corpus; `wootz corpus merge` makes of all
    /// shards the corpus that one run would have written, byte for byte.
    #[arg(long, value_name = "I/N")]
    shard: Option<Share>,
    /// Form of the documents file.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Worker threads [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Make one corpus of the shards of `wootz corpus build --shard`: the bytes are those of one run over the same sources.
///
/// All shards of one corpus are needed, in any order; the sources are not.
#[derive(clap::Args)]
pub struct Merge {
    /// Folders of shards.
    #[arg(required = true, value_name = "SHARD")]
    shards: Vec<PathBuf>,
    /// Corpus folder to write; an earlier corpus there is replaced.
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
}

/// How C and C++ become documents that compile, and the wall for all documents.
#[derive(clap::Args)]
struct Compose {
    /// How many calls away from a function the definitions may stand that its document takes in; 0: from its own file only,
    /// headers stay includes.
    #[arg(long, value_name = "N", default_value_t = ComposeOptions::default().cross_depth)]
    cross_depth: u32,
    /// No document has more tokens. A C or C++ file that fits is a document, of a larger one each function and type is, with
    /// all it needs.
    #[arg(long, value_name = "TOKENS", default_value_t = ComposeOptions::default().max_tokens)]
    max_tokens: u64,
    /// Tokenizer that counts (tokenizer.json) [default: the built-in one].
    #[arg(long, short, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Documents of every function and type, also where the file fits.
    #[arg(long)]
    every_function: bool,
    /// Documents of whole files with what they need from others, where that fits.
    #[arg(long)]
    cross_file: bool,
    /// No documents of headers.
    #[arg(long)]
    no_headers: bool,
    /// Every file by itself, in runs of items where it is too long: no documents that draw on several places.
    #[arg(long, conflicts_with_all = ["cross_depth", "max_tokens", "tokenizer", "every_function", "cross_file", "no_headers"])]
    plain: bool,
}

impl From<&Compose> for Option<ComposeOptions> {
    fn from(args: &Compose) -> Option<ComposeOptions> {
        (!args.plain).then(|| ComposeOptions {
            mode: if args.cross_file { ComposeMode::CrossFile } else { ComposeMode::Compilable },
            cross_depth: args.cross_depth,
            max_tokens: args.max_tokens,
            every_function: args.every_function,
            headers: !args.no_headers,
            tokenizer: args.tokenizer.clone(),
        })
    }
}

/// What is left out or replaced so that the corpus can be trusted.
#[derive(clap::Args)]
struct Clean {
    /// Kinds of files to keep that are left out by default, with commas between them.
    #[arg(long, value_name = "KINDS", value_enum, value_delimiter = ',')]
    keep: Vec<Kept>,
    /// Leave out tests.
    #[arg(long)]
    drop_tests: bool,
    /// Keep documents that are nearly the same as an earlier one.
    #[arg(long)]
    keep_near_duplicates: bool,
    /// Keep secrets and personal data as they are.
    #[arg(long)]
    keep_secrets: bool,
    /// Files of benchmark items, JSON, JSONL or text, with commas between them: documents that share text with one are left
    /// out.
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    benchmarks: Vec<PathBuf>,
    /// SPDX ids to leave out, with commas between them; NOASSERTION stands for unknown.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    deny_licenses: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kept {
    /// Written by a program.
    Generated,
    /// In folders of other projects' files.
    Vendored,
    /// Squeezed into few lines.
    Minified,
    /// Tables and blobs in the form of code.
    Data,
}

impl From<&Clean> for CleanOptions {
    fn from(args: &Clean) -> CleanOptions {
        let filter = |kept: &Kept| match kept {
            Kept::Generated => FileFilter::Generated,
            Kept::Vendored => FileFilter::Vendored,
            Kept::Minified => FileFilter::Minified,
            Kept::Data => FileFilter::Data,
        };
        CleanOptions {
            keep: args.keep.iter().map(filter).collect(),
            drop_tests: args.drop_tests,
            redact: !args.keep_secrets,
            near_duplicates: !args.keep_near_duplicates,
            benchmarks: args.benchmarks.clone(),
            denied_licenses: args.deny_licenses.clone(),
        }
    }
}

/// Read git histories into a corpus folder: what each commit changed in functions and types, before and after.
///
/// A document is one file of one commit: the message, the imports, the functions that the changed ones call, and the
/// changed ones in both versions (chain) or the hunks (diff). Only whole definitions are shown. What `corpus build` leaves out
/// or replaces is left out and replaced here too; merges, added and removed files, links and submodules are counted. The
/// output's bytes depend on the repositories and the options only.
#[derive(clap::Args)]
pub struct Commits {
    /// Repositories to read, bare ones too.
    #[arg(required_unless_present = "from_jsonl", value_name = "REPO")]
    repositories: Vec<PathBuf>,
    /// Files of JSON lines to read behind the repositories, a file before and after a commit each: {"old_content", "new_content",
    /// "subject", "body", "filepath", "repo"}, also under the names that public datasets give them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    from_jsonl: Vec<PathBuf>,
    /// Language of lines whose "filepath" does not tell it [default: they are left out].
    #[arg(long, value_name = "NAME", requires = "from_jsonl")]
    record_language: Option<String>,
    /// At most so many lines of each file [default: all].
    #[arg(long, value_name = "N", requires = "from_jsonl")]
    max_records: Option<u64>,
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
    #[command(flatten)]
    clean: Clean,
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

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    match command {
        Command::Build(args) => build(args, context),
        Command::Merge(args) => merge(args, context),
        Command::Commits(args) => commits(args, context),
        Command::Stats(args) => stats::run(args, context),
        Command::Audit(args) => audit::run(args, context),
    }
}

fn build(args: &Build, context: &Context) -> Result<Outcome, Failure> {
    let options = CorpusOptions {
        sources: args.sources.clone(),
        records: RecordOptions {
            files: args.from_jsonl.clone(),
            language: args.record_language.clone(),
            max_records: args.max_records,
        },
        languages: args.languages.clone(),
        licenses: args.licenses.clone(),
        max_file_bytes: args.max_file_bytes,
        max_document_bytes: args.max_document_bytes,
        max_total_bytes: args.max_total_bytes,
        threads: super::threads(args.threads)?,
        format: args.format.into(),
        clean: (&args.clean).into(),
        compose: (&args.compose).into(),
    };
    if let Some(share) = args.shard {
        return build_shard(&options, share, args, context);
    }
    let manifest = wootz_corpus::build(&options, &args.out, context.observe.as_ref())?;
    Ok(built(&args.out, &manifest))
}

fn build_shard(
    options: &CorpusOptions,
    share: Share,
    args: &Build,
    context: &Context,
) -> Result<Outcome, Failure> {
    let shard = wootz_corpus::build_shard(options, share, &args.out, context.observe.as_ref())?;
    let text = facts(&[
        ("shard", format!("{}, {share}", args.out.display())),
        ("parts", format!("{} of {}", shard.here.len(), shard.parts)),
        ("files", format!("{} seen by all shards", shard.files.seen)),
    ]);
    Ok(Outcome::ok(text, json!({ "shard": args.out, "manifest": shard })))
}

fn merge(args: &Merge, context: &Context) -> Result<Outcome, Failure> {
    let manifest = wootz_corpus::merge(&args.shards, &args.out, context.observe.as_ref())?;
    Ok(built(&args.out, &manifest))
}

fn built(out: &Path, manifest: &CorpusManifest) -> Outcome {
    let text = format!(
        "{}\n{}\n{}",
        shares("language", &manifest.languages),
        shares("license", &manifest.licenses),
        facts(&summary(out, manifest))
    );
    Outcome::ok(text, json!({ "corpus": out, "manifest": manifest }))
}

fn commits(args: &Commits, context: &Context) -> Result<Outcome, Failure> {
    let options = CommitOptions {
        repositories: args.repositories.clone(),
        records: RecordOptions {
            files: args.from_jsonl.clone(),
            language: args.record_language.clone(),
            max_records: args.max_records,
        },
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
        clean: (&args.clean).into(),
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
    ];
    rows.extend(accounts(manifest));
    rows.push(("sha256", manifest.sha256.clone()));
    rows
}

/// What became of all that was seen.
pub(super) fn accounts(manifest: &CorpusManifest) -> Vec<(&'static str, String)> {
    let mut rows = of_files(&manifest.files);
    let documents: Vec<String> = manifest
        .dropped_documents
        .iter()
        .map(|(reason, tally)| format!("{} {}", drop_reason(*reason), tally.documents))
        .collect();
    if !documents.is_empty() {
        rows.push(("documents left out", documents.join(", ")));
    }
    let redacted: u64 = manifest.clean.redacted.values().sum();
    if redacted > 0 {
        rows.push(("redacted", format!("{redacted} secrets and personal data")));
    }
    let converted: u64 = manifest.clean.converted.values().sum();
    if converted > 0 {
        rows.push(("converted to UTF-8", format!("{converted} files")));
    }
    rows
}

/// What became of the files.
pub(super) fn of_files(files: &FileCounts) -> Vec<(&'static str, String)> {
    let mut rows = vec![("files", format!("{} kept of {} seen", files.kept, files.seen))];
    let dropped: Vec<String> =
        files.dropped.iter().map(|(reason, count)| format!("{} {count}", drop_reason(*reason))).collect();
    if !dropped.is_empty() {
        rows.push(("left out", dropped.join(", ")));
    }
    rows
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
