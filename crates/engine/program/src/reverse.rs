//! Reverse-mode differentiation: appends to a forward program the nodes that compute its gradients.
//!
//! The nodes are walked backwards; each op's rule emits other ops. The gradient of an activation is a value; the
//! gradient of a parameter is a persistent buffer that rules accumulate into, so that several micro-steps add up
//! with no pass of their own.

use crate::{Builder, Node, Op, OpError, Role, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Appends the backward pass of `loss`.
///
/// `seed` is the gradient of the loss (a scalar input, e.g. 1 / accumulation steps). `sum` adds two gradients of
/// one value. Returns the index of the first backward node.
pub fn reverse(builder: &mut Builder, loss: Value, seed: Value, sum: Arc<dyn Op>) -> Result<usize, OpError> {
    let forward = builder.program.nodes.clone();
    let first = forward.len();
    let mut state = Reverse { needs: needs_gradient(builder, &forward), gradients: HashMap::new(), sum };
    let mut replaced = Vec::new();
    state.gradients.insert(loss, seed);
    for node in forward.iter().rev() {
        let reached = node.outputs.iter().any(|v| state.gradients.contains_key(v));
        if reached && node.inputs.iter().any(|v| state.needs[v.index()]) {
            builder.enter(node.scope);
            let mut backward = Backward { builder, node, state: &mut state, replaced: &mut replaced };
            node.op.backward(&mut backward)?;
            check_parameters(builder, node, &state.gradients)?;
        }
    }
    Ok(redirect(builder, &replaced, first))
}

/// The view an op's backward rule has of its node.
pub struct Backward<'a> {
    builder: &'a mut Builder,
    node: &'a Node,
    state: &'a mut Reverse,
    replaced: &'a mut Vec<(Value, Value)>,
}

struct Reverse {
    needs: Vec<bool>,
    gradients: HashMap<Value, Value>,
    sum: Arc<dyn Op>,
}

impl Backward<'_> {
    /// Input `i` of the forward node.
    pub fn input(&self, i: usize) -> Value {
        self.node.inputs[i]
    }
    /// Output `i` of the forward node.
    pub fn output(&self, i: usize) -> Value {
        self.node.outputs[i]
    }
    /// The gradient of output `i`; an error for rules that cannot do without.
    pub fn gradient(&self, i: usize) -> Result<Value, OpError> {
        self.reached(i)
            .ok_or_else(|| OpError::inputs(self.node.op.name(), format!("no gradient reaches output {i}")))
    }
    /// The gradient of output `i`, where one reaches it.
    pub fn reached(&self, i: usize) -> Option<Value> {
        self.state.gradients.get(&self.node.outputs[i]).copied()
    }
    /// An error where a gradient reaches output `i`, for which the op has no rule.
    pub fn without_gradient(&self, i: usize) -> Result<(), OpError> {
        match self.gradient(i) {
            Ok(_) => {
                Err(OpError::inputs(self.node.op.name(), format!("its output {i} is not differentiable")))
            }
            Err(_) => Ok(()),
        }
    }
    /// Number of inputs of the forward node.
    pub fn input_count(&self) -> usize {
        self.node.inputs.len()
    }
    /// Whether input `i` is, or depends on, a parameter.
    pub fn needs(&self, i: usize) -> bool {
        self.state.needs[self.node.inputs[i].index()]
    }
    /// The persistent buffer of input `i`'s gradient, which must be a parameter.
    pub fn parameter_gradient(&mut self, i: usize) -> Result<Value, OpError> {
        let parameter = self.node.inputs[i];
        match self.builder.program.info(parameter).role {
            Role::Parameter => Ok(self.builder.gradient(parameter)),
            _ => Err(OpError::inputs(
                self.node.op.name(),
                format!("input {i} must be a parameter to be trained"),
            )),
        }
    }
    /// The gradient gathered so far for input `i`, for rules that can add to it in place.
    pub fn partial(&self, i: usize) -> Option<Value> {
        self.state.gradients.get(&self.node.inputs[i]).copied()
    }
    /// Replaces the gradient of input `i` by one that already includes [`Backward::partial`].
    pub fn set(&mut self, i: usize, gradient: Value) {
        self.state.gradients.insert(self.node.inputs[i], gradient);
    }
    /// Adds to the gradient of input `i`.
    pub fn contribute(&mut self, i: usize, gradient: Value) -> Result<(), OpError> {
        let total = match self.partial(i) {
            Some(partial) => self.builder.push(self.state.sum.clone(), &[partial, gradient])?[0],
            None => gradient,
        };
        self.set(i, total);
        Ok(())
    }
    /// Appends a node.
    pub fn emit(&mut self, op: impl Op, inputs: &[Value]) -> Result<Vec<Value>, OpError> {
        self.builder.apply(op, inputs)
    }
    /// Lets `by`, computed in the backward pass, stand for output `i` of the forward node, so that a rule which
    /// computes both in one pass makes the forward node dead.
    pub fn replace(&mut self, i: usize, by: Value) {
        self.replaced.push((self.node.outputs[i], by));
    }
}

