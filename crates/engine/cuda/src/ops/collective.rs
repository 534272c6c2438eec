//! Collectives: NCCL on the session's stream, so that they become part of its graphs.

use crate::driver::CudaError;
use crate::launch::{Code, Launch, NodeView, Operand};
use crate::nccl::{Communicator, Owned};
use std::sync::Arc;
use wootz_ops::{AllGather, AllReduce, BroadcastFromOwner, ReduceToOwner};
use wootz_program::Cost;

impl Code for ReduceToOwner {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let communicator = communicator(node)?;
        let tensors = owned(&node.inputs, &self.owners);
        let mut launches = stretches(&node.inputs, &self.owners, self.rank);
        let reduce = Launch::new("nccl reduce", move |stream| communicator.reduce_to_owner(&tensors, stream));
        launches.insert(0, reduce.costs(node.cost));
        Ok(launches)
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

/// Sets to zero what other ranks own. Neighbours in memory, and the padding between them, go as one.
fn stretches(operands: &[Operand], owners: &[usize], rank: usize) -> Vec<Launch> {
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
    let clear = |(begin, end): (u64, u64)| {
        let bytes = (end - begin) as usize;
        Launch::clear(begin, bytes).costs(Cost { flops: 0, bytes: bytes as u64 })
    };
    merged.into_iter().map(clear).collect()
}
