//! Bits per byte of canned losses, against sums by hand.

use crate::no_gpu;
use proptest::prelude::*;
use std::sync::Mutex;
use wootz_eval::bpb::{Bpb, bits_per_byte};
use wootz_eval::model::{EvalError, ModelError, Rows, Score};
use wootz_schema::metrics::Metric;
use wootz_schema::progress::{Observe, Progress, Silent};
use wootz_schema::{Diagnose, ExitCode};

/// Loses `nats[target]` on every target; remembers what it was shown.
struct Canned {
    shape: (usize, usize),
    nats: Vec<f32>,
    seen: Vec<(i32, i32)>,
}

impl Canned {
    fn new(batch: usize, row_tokens: usize, nats: &[f32]) -> Canned {
        Canned { shape: (batch, row_tokens), nats: nats.to_vec(), seen: Vec::new() }
    }
}

impl Score for Canned {
    fn shape(&self) -> (usize, usize) {
        self.shape
    }
    fn token_losses(&mut self, tokens: &[i32], targets: &[i32]) -> Result<Vec<f32>, ModelError> {
        assert_eq!((tokens.len(), targets.len()), (self.shape.0 * self.shape.1, self.shape.0 * self.shape.1));
        self.seen.extend(tokens.iter().copied().zip(targets.iter().copied()));
        Ok(targets.iter().map(|&target| self.nats.get(target as usize).copied().unwrap_or(0.0)).collect())
    }
}

struct Fixed(std::vec::IntoIter<Vec<i32>>);

fn fixed(rows: &[&[i32]]) -> Fixed {
    Fixed(rows.iter().map(|row| row.to_vec()).collect::<Vec<_>>().into_iter())
}

impl Rows for Fixed {
    fn next_row(&mut self, row: &mut [i32]) -> Result<bool, ModelError> {
        match self.0.next() {
            Some(next) => row.copy_from_slice(&next),
            None => return Ok(false),
        }
        Ok(true)
    }
}

const LN_2: f64 = std::f64::consts::LN_2;
/// Token 0 is special; the others stand for 1, 2 and 4 bytes.
const BYTES: &[u32] = &[0, 1, 2, 4];

fn measure(nats: &[f32], rows: &[&[i32]], max_tokens: u64) -> Result<Bpb, EvalError> {
    let row_tokens = rows.first().map_or(2, |row| row.len() - 1);
    bits_per_byte(&mut Canned::new(2, row_tokens, nats), &mut fixed(rows), BYTES, max_tokens, &Silent)
}

fn check(nats: &[f32], rows: &[&[i32]], max_tokens: u64, expected: Bpb) {
    let actual = measure(nats, rows, max_tokens).unwrap();
    assert!((actual.bpb - expected.bpb).abs() < 1e-12, "{actual:?}");
    assert!((actual.loss - expected.loss).abs() < 1e-12, "{actual:?}");
    assert_eq!((actual.tokens, actual.bytes), (expected.tokens, expected.bytes));
}

#[test]
fn bits_per_byte_by_hand() {
    // Targets 1, 2: 3 nats of 3 bytes.
    check(&[9.0, 1.0, 2.0], &[&[0, 1, 2]], 100, Bpb { bpb: 1.0 / LN_2, loss: 1.5, tokens: 2, bytes: 3 });
    // A special target counts for the loss alone.
    check(&[9.0, 1.0, 2.0], &[&[1, 0, 2]], 100, Bpb { bpb: 1.0 / LN_2, loss: 5.5, tokens: 2, bytes: 2 });
    // Three rows in batches of two: the last batch counts its one row only.
    let rows: &[&[i32]] = &[&[0, 1, 1], &[0, 2, 2], &[0, 3, 3]];
    check(&[0.0, 1.0, 2.0, 3.0], rows, 100, Bpb { bpb: 12.0 / 14.0 / LN_2, loss: 2.0, tokens: 6, bytes: 14 });
    // Three tokens are two rows of two.
    check(&[0.0, 1.0, 2.0, 3.0], rows, 3, Bpb { bpb: 1.0 / LN_2, loss: 1.5, tokens: 4, bytes: 6 });
    check(&[0.0, 1.0, 2.0, 3.0], rows, 2, Bpb { bpb: 1.0 / LN_2, loss: 1.0, tokens: 2, bytes: 2 });
    // A uniform guess over 256 bytes is 8 bits a byte.
    check(
        &[0.0, 256f32.ln()],
        &[&[1, 1, 1]],
        9,
        Bpb { bpb: f64::from(256f32.ln()) / LN_2, loss: f64::from(256f32.ln()), tokens: 2, bytes: 2 },
    );
}

