//! Norms in 8-bit training: the kernel that norms writes the cast of what it norms.
//!
//! | nodes | become |
//! |---|---|
//! | `n = rms_norm(x)`, `quantize(n)` | one node with n and its cast, in bf16 only where something else reads n |
//! | `m, n = residual_mix(x, …)`, `quantize(n)` | the same, with m |
//!
//! The factor of a norm's cast is known before it is computed, so that nothing has to look for its largest number. A later cast
//! of the same norm, for the backward pass, stays.
//!
//! Not covered: rows too wide for a warp's registers; these casts stay nodes.

use crate::fp8::{Quantize, lowered, matrices, types};
use crate::gemm::{Element, fp8::MULTIPLE, fp8::Rule};
use std::any::Any;
use std::sync::Arc;
use wootz_ops::{ResidualMix, RmsNorm};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Type};
use wootz_tensor::DType;

/// Rows that a warp holds in registers.
const WIDEST: usize = 1536;
/// Nodes between a norm and its cast: 8-bit copies of what is read much later would only take memory.
const NEAR: usize = 4;

/// `x -> normed, rstd, straight, turned, factor` or `x, x0, resid, skip -> mixed, normed, rstd, straight, turned, factor`: the
/// norm of x, or of `resid[layer]·x + skip[layer]·x0`, and its cast as [`Quantize`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NormFp8 {
    /// The layer of a mix.
    pub mix: Option<usize>,
}

impl Op for NormFp8 {
    lowered!("norm_fp8");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let x = inputs[0];
        let [straight, turned, factor, _] = types(x.shape.rows(), x.shape.last());
        let copies = 1 + usize::from(self.mix.is_some());
        let norm = RmsNorm.infer(&[x])?;
        Ok(std::iter::repeat_n(x.clone(), copies)
            .chain([norm[1].clone(), straight, turned, factor])
            .collect())
    }
    fn statistics(&self) -> &'static [usize] {
        if self.mix.is_some() { &[2, 5] } else { &[1, 4] }
    }
    fn cost(&self, inputs: &[&Type], _outputs: &[&Type]) -> Cost {
        // What is written depends on who reads it: the code counts that.
        Cost { flops: 0, bytes: inputs.iter().map(|ty| ty.bytes() as u64).sum() }
    }
}

/// Rewrites every norm with a cast close behind it.
pub(crate) fn join(program: &mut Program) {
    let mut cast = 0;
    while cast < program.nodes.len() {
        match producer(program, cast) {
            Some((norm, mix)) => {
                // What stood at the cast's place stands at the next node now.
                let Node { outputs, .. } = program.nodes.remove(cast);
                let node = &mut program.nodes[norm];
                node.op = Arc::new(NormFp8 { mix });
                node.outputs.extend(&outputs[..3]);
            }
            None => cast += 1,
        }
    }
}

/// The norm that makes what a node casts, and the layer of its mix, where one kernel can do the work of both.
fn producer(program: &Program, cast: usize) -> Option<(usize, Option<usize>)> {
    let node = &program.nodes[cast];
    let op = node.op.as_any().downcast_ref::<Quantize>()?;
    if op.rule != Rule::Norm || op.format != Element::E4m3 || matrices(node) != 1 {
        return None;
    }
    let normed = node.inputs[0];
    let first = cast.saturating_sub(NEAR);
    let at = first + program.nodes[first..cast].iter().position(|node| node.outputs.contains(&normed))?;
    let norm = &program.nodes[at];
    let mix = norm.op.as_any().downcast_ref::<ResidualMix>().map(|op| op.layer);
    let activations = if mix.is_some() { 2 } else { 1 };
    let known = mix.is_some() || norm.op.as_any().is::<RmsNorm>();
    let halves = |values: &[_]| values.iter().all(|value| program.info(*value).ty.dtype == DType::BF16);
    let (shape, fits) = (&program.info(normed).ty.shape, |side: usize| side.is_multiple_of(MULTIPLE));
    let takes = fits(shape.rows()) && fits(shape.last()) && shape.last() <= WIDEST;
    // A node that has a cast already keeps it.
    let whole = norm.outputs.len() == activations + 1 && norm.outputs[activations - 1] == normed;
    let bf16 = halves(&norm.outputs[..activations]) && halves(&norm.inputs[..activations]);
    (known && whole && takes && bf16).then_some((at, mix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_ops::{Linear, LinearWeightGradient};
    use wootz_program::{Builder, Role, Value};

    /// A mix that a packed linear reads, and where `kept` the backward pass reads again.
    fn program(width: usize, kept: bool) -> (Program, [Value; 2]) {
        let mut b = Builder::new();
        let [x, x0] = ["x", "x0"].map(|name| b.input(name, Type::f32([2, 72, width])));
        let [resid, skip] = ["resid", "skip"].map(|name| b.parameter(name, Type::f32([3])));
        let w = b.parameter("w", Type::f32([144, width]));
        let dw = b.state("dw", Type::f32([144, width]));
        let made = b.apply(ResidualMix { layer: 2 }, &[x, x0, resid, skip]).expect("fits");
        let (mixed, normed) = (made[0], made[1]);
        let y = b.apply_one(Linear::PLAIN, &[normed, w]).expect("fits");
        b.apply(LinearWeightGradient { weights: 1 }, &[y, normed, dw]).expect("fits");
        let last = if kept { normed } else { mixed };
        let z = b.apply(RmsNorm, &[last]).expect("fits")[0];
        b.output(z, "z");
        let mut program = b.finish();
        for info in
            program.values.iter_mut().filter(|info| [Role::Activation, Role::Input].contains(&info.role))
        {
            // But for the factors of rows.
            if info.ty.shape.dims().len() > 2 {
                info.ty.dtype = DType::BF16;
            }
        }
        (program, [mixed, normed])
    }

    fn names(program: &Program) -> Vec<&'static str> {
        program.nodes.iter().map(|node| node.op.name()).collect()
    }

    #[test]
    fn a_mix_writes_its_cast() {
        for kept in [false, true] {
            let (mut program, [mixed, normed]) = program(144, kept);
            crate::fp8::lower(&mut program);
            let norm = &program.nodes[0];
            assert_eq!(
                norm.op.as_any().downcast_ref(),
                Some(&NormFp8 { mix: Some(2) }),
                "{:?}",
                names(&program)
            );
            assert_eq!(norm.outputs[..2], [mixed, normed]);
            let product = program.nodes.iter().find(|node| node.op.name() == "product_fp8").expect("one");
            assert_eq!(product.inputs[..2], [norm.outputs[3], norm.outputs[5]]);
            // What stays in bf16 anyway is cast again, for the weight's gradient.
            let again = |node: &Node| matrices(node) == 1 && node.inputs[0] == normed;
            assert_eq!(program.nodes.iter().filter(|node| again(node)).count(), usize::from(kept));
            let inferred = norm.op.infer(&program.input_types(norm)).expect("fits");
            let written: Vec<Type> = program.output_types(norm).into_iter().cloned().collect();
            assert_eq!(inferred, written);
        }
    }

    #[test]
    fn wide_rows_are_cast_by_themselves() {
        let (mut program, _) = program(1552, false);
        crate::fp8::lower(&mut program);
        assert!(names(&program).starts_with(&["residual_mix", "quantize"]), "{:?}", names(&program));
    }
}
