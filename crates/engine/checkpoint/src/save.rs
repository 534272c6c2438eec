//! Writing one checkpoint: all of it under a temporary name, then one rename.
//!
//! The same snapshot always gives the same bytes: tensors in a fixed order, and no clock anywhere.

use crate::layout::{CheckpointError, MANIFEST, MODEL, STATE, optimizer_file, step_folder};
use crate::load::{digest, digest_of};
use crate::tensors::{Tensors, write_tensors};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use wootz_schema::checkpoint::{FileEntry, Manifest, TrainState, VERSION};
use wootz_schema::model::ModelConfig;
use wootz_stdx::digest::sha256;
use wootz_stdx::file::{rename_durable, temporary_sibling};

/// Everything a run needs to go on, and a model needs to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The model.
    pub model: ModelConfig,
    /// Parameters by their ecosystem names; the order does not matter.
    pub parameters: Tensors,
    /// Optimizer state by the caller's names; the order does not matter.
    pub optimizer: Tensors,
    /// The loop's state; its step names the folder.
    pub state: TrainState,
}

/// A checkpoint that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Updates made.
    pub step: u64,
    /// The step folder.
    pub folder: PathBuf,
    /// Digest of its content, see [`digest`].
    pub digest: String,
    /// Bytes of all its files but the manifest.
    pub bytes: u64,
}

/// Writes a checkpoint below `checkpoints`; when this returns, it is whole and on the disk.
///
/// A folder of the same step is replaced unless it holds the same content already. On an error nothing of
/// the new checkpoint is left, and the others are as they were.
pub fn save(checkpoints: &Path, snapshot: &Snapshot) -> Result<Saved, CheckpointError> {
    let step = snapshot.state.step;
    let folder = step_folder(checkpoints, step);
    put_in_place(&folder, step, |temporary| {
        begin(temporary)?;
        fill(temporary, snapshot, BTreeMap::new())
    })
}

/// Fills a folder under a temporary name and gives it its own; removes it after an error.
pub(crate) fn put_in_place(
    folder: &Path,
    step: u64,
    fill: impl FnOnce(&Path) -> Result<Manifest, CheckpointError>,
) -> Result<Saved, CheckpointError> {
    let temporary = temporary_sibling(folder);
    let saved = fill(&temporary).and_then(|manifest| {
        let digest = digest_of(&manifest.files);
        move_into_place(&temporary, folder, &digest)?;
        let bytes = manifest.files.values().map(|file| file.bytes).sum();
        Ok(Saved { step, folder: folder.to_owned(), digest, bytes })
    });
    if saved.is_err() {
        // The first error is the one to report, and the space is needed back; the next saver sweeps again.
        let _ = fs::remove_dir_all(&temporary);
    }
    saved
}

/// Makes the folders that [`fill`] and the other ranks write into.
pub(crate) fn begin(folder: &Path) -> Result<(), CheckpointError> {
    let optimizer = optimizer_folder(folder);
    fs::create_dir_all(&optimizer).map_err(write_error(&optimizer))
}

/// Writes rank 0's files, and the manifest with the files of the others.
pub(crate) fn fill(
    folder: &Path,
    snapshot: &Snapshot,
    others: BTreeMap<String, FileEntry>,
) -> Result<Manifest, CheckpointError> {
    let mut files = others;
    files.extend([
        (MODEL.to_owned(), write_tensors(&folder.join(MODEL), &snapshot.parameters)?),
        (optimizer_file(0), write_optimizer(folder, 0, &snapshot.optimizer)?),
        (STATE.to_owned(), write_json(&folder.join(STATE), &snapshot.state)?),
    ]);
    let manifest =
        Manifest { version: VERSION, step: snapshot.state.step, model: snapshot.model.clone(), files };
    write_json(&folder.join(MANIFEST), &manifest)?;

    // The files' names are durable only when their folders are.
    for folder in [&optimizer_folder(folder), folder] {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(write_error(folder))?;
    }
    Ok(manifest)
}

/// Writes a rank's part of the optimizer's states.
pub(crate) fn write_optimizer(
    folder: &Path,
    rank: usize,
    states: &Tensors,
) -> Result<FileEntry, CheckpointError> {
    write_tensors(&folder.join(optimizer_file(rank)), states)
}

fn optimizer_folder(folder: &Path) -> PathBuf {
    let file = folder.join(optimizer_file(0));
    file.parent().expect("the optimizer's file has a folder because its name does").to_owned()
}

/// Renames the finished folder to its name, which may be taken when a run went back and reached the step again.
fn move_into_place(temporary: &Path, folder: &Path, new_digest: &str) -> Result<(), CheckpointError> {
    if !folder.exists() {
        return rename_durable(temporary, folder).map_err(write_error(folder));
    }
    if digest(folder).is_ok_and(|old| old == new_digest) {
        return fs::remove_dir_all(temporary).map_err(write_error(temporary));
    }
    // Not one atomic step: a kill between the two renames loses the old folder, which is damaged or of
    // another run; the checkpoints of other steps stay.
    let aside = temporary_sibling(&folder.with_extension("old"));
    fs::rename(folder, &aside).map_err(write_error(folder))?;
    rename_durable(temporary, folder).map_err(write_error(folder))?;
    fs::remove_dir_all(&aside).map_err(write_error(&aside))
}

fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<FileEntry, CheckpointError> {
    let mut text = serde_json::to_string_pretty(value).expect("it is JSON because its keys are strings");
    text.push('\n');
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(write_error(path))?;
    Ok(FileEntry { bytes: text.len() as u64, sha256: sha256(text.as_bytes()) })
}

pub(crate) fn write_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    |error| CheckpointError::Write { path, error }
}
