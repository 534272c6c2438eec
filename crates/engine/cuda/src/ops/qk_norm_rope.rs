//! RoPE, RMS norm and scale per head.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError, Function, Memory, Pointer};
use crate::launch::{Code, Launch, NodeView, Operand};
use std::sync::Arc;
use wootz_ops::{QkNormRope, QkNormRopeBackward};

pub(super) const THREADS: u32 = 128;
/// Rows of a block, a warp each.
pub(super) const WARPS: usize = 4;
const ANGLE_THREADS: usize = 256;
/// A cosine and a sine in binary32.
const ANGLE_BYTES: usize = 8;

impl Code for QkNormRope {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        let from_position = node.inputs.len() > 1;
        Ok(if from_position { angle_count(self, node.input(0)) * ANGLE_BYTES } else { 0 })
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (x, position) = (node.input(0), node.inputs.get(1));
        let (y, rstd) = (node.output(0), node.output(1));
        let mut macros = macros(self, node, x)?;
        macros.extend([("TX", x.c_type()), ("TY", y.c_type()), ("TR", rstd.c_type())]);
        let function = node.function("qk_norm_rope", "qk_norm_rope", &macros)?;
        let mut launches = Vec::new();
        // From a position that the host sets for every run, the angles are made in every run.
        let angles = match position {
            Some(position) => {
                let fill = node.function("qk_norm_rope", "qk_norm_rope_angles", &macros)?;
                let (grid, arguments) = angles(node.scratch.pointer, position.pointer, angle_count(self, x));
                let block = [ANGLE_THREADS as u32, 1, 1];
                launches.push(Launch::kernel("qk_norm_rope_angles", fill, grid, block, 0, arguments));
                Angles { pointer: node.scratch.pointer, _memory: None }
            }
            None => Angles::constant(self, node, x)?,
        };
        let arguments = Arguments::new()
            .pointer(y.pointer)
            .pointer(rstd.target())
            .pointer(x.pointer)
            .pointer(angles.pointer)
            .f32(self.scale)
            .i32(x.shape.dims()[1])
            .i32(usize::from(x.pointer != y.pointer))
            .i64(rows(x));
        launches.push(launch(node, "qk_norm_rope", function, THREADS, angles, arguments, x));
        Ok(launches)
    }
}

impl Code for QkNormRopeBackward {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (dy, y, rstd, dx) = (node.input(0), node.input(1), node.input(2), node.output(0));
        let mut macros = macros(&self.0, node, dy)?;
        macros.extend([("TX", dy.c_type()), ("TO", y.c_type())]);
        macros.extend([("TR", rstd.c_type()), ("TY", dx.c_type())]);
        let function = node.function("qk_norm_rope", "qk_norm_rope_backward", &macros)?;
        let angles = Angles::constant(&self.0, node, dy)?;
        let arguments = Arguments::new()
            .pointer(dx.pointer)
            .pointer(dy.pointer)
            .pointer(y.pointer)
            .pointer(rstd.pointer)
            .pointer(angles.pointer)
            .f32(self.0.scale)
            .i32(dy.shape.dims()[1])
            .i32(usize::from(dx.pointer != dy.pointer))
            .i64(rows(dy));
        Ok(vec![launch(node, "qk_norm_rope_backward", function, THREADS, angles, arguments, dy)])
    }
}

/// (cos, sin) of T×D/2 angles.
pub(super) struct Angles {
    /// Where they begin.
    pub(super) pointer: Pointer,
    /// Where they do not stand in scratch memory.
    _memory: Option<Arc<Memory>>,
}

impl Angles {
    /// Those from position 0 on: one table for all layers and both directions.
    pub(super) fn constant(op: &QkNormRope, node: &NodeView<'_>, x: &Operand) -> Result<Angles, CudaError> {
        let macros = macros(op, node, x)?;
        let fill = node.function("qk_norm_rope", "qk_norm_rope_angles", &macros)?;
        let count = angle_count(op, x);
        let key = format!("angles {} {} {:?}", x.shape.dims()[1], op.head_dim, op.base);
        let memory = node.gpu.constant(key, count * ANGLE_BYTES, |pointer, stream| {
            let (grid, arguments) = angles(pointer, 0, count);
            fill.launch(stream, grid, [ANGLE_THREADS as u32, 1, 1], 0, &arguments)
        })?;
        Ok(Angles { pointer: memory.pointer, _memory: Some(memory) })
    }
}

/// Grid and arguments of the kernel that fills a table of angles from `*start`, or 0, on.
fn angles(table: Pointer, start: Pointer, count: usize) -> ([u32; 3], Arguments) {
    let grid = [count.div_ceil(ANGLE_THREADS).max(1) as u32, 1, 1];
    (grid, Arguments::new().pointer(table).pointer(start).i64(count))
}

fn angle_count(op: &QkNormRope, x: &Operand) -> usize {
    x.shape.dims()[1] * op.head_dim / 2
}

pub(super) fn rows(x: &Operand) -> usize {
    x.len() / x.shape.last()
}

pub(super) fn macros(op: &QkNormRope, node: &NodeView<'_>, x: &Operand) -> Result<Macros, CudaError> {
    let d = op.head_dim;
    node.require(d.is_power_of_two() && (16..=512).contains(&d), || {
        format!("heads of {d} elements; the kernel takes powers of two from 16 to 512")
    })?;
    Ok(vec![
        ("HEADS", op.heads.to_string()),
        ("D", d.to_string()),
        ("WIDTH", x.shape.last().to_string()),
        ("BASE", format!("{:?}", op.base)),
    ])
}

/// A launch that holds its table: a warp, or several, for each row.
pub(super) fn launch(
    node: &NodeView<'_>,
    name: &'static str,
    function: Function,
    threads: u32,
    angles: Angles,
    arguments: Arguments,
    x: &Operand,
) -> Launch {
    let grid = [rows(x).div_ceil(WARPS).max(1) as u32, 1, 1];
    let run = Launch::new(name, move |stream| {
        let _held = &angles;
        function.launch(stream, grid, [threads, 1, 1], 0, &arguments)
    });
    run.costs(node.cost)
}
