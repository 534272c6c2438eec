//! Products by the hand-written kernel for Hopper (kernels/gemm), which can do a feed-forward block's elementwise work on the
//! way out, and adds weight gradients up without splitting them into more memory.
//!
//! A [`Variant`] is a set of the kernel's settings. Where the library can do the same, the variants stand against its best
//! algorithm on the clock ([`contest`]); what it cannot do ([`fused`]) is chosen among the variants alone.
//!
//! Limits: compute capability 9.0, bf16 operands, k a multiple of 64; [`takes`] has the rest. A launch that accumulates wants
//! its whole grid resident: the cuts of a tile wait for one another. On a GPU that other kernels share, the blocks that find
//! no place hold up the others until those kernels are done; see kernels/gemm/notes.md for what follows from that, and
//! [`crate::Options::spare_multiprocessors`] for the remedy.

mod contest;
mod variant;
mod work;

pub(super) use self::contest::contest;
pub use self::variant::{Epilogue, Variant};
pub(crate) use self::work::takes;

use self::work::{Work, accepts, along_mn};
use super::key::Key;
use super::{Product, Report};
use crate::driver::{Arguments, CudaError, Function, Memory, Stream};
use crate::gpu::Gpu;
use crate::launch::Launch;
use crate::tensor_map::Map;
use wootz_schema::tuning::ProductChoice;

/// The one compute capability that has these matrix units.
pub(crate) const CAPABILITY: u32 = 90;

const TILE_M: u32 = 128;
const TILE_K: u32 = 64;
const CONSUMER_WARPS: u32 = 8;
const THREADS: u32 = 384;

/// A product with the kernel that computes it.
pub(super) struct Own {
    function: Function,
    grid: u32,
    shared_bytes: u32,
    arguments: Arguments,
    // Zero before the first launch, and every launch leaves zeros behind.
    _turns: Option<Memory>,
}

impl Own {
    pub(super) fn run(&self, stream: &Stream) -> Result<(), CudaError> {
        let (grid, block) = ([self.grid, 1, 1], [THREADS, 1, 1]);
        self.function.launch(stream, grid, block, self.shared_bytes, &self.arguments)
    }
}

/// The variants that may compute a product that the library can compute too.
pub(super) fn variants(gpu: &Gpu, product: &Product) -> Option<(Epilogue, &'static [Variant])> {
    let epilogue = Epilogue::of(product)?;
    let able = gpu.device.properties.capability == CAPABILITY && accepts(epilogue, product).is_ok();
    able.then(|| (epilogue, epilogue.variants()))
}

/// Compiles a variant and makes its arguments.
pub(super) fn prepare(
    gpu: &Gpu,
    product: &Product,
    epilogue: Epilogue,
    variant: &Variant,
) -> Result<Own, CudaError> {
    accepts(epilogue, product).map_err(|reason| CudaError::unsupported(product.name, reason))?;
    let (device, mn) = (&gpu.device, along_mn(product));
    let function = gpu.function("gemm", "gemm", &variant.macros(epilogue, mn))?;
    let shared_bytes = variant.shared_bytes();
    function.allow_shared(shared_bytes)?;
    let spare = gpu.options.spare_multiprocessors.min(device.properties.multiprocessors / 2);
    let places = (device.properties.multiprocessors - spare) / variant.cluster;
    let clusters = function.resident_clusters(variant.cluster, THREADS, shared_bytes)?.min(places);
    if clusters == 0 {
        return Err(CudaError::unsupported(product.name, "no cluster of its blocks fits the device"));
    }
    let Product { m, n, k, a, b, d, c, .. } = *product;
    let work = Work::of(variant, epilogue, [m, n, k], clusters);
    let a = Map::operand(&a, [m, k], mn[0], TILE_M).encode(device)?;
    let b = Map::operand(&b, [n, k], mn[1], variant.tile_n / variant.cluster).encode(device)?;
    let mut extra = a; // a map that is not used may be any
    if let (true, Some(c)) = (epilogue.reads_extra(), c) {
        extra = Map::boxed(&c, [m, n]).encode(device)?;
    }
    let (mut out, mut sums, mut turns) = (a, [0; 3], None);
    if epilogue == Epilogue::Accumulate {
        let bytes = 4 * work.turns(variant);
        let memory = Memory::allocate(device, bytes)?;
        let stream = &gpu.products()?.stream;
        stream.fill(memory.pointer, 0, bytes)?;
        stream.synchronize()?;
        sums = [d.pointer, memory.pointer, m as u64 | (d.stride as u64) << 32];
        turns = Some(memory);
    } else {
        out = Map::boxed(&d, [m, n]).encode(device)?;
    }
    let arguments = [&a[..], &b, &extra, &out, &work.words(), &sums];
    Ok(Own {
        function,
        grid: variant.cluster * work.units().min(clusters),
        shared_bytes,
        arguments: arguments.into_iter().fold(Arguments::new(), Arguments::block),
        _turns: turns,
    })
}

/// Makes a product with an activation in it ready to launch: by the variant that was timed as the fastest, or, where results
/// may not depend on times, by the first. Timing overwrites `d`, which then holds noise.
pub fn fused(gpu: &Gpu, product: &Product, epilogue: Epilogue) -> Result<(Launch, Report), CudaError> {
    let products = gpu.products()?;
    let key = format!("{} {}", Key::of(product, gpu.options.deterministic), epilogue.word());
    let mut choices = products.locked();
    let kept = choices.find(&key).and_then(|kept| {
        let variant = Variant::of_text(&kept.algorithm, epilogue)?;
        Some((variant, kept.microseconds.map(|microseconds| 1e-6 * microseconds), 0))
    });
    let (variant, seconds, tried) = match kept {
        Some(kept) => kept,
        None if gpu.options.deterministic => (&epilogue.variants()[0], None, 0),
        None => contest::fastest(gpu, product, epilogue, &products.stream)?,
    };
    let own = prepare(gpu, product, epilogue, variant)?;
    let kept = ProductChoice {
        algorithm: variant.text(),
        workspace_bytes: 0,
        microseconds: seconds.map(|seconds| 1e6 * seconds),
    };
    if choices.find(&key) != Some(&kept) {
        choices.insert(key, kept);
    }
    let report = Report {
        algorithm: variant.text(),
        workspace_bytes: 0,
        seconds,
        suggested_seconds: None,
        library_seconds: None,
        tried,
    };
    Ok((launch(product, epilogue, own), report))
}

/// A product by one variant, untimed.
pub fn own(gpu: &Gpu, product: &Product, epilogue: Epilogue, variant: &Variant) -> Result<Launch, CudaError> {
    Ok(launch(product, epilogue, prepare(gpu, product, epilogue, variant)?))
}

fn launch(product: &Product, epilogue: Epilogue, own: Own) -> Launch {
    let activation = match epilogue {
        Epilogue::ReluSquared | Epilogue::ReluSquaredBackward => format!(" {}", epilogue.word()),
        _ => String::new(),
    };
    let name = format!("{}{activation}", product.label());
    Launch::new(name, move |stream| own.run(stream)).costs(product.cost())
}
