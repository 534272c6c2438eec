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

impl Cast {
    /// Finds the largest numbers, then casts.
    pub fn launches(&self, gpu: &Gpu) -> Result<Vec<Launch>, CudaError> {
        Ok(vec![self.largest(gpu)?, self.cast(gpu)?])
    }
    /// Only finds the largest numbers.
    pub fn largest(&self, gpu: &Gpu) -> Result<Launch, CudaError> {
        let function = gpu.function("fp8", "amax", &self.macros()?)?;
        let n = self.rows * self.cols;
        let arguments = Arguments::new().pointer(self.partials).pointer(self.x).i64(n);
        let launch =
            Launch::kernel("fp8 amax", function, [PARTIALS as u32, 1, 1], [1024, 1, 1], 0, arguments);
        Ok(launch.costs(Cost { flops: 0, bytes: (n * self.dtype.bytes()) as u64 }))
    }
    /// Only casts, with largest numbers that are known.
    pub fn cast(&self, gpu: &Gpu) -> Result<Launch, CudaError> {
        let function = gpu.function("fp8", "cast", &self.macros()?)?;
        let tiles = self.rows.div_ceil(TILE) * self.cols.div_ceil(TILE);
        let arguments = Arguments::new()
            .pointer(self.straight)
            .pointer(self.turned)
            .pointer(self.factor)
            .pointer(self.partials)
            .pointer(self.x)
            .i32(self.rows)
            .i32(self.cols);
        let launch = Launch::kernel("fp8 cast", function, [tiles as u32, 1, 1], [256, 1, 1], 0, arguments);
        let layouts = usize::from(self.straight != 0) + usize::from(self.turned != 0);
        let bytes = self.rows * self.cols * (self.dtype.bytes() + layouts);
        Ok(launch.costs(Cost { flops: 0, bytes: bytes as u64 }))
    }
    fn macros(&self) -> Result<Macros, CudaError> {
        let fits = self.rows > 0
            && self.cols > 0
            && self.rows.is_multiple_of(MULTIPLE)
            && self.cols.is_multiple_of(MULTIPLE);
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
        Ok(vec![("TX", element.to_owned()), ("E5M2", narrow.to_owned())])
    }
}

/// Makes any bytes finite 8-bit numbers of either format: products are timed on them before anything is cast.
pub fn tame(gpu: &Gpu, stream: &Stream, pointer: Pointer, bytes: usize) -> Result<(), CudaError> {
    let function = gpu.function("fp8", "tame", &Vec::new())?;
    let blocks = (bytes / 4).div_ceil(1024).clamp(1, 1 << 14) as u32;
    let arguments = Arguments::new().pointer(pointer).i64(bytes / 4);
    function.launch(stream, [blocks, 1, 1], [256, 1, 1], 0, &arguments)
}
