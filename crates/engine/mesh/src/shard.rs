//! The update program of one rank: single-device prose in, the rank's part of it with the collectives out.
//!
//! | stage | what every rank does |
//! |---|---|
//! | reduce | sums each gradient onto the rank that owns its parameter; one grouped collective |
//! | norm | squares the gradients it owns; one number from each rank, then the norm of those |
//! | update | runs the optimizer's nodes of what it owns; states of the rest do not exist on it |
//! | broadcast | sends what others read of its results: compute copies where there are any, else parameters |
//!
//! A matrix node is cut to the matrices that are owned. Parameters that only the optimizer reads (masters of compute copies)
//! are not sent at every update but by a program of their own, which runs before a checkpoint.

use crate::MeshError;
use crate::owners::{Share, deal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_ops::{AdamW, AllGather, AllReduce, BroadcastFromOwner, Drain, GlobalNorm, Muon, ReduceToOwner};
use wootz_program::{Node, Op, OpError, Program, Role, Scope, Type, Value, ValueInfo};

/// What one rank runs.
#[derive(Debug, Clone)]
pub struct Sharded {
    /// The update.
    pub update: Program,
    /// Brings every parameter that the update leaves to its owner to all ranks.
    pub collect: Program,
    /// Owner of each parameter, by name.
    pub owners: BTreeMap<String, usize>,
}

/// The part of `update` that `rank` of `ranks` runs; `readers` are the programs that run between updates.
pub fn shard(update: &Program, readers: &[&Program], rank: usize, ranks: usize) -> Result<Sharded, MeshError> {
    let split = |reason: String| MeshError::Split { ranks, reason };
    let slots = slots(update);
    let shares: Vec<Share> = slots.iter().map(|slot| slot.share(update)).collect();
    let owner_of_slot = deal(&shares, ranks);
    let owners: BTreeMap<String, usize> =
        shares.iter().map(|share| share.name.clone()).zip(owner_of_slot.iter().copied()).collect();
    let read: BTreeSet<&str> = readers.iter().flat_map(|program| names_read(program)).collect();

    let mut part = Part { program: Program::default(), known: BTreeMap::new(), from: update };
    let build = |part: &mut Part<'_>| -> Result<(), OpError> {
        let gradients: Vec<Value> = slots.iter().map(|slot| slot.operands[1]).collect();
        part.push(Arc::new(ReduceToOwner { rank, owners: owner_of_slot.clone() }), &gradients)?;
        for (i, node) in update.nodes.iter().enumerate() {
            let of_node = || slots.iter().zip(&owner_of_slot).filter(move |(slot, _)| slot.node == i);
            let owned: Vec<&Slot> = of_node().filter(|(_, o)| **o == rank).map(|(slot, _)| slot).collect();
            if is::<GlobalNorm>(node) {
                part.norm(node, &slots, &owner_of_slot, rank, ranks)?;
            } else if is::<Drain>(node) {
                part.sum(node)?;
            } else if let Some(muon) = node.op.as_any().downcast_ref::<Muon>() {
                if !owned.is_empty() {
                    let operands: Vec<Value> = owned.iter().flat_map(|slot| slot.operands.clone()).collect();
                    let op = Muon { count: owned.len(), ..muon.clone() };
                    part.push(Arc::new(op), &[&node.inputs[..3], &operands[..]].concat())?;
                }
            } else if !is::<AdamW>(node) || !owned.is_empty() {
                part.copy(node);
            }
        }
        let (sent, senders) = results(update, &slots, &owner_of_slot, &|info| read.contains(info.name.as_str()));
        part.push(Arc::new(BroadcastFromOwner { rank, owners: senders }), &sent)?;
        Ok(())
    };
    build(&mut part).map_err(|error| split(error.to_string()))?;
    let update_part = part.program;

    let mut part = Part { program: Program::default(), known: BTreeMap::new(), from: update };
    let kept = |info: &ValueInfo| info.role == Role::Parameter && !read.contains(info.name.as_str());
    let (sent, senders) = results(update, &slots, &owner_of_slot, &kept);
    if !sent.is_empty() {
        let op = BroadcastFromOwner { rank, owners: senders };
        part.push(Arc::new(op), &sent).map_err(|error| split(error.to_string()))?;
    }
    Ok(Sharded { update: update_part, collect: part.program, owners })
}

/// One parameter's operands in an optimizer's node: parameter, gradient, states, and for some a copy.
struct Slot {
    node: usize,
    operands: Vec<Value>,
    flops: u64,
}

impl Slot {
    fn share(&self, program: &Program) -> Share {
        let bytes = self.operands.iter().map(|v| program.info(*v).ty.bytes() as u64).sum();
        Share { name: program.info(self.operands[0]).name.clone(), bytes, flops: self.flops }
    }
}

