//! `wootz corpus stats`: a corpus counted, as tables, as JSON, and as a page to look at.

use super::{Context, accounts, page, shares};
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, facts, table};
use serde_json::json;
use std::path::PathBuf;
use wootz_corpus::Survey;
use wootz_schema::corpus::CorpusStats;
use wootz_schema::progress::Progress;
use wootz_stdx::{file, human};

/// Documents that a page shows.
const SAMPLES: usize = 10;

/// Projects that the tables name.
const PROJECTS: usize = 10;

/// Count the documents of a corpus by language, license, size, tokens and project, and say what was left out.
///
/// Reads every document once, in little memory. With --html also a page: the same figures, and ten documents to look at.
#[derive(clap::Args)]
pub struct Stats {
    /// A corpus folder, or a file of documents (.jsonl, .parquet).
    corpus: PathBuf,
    /// Also write a page, one file that needs no other.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Which ten documents the page shows: another number, other ones.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

/// Runs the command.
pub fn run(args: &Stats, context: &Context) -> Result<Outcome, Failure> {
    context.observe.observe(Progress::Begin { task: "corpus: count", total: None, unit: "documents" });
    let survey = wootz_corpus::survey(&args.corpus, SAMPLES, args.seed)?;
    context.observe.observe(Progress::Advance { done: survey.stats.total.documents });
    context.observe.observe(Progress::End);
    let mut rows = totals(&survey.stats);
    if let Some(path) = &args.html {
        let name = args.corpus.canonicalize().unwrap_or_else(|_| args.corpus.clone());
        let name = name.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        file::write_atomic(path, page::page(&name, &survey, args.seed).as_bytes())
            .map_err(|error| Failure::io("write the page", path, &error))?;
        rows.push(("page", path.display().to_string()));
    }
    let text = format!("{}{}", tables(&survey.stats), facts(&rows));
    Ok(Outcome::ok(text, as_json(&survey)))
}

/// The figures, and where the documents that a page shows come from.
fn as_json(survey: &Survey) -> serde_json::Value {
    let sample = |document: &wootz_schema::document::Document| {
        json!({
            "repo": document.repo, "path": document.path, "kind": document.kind, "language": document.language,
            "license": document.license, "tokens": document.tokens, "sha256": document.sha256,
        })
    };
    let mut json = json!(survey.stats);
    json["samples"] = survey.samples.iter().map(sample).collect();
    json
}

fn tables(stats: &CorpusStats) -> String {
    let mut text = format!(
        "{}\n{}\n{}\n",
        shares("language", &stats.languages),
        shares("license", &stats.licenses),
        projects(stats),
    );
    if !stats.token_counts.is_empty() {
        text.push_str(&format!("{}\n", tokens(stats)));
    }
    text
}

fn totals(stats: &CorpusStats) -> Vec<(&'static str, String)> {
    let [smallest, median, p99, largest] = stats.size_quantiles.map(human::bytes);
    let mut rows = vec![
        ("documents", format!("{}, {}", stats.total.documents, human::bytes(stats.total.bytes))),
        ("whole files", stats.whole_files.documents.to_string()),
        ("projects", project_count(stats).to_string()),
        ("size", format!("{smallest} smallest, {median} median, {p99} at 99%, {largest} largest")),
    ];
    if stats.counted.documents > 0 {
        let [smallest, median, p99, largest] = stats.token_quantiles;
        let length = format!("{smallest} smallest, {median} median, {p99} at 99%, {largest} largest");
        rows.push(("tokens", format!("{}, {length}", human::count(stats.tokens))));
    }
    if let Some(manifest) = &stats.manifest {
        rows.extend(accounts(manifest));
    }
    rows
}

/// Projects with a name, and the others.
pub(super) fn project_count(stats: &CorpusStats) -> u64 {
    stats.projects.len() as u64 + stats.other_projects.projects
}

fn projects(stats: &CorpusStats) -> String {
    let mut sorted: Vec<_> = stats.projects.iter().collect();
    sorted.sort_by_key(|(name, tally)| (std::cmp::Reverse((tally.tokens, tally.bytes)), *name));
    let row = |name: &str, documents: u64, bytes: u64, tokens: u64| {
        vec![name.to_owned(), documents.to_string(), human::bytes(bytes), human::count(tokens)]
    };
    let mut rows: Vec<Vec<String>> = sorted
        .iter()
        .take(PROJECTS)
        .map(|(name, tally)| row(name, tally.documents, tally.bytes, tally.tokens))
        .collect();
    let mut rest = stats.other_projects;
    for (_, tally) in sorted.iter().skip(PROJECTS) {
        rest.projects += 1;
        rest.documents += tally.documents;
        rest.bytes += tally.bytes;
        rest.tokens += tally.tokens;
    }
    if rest.projects > 0 {
        rows.push(row(&format!("{} others", rest.projects), rest.documents, rest.bytes, rest.tokens));
    }
    let header = [
        ("project", Align::Left),
        ("documents", Align::Right),
        ("text", Align::Right),
        ("tokens", Align::Right),
    ];
    table(&header, &rows)
}

fn tokens(stats: &CorpusStats) -> String {
    let rows: Vec<Vec<String>> = stats
        .token_counts
        .iter()
        .map(|(upper, tally)| {
            let share = 100.0 * tally.documents as f64 / stats.counted.documents.max(1) as f64;
            vec![format!("to {upper}"), tally.documents.to_string(), format!("{share:.1}%")]
        })
        .collect();
    table(&[("tokens", Align::Left), ("documents", Align::Right), ("share", Align::Right)], &rows)
}
