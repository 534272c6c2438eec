//! The page of a corpus: its figures with bars, and some documents to read.
//!
//! One file that loads nothing: no scripts at all, styles and bars inside, and a policy that forbids the rest. Documents and the names in
//! them are hostile text: all of it passes through [`mark`]. The page depends on the corpus and the seed only.

mod mark;

use super::stats::project_count;
use mark::escaped;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use wootz_corpus::Survey;
use wootz_schema::corpus::{CorpusManifest, CorpusStats, DropReason, Tally};
use wootz_schema::document::{Document, DocumentKind};
use wootz_stations::report::drop_reason;
use wootz_stdx::human;

/// Rows of a chart that are named; the rest is one row.
const ROWS: usize = 20;

/// Bytes of a document that are shown.
const SHOWN_BYTES: usize = 24 << 10;

/// The page of the corpus `name`.
pub fn page(name: &str, survey: &Survey, seed: u64) -> String {
    let stats = &survey.stats;
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Corpus {0}</title>\n<style>\n{2}</style>\n</head>\n<body>\n<main>\n<h1>Corpus {1}</h1>\n",
        mark::plain(name),
        escaped(name),
        include_str!("page/style.css"),
    );
    if let Some(manifest) = &stats.manifest {
        let digest = manifest.sha256.get(..12).unwrap_or(&manifest.sha256);
        html.push_str(&format!(
            "<p>{} · sha256 {}…</p>\n",
            escaped(&manifest.documents_file),
            escaped(digest)
        ));
    }
    html.push_str(&tiles(stats));
    html.push_str("<div class=\"cards\">\n");
    html.push_str(&parts("Languages", "language", "By bytes of text.", &stats.languages));
    html.push_str(&kinds(stats));
    html.push_str(&lengths(stats));
    html.push_str(&projects(stats));
    html.push_str(&parts("Licenses", "license", "SPDX expressions, by bytes of text.", &stats.licenses));
    if let Some(manifest) = &stats.manifest {
        html.push_str(&dropped(manifest));
        html.push_str(&copies(manifest));
        html.push_str(&cleaned(manifest));
    }
    html.push_str("</div>\n");
    if !survey.samples.is_empty() {
        html.push_str(&format!(
            "<h2 class=\"apart\">Documents</h2>\n<p>{} of {}, chosen at random by seed {seed}.</p>\n",
            survey.samples.len(),
            figure(stats.total.documents)
        ));
        survey.samples.iter().enumerate().for_each(|(place, one)| html.push_str(&sample(one, place == 0)));
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// The figures that say how large a corpus is.
fn tiles(stats: &CorpusStats) -> String {
    let mut html = String::from("<dl class=\"tiles\">\n");
    let mut tile = |name: &str, value: &str, note: &str| {
        html.push_str(&format!("<div><dt>{name}</dt><dd>{value} <small>{note}</small></dd></div>\n"));
    };
    let whole = format!("{} whole files", figure(stats.whole_files.documents));
    tile("Documents", &figure(stats.total.documents), &whole);
    let [_, median, _, largest] = stats.size_quantiles.map(human::bytes);
    let sizes = format!("median {median}, largest {largest}");
    tile("Text", &human::bytes(stats.total.bytes), &sizes);
    if stats.counted.documents > 0 {
        let [_, median, _, largest] = stats.token_quantiles.map(figure);
        let lengths = format!("median {median}, largest {largest}");
        tile("Tokens", &human::count(stats.tokens), &lengths);
        let ratio = stats.counted.bytes as f64 / stats.tokens.max(1) as f64;
        tile("Bytes per token", &format!("{ratio:.2}"), "by the corpus' tokenizer");
    }
    let languages = format!("{} languages", stats.languages.len());
    tile("Projects", &figure(project_count(stats)), &languages);
    if let Some(manifest) = &stats.manifest {
        let kept = 100.0 * manifest.files.kept as f64 / manifest.files.seen.max(1) as f64;
        let seen = format!("{kept:.0}% of {} seen", figure(manifest.files.seen));
        tile("Files kept", &figure(manifest.files.kept), &seen);
    }
    html.push_str("</dl>\n");
    html
}

/// A row of a chart: its name, what its bar stands for, and its cells.
struct Bar {
    name: String,
    value: u64,
    cells: Vec<String>,
}

/// A card with a table, in which each row has a bar.
fn chart(title: &str, about: &str, header: &[&str], bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value).max().unwrap_or(0).max(1);
    let mut html = format!(
        "<section class=\"card{}\">\n<h2>{title}</h2>\n<p>{about}</p>\n<table>\n<thead><tr><th scope=\"col\">{}</th><th></th>",
        // Names that are expressions need room.
        if title == "Licenses" { " wide" } else { "" },
        header[0]
    );
    header[1..].iter().for_each(|name| html.push_str(&format!("<th scope=\"col\">{name}</th>")));
    html.push_str("</tr></thead>\n<tbody>\n");
    for bar in bars {
        // Something is never nothing.
        let width = (100.0 * bar.value as f64 / longest as f64).max(if bar.value > 0 { 0.7 } else { 0.0 });
        html.push_str(&format!(
            "<tr><td>{}</td><td class=\"chart\"><svg viewBox=\"0 0 100 7\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect class=\"track\" width=\"100\" height=\"7\"/><rect class=\"bar\" width=\"{width:.1}\" height=\"7\"/></svg></td>",
            escaped(&bar.name)
        ));
        bar.cells.iter().for_each(|cell| html.push_str(&format!("<td>{}</td>", escaped(cell))));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</section>\n");
    html
}

/// Parts of the text, largest first.
fn parts(title: &str, name: &str, about: &str, parts: &BTreeMap<String, Tally>) -> String {
    let total: u64 = parts.values().map(|tally| tally.bytes).sum();
    let mut sorted: Vec<(String, Tally)> = parts.iter().map(|(name, tally)| (name.clone(), *tally)).collect();
    sorted.sort_by(|a, b| b.1.bytes.cmp(&a.1.bytes).then_with(|| a.0.cmp(&b.0)));
    if sorted.len() > ROWS {
        let rest = sorted.split_off(ROWS - 1);
        let sum = |of: fn(&Tally) -> u64| rest.iter().map(|(_, tally)| of(tally)).sum();
        let tally = Tally { documents: sum(|tally| tally.documents), bytes: sum(|tally| tally.bytes) };
        sorted.push((format!("{} others", rest.len()), tally));
    }
    let bar = |(name, tally): (String, Tally)| Bar {
        name,
        value: tally.bytes,
        cells: vec![figure(tally.documents), human::bytes(tally.bytes), share(tally.bytes, total)],
    };
    let bars: Vec<Bar> = sorted.into_iter().map(bar).collect();
    chart(title, about, &[name, "documents", "text", "share"], &bars)
}

/// How long documents are: in tokens, or in bytes where nobody counted.
fn lengths(stats: &CorpusStats) -> String {
    let (title, unit, lengths, total) = if stats.token_counts.is_empty() {
        ("Sizes", "bytes", &stats.sizes, stats.total.documents)
    } else {
        ("Length in tokens", "tokens", &stats.token_counts, stats.counted.documents)
    };
    let quantiles = if unit == "tokens" { stats.token_quantiles } else { stats.size_quantiles };
    let [smallest, median, p99, largest] = quantiles.map(figure);
    let about =
        format!("Smallest {smallest}, median {median}, 99% have no more than {p99}, largest {largest}.");
    let (first, last) = (lengths.keys().next().copied(), lengths.keys().last().copied());
    let mut bars = Vec::new();
    let mut upper = first.unwrap_or(1);
    // Lengths that do not occur are rows as well: a gap is a part of the shape.
    while last.is_some_and(|last| upper <= last) {
        let documents = lengths.get(&upper).map_or(0, |tally| tally.documents);
        let name = if upper <= 2 {
            figure(upper)
        } else {
            format!("{} – {}", figure(upper / 2 + 1), figure(upper))
        };
        bars.push(Bar { name, value: documents, cells: vec![figure(documents), share(documents, total)] });
        let Some(next) = upper.checked_mul(2) else { break };
        upper = next;
    }
    chart(title, &about, &[unit, "documents", "share"], &bars)
}

fn kinds(stats: &CorpusStats) -> String {
    let name = |kind: DocumentKind| match kind {
        DocumentKind::File => "whole file",
        DocumentKind::Items => "run of items",
        DocumentKind::Function => "function and its needs",
        DocumentKind::Class => "type and its needs",
        DocumentKind::Unit => "file and its needs",
        DocumentKind::CommitChain => "commit, before and after",
        DocumentKind::CommitDiff => "commit, as a diff",
    };
    let named = stats.kinds.iter().map(|(kind, tally)| (name(*kind).to_owned(), *tally)).collect();
    parts("What documents cover", "covers", "By bytes of text.", &named)
}

fn projects(stats: &CorpusStats) -> String {
    let mut sorted: Vec<_> = stats.projects.iter().map(|(name, tally)| (name.clone(), *tally)).collect();
    sorted.sort_by(|(a, one), (b, other)| {
        (Reverse((one.tokens, one.bytes)), a).cmp(&(Reverse((other.tokens, other.bytes)), b))
    });
    let mut rest = stats.other_projects;
    for (_, tally) in sorted.drain(sorted.len().min(ROWS)..) {
        rest.projects += 1;
        rest.documents += tally.documents;
        rest.bytes += tally.bytes;
        rest.tokens += tally.tokens;
    }
    if rest.projects > 0 {
        sorted.push((format!("{} others", figure(rest.projects)), rest));
    }
    let by_tokens = stats.tokens > 0;
    let total = if by_tokens { stats.tokens } else { stats.total.bytes };
    let bars: Vec<Bar> = sorted
        .into_iter()
        .map(|(name, tally)| {
            let value = if by_tokens { tally.tokens } else { tally.bytes };
            let size = if by_tokens { human::count(value) } else { human::bytes(value) };
            Bar { name, value, cells: vec![figure(tally.documents), size, share(value, total)] }
        })
        .collect();
    let unit = if by_tokens { "tokens" } else { "text" };
    let about = if by_tokens { "The largest, by tokens." } else { "The largest, by bytes of text." };
    chart("Projects", about, &["project", "documents", unit, "share"], &bars)
}

/// Why files and documents are not there.
fn dropped(manifest: &CorpusManifest) -> String {
    let files = &manifest.files;
    let about = format!("Of {} files that were seen, {} are kept.", figure(files.seen), figure(files.kept));
    let documents =
        |reason: &DropReason| manifest.dropped_documents.get(reason).map_or(0, |one| one.documents);
    let mut reasons: BTreeMap<DropReason, u64> = files.dropped.clone();
    manifest.dropped_documents.keys().for_each(|reason| {
        reasons.entry(*reason).or_default();
    });
    let mut sorted: Vec<(DropReason, u64)> = reasons.into_iter().collect();
    sorted.sort_by_key(|(reason, count)| (Reverse(*count), *reason));
    let bars: Vec<Bar> = sorted
        .into_iter()
        .map(|(reason, count)| Bar {
            name: drop_reason(reason).to_owned(),
            value: count,
            cells: vec![figure(count), share(count, files.seen), figure(documents(&reason))],
        })
        .collect();
    chart("Left out", &about, &["reason", "files", "share", "documents"], &bars)
}

/// What was there more than once.
fn copies(manifest: &CorpusManifest) -> String {
    let found = |reason: DropReason| {
        let files = manifest.files.dropped.get(&reason).copied().unwrap_or(0);
        (files, manifest.dropped_documents.get(&reason).map_or(0, |tally| tally.documents))
    };
    let rows = [
        ("the same text", DropReason::Duplicate),
        ("nearly the same text", DropReason::NearDuplicate),
        ("text of a benchmark", DropReason::Contaminated),
    ];
    let bars: Vec<Bar> = rows
        .into_iter()
        .map(|(name, reason)| {
            let (files, documents) = found(reason);
            Bar { name: name.to_owned(), value: files, cells: vec![figure(files), figure(documents)] }
        })
        .collect();
    let about = "Left out because an earlier document or a benchmark has it.";
    chart("Duplicates", about, &["what", "files", "documents"], &bars)
}

/// What was changed in the texts.
fn cleaned(manifest: &CorpusManifest) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().replace('_', " ");
    let redacted =
        manifest.clean.redacted.iter().map(|(kind, count)| (word(serde_json::json!(kind)), *count));
    let converted = manifest
        .clean
        .converted
        .iter()
        .map(|(from, count)| (format!("from {}", word(serde_json::json!(from))), *count));
    let mut all: Vec<(String, u64)> = redacted.chain(converted).collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if all.is_empty() {
        return String::new();
    }
    let bar = |(name, count): (String, u64)| Bar { name, value: count, cells: vec![figure(count)] };
    let bars: Vec<Bar> = all.into_iter().map(bar).collect();
    chart(
        "Cleaned",
        "Places that were replaced, and files that were converted to UTF-8.",
        &["what", "times"],
        &bars,
    )
}

