//! Which activations to compute again first: those that cost least for each byte that need not be kept.
//!
//! Greedy, like the eviction of Kirisame et al., "Dynamic Tensor Rematerialization" (arXiv 2006.09616), but before the first
//! run, where all costs are known: a node's price is its own work and that of whatever else must run again for its inputs;
//! its worth is what its outputs hold between the passes, less what must now be held for it. Nodes of equal price are taken
//! in their order: what the first blocks keep is held longest, and is not yet back when the backward pass is at its peak.
//!
//! Values that cross scopes stay. Ranking all nodes ends near [`crate::Recompute::Block`], without what wins nothing there. Not covered: how long the
//! copies live in the backward pass.

use crate::{Node, Program, Value};
use std::collections::BTreeSet;

/// FLOP in the time of a byte, of binary32 activations: about half of what GPUs do in 16 bits, where activations take half
/// the bytes. Only the order matters, and only between ops of which some multiply and some move.
const FLOPS_PER_BYTE: u64 = 75;

/// Whether each value of the forward pass is kept when `count` nodes are run again, those of the best rank.
pub(crate) fn kept_values(program: &Program, forward: &[Node], backward: &[Node], count: usize) -> Vec<bool> {
    let mut ranking = Ranking::new(program, forward, backward);
    for _ in 0..count {
        let prices = (0..forward.len()).filter_map(|node| Some((node, ranking.price(node)?)));
        // The first of equals.
        let Some((node, _)) = prices.reduce(|best, other| if other.1.below(best.1) { other } else { best })
        else {
            break;
        };
        ranking.drop(node);
    }
    ranking.kept
}

struct Ranking<'a> {
    program: &'a Program,
    forward: &'a [Node],
    /// Forward node of each value.
    producer: Vec<Option<usize>>,
    kept: Vec<bool>,
    /// Values that are never dropped.
    fixed: Vec<bool>,
    /// Values that something reads behind the forward pass.
    read: Vec<bool>,
    /// Forward nodes that run again.
    again: Vec<bool>,
    /// Work of each forward node.
    work: Vec<u64>,
}

/// Work for bytes.
#[derive(Clone, Copy)]
struct Price {
    work: u64,
    bytes: u64,
}

impl Price {
    fn below(self, other: Price) -> bool {
        u128::from(self.work) * u128::from(other.bytes) < u128::from(other.work) * u128::from(self.bytes)
    }
}

impl<'a> Ranking<'a> {
    fn new(program: &'a Program, forward: &'a [Node], backward: &[Node]) -> Ranking<'a> {
        let count = program.values.len();
        let (mut producer, mut fixed, mut read) = (vec![None; count], vec![true; count], vec![false; count]);
        for (i, node) in forward.iter().enumerate() {
            for value in &node.outputs {
                producer[value.index()] = Some(i);
                fixed[value.index()] = !node.op.updates().is_empty();
            }
            for value in &node.inputs {
                let made = producer[value.index()].map(|i| forward[i].scope);
                fixed[value.index()] |= made.is_some_and(|scope| scope != node.scope);
            }
        }
        backward.iter().flat_map(|node| &node.inputs).for_each(|value| read[value.index()] = true);
        // What nothing reads behind the forward pass is not kept anyway.
        let kept = fixed.iter().zip(&read).map(|(fixed, read)| *fixed || *read).collect();
        let again = vec![false; forward.len()];
        let work = forward.iter().map(|node| work(program, node)).collect();
        Ranking { program, forward, producer, kept, fixed, read, again, work }
    }
    /// What it takes, and brings, to run a node again; none where nothing is won.
    fn price(&self, node: usize) -> Option<Price> {
        let outputs = self.forward[node].outputs.iter().copied();
        let saved: u64 =
            outputs.filter(|v| self.held(*v) && !self.fixed[v.index()]).map(|v| self.bytes(v)).sum();
        if saved == 0 {
            return None;
        }
        let (nodes, sources) = self.closure(node);
        let newly: u64 = sources.iter().filter(|v| !self.read[v.index()]).map(|v| self.bytes(*v)).sum();
        let work = nodes.iter().map(|node| self.work[*node]).sum();
        (saved > newly).then(|| Price { work, bytes: saved - newly })
    }
    /// Runs a node again.
    fn drop(&mut self, node: usize) {
        let (nodes, sources) = self.closure(node);
        nodes.into_iter().for_each(|node| self.again[node] = true);
        sources.into_iter().for_each(|value| self.read[value.index()] = true);
        for value in &self.forward[node].outputs {
            self.kept[value.index()] = self.fixed[value.index()];
        }
    }
    /// The nodes that must run again for a node besides those that do already, itself among them, and the kept values that
    /// they read.
    fn closure(&self, node: usize) -> (BTreeSet<usize>, BTreeSet<Value>) {
        let (mut nodes, mut sources, mut open) = (BTreeSet::from([node]), BTreeSet::new(), vec![node]);
        while let Some(node) = open.pop() {
            for value in &self.forward[node].inputs {
                let Some(producer) = self.producer[value.index()] else { continue };
                if self.kept[value.index()] {
                    sources.insert(*value);
                } else if !self.again[producer] && nodes.insert(producer) {
                    open.push(producer);
                }
            }
        }
        (nodes, sources)
    }
    /// Whether a value lives from one pass into the other.
    fn held(&self, value: Value) -> bool {
        self.kept[value.index()] && self.read[value.index()]
    }
    fn bytes(&self, value: Value) -> u64 {
        self.program.info(value).ty.bytes() as u64
    }
}

/// In the time of a byte. Activation functions are done in the product before them, on its way out.
fn work(program: &Program, node: &Node) -> u64 {
    let cost = node.op.cost(&program.input_types(node), &program.output_types(node));
    if node.op.cheap() { 0 } else { cost.bytes.max(cost.flops * node.op.effort() / FLOPS_PER_BYTE) }
}
