//! The command line of `cpp-chunker`: what the binary is when it is called by that name.
//!
//! An adapter for scripts that call the program of that name: its flags, lines of {"text": ...} in one file, everything else on
//! stderr. Beneath are `wootz corpus build` and `wootz corpus commits`, so documents compile, tokens are counted by the tokenizer,
//! and bytes do not depend on threads. A corpus is built in a hidden folder beside the output, where a run that was killed goes on,
//! and its texts are written from there; the output appears complete or not at all.
//!
//! What differs on purpose stands in docs/corpus.md.

mod target;

use super::Context;
use super::corpus::{accounts, of_files};
use crate::outcome::{Failure, Outcome};
use crate::render::table::facts;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Instant;
use target::Target;
use wootz_corpus::{CommitsError, CorpusError};
use wootz_schema::clean::CleanOptions;
use wootz_schema::commits::{CommitForm, CommitOptions};
use wootz_schema::corpus::{
    ComposeMode, ComposeOptions, CorpusManifest, CorpusOptions, DropReason, FileCounts,
};
use wootz_schema::progress::Progress;
use wootz_schema::record::RecordOptions;
use wootz_stdx::human;
use wootz_tokenizer::Tokenizer;

/// Shorter documents say nothing, bytes.
const MIN_BYTES: usize = 50;
/// Of a commit, where the message alone is long.
const MIN_COMMIT_BYTES: usize = 100;

/// Turn C and C++ code into documents that compile: {"text": ...}, one a line.
///
/// Reads lines of JSON, {"text": ...} with a source file each (or with --commit-mode a file before and after a commit), or the
/// projects in a folder. Of several modes the first counts: --commit-mode, --project-dirs, --cross-file, else each file by itself.
#[derive(clap::Parser)]
#[command(name = "cpp-chunker", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    /// Files of JSON lines.
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "project_dirs")]
    inputs: Vec<PathBuf>,
    /// File to write; an earlier one is replaced when all is done.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Folder of projects, to be read in place of --inputs; headers are read for what they define and are no documents.
    #[arg(long, value_name = "DIR")]
    project_dirs: Option<PathBuf>,
    /// No document has more tokens.
    #[arg(long, value_name = "TOKENS", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..))]
    max_tokens: u64,
    /// At most so many lines of each input; 0: all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_records: u64,
    /// Worker threads; 0: $WOOTZ_THREADS, or one per core. The output does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// Taken for compatibility: memory is bounded by other means, and the output does not depend on it.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    batch_size: usize,
    /// Taken for compatibility: documents of functions always have what they call before them.
    #[arg(long)]
    dep_aware: bool,
    /// Documents of files with what they need from others, where that fits.
    #[arg(long)]
    cross_file: bool,
    /// How many calls away from a function the definitions from other files may stand.
    #[arg(long, value_name = "N", default_value_t = 3)]
    cross_depth: u32,
    /// Longer files are left out.
    #[arg(long, value_name = "BYTES", default_value_t = 500_000)]
    max_file_bytes: u64,
    /// With --project-dirs: documents of files, and where those are too long of functions and types, with what they need;
    /// without it, as with --cross-file. Documents compile in either case.
    #[arg(long)]
    compilable: bool,
    /// Lines are changes: {"old_content", "new_content", "subject", "body", "filepath", "repo"}.
    #[arg(long)]
    commit_mode: bool,
    /// How --commit-mode shows them.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Both)]
    commit_format: Form,
}

const EXIT_CODES: &str = "Exit codes: 0 done, bad lines are counted; 2 usage or bad input, also where no line is a record; \
                          3 the environment: a full disk, no permission; 70 a bug. Progress and results go to stderr.";

#[derive(Clone, Copy, clap::ValueEnum)]
enum Form {
    /// Definitions before and after.
    Chain,
    /// Hunks.
    Diff,
    /// A document each.
    Both,
}

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Commits,
    Projects,
    CrossFile,
    Files,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let begun = Instant::now();
    let mode = args.mode();
    let target = Target::new(&args.output)?;
    if mode == Mode::Projects {
        if !args.inputs.is_empty() {
            context.observe.observe(Progress::Message("note: --inputs are not read with --project-dirs"));
        }
    } else if args.inputs.is_empty() {
        return Err(Failure::usage(
            "read changes: there are no --inputs",
            "name files of JSON lines: --inputs FILE",
        ));
    } else if let Some(input) = args.inputs.iter().find(|input| target.is(input)) {
        let message = format!("write {}: it is an input as well", input.display());
        return Err(Failure::usage(message, "name another file with --output"));
    }
    let folder = target.folder();
    let (mut rows, written) = match args.build(mode, &folder, context)? {
        Built::Corpus(manifest) => {
            let written = target.write(&folder, mode.min_bytes());
            // Also where there was no room for the output, since it is in the way then.
            let removed = std::fs::remove_dir_all(&folder);
            let written = written?;
            removed.map_err(|error| Failure::io("remove", &folder, &error))?;
            (accounts(&manifest), written)
        }
        Built::Nothing(files) => (of_files(&files), target.write_nothing()?),
    };
    rows.insert(0, ("documents", written.to_string()));
    if written.short > 0 {
        rows.push(("too short", format!("{} documents", written.short)));
    }
    rows.push(("time", human::seconds(begun.elapsed().as_secs_f64())));
    rows.push(("output", args.output.display().to_string()));
    let text = format!("RESULTS ({})\n{}", mode.name(), facts(&rows));
    context.observe.observe(Progress::Message(text.trim_end()));
    Ok(Outcome::ok("", json!({})))
}