fn sample(document: &Document, open: bool) -> String {
    let tokens = document.tokens.map(|tokens| format!(" · {} tokens", figure(tokens))).unwrap_or_default();
    let end = shown(&document.text);
    let mut html = format!(
        "<details{}>\n<summary><b>{}</b><small>{} · {} · {}{tokens} · {}</small></summary>\n<pre><code>{}</code></pre>\n",
        if open { " open" } else { "" },
        escaped(&document.path),
        escaped(&document.repo),
        escaped(&document.language),
        escaped(&document.license),
        human::bytes(document.text.len() as u64),
        mark::code(&document.text[..end], &document.language),
    );
    let left = document.text.len() - end;
    if left > 0 {
        html.push_str(&format!("<p>{} more are not shown.</p>\n", human::bytes(left as u64)));
    }
    html.push_str("</details>\n");
    html
}

/// How much of a text is shown: whole lines where lines are not too long.
fn shown(text: &str) -> usize {
    if text.len() <= SHOWN_BYTES {
        return text.len();
    }
    let end = text.floor_char_boundary(SHOWN_BYTES);
    text[..end].rfind('\n').map_or(end, |at| at + 1)
}

/// A count with its thousands apart: `12 345`.
fn figure(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

fn share(part: u64, total: u64) -> String {
    format!("{:.1}%", 100.0 * part as f64 / total.max(1) as f64)
}

#[cfg(test)]
mod tests;
