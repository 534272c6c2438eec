//! The update program of one rank: single-device prose in, the rank's part of it with the collectives out.
//!
//! | stage | what every rank does |
//! |---|---|
//! | reduce | sums each gradient onto the rank that owns its parameter: a program of its own, or, in buckets beside the backward pass of the last micro-step, nodes of that one ([`Sharded::overlapped`]) |
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
use wootz_ops::{
    AdamW, AllGather, AllReduce, BroadcastFromOwner, Drain, GlobalNorm, Muon, ReduceToOwner, Timing,
};
use wootz_program::{Node, Op, OpError, Program, Role, Scope, Type, Value, ValueInfo};

/// What one rank runs.
#[derive(Debug, Clone)]
pub struct Sharded {
    /// Sums the gradients of all ranks onto their owners; it comes before the update.
    pub reduce: Program,
    /// The update, in as many programs as it was given in.
    pub update: Vec<Program>,
    /// Brings every parameter that the update leaves to its owner to all ranks.
    pub collect: Program,
    /// Owner of each parameter, by name.
    pub owners: BTreeMap<String, usize>,
    /// Owner of each gradient, by name.
    gradients: BTreeMap<String, usize>,
    rank: usize,
}

impl Sharded {
    /// A training program that also sums its gradients onto their owners, for the last micro-step before an update: each
    /// bucket of about `bucket_bytes` as soon as its gradients are final. It stands in for [`Sharded::reduce`].
    pub fn overlapped(&self, training: &Program, bucket_bytes: usize) -> Program {
        // Each gradient by the node that changes it last.
        let mut last = BTreeMap::new();
        for (i, node) in training.nodes.iter().enumerate() {
            let changed = node.op.updates().into_iter().map(|operand| node.inputs[operand]);
            last.extend(changed.filter(|v| training.info(*v).role == Role::Gradient).map(|v| (v, i)));
        }
        let mut by_time: Vec<(usize, Value)> = last.into_iter().map(|(value, i)| (i, value)).collect();
        by_time.sort_unstable();
        let (mut program, mut bucket, mut bytes) = (training.clone(), Vec::new(), 0);
        let nodes = std::mem::take(&mut program.nodes);
        let end = nodes.len();
        let mut finals = by_time.into_iter().peekable();
        for (i, node) in nodes.into_iter().enumerate() {
            program.nodes.push(node);
            while let Some((_, value)) = finals.next_if(|(at, _)| *at == i) {
                bytes += program.info(value).ty.bytes();
                bucket.push(value);
            }
            let is_last = finals.peek().is_none();
            if i + 1 == end || (bytes >= bucket_bytes && !is_last) {
                let timing = if i + 1 == end { Timing::Last } else { Timing::Beside };
                let node = self.bucket(&program, std::mem::take(&mut bucket), timing);
                program.nodes.push(node);
                bytes = 0;
            }
        }
        program
    }
    fn bucket(&self, program: &Program, inputs: Vec<Value>, timing: Timing) -> Node {
        let owner = |value: &Value| self.gradients.get(&program.info(*value).name).copied().unwrap_or(0);
        let owners = inputs.iter().map(owner).collect();
        let op = Arc::new(ReduceToOwner { rank: self.rank, owners, timing });
        Node { op, inputs, outputs: Vec::new(), scope: Scope::default() }
    }
}

