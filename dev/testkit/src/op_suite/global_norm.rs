//! Norm over several tensors, one of them longer than a piece of work.

use super::{Case, Operand};
use wootz_ops::GlobalNorm;

pub(super) fn cases() -> Vec<Case> {
    let one = Operand::activation("a", [1]);
    let three = [
        Operand::activation("a", [7, 5]),
        Operand::activation("b", [131, 257]),
        Operand::activation("c", [3]),
    ];
    vec![Case::new(GlobalNorm, [one]), Case::new(GlobalNorm, three)]
}
