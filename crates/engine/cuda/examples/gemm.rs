//! Matrix products on the GPU: small ones beside their definition in binary64, then the times of a model's.
//!
//! `gemm [--rows 32768] [--channels 1280] [--hidden 5120] [--vocab 32768] [--check-only 1]`: a line a product; exit code 1
//! where one is wrong. Needs a GPU.

#![allow(clippy::print_stdout)] // It prints its figures.

use std::path::PathBuf;
use std::time::Instant;
use wootz_cuda::gemm::fp8::{Cast, ReluSquaredGradient, Rule};
use wootz_cuda::gemm::{self, Batch, Element, Matrix, Product, Scales};
use wootz_cuda::{Gpu, Memory, Options, Pointer, Scratch, Search, Stream};
use wootz_tensor::DType;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let options = |deterministic| {
        let search = Search::new(split("WOOTZ_CUDA_LIBRARIES"), split("PATH"));
        Options { search, deterministic, ..Options::default() }
    };
    let (fixed, timed) = (Gpu::open(options(true))?, Gpu::open(options(false))?);
    println!("{}", timed.device.properties.name);
    let mut wrong = 0;
    for (gpu, every) in [(&fixed, 1), (&timed, 9)] {
        let mut bench = Bench::new(gpu, 64 << 20)?;
        for (case, number) in cases().iter().zip(0..).filter(|(_, number)| number % every == 0) {
            wrong += usize::from(!bench.check(case, number)?);
        }
    }
    let bench = Bench::new(&timed, 64 << 20)?;
    for (shape, formats, to) in [
        ([256, 384, 128], [Element::E4m3, Element::E4m3], Element::Bf16),
        ([272, 144, 400], [Element::E5m2, Element::E4m3], Element::Bf16),
        ([144, 272, 656], [Element::E5m2, Element::E4m3], Element::F32),
    ] {
        wrong += usize::from(!bench.check_fp8(shape, formats, to)?);
    }
    for (rows, cols) in [(128, 256), (400, 144), (16, 16)] {
        wrong += usize::from(!bench.check_hidden(rows, cols)?);
    }
    if wrong > 0 {
        return Err(format!("{wrong} products are wrong").into());
    }
    println!("all products agree with their definition");
    if flag("--check-only", 0) == 0 { times(&timed) } else { Ok(()) }
}

/// A small product, in the order of its operands.
#[derive(Debug, Clone, Copy)]
struct Case {
    shape: [usize; 3],
    transposed: [bool; 2],
    elements: [Element; 2],
    added: Added,
    batch: Option<usize>,
    /// Elements between the rows.
    spare: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Added {
    Nothing,
    InPlace,
    Other,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in [[128, 256, 64], [130, 72, 200], [33, 17, 31], [1, 65, 128]] {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            for elements in
                [[Element::Bf16, Element::Bf16], [Element::Bf16, Element::F32], [Element::F32, Element::F32]]
            {
                for (added, batch, spare) in [
                    (Added::Nothing, None, 0),
                    (Added::InPlace, None, 8),
                    (Added::Other, None, 0),
                    (Added::Nothing, Some(3), 0),
                    (Added::Other, Some(2), 8),
                ] {
                    cases.push(Case { shape, transposed, elements, added, batch, spare });
                }
            }
        }
    }
    cases
}

/// Device memory in four equal parts for a, b, c and d, and scratch.
struct Bench<'a> {
    gpu: &'a Gpu,
    stream: Stream,
    memory: Memory,
    scratch: Memory,
    part: usize,
}