/// What a build came to.
enum Built {
    Corpus(Box<CorpusManifest>),
    /// There were no lines, or no documents in them.
    Nothing(FileCounts),
}

impl Args {
    fn mode(&self) -> Mode {
        if self.commit_mode {
            Mode::Commits
        } else if self.project_dirs.is_some() {
            Mode::Projects
        } else if self.cross_file {
            Mode::CrossFile
        } else {
            Mode::Files
        }
    }

    fn build(&self, mode: Mode, folder: &Path, context: &Context) -> Result<Built, Failure> {
        let built = match mode {
            Mode::Commits => self.build_commits(folder, context)?,
            _ => wootz_corpus::build(&self.corpus(mode)?, folder, context.observe.as_ref()),
        };
        match built {
            Ok(manifest) => Ok(Built::Corpus(Box::new(manifest))),
            // An input without anything in it is one of many to the scripts that call; one that is no JSON is a mistake.
            Err(CorpusError::NoDocuments { files, .. }) if mode != Mode::Projects && !are_bad(&files) => {
                Ok(Built::Nothing(files))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn build_commits(
        &self,
        folder: &Path,
        context: &Context,
    ) -> Result<Result<CorpusManifest, CorpusError>, Failure> {
        let options = CommitOptions {
            records: self.records(),
            forms: match self.commit_format {
                Form::Chain => vec![CommitForm::Chain],
                Form::Diff => vec![CommitForm::Diff],
                Form::Both => vec![CommitForm::Chain, CommitForm::Diff],
            },
            languages: languages(),
            max_file_bytes: self.max_file_bytes,
            max_tokens: self.max_tokens,
            threads: self.threads()?,
            ..CommitOptions::default()
        };
        let count = |text: &str| Tokenizer::built_in().encode_ordinary(text.as_bytes()).len() as u64;
        match wootz_corpus::commits(&options, &count, folder, context.observe.as_ref()) {
            Err(CommitsError::Corpus(error)) => Ok(Err(error)),
            Err(error) => Err(error.into()),
            Ok(manifest) => Ok(Ok(manifest)),
        }
    }

    fn corpus(&self, mode: Mode) -> Result<CorpusOptions, Failure> {
        let in_projects = mode == Mode::Projects;
        let alone = mode == Mode::Files;
        let cross_file = mode == Mode::CrossFile || in_projects && !self.compilable;
        Ok(CorpusOptions {
            sources: if in_projects { self.project_dirs.iter().cloned().collect() } else { Vec::new() },
            records: if in_projects { RecordOptions::default() } else { self.records() },
            languages: languages(),
            max_file_bytes: self.max_file_bytes,
            threads: self.threads()?,
            clean: CleanOptions { drop_tests: in_projects, ..CleanOptions::default() },
            compose: Some(ComposeOptions {
                mode: if cross_file { ComposeMode::CrossFile } else { ComposeMode::Compilable },
                cross_depth: if alone { 0 } else { self.cross_depth },
                max_tokens: self.max_tokens,
                headers: !in_projects,
                ..ComposeOptions::default()
            }),
            ..CorpusOptions::default()
        })
    }

    fn records(&self) -> RecordOptions {
        RecordOptions {
            files: self.inputs.clone(),
            language: Some("cpp".to_owned()),
            max_records: Some(self.max_records).filter(|max| *max > 0),
        }
    }

    fn threads(&self) -> Result<Option<usize>, Failure> {
        super::threads(Some(self.threads).filter(|threads| *threads > 0))
    }
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Mode::Commits => "changes",
            Mode::Projects => "projects",
            Mode::CrossFile => "cross-file",
            Mode::Files => "each file by itself",
        }
    }

    fn min_bytes(self) -> usize {
        if self == Mode::Commits { MIN_COMMIT_BYTES } else { MIN_BYTES }
    }
}

fn languages() -> Option<Vec<String>> {
    Some(vec!["c".to_owned(), "cpp".to_owned()])
}

/// Whether there were lines, and none was a record.
fn are_bad(files: &FileCounts) -> bool {
    files.seen > 0 && files.dropped.get(&DropReason::BadRecord) == Some(&files.seen)
}
