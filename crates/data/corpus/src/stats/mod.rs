//! A corpus, counted from its documents: what the manifest says can so be checked, and a few documents to look at.
//!
//! Documents pass one by one. Memory holds the counts and the chosen documents: how often each length occurs, which is
//! never more than the longest document has bytes, and projects by name up to a limit.

mod lengths;
mod projects;
mod sample;

use crate::build::CorpusError;
use crate::read::{read_documents, read_manifest};
use lengths::Lengths;
use projects::Projects;
use sample::Sample;
use std::path::Path;
use wootz_schema::corpus::CorpusStats;
use wootz_schema::document::{Document, DocumentKind};

/// A corpus, counted, and some of its documents.
#[derive(Debug, Clone)]
pub struct Survey {
    /// The counts.
    pub stats: CorpusStats,
    /// The documents that were chosen, in the order of the corpus.
    pub samples: Vec<Document>,
}

/// Counts the documents of a corpus folder or documents file.
pub fn stats(path: &Path) -> Result<CorpusStats, CorpusError> {
    survey(path, 0, 0).map(|survey| survey.stats)
}

/// Counts the documents of a corpus folder or documents file, and chooses `samples` of them at random, by `seed` alone.
pub fn survey(path: &Path, samples: usize, seed: u64) -> Result<Survey, CorpusError> {
    let mut stats = CorpusStats::default();
    if path.is_dir() {
        stats.manifest = Some(read_manifest(path)?);
    }
    let (mut sizes, mut tokens) = (Lengths::default(), Lengths::default());
    let (mut projects, mut sample) = (Projects::default(), Sample::new(samples, seed));
    for document in read_documents(path)? {
        let document = document?;
        let bytes = document.text.len() as u64;
        sizes.add(bytes);
        stats.total.add(bytes);
        stats.sizes.entry(bytes.next_power_of_two()).or_default().add(bytes);
        stats.kinds.entry(document.kind).or_default().add(bytes);
        if document.kind == DocumentKind::File {
            stats.whole_files.add(bytes);
        }
        if let Some(count) = document.tokens {
            tokens.add(count);
            stats.counted.add(bytes);
            stats.tokens += count;
            stats.token_counts.entry(count.next_power_of_two()).or_default().add(bytes);
        }
        projects.add(&document.repo, bytes, document.tokens.unwrap_or(0));
        count(&mut stats.languages, &document.language, bytes);
        count(&mut stats.licenses, &document.license, bytes);
        sample.offer(document);
    }
    stats.size_quantiles = sizes.quantiles();
    stats.token_quantiles = tokens.quantiles();
    (stats.projects, stats.other_projects) = projects.finish();
    Ok(Survey { stats, samples: sample.finish() })
}

/// Counts under a name, which is copied the first time only.
fn count(
    parts: &mut std::collections::BTreeMap<String, wootz_schema::corpus::Tally>,
    name: &str,
    bytes: u64,
) {
    match parts.get_mut(name) {
        Some(tally) => tally.add(bytes),
        None => parts.entry(name.to_owned()).or_default().add(bytes),
    }
}
