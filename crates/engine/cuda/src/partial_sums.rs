//! The second halves of sums over blocks, together.
//!
//! The gradients of a model's scalars and gates are sums over all rows. A kernel that makes such shares leaves one for each of its
//! blocks; adding those is a launch of a few microseconds, of which a micro-step would have one or two for each layer. Here the
//! shares become an output of their node, and one node behind all of them adds them: sums are due when something else uses
//! the gradient, or at the end. Each sum has its own order, which is the same in every run.

use crate::of_input::OfInput;
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use wootz_ops::{BackoutBackward, GateStrengthBackward, ResidualMixBackward, SmearBackward};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Scope, Type, Value, ValueInfo};

/// An op all of whose updates are sums over the blocks of its kernel.
pub(crate) trait Summed: Op {
    /// The sums at operands of these types.
    fn sums(&self, inputs: &[&Type]) -> Sums;
}

/// What a kernel leaves shares of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    /// Shares of each number.
    pub blocks: usize,
    /// What the sums are multiplied with.
    pub factor: f64,
    /// Where the sums are added, in the order of the shares.
    pub targets: Vec<Target>,
}

/// Consecutive numbers of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// The operand.
    pub input: usize,
    /// Its first element.
    pub first: usize,
    /// Number of elements.
    pub len: usize,
}

impl Sums {
    fn shares(&self) -> Type {
        Type::f32([self.targets.iter().map(|target| target.len).sum(), self.blocks])
    }
}

/// The op with the shares as one more output, the last, and with no update: operands that it would have added to stay as they are.
#[derive(Debug, Clone)]
pub(crate) struct Shares<T>(
    /// The op that adds them by itself.
    pub T,
);

impl<T: Summed> Op for Shares<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let mut outputs = self.0.infer(inputs)?;
        outputs.push(self.0.sums(inputs).shares());
        Ok(outputs)
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(inputs, outputs)
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        self.0.in_place(inputs)
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// `(shares, its targets…, shares, its targets…, …)`: every target takes the sums of its shares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AddSums {
    /// What the operands are; the targets' inputs count from the first operand of this node.
    pub of: Vec<Sums>,
}

