//! Attention by cuDNN's fused kernels.
//!
//! The backward pass sums the gradient of the queries with atomic additions: its last bits differ between runs, unless
//! the run asks for determinism, which costs scratch memory of 2·B·H·T² bytes.

use crate::cudnn::{BackwardPointers, CudnnError, ForwardPointers, Plan, SdpaShape};
use crate::driver::{CudaError, Event, Stream};
use crate::launch::{Launch, NodeView, Operand};
use std::ffi::c_void;
use wootz_ops::Attention;
use wootz_tensor::DType;

/// Launches over which a plan is timed, after one that is not.
const TIMED: usize = 3;

pub(super) fn forward_scratch(op: &Attention, node: &NodeView<'_>) -> Result<usize, CudaError> {
    let shape = shape(op, node, node.input(0))?;
    Ok(node.gpu.attention()?.forward(shape)?.workspace_bytes())
}

pub(super) fn forward(op: &Attention, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
    let (qkv, y, lse) = (node.input(0), node.output(0), node.output(1));
    let shape = shape(op, node, qkv)?;
    let pass = node.gpu.attention()?.forward(shape)?;
    let pointers = ForwardPointers::packed(&shape, qkv.pointer, y.pointer, lse.pointer);
    let scratch = node.scratch.pointer;
    pass.tune(|plan| {
        // SAFETY: as for the launch below.
        time(node, |stream| unsafe { pass.launch_with(plan, stream, &pointers, scratch) })
    })?;
    let name = title("forward", pass.chosen());
    // SAFETY: the operands are where the shape says, in the session's memory, which outlives its launches; scratch is
    // as large as asked for.
    let run = move |stream: &Stream| Ok(unsafe { pass.launch(stream.raw(), &pointers, scratch) }?);
    Ok(vec![Launch::new(name, run).costs(node.cost)])
}

pub(super) fn backward_scratch(op: &Attention, node: &NodeView<'_>) -> Result<usize, CudaError> {
    let shape = shape(op, node, node.input(1))?;
    Ok(node.gpu.attention()?.backward(shape)?.workspace_bytes())
}

pub(super) fn backward(op: &Attention, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
    let (dy, qkv, y, lse) = (node.input(0), node.input(1), node.input(2), node.input(3));
    let shape = shape(op, node, qkv)?;
    let pass = node.gpu.attention()?.backward(shape)?;
    let forward = ForwardPointers::packed(&shape, qkv.pointer, y.pointer, lse.pointer);
    let pointers = BackwardPointers::packed(&shape, forward, dy.pointer, node.output(0).pointer);
    let scratch = node.scratch.pointer;
    pass.tune(|plan| {
        // SAFETY: as for the launch below.
        time(node, |stream| unsafe { pass.launch_with(plan, stream, &pointers, scratch) })
    })?;
    let name = title("backward", pass.chosen());
    // SAFETY: the operands are where the shape says, in the session's memory, which outlives its launches; scratch is
    // as large as asked for.
    let run = move |stream: &Stream| Ok(unsafe { pass.launch(stream.raw(), &pointers, scratch) }?);
    Ok(vec![Launch::new(name, run).costs(node.cost)])
}

fn title(pass: &str, plan: &Plan) -> String {
    format!("cudnn attention {pass} {}", plan.name)
}

/// The shape of attention over packed rows.
fn shape(op: &Attention, node: &NodeView<'_>, qkv: &Operand) -> Result<SdpaShape, CudaError> {
    let halves = node.inputs.iter().chain(&node.outputs).all(|operand| match operand.shape.dims() {
        // The statistics are the one operand whose last dim is time.
        [_, heads, time] if *heads == op.heads && *time == qkv.shape.dims()[1] => true,
        _ => operand.dtype == DType::BF16,
    });
    node.require(halves, || "attention on the GPU is in bf16".to_owned())?;
    let (dims, heads) = (qkv.shape.dims(), op.heads + 2 * op.kv_heads);
    let shape =
        SdpaShape::packed(dims[0], dims[1], op.heads, op.kv_heads, dims[2] / heads).with_window(op.window);
    Ok(SdpaShape { deterministic: node.gpu.options.deterministic, ..shape })
}

/// Seconds of one launch.
fn time(
    node: &NodeView<'_>,
    launch: impl Fn(*mut c_void) -> Result<(), CudnnError>,
) -> Result<f64, CudaError> {
    let device = &node.gpu.device;
    let stream = Stream::new(device)?;
    let (start, end) = (Event::new(device)?, Event::new(device)?);
    launch(stream.raw())?;
    start.record(&stream)?;
    for _ in 0..TIMED {
        launch(stream.raw())?;
    }
    end.record(&stream)?;
    stream.synchronize()?;
    Ok(end.seconds_since(&start)? / TIMED as f64)
}

impl From<CudnnError> for CudaError {
    fn from(error: CudnnError) -> CudaError {
        match error {
            CudnnError::Library(error) => CudaError::Library(error),
            CudnnError::Call { what, .. } => CudaError::Call { call: what, reason: error.to_string() },
            error => CudaError::unsupported("attention", error.to_string()),
        }
    }
}
