//! The residual stream entering a block, and its norm.

use super::rms_norm::{Rows, require_factors};
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView};
use crate::of_input::OfInput;
use crate::partial_sums::{Shares, Summed, Sums, Target};
use wootz_ops::{LEAST_RESID, ResidualMix, ResidualMixBackward};
use wootz_program::Type;

/// Rows that a warp of the backward pass takes in turn.
const TURNS: usize = 4;

impl Code for ResidualMix {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let [x, x0, resid, skip] = [0, 1, 2, 3].map(|i| node.input(i));
        let [mixed, normed, rstd] = [0, 1, 2].map(|i| node.output(i));
        let rows = Rows::of(node, x)?;
        require_factors(node, rstd)?;
        let mut macros = rows.macros();
        macros.extend([("TX", x.c_type()), ("TX0", x0.c_type()), ("TR", resid.c_type())]);
        macros.extend([("TS", skip.c_type()), ("TY", mixed.c_type()), ("TN", normed.c_type())]);
        let function = node.function("residual_mix", "residual_mix", &macros)?;
        let arguments = Arguments::new()
            .pointer(mixed.target())
            .pointer(normed.target())
            .pointer(rstd.target())
            .pointer(x.pointer)
            .pointer(x0.pointer)
            .pointer(resid.pointer)
            .pointer(skip.pointer)
            .i32(self.layer)
            .i64(rows.count);
        let grid = [rows.blocks(1) as u32, 1, 1];
        Ok(vec![node.kernel("residual_mix", function, grid, rows.threads as u32, arguments)])
    }
}

impl Summed for ResidualMixBackward {
    fn sums(&self, inputs: &[&Type]) -> Sums {
        let at = self.gradients();
        let targets = [5, 6].map(|i| Target { input: at + i, first: self.layer, len: 1 });
        Sums { blocks: Rows::over(&inputs[at].shape).blocks(TURNS), factor: 1.0, targets: targets.into() }
    }
}

impl Summed for OfInput<ResidualMixBackward> {
    fn sums(&self, inputs: &[&Type]) -> Sums {
        self.0.sums(inputs)
    }
}

impl Code for Shares<ResidualMixBackward> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        backward(&self.0, node, false)
    }
}

impl Code for Shares<OfInput<ResidualMixBackward>> {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        backward(&self.0.0, node, true)
    }
}

/// From the norm of the mix, or from the stream.
fn backward(op: &ResidualMixBackward, node: &NodeView<'_>, of_input: bool) -> Result<Vec<Launch>, CudaError> {
    let at = op.gradients();
    let dmixed = op.mixed.then(|| node.input(0));
    let dnormed = op.normed.then(|| node.input(at - 1));
    let [normed, rstd, x0, resid, skip] = [0, 1, 2, 3, 4].map(|i| node.input(at + i));
    let sum = node.inputs.get(at + 7);
    let [dx, dx0, shares] = [0, 1, 2].map(|i| node.output(i));
    let rows = Rows::of(node, normed)?;
    require_factors(node, rstd)?;
    let mut macros = rows.macros();
    macros.extend([("TX", normed.c_type()), ("TX0", x0.c_type()), ("TR", resid.c_type())]);
    macros.extend([("TS", skip.c_type()), ("TY", dx.c_type()), ("TN", dx0.c_type())]);
    macros.extend(dmixed.map(|d| ("TDM", d.c_type())));
    macros.extend(dnormed.map(|d| ("TDN", d.c_type())));
    macros.extend(sum.map(|d| ("TD0", d.c_type())));
    macros.extend(node.largest.map(|_| ("LARGEST", "1".to_owned())));
    macros.extend(of_input.then(|| ("INPUT", "1".to_owned())));
    let there = |operand: bool| u8::from(operand).to_string();
    macros.extend([("MIXED", there(op.mixed)), ("NORMED", there(op.normed))]);
    macros.extend([("ADDS", there(sum.is_some())), ("TURNS", TURNS.to_string())]);
    let function = node.function("residual_mix", "residual_mix_backward", &macros)?;
    let operands = [Some(normed), Some(x0), dmixed, dnormed, sum].into_iter().flatten();
    let row_bytes: usize = operands.map(|operand| operand.dtype.bytes() * rows.width).sum();
    let shared = (row_bytes * rows.at_once()) as u32;
    let most = node.gpu.device.properties.shared_bytes.saturating_sub(1024);
    node.require(shared <= most, || format!("rows need {shared} bytes of shared memory, there are {most}"))?;
    function.allow_shared(shared)?;
    function.prefer_shared()?;
    let place = |operand: Option<&crate::launch::Operand>| operand.map_or(0, |operand| operand.pointer);
    let arguments = Arguments::new()
        .pointer(dx.target())
        .pointer(dx0.target())
        .pointer(place(dmixed))
        .pointer(place(dnormed))
        .pointer(normed.pointer)
        .pointer(rstd.pointer)
        .pointer(x0.pointer)
        .pointer(resid.pointer)
        .pointer(skip.pointer)
        .pointer(place(sum))
        .pointer(shares.pointer)
        .pointer(node.largest.unwrap_or(0))
        .i32(op.layer)
        .f32(LEAST_RESID)
        .i64(rows.count);
    let (grid, block) = ([rows.blocks(TURNS) as u32, 1, 1], [rows.threads as u32, 1, 1]);
    let main = Launch::kernel("residual_mix_backward", function, grid, block, shared, arguments);
    Ok(vec![main.costs(node.cost)])
}
