//! `cargo xtask kernels`: every kernel compiled for every architecture on a machine with no GPU.
//!
//! NVRTC comes from the Python registry's wheel, which `dev/setup.sh test` installs. Its log holds the assembler's report:
//! registers, stack, spills and shared memory of each function. A kernel that is hot must not spill. Reports are kept below
//! the target folder by the digest of all that they depend on, so that only what changed is compiled again.

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use wootz_cuda::{Compiler, CudaError, Macros, Search};
use wootz_kernels::{KERNELS, Kernel, PRELUDE};
use wootz_stdx::digest;

use crate::bench::Refusal;

/// Names and compute capabilities, as 10·major + minor.
const ARCHITECTURES: [(&str, u32); 4] = [("sm_80", 80), ("sm_90a", 90), ("sm_100a", 100), ("sm_120", 120)];

#[derive(Args)]
pub struct Arguments {
    /// Only the kernels whose names contain this.
    filter: Option<String>,
    /// Only this architecture, e.g. sm_90a.
    #[arg(long)]
    architecture: Option<String>,
    /// Compile all of them, also those whose reports are kept.
    #[arg(long)]
    fresh: bool,
    /// One JSON object on stdout in place of the table.
    #[arg(long)]
    json: bool,
}

/// One compilation.
struct Task {
    kernel: &'static Kernel,
    variant: &'static [(&'static str, &'static str)],
    architecture: &'static str,
}

/// What came of it.
struct Report {
    task: Task,
    /// One for each function, or what the compiler said.
    functions: Result<Vec<Function>, String>,
}

/// A function as the assembler reports it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Function {
    name: String,
    registers: u64,
    stack_bytes: u64,
    spill_bytes: u64,
    shared_bytes: u64,
    /// The assembler lets each matrix product wait for the one before it.
    serialized: bool,
}

impl Report {
    /// Why the check does not hold, if it does not.
    fn fault(&self) -> Option<String> {
        match &self.functions {
            Err(log) => Some(format!("does not compile:\n{log}")),
            Ok(functions) if functions.is_empty() => Some("has no function".to_owned()),
            Ok(functions) => {
                if let Some(slow) = functions.iter().find(|f| f.serialized && self.task.kernel.hot) {
                    return Some(format!("{} waits for each of its matrix products, and is hot", slow.name));
                }
                let spilling = functions.iter().find(|f| f.spill_bytes > 0 && self.task.kernel.hot)?;
                Some(format!("{} spills {} bytes, and is hot", spilling.name, spilling.spill_bytes))
            }
        }
    }
    fn title(&self) -> String {
        let Task { kernel, variant, architecture } = &self.task;
        format!("{} {{{}}} {architecture}", kernel.name, spelled(variant))
    }
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let compiler = open(&root)?;
    let cache = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), PathBuf::from)
        .join("kernels");
    std::fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    let (tasks, skipped) = tasks(arguments);
    if tasks.is_empty() {
        bail!(Refusal::Input("no kernel and architecture of these names".to_owned()));
    }
    let reports = compile(&compiler, &cache, tasks, arguments.fresh)?;
    if arguments.json {
        println!("{}", as_json(&compiler, &reports, &skipped));
    } else {
        print!("{}", table(&reports));
        skipped.iter().for_each(|text| println!("{text}"));
    }
    let faults: Vec<String> = reports
        .iter()
        .filter_map(|report| Some(format!("{}: {}", report.title(), report.fault()?)))
        .collect();
    faults.iter().for_each(|fault| eprintln!("error: {fault}"));
    eprintln!("{} compilations by NVRTC {}, {} faults", reports.len(), compiler.version(), faults.len());
    Ok(faults.is_empty())
}

fn open(root: &Path) -> Result<Compiler> {
    let list =
        |name: &str| std::env::var_os(name).map(|l| std::env::split_paths(&l).collect()).unwrap_or_default();
    let mut executables: Vec<PathBuf> = vec![root.join(".venv/bin")];
    executables.extend::<Vec<PathBuf>>(list("PATH"));
    let search = Search::new(list("WOOTZ_CUDA_LIBRARIES"), executables);
    Compiler::open(&search, None).map_err(|error| {
        let fix = "run `dev/setup.sh test`, which installs dev/requirements-cuda.txt into .venv";
        Refusal::Tool(format!("{error}; {fix}, or set WOOTZ_CUDA_LIBRARIES to NVRTC's folder")).into()
    })
}