/// The part that `rank` of `ranks` has in an update, which is one program or several that run one after the other, the
/// optimizer's nodes in the last; `readers` are the programs that run between updates.
pub fn shard(
    update: &[&Program],
    readers: &[&Program],
    rank: usize,
    ranks: usize,
) -> Result<Sharded, MeshError> {
    let split = |reason: String| MeshError::Split { ranks, reason };
    let last = *update.last().ok_or_else(|| split("there is no update".to_owned()))?;
    let slots = slots(last);
    let shares: Vec<Share> = slots.iter().map(|slot| slot.share(last)).collect();
    let owner_of_slot = deal(&shares, ranks);
    let owners: BTreeMap<String, usize> =
        shares.iter().map(|share| share.name.clone()).zip(owner_of_slot.iter().copied()).collect();
    let read: BTreeSet<&str> = readers.iter().flat_map(|program| names_read(program)).collect();
    let gradients: Gradients = slots
        .iter()
        .zip(&owner_of_slot)
        .map(|(slot, owner)| {
            (last.info(slot.operands[Slot::GRADIENT]).name.as_str(), (slot.operands[Slot::GRADIENT], *owner))
        })
        .collect();

    let build = |i: usize, program: &Program| -> Result<Program, OpError> {
        let mut part = Part::of(program, rank, ranks, &gradients);
        for (at, node) in program.nodes.iter().enumerate() {
            let of_node = slots.iter().zip(&owner_of_slot).filter(|(slot, o)| slot.node == at && **o == rank);
            let owned: Vec<&Slot> = of_node.map(|(slot, _)| slot).collect();
            part.node(node, &owned)?;
        }
        if i + 1 == update.len() {
            let wanted = |info: &ValueInfo| read.contains(info.name.as_str());
            part.broadcast(results(last, &slots, &owner_of_slot, &wanted))?;
        }
        Ok(part.program)
    };
    let programs = update.iter().enumerate().map(|(i, program)| build(i, program));
    let programs = programs.collect::<Result<_, _>>().map_err(|error| split(error.to_string()))?;

    let mut part = Part::of(last, rank, ranks, &gradients);
    part.reduce().map_err(|error| split(error.to_string()))?;
    let reduce = part.program;

    let mut part = Part::of(last, rank, ranks, &gradients);
    let kept = |info: &ValueInfo| info.role == Role::Parameter && !read.contains(info.name.as_str());
    part.broadcast(results(last, &slots, &owner_of_slot, &kept)).map_err(|error| split(error.to_string()))?;
    let of_gradient = |(name, (_, owner)): (&&str, &(Value, usize))| ((*name).to_owned(), *owner);
    let gradients = gradients.iter().map(of_gradient).collect();
    Ok(Sharded { reduce, update: programs, collect: part.program, owners, gradients, rank })
}

/// Each gradient's value in the last program and its owner, by its name.
type Gradients<'a> = BTreeMap<&'a str, (Value, usize)>;

/// One parameter's operands in an optimizer's node: parameter, gradient, states, and for some a copy.
struct Slot {
    node: usize,
    operands: Vec<Value>,
    flops: u64,
}

impl Slot {
    /// Place of the gradient among the operands.
    const GRADIENT: usize = 1;

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
    inputs
        .map(|value| program.info(*value))
        .filter(|info| info.role != Role::Activation)
        .map(|i| i.name.as_str())
        .collect()
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
        let written = slot.operands.iter().enumerate().filter(|(i, _)| *i != Slot::GRADIENT);
        found.extend(written.filter(|(_, v)| wanted(update.info(**v))).map(|(_, v)| (*v, *owner)));
    }
    found.into_iter().unzip()
}

/// A program that takes over values of another one, those that it needs and no others: what no node names is not allocated.
struct Part<'a> {
    program: Program,
    /// Values of this program by their place in the other.
    known: BTreeMap<Value, Value>,
    /// Values of this program that persist, by name.
    named: BTreeMap<String, Value>,
    from: &'a Program,
    rank: usize,
    ranks: usize,
    gradients: &'a Gradients<'a>,
}

