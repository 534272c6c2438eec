//! Source trees become documents: walk, filter, license, dedup, deterministic order.
//!
//! [`build`] writes a corpus folder: the documents and a manifest that accounts for every file that was seen.
//! Its bytes depend on the sources and the options, never on threads, hash order or the machine's git settings.
//!
//! [`build_shard`] makes a share of it, on any machine, and [`merge`] makes of all shares the corpus that [`build`] writes.
//!
//! [`audit()`] compiles and parses a sample of the documents, beside the files they were made from.
//!
//! [`commits`] makes the same of what changed in git repositories.

mod audit;
mod build;
mod clean;
mod commits;
pub mod documents;
mod folders;
mod license;
mod order;
mod read;
mod records;
mod sink;
mod stats;
mod walk;

pub use audit::{AuditOptions, audit};
pub use build::{CorpusError, build, build_shard, merge};
pub use commits::{CommitsError, commits};
pub use license::{Allowed, Denied, canonical_expression};
pub use read::{Documents, read_documents, read_manifest};
pub use stats::{Survey, stats, survey};
pub use walk::{InputFile, file_list, fingerprint};