impl Bench<'_> {
    fn new(gpu: &Gpu, part: usize) -> Outcome<Bench<'_>> {
        let memory = Memory::allocate(&gpu.device, 4 * part)?;
        let scratch = Memory::allocate(&gpu.device, gemm::WORKSPACE_BYTES)?;
        let stream = Stream::new(&gpu.device)?;
        let block: Vec<u8> = {
            let mut random = Random(1);
            (0..8 << 20).flat_map(|_| bf16(random.next()).to_le_bytes()).collect()
        };
        for at in (0..4 * part).step_by(block.len()) {
            let len = block.len().min(4 * part - at);
            stream.upload(memory.pointer + at as u64, &block[..len])?;
        }
        stream.synchronize()?;
        Ok(Bench { gpu, stream, memory, scratch, part })
    }
    fn at(&self, i: usize) -> Pointer {
        self.memory.pointer + (i * self.part) as u64
    }
    fn scratch(&self) -> Scratch {
        Scratch { pointer: self.scratch.pointer, bytes: self.scratch.bytes }
    }

    /// Runs a small product on fresh numbers over a poisoned output; false: it is wrong.
    fn check(&mut self, case: &Case, seed: u64) -> Outcome<bool> {
        let [m, n, k] = case.shape;
        let matrix = |i, element, [rows, cols]: [usize; 2], transposed: bool| Matrix {
            pointer: self.at(i),
            dtype: element,
            stride: case.spare + if transposed { rows } else { cols },
            transposed,
        };
        let [from, to] = case.elements;
        let a = matrix(0, from, [m, k], case.transposed[0]);
        let b = matrix(1, from, [k, n], case.transposed[1]);
        let (c, d) = (matrix(2, to, [m, n], false), matrix(3, to, [m, n], false));
        let steps = [a.stride * m.max(k), b.stride * n.max(k), d.stride * m];
        let count = case.batch.unwrap_or(1);
        let mut product = Product::new("check", case.shape, a, b, d).scaled(0.5);
        product = match case.added {
            Added::Nothing => product,
            Added::InPlace => product.accumulated(),
            Added::Other => product.plus(2.0, c),
        };
        if case.batch.is_some() {
            product = product.batched(Batch { count, a: steps[0], b: steps[1], d: steps[2] });
        }
        let launch = gemm::product(self.gpu, &product, self.scratch())?;
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let va = self.write(&a, steps[0] * count, &mut random)?;
        let vb = self.write(&b, steps[1] * count, &mut random)?;
        let vc =
            self.write(if case.added == Added::InPlace { &d } else { &c }, steps[2] * count, &mut random)?;
        let bytes = d.dtype.bytes();
        if case.added != Added::InPlace {
            self.stream.upload(d.pointer, &vec![0xff; steps[2] * count * bytes])?;
        }
        launch.run(&self.stream)?;
        let mut raw = vec![0; steps[2] * count * bytes];
        self.stream.download(&mut raw, d.pointer)?;
        let found = numbers(&raw, d.dtype);
        let read = |values: &[f64], of: &Matrix, i: usize, j: usize| {
            values[if of.transposed { j * of.stride + i } else { i * of.stride + j }]
        };
        let (mut difference, mut size) = (0.0, 0.0);
        for batch in 0..count {
            let (va, vb) = (&va[batch * steps[0]..], &vb[batch * steps[1]..]);
            for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                let at = batch * steps[2] + i * d.stride + j;
                let sum: f64 = (0..k).map(|l| read(va, &a, i, l) * read(vb, &b, l, j)).sum();
                let added = [0.0, vc[at], 2.0 * vc[at]][case.added as usize];
                difference += (0.5 * sum + added - found[at]).powi(2);
                size += (0.5 * sum + added).powi(2);
            }
        }
        let limit = if to == Element::F32 { 1e-5 } else { 1e-2 };
        let relative = (difference / size).sqrt();
        let good = relative <= limit;
        if !good {
            println!("WRONG {relative:.1e} {case:?}");
        }
        Ok(good)
    }

    /// Casts two matrices and multiplies them; false: a cast or the product is wrong.
    fn check_fp8(&self, [m, n, k]: [usize; 3], formats: [Element; 2], to: Element) -> Outcome<bool> {
        let mut random = Random(77);
        let (wide_a, wide_b) = (half(self.at(0), k), half(self.at(1), k));
        let eight = (self.at(2), self.at(2) + (2 * m * k) as u64);
        let factors = self.scratch.pointer;
        let mut decoded = Vec::new();
        let operands = [(wide_a, m, eight.0, factors), (wide_b, n, eight.1, factors + 16)];
        for ((x, rows, to, factor), format) in operands.into_iter().zip(formats) {
            let values = self.write(&x, rows * k, &mut random)?;
            let turned = to + (rows * k) as u64;
            let cast = Cast { straight: to, turned, factor, ..self.cast(x.pointer, rows, k, format) };
            cast.launches(self.gpu)?.iter().try_for_each(|launch| launch.run(&self.stream))?;
            decoded.push(self.decoded(&cast, &values)?);
        }
        let (Some(vb), Some(va)) = (decoded.pop().flatten(), decoded.pop().flatten()) else {
            return Ok(false);
        };
        let a = Matrix::new(eight.0, formats[0], k);
        let b = Matrix::new(eight.1, formats[1], k).transposed();
        let scales = Some(Scales { a: factors, b: factors + 16 });
        let d = Matrix::new(self.at(3), to, n);
        let scratch = Scratch { pointer: factors + 4096, bytes: gemm::WORKSPACE_BYTES - 4096 };
        let product = Product { scales, ..Product::new("fp8", [m, n, k], a, b, d) }.accumulated();
        let launch = gemm::product(self.gpu, &product, scratch)?;
        let held = self.write(&d, m * n, &mut random)?;
        launch.run(&self.stream)?;
        let mut raw = vec![0; m * n * to.bytes()];
        self.stream.download(&mut raw, d.pointer)?;
        let found = numbers(&raw, to);
        let (mut difference, mut size) = (0.0, 0.0);
        for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let sum: f64 = (0..k).map(|l| va[i * k + l] * vb[j * k + l]).sum::<f64>() + held[i * n + j];
            difference += (sum - found[i * n + j]).powi(2);
            size += sum.powi(2);
        }
        let relative: f64 = (difference / size).sqrt();
        println!("fp8 {m}x{n}x{k} {formats:?} to {to:?}: {relative:.1e}");
        Ok(relative <= 1e-2)
    }

    /// Squared ReLU and its gradient, cast from what they are made of; false: they are wrong.
    fn check_hidden(&self, rows: usize, cols: usize) -> Outcome<bool> {
        const SUM: usize = 16;
        let mut random = Random(78);
        let (count, factors) = (rows * cols, self.scratch.pointer);
        let (wide_u, wide_dh) = (half(self.at(0), cols), half(self.at(1), cols));
        let u = self.write(&wide_u, count, &mut random)?;
        let dh = self.write(&wide_dh, count, &mut random)?;
        let [straight, turned, h_turned] = [0, 1, 2].map(|i| self.at(2) + (i * count) as u64);
        let squares: Vec<f64> = u.iter().map(|u| u.max(0.0).powi(2)).collect();
        let cast = Cast { straight, turned, ..self.cast(self.at(0), rows, cols, Element::E4m3) };
        let launches = cast.launches_by(self.gpu, Rule::ReluSquared)?;
        launches.iter().try_for_each(|launch| launch.run(&self.stream))?;
        let mut good = self.decoded(&cast, &squares)?.is_some();
        let mut first = vec![0; count];
        self.stream.download(&mut first, turned)?;
        // The operands of the product that made dh are at most 1, and so its sums at most `SUM`.
        let ones = [1.0 / 57_344.0_f32, 1.0 / 448.0].map(f32::to_le_bytes).concat();
        self.stream.upload(factors + 8, &ones)?;
        let gradient = ReluSquaredGradient {
            rows,
            cols,
            u: self.at(0),
            dh: self.at(1),
            k: SUM,
            factors: [factors + 8, factors + 12],
            h_factor: factors,
            straight,
            turned,
            factor: factors + 4,
            h_turned,
        };
        gradient.launch(self.gpu)?.run(&self.stream)?;
        let [mut ahead, mut across, mut again] = [0, 1, 2].map(|_| vec![0; count]);
        self.stream.download(&mut ahead, straight)?;
        self.stream.download(&mut across, turned)?;
        self.stream.download(&mut again, h_turned)?;
        let mut factor = [0; 4];
        self.stream.download(&mut factor, factors + 4)?;
        let factor = f64::from(f32::from_le_bytes(factor));
        let largest = squares.iter().fold(0.0, |largest: f64, h| largest.max(*h)).sqrt();
        good &= (factor * 57_344.0 / (2.0 * largest * SUM as f64) - 1.0).abs() < 1e-5;
        for (at, (u, dh)) in u.iter().zip(&dh).enumerate() {
            let du = 2.0 * u.max(0.0) * dh;
            let found = factor * eight_bit(ahead[at], Element::E5m2);
            good &= (du - found).abs() <= 0.126 * du.abs() + 1e-6;
            good &= across[at % cols * rows + at / cols] == ahead[at];
        }
        // A quotient and a product of the factor may differ in their last bit, and then where a number is rounded to.
        let near = |(a, b): (&u8, &u8)| a.abs_diff(*b) <= 1;
        good &= first.iter().zip(&again).all(near);
        println!(
            "{} {rows}x{cols} by squared ReLU, and its gradient",
            if good { "fp8" } else { "WRONG fp8" }
        );
        Ok(good)
    }

    /// The cast numbers times their factor; none: they are not what was cast.
    fn decoded(&self, cast: &Cast, values: &[f64]) -> Outcome<Option<Vec<f64>>> {
        let count = cast.rows * cast.cols;
        let (mut straight, mut turned, mut factor) = (vec![0; count], vec![0; count], [0; 4]);
        self.stream.download(&mut straight, cast.straight)?;
        self.stream.download(&mut turned, cast.turned)?;
        self.stream.download(&mut factor, cast.factor)?;
        let factor = f64::from(f32::from_le_bytes(factor));
        let largest = values.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let (top, precision) = if cast.format == Element::E4m3 { (448.0, 0.0626) } else { (57_344.0, 0.126) };
        let mut good = (factor * top / largest - 1.0).abs() < 1e-5;
        let decoded: Vec<f64> = straight.iter().map(|byte| factor * eight_bit(*byte, cast.format)).collect();
        for (at, (x, y)) in values.iter().zip(&decoded).enumerate() {
            // Below the normal numbers, an absolute error.
            good &= (x - y).abs() <= precision * x.abs() + 1e-3 * largest;
            good &= turned[at % cast.cols * cast.rows + at / cast.cols] == straight[at];
        }
        if !good {
            println!("WRONG cast of {}x{} to {:?}", cast.rows, cast.cols, cast.format);
        }
        Ok(good.then_some(decoded))
    }
    fn cast(&self, x: Pointer, rows: usize, cols: usize, format: Element) -> Cast {
        let partials = self.scratch.pointer + 1024;
        let factor = self.scratch.pointer;
        Cast { x, dtype: DType::BF16, rows, cols, format, straight: 0, turned: 0, factor, partials }
    }

    /// Random numbers at a matrix, as they are after rounding.
    fn write(&self, to: &Matrix, len: usize, random: &mut Random) -> Outcome<Vec<f64>> {
        let bytes: Vec<u8> = match to.dtype {
            Element::F32 => (0..len).flat_map(|_| random.next().to_le_bytes()).collect(),
            _ => (0..len).flat_map(|_| bf16(random.next()).to_le_bytes()).collect(),
        };
        self.stream.upload(to.pointer, &bytes)?;
        self.stream.synchronize()?;
        Ok(numbers(&bytes, to.dtype))
    }

    /// Both layouts of a matrix, by the clock on the wall.
    fn time_cast(&self, rows: usize, cols: usize) -> Outcome<()> {
        let (straight, turned) = (self.at(1), self.at(2));
        let cast = Cast { straight, turned, ..self.cast(self.at(0), rows, cols, Element::E5m2) };
        for launch in cast.launches(self.gpu)? {
            const RUNS: u32 = 50;
            launch.run(&self.stream)?;
            self.stream.synchronize()?;
            let start = Instant::now();
            (0..RUNS).try_for_each(|_| launch.run(&self.stream))?;
            self.stream.synchronize()?;
            let seconds = start.elapsed().as_secs_f64() / f64::from(RUNS);
            let rate = launch.cost.bytes as f64 / seconds * 1e-12;
            println!("{:9} {rows}x{cols}: {:6.1} us {rate:.2} TB/s", launch.name, 1e6 * seconds);
        }
        Ok(())
    }

    fn time(&self, product: &Product) -> Outcome<()> {
        let (_, report) = gemm::reported(self.gpu, product, self.scratch())?;
        let rate = |seconds: Option<f64>| seconds.map_or(0.0, |s| product.cost().flops as f64 / s * 1e-12);
        let (best, first) = (rate(report.seconds), rate(report.suggested_seconds));
        let label = format!("{}{}", product.label(), if product.c.is_some() { " +=" } else { "" });
        let microseconds = report.seconds.unwrap_or(0.0) * 1e6;
        println!(
            "{label:38} {microseconds:8.1} us {best:6.1} TFLOP/s, suggested {first:6.1}; of {:3}: {} workspace {}",
            report.tried, report.algorithm, report.workspace_bytes
        );
        Ok(())
    }
}

