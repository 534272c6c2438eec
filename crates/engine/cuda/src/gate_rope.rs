//! What happens to the packed queries, keys and values between their product and attention, in one node: value embeddings with the
//! strengths that they are taken with, RoPE and norm. They touch different columns of the same rows, and each alone is short.

use std::any::Any;
use std::sync::Arc;
use wootz_ops::{GateStrength, QkNormRope, ValueGate};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, Value};
use wootz_tensor::DType;

/// Value heads and channels of the gate that the kernel takes at most.
const MOST_HEADS: usize = 32;
const MOST_CHANNELS: usize = 16;

/// `(qkv_btw, n_btc, gate_kg, table_v(kd), tokens_bt) -> qkv_btw, rstd_bt(h+k), s_btk`: the values take a share s of their tokens'
/// rows, queries and keys are rotated and normed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GateRope {
    /// What becomes of the values.
    pub gate: ValueGate,
    /// What becomes of queries and keys.
    pub rope: QkNormRope,
}

impl Op for GateRope {
    fn name(&self) -> &'static str {
        "value_gate_rope"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let &[qkv, n, gate, table, tokens] = inputs else {
            return Err(OpError::inputs(self.name(), format!("expected 5 inputs, got {}", inputs.len())));
        };
        let s = GateStrength.infer(&[n, gate])?.remove(0);
        let gated = self.gate.infer(&[qkv, &s, table, tokens])?;
        let mut outputs = self.rope.infer(&[&gated[0]])?;
        outputs.push(s);
        Ok(outputs)
    }
    /// Of n only the gate's channels are read, of the table a row for each token.
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let rows = inputs[4].shape.len();
        let channels = rows * inputs[2].shape.last() * inputs[1].dtype.bytes();
        let looked_up = rows * inputs[3].shape.last() * inputs[3].dtype.bytes();
        let whole: usize = [inputs[0], inputs[2], inputs[4]].iter().chain(outputs).map(|ty| ty.bytes()).sum();
        Cost { flops: 0, bytes: (whole + channels + looked_up) as u64 }
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
    fn statistics(&self) -> &'static [usize] {
        &[1, 2]
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// Puts the one node where RoPE and norm stood, wherever the three follow one another and the kernel takes their sizes.
pub(crate) fn join(program: &mut Program) {
    let mut at = 0;
    while at < program.nodes.len() {
        if let Some((node, gone)) = joined(program, at) {
            program.nodes[at] = node;
            gone.into_iter().for_each(|i| drop(program.nodes.remove(i)));
            at -= gone.len();
        }
        at += 1;
    }
}

/// The node for the three that end at `at`, and where the others are, the later one first.
fn joined(program: &Program, at: usize) -> Option<(Node, [usize; 2])> {
    let last = &program.nodes[at];
    let rope = last.op.as_any().downcast_ref::<QkNormRope>()?;
    let &[gated] = &last.inputs[..] else { return None };
    let second = producer(program, at, gated)?;
    let gate = program.nodes[second].op.as_any().downcast_ref::<ValueGate>()?;
    let &[qkv, s, table, tokens] = &program.nodes[second].inputs[..] else { return None };
    let first = producer(program, second, s)?;
    let strength = &program.nodes[first];
    let (true, &[n, weights]) = (strength.op.as_any().is::<GateStrength>(), &strength.inputs[..]) else {
        return None;
    };
    // Nothing else reads the rows between, or the strengths before the one node makes them.
    let reads = |value: Value| move |i: &usize| program.nodes[*i].inputs.contains(&value);
    let alone = !(0..program.nodes.len()).filter(|i| *i != at).any(|i| reads(gated)(&i))
        && !(first..at).filter(|i| *i != second).any(|i| reads(s)(&i))
        && [gated, s].iter().all(|value| program.info(*value).role == Role::Activation);
    let operands = [qkv, n, weights, table, tokens];
    let changed = |node: &Node| node.op.updates().iter().any(|i| operands.contains(&node.inputs[*i]));
    let kept = !program.nodes[first..at].iter().any(changed);
    if !alone || !kept || !fits(program, gate, rope, operands) {
        return None;
    }
    let op = Arc::new(GateRope { gate: gate.clone(), rope: rope.clone() });
    let outputs = [&last.outputs[..], &[s]].concat();
    Some((Node { op, inputs: operands.to_vec(), outputs, scope: last.scope }, [second, first]))
}

fn producer(program: &Program, before: usize, value: Value) -> Option<usize> {
    program.nodes[..before].iter().rposition(|node| node.outputs.contains(&value))
}

