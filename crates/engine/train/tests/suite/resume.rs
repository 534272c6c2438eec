//! Runs that are stopped and started again end with the bytes of a run that was not.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use wootz_cpu::CpuBackend;
use wootz_program::Backend;
use wootz_schema::Diagnose;
use wootz_schema::dataset::Cursor;
use wootz_schema::metrics::MetricsRecord;
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_train::{Data, Rows, RowsError, TrainError, pretrain};

const VOCAB: usize = 64;
const STEPS: u64 = 12;

pub fn config() -> PretrainConfig {
    PretrainConfig {
        depth: 2,
        sequence_len: 16,
        device_batch_size: 2,
        total_batch_size: Some(64),
        steps: Some(STEPS),
        warmup_steps: 3,
        eval_every: 5,
        eval_rows: 2,
        save_every: 3,
        threads: 1,
        lr_scale: Some(0.2),
        ..PretrainConfig::default()
    }
}

/// Rows that count upwards from the cursor.
struct Counting(Cursor);

impl Rows for Counting {
    fn next_rows(&mut self, rows: &mut [i32]) -> Result<(), RowsError> {
        for row in rows.chunks_exact_mut(17) {
            row.iter_mut()
                .enumerate()
                .for_each(|(i, t)| *t = ((self.0.rows as usize * 5 + i * i) % VOCAB) as i32);
            self.0.rows += 1;
        }
        Ok(())
    }
    fn cursor(&self) -> Cursor {
        self.0.clone()
    }
}

/// Sets `cancel` when a step is reached, and keeps the messages.
struct Watch<'a> {
    stop_at: Option<u64>,
    cancel: &'a AtomicBool,
    messages: Mutex<Vec<String>>,
}

impl Observe for Watch<'_> {
    fn observe(&self, progress: Progress<'_>) {
        match progress {
            Progress::Train(step) if Some(step.step) == self.stop_at => {
                self.cancel.store(true, Ordering::Relaxed)
            }
            Progress::Message(text) => self.messages.lock().unwrap().push(text.to_owned()),
            _ => {}
        }
    }
}

fn run(
    config: &PretrainConfig,
    out: &Path,
    stop_at: Option<u64>,
) -> (Result<TrainSummary, TrainError>, Vec<String>) {
    run_on(&CpuBackend::fast(config.threads), config, out, stop_at)
}

/// Runs to the end, or until a step is done; also returns the messages.
pub fn run_on(
    backend: &dyn Backend,
    config: &PretrainConfig,
    out: &Path,
    stop_at: Option<u64>,
) -> (Result<TrainSummary, TrainError>, Vec<String>) {
    let open = |cursor: Option<Cursor>| -> Result<Box<dyn Rows>, RowsError> {
        Ok(Box::new(Counting(cursor.unwrap_or_default())))
    };
    let mut validation = vec![0; 2 * 17];
    Counting(Cursor { rows: 1000, ..Cursor::default() }).next_rows(&mut validation).unwrap();
    let token_bytes = vec![1; VOCAB];
    let data =
        Data { train: &open, validation: &validation, token_bytes: &token_bytes, digest: "test".to_owned() };
    let cancel = AtomicBool::new(false);
    let watch = Watch { stop_at, cancel: &cancel, messages: Mutex::default() };
    let result = pretrain(config, &data, out, backend, &watch, &cancel);
    (result, watch.messages.into_inner().unwrap())
}

/// Steps and evaluations of a run's metrics, without what depends on the clock.
fn records(out: &Path) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let figures = |line: &str| match serde_json::from_str(line).unwrap() {
        MetricsRecord::Train(s) => (s.step, format!("train {} {}", s.loss, s.grad_norm)),
        MetricsRecord::Eval(e) => (e.step, format!("eval {}", e.bpb)),
        MetricsRecord::Skipped(s) => (s.step, "skipped".to_owned()),
    };
    text.lines().map(figures).collect()
}

#[test]
fn a_run_stopped_anywhere_ends_with_the_same_checkpoint_and_metrics() {
    let undisturbed = tempfile::tempdir().unwrap();
    let expected = run(&config(), undisturbed.path(), None).0.unwrap();
    assert!(expected.final_bpb.unwrap() < expected.initial_bpb.unwrap(), "it learns");
    for stop_at in [0, 4, 5, 10] {
        let out = tempfile::tempdir().unwrap();
        let stopped = run(&config(), out.path(), Some(stop_at)).0;
        assert!(matches!(stopped, Err(TrainError::Cancelled { step }) if step == stop_at + 1));
        let resumed = run(&config(), out.path(), None).0.unwrap();
        assert_eq!(resumed.digest, expected.digest, "stopped at {stop_at}");
        assert_eq!(records(out.path()), records(undisturbed.path()), "stopped at {stop_at}");
    }
}

#[test]
fn the_result_does_not_depend_on_threads_or_recomputation() {
    let out = tempfile::tempdir().unwrap();
    let expected = run(&config(), out.path(), None).0.unwrap().digest;
    use wootz_schema::train::RecomputePolicy::{Block, Cheap};
    for (recompute, threads) in [(Cheap, 1), (Block, 2), (Cheap, 3)] {
        let out = tempfile::tempdir().unwrap();
        let summary = run(&PretrainConfig { recompute, threads, ..config() }, out.path(), None).0.unwrap();
        assert_eq!(summary.digest, expected, "{recompute:?} on {threads} threads");
    }
}

#[test]
fn a_truncated_newest_checkpoint_is_named_and_the_one_before_is_used() {
    let (whole, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(&config(), whole.path(), None).0.unwrap().digest;
    run(&config(), out.path(), None).0.unwrap();
    let model = out.path().join("checkpoints/step-00000012/model.safetensors");
    let length = std::fs::metadata(&model).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&model).unwrap().set_len(length / 2).unwrap();
    let (summary, messages) = run(&config(), out.path(), None);
    assert_eq!(summary.unwrap().digest, expected);
    let messages = messages.join("\n");
    assert!(messages.contains("skipped checkpoint") && messages.contains("step-00000012"), "{messages}");
    assert!(messages.contains("resumed from") && messages.contains("step-00000009"), "{messages}");
}

#[test]
fn a_plan_over_the_budget_is_an_error_with_the_figures_and_the_knobs() {
    let out = tempfile::tempdir().unwrap();
    let config = PretrainConfig { memory_budget: Some("1MiB".to_owned()), ..config() };
    let error = run(&config, out.path(), None).0.unwrap_err();
    assert_eq!(error.exit() as u8, 2);
    let text = format!("{error}; {}", error.hint().unwrap());
    assert!(["1.0 MiB", "depth 2", "memory_budget"].iter().all(|part| text.contains(part)), "{text}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn checkpoints_of_another_run_are_refused() {
    let out = tempfile::tempdir().unwrap();
    run(&config(), out.path(), None).0.unwrap();
    let other = PretrainConfig { seed: 7, ..config() };
    let error = run(&other, out.path(), None).0.unwrap_err();
    assert!(matches!(error, TrainError::OtherRun { .. }) && error.exit() as u8 == 2, "{error}");
}
