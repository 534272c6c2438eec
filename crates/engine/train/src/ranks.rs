//! What a run does otherwise when it is one of several ranks.

use crate::pretrain::TrainError;
use crate::run::Run;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::Path;
use wootz_checkpoint::{Latest, Scope, load, load_latest, step_folder};
use wootz_mesh::{Channel, MeshError, World, shard};
use wootz_program::{MemoryUse, Program, Role};
use wootz_schema::metrics::LossSums;
use wootz_stdx::digest;

/// Runs the work of a rank: where it fails the other ranks are told, where another one failed its reason is given.
pub(crate) fn together<T>(
    world: &World,
    work: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    match work() {
        // All ranks stop at the same step, so that none is in want of another.
        ended @ (Ok(_) | Err(TrainError::Cancelled { .. })) => {
            world.leave()?;
            ended
        }
        Err(error) => match world.failure().filter(|_| follows(&error)) {
            Some(failure) => Err(MeshError::Peer(failure).into()),
            None => {
                world.fail(&error);
                Err(error)
            }
        },
    }
}

/// Whether an error may come of another rank's; all others a rank finds by itself.
fn follows(error: &TrainError) -> bool {
    matches!(error, TrainError::Backend(_) | TrainError::Mesh(MeshError::Peer(_)) | TrainError::Checkpoint(_))
}

/// An error unless every rank has the same run before it and the same share of each batch.
pub(crate) fn check(world: &World, run: &Run) -> Result<(), TrainError> {
    if !run.accumulation.is_multiple_of(world.size as u64) {
        return Err(TrainError::Ranks {
            micro_batches: run.accumulation,
            rows: run.sizes.batch,
            tokens: run.sizes.model.sequence_len,
            ranks: world.size,
        });
    }
    Ok(world.agree("configuration or data", &run.fingerprint)?)
}

/// Gradients that are summed together beside the backward pass, bytes: large enough for a link's full speed, and small
/// beside all of them.
const BUCKET_BYTES: usize = 128 << 20;

/// Replaces the programs of an update, which stand at these places in the order in which they run, by this rank's part of
/// them, and appends those that only ranks have: the one that sums the gradients, the one that collects the parameters, and
/// where they `overlap` the first program, a micro-step, once more, with the sums in it. Returns the names of the states that
/// this rank has.
pub(crate) fn split(
    world: &World,
    programs: &mut Vec<Program>,
    update: &[usize],
    overlap: bool,
) -> Result<BTreeSet<String>, TrainError> {
    let text: String = programs.iter().map(Program::to_string).collect();
    let own: Vec<&Program> = update.iter().map(|i| &programs[*i]).collect();
    let readers = programs.iter().enumerate().filter(|(i, _)| !update.contains(i));
    let readers: Vec<&Program> = readers.map(|(_, program)| program).collect();
    let mut sharded = shard(&own, &readers, world.rank, world.size)?;
    let digest = digest::sha256(format!("{text}{:?}{overlap}", sharded.owners).as_bytes());
    world.agree("program", &digest)?;
    let states =
        sharded.update.iter().flat_map(|part| part.of_role(Role::State).into_keys()).map(str::to_owned);
    let states = states.collect();
    for (at, part) in update.iter().zip(std::mem::take(&mut sharded.update)) {
        programs[*at] = part;
    }
    let last = overlap.then(|| sharded.overlapped(&programs[0], BUCKET_BYTES));
    programs.extend([sharded.reduce, sharded.collect].into_iter().chain(last));
    Ok(states)
}

/// The memory of the rank that holds the most.
pub(crate) fn largest(world: &World, mine: MemoryUse) -> Result<MemoryUse, TrainError> {
    let MemoryUse { persistent_bytes, arena_bytes } = mine;
    let all = world.gather_messages(Channel::Loop, &(persistent_bytes, arena_bytes))?;
    let most = all.into_iter().max_by_key(|(persistent, arena)| persistent + arena);
    Ok(most.map_or(mine, |(persistent_bytes, arena_bytes)| MemoryUse { persistent_bytes, arena_bytes }))
}

/// The newest whole checkpoint as rank 0 finds it; the others read the same one.
pub(crate) fn latest(world: &World, checkpoints: &Path) -> Result<Latest, TrainError> {
    if world.leads() {
        let latest = load_latest(checkpoints, Scope::Everything)?;
        let step = latest.loaded.as_ref().map(|loaded| loaded.snapshot.state.step);
        share(world, &step)?;
        return Ok(latest);
    }
    let step: Option<u64> = share(world, &None)?;
    let loaded = step.map(|step| load(&step_folder(checkpoints, step), Scope::Everything)).transpose()?;
    Ok(Latest { loaded, skipped: Vec::new() })
}

/// The sums of all ranks, added in their order.
pub(crate) fn sum(world: &World, mine: LossSums) -> Result<LossSums, TrainError> {
    if world.size == 1 {
        return Ok(mine);
    }
    let mut all = LossSums::default();
    world.gather_messages(Channel::Loop, &mine)?.iter().for_each(|sums| all.add_all(sums));
    Ok(all)
}

/// Does work on rank 0 only, and gives what it came to to all.
pub(crate) fn lead<T: Serialize + DeserializeOwned>(
    world: &World,
    work: impl FnOnce() -> Result<T, TrainError>,
) -> Result<T, TrainError> {
    match (world.size, world.leads()) {
        (1, _) => work(),
        (_, true) => share(world, &Some(work()?)).and_then(given),
        (_, false) => share(world, &None).and_then(given),
    }
}

fn given<T>(shared: Option<T>) -> Result<T, TrainError> {
    shared.ok_or_else(|| MeshError::Message("rank 0 sent nothing".to_owned()).into())
}

/// What rank 0 says.
fn share<T: Serialize + DeserializeOwned>(world: &World, mine: &T) -> Result<T, TrainError> {
    let damage = |error: serde_json::Error| MeshError::Message(error.to_string());
    let bytes = serde_json::to_vec(mine).map_err(damage)?;
    Ok(serde_json::from_slice(&world.from_leader(Channel::Loop, bytes)?).map_err(damage)?)
}
