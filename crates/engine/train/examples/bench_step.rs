//! One micro-step and one update on random tokens, timed: our side of `cargo xtask bench train-cpu`.
//!
//! Prints one JSON object, the figures of which `../shared/peers/torch_pretrain.py` prints for PyTorch.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A benchmark prints its figures.

use std::time::Instant;
use wootz_cpu::CpuBackend;
use wootz_models::nanochat::{self, Dial};
use wootz_program::{Backend, Recompute};
use wootz_train::{LearningRates, Rates, Sizes, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let depth = flag("--depth", 4);
    let (batch, sequence_len, vocab) = (flag("--batch", 4), flag("--seq", 256), flag("--vocab", 32_768));
    let (tokens_per_step, repeats) = (flag("--tokens-per-step", 524_288), flag("--repeats", 10));
    let backend = CpuBackend::fast(flag("--threads", 0));
    let dial = Dial { depth, vocab_size: vocab, sequence_len, window_pattern: "L".to_owned() };
    let model = nanochat::from_depth(&dial)?;
    let sizes = Sizes { model: model.clone(), batch, recompute: Recompute::None, budget_bytes: None };
    let mut trainer = Trainer::new(&backend, &sizes, &LearningRates::default())?;
    trainer.initialize(&model, 0)?;
    let mut random = 1u64;
    let mut rows =
        || -> Vec<i32> { (0..batch * sequence_len).map(|_| draw(&mut random) % vocab as i32).collect() };
    let batches: Vec<Vec<i32>> = (0..4).map(|_| rows()).collect();
    let rates = Rates { lr_multiplier: 0.01, momentum: 0.9, weight_decay: 0.0 };
    let micro = |trainer: &mut Trainer, i: usize| {
        trainer.micro_step(batches[i % 4].clone(), batches[(i + 1) % 4].clone(), 1)
    };
    for i in 0..3 {
        micro(&mut trainer, i)?;
    }
    trainer.update(1, rates)?;
    let mut micro_ms = Vec::new();
    for i in 0..repeats {
        let began = Instant::now();
        micro(&mut trainer, i)?;
        micro_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let mut optimizer_ms = Vec::new();
    for step in 0..3 {
        let began = Instant::now();
        trainer.update(step + 2, rates)?;
        optimizer_ms.push(began.elapsed().as_secs_f64() * 1e3);
    }
    if std::env::args().any(|a| a == "--profile") {
        for (program, times) in ["micro-step", "update"].iter().zip(trainer.profile()?) {
            eprintln!("{program}: {:.1} ms", 1e3 * times.iter().map(|t| t.seconds).sum::<f64>());
            for t in times {
                let gflops = t.flops as f64 / t.seconds / 1e9;
                eprintln!(
                    "  {:32} {:4} calls {:9.3} ms {:8.1} GFLOP/s",
                    t.op,
                    t.calls,
                    1e3 * t.seconds,
                    gflops
                );
            }
        }
    }
    let accumulation = (tokens_per_step / (batch * sequence_len)).max(1) as f64;
    let (micro_ms, optimizer_ms) = (median(micro_ms), median(optimizer_ms));
    let seconds = (accumulation * micro_ms + optimizer_ms) / 1e3;
    let rate = accumulation * (batch * sequence_len) as f64 / seconds;
    let (memory, flops) = (trainer.memory(), nanochat::flops_per_token(&model));
    println!(
        "{}",
        serde_json::json!({
            "peer": "wootz", "backend": backend.describe(), "depth": depth, "batch": batch, "seq": sequence_len,
            "vocab": vocab, "parameters": nanochat::counts(&model).total, "flops_per_token": flops,
            "micro_ms": micro_ms, "optimizer_ms": optimizer_ms, "tokens_per_second": rate.round(),
            "gflops": rate * flops as f64 / 1e9, "peak_gib": peak_rss_gib(),
            "plan_peak_bytes": memory.persistent_bytes + memory.arena_bytes,
        })
    );
    Ok(())
}

fn flag(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    arguments.next().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn draw(state: &mut u64) -> i32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as i32
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Peak resident size of this process, as the kernel counts it.
fn peak_rss_gib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: f64 = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(f64::NAN);
    kib / (1 << 20) as f64
}
