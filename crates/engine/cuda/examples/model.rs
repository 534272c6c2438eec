//! A whole model on the GPU beside the CPU's definitions: the loss and every gradient of a micro-step, the weights after
//! an update, and the losses of a few steps. Needs a GPU; exits with 1 where a figure is out of bounds.
//!
//! `model [--depth 4] [--batch 2] [--seq 256] [--kv-heads N] [--fp8 1]`: with 8-bit products the bounds are [`FP8_WIDER`] times
//! as wide.

#![allow(clippy::print_stdout)] // It prints its figures.

use std::path::PathBuf;
use wootz_cpu::CpuBackend;
use wootz_cuda::{CudaBackend, Launches, Options, Precision, Search};
use wootz_models::nanochat::{self, Dial};
use wootz_program::{Backend, Recompute};
use wootz_tensor::HostTensor;
use wootz_train::{LearningRates, Rates, Sizes, Trainer};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let (depth, batch, t_len) = (flag("--depth", 4), flag("--batch", 2), flag("--seq", 256));
    let vocab = flag("--vocab", 1000);
    let pattern = if flag("--window", 0) > 0 { "SL" } else { "L" };
    let dial = Dial { depth, vocab_size: vocab, sequence_len: t_len, window_pattern: pattern.to_owned() };
    let mut model = nanochat::from_depth(&dial)?;
    model.n_kv_head = flag("--kv-heads", model.n_kv_head);
    model.window_short = (flag("--window", 0) > 0).then(|| flag("--window", 0));
    let options = Options {
        search: search(),
        precision: Precision {
            bf16_tables: flag("--bf16-tables", 0) > 0,
            fp8: flag("--fp8", 0) > 0,
            ..Precision::default()
        },
        deterministic: flag("--deterministic", 0) > 0,
        launches: Launches::ALL[flag("--launches", 1).min(2)],
        ..Options::default()
    };
    let sizes = Sizes {
        model: model.clone(),
        batch,
        slices: Some(flag("--slices", 1)),
        recompute: recompute(),
        budget_bytes: None,
    };
    let rates = LearningRates::default();
    let (cpu, gpu) = (CpuBackend::fast(0), CudaBackend::open(options)?);
    println!("{} beside {}", gpu.describe(), cpu.describe());
    let mut pair = [Trainer::new(&cpu, &sizes, &rates)?, Trainer::new(&gpu, &sizes, &rates)?];
    let mut random = 7;
    let weights: Vec<(String, HostTensor)> = nanochat::parameters(&model)
        .iter()
        .map(|parameter| {
            (parameter.name.clone(), varied(&nanochat::initial(&model, parameter, 1), &mut random))
        })
        .collect();
    pair.iter_mut().try_for_each(|trainer| trainer.load(&weights))?;
    let n = batch * t_len;
    let mut worst = Worst::default();
    for step in 1..=flag("--steps", 4) as u64 {
        for _ in 0..2 {
            let tokens: Vec<i32> = (0..n).map(|_| draw(&mut random) % vocab as i32).collect();
            let targets: Vec<i32> = tokens.iter().map(|t| (t * 7 + 3) % vocab as i32).collect();
            pair.iter_mut().try_for_each(|t| t.micro_step(tokens.clone(), targets.clone(), 2))?;
        }
        if step == 1 {
            let [expected, actual] = [pair[0].gradients()?, pair[1].gradients()?];
            worst.compare("gradient", &expected, &actual, 0.05);
        }
        let at = Rates { lr_multiplier: 0.1, momentum: 0.9, weight_decay: 0.1 };
        let [expected, actual] = [pair[0].update(step, at)?, pair[1].update(step, at)?];
        println!(
            "step {step}: loss {:.5} beside {:.5}, norm {:.5} beside {:.5}",
            actual.0, expected.0, actual.1, expected.1
        );
        worst.bound("loss", (actual.0 - expected.0).abs() / expected.0, 0.01);
        worst.bound("norm", (actual.1 - expected.1).abs() / expected.1, 0.05);
        if step == 1 {
            let [expected, actual] = [pair[0].parameters()?, pair[1].parameters()?];
            worst.compare("weight", &expected, &actual, 0.05);
        }
    }
    let tokens: Vec<i32> = (0..n).map(|_| draw(&mut random) % vocab as i32).collect();
    let losses = |t: &mut Trainer| t.losses(tokens.clone(), tokens.clone());
    let [expected, actual] = [losses(&mut pair[0])?, losses(&mut pair[1])?];
    worst.bound("evaluation", relative(&expected, &actual, 0.0), 0.02);
    let memory = pair[1].memory();
    println!(
        "plan: {} persistent, {} arena; {:.4} worst of its bound",
        memory.persistent_bytes, memory.arena_bytes, worst.share
    );
    if worst.failed > 0 {
        return Err(format!("{} figures are out of bounds", worst.failed).into());
    }
    println!("all figures are within their bounds");
    Ok(())
}

