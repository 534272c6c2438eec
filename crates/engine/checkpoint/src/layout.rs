//! Names of a checkpoint's folders and files, and what can be wrong with them.
//!
//! ```text
//! checkpoints/
//!   step-00001200/
//!     model.safetensors               parameters by their ecosystem names
//!     optimizer/rank-0.safetensors    optimizer state by the caller's names; of several ranks, one file each
//!     state.json                      wootz_schema::checkpoint::TrainState
//!     manifest.json                   size and SHA-256 of all above
//! ```
//! A step folder is filled under a temporary name and renamed when all of it is on the disk, so a folder with
//! a step's name is whole unless something damaged it later.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::human;

pub(crate) const MODEL: &str = "model.safetensors";
/// Beginning of the names of the optimizer's files.
pub(crate) const OPTIMIZER: &str = "optimizer/rank-";
pub(crate) const STATE: &str = "state.json";
pub(crate) const MANIFEST: &str = "manifest.json";

const STEP_PREFIX: &str = "step-";
const TEMPORARY_MARK: &str = ".tmp-";

/// The optimizer's file of a rank.
pub(crate) fn optimizer_file(rank: usize) -> String {
    format!("{OPTIMIZER}{rank}.safetensors")
}

/// The folder of a step below the folder of all checkpoints: `step-00001200`.
pub fn step_folder(checkpoints: &Path, step: u64) -> PathBuf {
    checkpoints.join(format!("{STEP_PREFIX}{step:08}"))
}

/// Every step folder below `checkpoints`, oldest step first; empty when the folder does not exist.
///
/// Folders are listed by name alone: whether one can be read is for [`crate::load`] to say.
pub fn step_folders(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
    let mut steps: Vec<(u64, PathBuf)> = names_below(checkpoints)?
        .into_iter()
        .filter_map(|name| Some((step_of_name(&name)?, checkpoints.join(name))))
        .collect();
    steps.sort();
    Ok(steps)
}

/// The newest step folder that has a manifest, without reading it.
pub fn newest_step_folder(checkpoints: &Path) -> Result<Option<PathBuf>, CheckpointError> {
    let steps = step_folders(checkpoints)?;
    Ok(steps.into_iter().rev().map(|(_, folder)| folder).find(|folder| folder.join(MANIFEST).is_file()))
}

/// Removes what writers that were killed left behind: folders with a temporary name.
pub(crate) fn sweep_temporaries(checkpoints: &Path) -> Result<(), CheckpointError> {
    for name in names_below(checkpoints)? {
        if name.starts_with(&format!(".{STEP_PREFIX}")) && name.contains(TEMPORARY_MARK) {
            let path = checkpoints.join(name);
            fs::remove_dir_all(&path).map_err(|error| CheckpointError::Write { path, error })?;
        }
    }
    Ok(())
}

fn names_below(folder: &Path) -> Result<Vec<String>, CheckpointError> {
    let read = |error| CheckpointError::Read { path: folder.to_owned(), error };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(read(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.map_err(read)?.file_name().into_string());
    }
    Ok(names)
}

