//! Matrix products by cuBLASLt, with the algorithm of every shape chosen by timing.
//!
//! A [`Product`] is in row-major terms, `d[m×n] = alpha·op(a)·op(b) + beta·c`; the sum is binary32 whatever the elements
//! are. [`product`] makes everything ready once: descriptors, and an algorithm that was timed on the operands' own memory,
//! which it overwrites; a launch then is one call of the library, which a graph can record. On Hopper a hand-written kernel
//! stands against the library ([`hopper`]), and does elementwise work on the way out that the library cannot.
//!
//! Not covered: epilogues (bias, activation), complex numbers, integers, column-major outputs.

mod api;
mod choices;
pub mod fp8;
pub mod hopper;
mod key;
mod mapping;
mod plan;
pub(crate) mod race;
mod search;

use self::api::{Algorithm, Lt, config};
use self::choices::Choices;
use self::hopper::{Epilogue, Variant};
use self::key::Key;
use self::plan::Plan;
use self::search::Choice;
use crate::driver::{CudaError, Device, Pointer, Stream};
use crate::gpu::{Gpu, Options};
use crate::launch::{Launch, Scratch};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wootz_program::Cost;
use wootz_schema::tuning::{Machine, ProductChoice};
use wootz_tensor::DType;

/// Scratch memory that a product may use. With less it works too, from fewer algorithms.
pub const WORKSPACE_BYTES: usize = 64 << 20;

/// Where factors of 8-bit operands may lie: elsewhere the library has no algorithm, and does not say why.
const FACTOR_ALIGN: Pointer = 16;

/// Element type of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    /// 8 exponent bits, 7 mantissa bits.
    Bf16,
    /// IEEE binary32.
    F32,
    /// 8 bits: 4 of exponent, 3 of mantissa, up to 448 (Micikevicius et al., arXiv:2209.05433).
    E4m3,
    /// 8 bits: 5 of exponent, 2 of mantissa, up to 57,344.
    E5m2,
    /// A type that no product takes.
    Other,
}

impl Element {
    /// Size of one element.
    pub fn bytes(self) -> usize {
        match self {
            Element::Bf16 => 2,
            Element::F32 | Element::Other => 4,
            Element::E4m3 | Element::E5m2 => 1,
        }
    }
}

impl From<DType> for Element {
    fn from(dtype: DType) -> Element {
        match dtype {
            DType::BF16 => Element::Bf16,
            DType::F32 => Element::F32,
            DType::F64 | DType::I32 => Element::Other,
        }
    }
}

/// A matrix in device memory, row by row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matrix {
    /// Its first element.
    pub pointer: Pointer,
    /// Its element type.
    pub dtype: Element,
    /// Elements from one stored row to the next.
    pub stride: usize,
    /// Whether the operand is the transpose of what is stored: an `a` of m×k is then stored as k rows of m.
    pub transposed: bool,
}

impl Matrix {
    /// A matrix that is used as it is stored.
    pub fn new(pointer: Pointer, dtype: impl Into<Element>, stride: usize) -> Matrix {
        Matrix { pointer, dtype: dtype.into(), stride, transposed: false }
    }
    /// The transpose of what this is.
    pub fn transposed(self) -> Matrix {
        Matrix { transposed: !self.transposed, ..self }
    }
}

/// Several products of one shape. The strides are in elements, from one matrix to the next; 0 repeats an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Number of products.
    pub count: usize,
    /// Stride of `a`.
    pub a: usize,
    /// Stride of `b`.
    pub b: usize,
    /// Stride of `d`, and of `c`.
    pub d: usize,
}

/// Where binary32 factors of 8-bit operands lie in device memory: the operand is factor times what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scales {
    /// Factor of `a`.
    pub a: Pointer,
    /// Factor of `b`.
    pub b: Pointer,
}

