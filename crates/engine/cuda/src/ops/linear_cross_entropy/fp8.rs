//! The head's three products in 8 bits: e4m3 but for the logits' gradient, which is e5m2.
//!
//! The head is cast once, the hidden rows a chunk at a time with one factor. No gradient of a logit is larger than the seed
//! over the count of targets: the probability less one or zero, times the derivative of the cap, which is at most 1. So that
//! gradient needs no search for its largest number: the bound becomes the format's largest, and what is 2^31 times smaller is
//! still a number. The kernel that finds it writes it in 8 bits at once, over the logits and turned.
//!
//! Not covered: sides that are short or no multiples of 16, high caps, devices but Hopper; these heads stay bf16, and so do
//! evaluation and generation.

use super::{Gradient, Head, LOW_CAP};
use crate::driver::{Arguments, CudaError, Pointer, Stream};
use crate::gemm::fp8::{Cast, MULTIPLE, PARTIALS, Rule, tame};
use crate::gemm::{Element, Matrix, Product, Scales};
use crate::launch::{Launch, NodeView};
use wootz_ops::LinearCrossEntropy;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Shorter sides are not worth the casts.
const LEAST_SIDE: usize = 128;
/// Largest numbers of the parts of a matrix, bytes.
const PARTIAL_BYTES: usize = 4 * PARTIALS;
/// Blocks of a cluster of the losses' kernel, and the rows that it takes at once.
const BLOCKS: usize = 16;
const ROWS: usize = 16;
/// Words by which the rounds' places in shared memory are apart in its banks.
const BANKS_APART: usize = 16;

/// Whether a node's products run in 8 bits.
pub(super) fn wanted(op: &LinearCrossEntropy, node: &NodeView<'_>) -> bool {
    let (x, w) = (node.input(0), node.input(1));
    let sides = [x.shape.rows(), x.shape.last(), w.shape.dims()[0]];
    let device = &node.gpu.device.properties;
    let training = node.inputs.len() > 3;
    training
        && node.gpu.options.precision.fp8
        && device.capability == 90
        && op.softcap <= LOW_CAP
        && sides.into_iter().all(|side| side >= LEAST_SIDE && side.is_multiple_of(MULTIPLE))
        && shared_bytes(sides[2], 1) <= device.shared_bytes
}

/// Columns of a block of the losses' kernel.
fn columns(rows: usize) -> usize {
    rows.div_ceil(BLOCKS).next_multiple_of(MULTIPLE)
}

/// Shared memory of a block of it that its launch asks for: a round's logits, and the gradient of the round before.
fn launch_bytes(rows: usize, rounds: usize) -> u32 {
    let earlier = (rounds - 1) * (4 * BANKS_APART + ROWS * columns(rows));
    u32::try_from(2 * ROWS * columns(rows) + earlier).unwrap_or(u32::MAX / 2)
}

/// All of it: the sums of all rows too.
fn shared_bytes(rows: usize, rounds: usize) -> u32 {
    launch_bytes(rows, rounds) + (4 * rounds * ROWS * BLOCKS) as u32
}

/// Rounds of a cluster: two write whole sectors of the turned gradient, where tokens and shared memory allow.
fn rounds(tokens: usize, rows: usize, shared: u32) -> usize {
    let fits = shared_bytes(rows, 2) <= shared;
    if fits && tokens.is_multiple_of(2 * ROWS) { 2 } else { 1 }
}

/// An 8-bit matrix.
#[derive(Clone, Copy)]
struct Eight {
    pointer: Pointer,
    factor: Pointer,
    format: Element,
    stride: usize,
}

impl Eight {
    /// A matrix whose rows stand one behind the other.
    fn new(pointer: Pointer, factor: Pointer, format: Element, stride: usize) -> Eight {
        Eight { pointer, factor, format, stride }
    }
}

/// Scratch memory of the casts, from where it begins: all multiples of 256 bytes but for the last.
pub(super) struct Places {
    /// Tokens of a chunk.
    pub chunk: usize,
    /// Rows of the head.
    pub rows: usize,
    /// Channels.
    pub channels: usize,
}