fn slots(update: &Program) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (i, node) in update.nodes.iter().enumerate() {
        let (first, stride) = match node.op.as_any().downcast_ref::<Muon>() {
            Some(muon) => (muon.first(0), muon.stride()),
            None if is::<AdamW>(node) => (2, node.inputs.len() - 2),
            None => continue,
        };
        let operands = node.inputs[first..].chunks_exact(stride);
        let flops = node.op.cost(&update.input_types(node), &update.output_types(node)).flops;
        let each = flops / operands.len() as u64;
        slots.extend(operands.map(|o| Slot { node: i, operands: o.to_vec(), flops: each }));
    }
    slots
}

fn is<T: Op>(node: &Node) -> bool {
    node.op.as_any().is::<T>()
}

fn names_read(program: &Program) -> Vec<&str> {
    let inputs = program.nodes.iter().flat_map(|node| &node.inputs);
    inputs.map(|value| program.info(*value)).filter(|info| info.role != Role::Activation).map(|i| i.name.as_str()).collect()
}

/// Parameters and copies that the optimizer writes and `wanted` names, each with its owner.
fn results(
    update: &Program,
    slots: &[Slot],
    owners: &[usize],
    wanted: &dyn Fn(&ValueInfo) -> bool,
) -> (Vec<Value>, Vec<usize>) {
    let mut found = Vec::new();
    for (slot, owner) in slots.iter().zip(owners) {
        let written = [slot.operands.first(), slot.operands.get(4)].into_iter().flatten();
        found.extend(written.filter(|v| wanted(update.info(**v))).map(|v| (*v, *owner)));
    }
    found.into_iter().unzip()
}

/// A program that takes over values of another one, those that it needs and no others: what no node names is not allocated.
struct Part<'a> {
    program: Program,
    known: BTreeMap<Value, Value>,
    from: &'a Program,
}

impl Part<'_> {
    fn take(&mut self, value: Value) -> Value {
        if let Some(known) = self.known.get(&value) {
            return *known;
        }
        let new = self.program.define(self.from.info(value).clone());
        self.known.insert(value, new);
        new
    }
    /// Takes over a node as it is.
    fn copy(&mut self, node: &Node) {
        let inputs = node.inputs.iter().map(|v| self.take(*v)).collect();
        let outputs = node.outputs.iter().map(|v| self.take(*v)).collect();
        self.program.nodes.push(Node { op: Arc::clone(&node.op), inputs, outputs, scope: node.scope });
    }
    /// Adds a node without outputs over values of the other program.
    fn push(&mut self, op: Arc<dyn Op>, inputs: &[Value]) -> Result<(), OpError> {
        let inputs: Vec<Value> = inputs.iter().map(|v| self.take(*v)).collect();
        self.apply(op, inputs, &[])
    }
    /// Adds a node over values of this program; the outputs have these names and roles, the rest of them none.
    fn apply(&mut self, op: Arc<dyn Op>, inputs: Vec<Value>, outputs: &[Value]) -> Result<(), OpError> {
        let types: Vec<&Type> = inputs.iter().map(|v| &self.program.info(*v).ty).collect();
        op.infer(&types)?;
        self.program.nodes.push(Node { op, inputs, outputs: outputs.to_vec(), scope: Scope::default() });
        Ok(())
    }
    fn scratch_value(&mut self, name: &str, ty: Type) -> Value {
        self.program.define(ValueInfo { name: name.to_owned(), ty, role: Role::Activation })
    }

    /// The norm of all gradients from the norms of each rank's own.
    fn norm(
        &mut self,
        node: &Node,
        slots: &[Slot],
        owners: &[usize],
        rank: usize,
        ranks: usize,
    ) -> Result<(), OpError> {
        let owned = |value: &&Value| {
            let owner = slots.iter().zip(owners).find(|(slot, _)| slot.operands[1] == **value);
            owner.is_some_and(|(_, owner)| *owner == rank)
        };
        // Gradients of others are zero here, so that any of them stands for nothing.
        let mut mine: Vec<Value> = node.inputs.iter().filter(owned).copied().collect();
        mine.extend(node.inputs.first().filter(|_| mine.is_empty()));
        let mine: Vec<Value> = mine.into_iter().map(|v| self.take(v)).collect();
        let ty = self.from.info(node.outputs[0]).ty.clone();
        let own = self.scratch_value("own_norm", ty.clone());
        self.apply(Arc::clone(&node.op), mine, &[own])?;
        let all = self.scratch_value("norms", ty.with_shape([ranks]));
        self.apply(Arc::new(AllGather { ranks }), vec![own], &[all])?;
        let output = self.take(node.outputs[0]);
        self.apply(Arc::clone(&node.op), vec![all], &[output])
    }
    /// A sum over micro-batches becomes one over those of all ranks.
    fn sum(&mut self, node: &Node) -> Result<(), OpError> {
        let inputs: Vec<Value> = node.inputs.iter().map(|v| self.take(*v)).collect();
        let ty = self.from.info(node.outputs[0]).ty.clone();
        let own = self.scratch_value("own_sum", ty);
        self.apply(Arc::clone(&node.op), inputs, &[own])?;
        let output = self.take(node.outputs[0]);
        self.apply(Arc::new(AllReduce), vec![own], &[output])
    }
}
