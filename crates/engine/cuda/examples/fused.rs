//! The hand-written product for Hopper, every variant of it: small shapes beside their definition in binary64, whole shapes
//! beside the library, then times. Needs a GPU of compute capability 9.0; exits with 1 where a product is wrong.
//!
//! `fused [--rows 65536] [--channels 1280] [--check-only 1]`: a line a product and variant.

#![allow(clippy::print_stdout)] // It prints its figures.

use std::path::PathBuf;
use std::time::Instant;
use wootz_cuda::gemm::hopper::{self, Epilogue, Variant};
use wootz_cuda::gemm::{self, Batch, Element, Matrix, Product};
use wootz_cuda::{Gpu, Launch, Memory, Options, Pointer, Scratch, Search, Stream};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let gpu = Gpu::open(Options {
        search: Search::new(split("WOOTZ_CUDA_LIBRARIES"), split("PATH")),
        ..Options::default()
    })?;
    println!("{}", gpu.device.properties.name);
    let (rows, c) = (flag("--rows", 65_536), flag("--channels", 1280));
    let part = if flag("--check-only", 0) > 0 { SMALL_BYTES } else { rows * 4 * c * 2 };
    let bench = Bench::new(&gpu, part.max(SMALL_BYTES))?;
    let mut wrong = 0;
    for kind in KINDS {
        for shape in kind.small {
            wrong += bench.check_small(kind, *shape)?;
        }
    }
    if flag("--check-only", 0) == 0 {
        for (kind, shape) in large(rows, c) {
            wrong += bench.check_large(&kind, shape)?;
            bench.time(&kind, shape)?;
        }
    }
    if wrong > 0 {
        return Err(format!("{wrong} products are wrong").into());
    }
    println!("all products agree with their definition");
    Ok(())
}

/// A kind of product: what it does at the end, and whether its operands are stored along m and n.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    epilogue: Epilogue,
    along_mn: [bool; 2],
    small: &'static [[usize; 3]],
}

/// What the largest matrix of a small shape takes, and more.
const SMALL_BYTES: usize = 16 << 20;

/// Rows and columns at the edge of a tile, the shortest sums, and cuts of several sizes.
const EDGES: &[[usize; 3]] = &[
    [512, 1280, 1280],
    [640, 1408, 128],
    [500, 256, 192],
    [1, 64, 128],
    [67, 576, 256],
    // Several tiles a block, with the fewest steps and with more.
    [4352, 1792, 128],
    [4300, 1792, 192],
    [4350, 1792, 448],
];
const TALL: &[[usize; 3]] = &[[512, 1280, 1280], [1280, 512, 4096], [128, 256, 128], [2560, 1280, 2048]];

const KINDS: &[Kind] = &[
    Kind { name: "h", epilogue: Epilogue::ReluSquared, along_mn: [false, false], small: EDGES },
    Kind { name: "du", epilogue: Epilogue::ReluSquaredBackward, along_mn: [false, true], small: EDGES },
    Kind { name: "y", epilogue: Epilogue::Plain, along_mn: [false, false], small: EDGES },
    Kind { name: "y+r", epilogue: Epilogue::Residual, along_mn: [false, false], small: EDGES },
    Kind { name: "dx", epilogue: Epilogue::Plain, along_mn: [false, true], small: EDGES },
    Kind { name: "dx+", epilogue: Epilogue::Residual, along_mn: [false, true], small: EDGES },
    Kind { name: "dw+", epilogue: Epilogue::Accumulate, along_mn: [true, true], small: TALL },
];

/// Those of a block, as [m, n, k].
fn large(rows: usize, c: usize) -> Vec<(Kind, [usize; 3])> {
    let [h, du, y, y_residual, dx, dx_residual, dw] = [0, 1, 2, 3, 4, 5, 6].map(|i| KINDS[i]);
    vec![
        (h, [rows, 4 * c, c]),
        (du, [rows, 4 * c, c]),
        (y, [rows, 3 * c, c]),
        (y_residual, [rows, c, c]),
        (y_residual, [rows, c, 4 * c]),
        (dx, [rows, c, 4 * c]),
        (dx, [rows, c, 3 * c]),
        (dx_residual, [rows, c, c]),
        (dw, [4 * c, c, rows]),
        (dw, [c, 4 * c, rows]),
        (dw, [3 * c, c, rows]),
        (dw, [c, c, rows]),
    ]
}

