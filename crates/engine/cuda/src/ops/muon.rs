//! Muon for all matrices of one shape: the Polar Express steps as batched products in bf16, everything else in binary32.
//!
//! X lies in scratch memory with its sides padded to multiples of 8 by zeros, which change nothing: they keep rows aligned
//! for the products. A step X ← aX + (bA + cA²)X, A = XXᵀ, is three products and nothing else: with σ the product of the a's
//! so far and X̂ = X/σ, A = σ²·X̂X̂ᵀ, Q = A + (c/b)·A², X̂ ← X̂ + (b/a)·QX̂. The last σ enters the factors of the update.
//! Matrices are taken in groups whose scratch memory stays below [`GROUP_BYTES`]. A and A² are symmetric, and made by a kernel
//! that computes half of them ([`super::symmetric`]) where it takes the sizes.

use super::symmetric::{self, Symmetric};
use super::table::Table;
use crate::driver::{Arguments, CudaError, Function, Pointer, Stream};
use crate::gemm::{self, Batch, Matrix, Product};
use crate::launch::{Code, Launch, NodeView, Operand, Scratch};
use wootz_ops::{Muon, POLAR_EXPRESS};
use wootz_program::Cost;
use wootz_tensor::DType;

/// Scratch memory of a group of matrices, unless one alone takes more: enough tiles for every multiprocessor.
const GROUP_BYTES: usize = 1 << 30;
/// Words of a matrix in the table.
const WORDS: usize = 5;
/// Accesses of one thread to a row, at most.
const LARGEST_GROUPS: usize = 6;

impl Code for Muon {
    fn scratch_bytes(&self, node: &NodeView<'_>) -> Result<usize, CudaError> {
        let shape = Sides::of(node);
        Ok(Places::of(&shape, shape.group(self.count)).workspace + gemm::WORKSPACE_BYTES)
    }
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError> {
        check(self, node)?;
        let sides = Sides::of(node);
        let group = sides.group(self.count);
        let (mut words, stride) = (Vec::new(), self.stride());
        for operands in node.inputs[3..].chunks_exact(stride) {
            words.extend((0..WORDS).map(|i| operands.get(i).map_or(0, |operand| operand.pointer)));
        }
        let steps = Steps {
            op: self,
            node,
            table: Table::upload(node.gpu, &words)?,
            kernels: Kernels::of(self, node, &sides)?,
            places: Places::of(&sides, group),
            sides,
        };
        let halved = steps.contest(group)?;
        let mut launches = Vec::new();
        for first in (0..self.count).step_by(group) {
            launches.extend(steps.group(first, group.min(self.count - first), halved)?);
        }
        Ok(launches)
    }
}

fn check(op: &Muon, node: &NodeView<'_>) -> Result<(), CudaError> {
    let rates = node.inputs[..3].iter().all(|rate| rate.dtype == DType::F32);
    node.require(rates, || "its rates must be f32".to_owned())?;
    let stride = op.stride();
    for operands in node.inputs[3..].chunks_exact(stride) {
        let exact = [2, 3].iter().all(|i| operands[*i].dtype == DType::F32);
        let whole = operands[0].dtype == DType::F32 || split(op, node);
        node.require(exact && whole, || "matrices, momentum and second moments must be f32".to_owned())?;
        let same =
            operands.iter().zip(&node.inputs[3..]).all(|(operand, first)| operand.dtype == first.dtype);
        node.require(same, || "gradients must be of one type, and copies of one".to_owned())?;
    }
    Ok(())
}

/// Whether the matrices are in halves of 16 bits, the upper ones in the copies.
fn split(op: &Muon, node: &NodeView<'_>) -> bool {
    op.copies && node.input(3).dtype == DType::BF16 && node.input(7).dtype == DType::BF16
}

/// A matrix's shape, and the shape its X is stored in.
struct Sides {
    rows: usize,
    cols: usize,
    padded_rows: usize,
    padded_cols: usize,
}

