//! Products x·xᵀ of a stack of matrices, of which a hand-written kernel for Hopper computes the half on one side of the
//! diagonal and mirrors it.
//!
//! Where the kernel takes the sizes, it stands against the library's product before it is used ([`wins`]): on the operands' own
//! memory, for the same result, and on the clock.

use crate::driver::{Arguments, CudaError, Pointer, Stream};
use crate::gemm::race::{least, race};
use crate::gemm::{Element, Matrix};
use crate::gpu::Gpu;
use crate::launch::Launch;
use crate::tensor_map::Map;
use wootz_program::Cost;

/// The one compute capability that has these matrix units.
const CAPABILITY: u32 = 90;
/// Side of a cluster's tile.
const TILE: usize = 256;
/// Rows of it that one copy brings.
const ROWS: u32 = 128;
/// Depth of a stage.
const TILE_K: usize = 64;
const THREADS: u32 = 384;
/// As the head of the kernel says: alignment, ring, staging, barriers.
const SHARED_BYTES: u32 = 1024 + 4 * (3 * 128 * 128) + 8 * 2 * 2048 + 4 * 16;
/// Largest ‖difference‖ / ‖result‖ between the two: both round to bf16 once.
const AGREEMENT: f64 = 1e-2;

/// `d = alpha·x·xᵀ (+ beta·c)`, `count` times over matrices that stand behind one another, all bf16 and without gaps.
#[derive(Clone, Copy)]
pub(super) struct Symmetric {
    pub name: &'static str,
    pub x: Pointer,
    pub d: Pointer,
    /// What is added, and its factor.
    pub c: Option<(Pointer, f32)>,
    /// Rows and columns of d.
    pub side: usize,
    /// Length of the sums.
    pub depth: usize,
    /// Whether x is stored as its transpose: `depth` rows of `side`.
    pub transposed: bool,
    pub count: usize,
    pub alpha: f32,
}

/// Whether the kernel takes these sizes on this device.
pub(super) fn takes(gpu: &Gpu, side: usize, depth: usize) -> bool {
    let sizes = side.is_multiple_of(TILE) && depth.is_multiple_of(TILE_K) && depth >= 2 * TILE_K;
    gpu.device.properties.capability == CAPABILITY && sizes
}

impl Symmetric {
    /// The kernel, ready to launch.
    pub(super) fn launch(&self, gpu: &Gpu) -> Result<Launch, CudaError> {
        let flag = |on: bool| u8::from(on).to_string();
        let macros = vec![("MN", flag(self.transposed)), ("EXTRA", flag(self.c.is_some()))];
        let function = gpu.function("symmetric_product", "symmetric_product", &macros)?;
        function.allow_shared(SHARED_BYTES)?;
        let tiles = self.side / TILE;
        let units = self.count * tiles * (tiles + 1) / 2;
        let clusters = (gpu.device.properties.multiprocessors as usize / 2).min(units).max(1);
        let (extra, beta) = self.c.unwrap_or((0, 0.0));
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let work = [
            pair(tiles as u32, self.count as u32),
            pair((self.depth / TILE_K) as u32, self.alpha.to_bits()),
            u64::from(beta.to_bits()),
        ];
        let arguments = Arguments::new()
            .block(&self.map().encode(&gpu.device)?)
            .pointer(self.d)
            .pointer(extra)
            .block(&work);
        let name =
            format!("{} {}x{}x{} x{} symmetric", self.name, self.side, self.side, self.depth, self.count);
        let grid = [2 * clusters as u32, 1, 1];
        let launch = Launch::kernel(name, function, grid, [THREADS, 1, 1], SHARED_BYTES, arguments);
        let (matrix, added) = (self.side * self.side, if self.c.is_some() { 2 } else { 1 });
        let bytes = 2 * self.count * (self.side * self.depth + added * matrix);
        Ok(launch.costs(Cost { flops: (2 * units * TILE * TILE * self.depth) as u64, bytes: bytes as u64 }))
    }

    /// How the copy engine sees x: 128 of its rows by 64 columns at once.
    fn map(&self) -> Map {
        let of = |stride| Matrix::new(self.x, Element::Bf16, stride);
        if self.transposed {
            return Map::operand(&of(self.side), [self.side, self.count * self.depth], true, ROWS);
        }
        Map::operand(&of(self.depth), [self.count * self.side, self.depth], false, ROWS)
    }
}

/// Whether the kernel makes what the library's launch makes, and, unless nothing may depend on times, no slower. Overwrites d.
pub(super) fn wins(gpu: &Gpu, product: &Symmetric, library: &Launch) -> Result<bool, CudaError> {
    let stream = Stream::new(&gpu.device)?;
    let own = product.launch(gpu)?;
    let bytes = 2 * product.side * product.side;
    let sampled = |launch: &Launch| {
        stream.fill(product.d, 0xff, bytes * product.count)?;
        launch.run(&stream)?;
        let mut sample = vec![0; 2 * bytes];
        let last = product.d + ((product.count - 1) * bytes) as Pointer;
        stream.download(&mut sample[..bytes], product.d)?;
        stream.download(&mut sample[bytes..], last)?;
        Ok::<Vec<u8>, CudaError>(sample)
    };
    if !agree(&sampled(library)?, &sampled(&own)?) {
        return Ok(false);
    }
    if gpu.options.deterministic {
        return Ok(true);
    }
    let seconds = race(&stream, &[&|| own.run(&stream), &|| library.run(&stream)])?;
    Ok(least(&seconds) == 0)
}

/// Whether two results in bf16 are the same up to rounding.
fn agree(expected: &[u8], found: &[u8]) -> bool {
    let number =
        |bytes: &[u8]| f64::from(f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16));
    let (mut difference, mut size) = (0.0, 0.0);
    for (x, y) in expected.chunks_exact(2).zip(found.chunks_exact(2)) {
        difference += (number(x) - number(y)).powi(2);
        size += number(x).powi(2);
    }
    difference <= AGREEMENT.powi(2) * size
}

#[cfg(test)]
mod tests {
    use super::agree;

    #[test]
    fn results_agree_up_to_rounding() {
        let bytes = |numbers: &[f32]| -> Vec<u8> {
            numbers.iter().flat_map(|x| ((x.to_bits() >> 16) as u16).to_le_bytes()).collect()
        };
        assert!(agree(&bytes(&[1.0, -2.0]), &bytes(&[1.0078125, -2.0])));
        assert!(!agree(&bytes(&[1.0, -2.0]), &bytes(&[1.0, 2.0])));
        assert!(!agree(&bytes(&[1.0, -2.0]), &bytes(&[f32::NAN, -2.0])));
        assert!(!agree(&bytes(&[f32::NAN]), &bytes(&[1.0])));
    }
}
