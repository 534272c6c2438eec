//! Operands of 8-bit products: `x = factor·q` with one factor a matrix, found from the matrix itself.
//!
//! Forward operands are e4m3, gradients e5m2 (Micikevicius et al., arXiv:2209.05433). A product wants both operands stored
//! along its sum, so what enters a product and its gradients is stored both ways.
//!
//! Not covered: factors by row or block; operands that are not whole rows.

use super::Element;
use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError, Pointer, Stream};
use crate::gpu::Gpu;
use crate::launch::Launch;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Parts whose largest numbers are found on their own: `PARTIALS` of the kernel.
pub const PARTIALS: usize = 256;
/// What rows and columns must be multiples of.
pub const MULTIPLE: usize = 16;
/// Side of the tile that a block casts.
const TILE: usize = 128;

/// A matrix to be cast, and the places of what comes of it; places that are 0 are not written.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// The matrix, row by row without gaps.
    pub x: Pointer,
    /// Its element type: bf16 or binary32.
    pub dtype: DType,
    /// Its rows.
    pub rows: usize,
    /// Its columns.
    pub cols: usize,
    /// [`Element::E4m3`] or [`Element::E5m2`].
    pub format: Element,
    /// rows × cols bytes.
    pub straight: Pointer,
    /// cols × rows bytes: the transpose.
    pub turned: Pointer,
    /// One binary32 number.
    pub factor: Pointer,
    /// [`PARTIALS`] binary32 numbers: the largest of each part.
    pub partials: Pointer,
}

/// What is cast of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Its elements x.
    Plain,
    /// Its elements, which an RMS norm over rows of C elements made: |x| ≤ √C, and no largest number is looked for.
    Norm,
    /// max(x, 0)².
    ReluSquared,
}

impl Cast {
    /// Finds the largest numbers, then casts.
    pub fn launches(&self, gpu: &Gpu) -> Result<Vec<Launch>, CudaError> {
        self.launches_by(gpu, Rule::Plain)
    }
    /// The same of what a rule makes of the elements.
    pub fn launches_by(&self, gpu: &Gpu, rule: Rule) -> Result<Vec<Launch>, CudaError> {
        let largest = (rule != Rule::Norm).then(|| self.largest(gpu, rule)).transpose()?;
        let backwards = largest.is_none();
        Ok(largest.into_iter().chain([self.cast_from(gpu, rule, backwards)?]).collect())
    }
    /// Only finds the largest numbers.
    pub(crate) fn largest(&self, gpu: &Gpu, rule: Rule) -> Result<Launch, CudaError> {
        let function = gpu.function("fp8", "amax", &self.macros(rule)?)?;
        let n = self.rows * self.cols;
        let arguments = Arguments::new().pointer(self.partials).pointer(self.x).i64(n);
        let launch =
            Launch::kernel("fp8 amax", function, [PARTIALS as u32, 1, 1], [1024, 1, 1], 0, arguments);
        Ok(launch.costs(Cost { flops: 0, bytes: (n * self.dtype.bytes()) as u64 }))
    }
    /// Only casts, with largest numbers that are known.
    pub fn cast(&self, gpu: &Gpu) -> Result<Launch, CudaError> {
        self.cast_by(gpu, Rule::Plain)
    }
    /// Only casts, what a rule makes of the elements, from the end of the matrix: whoever made it wrote that last.
    pub fn cast_by(&self, gpu: &Gpu, rule: Rule) -> Result<Launch, CudaError> {
        self.cast_from(gpu, rule, true)
    }
    fn cast_from(&self, gpu: &Gpu, rule: Rule, backwards: bool) -> Result<Launch, CudaError> {
        let function = gpu.function("fp8", "cast", &self.macros(rule)?)?;
        let arguments = Arguments::new()
            .pointer(self.straight)
            .pointer(self.turned)
            .pointer(self.factor)
            .pointer(if rule == Rule::Norm { 0 } else { self.partials })
            .pointer(self.x)
            .i32(self.rows)
            .i32(self.cols)
            .f32(norm_bound(self.cols))
            .i32(usize::from(backwards));
        let grid = [tiles(self.rows, self.cols), 1, 1];
        let launch = Launch::kernel("fp8 cast", function, grid, [256, 1, 1], 0, arguments);
        let layouts = usize::from(self.straight != 0) + usize::from(self.turned != 0);
        let bytes = self.rows * self.cols * (self.dtype.bytes() + layouts);
        Ok(launch.costs(Cost { flops: 0, bytes: bytes as u64 }))
    }
    fn macros(&self, rule: Rule) -> Result<Macros, CudaError> {
        let fits = fits(self.rows, self.cols);
        let element = match self.dtype {
            DType::BF16 => "bf16",
            DType::F32 => "float",
            _ => "",
        };
        let narrow = match self.format {
            Element::E4m3 => "0",
            Element::E5m2 => "1",
            _ => "",
        };
        if !fits || element.is_empty() || narrow.is_empty() {
            let reason = format!("{} x {} of {} to {:?}", self.rows, self.cols, self.dtype, self.format);
            return Err(CudaError::unsupported("fp8", reason));
        }
        let mut macros = vec![("TX", element.to_owned()), ("E5M2", narrow.to_owned())];
        macros.extend((rule == Rule::ReluSquared).then(|| ("RELU", "1".to_owned())));
        Ok(macros)
    }
}

