//! Cleaning: what a corpus leaves out or replaces so that it can be trusted.
//!
//! A [`Cleaner`] is shared by all threads and holds no state: it judges a file by its path, its bytes become clean text,
//! and each document is sketched and compared with the benchmarks. What depends on order, the search for near duplicates,
//! is a [`NearIndex`] in the one place that takes documents in order.

mod benchmark;
mod encoding;
mod generated;
mod near;
mod path;
mod redact;
mod shape;

use crate::build::CorpusError;
use benchmark::Benchmarks;
pub(crate) use encoding::decode;
pub(crate) use near::{NearIndex, Sketch};
pub(crate) use redact::Counts as RedactionCounts;
use redact::Redactor;
use shape::Shape;
use std::borrow::Cow;
use wootz_schema::clean::{CleanOptions, Encoding, FileFilter};
use wootz_schema::corpus::DropReason;

/// Judges files and documents.
pub(crate) struct Cleaner {
    options: CleanOptions,
    benchmarks: Option<Benchmarks>,
    redactor: Redactor,
}

/// A file, cleaned.
#[derive(Debug)]
pub(crate) struct Cleaned {
    /// UTF-8 without what was redacted.
    pub text: String,
    /// What happened to it on the way.
    pub changes: Changes,
}

/// What cleaning did to a file.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// What the file was converted from.
    pub converted: Option<Encoding>,
    /// What was replaced.
    pub redacted: RedactionCounts,
}

/// What is known of a document before its turn comes.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// For the search for near duplicates; absent where there is none, or the document is too short.
    pub sketch: Option<Sketch>,
    /// The benchmark's item with which it shares text.
    pub benchmark: Option<String>,
}

impl Cleaner {
    /// Reads the benchmarks and prepares the searches.
    pub fn new(options: &CleanOptions) -> Result<Cleaner, CorpusError> {
        let benchmarks =
            (!options.benchmarks.is_empty()).then(|| Benchmarks::read(&options.benchmarks)).transpose()?;
        Ok(Cleaner { options: options.clone(), benchmarks, redactor: Redactor::new() })
    }

    /// Why a file is left out, as far as its path below the project tells.
    pub fn reason_by_path(&self, path: &str) -> Option<DropReason> {
        if self.drops(FileFilter::Vendored) && path::is_vendored(path) {
            Some(DropReason::Vendored)
        } else if self.options.drop_tests && path::is_test(path) {
            Some(DropReason::Test)
        } else if self.drops(FileFilter::Generated) && path::is_generated(path) {
            Some(DropReason::Generated)
        } else if self.drops(FileFilter::Minified) && path::is_minified(path) {
            Some(DropReason::Minified)
        } else {
            None
        }
    }

    /// A file's text, as [`decode`] gave it, without what is redacted, or why the file is left out; `language` by name.
    pub fn clean(
        &self,
        text: String,
        converted: Option<Encoding>,
        language: &str,
    ) -> Result<Cleaned, DropReason> {
        if text.trim().is_empty() {
            return Err(DropReason::Empty);
        }
        if self.drops(FileFilter::Generated) && generated::says_generated(&text) {
            return Err(DropReason::Generated);
        }
        if self.drops(FileFilter::Minified) || self.drops(FileFilter::Data) {
            match shape::shape(&text, language) {
                Shape::Data if self.drops(FileFilter::Data) => return Err(DropReason::Data),
                Shape::Minified if self.drops(FileFilter::Minified) => return Err(DropReason::Minified),
                _ => {}
            }
        }
        let found = if self.options.redact { self.redactor.redact(&text) } else { None };
        let (text, redacted) = found.unwrap_or_else(|| (text, RedactionCounts::new()));
        Ok(Cleaned { text, changes: Changes { converted, redacted } })
    }

    /// A text without what is redacted; what was is added to `counts`.
    pub fn redact<'a>(&self, text: &'a str, counts: Option<&mut RedactionCounts>) -> Cow<'a, str> {
        let found = if self.options.redact { self.redactor.redact(text) } else { None };
        let Some((text, redacted)) = found else { return Cow::Borrowed(text) };
        if let Some(counts) = counts {
            redacted.into_iter().for_each(|(kind, count)| *counts.entry(kind).or_default() += count);
        }
        Cow::Owned(text)
    }

    /// Looks at a document; what comes of it depends on the documents before.
    pub fn judge(&self, text: &str) -> Judged {
        self.judge_among(text, 0)
    }

    /// The same where only documents of one group can be near duplicates of each other.
    pub fn judge_among(&self, text: &str, group: u64) -> Judged {
        Judged {
            sketch: if self.options.near_duplicates { near::sketch(text, group) } else { None },
            benchmark: self.benchmarks.as_ref().and_then(|items| items.item_in(text)).map(str::to_owned),
        }
    }

    /// A document's sketch again, as [`Cleaner::judge`] made it.
    pub fn sketch(text: &str) -> Option<Sketch> {
        near::sketch(text, 0)
    }

    fn drops(&self, filter: FileFilter) -> bool {
        !self.options.keep.contains(&filter)
    }
}
