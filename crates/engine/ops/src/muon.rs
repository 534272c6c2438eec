//! Muon with its July 2026 refinements, for matrices.
//!
//! Muon: Jordan et al. 2024. Polar Express coefficients: Amsel et al., arXiv 2505.16932. Variance reduction: NorMuon,
//! arXiv 2510.05491. Cautious decay: Liang et al., arXiv 2411.16085. MuonEq: rows are scaled to unit norm before the
//! orthogonalisation; Muon+: the result is scaled to Frobenius norm √min(rows, cols) after it.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Cost, Op, OpError, Type};
use wootz_tensor::Shape;

/// (a, b, c) of the five quintic steps `X ← aX + (bA + cA²)X`, `A = XXᵀ`.
pub const POLAR_EXPRESS: [(f64, f64, f64); 5] = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
];

/// `(lr_multiplier, momentum, weight_decay)`, then for each of `count` matrices of one shape `(p_rc, g_rc, buffer_rc, second,
/// [copy_rc])`: one update of `p` and both states; sets `g` to zero. `second` has one entry per row where rows ≥ cols, else one
/// per column. `copy` becomes the new `p`, rounded to its own type. Matrices do not affect one another; they stand in one node
/// so that a device can orthogonalise them in batches.
///
/// 1. `buffer ← μ buffer + (1−μ) g`; `u = (1−μ) g + μ buffer` (Nesterov).
/// 2. Rows of `u` divided by their norms; `X = u / (1.01 ‖u‖ + 1e−6)`; five Polar Express steps on the smaller side;
///    `X ← X √min(r, c) / ‖X‖`.
/// 3. Mean squares of X over the reduced side enter `second` (β₂); X is scaled by `rsqrt(second)` and back to its own norm.
/// 4. `p −= η X + η λ p [X p ≥ 0]`, with η = `lr`·multiplier·√max(1, r/c).
#[derive(Debug, Clone, PartialEq)]
pub struct Muon {
    /// Learning rate at multiplier 1.
    pub lr: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Number of matrices.
    pub count: usize,
    /// Whether each matrix has a copy.
    pub copies: bool,
}

impl Muon {
    /// Number of entries of `second` for a matrix.
    pub fn second_len(rows: usize, cols: usize) -> usize {
        rows.max(cols)
    }
    /// Operands of one matrix.
    pub fn stride(&self) -> usize {
        4 + usize::from(self.copies)
    }
    /// Place of the first operand, `p`, of matrix `i`.
    pub fn first(&self, i: usize) -> usize {
        3 + i * self.stride()
    }
}

impl Op for Muon {
    op_basics!("muon");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::that("muon", self.count > 0, || "it has no matrix".to_owned())?;
        let count = self.first(self.count);
        check::arity("muon", inputs, count..=count)?;
        (0..3).try_for_each(|i| check::shape("muon", inputs, i, &Shape::scalar()))?;
        let dims = inputs[3].shape.dims();
        check::that("muon", dims.len() == 2, || format!("it updates matrices, got {}", inputs[3].shape))?;
        let second = Shape::from([Muon::second_len(dims[0], dims[1])]);
        for first in (0..self.count).map(|i| self.first(i)) {
            (first..first + 3).try_for_each(|i| check::same("muon", inputs, i, 3))?;
            check::shape("muon", inputs, first + 3, &second)?;
            (first + 4..first + self.stride()).try_for_each(|i| check::same("muon", inputs, i, 3))?;
        }
        Ok(vec![])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let dims = inputs[3].shape.dims();
        let (small, large) = (dims[0].min(dims[1]) as u64, dims[0].max(dims[1]) as u64);
        Cost {
            flops: (self.count * POLAR_EXPRESS.len()) as u64
                * (4 * small * small * large + 2 * small * small * small),
            bytes: inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum(),
        }
    }
    fn updates(&self) -> Vec<usize> {
        (3..self.first(self.count)).collect()
    }
    no_backward!();
}