/// The gradient of a parameter belongs in its buffer; one that a rule left as a value would be lost.
fn check_parameters(
    builder: &Builder,
    node: &Node,
    gradients: &HashMap<Value, Value>,
) -> Result<(), OpError> {
    let parameters = node.inputs.iter().filter(|v| builder.program.info(**v).role == Role::Parameter);
    match parameters.into_iter().find(|v| gradients.contains_key(v)) {
        None => Ok(()),
        Some(lost) => Err(OpError::inputs(
            node.op.name(),
            format!("its rule does not train {:?}, a parameter", builder.program.info(*lost).name),
        )),
    }
}

fn needs_gradient(builder: &Builder, nodes: &[Node]) -> Vec<bool> {
    let mut needs: Vec<bool> = builder.program.values.iter().map(|v| v.role == Role::Parameter).collect();
    for node in nodes {
        if node.inputs.iter().any(|v| needs[v.index()]) {
            node.outputs.iter().for_each(|v| needs[v.index()] = true);
        }
    }
    needs
}

/// Renames replaced values. What reads them in the forward pass (running sums of the loss) moves behind the backward pass,
/// where the replacement exists, and takes along what reads its results. Returns the index of the first backward node.
fn redirect(builder: &mut Builder, replaced: &[(Value, Value)], first: usize) -> usize {
    let by: HashMap<Value, Value> = replaced.iter().copied().collect();
    let mut nodes = std::mem::take(&mut builder.program.nodes);
    let backward = nodes.split_off(first);
    let moves = moves_behind(&nodes, &backward, &by);
    let (moved, kept): (Vec<_>, Vec<_>) = nodes.into_iter().zip(moves).partition(|(_, moves)| *moves);
    let first = kept.len();
    builder.program.nodes = kept.into_iter().map(|(node, _)| node).chain(backward).collect();
    builder.program.nodes.extend(moved.into_iter().map(|(mut node, _)| {
        node.inputs.iter_mut().for_each(|v| *v = by.get(v).copied().unwrap_or(*v));
        node
    }));
    for (old, new) in replaced {
        let (role, name) = (builder.program.info(*old).role, builder.program.info(*old).name.clone());
        if role == Role::Output {
            builder.program.values[old.index()].role = Role::Activation;
            builder.output(*new, &name);
        }
    }
    first
}

/// For each forward node, whether it runs behind the backward pass: it reads a replaced value or what such a node wrote,
/// and the backward pass does not wait for it.
fn moves_behind(forward: &[Node], backward: &[Node], by: &HashMap<Value, Value>) -> Vec<bool> {
    let mut awaited: HashSet<Value> = backward.iter().flat_map(|node| &node.inputs).copied().collect();
    let mut pinned = vec![false; forward.len()];
    for (node, pinned) in forward.iter().zip(&mut pinned).rev() {
        *pinned = node.outputs.iter().any(|v| awaited.contains(v));
        if *pinned {
            awaited.extend(&node.inputs);
        }
    }
    let mut late: HashSet<Value> = by.keys().copied().collect();
    let moves = forward.iter().zip(pinned).map(|(node, pinned)| {
        let moves = !pinned && node.inputs.iter().any(|v| late.contains(v));
        if moves {
            late.extend(&node.outputs);
        }
        moves
    });
    moves.collect()
}
