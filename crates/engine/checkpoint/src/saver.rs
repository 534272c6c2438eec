//! Saving behind the loop: one thread writes while training goes on, and old checkpoints go when a new one is safe.

use crate::layout::{CheckpointError, step_folders, sweep_temporaries};
use crate::load::looks_whole;
use crate::save::{Saved, Snapshot, save, write_error};
use crate::together;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use wootz_mesh::World;
use wootz_stdx::file::temporary_sibling;

/// Which checkpoints stay when a newer one is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// How many of the newest stay, the new one among them.
    pub keep_last: NonZeroUsize,
    /// Multiples of this step stay for good, whatever their age.
    pub keep_every: Option<u64>,
}

/// Saves snapshots in the background, at most one at a time.
///
/// Dropping it waits for the save in flight but loses its error; [`Saver::finish`] does not.
pub struct Saver {
    world: World,
    checkpoints: PathBuf,
    retention: Retention,
    in_flight: Option<JoinHandle<Result<Saved, CheckpointError>>>,
    last: Option<Saved>,
}

impl Saver {
    /// A saver of checkpoints below this folder, which is made if need be. What a killed saver left half
    /// written is removed: a folder has one saver at a time.
    pub fn new(checkpoints: &Path, retention: Retention) -> Result<Saver, CheckpointError> {
        Saver::among(&World::single(), checkpoints, retention)
    }

    /// The same of one of several ranks, which write a checkpoint together: every rank the states it has, rank 0 the rest.
    /// All ranks save the same steps.
    pub fn among(world: &World, checkpoints: &Path, retention: Retention) -> Result<Saver, CheckpointError> {
        if world.leads() {
            fs::create_dir_all(checkpoints).map_err(write_error(checkpoints))?;
            sweep_temporaries(checkpoints)?;
        }
        Ok(Saver {
            world: world.clone(),
            checkpoints: checkpoints.to_owned(),
            retention,
            in_flight: None,
            last: None,
        })
    }

    /// Starts to save a snapshot. Waits for the save before it, whose error it returns instead of starting.
    pub fn save(&mut self, snapshot: Snapshot) -> Result<(), CheckpointError> {
        self.wait()?;
        let (world, checkpoints, retention) = (self.world.clone(), self.checkpoints.clone(), self.retention);
        let work = move || {
            let saved = match world.size {
                1 => save(&checkpoints, &snapshot)?,
                _ => together::save(&world, &checkpoints, &snapshot)?,
            };
            drop(snapshot);
            if world.leads() {
                prune(&checkpoints, &saved, retention)?;
            }
            Ok(saved)
        };
        let thread = std::thread::Builder::new().name("checkpoint".to_owned());
        self.in_flight = Some(thread.spawn(work).map_err(write_error(&self.checkpoints))?);
        Ok(())
    }

    /// Waits for the save in flight and returns the last checkpoint that this saver wrote.
    pub fn finish(mut self) -> Result<Option<Saved>, CheckpointError> {
        self.wait()?;
        Ok(self.last.take())
    }

    fn wait(&mut self) -> Result<(), CheckpointError> {
        if let Some(thread) = self.in_flight.take() {
            self.last = Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        if let Some(thread) = self.in_flight.take() {
            // Nobody is left to hear of an error here; a half-written folder has a temporary name.
            let _ = thread.join();
        }
    }
}

/// Removes older checkpoints than the one just saved. Newer folders are of a run that was rewound, and are
/// replaced when the loop reaches their steps.
fn prune(checkpoints: &Path, saved: &Saved, retention: Retention) -> Result<(), CheckpointError> {
    let older = step_folders(checkpoints)?.into_iter().rev().filter(|(step, _)| *step < saved.step);
    let mut room = retention.keep_last.get() - 1;
    for (step, folder) in older {
        // A damaged folder takes no place of a whole one, but it goes with the rest.
        if room > 0 && looks_whole(&folder) {
            room -= 1;
        } else if retention.keep_every.is_none_or(|every| step.checked_rem(every) != Some(0)) {
            remove(&folder)?;
        }
    }
    Ok(())
}

/// Removes a folder so that no half of it keeps a step's name.
fn remove(folder: &Path) -> Result<(), CheckpointError> {
    let doomed = temporary_sibling(folder);
    fs::rename(folder, &doomed).map_err(write_error(folder))?;
    fs::remove_dir_all(&doomed).map_err(write_error(&doomed))
}