/// `d = alpha·op(a)·op(b) + beta·c`, where d is m×n and the sums go over k.
#[derive(Debug, Clone)]
pub struct Product {
    /// Rows of d.
    pub m: usize,
    /// Columns of d.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// m×k.
    pub a: Matrix,
    /// k×n.
    pub b: Matrix,
    /// m×n; never transposed.
    pub d: Matrix,
    /// m×n, of d's element type, or none: nothing is added. It may be d itself, which accumulates.
    pub c: Option<Matrix>,
    /// Factor of the product.
    pub alpha: f32,
    /// Factor of `c`.
    pub beta: f32,
    /// Several at once.
    pub batch: Option<Batch>,
    /// Factors of 8-bit operands.
    pub scales: Option<Scales>,
    /// What a profile calls it, before the shape.
    pub name: &'static str,
}

impl Product {
    /// `d = a·b`, of these shapes.
    pub fn new(name: &'static str, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, d: Matrix) -> Product {
        Product { m, n, k, a, b, d, c: None, alpha: 1.0, beta: 1.0, batch: None, scales: None, name }
    }
    /// The same with `beta·c` added, in place of what was added before.
    pub fn plus(self, beta: f32, c: Matrix) -> Product {
        Product { c: Some(c), beta, ..self }
    }
    /// The same added to what d holds.
    pub fn accumulated(self) -> Product {
        let d = self.d;
        self.plus(1.0, d)
    }
    /// The same with a factor on the product.
    pub fn scaled(self, alpha: f32) -> Product {
        Product { alpha, ..self }
    }
    /// Work of all its products: each operand is read and written once.
    pub fn cost(&self) -> Cost {
        let count = self.batch.map_or(1, |batch| batch.count);
        let moved = self.m * self.k * self.a.dtype.bytes()
            + self.k * self.n * self.b.dtype.bytes()
            + self.m * self.n * self.d.dtype.bytes() * if self.c.is_some() { 2 } else { 1 };
        Cost { flops: (2 * count * self.m * self.n * self.k) as u64, bytes: (count * moved) as u64 }
    }
    /// Name, shape, and which operands are transposed: `gemm 32768x3840x1280 nt`.
    pub fn label(&self) -> String {
        let letter = |matrix: Matrix| if matrix.transposed { 't' } else { 'n' };
        let Product { m, n, k, name, .. } = self;
        let batch = self.batch.map(|batch| format!(" x{}", batch.count)).unwrap_or_default();
        format!("{name} {m}x{n}x{k} {}{}{batch}", letter(self.a), letter(self.b))
    }
    /// As many products of this shape.
    pub fn batched(self, batch: Batch) -> Product {
        Product { batch: Some(batch), ..self }
    }
}

/// What was chosen for a product.
#[derive(Debug, Clone)]
pub struct Report {
    /// The algorithm's settings.
    pub algorithm: String,
    /// Scratch memory it uses.
    pub workspace_bytes: usize,
    /// Time of one run where it runs for long; none: nothing was timed.
    pub seconds: Option<f64>,
    /// The same of the library's first suggestion; none: the choice comes from the cache.
    pub suggested_seconds: Option<f64>,
    /// The same of the library's best, where the hand-written kernel stood against it.
    pub library_seconds: Option<f64>,
    /// Number of algorithms that were timed just now.
    pub tried: usize,
}

/// Makes a product ready to launch. Timing its algorithms overwrites `d` and uses the scratch memory; both must be as
/// long as the product needs, and hold finite numbers.
pub fn product(gpu: &Gpu, product: &Product, scratch: Scratch) -> Result<Launch, CudaError> {
    Ok(reported(gpu, product, scratch)?.0)
}

/// [`product`], with what was chosen.
pub fn reported(gpu: &Gpu, product: &Product, scratch: Scratch) -> Result<(Launch, Report), CudaError> {
    let aligned = |scales: Scales| (scales.a | scales.b).is_multiple_of(FACTOR_ALIGN);
    if !product.scales.is_none_or(aligned) {
        let reason = format!("its factors do not lie at multiples of {FACTOR_ALIGN} bytes");
        return Err(CudaError::unsupported(product.name, reason));
    }
    let products = gpu.products()?;
    let scratch = Scratch { bytes: scratch.bytes.min(WORKSPACE_BYTES), ..scratch };
    let plan = Plan::of(&products.lt, product)?;
    let (choice, report) = products.choice(gpu, &plan, product, scratch)?;
    let launch = match choice.own.zip(Epilogue::of(product)) {
        Some((variant, epilogue)) => hopper::own(gpu, product, epilogue, variant)?,
        None => Launch::new(product.label(), move |stream| plan.run(&choice.algorithm, scratch, stream)),
    };
    Ok((launch.costs(product.cost()), report))
}

