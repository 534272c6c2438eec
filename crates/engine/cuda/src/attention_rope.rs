//! The backward pass of attention together with that of the RoPE and norm before it: the gradient of the queries, which
//! attention sums in binary32, goes through both before it is rounded and written.

use crate::ops::attention;
use std::any::Any;
use wootz_ops::{Attention, AttentionBackward, QkNormRope, QkNormRopeBackward};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Type};
use wootz_tensor::DType;

/// `(dy_bt(hd), qkv_btw, y_bt(hd), lse_bht, rstd_bt(h+k)) -> dqkv_btw`: the gradient of what went into RoPE and norm, from
/// their output qkv. The value columns are those of attention's gradient.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AttentionRopeBackward {
    /// The attention.
    pub attention: Attention,
    /// What came before it.
    pub rope: QkNormRope,
}

impl Op for AttentionRopeBackward {
    fn name(&self) -> &'static str {
        "attention_rope_backward"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        if inputs.len() != 5 {
            return Err(OpError::inputs(self.name(), format!("expected 5 inputs, got {}", inputs.len())));
        }
        let dqkv = AttentionBackward(self.attention.clone()).infer(&inputs[..4])?;
        QkNormRopeBackward(self.rope.clone()).infer(&[&dqkv[0], inputs[1], inputs[4]])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        let Cost { flops, bytes } = AttentionBackward(self.attention.clone()).cost(&inputs[..4], outputs);
        Cost { flops, bytes: bytes + inputs[4].bytes() as u64 }
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// The node for both, where the second reads the first's gradient and the kernels take their sizes.
pub(crate) fn pair(program: &Program, first: &Node, second: &Node) -> Option<Node> {
    let attention = &first.op.as_any().downcast_ref::<AttentionBackward>()?.0;
    let rope = &second.op.as_any().downcast_ref::<QkNormRopeBackward>()?.0;
    let (qkv, lse, rstd) = (first.inputs[1], first.inputs[3], second.inputs[2]);
    // All heads of queries and keys are normed, and by the one node whose output attention read.
    let joined = second.inputs[1] == qkv && rope.heads == attention.heads + attention.kv_heads;
    let dims = program.info(qkv).ty.shape.dims();
    let inputs = [&first.inputs[..], &[rstd]].concat();
    let typed = inputs.iter().chain(&second.outputs).all(|value| {
        let expected = if [lse, rstd].contains(value) { DType::F32 } else { DType::BF16 };
        program.info(*value).ty.dtype == expected
    });
    let taken = joined && typed && attention::takes(attention, dims) && rope.head_dim == attention::HEAD;
    taken.then(|| Node {
        op: std::sync::Arc::new(AttentionRopeBackward { attention: attention.clone(), rope: rope.clone() }),
        inputs,
        outputs: second.outputs.clone(),
        scope: second.scope,
    })
}
