//! Backward passes of norms from what was normed, where that takes less than from the norm.
//!
//! In 8-bit training a norm exists in 8 bits only, unless something else reads it: for its own backward pass alone it would have
//! to be written in bf16 as well. The stream before it has been written anyway, and takes the norm's place among the operands
//! and in memory; the kernel makes the norm of it again, with the factors that the forward pass has kept.

use std::any::Any;
use std::sync::Arc;
use wootz_ops::{ResidualMixBackward, RmsNormBackward};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, Value};

/// The op with what was normed, the stream x, in place of the norm.
#[derive(Debug, Clone)]
pub(crate) struct OfInput<T>(
    /// The op that takes the norm.
    pub T,
);

impl<T: Op> Op for OfInput<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        self.0.infer(inputs)
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(inputs, outputs)
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        self.0.in_place(inputs)
    }
    fn updates(&self) -> Vec<usize> {
        self.0.updates()
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// Rewrites every backward pass of a norm that only nodes `in_8_bits` read beside it.
pub(crate) fn choose(program: &mut Program, in_8_bits: &dyn Fn(&Program, &Node) -> bool) {
    for at in 0..program.nodes.len() {
        let Some((operand, op)) = taking_input(&program.nodes[at]) else { continue };
        let normed = program.nodes[at].inputs[operand];
        let mut others =
            program.nodes.iter().enumerate().filter(|(i, n)| *i != at && n.inputs.contains(&normed));
        let alone =
            others.all(|(_, node)| in_8_bits(program, node)) && program.info(normed).role == Role::Activation;
        let Some(x) = stream(&program.nodes[..at], normed).filter(|_| alone) else { continue };
        if program.info(x).role == Role::Activation && program.info(x).ty == program.info(normed).ty {
            program.nodes[at].op = op;
            program.nodes[at].inputs[operand] = x;
        }
    }
}

/// The place of the norm among a node's operands, and the op that takes the stream there.
fn taking_input(node: &Node) -> Option<(usize, Arc<dyn Op>)> {
    let op = node.op.as_any();
    if let Some(op) = op.downcast_ref::<RmsNormBackward>() {
        Some((1, Arc::new(OfInput(op.clone()))))
    } else if let Some(op) = op.downcast_ref::<ResidualMixBackward>() {
        Some((op.gradients(), Arc::new(OfInput(op.clone()))))
    } else {
        None
    }
}

/// What the norm is of, or the first part of the mix that it is of.
fn stream(nodes: &[Node], normed: Value) -> Option<Value> {
    let norm = nodes.iter().find(|node| node.outputs.contains(&normed))?;
    let known = ["rms_norm", "residual_mix"].contains(&norm.op.name());
    known.then(|| norm.inputs[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_ops::{Linear, ResidualMix, RmsNorm};
    use wootz_program::{Builder, Recompute, recompute};

    /// Two blocks of a mix and a linear, forward and backward, in 8 bits.
    fn blocks() -> Program {
        let mut b = Builder::new();
        let tokens = b.input("tokens", Type::i32([2, 64]));
        let table = b.parameter("table", Type::f32([16, 128]));
        let [resid, skip] = ["resid", "skip"].map(|name| b.parameter(name, Type::f32([2])));
        let x0 = b.apply_one(wootz_ops::Embedding, &[table, tokens]).expect("an embedding");
        let mut x = x0;
        for layer in 0..2 {
            let w = b.parameter(&format!("w{layer}"), Type::f32([128, 128]));
            let mixed = b.apply(ResidualMix { layer }, &[x, x0, resid, skip]).expect("a mix");
            x = b
                .apply_one(Linear { weights: 1, residual: true }, &[mixed[1], w, mixed[0]])
                .expect("a linear map");
        }
        let y = b.apply(RmsNorm, &[x]).expect("a norm")[0];
        let seed = b.input("seed", b.ty(y).clone());
        b.output(y, "y");
        let first = wootz_ops::reverse(&mut b, y, seed).expect("a backward pass");
        let program = recompute(b, first, Recompute::None);
        let precision = crate::gpu::Precision { fp8: true, ..Default::default() };
        crate::lower::lower(vec![program], precision).expect("lowered").remove(0)
    }

    #[test]
    fn norms_that_nothing_else_reads_are_left_in_8_bits() {
        let program = blocks();
        let mixes: Vec<&Node> =
            program.nodes.iter().filter(|node| node.op.name() == "residual_mix_backward").collect();
        assert_eq!(mixes.len(), 2);
        for node in mixes {
            let op =
                node.op.as_any().downcast_ref::<crate::partial_sums::Shares<OfInput<ResidualMixBackward>>>();
            let x = node.inputs[op.expect("from the stream").0.0.gradients()];
            let made =
                program.nodes.iter().find(|other| other.op.name() == "norm_fp8" && other.inputs[0] == x);
            let normed = made.expect("the norm of it").outputs[1];
            assert!(!program.nodes.iter().any(|node| node.inputs.contains(&normed)), "nothing reads it");
            let inferred = node.op.infer(&program.input_types(node)).expect("operands that fit");
            assert_eq!(inferred.len(), 3);
        }
    }

    #[test]
    fn norms_that_something_else_reads_are_kept() {
        let program = blocks();
        let of_norm = program.nodes.iter().filter(|node| node.op.as_any().is::<RmsNormBackward>());
        assert_eq!(of_norm.count(), 1, "the last one is read by the host");
    }
}
