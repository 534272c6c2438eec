//! Several ranks train the model that one rank trains: same losses, same weights, whatever their number, and any number goes
//! on from what another saved. The ranks are threads here; processes are tested with the binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use wootz_checkpoint::{Scope, load_latest};
use wootz_cpu::CpuBackend;
use wootz_mesh::World;
use wootz_schema::Diagnose;
use wootz_schema::dataset::Cursor;
use wootz_schema::metrics::MetricsRecord;
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::train::{PretrainConfig, TrainSummary};
use wootz_tensor::HostTensor;
use wootz_train::{Data, Rows, RowsError, TrainError, pretrain_among};

const VOCAB: usize = 64;
const T_LEN: usize = 16;

fn config() -> PretrainConfig {
    PretrainConfig {
        depth: 2,
        sequence_len: T_LEN,
        device_batch_size: 1,
        // 12 micro-batches: 1, 2, 3 and 4 ranks have an equal share.
        total_batch_size: Some(12 * T_LEN as u64),
        steps: Some(8),
        warmup_steps: 2,
        eval_every: 4,
        eval_rows: 5,
        save_every: 3,
        threads: 1,
        lr_scale: Some(0.2),
        ..PretrainConfig::default()
    }
}

struct Counting(Cursor);

impl Rows for Counting {
    fn next_rows(&mut self, rows: &mut [i32]) -> Result<(), RowsError> {
        for row in rows.chunks_exact_mut(T_LEN + 1) {
            let n = self.0.rows as usize;
            row.iter_mut().enumerate().for_each(|(i, t)| *t = ((n * 5 + i * i) % VOCAB) as i32);
            self.0.rows += 1;
        }
        Ok(())
    }
    fn cursor(&self) -> Cursor {
        self.0.clone()
    }
}

/// Asks one rank to stop at a step.
struct Stop<'a> {
    at: Option<u64>,
    cancel: &'a AtomicBool,
}

impl Observe for Stop<'_> {
    fn observe(&self, progress: Progress<'_>) {
        if matches!(progress, Progress::Train(step) if Some(step.step) == self.at) {
            self.cancel.store(true, Ordering::Relaxed);
        }
    }
}

/// What happens to one of the ranks.
#[derive(Clone, Copy)]
enum Upset {
    Nothing,
    /// It is asked to stop at a step.
    Stop(usize, u64),
    /// Its data has a token outside the vocabulary.
    Broken(usize),
}

/// Rows whose first token is none.
struct Broken(Counting);

impl Rows for Broken {
    fn next_rows(&mut self, rows: &mut [i32]) -> Result<(), RowsError> {
        self.0.next_rows(rows)?;
        rows[0] = 99;
        Ok(())
    }
    fn cursor(&self) -> Cursor {
        self.0.cursor()
    }
}

/// One rank's run.
fn rank(
    world: &World,
    config: &PretrainConfig,
    out: &Path,
    upset: Upset,
) -> Result<TrainSummary, TrainError> {
    let open = |cursor: Option<Cursor>| -> Result<Box<dyn Rows>, RowsError> {
        let rows = Counting(cursor.unwrap_or_default());
        Ok(match upset {
            Upset::Broken(rank) if rank == world.rank => Box::new(Broken(rows)),
            _ => Box::new(rows),
        })
    };
    let mut validation = vec![0; 5 * (T_LEN + 1)];
    Counting(Cursor { rows: 1000, ..Cursor::default() }).next_rows(&mut validation).unwrap();
    let (token_bytes, cancel) = (vec![1; VOCAB], AtomicBool::new(false));
    let data =
        Data { train: &open, validation: &validation, token_bytes: &token_bytes, digest: "test".to_owned() };
    let at = match upset {
        Upset::Stop(rank, step) if rank == world.rank => Some(step),
        _ => None,
    };
    let observe = Stop { at, cancel: &cancel };
    let backend = CpuBackend::fast(1).in_world(world.clone());
    // An even number of ranks sums its gradients in the last micro-step, an odd one after it.
    let backend = if world.size.is_multiple_of(2) { backend.overlapping() } else { backend };
    pretrain_among(world, config, &data, out, &backend, &observe, &cancel)
}

