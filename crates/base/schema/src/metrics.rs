//! Lines of `metrics.jsonl` and the figures that gates read.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the metrics records.
pub const VERSION: u32 = 1;

/// One line of a training run's `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MetricsRecord {
    /// An optimizer step.
    Train(TrainStep),
    /// An evaluation on the validation shard.
    Eval(EvalPoint),
    /// An optimizer step that was left out, because its loss or gradient was not finite.
    Skipped(SkippedStep),
}

/// One optimizer step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainStep {
    /// Step, counted from 0; the loss is the one before this step's update.
    pub step: u64,
    /// Number of steps of the whole run.
    pub steps: u64,
    /// Mean cross-entropy of the step's tokens, nats per token.
    pub loss: f64,
    /// Multiplier of every group's base learning rate.
    pub lr_multiplier: f64,
    /// Global L2 norm of the gradient.
    pub grad_norm: f64,
    /// Tokens seen up to and including this step.
    pub tokens: u64,
    /// Tokens per second of this step.
    pub tokens_per_second: f64,
    /// Model FLOP/s of this step in units of 1e9.
    pub gflops: f64,
    /// Seconds since the run began, of this process.
    pub elapsed_seconds: f64,
}

/// An optimizer step without an update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SkippedStep {
    /// Step, counted from 0.
    pub step: u64,
    /// Its loss.
    pub loss: Metric,
    /// Global L2 norm of its gradient.
    pub grad_norm: Metric,
}

/// One evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalPoint {
    /// Number of updates made before this evaluation.
    pub step: u64,
    /// Bits per byte over the validation tokens.
    pub bpb: f64,
    /// Mean cross-entropy of all targets, nats per token.
    pub loss: f64,
}

/// The sums behind bits per byte, one target at a time, in f64 and in the order in which they come: training and
/// evaluation take both figures from here, so that they cannot drift apart.
///
/// `bpb = Σ nats / (ln 2 · Σ bytes)` over the targets whose token stands for at least one byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossSums {
    nats: f64,
    nats_of_text: f64,
    /// Targets.
    pub tokens: u64,
    /// Bytes that they stand for.
    pub bytes: u64,
}

impl LossSums {
    /// Takes one target's cross-entropy, and the bytes that its token stands for: 0 for a special one.
    pub fn add(&mut self, loss_nats: f32, bytes: u32) {
        self.nats += f64::from(loss_nats);
        self.tokens += 1;
        if bytes > 0 {
            self.nats_of_text += f64::from(loss_nats);
            self.bytes += u64::from(bytes);
        }
    }

    /// Takes the sums over other targets.
    pub fn add_all(&mut self, other: &LossSums) {
        self.nats += other.nats;
        self.nats_of_text += other.nats_of_text;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }

    /// Bits per byte and the mean cross-entropy of all targets; none where no target stands for a byte.
    pub fn figures(&self) -> Option<(f64, f64)> {
        let bits_per_byte = self.nats_of_text / (std::f64::consts::LN_2 * self.bytes as f64);
        (self.bytes > 0).then(|| (bits_per_byte, self.nats / self.tokens as f64))
    }
}

/// A metric as a gate reads it: a number, a truth value, or a figure that is not a number.
///
/// JSON has no NaN, so non-finite figures are stored as the strings `NaN`, `Infinity`, `-Infinity`.
#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    /// A figure; may be NaN or infinite.
    Number(f64),
    /// A check that held or did not.
    Bool(bool),
}

/// Metrics by name, the file an eval writes and a gate reads.
pub type Metrics = BTreeMap<String, Metric>;

impl Metric {
    /// With as many digits as tell two apart at a glance: four decimals, none where the rest are zeros.
    pub fn figure(&self) -> String {
        match self {
            Metric::Bool(truth) => truth.to_string(),
            Metric::Number(x) if !x.is_finite() || (x.fract() == 0.0 && x.abs() < 1e15) => format!("{x}"),
            Metric::Number(x) if x.abs() >= 0.001 => {
                format!("{x:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
            }
            Metric::Number(x) => format!("{x:.3e}"),
        }
    }
}

impl Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Metric::Bool(b) => serializer.serialize_bool(*b),
            Metric::Number(x) if x.is_finite() => serializer.serialize_f64(*x),
            Metric::Number(x) if x.is_nan() => serializer.serialize_str("NaN"),
            Metric::Number(x) if *x > 0.0 => serializer.serialize_str("Infinity"),
            Metric::Number(_) => serializer.serialize_str("-Infinity"),
        }
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Metric, D::Error> {
        use serde::de::Error;
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Bool(b) => Ok(Metric::Bool(b)),
            serde_json::Value::Number(n) => Ok(Metric::Number(n.as_f64().unwrap_or(f64::NAN))),
            serde_json::Value::Null => Ok(Metric::Number(f64::NAN)),
            serde_json::Value::String(s) => match s.as_str() {
                "NaN" | "nan" => Ok(Metric::Number(f64::NAN)),
                "Infinity" | "inf" => Ok(Metric::Number(f64::INFINITY)),
                "-Infinity" | "-inf" => Ok(Metric::Number(f64::NEG_INFINITY)),
                other => {
                    Err(D::Error::custom(format!("a metric is a number or a truth value, not {other:?}")))
                }
            },
            other => Err(D::Error::custom(format!("a metric is a number or a truth value, not {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_for_people() {
        let check = |x: f64, wanted: &str| assert_eq!(Metric::Number(x).figure(), wanted);
        check(1.611_483_120_515_384_6, "1.6115");
        check(3.2, "3.2");
        check(3.000_001, "3");
        check(-120.0, "-120");
        check(0.000_226_591_977, "2.266e-4");
        check(f64::NAN, "NaN");
        check(f64::NEG_INFINITY, "-inf");
        assert_eq!(Metric::Bool(true).figure(), "true");
    }

    #[test]
    fn a_skipped_step_keeps_what_is_no_number() {
        let line = r#"{"kind":"skipped","step":5,"loss":"NaN","grad_norm":"Infinity"}"#;
        let record: MetricsRecord = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
    }

    #[test]
    fn a_stored_line_is_read_and_an_unknown_key_is_not() {
        let line = r#"{"kind":"eval","step":5,"bpb":1.5,"loss":2.25}"#;
        let record: MetricsRecord = serde_json::from_str(line).unwrap();
        assert_eq!(record, MetricsRecord::Eval(EvalPoint { step: 5, bpb: 1.5, loss: 2.25 }));
        assert_eq!(serde_json::to_string(&record).unwrap(), line);
        let unknown = line.replace("\"bpb\"", "\"extra\":1,\"bpb\"");
        assert!(serde_json::from_str::<MetricsRecord>(&unknown).unwrap_err().to_string().contains("extra"));
    }
}
