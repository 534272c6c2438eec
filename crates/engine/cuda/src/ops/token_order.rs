//! Positions sorted by their token, for the gradients of tables.

use crate::driver::{Arguments, CudaError, Pointer};
use crate::launch::{Code, Launch, NodeView};
use crate::token_order::TokenOrder;

const THREADS: u32 = 256;
/// Items of a block.
const TILE: usize = 2048;
/// Bits of a digit, as in the kernel.
const BITS: u32 = 9;
/// A sorted item: its token and its position, 32 bits each.
const ITEM_BYTES: usize = 8;

impl Code for TokenOrder {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        let count = node.input(0).len();
        Ok(items_bytes(count) + blocks(count) * (1 << BITS) * size_of::<u32>())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let (tokens, count) = (node.input(0), node.input(0).len());
        node.require(count < 1 << 30 && self.vocabulary < 1 << 30, || {
            format!("{count} tokens of a vocabulary of {} are too many", self.vocabulary)
        })?;
        let macros = Vec::new();
        let counting = node.function("token_order", "token_order_count", &macros)?;
        let placing = node.function("token_order", "token_order_place", &macros)?;
        let counts = node.scratch.pointer + items_bytes(count) as Pointer;
        let (grid, block) = ([blocks(count) as u32, 1, 1], [THREADS, 1, 1]);
        let (mut launches, mut items, passes) = (Vec::new(), 0, self.passes());
        for pass in 0..passes {
            // The last pass ends in the output.
            let to = if (passes - 1 - pass).is_multiple_of(2) {
                node.output(0).pointer
            } else {
                node.scratch.pointer
            };
            let last = |arguments: Arguments| {
                let arguments = arguments.pointer(tokens.pointer).pointer(items);
                arguments.i32(self.vocabulary).i32((pass * BITS) as usize).i32(count)
            };
            let arguments = last(Arguments::new().pointer(counts));
            launches.push(Launch::kernel("token_order_count", counting.clone(), grid, block, 0, arguments));
            let arguments = last(Arguments::new().pointer(to).pointer(counts));
            launches.push(Launch::kernel("token_order_place", placing.clone(), grid, block, 0, arguments));
            items = to;
        }
        Ok(launches)
    }
}

impl TokenOrder {
    /// Digits of the largest key, which is the vocabulary: tokens outside of it.
    fn passes(&self) -> u32 {
        (self.vocabulary.max(1).ilog2() + 1).div_ceil(BITS)
    }
}

fn blocks(count: usize) -> usize {
    count.div_ceil(TILE).max(1)
}

fn items_bytes(count: usize) -> usize {
    (count * ITEM_BYTES).next_multiple_of(256)
}
