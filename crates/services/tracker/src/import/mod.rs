//! Issues that other programs wrote, taken over into the store: beads' JSON lines of every era, the lines of another store, tk's
//! `.tickets`, GitHub's issues as JSON.
//!
//! Every source becomes a list of records with beads' keys. A record is then given the shape that a line of the store must have so that
//! `ba` can read it; what a value was before stands under [`AS_IMPORTED`] in the same line, so that nothing is lost and an export gives it
//! back. Keys that nobody knows stay as they are. Under a new ID an issue remembers its old one ([`ORIGINAL_ID`]), by which a second import
//! finds it again. Issues of the store are never overwritten; only their list `blocks` learns who waits for them.
//!
//! The role decides what counts as an error: [`Role::Ba`] refuses what `ba` refuses and says so with its words, [`Role::Wootz`] refuses what has
//! no ID or no title or cannot be read at all. Mentions of other issues in texts are not rewritten.

mod ba;
mod batch;
mod github;
mod report;
mod shape;
mod source;
mod tickets;

pub(crate) use batch::is_blocks;
pub use report::{Place, Remark, Report};
pub(crate) use shape::mend;
pub use source::{Entry, entries, entries_of};

use crate::record::Record;
use crate::store::{Config, Issues, Store, TrackerError};
use jiff::Timestamp;
use std::path::Path;

/// The key under which an issue keeps the ID that it had where it came from.
pub const ORIGINAL_ID: &str = "original_id";

/// The key under which an issue keeps where it came from, and its values that the store has in another form.
pub const AS_IMPORTED: &str = "as_imported";

/// Whose rules an import keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Those of `ba`: three statuses, four types, its error lines.
    Ba,
    /// All that can be read is taken.
    Wootz,
}

/// How to import.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whose rules.
    pub role: Role,
    /// Whether issues keep their IDs.
    pub keep_ids: bool,
    /// Whether one refused line refuses all.
    pub strict: bool,
}

/// Imports a file, or a folder of tickets.
pub fn import(store: &Store, path: &Path, options: Options, now: Timestamp) -> Result<Report, TrackerError> {
    let entries = entries(path)?;
    let config = store.config()?;
    store.change(|issues| {
        let (mut report, others) = take(issues, &config, entries, options, now)?;
        // Before the issues: what a crash leaves between the two is found again by the next import.
        report.records = store.add_records(&others)?;
        Ok(report)
    })
}

/// Puts what a source holds into issues; records that are no issues come back beside the report.
pub fn take(
    issues: &mut Issues,
    config: &Config,
    entries: Vec<Entry>,
    options: Options,
    now: Timestamp,
) -> Result<(Report, Vec<Record>), TrackerError> {
    issues.describe("import", None);
    let (taken, others) = batch::Batch::new(issues, config, options, now)?.run(entries)?;
    let report = &taken.report;
    if options.strict && report.refused > 0 {
        let mut message = format!("{} lines were refused, so nothing is imported:", report.refused);
        message.extend(report.errors.iter().map(|error| format!("\n  {error}")));
        let hint = Some("without --strict the others are imported".to_owned());
        return Err(TrackerError::Invalid { message, hint });
    }
    let report = taken.put(issues);
    Ok((report, others))
}