/// Bounds of 8-bit products over those of bf16: errors of 5% of each gradient come together along the layers.
const FP8_WIDER: f64 = 5.0;

#[derive(Default)]
struct Worst {
    share: f64,
    failed: usize,
}

impl Worst {
    fn compare(
        &mut self,
        what: &str,
        expected: &[(String, HostTensor)],
        actual: &[(String, HostTensor)],
        limit: f64,
    ) {
        // A scalar's gradient is a sum over all tokens in which almost all cancels: what is left is measured against the whole.
        let all: f64 =
            expected.iter().flat_map(|(_, t)| t.as_f32().unwrap_or(&[])).map(|x| f64::from(x * x)).sum();
        let floor = 0.1 * all.sqrt();
        for ((name, expected), (_, actual)) in expected.iter().zip(actual) {
            let floor = if expected.shape().len() < 64 { floor } else { 0.0 };
            let pair = (expected.as_f32().unwrap_or(&[]), actual.as_f32().unwrap_or(&[]));
            self.bound(&format!("{what} {name}"), relative(pair.0, pair.1, floor), limit);
        }
    }
    fn bound(&mut self, what: &str, error: f64, limit: f64) {
        let limit = if flag("--fp8", 0) > 0 { FP8_WIDER * limit } else { limit };
        let holds = error <= limit; // NaN does not
        if !holds {
            println!("FAILED {what}: {error:.5}, at most {limit}");
            self.failed += 1;
        } else if std::env::args().any(|a| a == "--verbose") {
            println!("{what}: {error:.5}");
        }
        self.share = self.share.max(error / limit);
    }
}

/// ‖actual − expected‖ over ‖expected‖, or over the floor where that is more.
fn relative(expected: &[f32], actual: &[f32], floor: f64) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 =
        expected.iter().zip(actual).map(|(e, a)| square(f64::from(*e) - f64::from(*a))).sum();
    let norm: f64 = expected.iter().map(|e| square(f64::from(*e))).sum();
    difference.sqrt() / norm.sqrt().max(floor).max(1e-30)
}

/// The values with noise, so that nothing is zero.
fn varied(tensor: &HostTensor, random: &mut u64) -> HostTensor {
    let values = tensor.as_f32().unwrap_or(&[]).iter();
    let noisy = values.map(|x| x + 0.02 * (f64::from(draw(random)) / f64::from(i32::MAX) - 0.5) as f32);
    HostTensor::f32(tensor.shape().clone(), noisy.collect())
        .expect("as many values as before, because each became one")
}

fn recompute() -> Recompute {
    match flag("--recompute", 0) {
        0 => Recompute::None,
        1 => Recompute::Cheap,
        _ => Recompute::Block,
    }
}

/// As the command line searches.
fn search() -> Search {
    let split = |name: &str| -> Vec<PathBuf> {
        std::env::var_os(name).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
    };
    Search::new(split("WOOTZ_CUDA_LIBRARIES"), split("PATH"))
}

fn flag(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args().skip_while(|a| a != name).skip(1);
    arguments.next().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn draw(state: &mut u64) -> i32 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as i32
}
