//! The seam between the IR and its ops.

use crate::{Backward, Type};
use std::any::Any;
use std::fmt::Debug;

/// One kind of node. An op is a column of files of the same name: its definition here, its reference and fast
/// code in each backend, its case in the op suite.
pub trait Op: Debug + Send + Sync + 'static {
    /// The field's term, in snake case; also the name of its files.
    fn name(&self) -> &'static str;
    /// For backends, which choose their code by the concrete type.
    fn as_any(&self) -> &dyn Any;
    /// The types of the outputs for these inputs.
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError>;
    /// Work done, for FLOP/s figures and rooflines.
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        Cost { flops: 0, bytes: moved(inputs, outputs) }
    }
    /// How long its FLOP take beside those of a matrix product, for choosing what to compute again.
    fn effort(&self) -> u64 {
        1
    }
    /// Pairs (output, input) that may share memory when the input dies at this node, for this number of inputs.
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        Vec::new()
    }
    /// Inputs that the node changes: gradients it accumulates into, states it advances.
    fn updates(&self) -> Vec<usize> {
        Vec::new()
    }
    /// Outputs that stay binary32 when a device keeps its activations in fewer bits: sums, norms, losses.
    fn statistics(&self) -> &'static [usize] {
        &[]
    }
    /// Whether its output is worth less than its memory: [`crate::Recompute::Cheap`] runs it again, and what it alone reads.
    fn cheap(&self) -> bool {
        false
    }
    /// Emits the nodes that carry the outputs' gradients to the inputs.
    fn backward(&self, backward: &mut Backward<'_>) -> Result<(), OpError>;
}

/// Work of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// Floating-point operations, a multiply-add counted as two.
    pub flops: u64,
    /// Bytes read and written at least once.
    pub bytes: u64,
}

/// Bytes of all inputs and outputs, each touched once.
fn moved(inputs: &[&Type], outputs: &[&Type]) -> u64 {
    inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum()
}

/// Why a node cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The inputs do not fit the op.
    #[error("build {op}: {reason}")]
    Inputs {
        /// The op.
        op: &'static str,
        /// What does not fit.
        reason: String,
    },
    /// The op has no derivative.
    #[error("differentiate {op}: it has no backward rule")]
    NotDifferentiable {
        /// The op.
        op: &'static str,
    },
}

impl OpError {
    /// The inputs do not fit the op.
    pub fn inputs(op: &'static str, reason: impl Into<String>) -> OpError {
        OpError::Inputs { op, reason: reason.into() }
    }
}
