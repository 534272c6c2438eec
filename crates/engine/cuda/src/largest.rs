//! Largest numbers found where a tensor is made: the kernel that writes what an 8-bit cast reads next keeps the largest, and
//! nothing goes through the tensor to look for it.
//!
//! Every warp hands in its largest by an atomic maximum, which does not depend on order, to one of a few places.

use crate::attention_rope::AttentionRopeBackward;
use crate::driver::CudaError;
use crate::fp8::{Quantize, keeps, matrices};
use crate::gemm::fp8::{PARTIALS, Rule};
use crate::launch::{Code, Launch, NodeView};
use crate::of_input::OfInput;
use crate::ops;
use crate::partial_sums::Shares;
use std::any::Any;
use std::sync::Arc;
use wootz_ops::{Attention, ResidualMixBackward, RmsNormBackward};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, ValueInfo};
use wootz_tensor::DType;

/// An op with one more output: the largest numbers of its first, as [`Quantize`] takes them.
#[derive(Debug)]
pub(crate) struct WithLargest(Arc<dyn Op>);

/// Rewrites the producers of what is cast next, in a program whose nodes are final; `attention`: whether attention is by our
/// own kernels.
pub(crate) fn find_early(program: &mut Program, attention: bool) {
    for cast in 0..program.nodes.len() {
        let node = &program.nodes[cast];
        let plain = node.op.as_any().downcast_ref::<Quantize>().is_some_and(|op| op.rule == Rule::Plain);
        let looks = plain && matrices(node) == 1 && node.inputs.len() == 1 && !keeps(program, node);
        let (x, unwritten) = match node.outputs[..] {
            [_, _, _, partials] if looks => (node.inputs[0], partials),
            _ => continue,
        };
        let producer = program.nodes[..cast].iter().position(|node| node.outputs.first() == Some(&x));
        let halves = program.info(x).ty.dtype == DType::BF16;
        let able = |i: &usize| halves && able(program, &program.nodes[*i], attention);
        let Some(producer) = producer.filter(able) else { continue };
        let name = format!("{}.largest", program.info(x).name);
        let largest = program.add(ValueInfo { name, ty: Type::f32([PARTIALS]), role: Role::Activation });
        let Node { op, outputs, .. } = &mut program.nodes[producer];
        *op = Arc::new(WithLargest(op.clone()));
        outputs.push(largest);
        program.nodes[cast].inputs.push(largest);
        // Whoever casts the same again takes them from there too.
        for input in program.nodes[cast..].iter_mut().flat_map(|node| &mut node.inputs) {
            if *input == unwritten {
                *input = largest;
            }
        }
    }
}

/// Whether the op's kernels keep the largest of its first output.
fn able(program: &Program, node: &Node, attention: bool) -> bool {
    let op = node.op.as_any();
    if let Some(op) = op.downcast_ref::<Attention>() {
        let qkv = &program.info(node.inputs[0]).ty;
        return attention && qkv.dtype == DType::BF16 && ops::attention::takes(op, qkv.shape.dims());
    }
    op.is::<RmsNormBackward>()
        || op.is::<OfInput<RmsNormBackward>>()
        || op.is::<Shares<ResidualMixBackward>>()
        || op.is::<Shares<OfInput<ResidualMixBackward>>>()
        || op.is::<AttentionRopeBackward>()
}

impl Op for WithLargest {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let mut types = self.0.infer(inputs)?;
        types.push(Type::f32([PARTIALS]));
        Ok(types)
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(inputs, &outputs[..outputs.len() - 1])
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        self.0.in_place(inputs)
    }
    fn updates(&self) -> Vec<usize> {
        self.0.updates()
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

impl WithLargest {
    /// The op's own code and what it sees.
    fn of<'a>(&self, node: &NodeView<'a>) -> Result<(&dyn Code, NodeView<'a>), CudaError> {
        let code = ops::code(&*self.0).ok_or_else(|| node.unsupported("it has no code"))?;
        let (largest, outputs) =
            node.outputs.split_last().ok_or_else(|| node.unsupported("it has no output"))?;
        let view = NodeView {
            gpu: node.gpu,
            op: node.op,
            inputs: node.inputs.clone(),
            outputs: outputs.to_vec(),
            scratch: node.scratch,
            cost: node.cost,
            largest: Some(largest.pointer),
        };
        Ok((code, view))
    }
}

impl Code for WithLargest {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        let (code, view) = self.of(node)?;
        code.scratch_bytes(&view)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (code, view) = self.of(node)?;
        let clear = view.largest.map(|pointer| Launch::clear(pointer, PARTIALS * 4));
        Ok(clear.into_iter().chain(code.compile(&view)?).collect())
    }
}