/// The library and what was chosen so far.
pub(crate) struct Products {
    lt: Arc<Lt>,
    stream: Stream,
    choices: Mutex<Choices>,
}

impl Products {
    pub(crate) fn open(device: &Arc<Device>, options: &Options) -> Result<Products, CudaError> {
        let lt = Arc::new(Lt::open(device, &options.search)?);
        let machine = Machine {
            device: device.properties.name.clone(),
            driver: device.driver.version,
            library: lt.version,
        };
        let choices = Mutex::new(Choices::open(options.cache.clone(), machine));
        Ok(Products { lt, stream: Stream::new(device)?, choices })
    }

    /// What is known of the product where it still holds, else a new choice, which is kept.
    fn choice(
        &self,
        gpu: &Gpu,
        plan: &Plan,
        product: &Product,
        scratch: Scratch,
    ) -> Result<(Choice, Report), CudaError> {
        let deterministic = gpu.options.deterministic;
        let key = Key::of(product, deterministic);
        // One product is timed at a time.
        let mut choices = self.locked();
        let known = [key.to_string(), key.timed().to_string()].into_iter().find_map(|key| {
            let kept = choices.find(&key)?;
            known(gpu, plan, product, scratch, kept)
        });
        let choice = match known {
            Some(choice) => choice,
            None => {
                let choice = search::choose(plan, product, scratch, &self.stream, deterministic)?;
                hopper::contest(gpu, plan, product, scratch, &self.stream, choice)?
            }
        };
        let algorithm = choice.own.map_or_else(|| choice.algorithm.to_hex(), Variant::text);
        let kept = ProductChoice {
            algorithm,
            workspace_bytes: choice.workspace_bytes as u64,
            microseconds: choice.seconds.map(|seconds| 1e6 * seconds),
        };
        if choices.find(&key.to_string()) != Some(&kept) {
            choices.insert(key.to_string(), kept);
        }
        let report = Report {
            algorithm: choice.own.map_or_else(|| plan.describe(&choice.algorithm), Variant::text),
            workspace_bytes: choice.workspace_bytes,
            seconds: choice.seconds,
            suggested_seconds: choice.suggested_seconds,
            library_seconds: choice.library_seconds,
            tried: choice.tried,
        };
        Ok((choice, report))
    }

    fn locked(&self) -> MutexGuard<'_, Choices> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A kept choice; none: it does not hold for this product here.
fn known(
    gpu: &Gpu,
    plan: &Plan,
    product: &Product,
    scratch: Scratch,
    kept: &ProductChoice,
) -> Option<Choice> {
    let seconds = kept.microseconds.map(|microseconds| 1e-6 * microseconds);
    let choice = Choice {
        algorithm: Algorithm::default(),
        own: None,
        workspace_bytes: 0,
        seconds,
        suggested_seconds: None,
        library_seconds: None,
        tried: 0,
    };
    let own =
        hopper::variants(gpu, product).and_then(|(epilogue, _)| Variant::of_text(&kept.algorithm, epilogue));
    if own.is_some() {
        return Some(Choice { own, ..choice });
    }
    let algorithm = Algorithm::of_hex(&kept.algorithm)?;
    let workspace_bytes = plan.workspace(&algorithm).filter(|bytes| *bytes <= scratch.bytes)?;
    let scheme = plan.get(&algorithm, config::REDUCTION_SCHEME);
    let allowed = scheme & !search::allowed(product, gpu.options.deterministic) == 0;
    allowed.then_some(Choice { algorithm, workspace_bytes, ..choice })
}
