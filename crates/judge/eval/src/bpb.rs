//! Bits per byte: how well a model predicts text, whatever its tokenizer.
//!
//! `bpb = Σ nats / (ln 2 · Σ bytes)` over the targets whose token stands for at least one byte. Special tokens
//! stand for none: they add no bytes, and their nats are left out, so that a tokenizer gains nothing by them.
//! Sums are f64 and run in the order of the rows, so the figure is the same for every batch size.
//!
//! A model whose losses are NaN gets a NaN figure, not an error: a gate must see it and hold.

use crate::model::{EvalError, Rows, Score};
use wootz_schema::metrics::{LossSums, Metric, Metrics};
use wootz_schema::progress::{Observe, Progress};

/// Bits per byte, and what it was taken over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bpb {
    /// Bits per byte.
    pub bpb: f64,
    /// Mean cross-entropy of all targets, special tokens among them: comparable with the training loss.
    pub loss: f64,
    /// Targets that the model was asked for.
    pub tokens: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
}

impl Bpb {
    /// The figures by the names that gates know.
    pub fn metrics(&self) -> Metrics {
        [("bpb", self.bpb), ("loss", self.loss), ("tokens", self.tokens as f64), ("bytes", self.bytes as f64)]
            .map(|(name, value)| (name.to_owned(), Metric::Number(value)))
            .into()
    }
}

/// Measures a model on the first rows of a source: as many as hold `max_tokens`, rounded up to a row, or all there are.
///
/// `token_bytes` has the bytes that each token stands for, 0 for special ones.
pub fn bits_per_byte(
    model: &mut dyn Score,
    rows: &mut dyn Rows,
    token_bytes: &[u32],
    max_tokens: u64,
    observe: &dyn Observe,
) -> Result<Bpb, EvalError> {
    let (batch, row_tokens) = model.shape();
    let max_rows = max_tokens.div_ceil(row_tokens as u64);
    observe.observe(Progress::Begin { task: "eval: bits per byte", total: Some(max_rows), unit: "rows" });
    let mut row = vec![0; row_tokens + 1];
    let mut tokens_bt = vec![0; batch * row_tokens];
    let mut targets_bt = vec![0; batch * row_tokens];
    let mut sums = LossSums::default();
    let mut done = 0;
    while done < max_rows {
        let wanted = (batch as u64).min(max_rows - done) as usize;
        let mut filled = 0;
        while filled < wanted && rows.next_row(&mut row)? {
            let place = filled * row_tokens..(filled + 1) * row_tokens;
            tokens_bt[place.clone()].copy_from_slice(&row[..row_tokens]);
            targets_bt[place].copy_from_slice(&row[1..]);
            filled += 1;
        }
        if filled == 0 {
            break;
        }
        // The rows of the last batch that are not filled still hold older tokens; their losses are not counted.
        let losses_bt = model.token_losses(&tokens_bt, &targets_bt)?;
        if losses_bt.len() != targets_bt.len() {
            let (expected, actual) = (targets_bt.len(), losses_bt.len());
            return Err(EvalError::Count { what: "losses", expected, actual });
        }
        let counted = filled * row_tokens;
        add(&mut sums, &losses_bt[..counted], &targets_bt[..counted], token_bytes)?;
        done += filled as u64;
        observe.observe(Progress::Advance { done });
    }
    observe.observe(Progress::End);
    let (bpb, loss) = sums.figures().ok_or(EvalError::NoText { row_tokens: row_tokens + 1 })?;
    Ok(Bpb { bpb, loss, tokens: sums.tokens, bytes: sums.bytes })
}

fn add(sums: &mut LossSums, losses: &[f32], targets: &[i32], token_bytes: &[u32]) -> Result<(), EvalError> {
    for (&loss, &token) in losses.iter().zip(targets) {
        let bytes = usize::try_from(token).ok().and_then(|token| token_bytes.get(token));
        let bytes = *bytes.ok_or(EvalError::UnknownToken { token, vocab_size: token_bytes.len() })?;
        sums.add(loss, bytes);
    }
    Ok(())
}