impl Op for AddSums {
    fn name(&self) -> &'static str {
        "partial_sums"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, _inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        Ok(Vec::new())
    }
    fn updates(&self) -> Vec<usize> {
        self.of.iter().flat_map(|sums| &sums.targets).map(|target| target.input).collect()
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// Adds all shares of a program together.
pub(crate) fn gather(program: &mut Program) {
    let mut due = Due::default();
    for mut node in std::mem::take(&mut program.nodes) {
        let Some((op, sums)) = summed(program, &node) else {
            if node.inputs.iter().any(|value| due.gradients.contains(value)) {
                program.nodes.extend(due.take());
            }
            program.nodes.push(node);
            continue;
        };
        // A number has one sum in a node: otherwise two blocks would add to it at once.
        if due.holds(&node, &sums) {
            program.nodes.extend(due.take());
        }
        let name = format!("sums.{}", program.info(node.inputs[sums.targets[0].input]).name);
        let shares = program.add(ValueInfo { name, ty: sums.shares(), role: Role::Activation });
        due.add(&node, shares, sums);
        node.op = op;
        node.outputs.push(shares);
        program.nodes.push(node);
    }
    program.nodes.extend(due.take());
}

/// Shares that are not added yet.
#[derive(Default)]
struct Due {
    inputs: Vec<Value>,
    of: Vec<Sums>,
    gradients: BTreeSet<Value>,
    numbers: BTreeSet<(Value, usize)>,
    scope: Scope,
}

impl Due {
    fn holds(&self, node: &Node, sums: &Sums) -> bool {
        numbers(node, sums).any(|number| self.numbers.contains(&number))
    }
    fn add(&mut self, node: &Node, shares: Value, mut sums: Sums) {
        self.numbers.extend(numbers(node, &sums));
        self.scope = node.scope;
        self.inputs.push(shares);
        for target in &mut sums.targets {
            let gradient = node.inputs[target.input];
            self.gradients.insert(gradient);
            target.input = self.inputs.len();
            self.inputs.push(gradient);
        }
        self.of.push(sums);
    }
    /// The node that adds them, where there are any.
    fn take(&mut self) -> Option<Node> {
        let Due { inputs, of, scope, .. } = std::mem::take(self);
        let op = Arc::new(AddSums { of });
        (!inputs.is_empty()).then(|| Node { op, inputs, outputs: Vec::new(), scope })
    }
}

fn numbers(node: &Node, sums: &Sums) -> impl Iterator<Item = (Value, usize)> {
    let of = |target: &Target| (node.inputs[target.input], target.first, target.len);
    let targets: Vec<_> = sums.targets.iter().map(of).collect();
    targets.into_iter().flat_map(|(value, first, len)| (first..first + len).map(move |i| (value, i)))
}

/// The op that leaves its shares, for one that adds them, and the sums.
fn summed(program: &Program, node: &Node) -> Option<(Arc<dyn Op>, Sums)> {
    fn of<T: Summed + Clone>(program: &Program, node: &Node) -> Option<(Arc<dyn Op>, Sums)> {
        let op = node.op.as_any().downcast_ref::<T>()?;
        Some((Arc::new(Shares(op.clone())), op.sums(&program.input_types(node))))
    }
    of::<ResidualMixBackward>(program, node)
        .or_else(|| of::<OfInput<ResidualMixBackward>>(program, node))
        .or_else(|| of::<GateStrengthBackward>(program, node))
        .or_else(|| of::<SmearBackward>(program, node))
        .or_else(|| of::<BackoutBackward>(program, node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_ops::{Add, GlobalNorm};
    use wootz_program::{Builder, plan};

    /// The backward passes of layers' mixes and a gate, between two of which something may read a gradient.
    fn layers(order: &[usize], reads: bool) -> Program {
        let mut b = Builder::new();
        let [x, x0, d] = ["x", "x0", "d"].map(|name| b.input(name, Type::f32([2, 8, 64])));
        let rstd = b.input("rstd", Type::f32([2, 8]));
        let scalars = ["resid", "skip", "dresid", "dskip"].map(|name| b.parameter(name, Type::f32([4])));
        let [s, ds] = ["s", "ds"].map(|name| b.input(name, Type::f32([2, 8, 2])));
        let [gate, dgate] = ["gate", "dgate"].map(|name| b.parameter(name, Type::f32([2, 12])));
        let mut dx = d;
        for layer in order {
            let op = ResidualMixBackward { layer: *layer, mixed: true, normed: false };
            let inputs = [&[dx, x, rstd, x0], &scalars[..]].concat();
            dx = b.apply(op, &inputs).expect("fits")[0];
            if reads {
                let norm = b.apply_one(GlobalNorm, &[scalars[2]]).expect("fits");
                b.output(norm, &format!("norm{layer}"));
            }
        }
        let dn = b.apply_one(GateStrengthBackward, &[ds, s, x, gate, dgate]).expect("fits");
        let sum = b.apply_one(Add, &[dn, dx]).expect("fits");
        b.output(sum, "sum");
        b.finish()
    }

    fn names(program: &Program) -> Vec<&str> {
        program.nodes.iter().map(|node| node.op.name()).collect()
    }

    const MIX: &str = "residual_mix_backward";
    const GATE: &str = "gate_strength_backward";

    #[test]
    fn one_node_adds_all() {
        let mut program = layers(&[2, 1, 0], false);
        gather(&mut program);
        assert_eq!(names(&program), [MIX, MIX, MIX, GATE, "add", "partial_sums"]);
        let last = program.nodes.last().expect("there are nodes");
        let op = last.op.as_any().downcast_ref::<AddSums>().expect("the sums");
        assert_eq!(last.inputs.len(), 3 * 3 + 2);
        assert_eq!(op.of[1].targets.iter().map(|t| (t.first, t.len)).collect::<Vec<_>>(), [(1, 1), (1, 1)]);
        let named = |i: usize| program.info(last.inputs[i]).name.as_str();
        assert_eq!(op.updates().into_iter().map(named).collect::<Vec<_>>()[5..], ["dskip", "dgate"]);
        assert_eq!(op.of[3].targets, [Target { input: 10, first: 0, len: 24 }]);
        for node in &program.nodes {
            let inferred = node.op.infer(&program.input_types(node)).expect("operands that fit");
            let written: Vec<Type> = program.output_types(node).into_iter().cloned().collect();
            assert_eq!(inferred, written, "{}", node.op.name());
        }
        // The shares live until they are added.
        let plan = plan(&program, &|_, _| 0);
        let place = |i: usize| {
            let shares = *program.nodes[i].outputs.last().expect("shares");
            plan.offsets[shares.index()].expect("a place")
        };
        assert_eq!([0, 1, 2, 3].map(place).into_iter().collect::<BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn sums_are_there_when_a_gradient_is_used() {
        let mut program = layers(&[1, 0], true);
        gather(&mut program);
        let sums = "partial_sums";
        let expected = [MIX, sums, "global_norm", MIX, sums, "global_norm", GATE, "add", sums];
        assert_eq!(names(&program), expected);
    }

    #[test]
    fn two_sums_of_one_number_are_added_one_after_the_other() {
        let mut program = layers(&[1, 0, 1], false);
        gather(&mut program);
        assert_eq!(names(&program), [MIX, MIX, "partial_sums", MIX, GATE, "add", "partial_sums"]);
    }
}
