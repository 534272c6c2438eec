//! The head and its loss, a chunk of tokens at a time: a product for the logits, one kernel that makes losses of them and,
//! in training, turns them into their own gradient in place, and two products for the gradients.
//!
//! The logits of a chunk are bf16, and no more than [`CHUNK_BYTES`]. Within that the chunk is the one whose products leave the
//! fewest multiprocessors idle in their last round of tiles ([`Places::chunk`]).

mod fp8;

use crate::driver::{Arguments, CudaError, Function, Pointer};
use crate::gemm::{self, Matrix, Product};
use crate::launch::{Code, Launch, NodeView, Operand, Scratch};
use wootz_ops::{LinearCrossEntropy, LinearCrossEntropyBackward};
use wootz_program::Cost;
use wootz_tensor::DType;

/// Bytes of one chunk's logits.
const CHUNK_BYTES: usize = 512 << 20;
/// Chunks are multiples of this many tokens, a tile of two multiprocessors in a product, and have no more than
/// [`LARGEST_CHUNK`].
const TILE: usize = 256;
const LARGEST_CHUNK: usize = 8192;
/// Largest cap that can stand for a row's maximum: e^(−2·cap), the smallest term there can be, is a normal number.
const LOW_CAP: f64 = 40.0;
/// Shared memory that the kernel takes beside the row, rounded up.
const OTHER_SHARED_BYTES: u32 = 1024;

impl Code for LinearCrossEntropy {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(Places::of(self, node).bytes())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        Head::new(self, node, None, node.output(0), node.output(1))?.launches()
    }
}

impl Code for LinearCrossEntropyBackward {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(Places::of(&self.0, node).bytes())
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        let gradient = Gradient { seed: node.input(3), dw: node.input(4), dx: node.output(0) };
        Head::new(&self.0, node, Some(gradient), node.output(1), node.output(2))?.launches()
    }
}

/// An error unless the products take the hidden rows and the head.
pub(super) fn check_head(node: &NodeView<'_>, x: &Operand, w: &Operand) -> Result<(), CudaError> {
    let channels = x.shape.last();
    let aligned = channels.is_multiple_of(8);
    node.require(aligned, || format!("{channels} channels are not a multiple of 8"))?;
    let half = x.dtype == DType::BF16 && w.dtype == DType::BF16;
    node.require(half, || format!("it multiplies bf16, got {} and {}", x.dtype, w.dtype))
}

/// Scratch memory: logits of a chunk, losses where nobody else keeps them, the count of targets, workspace of products.
struct Places {
    tokens: usize,
    chunk: usize,
    /// Columns of the logits as stored: rows of the head, rounded up so that rows of logits are aligned.
    stride: usize,
    /// Casts, where the products run in 8 bits.
    eight: Option<fp8::Places>,
}

impl Places {
    fn of(op: &LinearCrossEntropy, node: &NodeView<'_>) -> Places {
        let (tokens, stride) = (node.input(2).len(), node.input(1).shape.dims()[0].next_multiple_of(8));
        let pairs = node.gpu.device.properties.multiprocessors as usize / 2;
        let channels = node.input(0).shape.last();
        let chunk = chunk(tokens, stride, channels, pairs.max(1));
        let eight = fp8::wanted(op, node).then_some(fp8::Places { chunk, rows: stride, channels });
        Places { tokens, chunk, stride, eight }
    }
    fn losses(&self) -> usize {
        (2 * self.chunk * self.stride).next_multiple_of(256)
    }
    fn count(&self) -> usize {
        (self.losses() + 4 * self.tokens).next_multiple_of(256)
    }
    fn casts(&self) -> usize {
        self.count() + 256
    }
    fn workspace(&self) -> usize {
        let casts = self.eight.as_ref().map_or(0, fp8::Places::bytes);
        (self.casts() + casts).next_multiple_of(256)
    }
    fn bytes(&self) -> usize {
        self.workspace() + gemm::WORKSPACE_BYTES
    }
}

/// Scratch memory of tokens and a head on a device with this many pairs of multiprocessors, in 16 bits.
#[cfg(test)]
pub(crate) fn scratch_bytes(tokens: usize, rows: usize, channels: usize, pairs: usize) -> usize {
    let stride = rows.next_multiple_of(8);
    Places { tokens, chunk: chunk(tokens, stride, channels, pairs), stride, eight: None }.bytes()
}

