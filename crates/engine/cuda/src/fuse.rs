//! Elementwise ops that another op's kernels do on their way out take that op's place: one node for two, and the tensor
//! between them is never written.
//!
//! | nodes | becomes |
//! |---|---|
//! | `u = linear(x, w)`, `h = relu_squared(u)` | `h = linear_relu_squared(x, w)` |
//! | `dh = linear_input_gradient(dy, w)`, `du = relu_squared_backward(dh, h)` | `du = linear_input_gradient_relu_squared(dy, w, h)` |
//! | `d = attention_backward(dy, qkv, y, lse)`, `dqkv = qk_norm_rope_backward(d, qkv, rstd)` | `dqkv = attention_rope_backward(dy, qkv, y, lse, rstd)` |
//! | `s = gate_strength(n, gate)`, `v = value_gate(qkv, s, table, tokens)`, `qkv, rstd = qk_norm_rope(v)` | `qkv, rstd, s = value_gate_rope(qkv, n, gate, table, tokens)` |
//!
//! The one node stands where the last of them stood: by then the weight gradient has read h, and du may take its memory.
//! Pairs stay as they are where something else reads the value between them, or the kernel does not take their sizes.

use crate::gemm::hopper::{Epilogue, takes};
use crate::{attention_rope, gate_rope};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_ops::{
    Linear, LinearInputGradient, LinearInputGradientReluSquared, LinearReluSquared, ReluSquared,
    ReluSquaredBackward,
};
use wootz_program::{Node, Op, Program, Role, Value};
use wootz_tensor::DType;

/// Which pairs become one beside those of a product and an activation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pairs {
    /// The backward passes of attention and of RoPE and norm.
    pub attention: bool,
}

/// Fuses what a device of Hopper's capability can; a lowered program in, another out.
pub(crate) fn fuse(program: &mut Program, pairs: Pairs) {
    gate_rope::join(program);
    let readers = readers(program);
    let mut producer: BTreeMap<Value, usize> = BTreeMap::new();
    let (mut fused, mut gone) = (Vec::new(), BTreeSet::new());
    for (at, node) in program.nodes.iter().enumerate() {
        let from = node.inputs.first().and_then(|value| producer.get(value));
        if let Some((product, one)) = from.and_then(|i| Some((*i, pairs.one(program, *i, node)?))) {
            let between = node.inputs[0];
            let alone = readers[between.index()] == 1 && program.info(between).role == Role::Activation;
            if alone && !changed(&program.nodes[product + 1..at], &one.inputs) {
                gone.insert(product);
                fused.push((at, one));
            }
        }
        producer.extend(node.outputs.iter().map(|value| (*value, at)));
    }
    for (at, one) in fused {
        program.nodes[at] = one;
    }
    let mut place = 0..;
    program.nodes.retain(|_| !place.next().is_some_and(|i| gone.contains(&i)));
}

impl Pairs {
    /// The node that does the work of a node and of the one that reads it.
    fn one(self, program: &Program, first: usize, second: &Node) -> Option<Node> {
        let attention = || attention_rope::pair(program, &program.nodes[first], second);
        pair(program, first, second).or_else(|| self.attention.then(attention).flatten())
    }
}

/// How often each value is read.
fn readers(program: &Program) -> Vec<usize> {
    let mut readers = vec![0; program.values.len()];
    program.nodes.iter().flat_map(|node| &node.inputs).for_each(|value| readers[value.index()] += 1);
    readers
}

/// Whether any of these nodes changes any of these values.
fn changed(nodes: &[Node], values: &[Value]) -> bool {
    nodes.iter().any(|node| node.op.updates().iter().any(|i| values.contains(&node.inputs[*i])))
}

