//! Attention: lengths around tiles of 64 and 128, windows narrower and wider than it, grouped heads; and decoding.

use super::{Case, Fill, Operand};
use wootz_ops::{Attention, AttentionDecode, QkNormRope};
use wootz_program::{Builder, Value};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(1, 1, 1, 1, 2, None),
        case(2, 5, 2, 2, 3, None),
        case(1, 7, 2, 1, 4, Some(0)),
        case(1, 9, 4, 2, 2, Some(3)),
        case(1, 64, 1, 1, 8, None),
        case(2, 65, 4, 2, 8, Some(7)),
        case(1, 129, 3, 1, 5, Some(64)),
        case(1, 130, 2, 2, 16, Some(100)),
        case(2, 200, 2, 1, 8, None),
        case(1, 193, 2, 1, 8, Some(1000)),
        case(2, 128, 2, 2, 64, None).aligned(),
        case(1, 192, 2, 1, 128, Some(64)).aligned(),
        case(1, 200, 2, 2, 64, Some(70)).aligned(),
        case(1, 131, 1, 1, 128, None).aligned(),
        case(3, 1, 2, 1, 128, None).aligned(),
        case(2, 40, 2, 2, 128, Some(0)).aligned(),
        case(2, 256, 3, 3, 128, None).aligned().large(),
        case(2, 333, 6, 3, 128, Some(100)).aligned().large(),
        case(1, 700, 2, 1, 128, Some(5)).aligned().large(),
        case(3, 640, 2, 2, 128, Some(300)).aligned().large(),
        case(1, 1100, 4, 1, 128, None).aligned().large(),
        // More tiles than multiprocessors; windows that end in, at and just behind the edge of a block of 64.
        case(8, 391, 6, 6, 128, None).aligned().large(),
        case(5, 520, 6, 6, 128, Some(129)).aligned().large(),
        case(6, 450, 6, 3, 128, Some(191)).aligned().large(),
        case(1, 333, 2, 2, 128, Some(63)).aligned().large(),
        case(1, 321, 2, 2, 128, Some(64)).aligned().large(),
        case(1, 449, 2, 1, 128, Some(65)).aligned().large(),
        case(2, 300, 2, 2, 128, Some(0)).aligned().large(),
        normed(2, 5, 2, 2, 4, None),
        normed(1, 40, 2, 1, 128, None).aligned(),
        normed(2, 131, 2, 2, 128, None).aligned(),
        normed(1, 333, 4, 2, 128, Some(100)).aligned().large(),
        normed(6, 450, 6, 6, 128, Some(191)).aligned().large(),
        decode(1, 1, 1, 1, 2, None),
        decode(3, 9, 4, 2, 3, None),
        decode(2, 33, 2, 1, 8, Some(4)),
        decode(1, 70, 2, 2, 8, Some(0)),
        decode(2, 128, 2, 1, 64, None).aligned(),
    ]
}

fn case(b: usize, t: usize, heads: usize, kv_heads: usize, d: usize, window: Option<usize>) -> Case {
    let qkv = Operand::activation("qkv", [b, t, (heads + 2 * kv_heads) * d]);
    Case::new(Attention { heads, kv_heads, window }, [qkv]).differentiable()
}

/// Behind RoPE and norm, as in a model: the backward passes of both may be one.
fn normed(b: usize, t: usize, heads: usize, kv_heads: usize, d: usize, window: Option<usize>) -> Case {
    let qkv = Operand::activation("qkv", [b, t, (heads + 2 * kv_heads) * d]);
    let attention = Attention { heads, kv_heads, window };
    let rope = QkNormRope { heads: heads + kv_heads, head_dim: d, base: 1e5, scale: 1.2 };
    let apply = move |b: &mut Builder, inputs: &[Value]| {
        let normed = b.apply(rope.clone(), inputs)?[0];
        b.apply(attention.clone(), &[normed])
    };
    Case::chain(&format!("attention behind qk_norm_rope, {heads} heads"), [qkv], apply).differentiable()
}

fn decode(b: usize, capacity: usize, heads: usize, kv_heads: usize, d: usize, window: Option<usize>) -> Case {
    let op = AttentionDecode(Attention { heads, kv_heads, window });
    let caches =
        ["keys", "values"].map(|name| Operand::state(name, [b, capacity, kv_heads * d], Fill::Normal(1.0)));
    let [keys, values] = caches;
    let qkv = Operand::activation("qkv", [b, 1, (heads + 2 * kv_heads) * d]);
    Case::new(op, [qkv, keys, values, Operand::input("position", [], Fill::Ids(capacity))])
}