/// The step in a folder's name; the canonical spelling only, so that no step has two folders.
fn step_of_name(name: &str) -> Option<u64> {
    let step = name.strip_prefix(STEP_PREFIX)?.parse().ok()?;
    (name == format!("{STEP_PREFIX}{step:08}")).then_some(step)
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// A file or folder could not be written.
    #[error("write {}: {error}", path.display())]
    Write {
        /// What was being written.
        path: PathBuf,
        /// The cause; part of the message.
        error: io::Error,
    },
    /// A file or folder could not be read.
    #[error("read {}: {error}", path.display())]
    Read {
        /// What was being read.
        path: PathBuf,
        /// The cause; part of the message.
        error: io::Error,
    },
    /// The folder has no manifest: it was never finished, or is no checkpoint.
    #[error("read {}: no {MANIFEST} in it", folder.display())]
    NoManifest {
        /// The step folder.
        folder: PathBuf,
    },
    /// The folder is whole, and something else: a corpus, a dataset.
    #[error("read {}: its {MANIFEST} is not that of a checkpoint", folder.display())]
    OtherManifest {
        /// The folder.
        folder: PathBuf,
    },
    /// A file that the manifest names is not there.
    #[error("read {}: the manifest names it, but it is missing", path.display())]
    MissingFile {
        /// The file.
        path: PathBuf,
    },
    /// A file is shorter or longer than when it was written.
    #[error("read {}: {actual} bytes where the manifest says {expected} ({})", path.display(), size_words(*.expected, *.actual))]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Bytes by the manifest.
        expected: u64,
        /// Bytes on the disk.
        actual: u64,
    },
    /// A file's bytes are not those that were written.
    #[error("read {}: its SHA-256 is {actual}, the manifest says {expected}", path.display())]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// Digest by the manifest.
        expected: String,
        /// Digest of the bytes on the disk.
        actual: String,
    },
    /// The format is another version's.
    #[error("read {}: format version {actual}, this wootz reads version {expected}", path.display())]
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// The version this build reads.
        expected: u32,
        /// The version of the file.
        actual: u64,
    },
    /// A file that is not what its name says.
    #[error("read {}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another rank could not write its part.
    #[error("write {}: rank {rank} could not write its part", folder.display())]
    Part {
        /// The step folder.
        folder: PathBuf,
        /// The rank.
        rank: usize,
    },
    /// The other ranks are gone.
    #[error(transparent)]
    Ranks(#[from] wootz_mesh::MeshError),
    /// Two tensors of one snapshot have the same name.
    #[error("write {}: two tensors are named {name}", path.display())]
    DuplicateTensor {
        /// The file that would hold them.
        path: PathBuf,
        /// Their name.
        name: String,
    },
}

impl CheckpointError {
    /// Whether the checkpoint itself is damaged, so that an older one may take its place; false for trouble of
    /// the machine, which an older one would only hide.
    pub fn is_damage(&self) -> bool {
        self.exit() == ExitCode::Usage
    }
}

impl Diagnose for CheckpointError {
    fn exit(&self) -> ExitCode {
        use CheckpointError::*;
        match self {
            // Whatever keeps a checkpoint from being written, the caller's input is not it.
            Write { .. } => ExitCode::Environment,
            Read { error, .. } => exit_of_io(error),
            Part { .. } => ExitCode::Environment,
            Ranks(error) => error.exit(),
            DuplicateTensor { .. } => ExitCode::Bug,
            NoManifest { .. } | OtherManifest { .. } => ExitCode::Usage,
            MissingFile { .. } | WrongSize { .. } | WrongDigest { .. } => ExitCode::Usage,
            WrongVersion { .. } | Malformed { .. } => ExitCode::Usage,
        }
    }
    fn hint(&self) -> Option<String> {
        use CheckpointError::*;
        let hint = match self {
            Write { error, .. } | Read { error, .. } => return hint_of_io(error),
            NoManifest { .. } | OtherManifest { .. } => {
                "name the output folder of a training run, or a folder step-NNNNNNNN in it"
            }
            MissingFile { .. } | WrongSize { .. } | WrongDigest { .. } | Malformed { .. } => {
                "the checkpoint is damaged: use an older step folder, or delete this one and train on from the one before"
            }
            WrongVersion { .. } => "read it with the wootz that wrote it",
            Part { .. } => "look at that rank's output; the output folder must be one that all hosts share",
            Ranks(error) => return error.hint(),
            DuplicateTensor { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

fn size_words(expected: u64, actual: u64) -> String {
    match actual < expected {
        true => format!("truncated by {}", human::bytes(expected - actual)),
        false => format!("{} too long", human::bytes(actual - expected)),
    }
}
