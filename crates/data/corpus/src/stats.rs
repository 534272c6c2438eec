//! A corpus, counted from its documents: what the manifest says can so be checked.

use crate::build::CorpusError;
use crate::read::read_documents;
use std::path::Path;
use wootz_schema::corpus::CorpusStats;
use wootz_schema::document::DocumentKind;

/// Counts the documents of a corpus folder or documents file.
pub fn stats(path: &Path) -> Result<CorpusStats, CorpusError> {
    let mut stats = CorpusStats::default();
    let mut sizes = Vec::new();
    for document in read_documents(path)? {
        let document = document?;
        let bytes = document.text.len() as u64;
        sizes.push(bytes);
        stats.total.add(bytes);
        if document.kind == DocumentKind::File {
            stats.whole_files.add(bytes);
        }
        stats.languages.entry(document.language).or_default().add(bytes);
        stats.licenses.entry(document.license).or_default().add(bytes);
        stats.projects.entry(document.repo).or_default().add(bytes);
        stats.sizes.entry(bytes.next_power_of_two()).or_default().add(bytes);
    }
    sizes.sort_unstable();
    let at =
        |percent: usize| sizes.get((sizes.len().saturating_sub(1)) * percent / 100).copied().unwrap_or(0);
    stats.size_quantiles = [at(0), at(50), at(99), at(100)];
    Ok(stats)
}