/// The products of a block, of the head and of the optimizer, three ways each.
fn times(gpu: &Gpu) -> Outcome<()> {
    let (c, h, v) = (flag("--channels", 1280), flag("--hidden", 5120), flag("--vocab", 32_768));
    let rows = flag("--rows", 0);
    let all_rows = if rows > 0 { vec![rows] } else { vec![32_768, 65_536] };
    let most = all_rows.iter().max().map_or(0, |m| m * h.max(3 * c) * 2).max(v * c * 4).max(8192 * v * 2);
    let bench = Bench::new(gpu, most.next_multiple_of(256))?;
    for m in all_rows {
        for (i, o) in [(c, 3 * c), (c, c), (c, h), (h, c)] {
            three_ways(&bench, m, i, o)?;
        }
    }
    let rows = if rows > 0 { rows } else { 32_768 };
    for cols in [c, 3 * c, h] {
        bench.time_cast(rows, cols)?;
    }
    for (i, o) in [(c, 3 * c), (c, c), (c, h), (h, c)] {
        three_ways_fp8(&bench, rows, i, o)?;
    }
    three_ways(&bench, 8192, c, v)?;
    three_ways_fp8(&bench, 8192, c, v)?;
    for (m, k) in [(c, c), (c, h)] {
        let square = |i, stride| Matrix::new(bench.at(i), Element::Bf16, stride);
        let product = Product::new("muon", [m, m, k], square(0, k), square(0, k).transposed(), square(3, m));
        bench.time(&product.batched(Batch { count: 20, a: m * k, b: m * k, d: m * m }))?;
    }
    Ok(())
}

