//! Gated value embeddings: one and several heads, grouped queries, tokens that repeat, in runs around shares of work and longer ones.

use super::{Case, Fill, Operand};
use wootz_ops::{GateStrength, QkNormRope, ValueGate};
use wootz_program::{Builder, Value};

pub(super) fn cases() -> Vec<Case> {
    let case = |b: usize, t: usize, heads: usize, kv_heads: usize, d: usize, rows: usize| {
        let qkv = Operand::activation("qkv", [b, t, (heads + 2 * kv_heads) * d]);
        let s = Operand::activation("s", [b, t, kv_heads]);
        let table = Operand::weight("table", [rows, kv_heads * d]);
        let tokens = Operand::input("tokens", [b, t], Fill::Ids(rows));
        Case::new(ValueGate { heads, kv_heads }, [qkv, s, table, tokens]).differentiable()
    };
    vec![
        case(1, 1, 1, 1, 1, 1),
        case(2, 3, 2, 2, 3, 5),
        case(2, 5, 4, 2, 3, 3),
        case(2, 67, 3, 3, 16, 100),
        case(3, 65, 6, 2, 32, 17),
        case(2, 64, 2, 2, 64, 128).aligned(),
        case(2, 64, 8, 8, 64, 128).aligned(),
        case(1, 67, 16, 8, 128, 192).aligned(),
        case(1, 67, 4, 2, 128, 192).aligned(),
        case(2, 300, 2, 2, 64, 2).aligned(),
        case(1, 320, 8, 8, 128, 10).aligned(),
        normed([1, 3, 16, 2, 1, 4], 4, 5),
        normed([2, 67, 64, 4, 2, 64], 12, 100).aligned(),
        normed([1, 70, 192, 6, 6, 128], 12, 40).aligned(),
        normed([2, 65, 128, 10, 10, 128], 8, 192).aligned(),
    ]
}

/// With its strengths before and RoPE and norm behind, as in a model: the forward passes of all three may be one.
fn normed([b, t, c, heads, kv_heads, d]: [usize; 6], channels: usize, rows: usize) -> Case {
    let operands = [
        Operand::activation("qkv", [b, t, (heads + 2 * kv_heads) * d]),
        Operand::activation("n", [b, t, c]),
        Operand::weight("gate", [kv_heads, channels]),
        Operand::weight("table", [rows, kv_heads * d]),
        Operand::input("tokens", [b, t], Fill::Ids(rows)),
    ];
    let rope = QkNormRope { heads: heads + kv_heads, head_dim: d, base: 1e5, scale: 1.2 };
    let apply = move |b: &mut Builder, inputs: &[Value]| {
        let s = b.apply_one(GateStrength, &inputs[1..3])?;
        let gate = ValueGate { heads, kv_heads };
        let gated = b.apply_one(gate, &[inputs[0], s, inputs[3], inputs[4]])?;
        b.apply(rope.clone(), &[gated])
    };
    Case::chain(&format!("value_gate before qk_norm_rope, {heads} heads"), operands, apply).differentiable()
}