/// The node that does the work of a product and of the node that reads it.
fn pair(program: &Program, product: usize, reader: &Node) -> Option<Node> {
    let node = &program.nodes[product];
    let (first, second) = (node.op.as_any(), reader.op.as_any());
    let dims = |value: Value| {
        let shape = &program.info(value).ty.shape;
        [shape.rows(), shape.last()]
    };
    let [m, k] = dims(node.inputs[0]);
    let [_, n] = dims(node.outputs[0]);
    let (op, inputs, taken): (Arc<dyn Op>, _, _) = if first.downcast_ref::<Linear>() == Some(&Linear::PLAIN)
        && second.is::<ReluSquared>()
    {
        let taken = takes(Epilogue::ReluSquared, [m, n, k], [false, false]);
        (Arc::new(LinearReluSquared), node.inputs.clone(), taken)
    } else if first.downcast_ref() == Some(&LinearInputGradient { weights: 1 })
        && second.is::<ReluSquaredBackward>()
        && node.inputs.len() == 2
    {
        let taken = takes(Epilogue::ReluSquaredBackward, [m, n, k], [false, true]);
        (Arc::new(LinearInputGradientReluSquared), [&node.inputs[..], &reader.inputs[1..]].concat(), taken)
    } else {
        return None;
    };
    let halves = inputs.iter().chain(&reader.outputs).all(|v| program.info(*v).ty.dtype == DType::BF16);
    let outputs = reader.outputs.clone();
    (halves && taken.is_ok()).then_some(Node { op, inputs, outputs, scope: reader.scope })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Precision;
    use crate::lower::lower;
    use wootz_ops::reverse;
    use wootz_program::{Builder, Recompute, Type, plan, recompute};

    /// A feed-forward block on a looked-up value, forward and backward, as it is lowered.
    fn block(c: usize, expansion: usize, read_twice: bool) -> Program {
        let mut b = Builder::new();
        let tokens = b.input("tokens", Type::i32([2, 64]));
        let table = b.parameter("table", Type::f32([16, c]));
        let [up, down] = [[expansion * c, c], [c, expansion * c]];
        let (up, down) = (b.parameter("up", Type::f32(up)), b.parameter("down", Type::f32(down)));
        let x = b.apply_one(wootz_ops::Embedding, &[table, tokens]).expect("an embedding");
        let u = b.apply_one(Linear::PLAIN, &[x, up]).expect("a linear map");
        let mut h = b.apply_one(ReluSquared, &[u]).expect("an activation");
        if read_twice {
            h = b.apply_one(wootz_ops::Add, &[h, u]).expect("a sum");
        }
        let y = b.apply_one(Linear { weights: 1, residual: true }, &[h, down, x]).expect("a linear map");
        // Behind a norm the gradient that comes in is an activation, as in a model.
        let y = b.apply(wootz_ops::RmsNorm, &[y]).expect("a norm")[0];
        let seed = b.input("seed", b.ty(y).clone());
        b.output(y, "y");
        let first = reverse(&mut b, y, seed).expect("a backward pass");
        let program = recompute(b, first, Recompute::None);
        lower(vec![program], Precision::default()).expect("lowered").remove(0)
    }

    const ALL: Pairs = Pairs { attention: true };

    fn names(program: &Program) -> Vec<&str> {
        program.nodes.iter().map(|node| node.op.name()).collect()
    }

    #[test]
    fn a_block_is_fused_both_ways() {
        let mut program = block(128, 4, false);
        let arena = |program: &Program| plan(program, &|_, _| 0).arena_bytes;
        let before = arena(&program);
        let values: BTreeSet<Value> = program.nodes.iter().flat_map(|n| n.outputs.clone()).collect();
        fuse(&mut program, ALL);
        let expected = [
            "embedding",
            "linear_relu_squared",
            "linear",
            "rms_norm",
            "rms_norm_backward",
            "linear_weight_gradient",
            "linear_input_gradient_relu_squared",
            "linear_input_gradient",
            "linear_weight_gradient",
            "token_order",
            "embedding_backward",
        ];
        assert_eq!(names(&program), expected);
        for node in &program.nodes {
            let inputs: Vec<&Type> = program.input_types(node);
            let inferred = node.op.infer(&inputs).expect("operands that fit");
            let shapes = |types: &[&Type]| types.iter().map(|ty| ty.shape.clone()).collect::<Vec<_>>();
            assert_eq!(shapes(&inferred.iter().collect::<Vec<_>>()), shapes(&program.output_types(node)));
        }
        let now: BTreeSet<Value> = program.nodes.iter().flat_map(|n| n.outputs.clone()).collect();
        assert_eq!(values.difference(&now).count(), 2, "u and dh are gone");
        let gradient = &program.nodes[6];
        assert_eq!(plan(&program, &|_, _| 0).aliases[gradient.outputs[0].index()], Some(gradient.inputs[2]));
        assert!(arena(&program) < before);
    }

    #[test]
    fn what_is_read_elsewhere_is_left() {
        let mut program = block(128, 4, true);
        let before = names(&program).len();
        fuse(&mut program, ALL);
        assert!(!names(&program).contains(&"linear_relu_squared"), "u is read by the sum too");
        assert!(names(&program).len() <= before);
    }

    #[test]
    fn sizes_that_the_kernel_does_not_take_are_left() {
        for (c, expansion) in [(96, 4), (64, 1)] {
            let mut program = block(c, expansion, false);
            let before = names(&program).join(" ");
            fuse(&mut program, ALL);
            assert_eq!(names(&program).join(" "), before, "{c} channels");
        }
    }

    /// Without compute copies the products read binary32.
    #[test]
    fn programs_in_binary32_are_left() {
        let mut b = Builder::new();
        let x = b.input("x", Type::f32([64, 128]));
        let w = b.parameter("w", Type::f32([128, 128]));
        let u = b.apply_one(Linear::PLAIN, &[x, w]).expect("a linear map");
        let h = b.apply_one(ReluSquared, &[u]).expect("an activation");
        b.output(h, "h");
        let mut program = b.finish();
        fuse(&mut program, ALL);
        assert_eq!(names(&program), ["linear", "relu_squared"]);
    }

    /// Attention behind RoPE and norm, with a value embedding, forward and backward, as it is lowered.
    fn attention(head_dim: usize, normed: usize) -> Program {
        let (heads, kv_heads, c) = (4, 2, 64);
        let mut b = Builder::new();
        let tokens = b.input("tokens", Type::i32([2, 64]));
        let table = b.parameter("table", Type::f32([16, c]));
        let values = b.parameter("values", Type::f32([16, kv_heads * head_dim]));
        let w = b.parameter("w", Type::f32([(heads + 2 * kv_heads) * head_dim, c]));
        let gate = b.parameter("gate", Type::f32([kv_heads, 12]));
        let x = b.apply_one(wootz_ops::Embedding, &[table, tokens]).expect("an embedding");
        let s = b.apply_one(wootz_ops::GateStrength, &[x, gate]).expect("strengths");
        let qkv = b.apply_one(Linear::PLAIN, &[x, w]).expect("a linear map");
        let gated = wootz_ops::ValueGate { heads, kv_heads };
        let qkv = b.apply_one(gated, &[qkv, s, values, tokens]).expect("a gate");
        let rope = wootz_ops::QkNormRope { heads: normed, head_dim, base: 1e5, scale: 1.2 };
        let qkv = b.apply(rope, &[qkv]).expect("a norm")[0];
        let y = wootz_ops::Attention { heads, kv_heads, window: None };
        let y = b.apply(y, &[qkv]).expect("attention")[0];
        let y = b.apply(wootz_ops::RmsNorm, &[y]).expect("a norm")[0];
        let seed = b.input("seed", b.ty(y).clone());
        b.output(y, "y");
        let first = reverse(&mut b, y, seed).expect("a backward pass");
        let program = recompute(b, first, Recompute::None);
        lower(vec![program], Precision::default()).expect("lowered").remove(0)
    }

    #[test]
    fn attention_goes_on_through_rope_before_the_gate_reads_its_values() {
        let mut program = attention(128, 6);
        fuse(&mut program, ALL);
        let names = names(&program);
        let at = |name: &str| names.iter().position(|other| *other == name);
        let one = at("attention_rope_backward").expect("one node for both");
        assert_eq!((at("attention_backward"), at("qk_norm_rope_backward")), (None, None));
        assert!(one < at("value_gate_backward").expect("the gate's gradient"));
        let node = &program.nodes[one];
        assert_eq!(node.op.infer(&program.input_types(node)).expect("operands that fit").len(), 1);
        let gate = &program.nodes[at("value_gate_backward").expect("the gate's gradient")];
        assert_eq!(gate.inputs[0], node.outputs[0]);
    }

    #[test]
    fn attention_is_left_where_its_kernels_do_not_fit() {
        let left = |mut program: Program, pairs: Pairs| {
            fuse(&mut program, pairs);
            names(&program).contains(&"qk_norm_rope_backward")
        };
        assert!(left(attention(64, 6), ALL), "heads of 64");
        assert!(left(attention(128, 4), ALL), "keys that are not normed");
        assert!(left(attention(128, 6), Pairs { attention: false }), "not asked for");
    }
}