fn run(
    ranks: usize,
    config: impl Fn(usize) -> PretrainConfig + Sync,
    out: &Path,
    upset: Upset,
) -> Vec<Result<TrainSummary, TrainError>> {
    let worlds = if ranks == 1 { vec![World::single()] } else { World::threads(ranks) };
    std::thread::scope(|scope| {
        let start = |world: World| {
            let config = config(world.rank);
            scope.spawn(move || rank(&world, &config, out, upset))
        };
        let threads: Vec<_> = worlds.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Losses, norms and evaluations by step.
fn figures(out: &Path) -> Vec<(u64, f64)> {
    let text = std::fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let of = |line: &str| match serde_json::from_str(line).unwrap() {
        MetricsRecord::Train(s) => vec![(s.step, s.loss), (s.step, s.grad_norm)],
        MetricsRecord::Eval(e) => vec![(e.step, e.bpb)],
        MetricsRecord::Skipped(s) => panic!("{s:?}"),
    };
    text.lines().flat_map(of).collect()
}

fn tensors(out: &Path) -> BTreeMap<String, HostTensor> {
    let snapshot = load_latest(&out.join("checkpoints"), Scope::Everything).unwrap().loaded.unwrap().snapshot;
    snapshot.parameters.into_iter().chain(snapshot.optimizer).collect()
}

/// The runs differ by the order of sums alone.
fn check_alike(one: &Path, other: &Path, what: &str) {
    let (a, b) = (figures(one), figures(other));
    assert_eq!(a.len(), b.len(), "{what}");
    for ((step, x), (_, y)) in a.iter().zip(&b) {
        assert!((x - y).abs() <= 1e-4 * x.abs(), "{what}, step {step}: {x} and {y}");
    }
    let (a, b) = (tensors(one), tensors(other));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>(), "{what}");
    // While the blocks' outputs are near zero, so is the gradient of the backout's factor: what Adam makes of it is rounding.
    for (name, x) in a.iter().filter(|(name, _)| !name.starts_with("backout_lambda")) {
        let (x, y) = (x.as_f32().unwrap(), b[name].as_f32().unwrap());
        let difference: f32 = x.iter().zip(y).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt();
        let norm = x.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!(difference <= 1e-3 * norm + 1e-7, "{what}, {name}: differ by {difference} of {norm}");
    }
}

fn files(out: &Path, step: u64) -> Vec<String> {
    let folder = out.join(format!("checkpoints/step-{step:08}/optimizer"));
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn any_number_of_ranks_trains_the_same_model() {
    let one = tempfile::tempdir().unwrap();
    let expected = run(1, |_| config(), one.path(), Upset::Nothing).remove(0).unwrap();
    assert!(expected.final_bpb.unwrap() < expected.initial_bpb.unwrap(), "it learns");
    for ranks in [2, 3, 4] {
        let out = tempfile::tempdir().unwrap();
        let summaries = run(ranks, |_| config(), out.path(), Upset::Nothing);
        let summaries: Vec<TrainSummary> = summaries.into_iter().map(Result::unwrap).collect();
        assert!(summaries.iter().all(|s| *s == summaries[0]), "every rank knows what the run came to");
        check_alike(one.path(), out.path(), &format!("{ranks} ranks"));
        assert_eq!(files(out.path(), 8).len(), ranks);
        assert!(
            summaries[0].persistent_bytes < expected.persistent_bytes,
            "states of others are not allocated: {} of {}",
            summaries[0].persistent_bytes,
            expected.persistent_bytes
        );
    }
}

#[test]
fn a_run_goes_on_with_another_number_of_ranks() {
    let one = tempfile::tempdir().unwrap();
    run(1, |_| config(), one.path(), Upset::Nothing).remove(0).unwrap();
    for (first, then, asked) in [(2, 3, 1), (3, 1, 2), (1, 2, 0), (4, 4, 3)] {
        let out = tempfile::tempdir().unwrap();
        for stopped in run(first, |_| config(), out.path(), Upset::Stop(asked, 4)) {
            assert!(matches!(stopped, Err(TrainError::Cancelled { step: 5 })), "{stopped:?}");
        }
        run(then, |_| config(), out.path(), Upset::Nothing)
            .into_iter()
            .for_each(|summary| drop(summary.unwrap()));
        check_alike(one.path(), out.path(), &format!("{first} ranks, then {then}"));
    }
}

#[test]
fn the_same_ranks_end_with_the_same_bytes() {
    let digest = |stop: Option<u64>| {
        let out = tempfile::tempdir().unwrap();
        if let Some(step) = stop {
            run(3, |_| config(), out.path(), Upset::Stop(0, step));
        }
        run(3, |_| config(), out.path(), Upset::Nothing).remove(0).unwrap().digest
    };
    let expected = digest(None);
    assert_eq!(digest(None), expected);
    assert_eq!(digest(Some(3)), expected, "stopped and resumed");
}

#[test]
fn a_batch_that_cannot_be_dealt_and_ranks_that_differ_are_errors() {
    let out = tempfile::tempdir().unwrap();
    let errors = run(5, |_| config(), out.path(), Upset::Nothing);
    let error = errors[0].as_ref().unwrap_err();
    assert_eq!(error.to_string(), "deal 12 micro-batches of 1×16 tokens to 5 ranks");
    assert_eq!(error.exit() as u8, 2);

    let budget = |rank| PretrainConfig { memory_budget: (rank == 1).then(|| "1MiB".to_owned()), ..config() };
    for error in run(3, budget, out.path(), Upset::Nothing) {
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("start: rank 1 has another memory_budget or slices"), "{text}");
    }
    let other_seed = |rank| PretrainConfig { seed: if rank == 2 { 7 } else { 1 }, ..config() };
    for error in run(3, other_seed, out.path(), Upset::Nothing) {
        let error = error.unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("start: rank 2 has another configuration or data"), "{text}");
        assert_eq!(error.exit() as u8, 3);
    }
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing was written");
}

#[test]
fn a_rank_that_fails_ends_the_others_with_its_reason() {
    let out = tempfile::tempdir().unwrap();
    for (rank, result) in run(3, |_| config(), out.path(), Upset::Broken(1)).into_iter().enumerate() {
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("run embedding: ") && text.contains("99"), "{text}");
        assert_eq!(text.starts_with("go on: rank 1 ended: "), rank != 1, "{text}");
        assert_eq!(error.exit() as u8, 2);
    }
}