/// Tokens of a chunk, so that all chunks' products take the least time; of equals the largest.
fn chunk(tokens: usize, stride: usize, channels: usize, pairs: usize) -> usize {
    let largest = (CHUNK_BYTES / (2 * stride) / TILE * TILE).clamp(TILE, LARGEST_CHUNK).min(tokens);
    let time = |chunk: usize| {
        let of = |tokens: usize| products_time(tokens, stride, channels, pairs);
        tokens / chunk * of(chunk) + of(tokens % chunk)
    };
    let sizes = (1..=largest / TILE).map(|tiles| tiles * TILE).chain([largest]).filter(|size| *size > 0);
    sizes.rev().min_by_key(|size| time(*size)).unwrap_or(0)
}

/// Time of a chunk's three products, in steps of 64 along their sums: rounds of tiles of 256×256, one for each pair of
/// multiprocessors, with some steps for a tile's results.
fn products_time(tokens: usize, rows: usize, channels: usize, pairs: usize) -> usize {
    const RESULTS: usize = 5;
    let product = |m: usize, n: usize, k: usize, results: usize| {
        (m.div_ceil(TILE) * n.div_ceil(TILE)).div_ceil(pairs) * (k.div_ceil(64) + results)
    };
    if tokens == 0 {
        return 0;
    }
    product(tokens, rows, channels, RESULTS)
        + product(tokens, channels, rows, RESULTS)
        // Results that are added to what is there cost twice as much.
        + product(rows, channels, tokens, 2 * RESULTS)
}

#[derive(Clone, Copy)]
struct Gradient<'a> {
    seed: &'a Operand,
    dw: &'a Operand,
    dx: &'a Operand,
}

struct Head<'a> {
    op: &'a LinearCrossEntropy,
    node: &'a NodeView<'a>,
    places: Places,
    channels: usize,
    gradient: Option<Gradient<'a>>,
    loss: &'a Operand,
    /// Where the losses of the tokens go.
    losses: Pointer,
    row_losses: Function,
    shared_bytes: u32,
    count_targets: Function,
    mean_loss: Function,
}

