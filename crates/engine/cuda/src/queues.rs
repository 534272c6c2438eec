//! Weight gradients beside the rest of a backward pass.
//!
//! Nothing in a micro-step reads a weight's gradient, while everything else of the backward pass is one chain. Where asked for,
//! the products that make such gradients are queued on a stream of their own, whose blocks get the multiprocessors that the
//! chain's kernels leave: in the last round of their tiles, between them, and beside those that are short. Each of both
//! queues waits for the other where the memory of their nodes says so ([`crate::lanes`]), eagerly and in a graph alike.
//!
//! - The workspace of these products is memory of their own.
//! - A product whose blocks wait for one another stays in the chain, with nothing beside it: see "Residency of EPILOGUE 4" in
//!   kernels/gemm/notes.md. All other kernels of the chain end on whatever multiprocessors they get, so the chain ends or
//!   waits for the gradients, which then have the whole device.
//! - A run begins with all of the runs before it done, and ends with both queues joined.
//!
//! A trace runs all in one queue: it shows what each launch takes alone.

use crate::driver::{CudaError, Device, Event, Stream};
use crate::gpu::Options;
use crate::lanes::{Lane, Step, waits};
use crate::launch::Launch;
use std::ops::Range;
use std::sync::Arc;
use wootz_ops::LinearWeightGradient;
use wootz_program::Node;

/// Number of nodes that this one may run beside.
pub(crate) fn beside(options: &Options, node: &Node) -> usize {
    if node.op.as_any().is::<LinearWeightGradient>() { options.weight_gradients_beside } else { 0 }
}

/// A node's launches, as they are collected.
pub(crate) struct Queued {
    /// Which of the program's launches.
    pub launches: Range<usize>,
    /// What they touch, and their queue.
    pub step: Step,
}

impl Queued {
    /// The same in the chain, and alone where it must be.
    pub(crate) fn settled(mut self, launches: &[Launch]) -> Queued {
        if launches.iter().any(|launch| launch.gathers) {
            self.step.lane = Lane::Chain;
            self.step.alone = true;
        }
        self
    }
}

/// How the launches of a program share two queues.
pub(crate) struct Schedule {
    parts: Vec<Part>,
    fork: Event,
    join: Event,
}

struct Part {
    launches: Range<usize>,
    lane: Lane,
    /// The part of the other queue that must be over before.
    waits_for: Option<usize>,
    /// What tells the other queue that this one is over, where it asks.
    over: Option<Event>,
}

impl Schedule {
    /// None: all launches follow one another.
    pub(crate) fn of(device: &Arc<Device>, nodes: Vec<Queued>) -> Result<Option<Schedule>, CudaError> {
        if nodes.iter().all(|node| node.step.lane == Lane::Chain) {
            return Ok(None);
        }
        let (ranges, steps): (Vec<Range<usize>>, Vec<Step>) =
            nodes.into_iter().map(|node| (node.launches, node.step)).unzip();
        let waits = waits(&steps);
        let mut parts: Vec<Part> = (ranges.into_iter().zip(&steps).zip(&waits))
            .map(|((launches, step), waits_for)| Part {
                launches,
                lane: step.lane,
                waits_for: *waits_for,
                over: None,
            })
            .collect();
        for part in waits.into_iter().flatten() {
            parts[part].over = Some(Event::new(device)?);
        }
        Ok(Some(Schedule { parts, fork: Event::new(device)?, join: Event::new(device)? }))
    }

    /// Queues a run; `captured`: a graph records it.
    pub(crate) fn queue(
        &self,
        launches: &[Launch],
        chain: &Stream,
        beside: &Stream,
        captured: bool,
    ) -> Result<(), CudaError> {
        self.fork.record(chain)?;
        self.fork.hold(beside)?;
        for part in &self.parts {
            let stream = if part.lane == Lane::Chain { chain } else { beside };
            if let Some(event) = part.waits_for.and_then(|other| self.parts[other].over.as_ref()) {
                event.hold(stream)?;
            }
            launches[part.launches.clone()].iter().try_for_each(|launch| launch.run(stream))?;
            if let Some(event) = &part.over {
                if captured { event.mark(stream)? } else { event.record(stream)? }
            }
        }
        self.join.record(beside)?;
        self.join.hold(chain)
    }
}