/// What is compiled, and sentences on what is not.
fn tasks(arguments: &Arguments) -> (Vec<Task>, Vec<String>) {
    let (mut tasks, mut skipped) = (Vec::new(), Vec::new());
    let wanted = |kernel: &&Kernel| arguments.filter.as_ref().is_none_or(|part| kernel.name.contains(part));
    for kernel in KERNELS.iter().filter(wanted) {
        for (architecture, capability) in ARCHITECTURES {
            if arguments.architecture.as_ref().is_some_and(|only| only != architecture) {
                continue;
            }
            match kernel.runs_on(capability) {
                true => {
                    tasks.extend(kernel.variants.iter().map(|variant| Task { kernel, variant, architecture }))
                }
                false => {
                    skipped.push(format!("skipped {} for {architecture}: {}", kernel.name, range(kernel)))
                }
            }
        }
    }
    (tasks, skipped)
}

/// Which compute capabilities a kernel runs on.
fn range(kernel: &Kernel) -> String {
    let words = if kernel.exact { "alone" } else { "or later" };
    format!(
        "it needs compute capability {}.{} {words}",
        kernel.least_capability / 10,
        kernel.least_capability % 10
    )
}

/// Compiles on all cores; the order of the reports is that of the tasks.
fn compile(compiler: &Compiler, cache: &Path, tasks: Vec<Task>, fresh: bool) -> Result<Vec<Report>> {
    let done: Mutex<BTreeMap<usize, Result<Vec<Function>, String>>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(task) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    tasks.get(at).map(|task| (at, task))
                } {
                    let (at, task) = task;
                    let found = report(compiler, cache, task, fresh);
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(at, found);
                }
            });
        }
    });
    let done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(tasks
        .into_iter()
        .zip(done.into_values())
        .map(|(task, functions)| Report { task, functions })
        .collect())
}

fn report(compiler: &Compiler, cache: &Path, task: &Task, fresh: bool) -> Result<Vec<Function>, String> {
    let Task { kernel, variant, architecture } = task;
    let identity = format!("{} {architecture} {variant:?}\n{PRELUDE}{}", compiler.version(), kernel.source);
    let path = cache.join(format!("{}.log", digest::sha256(identity.as_bytes())));
    if let Some(log) = std::fs::read_to_string(&path).ok().filter(|_| !fresh) {
        return Ok(functions(&log));
    }
    let macros: Macros = variant.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let compiled = compiler.report(kernel, &macros, architecture).map_err(|error| match error {
        CudaError::Compile { log, .. } => log,
        error => error.to_string(),
    })?;
    // A report that cannot be kept is made again next time.
    let _ = std::fs::write(&path, &compiled.log);
    Ok(functions(&compiled.log))
}

/// The functions of an assembler's report.
fn functions(log: &str) -> Vec<Function> {
    let mut found: Vec<Function> = Vec::new();
    // Said of a function before its properties.
    let mut serialized = false;
    for line in log.lines() {
        serialized |= line.contains("instructions are serialized");
        let text = line.split_once(':').map_or(line, |(_, text)| text).trim();
        if let Some(name) = text.strip_prefix("Function properties for ") {
            found.push(Function { name: name.trim().to_owned(), serialized, ..Function::default() });
            serialized = false;
        } else if let Some(function) = found.last_mut() {
            // `0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads`, behind the tool's name
            if let Some(bytes) = number_before(line, "bytes stack frame") {
                function.stack_bytes = bytes;
                function.spill_bytes = number_before(line, "bytes spill stores").unwrap_or(0)
                    + number_before(line, "bytes spill loads").unwrap_or(0);
            }
            if let Some(registers) = number_before(text, "registers") {
                function.registers = registers;
                function.shared_bytes = number_before(text, "bytes smem").unwrap_or(0);
            }
        }
    }
    found
}

fn number_before(text: &str, unit: &str) -> Option<u64> {
    let (before, _) = text.split_once(unit)?;
    before.split_whitespace().next_back()?.parse().ok()
}

