//! What a long command says while it works: values that a terminal draws as bars and a pipe prints as lines.

use crate::metrics::TrainStep;

/// One event of progress.
#[derive(Debug, Clone)]
pub enum Progress<'a> {
    /// A task begins; `total` is in `unit`s where it is known.
    Begin {
        /// What is done, e.g. `tokenizer: merges`.
        task: &'a str,
        /// How many units the task has.
        total: Option<u64>,
        /// Name of one unit, e.g. `files`, `steps`, `bytes`.
        unit: &'a str,
    },
    /// The current task has done this many units.
    Advance {
        /// Units done since the task began.
        done: u64,
    },
    /// The current task, whose units are files, has done these.
    Files(&'a FilesDone),
    /// One optimizer step of a training run is done.
    Train(&'a TrainStep),
    /// A sentence for people.
    Message(&'a str),
    /// The current task is done.
    End,
}

/// Files that became documents since the task began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FilesDone {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of all files of the task.
    pub total_bytes: u64,
    /// Documents so far.
    pub documents: u64,
}

/// Receives progress; implemented by the terminal, the runner's log and tests.
pub trait Observe: Send + Sync {
    /// Takes one event. Must not block for long and must not fail.
    fn observe(&self, progress: Progress<'_>);
}

/// Ignores everything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observe for Silent {
    fn observe(&self, _: Progress<'_>) {}
}
