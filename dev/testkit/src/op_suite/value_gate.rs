//! Gated value embeddings: one and several heads, grouped queries, tokens that repeat, in runs around shares of work and longer ones.

use super::{Case, Fill, Operand};
use wootz_ops::ValueGate;

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
    ]
}
