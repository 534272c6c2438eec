//! The head's three products in 8 bits: e4m3 but for the logits' gradient, which is e5m2.
//!
//! The head is cast once, the hidden rows a chunk at a time with one factor. No gradient of a logit is larger than the seed
//! over the count of targets: the probability less one or zero, times the derivative of the cap, which is at most 1. So that
//! gradient needs no search for its largest number: the bound becomes the format's largest, and what is 2^31 times smaller is
//! still a number.
//!
//! Not covered: sides that are short or no multiples of 16; these heads stay bf16, and so do evaluation and generation.

use super::{Gradient, Head};
use crate::driver::{Arguments, CudaError, Pointer, Stream};
use crate::gemm::fp8::{Cast, MULTIPLE, PARTIALS, tame};
use crate::gemm::{Element, Matrix, Product, Scales};
use crate::launch::{Launch, NodeView};
use wootz_tensor::DType;

/// Shorter sides are not worth the casts.
const LEAST_SIDE: usize = 128;
/// Largest numbers of the parts of a matrix, bytes.
const PARTIAL_BYTES: usize = 4 * PARTIALS;

/// Whether a node's products run in 8 bits.
pub(super) fn wanted(node: &NodeView<'_>) -> bool {
    let (x, w) = (node.input(0), node.input(1));
    let sides = [x.shape.rows(), x.shape.last(), w.shape.dims()[0]];
    let training = node.inputs.len() > 3;
    training
        && node.gpu.options.precision.fp8
        && node.gpu.device.properties.capability >= 89
        && sides.into_iter().all(|side| side >= LEAST_SIDE && side.is_multiple_of(MULTIPLE))
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
        let [_, from] = self.heads().map(|at| at + self.rows * self.channels);
        [from, from + self.chunk * self.channels]
    }
    /// A chunk's gradient of the logits along the rows of the head; along the tokens.
    fn logits(&self) -> [usize; 2] {
        let [_, from] = self.hidden().map(|at| at + self.chunk * self.channels);
        [from, from + self.chunk * self.rows]
    }
    /// Factors of the head, of the hidden rows and of the gradient, and one that is 1.
    fn factors(&self) -> [usize; 4] {
        let [_, from] = self.logits().map(|at| (at + self.chunk * self.rows).next_multiple_of(256));
        [from, from + 4, from + 8, from + 12]
    }
    /// Largest numbers of the parts of the head, of the hidden rows and of the gradient in the format's units.
    fn partials(&self) -> [usize; 3] {
        let from = self.factors()[0] + 256;
        [from, from + PARTIAL_BYTES, from + 2 * PARTIAL_BYTES]
    }
    pub(super) fn bytes(&self) -> usize {
        self.partials()[2] + PARTIAL_BYTES
    }
}