impl Places {
    /// The head along the channels; along its rows.
    fn heads(&self) -> [usize; 2] {
        [0, self.rows * self.channels]
    }
    /// A chunk's hidden rows along the channels; along the tokens.
    fn hidden(&self) -> [usize; 2] {
        let from = 2 * self.rows * self.channels;
        [from, from + self.chunk * self.channels]
    }
    /// A chunk's gradient of the logits along the tokens.
    fn turned(&self) -> usize {
        2 * (self.rows + self.chunk) * self.channels
    }
    /// Factors of the head, of the hidden rows and of the gradient, aligned as the library wants them.
    fn factors(&self) -> [usize; 3] {
        let from = (self.turned() + self.chunk * self.rows).next_multiple_of(256);
        [from, from + 16, from + 32]
    }
    /// Largest numbers of the parts of the head, and of the hidden rows.
    fn partials(&self) -> [usize; 2] {
        let from = self.factors()[0] + 256;
        [from, from + PARTIAL_BYTES]
    }
    pub(super) fn bytes(&self) -> usize {
        self.partials()[1] + PARTIAL_BYTES
    }
}

impl Head<'_> {
    /// What is done once: the head's cast, and the largest of the hidden rows.
    pub(super) fn prepare_fp8(&self, eight: &Places) -> Result<Vec<Launch>, CudaError> {
        let mut launches = self.cast_head(eight).launches(self.node.gpu)?;
        launches.push(self.cast_hidden(eight, 0, self.places.tokens).largest(self.node.gpu, Rule::Plain)?);
        Ok(launches)
    }

    /// Everything about a stretch of tokens.
    pub(super) fn chunk_fp8(
        &self,
        eight: &Places,
        first: usize,
        tokens: usize,
    ) -> Result<Vec<Launch>, CudaError> {
        use Element::{E4m3, E5m2};
        let Places { rows, channels, .. } = *eight;
        let (head, hidden, gpu) =
            (self.cast_head(eight), self.cast_hidden(eight, first, tokens), self.node.gpu);
        let logits = self.node.scratch.pointer;
        let [a, b] = [&hidden, &head].map(|cast| Eight::new(cast.straight, cast.factor, E4m3, channels));
        let to = Matrix::new(logits, DType::BF16, rows);
        let mut launches = vec![hidden.cast(gpu)?];
        launches.push(self.product_fp8("head fp8", [tokens, rows, channels], a, b, to, false)?);
        launches.push(self.losses_fp8(eight, first, tokens)?);
        let Some(Gradient { dw, dx, .. }) = self.gradient else { return Ok(launches) };
        let factor = self.gradient_factor(eight);
        if dx.read {
            let to = Matrix::new(dx.element(first * channels), dx.dtype, channels);
            // It stands in the first half of each row of logits.
            let a = Eight::new(logits, factor, E5m2, 2 * rows);
            let b = Eight::new(head.turned, head.factor, E4m3, rows);
            launches.push(self.product_fp8("head fp8 dx", [tokens, channels, rows], a, b, to, false)?);
        }
        let to = Matrix::new(dw.pointer, dw.dtype, channels);
        let a = Eight::new(self.at(eight.turned()), factor, E5m2, tokens);
        let b = Eight::new(hidden.turned, hidden.factor, E4m3, tokens);
        launches.push(self.product_fp8("head fp8 dw", [rows, channels, tokens], a, b, to, true)?);
        Ok(launches)
    }

    /// `d = a·bᵀ`, or added to it.
    fn product_fp8(
        &self,
        name: &'static str,
        [m, n, k]: [usize; 3],
        a: Eight,
        b: Eight,
        d: Matrix,
        added: bool,
    ) -> Result<Launch, CudaError> {
        let gpu = self.node.gpu;
        let stream = Stream::new(&gpu.device)?;
        tame(gpu, &stream, a.pointer, m * a.stride)?;
        tame(gpu, &stream, b.pointer, n * b.stride)?;
        stream.synchronize()?;
        let scales = Some(Scales { a: a.factor, b: b.factor });
        let [a, b] = [a, b].map(|of| Matrix::new(of.pointer, of.format, of.stride));
        let product = Product { scales, ..Product::new(name, [m, n, k], a, b.transposed(), d) };
        self.product(&if added { product.accumulated() } else { product })
    }

    /// Losses of a chunk's logits, and their gradient both ways.
    fn losses_fp8(&self, eight: &Places, first: usize, tokens: usize) -> Result<Launch, CudaError> {
        let rounds = rounds(tokens, eight.rows, self.node.gpu.device.properties.shared_bytes);
        let macros = vec![("COLUMNS", columns(eight.rows).to_string()), ("ROUNDS", rounds.to_string())];
        let function = self.node.function("linear_cross_entropy_fp8", "row_losses_fp8", &macros)?;
        let shared = launch_bytes(eight.rows, rounds);
        function.allow_shared(shared)?;
        function.prefer_shared()?;
        function.allow_large_clusters()?;
        let at = 4 * first as Pointer;
        let arguments = Arguments::new()
            .pointer(self.node.scratch.pointer)
            .pointer(self.at(eight.turned()))
            .pointer(self.losses + at)
            .pointer(self.node.input(2).pointer + at)
            .i32(self.op.vocab)
            .i32(eight.rows)
            .f32(self.op.softcap);
        let (grid, block) = ([(tokens / (rounds * ROWS) * BLOCKS) as u32, 1, 1], [512, 1, 1]);
        let launch = Launch::kernel("cross_entropy fp8", function, grid, block, shared, arguments);
        Ok(launch.costs(Cost { flops: 0, bytes: (4 * tokens * eight.rows) as u64 }))
    }

    fn cast_head(&self, eight: &Places) -> Cast {
        let w = self.node.input(1);
        let read = self.gradient.is_some_and(|gradient| gradient.dx.read);
        let [straight, turned] = eight.heads().map(|place| self.at(place));
        Cast {
            x: w.pointer,
            dtype: w.dtype,
            rows: eight.rows,
            cols: eight.channels,
            format: Element::E4m3,
            straight,
            turned: if read { turned } else { 0 },
            factor: self.at(eight.factors()[0]),
            partials: self.at(eight.partials()[0]),
        }
    }
    fn cast_hidden(&self, eight: &Places, first: usize, tokens: usize) -> Cast {
        let x = self.node.input(0);
        let [straight, turned] = eight.hidden().map(|place| self.at(place));
        Cast {
            x: x.element(first * eight.channels),
            dtype: x.dtype,
            rows: tokens,
            cols: eight.channels,
            format: Element::E4m3,
            straight,
            turned,
            factor: self.at(eight.factors()[1]),
            partials: self.at(eight.partials()[1]),
        }
    }
    /// Where the factor of the logits' gradient lies.
    pub(super) fn gradient_factor(&self, eight: &Places) -> Pointer {
        self.at(eight.factors()[2])
    }
    fn at(&self, place: usize) -> Pointer {
        self.node.scratch.pointer + (self.places.casts() + place) as Pointer
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, columns, launch_bytes, rounds, shared_bytes};

    #[test]
    fn columns_of_a_cluster_cover_a_row() {
        for rows in [128, 320, 1008, 32_768, 50_304] {
            let columns = columns(rows);
            assert!(16 * columns >= rows && columns.is_multiple_of(16), "{rows}: {columns}");
        }
        assert_eq!((columns(32_768), launch_bytes(32_768, 1)), (2048, 65_536));
    }

    #[test]
    fn two_rounds_where_tokens_and_shared_memory_allow() {
        const HOPPER: u32 = 227 * 1024;
        let of = |tokens, rows| rounds(tokens, rows, HOPPER);
        assert_eq!([of(6656, 32_768), of(6144, 50_304), of(144, 32_768), of(6656, 100_352)], [2, 2, 1, 1]);
        // Two blocks on a multiprocessor, each with 1 KB of the system.
        assert!(2 * (shared_bytes(32_768, 2) + 1024) <= 228 * 1024);
    }

    #[test]
    fn places_do_not_overlap() {
        let places = Places { chunk: 6656, rows: 32_768, channels: 1280 };
        let ([w, w_turned], [x, x_turned]) = (places.heads(), places.hidden());
        let order = [w, w_turned, x, x_turned, places.turned(), places.factors()[0], places.partials()[0]];
        let sizes = [32_768 * 1280, 32_768 * 1280, 6656 * 1280, 6656 * 1280, 6656 * 32_768, 256];
        for (i, size) in sizes.into_iter().enumerate() {
            assert!(order[i] + size <= order[i + 1] && order[i].is_multiple_of(256), "place {i}");
        }
        // Beside the logits: 0.32 GB.
        assert_eq!(places.bytes(), 319_031_552);
    }
}
