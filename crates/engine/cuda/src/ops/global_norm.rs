//! Norm over any number of tensors: a table of pieces, one block each, and one block that adds up the pieces' sums.

use super::table::Table;
use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use wootz_ops::GlobalNorm;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Elements of a piece.
const PIECE: usize = 1 << 16;
/// Marks pieces of bf16 numbers.
const HALF: u64 = 1 << 63;

impl Code for GlobalNorm {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(4 * node.inputs.iter().map(|tensor| tensor.len().div_ceil(PIECE)).sum::<usize>())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let real = |operand: &Operand| matches!(operand.dtype, DType::F32 | DType::BF16);
        node.require(node.inputs.iter().all(real), || "its tensors must be f32 or bf16".to_owned())?;
        let words: Vec<u64> = node.inputs.iter().flat_map(pieces).collect();
        let (pieces, sums) = (words.len() / 2, node.scratch.pointer);
        let table = Table::upload(node.gpu, &words)?;
        let macros = vec![("TY", node.output(0).c_type())];
        let add = node.function("global_norm", "piece_squares", &macros)?;
        let join = node.function("global_norm", "root_of_sums", &macros)?;
        let bytes: usize = node.inputs.iter().map(Operand::bytes).sum();
        let arguments = Arguments::new().pointer(sums).pointer(table.pointer(0));
        let grid = [pieces.max(1) as u32, 1, 1];
        let squares = Launch::kernel("global_norm", add, grid, [256, 1, 1], 0, arguments);
        let squares = table.held_by(squares.costs(Cost { flops: 0, bytes: bytes as u64 }));
        let arguments = Arguments::new().pointer(node.output(0).pointer).pointer(sums).i32(pieces);
        let root = Launch::kernel("global_norm root", join, [1, 1, 1], [1024, 1, 1], 0, arguments);
        let root = root.costs(Cost { flops: 0, bytes: 4 * pieces as u64 });
        Ok(if pieces > 0 { vec![squares, root] } else { vec![root] })
    }
}

/// Two words a piece: where it begins, and its length and type.
fn pieces(tensor: &Operand) -> Vec<u64> {
    let kind = if tensor.dtype == DType::BF16 { HALF } else { 0 };
    let piece = |first: usize| {
        let len = PIECE.min(tensor.len() - first) as u64;
        [tensor.pointer + (first * tensor.dtype.bytes()) as u64, len | kind]
    };
    (0..tensor.len()).step_by(PIECE).flat_map(piece).collect()
}
