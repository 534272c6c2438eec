//! The engine beside PyTorch: `dev/parity/write_fixtures.py` wrote what PyTorch answers, this compares.
//!
//! Both the definition of every op and the fast path must agree with it.

use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::PathBuf;
use wootz_cpu::{CpuBackend, Mode};
use wootz_models::nanochat::{self, LOGITS, TOKENS};
use wootz_program::{Backend, Planned, Recompute, plan};
use wootz_schema::model::ModelConfig;
use wootz_tensor::HostTensor;
use wootz_train::schedule::Schedule;
use wootz_train::{LearningRates, Rates, Sizes, TrainError, Trainer};

type Tensors = BTreeMap<String, HostTensor>;

const BATCH: usize = 2;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../dev/parity/fixtures").join(name)
}

fn json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn tensors(name: &str) -> Tensors {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let words: Vec<[u8; 4]> = view.data().chunks_exact(4).map(|c| c.try_into().unwrap()).collect();
        let shape = view.shape().to_vec();
        let tensor = match view.dtype() {
            safetensors::Dtype::I32 => {
                HostTensor::i32(shape, words.into_iter().map(i32::from_le_bytes).collect())
            }
            _ => HostTensor::f32(shape, words.into_iter().map(f32::from_le_bytes).collect()),
        };
        (name, tensor.unwrap())
    };
    file.tensors().into_iter().map(read).collect()
}

fn config() -> ModelConfig {
    let json = json("config.json");
    let number = |key: &str| json["config"][key].as_u64().unwrap() as usize;
    ModelConfig {
        sequence_len: number("sequence_len"),
        vocab_size: number("vocab_size"),
        n_layer: number("n_layer"),
        n_head: number("n_head"),
        n_kv_head: number("n_kv_head"),
        n_embd: number("n_embd"),
        window_pattern: json["config"]["window_pattern"].as_str().unwrap().to_owned(),
        window_short: Some(number("window_short")),
    }
}