#[test]
fn the_model_is_asked_for_each_next_token() {
    let mut model = Canned::new(1, 3, &[0.0; 4]);
    bits_per_byte(&mut model, &mut fixed(&[&[0, 1, 2, 3]]), BYTES, 3, &Silent).unwrap();
    assert_eq!(model.seen, [(0, 1), (1, 2), (2, 3)]);
}

#[test]
fn a_diverged_model_has_no_number() {
    let diverged = measure(&[0.0, f32::NAN], &[&[1, 1, 1]], 9).unwrap();
    assert!(diverged.bpb.is_nan());
    assert!(matches!(diverged.metrics()["bpb"], Metric::Number(bpb) if bpb.is_nan()));
    assert_eq!(diverged.metrics()["bytes"], Metric::Number(2.0));
    // NaN on a special token is in the loss, not in the bits per byte.
    let special = measure(&[f32::NAN, 1.0], &[&[1, 0, 1]], 9).unwrap();
    assert!(special.loss.is_nan() && (special.bpb - 1.0 / LN_2).abs() < 1e-12);
}

#[test]
fn what_cannot_be_measured_is_an_error() {
    for (rows, max_tokens) in [(&[][..], 9), (&[&[1, 0, 0][..]][..], 9), (&[&[1, 1, 1][..]][..], 0)] {
        let error = measure(&[1.0; 4], rows, max_tokens).unwrap_err();
        assert!(matches!(error, EvalError::NoText { row_tokens: 3 }));
        assert_eq!(error.exit(), ExitCode::Usage);
    }
    for token in [-1, 4] {
        let error = measure(&[1.0; 4], &[&[1, 1, token]], 9).unwrap_err();
        assert!(matches!(error, EvalError::UnknownToken { vocab_size: 4, token: t } if t == token));
    }
}

#[test]
fn the_failure_of_a_model_keeps_its_exit_code_and_hint() {
    struct Broken;
    impl Score for Broken {
        fn shape(&self) -> (usize, usize) {
            (1, 2)
        }
        fn token_losses(&mut self, tokens: &[i32], _: &[i32]) -> Result<Vec<f32>, ModelError> {
            if tokens[0] == 1 { Err(no_gpu()) } else { Ok(vec![0.0]) }
        }
    }
    let run = |row: &[i32]| bits_per_byte(&mut Broken, &mut fixed(&[row]), BYTES, 9, &Silent).unwrap_err();
    let error = run(&[1, 1, 1]);
    assert_eq!(error.to_string(), "read the model: no GPU");
    assert_eq!((error.exit(), error.hint()), (ExitCode::Environment, Some("plug one in".to_owned())));
    assert!(matches!(run(&[2, 1, 1]), EvalError::Count { what: "losses", expected: 2, actual: 1 }));
}

#[test]
fn progress_counts_rows() {
    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);
    impl Observe for Log {
        fn observe(&self, progress: Progress<'_>) {
            let line = match progress {
                Progress::Begin { task, total, unit } => format!("{task} {total:?} {unit}"),
                Progress::Advance { done } => format!("{done}"),
                _ => "end".to_owned(),
            };
            self.0.lock().unwrap().push(line);
        }
    }
    let log = Log::default();
    let rows: &[&[i32]] = &[&[1, 1, 1], &[1, 1, 1], &[1, 1, 1]];
    bits_per_byte(&mut Canned::new(2, 2, &[1.0; 4]), &mut fixed(rows), BYTES, 6, &log).unwrap();
    assert_eq!(*log.0.lock().unwrap(), ["eval: bits per byte Some(3) rows", "2", "3", "end"]);
}

proptest! {
    /// The figure does not depend on how rows are batched, to the last bit.
    #[test]
    fn any_batch_gives_the_same_bits(
        rows in prop::collection::vec(prop::collection::vec(0..4i32, 6), 1..12),
        nats in prop::collection::vec(0f32..12.0, 4),
        batch in 2usize..8,
        max_tokens in 1u64..80,
    ) {
        let run = |batch| {
            let mut rows = Fixed(rows.clone().into_iter());
            bits_per_byte(&mut Canned::new(batch, 5, &nats), &mut rows, BYTES, max_tokens, &Silent).ok()
        };
        prop_assert_eq!(run(1), run(batch));
    }
}