impl Sides {
    fn of(node: &NodeView<'_>) -> Sides {
        let dims = node.input(3).shape.dims();
        let (rows, cols) = (dims[0], dims[1]);
        Sides { rows, cols, padded_rows: rows.next_multiple_of(8), padded_cols: cols.next_multiple_of(8) }
    }
    fn tall(&self) -> bool {
        self.rows > self.cols
    }
    /// Whether the second moment has an entry for each row, else for each column.
    fn by_row(&self) -> bool {
        self.rows >= self.cols
    }
    /// Side of A, as stored.
    fn small(&self) -> usize {
        self.padded_rows.min(self.padded_cols)
    }
    /// Elements of X as stored.
    fn len(&self) -> usize {
        self.padded_rows * self.padded_cols
    }
    /// Entries of the second moment.
    fn second(&self) -> usize {
        Muon::second_len(self.rows, self.cols)
    }
    /// Matrices of one group: as few groups as the memory allows, all of about the same size.
    fn group(&self, count: usize) -> usize {
        let each = 4 * (self.len() + self.small().pow(2));
        let largest = (GROUP_BYTES / each).clamp(1, count.max(1));
        count.div_ceil(count.div_ceil(largest).max(1)).max(1)
    }
    /// What kernels take: both shapes.
    fn words(&self) -> [u64; 2] {
        [(self.rows, self.cols), (self.padded_rows, self.padded_cols)]
            .map(|(low, high)| low as u64 | (high as u64) << 32)
    }
    /// What X's rows are scaled to: they have norm 1 before X is divided by 1.01 of its own norm.
    fn scale(&self) -> f64 {
        1.0 / (1.01 * (self.rows as f64).sqrt() + 1e-6)
    }
}

/// Offsets in scratch memory.
struct Places {
    x: usize,
    next: usize,
    gram: usize,
    poly: usize,
    squares: usize,
    factors: usize,
    workspace: usize,
}

impl Places {
    fn of(sides: &Sides, group: usize) -> Places {
        let mut end = 0;
        let mut place = |bytes: usize| {
            let start = end;
            end += (group * bytes).next_multiple_of(256);
            start
        };
        let (x, square, statistics) = (2 * sides.len(), 2 * sides.small().pow(2), 4 * sides.second());
        Places {
            x: place(x),
            next: place(x),
            gram: place(square),
            poly: place(square),
            squares: place(statistics),
            factors: place(statistics),
            workspace: place(0),
        }
    }
}

struct Kernels {
    update_direction: Function,
    rescale: Function,
    squares: Function,
    factors: Function,
    step: Function,
    /// Threads that share a row.
    threads: usize,
}

impl Kernels {
    fn of(op: &Muon, node: &NodeView<'_>, sides: &Sides) -> Result<Kernels, CudaError> {
        let width = width(op, node, sides.cols);
        let accesses = sides.cols.div_ceil(width);
        let groups = accesses.div_ceil(256).clamp(1, LARGEST_GROUPS);
        let threads = accesses.div_ceil(groups).next_multiple_of(32);
        node.require(threads <= 1024, || format!("rows of {} are too long", sides.cols))?;
        let copy = if op.copies { node.input(7).c_type() } else { "bf16".to_owned() };
        let macros = vec![
            ("TG", node.input(4).c_type()),
            ("TC", copy),
            ("COPY", u8::from(op.copies).to_string()),
            ("SPLIT", u8::from(split(op, node)).to_string()),
            ("WIDTH", width.to_string()),
            ("THREADS", threads.to_string()),
            ("GROUPS", groups.to_string()),
        ];
        let function = |name| node.function("muon", name, &macros);
        Ok(Kernels {
            update_direction: function("update_direction")?,
            rescale: function("rescale")?,
            squares: function(if sides.tall() || sides.rows == sides.cols {
                "row_squares"
            } else {
                "column_squares"
            })?,
            factors: function("factors")?,
            step: function("step")?,
            threads,
        })
    }
}

/// Elements of one access: four, or one where rows do not begin at multiples of it.
fn width(op: &Muon, node: &NodeView<'_>, cols: usize) -> usize {
    let rowed = |operand: &Operand| operand.pointer.is_multiple_of(4 * operand.dtype.bytes() as u64);
    let aligned = node.inputs[3..]
        .chunks_exact(op.stride())
        .all(|operands| operands.iter().enumerate().all(|(i, operand)| i == 3 || rowed(operand)));
    if cols.is_multiple_of(4) && aligned { 4 } else { 1 }
}

/// A matrix of bf16 numbers, used as it is stored.
fn bf16(pointer: Pointer, stride: usize) -> Matrix {
    Matrix::new(pointer, DType::BF16, stride)
}

/// The products that are computed on one side of the diagonal only.
#[derive(Clone, Copy)]
struct Halved {
    gram: bool,
    poly: bool,
}

struct Steps<'a> {
    op: &'a Muon,
    node: &'a NodeView<'a>,
    sides: Sides,
    places: Places,
    kernels: Kernels,
    table: Table,
}

