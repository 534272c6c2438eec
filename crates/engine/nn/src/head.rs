//! The untied head with softcapped logits.

use wootz_ops::{LinearCrossEntropy, Logits};
use wootz_program::{Builder, OpError, Type, Value};

/// Sizes of the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeadSpec {
    /// Entries of the vocabulary.
    pub vocab: usize,
    /// Rows of the weight, padding included.
    pub rows: usize,
    /// Bound of the logits.
    pub softcap: f64,
}

/// Mean cross-entropy over the targets that are not −1, and the loss of each: (scalar, B×T).
pub fn cross_entropy(
    b: &mut Builder,
    x_btc: Value,
    targets_bt: Value,
    head: HeadSpec,
) -> Result<[Value; 2], OpError> {
    let weight = weight(b, x_btc, head);
    let op = LinearCrossEntropy { vocab: head.vocab, softcap: head.softcap };
    let outputs = b.apply(op, &[x_btc, weight, targets_bt])?;
    Ok([outputs[0], outputs[1]])
}

/// Logits of the vocabulary: B×T×vocab.
pub fn logits(b: &mut Builder, x_btc: Value, head: HeadSpec) -> Result<Value, OpError> {
    let weight = weight(b, x_btc, head);
    b.apply_one(Logits { vocab: head.vocab, softcap: head.softcap }, &[x_btc, weight])
}

fn weight(b: &mut Builder, x_btc: Value, head: HeadSpec) -> Value {
    let c = b.ty(x_btc).shape.last();
    b.parameter("lm_head.weight", Type::f32([head.rows, c]))
}