impl<'a> Part<'a> {
    fn of(from: &'a Program, rank: usize, ranks: usize, gradients: &'a Gradients<'a>) -> Part<'a> {
        let (known, named) = (BTreeMap::new(), BTreeMap::new());
        Part { program: Program::default(), known, named, from, rank, ranks, gradients }
    }
    fn take(&mut self, value: Value) -> Value {
        if let Some(known) = self.known.get(&value) {
            return *known;
        }
        let new = self.define(self.from.info(value).clone());
        self.known.insert(value, new);
        new
    }
    fn define(&mut self, info: ValueInfo) -> Value {
        if info.role == Role::Activation {
            return self.program.define(info);
        }
        if let Some(known) = self.named.get(&info.name) {
            return *known;
        }
        let name = info.name.clone();
        let new = self.program.define(info);
        self.named.insert(name, new);
        new
    }
    fn take_all(&mut self, values: &[Value]) -> Vec<Value> {
        values.iter().map(|value| self.take(*value)).collect()
    }
    fn apply(&mut self, op: Arc<dyn Op>, inputs: Vec<Value>, outputs: Vec<Value>) -> Result<(), OpError> {
        let types: Vec<&Type> = inputs.iter().map(|v| &self.program.info(*v).ty).collect();
        op.infer(&types)?;
        self.program.nodes.push(Node { op, inputs, outputs, scope: Scope::default() });
        Ok(())
    }
    fn label(&mut self, name: &str, ty: Type) -> Value {
        self.program.define(ValueInfo { name: name.to_owned(), ty, role: Role::Activation })
    }

    /// Sums every gradient onto its owner.
    fn reduce(&mut self) -> Result<(), OpError> {
        let (values, owners): (Vec<Value>, Vec<usize>) = self.gradients.values().copied().unzip();
        let inputs = self.take_all(&values);
        let op = ReduceToOwner { rank: self.rank, owners, timing: Timing::InPlace };
        self.apply(Arc::new(op), inputs, Vec::new())
    }
    fn broadcast(&mut self, (sent, owners): (Vec<Value>, Vec<usize>)) -> Result<(), OpError> {
        if sent.is_empty() {
            return Ok(());
        }
        let inputs = self.take_all(&sent);
        self.apply(Arc::new(BroadcastFromOwner { rank: self.rank, owners }), inputs, Vec::new())
    }
    /// This rank's part of a node; `owned` are the parameters of an optimizer's node that are its own.
    fn node(&mut self, node: &Node, owned: &[&Slot]) -> Result<(), OpError> {
        if is::<GlobalNorm>(node) {
            return self.norm(node);
        }
        if is::<Drain>(node) {
            return self.sum(node);
        }
        if let Some(muon) = node.op.as_any().downcast_ref::<Muon>() {
            if owned.is_empty() {
                return Ok(());
            }
            let operands: Vec<Value> = owned.iter().flat_map(|slot| slot.operands.clone()).collect();
            let inputs = self.take_all(&[&node.inputs[..3], &operands[..]].concat());
            return self.apply(Arc::new(Muon { count: owned.len(), ..muon.clone() }), inputs, Vec::new());
        }
        if is::<AdamW>(node) && owned.is_empty() {
            return Ok(());
        }
        let (inputs, outputs) = (self.take_all(&node.inputs), self.take_all(&node.outputs));
        self.apply(Arc::clone(&node.op), inputs, outputs)
    }
    /// The norm of all gradients from the norms of each rank's own.
    fn norm(&mut self, node: &Node) -> Result<(), OpError> {
        let owner = |value: &Value| {
            let name = self.from.info(*value).name.as_str();
            self.gradients.get(name).map(|(_, owner)| *owner)
        };
        let mut mine: Vec<Value> =
            node.inputs.iter().filter(|v| owner(v) == Some(self.rank)).copied().collect();
        if mine.is_empty() {
            // Gradients of others are zero here, so that any of them stands for nothing.
            mine.extend(node.inputs.first());
        }
        let (mine, ty) = (self.take_all(&mine), self.from.info(node.outputs[0]).ty.clone());
        let own = self.label("own_norm", ty.clone());
        self.apply(Arc::clone(&node.op), mine, vec![own])?;
        let all = self.label("norms", ty.with_shape([self.ranks]));
        self.apply(Arc::new(AllGather { ranks: self.ranks }), vec![own], vec![all])?;
        let output = self.take(node.outputs[0]);
        self.apply(Arc::clone(&node.op), vec![all], vec![output])
    }
    /// A sum over micro-batches becomes one over those of all ranks.
    fn sum(&mut self, node: &Node) -> Result<(), OpError> {
        let (inputs, ty) = (self.take_all(&node.inputs), self.from.info(node.outputs[0]).ty.clone());
        let own = self.label("own_sum", ty);
        self.apply(Arc::clone(&node.op), inputs, vec![own])?;
        let output = self.take(node.outputs[0]);
        self.apply(Arc::new(AllReduce), vec![own], vec![output])
    }
}