/// Device memory in five equal parts for a, b, c, d and what d is compared with, and scratch.
struct Bench<'a> {
    gpu: &'a Gpu,
    stream: Stream,
    memory: Memory,
    scratch: Memory,
    part: usize,
}

impl Bench<'_> {
    fn new(gpu: &Gpu, part: usize) -> Outcome<Bench<'_>> {
        let memory = Memory::allocate(&gpu.device, 5 * part)?;
        let scratch = Memory::allocate(&gpu.device, gemm::WORKSPACE_BYTES)?;
        Ok(Bench { gpu, stream: Stream::new(&gpu.device)?, memory, scratch, part })
    }
    fn at(&self, i: usize) -> Pointer {
        self.memory.pointer + (i * self.part) as u64
    }

    /// Numbers in this much of every part: between −1 and 1, those of c between 0 and 1, since it may be under a root.
    fn fill(&self, seed: u64, bytes: usize) -> Outcome<()> {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for i in 0..5 {
            let numbers: Vec<f32> =
                (0..4 << 20).map(|_| if i == 2 { random.next().abs() } else { random.next() }).collect();
            let block: Vec<u8> = numbers.iter().flat_map(|x| bf16(*x).to_le_bytes()).collect();
            for at in (0..bytes).step_by(block.len()) {
                let len = block.len().min(bytes - at);
                self.stream.upload(self.at(i) + at as u64, &block[..len])?;
            }
        }
        Ok(self.stream.synchronize()?)
    }

    fn product(&self, kind: &Kind, [m, n, k]: [usize; 3]) -> Product {
        let half = |i, stride| Matrix::new(self.at(i), Element::Bf16, stride);
        let a = if kind.along_mn[0] { half(0, m).transposed() } else { half(0, k) };
        let b = if kind.along_mn[1] { half(1, n) } else { half(1, k).transposed() };
        match kind.epilogue {
            Epilogue::Accumulate => {
                let d = Matrix::new(self.at(3), Element::F32, n);
                Product::new(kind.name, [m, n, k], a, b, d).accumulated()
            }
            Epilogue::Plain | Epilogue::ReluSquared => Product::new(kind.name, [m, n, k], a, b, half(3, n)),
            _ => Product::new(kind.name, [m, n, k], a, b, half(3, n)).plus(1.0, half(2, n)),
        }
    }

    fn read(&self, of: &Matrix, [rows, cols]: [usize; 2]) -> Outcome<Vec<f32>> {
        let mut raw = vec![0; rows * cols * of.dtype.bytes()];
        self.stream.download(&mut raw, of.pointer)?;
        Ok(numbers(&raw, of.dtype))
    }

    /// Every variant beside the definition, twice: the same bits; and over c's own memory where there is a c.
    fn check_small(&self, kind: &Kind, shape: [usize; 3]) -> Outcome<usize> {
        let [m, n, k] = shape;
        let product = self.product(kind, shape);
        let mut wrong = 0;
        for variant in kind.epilogue.variants() {
            let launch = match hopper::own(self.gpu, &product, kind.epilogue, variant) {
                Ok(launch) => launch,
                Err(reason) => {
                    println!("skipped {:4} {m}x{n}x{k} {}: {reason}", kind.name, variant.name);
                    continue;
                }
            };
            let mut results = Vec::new();
            for _ in 0..2 {
                self.fill(7, SMALL_BYTES)?;
                let before = self.read(&product.d, [m, n])?;
                launch.run(&self.stream)?;
                self.stream.synchronize()?;
                results.push((before, self.read(&product.d, [m, n])?));
            }
            let mut faults = Vec::new();
            if results[0] != results[1] {
                faults.push("two runs differ".to_owned());
            }
            let (before, found) = &results[0];
            let expected = self.defined(kind, &product, before)?;
            let error = relative(&expected, found);
            let limit = if kind.epilogue == Epilogue::Accumulate { 1e-4 } else { 5e-3 };
            if error.is_nan() || error > limit {
                faults.push(format!("error {error:.1e}"));
            }
            if self.in_place(kind, &product, variant)?.is_some_and(|over| over != *found) {
                faults.push("over c it differs".to_owned());
            }
            let verdict = if faults.is_empty() { format!("{error:.1e}") } else { faults.join(", ") };
            let word = if faults.is_empty() { "ok     " } else { "WRONG  " };
            println!("{word} {:4} {m}x{n}x{k} {}: {verdict}", kind.name, variant.name);
            wrong += usize::from(!faults.is_empty());
        }
        Ok(wrong)
    }

    /// The result where d is c's memory.
    fn in_place(&self, kind: &Kind, product: &Product, variant: &Variant) -> Outcome<Option<Vec<f32>>> {
        if !matches!(kind.epilogue, Epilogue::Residual | Epilogue::ReluSquaredBackward) {
            return Ok(None);
        }
        let over = Product { d: product.c.unwrap_or(product.d), ..product.clone() };
        self.fill(7, SMALL_BYTES)?;
        hopper::own(self.gpu, &over, kind.epilogue, variant)?.run(&self.stream)?;
        self.stream.synchronize()?;
        Ok(Some(self.read(&over.d, [product.m, product.n])?))
    }

    /// A sample of the rows by definition; the others as not a number, which is not compared.
    fn defined(&self, kind: &Kind, product: &Product, before: &[f32]) -> Outcome<Vec<f64>> {
        let Product { m, n, k, .. } = *product;
        let a = self.read(&product.a, [m, k])?;
        let b = self.read(&product.b, [k, n])?;
        let c = self.read(&product.c.filter(|c| c.dtype == Element::Bf16).unwrap_or(product.a), [m, n])?;
        let along = kind.along_mn;
        let mut expected = vec![f64::NAN; m * n];
        for i in (0..m).filter(|i| i % 61 == 0 || i % 128 > 125 || *i == m - 1) {
            for j in 0..n {
                let sum: f64 = (0..k)
                    .map(|l| {
                        let x = if along[0] { a[l * m + i] } else { a[i * k + l] };
                        let y = if along[1] { b[l * n + j] } else { b[j * k + l] };
                        f64::from(x) * f64::from(y)
                    })
                    .sum();
                let at = i * n + j;
                expected[at] = match kind.epilogue {
                    Epilogue::Plain => sum,
                    Epilogue::Residual => sum + f64::from(c[at]),
                    Epilogue::ReluSquared => sum.max(0.0).powi(2),
                    Epilogue::ReluSquaredBackward => 2.0 * f64::from(c[at]).sqrt() * sum,
                    Epilogue::Accumulate => sum + f64::from(before[at]),
                };
            }
        }
        Ok(expected)
    }

    /// The same product without an activation; its result goes to the part behind d. As a batch, which the kernel does not take, it
    /// is the library's.
    fn library(&self, kind: &Kind, shape: [usize; 3]) -> Product {
        let product = self.product(kind, shape);
        let d = Matrix { pointer: self.at(4), ..product.d };
        let product = match kind.epilogue {
            Epilogue::Accumulate => Product { d, c: Some(d), ..product },
            Epilogue::Residual => Product { d, ..product },
            _ => Product { d, c: None, ..product },
        };
        product.batched(Batch { count: 1, a: 0, b: 0, d: 0 })
    }

    /// Every variant at full size beside the library, whose choice is made first.
    fn check_large(&self, kind: &Kind, shape: [usize; 3]) -> Outcome<usize> {
        let [m, n, k] = shape;
        let (product, plain) = (self.product(kind, shape), self.library(kind, shape));
        let library = gemm::product(self.gpu, &plain, self.scratch())?;
        let mut wrong = 0;
        for variant in kind.epilogue.variants() {
            self.fill(11, self.part)?;
            // Parts 3 and 4 must begin as the same numbers where they are added to.
            let bytes = 4 * m * n;
            if kind.epilogue == Epilogue::Accumulate {
                let mut held = vec![0; bytes];
                self.stream.download(&mut held, product.d.pointer)?;
                self.stream.upload(plain.d.pointer, &held)?;
            }
            library.run(&self.stream)?;
            hopper::own(self.gpu, &product, kind.epilogue, variant)?.run(&self.stream)?;
            self.stream.synchronize()?;
            let sums = self.read(&plain.d, [m, n])?;
            let found = self.read(&product.d, [m, n])?;
            let roots = match kind.epilogue {
                Epilogue::ReluSquaredBackward => {
                    self.read(&Matrix { pointer: self.at(2), ..product.d }, [m, n])?
                }
                _ => Vec::new(),
            };
            let expected: Vec<f64> = sums
                .iter()
                .enumerate()
                .map(|(i, sum)| match kind.epilogue {
                    Epilogue::ReluSquared => f64::from(*sum).max(0.0).powi(2),
                    Epilogue::ReluSquaredBackward => 2.0 * f64::from(roots[i]).sqrt() * f64::from(*sum),
                    _ => f64::from(*sum),
                })
                .collect();
            let error = relative(&expected, &found);
            if error.is_nan() || error > 1e-2 {
                println!(
                    "WRONG   {:4} {m}x{n}x{k} {}: {error:.1e} beside the library",
                    kind.name, variant.name
                );
                wrong += 1;
            }
        }
        Ok(wrong)
    }

    fn time(&self, kind: &Kind, shape: [usize; 3]) -> Outcome<()> {
        self.fill(13, self.part)?;
        let (product, plain) = (self.product(kind, shape), self.library(kind, shape));
        let (_, report) = gemm::reported(self.gpu, &plain, self.scratch())?;
        let flops = product.cost().flops as f64;
        let rate = |seconds: Option<f64>| {
            let seconds = seconds.unwrap_or(f64::NAN);
            format!("{:8.1} us {:6.1} TFLOP/s", 1e6 * seconds, flops / seconds * 1e-12)
        };
        println!("{:24} library {}; {}", product.label(), rate(report.seconds), report.algorithm);
        for variant in kind.epilogue.variants() {
            let launch = hopper::own(self.gpu, &product, kind.epilogue, variant)?;
            println!("{:24} {:11} {}", "", variant.name, rate(Some(self.seconds(&launch)?)));
        }
        let (_, report) = match kind.epilogue {
            Epilogue::ReluSquared | Epilogue::ReluSquaredBackward => {
                hopper::fused(self.gpu, &product, kind.epilogue)?
            }
            _ => gemm::reported(self.gpu, &product, self.scratch())?,
        };
        let beside = report.library_seconds.map(|s| format!(", library beside {}", rate(Some(s))));
        println!(
            "{:24} chosen      {}{}; {}",
            "",
            rate(report.seconds),
            beside.unwrap_or_default(),
            report.algorithm
        );
        Ok(())
    }

    /// Median of runs of several launches.
    fn seconds(&self, launch: &Launch) -> Outcome<f64> {
        let mut times = Vec::new();
        for _ in 0..9 {
            launch.run(&self.stream)?;
            self.stream.synchronize()?;
            let start = Instant::now();
            (0..10).try_for_each(|_| launch.run(&self.stream))?;
            self.stream.synchronize()?;
            times.push(start.elapsed().as_secs_f64() / 10.0);
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }

    fn scratch(&self) -> Scratch {
        Scratch { pointer: self.scratch.pointer, bytes: self.scratch.bytes }
    }
}

/// ‖found − expected‖ / ‖expected‖ over what is expected.
fn relative(expected: &[f64], found: &[f32]) -> f64 {
    let (mut difference, mut size) = (0.0, 0.0);
    for (x, y) in expected.iter().zip(found).filter(|(x, _)| x.is_finite()) {
        difference += (x - f64::from(*y)).powi(2);
        size += x.powi(2);
    }
    (difference / size).sqrt()
}

/// A generator by Marsaglia, "Xorshift RNGs" (2003), of numbers between −1 and 1.
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

fn numbers(bytes: &[u8], element: Element) -> Vec<f32> {
    match element {
        Element::F32 => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        _ => bytes.chunks_exact(2).map(|b| f32::from_le_bytes([0, 0, b[0], b[1]])).collect(),
    }
}

fn split(name: &str) -> Vec<PathBuf> {
    std::env::var_os(name).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
}

fn flag(name: &str, default: usize) -> usize {
    let value = std::env::args().skip_while(|a| a != name).nth(1);
    value.and_then(|value| value.parse().ok()).unwrap_or(default)
}