fn backends() -> [(&'static str, CpuBackend); 3] {
    [
        ("reference", CpuBackend::reference(Mode::Reference).poisoned()),
        ("fast, one thread", CpuBackend::fast(1).poisoned()),
        ("fast, two threads", CpuBackend::fast(2).poisoned()),
    ]
}

fn trainer(backend: &dyn Backend, recompute: Recompute, scale: f64) -> Trainer {
    let sizes = Sizes { model: config(), batch: BATCH, slices: None, recompute, budget_bytes: None };
    let mut trainer =
        Trainer::new(backend, &sizes, &LearningRates { scale, ..LearningRates::default() }).unwrap();
    let parameters: Vec<(String, HostTensor)> = tensors("params.safetensors").into_iter().collect();
    trainer.load(&parameters).unwrap();
    trainer
}

fn ids(tensor: &HostTensor) -> Vec<i32> {
    tensor.as_i32().unwrap().to_vec()
}

/// Largest difference, absolute.
fn distance(actual: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(actual.len(), expected.len());
    actual.iter().zip(expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

/// ‖a − b‖ / ‖b‖.
fn relative(actual: &[f32], expected: &[f32]) -> f64 {
    let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
    let difference = norm(&mut actual.iter().zip(expected).map(|(a, b)| f64::from(a - b)));
    difference / norm(&mut expected.iter().map(|b| f64::from(*b)))
}

#[test]
fn logits_agree_to_1e_4() {
    let (batch, parameters) = (tensors("batch.safetensors"), tensors("params.safetensors"));
    for (name, backend) in backends() {
        let program = nanochat::full_logits(&config(), BATCH).unwrap();
        let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
        let mut session = backend.load(vec![Planned { program, plan }]).unwrap();
        parameters.iter().for_each(|(name, tensor)| session.write(name, tensor).unwrap());
        session.write(TOKENS, &batch["tokens"]).unwrap();
        session.run(0).unwrap();
        let logits = session.read(LOGITS).unwrap();
        let worst = distance(logits.as_f32().unwrap(), batch["logits"].as_f32().unwrap());
        assert!(worst <= 1e-4, "{name}: {worst:e}");
    }
}

#[test]
fn every_gradient_agrees_to_1e_4_under_every_recompute_policy() {
    let (batch, expected) = (tensors("batch.safetensors"), tensors("gradients.safetensors"));
    for (name, backend) in backends() {
        for policy in [Recompute::None, Recompute::Cheap, Recompute::Block, Recompute::Ranked(7)] {
            let mut trainer = trainer(&backend, policy, 1.0);
            trainer.micro_step(ids(&batch["tokens"]), ids(&batch["targets"]), 1).unwrap();
            for (parameter, gradient) in trainer.gradients().unwrap() {
                let error = relative(gradient.as_f32().unwrap(), expected[&parameter].as_f32().unwrap());
                assert!(error <= 1e-4, "{name}, {policy:?}: {parameter}: {error:e}");
            }
        }
    }
}

/// As little is computed again as fits, and no bit shows it.
#[test]
fn budgets_recompute_what_they_must() {
    let batch = tensors("batch.safetensors");
    let backend = CpuBackend::fast(1).poisoned();
    let within = |budget_bytes, recompute| {
        let sizes = Sizes { model: config(), batch: BATCH, slices: Some(1), recompute, budget_bytes };
        let mut trainer = Trainer::new(&backend, &sizes, &LearningRates::default())?;
        trainer.initialize(&config(), 3)?;
        trainer.micro_step(ids(&batch["tokens"]), ids(&batch["targets"]), 1)?;
        let memory = trainer.memory();
        let bytes = (memory.persistent_bytes + memory.arena_bytes) as u64;
        Ok::<_, TrainError>((bytes, trainer.recompute(), trainer.gradients()?))
    };
    let (most, _, expected) = within(None, Recompute::None).unwrap();
    let (least, _, _) = within(None, Recompute::Block).unwrap();
    assert!(least < most, "{least} {most}");
    let mut nodes = 0;
    for tenths in (0..10).rev() {
        let budget = least + (most - least) * tenths / 10;
        let (bytes, recompute, gradients) = within(Some(budget), Recompute::None).unwrap();
        let Recompute::Ranked(count) = recompute else { panic!("{recompute:?}") };
        // What persists begins at whole lines.
        assert!(bytes <= budget + 4096 && count >= nodes, "{bytes} of {budget}, {count} after {nodes}");
        assert!(gradients == expected, "{count} nodes");
        nodes = count;
    }
    assert_eq!(within(Some(most), Recompute::None).unwrap().1, Recompute::None, "asked for, and fits");
    let error = within(Some(least / 2), Recompute::Cheap).unwrap_err();
    assert!(matches!(error, TrainError::Budget { .. }), "{error}");
}

#[test]
fn optimizer_steps_agree_to_1e_5() {
    let (batch, config) = (tensors("batch.safetensors"), json("config.json"));
    for (name, backend) in backends() {
        let mut trainer = trainer(&backend, Recompute::None, 1.0);
        for (i, rates) in config["steps"].as_array().unwrap().iter().enumerate() {
            let number = |key: &str| rates[key].as_f64().unwrap();
            let rates = Rates {
                lr_multiplier: number("lr_multiplier"),
                momentum: number("momentum"),
                weight_decay: number("weight_decay"),
            };
            trainer.micro_step(ids(&batch["tokens"]), ids(&batch["targets"]), 1).unwrap();
            let (loss, _) = trainer.update(i as u64 + 1, rates).unwrap();
            if i == 0 {
                assert!((loss - config["loss"].as_f64().unwrap()).abs() < 1e-5, "{name}: loss {loss}");
                check(name, &trainer.optimizer().unwrap(), &tensors("optimizer_after_1.safetensors"), 1e-5);
            }
            let bound = if i == 0 { 1e-5 } else { 3e-5 };
            if i != 1 {
                let after = tensors(&format!("params_after_{}.safetensors", i + 1));
                check(name, &trainer.parameters().unwrap(), &after, bound);
            }
        }
    }
}

fn check(backend: &str, actual: &[(String, HostTensor)], expected: &Tensors, bound: f64) {
    assert_eq!(actual.len(), expected.len());
    for (name, tensor) in actual {
        let worst = distance(tensor.as_f32().unwrap(), expected[name].as_f32().unwrap());
        assert!(worst <= bound, "{backend}: {name}: {worst:e}");
    }
}

#[test]
fn schedules_agree_exactly() {
    for run in json("schedules.json")["runs"].as_array().unwrap() {
        let number = |key: &str| run[key].as_f64().unwrap();
        let schedule = Schedule {
            steps: number("iterations") as u64,
            warmup_steps: number("warmup_steps") as u64,
            warmdown_ratio: number("warmdown_ratio"),
            final_fraction: number("final_lr_frac"),
        };
        for row in run["rows"].as_array().unwrap() {
            let (step, of) = (row["step"].as_u64().unwrap(), |key: &str| row[key].as_f64().unwrap());
            assert_eq!(schedule.lr_multiplier(step), of("lr_multiplier"), "lr at {step}");
            assert_eq!(schedule.momentum(step), of("momentum"), "momentum at {step}");
            let decay = number("weight_decay") * schedule.weight_decay_multiplier(step);
            assert_eq!(decay, of("weight_decay"), "weight decay at {step}");
        }
    }
}

/// The generator that `dev/parity/write_fixtures.py` documents.
struct TokenRule {
    state: u64,
    vocab: u64,
}

impl TokenRule {
    fn draw(&mut self) -> u64 {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.state >> 33
    }
    fn row(&mut self, length: usize) -> Vec<i32> {
        let mut row = vec![self.draw() % self.vocab];
        while row.len() < length {
            let draw = self.draw();
            let previous = row[row.len() - 1];
            row.push(if draw.is_multiple_of(4) {
                (draw >> 2) % self.vocab
            } else {
                (7 * previous + 3) % self.vocab
            });
        }
        row.into_iter().map(|t| t as i32).collect()
    }
}

#[test]
fn fifty_steps_agree_to_1e_3() {
    let (curve, config) = (json("curve.json"), config());
    let number = |key: &str| curve["schedule"][key].as_f64().unwrap();
    let schedule = Schedule {
        steps: number("iterations") as u64,
        warmup_steps: number("warmup_steps") as u64,
        warmdown_ratio: number("warmdown_ratio"),
        final_fraction: number("final_lr_frac"),
    };
    for (name, backend) in backends() {
        let mut rule = TokenRule { state: curve["seed"].as_u64().unwrap(), vocab: config.vocab_size as u64 };
        let mut trainer = trainer(&backend, Recompute::None, 1.0);
        for (step, expected) in curve["losses"].as_array().unwrap().iter().enumerate() {
            let rows: Vec<i32> = (0..BATCH).flat_map(|_| rule.row(config.sequence_len + 1)).collect();
            let packed = wootz_train::Packed::split(&rows, config.sequence_len);
            trainer.micro_step(packed.tokens, packed.targets, 1).unwrap();
            let rates = Rates {
                lr_multiplier: schedule.lr_multiplier(step as u64) * curve["lr_scale"].as_f64().unwrap(),
                momentum: schedule.momentum(step as u64),
                weight_decay: number("weight_decay") * schedule.weight_decay_multiplier(step as u64),
            };
            let (loss, _) = trainer.update(step as u64 + 1, rates).unwrap();
            let expected = expected.as_f64().unwrap();
            assert!((loss - expected).abs() <= 1e-3, "{name}, step {step}: {loss} beside {expected}");
        }
    }
}
