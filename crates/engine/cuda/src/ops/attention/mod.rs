//! Causal attention on packed rows, forward and backward: by the hand-written kernels where the device and the sizes are
//! theirs ([`hopper`]), by cuDNN's fused kernels elsewhere ([`library`]).

mod hopper;
mod library;

pub(crate) use self::hopper::{HEAD, takes};

use self::hopper::Sizes;
use super::qk_norm_rope::Angles;
use crate::attention_rope::AttentionRopeBackward;
use crate::driver::CudaError;
use crate::launch::{Code, Launch, NodeView};
use wootz_ops::{Attention, AttentionBackward};

impl Code for Attention {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        match Sizes::of(self, node, node.input(0), &[node.output(1)]) {
            Some(_) => Ok(0),
            None => library::forward_scratch(self, node),
        }
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        match Sizes::of(self, node, node.input(0), &[node.output(1)]) {
            Some(sizes) => hopper::forward(node, &sizes),
            None if node.largest.is_some() => Err(node.unsupported("the library keeps no largest number")),
            None => library::forward(self, node),
        }
    }
}

impl Code for AttentionBackward {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        match Sizes::of(&self.0, node, node.input(1), &[node.input(3)]) {
            Some(sizes) => Ok(sizes.scratch_bytes()),
            None => library::backward_scratch(&self.0, node),
        }
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        match Sizes::of(&self.0, node, node.input(1), &[node.input(3)]) {
            Some(sizes) => hopper::backward(node, &sizes, None),
            None => library::backward(&self.0, node),
        }
    }
}

impl Code for AttentionRopeBackward {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(sizes(self, node)?.scratch_bytes())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let angles = Angles::constant(&self.rope, node, node.input(1))?;
        hopper::backward(node, &sizes(self, node)?, Some((node.input(4), self.rope.scale, angles)))
    }
}

/// Sizes of a node that is made only where the kernels take them.
fn sizes(op: &AttentionRopeBackward, node: &NodeView<'_>) -> Result<Sizes, CudaError> {
    let rstd = node.input(4);
    Sizes::of(&op.attention, node, node.input(1), &[node.input(3), rstd])
        .filter(|_| !node.gpu.options.deterministic)
        .ok_or_else(|| node.unsupported("the kernels for it do not take these operands"))
}
