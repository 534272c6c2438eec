//! `wootz corpus audit`: which documents compile, beside the files they were made from.

use crate::commands::{self, Context};
use crate::environment::{self, Variable};
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use wootz_corpus::AuditOptions;
use wootz_schema::audit::{AuditCheck, AuditShare, CorpusAudit};

/// Compile and parse a sample of a corpus' documents, beside the files they were made from.
///
/// C and C++ documents go through this machine's compilers, names and types included, with the include paths of their
/// project: those of compile_commands.json where the project or a folder in it has one, else what its files include
/// (and compile_flags.txt). Documents in other languages go through rustfmt, python3, tsc or gofmt, for syntax. All go
/// through the chunker's parser. An original is judged in the same way, and only documents whose original holds count.
/// Nothing is run, and nothing is written outside a temporary folder.
#[derive(clap::Args)]
pub struct Audit {
    /// A corpus folder, or a file of documents (.jsonl, .parquet).
    corpus: PathBuf,
    /// Folders that the corpus was built from.
    #[arg(long, required = true, num_args = 1.., value_name = "DIR")]
    sources: Vec<PathBuf>,
    /// Documents to take of each kind of document, for C and C++ together and for each other language.
    #[arg(long, value_name = "N", default_value_t = 200)]
    sample: usize,
    /// Which sample: another number draws others.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Tools to run at a time [default: $WOOTZ_THREADS, or one per core].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Time for one document.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
    /// Write documents that fail to this folder, each with what is wrong and the command that says so.
    #[arg(long, value_name = "DIR")]
    failures: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Audit, context: &Context) -> Result<Outcome, Failure> {
    let time = Duration::try_from_secs_f64(args.timeout).ok().filter(|time| !time.is_zero());
    let time = time.ok_or_else(|| {
        Failure::usage(format!("wait for {} seconds", args.timeout), "give --timeout a number above 0")
    })?;
    let options = AuditOptions {
        corpus: args.corpus.clone(),
        sources: args.sources.clone(),
        sample: args.sample,
        seed: args.seed,
        jobs: commands::threads(args.jobs)?.unwrap_or(0),
        cc: words(&environment::CC, "cc"),
        cxx: words(&environment::CXX, "c++"),
        time,
        failures: args.failures.clone(),
    };
    let audit = wootz_corpus::audit(&options, context.observe.as_ref(), &*context.cancel()?)?;
    Ok(Outcome::ok(text(&audit), json!(audit)))
}

/// The words of a variable, or the command that stands for it.
fn words(variable: &Variable, default: &str) -> Vec<String> {
    let text = variable.get().map(|text| text.to_string_lossy().into_owned());
    let words: Vec<String> =
        text.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect();
    if words.is_empty() { vec![default.to_owned()] } else { words }
}

fn text(audit: &CorpusAudit) -> String {
    let mut parts = Vec::new();
    for check in &audit.checks {
        parts.push(shares(check));
    }
    let failures = failures(audit);
    if !failures.is_empty() {
        parts.push(table(
            &[("failure", Align::Left), ("of", Align::Left), ("documents", Align::Right)],
            &failures,
        ));
    }
    let skipped = audit.skipped.iter().map(|skip| {
        format!(
            "not judged ({}, {}): {} documents, {}\n",
            name(json!(skip.check)),
            skip.languages,
            skip.documents,
            skip.reason
        )
    });
    parts.push(skipped.collect());
    let tools = audit.tools.iter().map(|(tool, version)| format!("{tool}: {version}\n"));
    parts.push(tools.collect());
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// One check of one kind of document: all projects, then each.
fn shares(check: &AuditCheck) -> String {
    let title = format!("{} {} {}", name(json!(check.check)), check.languages, name(json!(check.kind)));
    let header = [
        (title.as_str(), Align::Left),
        ("documents", Align::Right),
        ("original holds", Align::Right),
        ("holds too", Align::Right),
        ("share", Align::Right),
        ("of substantial", Align::Right),
    ];
    let row = |name: &str, share: &AuditShare| {
        vec![
            name.to_owned(),
            share.documents.to_string(),
            share.originals.to_string(),
            share.hold.to_string(),
            percent(share.hold, share.originals),
            percent(share.substantial_hold, share.substantial_originals),
        ]
    };
    let projects = check.projects.iter().map(|(name, share)| row(name, share));
    let rows: Vec<Vec<String>> = projects.chain([row("all", &check.all)]).collect();
    table(&header, &rows)
}

/// Classes of failure of every check, most frequent first.
fn failures(audit: &CorpusAudit) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for check in &audit.checks {
        let mut sorted: Vec<_> = check.all.failures.iter().collect();
        sorted.sort_by_key(|(failure, count)| (std::cmp::Reverse(**count), **failure));
        let of = format!("{} {} {}", name(json!(check.check)), check.languages, name(json!(check.kind)));
        rows.extend(
            sorted.iter().map(|(failure, count)| vec![name(json!(failure)), of.clone(), count.to_string()]),
        );
    }
    rows
}

/// A value's stored name, for people.
fn name(value: Value) -> String {
    value.as_str().unwrap_or_default().replace('_', " ")
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1}%", 100.0 * part as f64 / whole as f64) }
}
