//! Collectives: nodes that all ranks of a job run together, in the same order.
//!
//! Ranks differ in which tensors they own and in nothing else, so that the nodes of all of them match: a node names the
//! owner of each of its tensors, and the rank it runs on.

use crate::check::{self, no_backward, op_basics};
use wootz_program::{Op, OpError, Type};

/// `(g_1, …, g_n)`: each becomes its sum over all ranks on the rank that owns it, and zero on the others, where it is ready
/// to accumulate again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReduceToOwner {
    /// The rank this node runs on.
    pub rank: usize,
    /// Owner of each input.
    pub owners: Vec<usize>,
    /// When it runs.
    pub timing: Timing,
}

/// When a collective runs, on a device that can run one beside the nodes that follow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// In its place.
    InPlace,
    /// From its place on, beside the nodes that follow, none of which may touch its tensors.
    Beside,
    /// As `Beside`, and what follows waits for it and for all that ran beside before it.
    Last,
}

impl Op for ReduceToOwner {
    op_basics!("reduce_to_owner");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("reduce_to_owner", inputs, self.owners.len()..=self.owners.len())?;
        Ok(vec![])
    }
    fn updates(&self) -> Vec<usize> {
        (0..self.owners.len()).collect()
    }
    no_backward!();
}

/// `(p_1, …, p_n)`: each becomes, on every rank, what it is on the rank that owns it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroadcastFromOwner {
    /// The rank this node runs on.
    pub rank: usize,
    /// Owner of each input.
    pub owners: Vec<usize>,
}

impl Op for BroadcastFromOwner {
    op_basics!("broadcast_from_owner");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("broadcast_from_owner", inputs, self.owners.len()..=self.owners.len())?;
        Ok(vec![])
    }
    fn updates(&self) -> Vec<usize> {
        (0..self.owners.len()).collect()
    }
    no_backward!();
}

/// `(x)`, a scalar of each rank, `-> y`, all of them by rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllGather {
    /// Number of ranks.
    pub ranks: usize,
}

impl Op for AllGather {
    op_basics!("all_gather");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("all_gather", inputs, 1..=1)?;
        check::shape("all_gather", inputs, 0, &wootz_tensor::Shape::scalar())?;
        Ok(vec![inputs[0].with_shape([self.ranks])])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    no_backward!();
}

/// `(x) -> y`, the sum over all ranks, element by element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllReduce;

impl Op for AllReduce {
    op_basics!("all_reduce");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        check::arity("all_reduce", inputs, 1..=1)?;
        Ok(vec![inputs[0].clone()])
    }
    fn statistics(&self) -> &'static [usize] {
        &[0]
    }
    no_backward!();
}
