//! One micro-step and one update on random tokens, timed: our side of `cargo xtask bench train-cpu`.
//!
//! Prints one JSON object, the figures of which `../shared/peers/torch_pretrain.py` prints for PyTorch; with `--profile`
//! the kernel table too, on stderr.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A benchmark prints its figures.

use wootz_cpu::CpuBackend;
use wootz_models::nanochat::{self, Dial};
use wootz_program::{Backend, Recompute};
use wootz_train::{Sizes, bench, profile};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (depth, batch) = (flag("--depth", 4), flag("--batch", 4));
    let (sequence_len, vocab_size) = (flag("--seq", 256), flag("--vocab", 32_768));
    let backend = CpuBackend::fast(flag("--threads", 0));
    let dial = Dial { depth, vocab_size, sequence_len, window_pattern: "L".to_owned() };
    let model = nanochat::from_depth(&dial)?;
    let options = bench::Options {
        sizes: Sizes {
            model: model.clone(),
            batch,
            slices: None,
            recompute: Recompute::None,
            budget_bytes: None,
        },
        tokens_per_step: flag("--tokens-per-step", 524_288),
        repeats: flag("--repeats", 10),
        profile: std::env::args().any(|a| a == "--profile"),
        world: wootz_mesh::World::single(),
    };
    let (measured, ()) = bench::run(&backend, &options, &|| ())?;
    if let Some((found, _)) = &measured.profile {
        eprint!("{}", profile::markdown(found));
    }
    let (rate, flops) = (measured.tokens_per_second(), nanochat::flops_per_token(&model));
    println!(
        "{}",
        serde_json::json!({
            "peer": "wootz", "backend": backend.describe(), "depth": depth, "batch": batch, "seq": sequence_len,
            "vocab": vocab_size, "parameters": nanochat::counts(&model).total, "flops_per_token": flops,
            "micro_ms": bench::median(&measured.micro_ms), "optimizer_ms": bench::median(&measured.optimizer_ms),
            "tokens_per_second": rate.round(), "gflops": rate * flops as f64 / 1e9, "peak_gib": peak_rss_gib(),
            "plan_peak_bytes": measured.memory.persistent_bytes + measured.memory.arena_bytes,
        })
    );
    Ok(())
}

fn flag(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    arguments.next().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Peak resident size of this process, as the kernel counts it.
fn peak_rss_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN);
    kib / (1 << 20) as f64
}