/// Whether the kernel takes these sizes.
fn fits(
    program: &Program,
    gate: &ValueGate,
    rope: &QkNormRope,
    [qkv, n, weights, table, _]: [Value; 5],
) -> bool {
    let ty = |value: Value| &program.info(value).ty;
    let (d, channels, width) = (rope.head_dim, ty(weights).shape.last(), ty(n).shape.last());
    let floats = [qkv, n, weights, table].iter().all(|v| matches!(ty(*v).dtype, DType::BF16 | DType::F32));
    floats
        && rope.heads == gate.heads + gate.kv_heads
        && ty(qkv).shape.last() == (rope.heads + gate.kv_heads) * d
        && d.is_power_of_two()
        && (16..=512).contains(&d)
        && gate.kv_heads <= MOST_HEADS
        && channels.is_multiple_of(4)
        && channels <= MOST_CHANNELS
        && width.is_multiple_of(8)
        && width >= MOST_CHANNELS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Precision;
    use crate::lower::lower;
    use wootz_ops::{Embedding, Linear, RmsNorm, reverse};
    use wootz_program::{Builder, Recompute, plan, recompute};

    /// Two layers of a gate, a product, a value embedding and RoPE, forward and backward, as they are lowered.
    fn layers(gate_channels: usize, read_between: bool) -> Program {
        let (heads, kv_heads, d, c) = (4, 2, 32, 64);
        let mut b = Builder::new();
        let tokens = b.input("tokens", Type::i32([2, 64]));
        let table = b.parameter("table", Type::f32([16, c]));
        let mut x = b.apply_one(Embedding, &[table, tokens]).expect("an embedding");
        for layer in 0..2 {
            let values = b.parameter(&format!("values{layer}"), Type::f32([16, kv_heads * d]));
            let w = b.parameter(&format!("w{layer}"), Type::f32([(heads + 2 * kv_heads) * d, c]));
            let out = b.parameter(&format!("out{layer}"), Type::f32([c, (heads + 2 * kv_heads) * d]));
            let gate = b.parameter(&format!("gate{layer}"), Type::f32([kv_heads, gate_channels]));
            let n = b.apply(RmsNorm, &[x]).expect("a norm")[0];
            let s = b.apply_one(GateStrength, &[n, gate]).expect("strengths");
            let qkv = b.apply_one(Linear::PLAIN, &[n, w]).expect("a linear map");
            let op = ValueGate { heads, kv_heads };
            let gated = b.apply_one(op, &[qkv, s, values, tokens]).expect("a gate");
            let op = QkNormRope { heads: heads + kv_heads, head_dim: d, base: 1e5, scale: 1.2 };
            let mut y = b.apply(op, &[gated]).expect("a norm")[0];
            if read_between {
                y = b.apply_one(wootz_ops::Add, &[y, gated]).expect("a sum");
            }
            let op = Linear { weights: 1, residual: true };
            x = b.apply_one(op, &[y, out, x]).expect("a linear map");
        }
        let y = b.apply(RmsNorm, &[x]).expect("a norm")[0];
        let seed = b.input("seed", b.ty(y).clone());
        b.output(y, "y");
        let first = reverse(&mut b, y, seed).expect("a backward pass");
        let program = recompute(b, first, Recompute::None);
        lower(vec![program], Precision::default()).expect("lowered").remove(0)
    }

    fn count(program: &Program, name: &str) -> usize {
        program.nodes.iter().filter(|node| node.op.name() == name).count()
    }

    #[test]
    fn three_nodes_become_one_and_the_plan_does_not_grow() {
        let mut program = layers(12, false);
        let before = (program.nodes.len(), plan(&program, &|_, _| 0).arena_bytes);
        join(&mut program);
        assert_eq!(program.nodes.len(), before.0 - 2 * 2);
        assert!(plan(&program, &|_, _| 0).arena_bytes <= before.1);
        assert_eq!(count(&program, "value_gate_rope"), 2);
        for name in ["gate_strength", "value_gate", "qk_norm_rope"] {
            assert_eq!(count(&program, name), 0, "{name}");
        }
        let mut known: Vec<Value> = Vec::new();
        for node in &program.nodes {
            let inferred = node.op.infer(&program.input_types(node)).expect("operands that fit");
            assert_eq!(inferred.len(), node.outputs.len(), "{}", node.op.name());
            let computed = |v: &&Value| program.info(**v).role == Role::Activation;
            assert!(node.inputs.iter().filter(computed).all(|v| known.contains(v)), "{}", node.op.name());
            known.extend(&node.outputs);
        }
    }

    #[test]
    fn what_is_read_between_or_does_not_fit_is_left() {
        for mut program in [layers(12, true), layers(10, false), layers(20, false)] {
            let before = program.nodes.len();
            join(&mut program);
            assert_eq!((program.nodes.len(), count(&program, "value_gate")), (before, 2));
        }
    }
}
