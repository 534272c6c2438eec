//! Processes that outlive the engine that asked for them.
//!
//! ```text
//! engine ── orders (its pipe) ──▶ keeper ── starts, reads, ends ──▶ processes, each leading a group
//!    ◀───── answers (its pipe) ──    │
//!                                    ▼
//!                <run>/keepers/<n>.jsonl: what was spawned, and how it ended
//! ```
//!
//! One keeper serves a run: it starts processes in groups of their own, writes what they say to files as it comes, and puts their ends
//! on the disk before it tells of them. When the engine dies its pipe ends; the keeper stays until its last process has ended.
//! The next engine of the run reads the journals: what has ended is not run again, what goes on is waited for, and of what a dead keeper
//! left nothing stays alive.
//!
//! Not covered: a process that clears its environment and leaves its group is found by nobody.

mod group;
mod journal;
mod keep;
mod lines;
mod local;

pub use journal::is_alive;
pub use keep::keep;
pub use local::Local;
