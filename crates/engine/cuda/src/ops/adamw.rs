//! AdamW in one pass over all its operands, each binary32 or bf16; what persists as bf16 is rounded stochastically. Parameters
//! of 16 bits beside a copy are the lower halves of binary32 ones, of which the copy is the upper half ([`crate::lower`]).

use crate::driver::{Arguments, CudaError};
use crate::launch::{Code, Launch, NodeView, Operand};
use wootz_ops::AdamW;
use wootz_tensor::DType;

const THREADS: usize = 256;

impl Code for AdamW {
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let operands = &node.inputs[2..];
        let real = |operand: &Operand| matches!(operand.dtype, DType::F32 | DType::BF16);
        node.require(operands.iter().all(real), || "its operands must be f32 or bf16".to_owned())?;
        let rates = node.inputs[..2].iter().all(|rate| rate.dtype == DType::F32);
        node.require(rates, || "its rates must be f32".to_owned())?;
        let [p, g, m, v] = [0, 1, 2, 3].map(|i| &operands[i]);
        let copy = operands.get(4);
        let width = width(operands);
        let split = copy.is_some() && p.dtype == DType::BF16;
        let macros = vec![
            ("TP", if split { "u16".to_owned() } else { p.c_type() }),
            ("SPLIT", u8::from(split).to_string()),
            ("TG", g.c_type()),
            ("TM", m.c_type()),
            ("TV", v.c_type()),
            ("TC", copy.map_or("bf16".to_owned(), Operand::c_type)),
            ("COPY", u8::from(copy.is_some()).to_string()),
            ("WIDTH", width.to_string()),
        ];
        let function = node.function("adamw", "adamw", &macros)?;
        let arguments =
            [p, g, m, v].iter().fold(Arguments::new(), |all, operand| all.pointer(operand.pointer));
        let arguments = arguments
            .pointer(copy.map_or(0, |copy| copy.pointer))
            .pointer(node.input(0).pointer)
            .pointer(node.input(1).pointer)
            .i64(p.len())
            .f32(self.lr)
            .f32(self.beta1)
            .f32(1.0 - self.beta1)
            .f32(self.beta2)
            .f32(1.0 - self.beta2)
            .f32(self.eps)
            .f32(self.weight_decay)
            .f32(self.beta1.ln())
            .f32(self.beta2.ln());
        let blocks = p.len().div_ceil(THREADS * width).clamp(1, 1 << 20) as u32;
        // All are read and written, but a whole copy is only written.
        let moved: usize = operands.iter().map(|operand| 2 * operand.bytes()).sum();
        let unread = copy.filter(|_| !split).map_or(0, Operand::bytes);
        let cost = wootz_program::Cost { flops: 0, bytes: (moved - unread) as u64 };
        Ok(vec![node.kernel("adamw", function, [blocks, 1, 1], THREADS as u32, arguments).costs(cost)])
    }
}

/// Elements of one access: 16 bytes of the widest type, or one element where an operand begins in between.
fn width(operands: &[Operand]) -> usize {
    let width = if operands.iter().all(|operand| operand.dtype == DType::BF16) { 8 } else { 4 };
    let aligned = |operand: &Operand| operand.pointer.is_multiple_of((width * operand.dtype.bytes()) as u64);
    if operands.iter().all(aligned) { width } else { 1 }
}