impl Steps<'_> {
    /// The update of `count` matrices from `first`.
    fn group(&self, first: usize, count: usize, halved: Halved) -> Result<Vec<Launch>, CudaError> {
        let mut launches = self.direction(first, count);
        let (x, sigma, products) = self.polar_express(count, halved)?;
        launches.extend(products);
        launches.extend(self.update(first, count, x, sigma));
        Ok(launches)
    }

    fn at(&self, offset: usize) -> Pointer {
        self.node.scratch.pointer + offset as Pointer
    }

    fn kernel(
        &self,
        name: &str,
        function: &Function,
        grid: [usize; 2],
        threads: usize,
        bytes: usize,
        arguments: Arguments,
    ) -> Launch {
        let grid = [grid[0] as u32, grid[1] as u32, 1];
        let launch = Launch::kernel(name, function.clone(), grid, [threads as u32, 1, 1], 0, arguments);
        self.table.held_by(launch.costs(Cost { flops: 0, bytes: bytes as u64 }))
    }

    /// Momentum, and X with its rows and the whole scaled.
    fn direction(&self, first: usize, count: usize) -> Vec<Launch> {
        let Steps { node, sides, places, kernels, .. } = self;
        let (x, squares, table) =
            (self.at(places.x), self.at(places.squares), self.table.pointer(WORDS * first));
        let arguments = Arguments::new()
            .pointer(x)
            .pointer(squares)
            .pointer(table)
            .pointer(node.input(1).pointer)
            .block(&sides.words())
            .f32(sides.scale());
        let elements = count * sides.rows * sides.cols;
        let bytes = elements * (2 * node.input(4).dtype.bytes() + 8) + 2 * count * sides.len();
        let grid = [sides.padded_rows, count];
        let direction =
            self.kernel("muon direction", &kernels.update_direction, grid, kernels.threads, bytes, arguments);
        let arguments = Arguments::new().pointer(x).pointer(squares).block(&sides.words()).f32(sides.scale());
        let grid = [sides.len().div_ceil(8 * 256 * 4).clamp(1, 32), count];
        let bytes = 4 * count * sides.rows;
        vec![direction, self.kernel("muon rescale", &kernels.rescale, grid, 256, bytes, arguments)]
    }

    /// The steps; returns where the result lies, and what it must be multiplied by.
    fn polar_express(&self, count: usize, halved: Halved) -> Result<(Pointer, f64, Vec<Launch>), CudaError> {
        let Sides { padded_rows: rows, padded_cols: cols, .. } = self.sides;
        let (small, tall, len) = (self.sides.small(), self.sides.tall(), self.sides.len());
        let (mut x, mut next) = (self.at(self.places.x), self.at(self.places.next));
        let poly = bf16(self.at(self.places.poly), small);
        let mut launches = Vec::new();
        let mut sigma = 1.0;
        for (a, b, c) in POLAR_EXPRESS {
            let (product, half) = self.gram(x, sigma, count);
            launches.push(if halved.gram { half.launch(self.node.gpu) } else { self.product(&product) }?);
            let (product, half) = self.poly(c / b, count);
            launches.push(if halved.poly { half.launch(self.node.gpu) } else { self.product(&product) }?);
            let (from, to) = (bf16(x, cols), bf16(next, cols));
            let (left, right) = if tall { (from, poly) } else { (poly, from) };
            let (a_stride, b_stride) = if tall { (len, small * small) } else { (small * small, len) };
            let product = Product::new("muon step", [rows, cols, small], left, right, to);
            let batch = Batch { count, a: a_stride, b: b_stride, d: len };
            launches.push(self.product(&product.scaled((b / a) as f32).plus(1.0, from).batched(batch))?);
            sigma *= a;
            std::mem::swap(&mut x, &mut next);
        }
        Ok((x, sigma, launches))
    }

    /// A = σ²·X̂X̂ᵀ, on the smaller side, by either way.
    fn gram(&self, x: Pointer, sigma: f64, count: usize) -> (Product, Symmetric) {
        let Sides { padded_rows: rows, padded_cols: cols, .. } = self.sides;
        let (side, depth, transposed) = (self.sides.small(), rows.max(cols), self.sides.tall());
        let (name, from, d, alpha) =
            ("muon gram", bf16(x, cols), self.at(self.places.gram), (sigma * sigma) as f32);
        let (left, right) = if transposed { (from.transposed(), from) } else { (from, from.transposed()) };
        let product = Product::new(name, [side, side, depth], left, right, bf16(d, side));
        let batch = Batch { count, a: self.sides.len(), b: self.sides.len(), d: side * side };
        let half = Symmetric { name, x, d, c: None, side, depth, transposed, count, alpha };
        (product.scaled(alpha).batched(batch), half)
    }

    /// Q = A + ratio·A².
    fn poly(&self, ratio: f64, count: usize) -> (Product, Symmetric) {
        let (name, side, alpha) = ("muon poly", self.sides.small(), ratio as f32);
        let (x, d) = (self.at(self.places.gram), self.at(self.places.poly));
        let from = bf16(x, side);
        let batch = Batch { count, a: side * side, b: side * side, d: side * side };
        let product = Product::new(name, [side, side, side], from, from, bf16(d, side)).scaled(alpha);
        let c = Some((x, 1.0));
        let half = Symmetric { name, x, d, c, side, depth: side, transposed: false, count, alpha };
        (product.plus(1.0, from).batched(batch), half)
    }

    /// Which of the symmetric products the kernel makes that computes half of them.
    fn contest(&self, count: usize) -> Result<Halved, CudaError> {
        let gpu = self.node.gpu;
        let (side, depth) = (self.sides.small(), self.sides.padded_rows.max(self.sides.padded_cols));
        let mut halved = Halved { gram: false, poly: false };
        if !symmetric::takes(gpu, side, depth) {
            return Ok(halved);
        }
        // Whatever was timed on this memory before may have left what is no number there, which equals nothing.
        let stream = Stream::new(&gpu.device)?;
        crate::noise::fill(gpu, &stream, self.at(self.places.x), 2 * count * self.sides.len())?;
        stream.synchronize()?;
        // In this order: the second product is symmetric only of what the first one makes.
        let (product, half) = self.gram(self.at(self.places.x), 1.0 / depth as f64, count);
        halved.gram = symmetric::wins(gpu, &half, &self.product(&product)?)?;
        let (product, half) = self.poly(1.0, count);
        halved.poly = symmetric::wins(gpu, &half, &self.product(&product)?)?;
        Ok(halved)
    }

    fn product(&self, product: &Product) -> Result<Launch, CudaError> {
        let (all, used) = (self.node.scratch, self.places.workspace);
        let workspace = Scratch { pointer: self.at(used), bytes: all.bytes - used };
        gemm::product(self.node.gpu, product, workspace)
    }

    /// Variance reduction and the update of the matrices.
    fn update(&self, first: usize, count: usize, x: Pointer, sigma: f64) -> Vec<Launch> {
        let Steps { op, node, sides, places, kernels, .. } = self;
        let (rows, cols) = (sides.rows, sides.cols);
        let (squares, factors) = (self.at(places.squares), self.at(places.factors));
        let (table, words, by_row) = (self.table.pointer(WORDS * first), sides.words(), sides.by_row());
        let arguments = Arguments::new().pointer(squares).pointer(x).block(&words);
        let grid = [if by_row { rows.div_ceil(8) } else { sides.padded_cols.div_ceil(256) }, count];
        let bytes = 2 * count * sides.len();
        let squared = self.kernel("muon squares", &kernels.squares, grid, 256, bytes, arguments);
        let arguments = Arguments::new()
            .pointer(factors)
            .pointer(squares)
            .pointer(table)
            .i32(sides.second())
            .f32(rows.min(cols) as f64)
            .f32(sigma)
            .f32((rows.min(cols) as f64).sqrt())
            .f32(op.beta2)
            .f32(1.0 - op.beta2);
        let bytes = 16 * count * sides.second();
        let factored = self.kernel("muon factors", &kernels.factors, [count, 1], 1024, bytes, arguments);
        let arguments = Arguments::new()
            .pointer(x)
            .pointer(factors)
            .pointer(table)
            .pointer(node.input(0).pointer)
            .pointer(node.input(2).pointer)
            .block(&words)
            .i32(usize::from(by_row))
            .f32(op.lr * (rows as f64 / cols as f64).max(1.0).sqrt());
        let whole = op.copies && !split(op, node);
        let copy = if whole { node.input(7).dtype.bytes() } else { 0 };
        let bytes = count * (rows * cols * (8 + copy) + 2 * sides.len());
        let stepped =
            self.kernel("muon update", &kernels.step, [rows, count], kernels.threads, bytes, arguments);
        vec![squared, factored, stepped]
    }
}

#[cfg(test)]
mod tests {
    use super::Sides;

    #[test]
    fn groups_are_even_and_within_their_bytes() {
        let check = |rows: usize, cols: usize, count: usize, expected: usize| {
            let (padded_rows, padded_cols) = (rows.next_multiple_of(8), cols.next_multiple_of(8));
            let group = Sides { rows, cols, padded_rows, padded_cols }.group(count);
            assert_eq!(group, expected, "{count} matrices of {rows}×{cols}");
        };
        check(1280, 1280, 80, 80);
        check(1280, 1280, 90, 45);
        check(5120, 1280, 20, 20);
        check(10, 12, 10, 10);
        check(20_000, 20_000, 3, 1);
    }
}
