//! Recomputation: activations that the backward pass needs are computed again instead of kept.
//!
//! Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv 1604.06174). A value that is not kept is
//! recomputed right before the first backward node that reads it, from values that are kept; the clone is shared by
//! all later readers. Every op is deterministic, so gradients are bit-equal under every policy.

use crate::rank;
use crate::{Builder, Node, Program, Role, Scope, Value, ValueInfo};
use std::collections::HashMap;

/// What the backward pass recomputes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Recompute {
    /// Nothing: every activation the backward pass reads is kept.
    #[default]
    None,
    /// Outputs of ops that are cheap to run again for their bytes, and what such ops alone read: the inner activations of
    /// feed-forward blocks. Norms are kept in one form only, also without this.
    Cheap,
    /// Everything inside a scope: only values that cross scopes are kept.
    Block,
    /// The outputs of this many nodes inside of scopes, those that cost least for each byte first: from `None` to `Block`, as
    /// far as a budget of memory asks.
    Ranked(usize),
}

/// Finishes a program whose backward pass begins at node `first_backward`, under a policy.
pub fn recompute(builder: Builder, first_backward: usize, policy: Recompute) -> Program {
    let mut program = builder.program;
    if policy != Recompute::None {
        apply(&mut program, first_backward, policy);
    }
    program.drop_dead_nodes();
    program
}

fn apply(program: &mut Program, first_backward: usize, policy: Recompute) {
    let nodes = std::mem::take(&mut program.nodes);
    let (forward, backward) = nodes.split_at(first_backward);
    let kept = match policy {
        Recompute::Ranked(count) => rank::kept_values(program, forward, backward, count),
        _ => kept_values(program, forward, backward, policy),
    };
    let producer: HashMap<Value, usize> = forward
        .iter()
        .enumerate()
        .flat_map(|(i, node)| node.outputs.iter().map(move |v| (*v, i)))
        .filter(|(v, _)| !kept[v.index()])
        .collect();
    let mut pass = Pass {
        forward,
        producer,
        clones: HashMap::new(),
        out: forward.to_vec(),
        values: &mut program.values,
    };
    for node in backward {
        let mut node = node.clone();
        node.inputs.iter_mut().for_each(|v| *v = pass.materialize(*v));
        pass.out.push(node);
    }
    program.nodes = pass.out;
}

struct Pass<'a> {
    forward: &'a [Node],
    /// Forward node of every value that is not kept.
    producer: HashMap<Value, usize>,
    clones: HashMap<Value, Value>,
    out: Vec<Node>,
    values: &'a mut Vec<ValueInfo>,
}

impl Pass<'_> {
    fn materialize(&mut self, value: Value) -> Value {
        let Some(&index) = self.producer.get(&value) else { return value };
        if let Some(&clone) = self.clones.get(&value) {
            return clone;
        }
        let mut node = self.forward[index].clone();
        node.inputs.iter_mut().for_each(|v| *v = self.materialize(*v));
        for output in &mut node.outputs {
            let clone = Value(self.values.len() as u32);
            let info = ValueInfo { role: Role::Activation, ..self.values[output.index()].clone() };
            self.values.push(info);
            self.clones.insert(*output, clone);
            *output = clone;
        }
        self.out.push(node);
        self.clones[&value]
    }
}

fn kept_values(program: &Program, forward: &[Node], backward: &[Node], policy: Recompute) -> Vec<bool> {
    let mut kept = vec![true; program.values.len()];
    let mut scope_of: HashMap<Value, Scope> = HashMap::new();
    for node in forward.iter().filter(|n| n.op.updates().is_empty()) {
        for value in &node.outputs {
            scope_of.insert(*value, node.scope);
            kept[value.index()] = match policy {
                Recompute::Cheap => !node.op.cheap(),
                Recompute::Block => false,
                Recompute::None | Recompute::Ranked(_) => true,
            };
        }
    }
    if policy == Recompute::Cheap {
        let mut needed = vec![false; program.values.len()];
        let others = forward.iter().filter(|node| !node.op.cheap()).chain(backward);
        others.flat_map(|node| &node.inputs).for_each(|value| needed[value.index()] = true);
        let read = forward.iter().flat_map(|node| &node.inputs);
        // What only cheap nodes read runs again with them.
        for value in read.filter(|value| scope_of.contains_key(value) && !needed[value.index()]) {
            kept[value.index()] = false;
        }
    }
    if policy == Recompute::Block {
        for node in forward {
            for value in node.inputs.iter().filter(|v| scope_of.get(v).is_some_and(|s| *s != node.scope)) {
                kept[value.index()] = true;
            }
        }
    }
    kept
}
