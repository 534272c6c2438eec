//! One checkpoint by several ranks: each writes its states into the folder that rank 0 has begun, and rank 0 writes the
//! manifest when all have reported, so that a rank that dies on the way leaves a folder with a temporary name and no more.

use crate::layout::{CheckpointError, optimizer_file, step_folder};
use crate::save::{Saved, Snapshot, begin, fill, put_in_place, write_optimizer};
use std::collections::BTreeMap;
use std::path::Path;
use wootz_mesh::{Channel, World};
use wootz_schema::mesh::Part;

/// Writes a checkpoint with the other ranks, who all call this; when it returns, all of it is on the disk.
pub(crate) fn save(world: &World, checkpoints: &Path, snapshot: &Snapshot) -> Result<Saved, CheckpointError> {
    let folder = step_folder(checkpoints, snapshot.state.step);
    match world.leads() {
        true => lead(world, &folder, snapshot),
        false => follow(world, &folder, checkpoints, snapshot),
    }
}

fn lead(world: &World, folder: &Path, snapshot: &Snapshot) -> Result<Saved, CheckpointError> {
    let step = snapshot.state.step;
    let mut told = false;
    let saved = put_in_place(folder, step, |temporary| {
        begin(temporary)?;
        let name = temporary.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        told = true;
        world.from_leader(Channel::Checkpoint, name.into_bytes())?;
        let parts = world.gather_messages(Channel::Checkpoint, &Part { step, file: None })?;
        let mut others = BTreeMap::new();
        for (rank, part) in parts.into_iter().enumerate().skip(1) {
            let entry = part.file.ok_or_else(|| CheckpointError::Part { folder: folder.to_owned(), rank })?;
            others.insert(optimizer_file(rank), entry);
        }
        fill(temporary, snapshot, others)
    });
    if !told {
        // The others wait for the folder: no name is the answer.
        world.from_leader(Channel::Checkpoint, Vec::new())?;
    } else {
        let digest = saved.as_ref().map(|saved| saved.digest.clone()).unwrap_or_default();
        world.from_leader(Channel::Checkpoint, digest.into_bytes())?;
    }
    saved
}

fn follow(
    world: &World,
    folder: &Path,
    checkpoints: &Path,
    snapshot: &Snapshot,
) -> Result<Saved, CheckpointError> {
    let step = snapshot.state.step;
    let of_rank_0 = || CheckpointError::Part { folder: folder.to_owned(), rank: 0 };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let name = text(world.from_leader(Channel::Checkpoint, Vec::new())?);
    if name.is_empty() {
        return Err(of_rank_0());
    }
    let written = write_optimizer(&checkpoints.join(name), world.rank, &snapshot.optimizer);
    let part = Part { step, file: written.as_ref().ok().cloned() };
    world.gather_messages(Channel::Checkpoint, &part)?;
    let digest = text(world.from_leader(Channel::Checkpoint, Vec::new())?);
    let bytes = written?.bytes;
    match digest.is_empty() {
        true => Err(of_rank_0()),
        false => Ok(Saved { step, folder: folder.to_owned(), digest, bytes }),
    }
}