impl Head<'_> {
    /// What is done once: the head's cast, the largest of the hidden rows, the gradient's factor.
    pub(super) fn prepare_fp8(&self, eight: &Places) -> Result<Vec<Launch>, CudaError> {
        let gpu = self.node.gpu;
        let mut launches = self.cast_head(eight).launches(gpu)?;
        launches.push(self.cast_hidden(eight, 0, self.places.tokens).largest(gpu)?);
        if let Some(Gradient { seed, .. }) = self.gradient {
            let [_, _, factor, _] = self.at(eight.factors());
            let [_, _, partials] = self.at(eight.partials());
            let arguments = Arguments::new()
                .pointer(factor)
                .pointer(partials)
                .pointer(seed.pointer)
                .pointer(self.count());
            let function = self.node.function("linear_cross_entropy", "unit_factor", &self.macros)?;
            let block = [PARTIALS as u32, 1, 1];
            launches.push(Launch::kernel("cross_entropy factor", function, [1, 1, 1], block, 0, arguments));
        }
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
        let hidden = self.cast_hidden(eight, first, tokens);
        let gradients = self.cast_gradient(eight, tokens);
        let (head, gpu) = (self.cast_head(eight), self.node.gpu);
        let logits = Matrix::new(self.node.scratch.pointer, DType::BF16, rows);
        let [a, b] = [(hidden.straight, hidden.factor, E4m3), (head.straight, head.factor, E4m3)];
        let product = self.product_fp8("head fp8", [tokens, rows, channels], a, b, logits)?;
        let mut launches = vec![hidden.cast(gpu)?, self.product(&product)?];
        launches.extend([self.losses_of(first, tokens), gradients.cast(gpu)?]);
        let Some(Gradient { dw, dx, .. }) = self.gradient else { return Ok(launches) };
        let [_, _, factor, _] = self.at(eight.factors());
        if dx.read {
            let to = Matrix::new(dx.element(first * channels), dx.dtype, channels);
            let [a, b] = [(gradients.straight, factor, E5m2), (head.turned, head.factor, E4m3)];
            let product = self.product_fp8("head fp8 dx", [tokens, channels, rows], a, b, to)?;
            launches.push(self.product(&product)?);
        }
        let to = Matrix::new(dw.pointer, dw.dtype, channels);
        let [a, b] = [(gradients.turned, factor, E5m2), (hidden.turned, hidden.factor, E4m3)];
        let product = self.product_fp8("head fp8 dw", [rows, channels, tokens], a, b, to)?.accumulated();
        launches.push(self.product(&product)?);
        Ok(launches)
    }

    /// `a·bᵀ` of operands without gaps: where each lies, where its factor lies, its format.
    fn product_fp8(
        &self,
        name: &'static str,
        [m, n, k]: [usize; 3],
        a: (Pointer, Pointer, Element),
        b: (Pointer, Pointer, Element),
        d: Matrix,
    ) -> Result<Product, CudaError> {
        let gpu = self.node.gpu;
        let stream = Stream::new(&gpu.device)?;
        tame(gpu, &stream, a.0, m * k)?;
        tame(gpu, &stream, b.0, n * k)?;
        stream.synchronize()?;
        let (scales, shape) = (Some(Scales { a: a.1, b: b.1 }), [m, n, k]);
        let (a, b) = (Matrix::new(a.0, a.2, k), Matrix::new(b.0, b.2, k).transposed());
        Ok(Product { scales, ..Product::new(name, shape, a, b, d) })
    }

    fn cast_head(&self, eight: &Places) -> Cast {
        let w = self.node.input(1);
        let read = self.gradient.is_some_and(|gradient| gradient.dx.read);
        let [straight, turned] = self.at(eight.heads());
        let ([factor, ..], [partials, ..]) = (self.at(eight.factors()), self.at(eight.partials()));
        Cast {
            x: w.pointer,
            dtype: w.dtype,
            rows: eight.rows,
            cols: eight.channels,
            format: Element::E4m3,
            straight,
            turned: if read { turned } else { 0 },
            factor,
            partials,
        }
    }
    fn cast_hidden(&self, eight: &Places, first: usize, tokens: usize) -> Cast {
        let x = self.node.input(0);
        let [straight, turned] = self.at(eight.hidden());
        let ([_, factor, ..], [_, partials, _]) = (self.at(eight.factors()), self.at(eight.partials()));
        Cast {
            x: x.element(first * eight.channels),
            dtype: x.dtype,
            rows: tokens,
            cols: eight.channels,
            format: Element::E4m3,
            straight,
            turned,
            factor,
            partials,
        }
    }
    /// The gradient, which the losses' kernel leaves in the format's units.
    fn cast_gradient(&self, eight: &Places, tokens: usize) -> Cast {
        let [straight, turned] = self.at(eight.logits());
        let ([.., factor], [.., partials]) = (self.at(eight.factors()), self.at(eight.partials()));
        Cast {
            x: self.node.scratch.pointer,
            dtype: DType::BF16,
            rows: tokens,
            cols: eight.rows,
            format: Element::E5m2,
            straight,
            turned,
            factor,
            partials,
        }
    }
    fn at<const N: usize>(&self, places: [usize; N]) -> [Pointer; N] {
        let from = self.node.scratch.pointer + self.places.casts() as Pointer;
        places.map(|place| from + place as Pointer)
    }
}
