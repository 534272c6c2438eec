//! What a home folder keeps: content-addressed artifacts, fingerprints of sources, SQLite databases.
//!
//! ```text
//! artifacts/<key>/   finished outputs, each with its manifest; never changed once they are there
//! work/<key>/        outputs in the making; survive a kill
//! locks/<key>        held by the process that works on <key>
//! cache.db           digests of source files by size, time and inode
//! ```

mod artifact;
pub mod database;
mod discard;
mod error;
mod fingerprint;

pub use artifact::{Artifact, Lock, Lookup, Store, Work, lock};
pub use error::StoreError;
pub use fingerprint::{Fingerprint, Fingerprints};
