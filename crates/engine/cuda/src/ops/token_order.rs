//! Positions sorted by their token, for the gradients of tables.

use crate::driver::{Arguments, CudaError, Pointer};
use crate::launch::{Launch, NodeView, Operand};

const THREADS: u32 = 256;
/// Items of a block.
const TILE: usize = 2048;
/// Bits of a digit, as in the kernel.
const BITS: u32 = 9;
/// A sorted item: its token and its position, 32 bits each.
const ITEM_BYTES: usize = 8;

/// A sort of M tokens of a vocabulary of V.
pub(super) struct TokenOrder {
    tokens: Pointer,
    count: usize,
    vocabulary: usize,
}

impl TokenOrder {
    pub fn new(node: &NodeView<'_>, tokens: &Operand, vocabulary: usize) -> Result<TokenOrder, CudaError> {
        let count = tokens.len();
        node.require(count < 1 << 30 && vocabulary < 1 << 30, || {
            format!("{count} tokens of a vocabulary of {vocabulary} are too many")
        })?;
        Ok(TokenOrder { tokens: tokens.pointer, count, vocabulary })
    }
    /// Scratch memory: items twice, and the counts.
    pub fn bytes(&self) -> usize {
        2 * self.items_bytes() + self.blocks() * (1 << BITS) * size_of::<u32>()
    }
    /// Sorts in the scratch memory at `scratch`, and where the sorted items are then.
    pub fn launches(
        &self,
        node: &NodeView<'_>,
        scratch: Pointer,
    ) -> Result<(Vec<Launch>, Pointer), CudaError> {
        let macros = Vec::new();
        let count = node.function("token_order", "token_order_count", &macros)?;
        let place = node.function("token_order", "token_order_place", &macros)?;
        let buffers = [scratch, scratch + self.items_bytes() as Pointer];
        let counts = buffers[1] + self.items_bytes() as Pointer;
        let (grid, block) = ([self.blocks() as u32, 1, 1], [THREADS, 1, 1]);
        let (mut launches, mut items) = (Vec::new(), 0);
        for pass in 0..self.passes() {
            let shift = (pass * BITS) as usize;
            let to = buffers[pass as usize % 2];
            let last = |arguments: Arguments| {
                let arguments = arguments.pointer(self.tokens).pointer(items);
                arguments.i32(self.vocabulary).i32(shift).i32(self.count)
            };
            let arguments = last(Arguments::new().pointer(counts));
            launches.push(Launch::kernel("token_order_count", count.clone(), grid, block, 0, arguments));
            let arguments = last(Arguments::new().pointer(to).pointer(counts));
            launches.push(Launch::kernel("token_order_place", place.clone(), grid, block, 0, arguments));
            items = to;
        }
        Ok((launches, items))
    }
    fn blocks(&self) -> usize {
        self.count.div_ceil(TILE).max(1)
    }
    fn items_bytes(&self) -> usize {
        (self.count * ITEM_BYTES).next_multiple_of(256)
    }
    /// Digits of the largest key, which is the vocabulary: tokens outside of it.
    fn passes(&self) -> u32 {
        (self.vocabulary.ilog2() + 1).div_ceil(BITS)
    }
}