fn three_ways(bench: &Bench<'_>, m: usize, i: usize, o: usize) -> Outcome<()> {
    let (x, w, y) = (bench.at(0), bench.at(1), bench.at(3));
    bench.time(&Product::new("y", [m, o, i], half(x, i), half(w, i).transposed(), half(y, o)))?;
    bench.time(&Product::new("dx", [m, i, o], half(x, o), half(w, i), half(y, i)))?;
    let dw = Matrix::new(y, Element::F32, i);
    let dy = half(bench.at(2), o).transposed();
    bench.time(&Product::new("dw", [o, i, m], dy, half(x, i), dw).accumulated())
}

fn half(pointer: Pointer, stride: usize) -> Matrix {
    Matrix::new(pointer, Element::Bf16, stride)
}

/// The same in 8 bits, every operand stored along the sum.
fn three_ways_fp8(bench: &Bench<'_>, m: usize, i: usize, o: usize) -> Outcome<()> {
    let (e4m3, e5m2) = (Element::E4m3, Element::E5m2);
    for part in 0..3 {
        gemm::fp8::tame(bench.gpu, &bench.stream, bench.at(part), bench.part)?;
    }
    bench.stream.synchronize()?;
    let scales = Some(Scales { a: bench.at(2), b: bench.at(2) });
    let along = |part, format, k| Matrix::new(bench.at(part), format, k);
    let y = |stride| half(bench.at(3), stride);
    let time = |name, shape: [usize; 3], format, d| {
        let (a, b) = (along(0, format, shape[2]), along(1, e4m3, shape[2]).transposed());
        let product = Product { scales, ..Product::new(name, shape, a, b, d) };
        bench.time(&if name == "dw8" { product.accumulated() } else { product })
    };
    time("y8", [m, o, i], e4m3, y(o))?;
    time("dx8", [m, i, o], e5m2, y(i))?;
    time("dw8", [o, i, m], e5m2, Matrix::new(bench.at(3), Element::F32, i))
}

