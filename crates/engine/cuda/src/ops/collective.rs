//! Collectives: NCCL on the session's stream, or beside it on the communicator's own; either way they become part of its
//! graphs. All collectives of a communicator are in one order on all ranks, since they follow one another on both streams.

use crate::driver::{CudaError, Event, Pointer};
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::nccl::{Communicator, Owned};
use std::sync::Arc;
use wootz_ops::{AllGather, AllReduce, BroadcastFromOwner, ReduceToOwner, Timing};

impl Code for ReduceToOwner {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let communicator = communicator(node)?;
        let tensors = owned(&node.inputs, &self.owners);
        if self.timing == Timing::InPlace {
            let reduce =
                Launch::new("nccl reduce", move |stream| communicator.reduce_to_owner(&tensors, stream));
            let clears = stretches(&node.inputs, &self.owners, self.rank);
            let clears = clears.into_iter().map(|(begin, bytes)| Launch::clear(begin, bytes));
            return Ok(std::iter::once(reduce.costs(node.cost)).chain(clears).collect());
        }
        let clears = stretches(&node.inputs, &self.owners, self.rank);
        let (ready, done) = (Event::new(&node.gpu.device)?, Event::new(&node.gpu.device)?);
        let joins = self.timing == Timing::Last;
        // The events and the second stream are recorded with the rest when the program becomes a graph.
        let launch = Launch::new("nccl reduce beside", move |stream| {
            let beside = communicator.stream();
            ready.record(stream)?;
            ready.hold(beside)?;
            communicator.reduce_to_owner(&tensors, beside)?;
            clears.iter().try_for_each(|(begin, bytes)| beside.fill(*begin, 0, *bytes))?;
            if joins {
                done.record(beside)?;
                done.hold(stream)?;
            }
            Ok(())
        });
        Ok(vec![launch.costs(node.cost)])
    }
}

impl Code for BroadcastFromOwner {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let communicator = communicator(node)?;
        let tensors = owned(&node.inputs, &self.owners);
        let launch =
            Launch::new("nccl broadcast", move |stream| communicator.broadcast_from_owner(&tensors, stream));
        Ok(vec![launch.costs(node.cost)])
    }
}

impl Code for AllGather {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let communicator = communicator(node)?;
        let (x, y) = (node.input(0).clone(), node.output(0).clone());
        node.require(x.dtype == y.dtype, || format!("{} becomes {}", x.dtype, y.dtype))?;
        let run = move |stream: &_| communicator.all_gather(y.pointer, x.pointer, x.len(), x.dtype, stream);
        Ok(vec![Launch::new("nccl all-gather", run).costs(node.cost)])
    }
}

impl Code for AllReduce {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let communicator = communicator(node)?;
        let (x, y) = (node.input(0).clone(), node.output(0).clone());
        node.require(x.dtype == y.dtype, || format!("{} becomes {}", x.dtype, y.dtype))?;
        let run = move |stream: &_| communicator.all_reduce(y.pointer, x.pointer, x.len(), x.dtype, stream);
        Ok(vec![Launch::new("nccl all-reduce", run).costs(node.cost)])
    }
}

fn communicator(node: &NodeView<'_>) -> Result<Arc<Communicator>, CudaError> {
    node.gpu.communicator.clone().ok_or_else(|| node.unsupported("this process is no rank of a job"))
}

fn owned(operands: &[Operand], owners: &[usize]) -> Vec<Owned> {
    let tensor = |(operand, owner): (&Operand, &usize)| Owned {
        pointer: operand.pointer,
        elements: operand.len(),
        dtype: operand.dtype,
        owner: *owner,
    };
    operands.iter().zip(owners).map(tensor).collect()
}

/// Where what other ranks own lies, and its bytes. Neighbours in memory, and the padding between them, are one stretch.
fn stretches(operands: &[Operand], owners: &[usize], rank: usize) -> Vec<(Pointer, usize)> {
    let others = operands.iter().zip(owners).filter(|(_, owner)| **owner != rank);
    let mut pieces: Vec<(u64, u64)> =
        others.map(|(o, _)| (o.pointer, o.pointer + o.bytes() as u64)).collect();
    pieces.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::new();
    for (begin, end) in pieces {
        match merged.last_mut() {
            Some((_, last)) if begin <= last.next_multiple_of(256) => *last = end,
            _ => merged.push((begin, end)),
        }
    }
    merged.into_iter().map(|(begin, end)| (begin, (end - begin) as usize)).collect()
}