impl<'a> Head<'a> {
    fn new(
        op: &'a LinearCrossEntropy,
        node: &'a NodeView<'a>,
        gradient: Option<Gradient<'a>>,
        loss: &'a Operand,
        losses: &'a Operand,
    ) -> Result<Head<'a>, CudaError> {
        check_head(node, node.input(0), node.input(1))?;
        node.require(losses.dtype == DType::F32, || format!("losses must be f32, not {}", losses.dtype))?;
        let places = Places::of(op, node);
        let most = node.gpu.device.properties.shared_bytes.saturating_sub(OTHER_SHARED_BYTES);
        let row_bytes = 2 * places.stride;
        let keep = gradient.is_some() && row_bytes <= most as usize;
        let flag = |on: bool| u8::from(on).to_string();
        let macros = vec![
            ("KEEP", flag(keep)),
            ("LOW_CAP", flag(op.softcap <= LOW_CAP)),
            ("GRADIENT", flag(gradient.is_some())),
            ("TS", gradient.map_or("float".to_owned(), |gradient| gradient.seed.c_type())),
            ("TL", loss.c_type()),
        ];
        let function = |name| node.function("linear_cross_entropy", name, &macros);
        let row_losses = function("row_losses")?;
        // The most there is, so that programs of several vocabularies can share the function.
        row_losses.allow_shared(most)?;
        let scratch = node.scratch.pointer;
        let own = scratch + places.losses() as Pointer;
        Ok(Head {
            op,
            node,
            channels: node.input(0).shape.last(),
            gradient,
            loss,
            losses: if losses.read { losses.pointer } else { own },
            row_losses,
            shared_bytes: if keep { row_bytes as u32 } else { 0 },
            count_targets: function("count_targets")?,
            mean_loss: function("mean_loss")?,
            places,
        })
    }

    fn launches(&self) -> Result<Vec<Launch>, CudaError> {
        let (tokens, targets) = (self.places.tokens, self.node.input(2).pointer);
        let count = self.count();
        let eight = self.places.eight.as_ref();
        let factor = eight.map_or(0, |eight| self.gradient_factor(eight));
        let seed = self.gradient.map_or(0, |gradient| gradient.seed.pointer);
        let arguments =
            Arguments::new().pointer(count).pointer(targets).i32(tokens).pointer(factor).pointer(seed);
        let (one, block) = ([1, 1, 1], [1024, 1, 1]);
        let name = "cross_entropy count";
        let bytes = |bytes: usize| Cost { flops: 0, bytes: bytes as u64 };
        let counted = Launch::kernel(name, self.count_targets.clone(), one, block, 0, arguments);
        let mut launches = vec![counted.costs(bytes(4 * tokens))];
        if let Some(eight) = eight {
            launches.extend(self.prepare_fp8(eight)?);
        }
        for first in (0..tokens).step_by(self.places.chunk.max(1)) {
            let tokens = self.places.chunk.min(tokens - first);
            launches.extend(match eight {
                Some(eight) => self.chunk_fp8(eight, first, tokens)?,
                None => self.chunk(first, tokens)?,
            });
        }
        if self.loss.read {
            let arguments =
                Arguments::new().pointer(self.loss.pointer).pointer(self.losses).pointer(count).i32(tokens);
            let mean = Launch::kernel("cross_entropy mean", self.mean_loss.clone(), one, block, 0, arguments);
            launches.push(mean.costs(bytes(4 * tokens)));
        }
        Ok(launches)
    }

    fn count(&self) -> Pointer {
        self.node.scratch.pointer + self.places.count() as Pointer
    }

    /// Everything about a stretch of tokens.
    fn chunk(&self, first: usize, tokens: usize) -> Result<Vec<Launch>, CudaError> {
        let (x, w) = (self.node.input(0), self.node.input(1));
        let (rows, channels) = (w.shape.dims()[0], self.channels);
        let hidden = |of: &Operand| {
            let pointer = of.pointer + (first * channels * of.dtype.bytes()) as Pointer;
            Matrix::new(pointer, of.dtype, channels)
        };
        let logits = Matrix::new(self.node.scratch.pointer, DType::BF16, self.places.stride);
        let head = Matrix::new(w.pointer, w.dtype, channels);
        let shape = [tokens, rows, channels];
        let product = Product::new("head", shape, hidden(x), head.transposed(), logits);
        let mut launches = vec![self.product(&product)?, self.losses_of(first, tokens)];
        if let Some(Gradient { dw, dx, .. }) = self.gradient {
            if dx.read {
                let shape = [tokens, channels, rows];
                launches.push(self.product(&Product::new("head dx", shape, logits, head, hidden(dx)))?);
            }
            let (shape, main) = ([rows, channels, tokens], Matrix::new(dw.pointer, dw.dtype, channels));
            let product = Product::new("head dw", shape, logits.transposed(), hidden(x), main).accumulated();
            launches.push(self.product(&product)?);
        }
        Ok(launches)
    }

    fn product(&self, product: &Product) -> Result<Launch, CudaError> {
        let (all, used) = (self.node.scratch, self.places.workspace());
        let workspace = Scratch { pointer: all.pointer + used as Pointer, bytes: all.bytes - used };
        gemm::product(self.node.gpu, product, workspace)
    }

    /// Losses of a chunk's logits, which become their gradient.
    fn losses_of(&self, first: usize, tokens: usize) -> Launch {
        let at = 4 * first as Pointer;
        let arguments = Arguments::new()
            .pointer(self.node.scratch.pointer)
            .pointer(self.losses + at)
            .pointer(self.node.input(2).pointer + at)
            .pointer(self.gradient.map_or(0, |gradient| gradient.seed.pointer))
            .pointer(self.count())
            .i32(self.op.vocab)
            .i32(self.places.stride)
            .i64(self.places.stride)
            .f32(self.op.softcap);
        let passes = if self.gradient.is_some() { 2 } else { 1 };
        let bytes = (2 * passes * tokens * self.places.stride) as u64;
        let (grid, block) = ([tokens as u32, 1, 1], [512, 1, 1]);
        let function = self.row_losses.clone();
        let launch = Launch::kernel("cross_entropy", function, grid, block, self.shared_bytes, arguments);
        launch.costs(Cost { flops: 0, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::chunk;

    #[test]
    fn chunks_fill_the_device_and_stay_within_their_bytes() {
        let check = |tokens: usize, stride: usize, channels: usize, expected: usize| {
            let found = chunk(tokens, stride, channels, 66);
            assert_eq!(found, expected, "{tokens} tokens of {channels} channels and {stride} logits");
        };
        // 26 tiles of tokens by 5 of channels: 130 of 132 pairs in two rounds.
        check(65_536, 32_768, 1280, 6656);
        check(32_768, 32_768, 768, 5632);
        check(8192, 32_768, 1280, 8192);
        check(65_536, 262_144, 2048, 1024);
        check(67, 128, 128, 67);
        check(0, 128, 128, 0);
        check(1000, 1 << 30, 128, 256);
    }
}