/// The number of a byte.
fn eight_bit(byte: u8, format: Element) -> f64 {
    let (mantissa_bits, bias) = if format == Element::E4m3 { (3, 7) } else { (2, 15) };
    let mantissa = f64::from(byte & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    let exponent = i32::from(byte & 0x7f) >> mantissa_bits;
    let size = if exponent == 0 {
        mantissa * 2f64.powi(1 - bias)
    } else {
        (1.0 + mantissa) * 2f64.powi(exponent - bias)
    };
    if byte & 0x80 == 0 { size } else { -size }
}

/// A generator by Marsaglia, "Xorshift RNGs" (2003), of numbers between -1 and 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn bf16(x: f32) -> u16 {
    (x.to_bits() >> 16) as u16
}

fn numbers(bytes: &[u8], element: Element) -> Vec<f64> {
    match element {
        Element::F32 => {
            bytes.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]))).collect()
        }
        _ => bytes.chunks_exact(2).map(|b| f64::from(f32::from_le_bytes([0, 0, b[0], b[1]]))).collect(),
    }
}

fn split(name: &str) -> Vec<PathBuf> {
    std::env::var_os(name).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
}

fn flag(name: &str, default: usize) -> usize {
    let value = std::env::args().skip_while(|a| a != name).nth(1);
    value.and_then(|value| value.parse().ok()).unwrap_or(default)
}
