//! What is no number: a run stops or skips, and a good checkpoint stays as it was.

use super::resume::{config, run_on};
use std::path::Path;
use wootz_cpu::CpuBackend;
use wootz_program::{Backend, BackendError, MemoryUse, Node, Planned, Program, Session, Span};
use wootz_schema::Diagnose;
use wootz_schema::device::OnNan;
use wootz_schema::metrics::MetricsRecord;
use wootz_schema::train::PretrainConfig;
use wootz_tensor::HostTensor;
use wootz_train::TrainError;

/// The CPU, but after some runs of a program a tensor holds NaN.
struct Faulty {
    cpu: CpuBackend,
    fault: Fault,
}

#[derive(Clone, Copy)]
struct Fault {
    /// 0: micro-step, 1: update.
    program: usize,
    tensor: &'static str,
    /// Whether run `n` of the program ends with the fault.
    hits: fn(usize) -> bool,
}

struct FaultySession {
    session: Box<dyn Session>,
    fault: Fault,
    runs: usize,
}

impl Backend for Faulty {
    fn describe(&self) -> String {
        self.cpu.describe()
    }
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize {
        self.cpu.scratch_bytes(program, node)
    }
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(FaultySession { session: self.cpu.load(programs)?, fault: self.fault, runs: 0 }))
    }
}

impl Session for FaultySession {
    fn write(&mut self, name: &str, tensor: &HostTensor) -> Result<(), BackendError> {
        self.session.write(name, tensor)
    }
    fn read(&self, name: &str) -> Result<HostTensor, BackendError> {
        self.session.read(name)
    }
    fn run(&mut self, index: usize) -> Result<(), BackendError> {
        self.session.run(index)?;
        if index == self.fault.program {
            if (self.fault.hits)(self.runs) {
                let tensor = self.session.read(self.fault.tensor)?;
                let mut values = tensor.as_f32().unwrap().to_vec();
                values[3] = f32::NAN;
                self.session
                    .write(self.fault.tensor, &HostTensor::f32(tensor.shape().clone(), values).unwrap())?;
            }
            self.runs += 1;
        }
        Ok(())
    }
    fn trace(&mut self, index: usize) -> Result<Vec<Span>, BackendError> {
        self.session.trace(index)
    }
    fn memory(&self) -> MemoryUse {
        self.session.memory()
    }
}

/// Gradients at step 4: there are two micro-steps in a step.
const AT_STEP_4: Fault =
    Fault { program: 0, tensor: "gradient.transformer.h.0.mlp.c_fc.weight", hits: |run| run == 9 };

fn run_with(fault: Fault, config: &PretrainConfig, out: &Path) -> (Result<String, TrainError>, String) {
    let backend = Faulty { cpu: CpuBackend::fast(1), fault };
    let (result, messages) = run_on(&backend, config, out, None);
    (result.map(|summary| summary.digest), messages.join("\n"))
}

fn undisturbed() -> String {
    let out = tempfile::tempdir().unwrap();
    run_on(&CpuBackend::fast(1), &config(), out.path(), None).0.unwrap().digest
}

fn checkpoints(out: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(out.join("checkpoints")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_stops_at_the_step_and_goes_on_from_a_good_checkpoint() {
    let out = tempfile::tempdir().unwrap();
    let error = run_with(AT_STEP_4, &config(), out.path()).0.unwrap_err();
    assert_eq!(error.exit() as u8, 1);
    let text = error.to_string();
    assert!(text.contains("step 4") && text.contains("NaN"), "{text}");
    assert!(error.hint().unwrap().contains("on_nan: skip"));
    assert_eq!(checkpoints(out.path()), ["step-00000003"]);
    let resumed = run_on(&CpuBackend::fast(1), &config(), out.path(), None).0.unwrap();
    assert_eq!(resumed.digest, undisturbed());
}

#[test]
fn a_skipped_step_leaves_the_weights_as_they_are() {
    let out = tempfile::tempdir().unwrap();
    let config = PretrainConfig { on_nan: OnNan::Skip, save_every: 1, keep_last: 20, ..config() };
    let (result, messages) = run_with(AT_STEP_4, &config, out.path());
    assert_ne!(result.unwrap(), undisturbed());
    assert!(messages.contains("step 4: skipped"), "{messages}");
    let tensors = |step: u64, file: &str| {
        let folder = out.path().join(format!("checkpoints/step-{step:08}"));
        let file = folder.join(file);
        std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    assert_eq!(tensors(5, "model.safetensors"), tensors(4, "model.safetensors"));
    assert_ne!(tensors(6, "model.safetensors"), tensors(5, "model.safetensors"), "it goes on");
    let text = std::fs::read_to_string(out.path().join("metrics.jsonl")).unwrap();
    let skipped: Vec<u64> = text
        .lines()
        .filter_map(|line| match serde_json::from_str(line).unwrap() {
            MetricsRecord::Skipped(skipped) => Some(skipped.step),
            _ => None,
        })
        .collect();
    assert_eq!(skipped, [4]);
}

#[test]
fn a_run_that_only_skips_ends() {
    let out = tempfile::tempdir().unwrap();
    let config = PretrainConfig { on_nan: OnNan::Skip, steps: Some(30), ..config() };
    let error = run_with(Fault { hits: |run| run >= 4, ..AT_STEP_4 }, &config, out.path()).0.unwrap_err();
    assert!(matches!(error, TrainError::Diverged { step: 11, skipped: 9, .. }), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_not_saved() {
    let out = tempfile::tempdir().unwrap();
    let fault = Fault { program: 1, tensor: "lm_head.weight", hits: |run| run == 5 };
    let error = run_with(fault, &config(), out.path()).0.unwrap_err();
    assert!(matches!(&error, TrainError::Poisoned { step: 6, name } if name == "lm_head.weight"), "{error}");
    assert_eq!(error.exit() as u8, 1);
    assert_eq!(checkpoints(out.path()), ["step-00000003"]);
}

fn profiled(config: &PretrainConfig) -> (String, wootz_schema::profile::Profile) {
    let out = tempfile::tempdir().unwrap();
    let config = PretrainConfig { profile: true, ..config.clone() };
    let (result, messages) = run_on(&CpuBackend::fast(1), &config, out.path(), None);
    assert!(messages.join("\n").contains("profile.md"));
    assert!(out.path().join("trace.json").exists());
    let text = std::fs::read(out.path().join("profile.json")).unwrap();
    (result.unwrap().digest, serde_json::from_slice(&text).unwrap())
}

#[test]
fn a_profile_changes_nothing() {
    let (digest, profile) = profiled(&config());
    assert_eq!(digest, undisturbed());
    let names: Vec<&str> = profile.programs.iter().map(|p| p.name.as_str()).collect();
    assert_eq!((names.as_slice(), profile.accumulation), (["micro", "norm", "update"].as_slice(), 2));
    assert!(profile.step_ms.is_some() && profile.kernels.iter().any(|k| k.name == "muon"), "{profile:?}");
}

#[test]
fn a_profile_counts_every_slice() {
    let (_, profile) = profiled(&PretrainConfig { slices: Some(2), ..config() });
    let runs: Vec<u64> = profile.programs.iter().map(|p| p.runs).collect();
    assert_eq!((profile.accumulation, runs.as_slice()), (4, [4, 1, 1].as_slice()));
}
