//! Programs of a run and their plans, within a budget of memory: in how many slices, and what the backward pass computes again.

use crate::optim::{self, LearningRates};
use crate::pretrain::TrainError;
use crate::ranks;
use crate::trainer::{MICRO, NORM, Sizes, UPDATE};
use std::collections::BTreeMap;
use wootz_mesh::World;
use wootz_models::nanochat;
use wootz_program::{Backend, MemoryUse, Planned, Program, Recompute, Role, plan};
use wootz_stdx::human;

/// Planned programs of a trainer, in the order of [`NAMES`].
pub(crate) struct Layout {
    /// The programs with their plans.
    pub planned: Vec<Planned>,
    /// Names of the optimizer states of this rank.
    pub states: Vec<String>,
    /// Rows of one run of the micro program.
    pub rows: usize,
    /// What its backward pass computes again.
    pub recompute: Recompute,
    /// Whether there is a program for the last micro-step.
    pub overlaps: bool,
}

impl Layout {
    /// As many slices as were asked for, or else as few as fit the budget. Where none of them fits, more is computed again
    /// than was asked for.
    pub fn within_budget(
        world: &World,
        backend: &dyn Backend,
        sizes: &Sizes,
        rates: &LearningRates,
    ) -> Result<Layout, TrainError> {
        let divisors = (1..=sizes.batch).filter(|n| sizes.batch.is_multiple_of(*n));
        let choices: Vec<usize> = match (sizes.slices, sizes.budget_bytes) {
            (Some(slices), _) if slices == 0 || !sizes.batch.is_multiple_of(slices) => {
                return Err(TrainError::Slices { rows: sizes.batch, slices });
            }
            (Some(slices), _) => vec![slices],
            (None, None) => vec![1],
            (None, Some(_)) => divisors.collect(),
        };
        world.agree("memory_budget or slices", &format!("{:?} {:?}", sizes.budget_bytes, sizes.slices))?;
        let attempt = |slices: usize, recompute| {
            let layout = Layout::of(world, backend, sizes, rates, sizes.batch / slices, recompute)?;
            // Ranks differ in the states that they own: what fits all is what fits the one with the most.
            let needed = ranks::largest(world, planned_memory(&layout.planned))?;
            Ok((layout, check_budget(sizes, needed)))
        };
        let mut tried = None;
        for slices in choices {
            let (layout, outcome) = attempt(slices, sizes.recompute)?;
            if outcome.is_ok() {
                return Ok(layout);
            }
            tried = Some((slices, layout.planned[MICRO].program.nodes.len()));
        }
        let Some((last, nodes)) = tried else {
            return Err(TrainError::Slices { rows: sizes.batch, slices: 0 });
        };
        fewest_again(nodes, |count| attempt(last, Recompute::Ranked(count)))
    }
    fn of(
        world: &World,
        backend: &dyn Backend,
        sizes: &Sizes,
        rates: &LearningRates,
        rows: usize,
        recompute: Recompute,
    ) -> Result<Layout, TrainError> {
        let model = &sizes.model;
        let update = optim::update(model, rates)?;
        let mut states = optim::state_tensors(&update);
        let programs = vec![
            nanochat::training(model, rows, recompute)?,
            update,
            nanochat::evaluation(model, rows)?,
            optim::norm(model)?,
        ];
        let mut lowered = backend.lower(programs)?;
        let overlaps = world.size > 1 && backend.overlaps();
        if world.size > 1 {
            let owned = ranks::split(world, &mut lowered, &[NORM, UPDATE], overlaps)?;
            states.retain(|state| owned.contains(state));
        }
        let planned = lowered.into_iter().map(|program| planned(backend, program)).collect();
        Ok(Layout { planned, states, rows, recompute, overlaps })
    }
}

/// The layout that fits with the fewest nodes run again, of up to `most`; the error of the most where none is found. The
/// search halves, since the peak falls with every node, but not to the end: what runs again in the last block's backward
/// pass lives beside all that is kept of the others. Where the most do not fit, some fewer may.
fn fewest_again(
    most: usize,
    mut attempt: impl FnMut(usize) -> Result<(Layout, Result<(), TrainError>), TrainError>,
) -> Result<Layout, TrainError> {
    const PARTS: usize = 16;
    let (mut best, outcome) = attempt(most)?;
    let (mut over, mut fits) = (0, most);
    if let Err(error) = outcome {
        let fewer = (1..PARTS).rev().map(|part| most * part / PARTS);
        let mut found = None;
        for count in fewer {
            if let (layout, Ok(())) = attempt(count)? {
                found = Some((layout, count));
                break;
            }
        }
        (best, fits) = found.ok_or(error)?;
    }
    while fits - over > 1 {
        let count = over + (fits - over) / 2;
        match attempt(count)? {
            (layout, Ok(())) => (best, fits) = (layout, count),
            (_, Err(_)) => over = count,
        }
    }
    Ok(best)
}

fn planned(backend: &dyn Backend, program: Program) -> Planned {
    let plan = plan(&program, &|program, node| backend.scratch_bytes(program, node));
    Planned { program, plan }
}

/// What the programs will hold together: persistent values once each, and the largest arena.
fn planned_memory(planned: &[Planned]) -> MemoryUse {
    let mut persistent = BTreeMap::new();
    for p in planned {
        let values = p.program.iter_values().filter(|(_, info)| info.role != Role::Activation);
        persistent.extend(values.map(|(_, info)| (info.name.as_str(), info.ty.bytes())));
    }
    MemoryUse {
        persistent_bytes: persistent.values().sum(),
        arena_bytes: planned.iter().map(|p| p.plan.arena_bytes).max().unwrap_or(0),
    }
}

fn check_budget(sizes: &Sizes, memory: MemoryUse) -> Result<(), TrainError> {
    let needed = (memory.persistent_bytes + memory.arena_bytes) as u64;
    match sizes.budget_bytes {
        Some(budget) if needed > budget => Err(TrainError::Budget {
            depth: sizes.model.n_layer,
            needed: human::bytes(needed),
            persistent: human::bytes(memory.persistent_bytes as u64),
            arena: human::bytes(memory.arena_bytes as u64),
            budget: human::bytes(budget),
        }),
        _ => Ok(()),
    }
}
