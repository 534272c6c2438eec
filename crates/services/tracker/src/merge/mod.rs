//! Merging files of issues: record by record, field by field, with the version that both sides began with.
//!
//! A line that one side left as it was is taken from the other byte for byte, and so is a whole file. Whatever the order of the sides, and
//! however often a result is merged again, the outcome is the same: every rule is a set operation or the greater of two.
//! What an issue says twice, because both sides changed the same text, is kept in its list `conflicts`: nothing is lost, and
//! nobody's later clock wins in silence.
//!
//! Not covered: telling a renamed ID from a deletion and a new issue.

mod conflict;
mod driver;
mod field;
mod file;
mod git;
mod list;
mod markers;
mod mirror;
mod record;
mod state;
mod value;

pub use conflict::{CONFLICTS, Conflict, conflicts};
pub use driver::{drive, exit_status};
pub use file::{Merged, Source, merge};
pub use git::{Installed, driver_command, install, uninstall};
pub(crate) use markers::is_marker;
pub use markers::mend;