/// No element of an RMS norm over rows of so many elements is larger; it was rounded to 8 bits of mantissa.
pub(crate) fn norm_bound(cols: usize) -> f64 {
    (cols as f64).sqrt() * (1.0 + 1.0 / 256.0)
}

fn fits(rows: usize, cols: usize) -> bool {
    rows > 0 && cols > 0 && rows.is_multiple_of(MULTIPLE) && cols.is_multiple_of(MULTIPLE)
}

/// Blocks that a cast takes.
fn tiles(rows: usize, cols: usize) -> u32 {
    (rows.div_ceil(TILE) * cols.div_ceil(TILE)) as u32
}

/// The gradient of a squared ReLU, in e5m2 both ways, from a product of 8-bit operands and what entered the squared ReLU; the
/// squared ReLU itself, turned, in e4m3.
#[derive(Debug, Clone, Copy)]
pub struct ReluSquaredGradient {
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// What entered, u, in bf16.
    pub u: Pointer,
    /// The gradient of max(u, 0)², in bf16: a product's result.
    pub dh: Pointer,
    /// Length of the product's sums.
    pub k: usize,
    /// Factors of the product's operands: e5m2 and e4m3.
    pub factors: [Pointer; 2],
    /// Factor of max(u, 0)² in e4m3.
    pub h_factor: Pointer,
    /// The gradient, rows × cols bytes.
    pub straight: Pointer,
    /// Its transpose.
    pub turned: Pointer,
    /// Its factor.
    pub factor: Pointer,
    /// The transpose of max(u, 0)², not written where it is 0.
    pub h_turned: Pointer,
}

impl ReluSquaredGradient {
    /// All of it.
    pub fn launch(&self, gpu: &Gpu) -> Result<Launch, CudaError> {
        if !fits(self.rows, self.cols) {
            return Err(CudaError::unsupported("fp8", format!("{} x {}", self.rows, self.cols)));
        }
        let function = gpu.function("fp8", "relu_squared_gradient", &Vec::new())?;
        let arguments = Arguments::new()
            .pointer(self.straight)
            .pointer(self.turned)
            .pointer(self.factor)
            .pointer(self.h_turned)
            .pointer(self.dh)
            .pointer(self.u)
            .pointer(self.h_factor)
            .pointer(self.factors[0])
            .pointer(self.factors[1])
            .f32(self.k as f64)
            .i32(self.rows)
            .i32(self.cols);
        let grid = [tiles(self.rows, self.cols), 1, 1];
        let launch = Launch::kernel("fp8 relu_squared_gradient", function, grid, [256, 1, 1], 0, arguments);
        let bytes = self.rows * self.cols * (6 + usize::from(self.h_turned != 0));
        Ok(launch.costs(Cost { flops: 0, bytes: bytes as u64 }))
    }
}

/// Makes any bytes finite 8-bit numbers of either format: products are timed on them before anything is cast.
pub fn tame(gpu: &Gpu, stream: &Stream, pointer: Pointer, bytes: usize) -> Result<(), CudaError> {
    let function = gpu.function("fp8", "tame", &Vec::new())?;
    let blocks = (bytes / 4).div_ceil(1024).clamp(1, 1 << 14) as u32;
    let arguments = Arguments::new().pointer(pointer).i64(bytes / 4);
    function.launch(stream, [blocks, 1, 1], [256, 1, 1], 0, &arguments)
}