fn spelled(variant: &[(&str, &str)]) -> String {
    variant.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

const HEADER: [&str; 7] = ["kernel", "architecture", "registers", "stack", "spill", "shared", "variant"];

fn table(reports: &[Report]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    for report in reports {
        let Task { kernel, variant, architecture } = &report.task;
        let variant = spelled(variant);
        match &report.functions {
            Err(_) => {
                let cell = |text: &str| text.to_owned();
                rows.push([
                    cell(kernel.name),
                    cell(architecture),
                    cell("error"),
                    cell(""),
                    cell(""),
                    cell(""),
                    variant,
                ]);
            }
            Ok(functions) => rows.extend(functions.iter().map(|f| {
                let name = if f.name == kernel.name {
                    f.name.clone()
                } else {
                    format!("{}/{}", kernel.name, f.name)
                };
                let figures =
                    [f.registers, f.stack_bytes, f.spill_bytes, f.shared_bytes].map(|n| n.to_string());
                let [registers, stack, spill, shared] = figures;
                [name, (*architecture).to_owned(), registers, stack, spill, shared, variant.clone()]
            })),
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            2..=5 => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn as_json(compiler: &Compiler, reports: &[Report], skipped: &[String]) -> serde_json::Value {
    let report = |report: &Report| {
        let Task { kernel, variant, architecture } = &report.task;
        let variant: BTreeMap<&str, &str> = variant.iter().copied().collect();
        let functions: Vec<_> = report
            .functions
            .iter()
            .flatten()
            .map(|f| {
                json!({
                    "name": f.name, "registers": f.registers, "stack_bytes": f.stack_bytes,
                    "spill_bytes": f.spill_bytes, "shared_bytes": f.shared_bytes,
                })
            })
            .collect();
        json!({
            "kernel": kernel.name, "hot": kernel.hot, "variant": variant, "architecture": architecture,
            "functions": functions, "fault": report.fault(),
        })
    };
    let reports: Vec<_> = reports.iter().map(report).collect();
    json!({ "nvrtc": compiler.version(), "reports": reports, "skipped": skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
ptxas info    : 20 bytes gmem
ptxas info    : Compiling entry function 'long' for 'sm_90a'
ptxas info    : Function properties for long
ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compile time = 19.098 ms
ptxas info    : Compiling entry function 'short' for 'sm_90a'
ptxas info    : Function properties for short
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 0 barriers
";

    fn report(hot: bool) -> Report {
        let kernel: &'static Kernel =
            KERNELS.iter().find(|k| k.hot == hot).expect("because there are kernels of both kinds");
        let task = Task { kernel, variant: &[("T", "bf16")], architecture: "sm_90a" };
        Report { task, functions: Ok(functions(LOG)) }
    }

    #[test]
    fn a_report_is_read_function_by_function() {
        let function = |name: &str, registers, stack_bytes, spill_bytes, shared_bytes| Function {
            name: name.to_owned(),
            registers,
            stack_bytes,
            spill_bytes,
            shared_bytes,
            serialized: false,
        };
        assert_eq!(functions(LOG), [function("long", 255, 16, 20, 1024), function("short", 40, 0, 0, 0)]);
    }

    #[test]
    fn a_spill_is_a_fault_where_the_kernel_is_hot() {
        assert!(report(true).fault().is_some_and(|text| text.contains("long spills 20 bytes")));
        assert_eq!(report(false).fault(), None);
        let slow = format!("ptxas info : wgmma.mma_async instructions are serialized due to x\n{LOG}");
        let slow = Report { functions: Ok(functions(&slow)), ..report(true) };
        assert!(slow.fault().is_some_and(|text| text.contains("long waits for each")));
        let broken = Report { functions: Err("line 3: error".to_owned()), ..report(false) };
        assert!(broken.fault().is_some_and(|text| text.contains("line 3")));
    }

    #[test]
    fn every_kernel_is_compiled_for_every_architecture_it_runs_on() {
        let all = Arguments { filter: None, architecture: None, fresh: false, json: false };
        let (tasks, skipped) = tasks(&all);
        let variants = |kernel: &Kernel| kernel.variants.len();
        let expected: usize = KERNELS.iter().map(|kernel| ARCHITECTURES.len() * variants(kernel)).sum();
        let left_out: usize = KERNELS
            .iter()
            .map(|kernel| {
                variants(kernel)
                    * ARCHITECTURES.iter().filter(|(_, capability)| !kernel.runs_on(*capability)).count()
            })
            .sum();
        assert_eq!(tasks.len(), expected - left_out);
        let skips = KERNELS.iter().flat_map(|k| ARCHITECTURES.map(|(_, c)| k.runs_on(c)));
        assert_eq!(skipped.len(), skips.filter(|runs| !runs).count());
    }
}
