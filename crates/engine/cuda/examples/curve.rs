//! The losses of a run on given tokens from given weights, for comparison with another implementation on the same.
//!
//! `curve --device cuda --tokens tokens.i32 --out curve.json --weights start.safetensors [--depth 8] [--batch 8]
//! [--seq 512] [--vocab 32768] [--warm 0] [--steps 200] [--scalar-rate 0.5] [--fp8 1] [--bf16-gradients 1] [--launches 0, 1 or 2]`:
//! the tokens are 32-bit integers; micro-batch i takes the next batch·(seq + 1) of them. The weights are written, not read, so that the other side can start
//! from them: the initial ones, or after `--warm` steps, with optimizer states that are zero again.

#![allow(clippy::print_stdout)] // It prints its figures.

use std::path::PathBuf;
use wootz_cpu::CpuBackend;
use wootz_cuda::{CudaBackend, Launches, Options, Precision, Search};
use wootz_models::nanochat::{self, Dial};
use wootz_program::{Backend, Recompute};
use wootz_train::{LearningRates, Rates, Sizes, Trainer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (depth, batch, t_len) = (number("--depth", 8), number("--batch", 8), number("--seq", 512));
    let dial = Dial {
        depth,
        vocab_size: number("--vocab", 32_768),
        sequence_len: t_len,
        window_pattern: text("--pattern", "SSSL"),
    };
    let model = nanochat::from_depth(&dial)?;
    let split = |name: &str| -> Vec<PathBuf> {
        std::env::var_os(name).map(|value| std::env::split_paths(&value).collect()).unwrap_or_default()
    };
    let backend: Box<dyn Backend> = match text("--device", "cuda").as_str() {
        "cpu" => Box::new(CpuBackend::fast(0)),
        _ => Box::new(CudaBackend::open(Options {
            search: Search::new(split("WOOTZ_CUDA_LIBRARIES"), split("PATH")),
            cache: Some(std::env::temp_dir().join("wootz-examples")),
            precision: Precision {
                fp8: number("--fp8", 0) > 0,
                bf16_tables: number("--bf16-tables", 1) > 0,
                bf16_gradients: number("--bf16-gradients", 0) > 0,
            },
            launches: Launches::ALL[number("--launches", 1).min(2)],
            ..Options::default()
        })?),
    };
    let sizes =
        Sizes { model: model.clone(), batch, slices: None, recompute: Recompute::None, budget_bytes: None };
    let rates = LearningRates { scalar: text("--scalar-rate", "0.5").parse()?, ..LearningRates::default() };
    let mut trainer = Trainer::new(&*backend, &sizes, &rates)?;
    trainer.initialize(&model, 1)?;
    let (before, steps) = (number("--warm", 0), number("--steps", 200));
    let mut rows = Rows::read(&text("--tokens", "tokens.i32"), batch, t_len)?;
    if before > 0 {
        rows.train(&mut trainer, before)?;
        let weights = trainer.parameters()?;
        drop(trainer);
        trainer = Trainer::new(&*backend, &sizes, &rates)?;
        trainer.load(&weights)?;
    }
    write_weights(&text("--weights", "start.safetensors"), &trainer)?;
    let losses = rows.train(&mut trainer, steps)?;
    println!("{}: {:.4} -> {:.4}", backend.describe(), losses[0], losses[steps - 1]);
    std::fs::write(text("--out", "curve.json"), serde_json::to_vec(&losses)?)?;
    Ok(())
}

/// The tokens of a run, a batch of rows a step.
struct Rows {
    rows: Vec<Vec<i32>>,
    batch: usize,
    next: usize,
}

impl Rows {
    fn read(path: &str, batch: usize, t_len: usize) -> std::io::Result<Rows> {
        let bytes = std::fs::read(path)?;
        let tokens: Vec<i32> =
            bytes.chunks_exact(4).map(|b| i32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(Rows { rows: tokens.chunks_exact(t_len + 1).map(<[i32]>::to_vec).collect(), batch, next: 0 })
    }
    /// The losses of so many steps from here.
    fn train(&mut self, trainer: &mut Trainer, steps: usize) -> Result<Vec<f64>, wootz_train::TrainError> {
        let mut losses = Vec::new();
        for step in 0..steps {
            let (mut inputs, mut targets) = (Vec::new(), Vec::new());
            for row in self.rows.iter().cycle().skip(self.next).take(self.batch) {
                inputs.extend_from_slice(&row[..row.len() - 1]);
                targets.extend_from_slice(&row[1..]);
            }
            self.next = (self.next + self.batch) % self.rows.len();
            let at = Rates {
                lr_multiplier: multiplier(step, steps, inputs.len()),
                momentum: 0.9,
                weight_decay: 0.02,
            };
            trainer.micro_step(inputs, targets, 1)?;
            losses.push(trainer.update(step as u64 + 1, at)?.0);
        }
        Ok(losses)
    }
}

/// The rates are for batches of 2^19 tokens and go with the root of the batch's size; forty steps up, the last half of the run
/// down to a tenth of them.
fn multiplier(step: usize, steps: usize, tokens: usize) -> f64 {
    let (rise, left) = ((step + 1) as f64 / 40.0, (steps - step) as f64 / (steps as f64 / 2.0));
    (tokens as f64 / 524_288.0).sqrt() * rise.min(1.0) * left.clamp(0.1, 1.0)
}

fn write_weights(path: &str, trainer: &Trainer) -> Result<(), Box<dyn std::error::Error>> {
    let parameters = trainer.parameters()?;
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = parameters
        .iter()
        .map(|(name, tensor)| {
            let values = tensor.as_f32().unwrap_or(&[]);
            (
                name.clone(),
                tensor.shape().dims().to_vec(),
                values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            )
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, dims, data)| {
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, dims.clone(), data)
                .map(|view| (name, view))
        })
        .collect::<Result<Vec<_>, _>>()?;
    std::fs::write(path, safetensors::serialize(views, None)?)?;
    Ok(())
}

fn text(name: &str, default: &str) -> String {
    std::env::args().skip_while(|a| a != name).nth(1).unwrap_or_else(|| default.to_owned())
}

fn number(name: &str, default: usize) -> usize {
    text(name, "").parse().unwrap_or(default)
}
