//! Softcapped logits, with padding rows of the head.

use super::{Case, Fill, Operand};
use wootz_ops::Logits;

pub(super) fn cases() -> Vec<Case> {
    let case = |b: usize, t: usize, c: usize, vocab: usize, rows: usize, softcap: f64| {
        let w = Operand::weight("w", [rows, c]).filled(Fill::Normal(1.0));
        Case::new(Logits { vocab, softcap }, [Operand::activation("x", [b, t, c]), w])
    };
    vec![
        case(1, 1, 1, 1, 1, 15.0),
        case(2, 3, 5, 7, 64, 15.0),
        case(2, 65, 33, 129, 192, 3.0),
        case(2, 64, 128, 150, 192, 15.0).aligned(),
    ]
}
