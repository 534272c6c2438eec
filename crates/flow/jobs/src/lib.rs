//! Jobs: commands that outlive the one who started them.
//!
//! ```text
//! <root>/<project>/logs/<job>-<stamp>.log       what the command says, as it is
//! <root>/<project>/logs/<job>-<stamp>.pid       its process; locked for as long as its keeper lives
//! <root>/<project>/logs/<job>-<stamp>.stop      somebody asked to stop it
//! <root>/<project>/bazel_cache/zephyr_jobs/
//!     <job>-<stamp>.jsonl                       what happened, one JSON object a line
//!     <job>-<stamp>.status                      the status line of this run
//!     <job>.status                              the status line of the newest run
//!     <job>.lock                                held by whoever starts a run or writes what is the newest's
//! ```
//!
//! The names are those that scripts know. A keeper process (this program again) runs the command in a process group of its own, and marks its
//! environment, by which whatever the command leaves behind is found. Nothing is taken from a file's being there: a run is alive while
//! somebody holds the lock of its pid file. When a keeper is killed the command goes on; `health` calls it stale, and `stop` ends it.
//!
//! Not covered: a process that clears its environment and leaves its group; file systems without locks.

mod folder;
mod keep;
mod process;
mod report;
mod run;
mod start;
mod stop;
mod tail;

pub use folder::{Folder, JobError};
pub use keep::keep;
pub use report::{Health, Report};
pub use run::Run;
pub use start::{Request, Started};
pub use tail::{Tail, last_lines};

/// The variable by which a job's processes are found.
pub const MARK: &str = "WOOTZ_JOB";
/// Seconds between two lines that say that a job runs.
pub const HEARTBEAT_SECONDS: u64 = 300;
/// The exit code of a run whose end nobody saw, since its keeper was killed.
pub const UNKNOWN_RC: i32 = 255;
