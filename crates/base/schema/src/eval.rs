//! The options of an evaluation, and the report it leaves for the gate and for people.

use crate::metrics::Metrics;
use serde::{Deserialize, Serialize};

/// Version of the report.
pub const VERSION: u32 = 1;

/// How tokens are drawn from a model's logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Tokens to generate at most, per prompt.
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token always.
    pub temperature: f32,
    /// Draws from this many likeliest tokens only; absent: from all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// The same seed draws the same tokens.
    pub seed: u64,
}

impl Sampling {
    /// The likeliest token always.
    pub fn greedy(max_new_tokens: usize) -> Sampling {
        Sampling { max_new_tokens, temperature: 0.0, top_k: None, seed: 0 }
    }
}

/// The `eval:` block of a plan. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalOptions {
    /// Validation tokens that bits per byte is taken over, rounded up to whole rows.
    pub tokens: u64,
    /// Beginnings of texts that the model continues for the report.
    pub prompts: Vec<String>,
    /// Tokens of a continuation at most.
    pub max_new_tokens: usize,
    /// Temperature of the drawn continuations; 0 leaves only the greedy ones.
    pub temperature: f32,
    /// Likeliest tokens that continuations are drawn from.
    pub top_k: usize,
    /// Seed of the drawn continuations.
    pub seed: u64,
}

impl Default for EvalOptions {
    fn default() -> EvalOptions {
        EvalOptions {
            tokens: 1 << 16,
            prompts: Vec::new(),
            max_new_tokens: 64,
            temperature: 0.8,
            top_k: 50,
            seed: 1337,
        }
    }
}

impl EvalOptions {
    /// How the drawn continuations are drawn.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            top_k: Some(self.top_k),
            seed: self.seed,
        }
    }
}

/// What an evaluation leaves: the figures a gate reads, and samples for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalReport {
    /// Format version.
    pub version: u32,
    /// Updates the model had when it was evaluated.
    pub step: u64,
    /// Figures by name.
    pub metrics: Metrics,
    /// Continuations, each prompt's greedy one first.
    pub samples: Vec<Sample>,
}

/// One continuation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What the model was given.
    pub prompt: String,
    /// What it wrote after that.
    pub completion: String,
    /// Tokens it wrote.
    pub tokens: usize,
    /// Whether it ended the text itself, before the limit.
    pub ended: bool,
    /// How the tokens were drawn.
    pub sampling: Sampling,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;

    #[test]
    fn a_report_of_version_1_is_read_and_written_back() {
        let text = r#"{"version":1,"step":200,"metrics":{"bpb":1.5,"loss":"NaN"},"samples":[{"prompt":"fn","completion":" main","tokens":1,"ended":false,"sampling":{"max_new_tokens":1,"temperature":0.5,"top_k":50,"seed":7}}]}"#;
        let report: EvalReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.metrics["bpb"], Metric::Number(1.5));
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }

    #[test]
    fn options_have_defaults_and_refuse_unknown_keys() {
        let options: EvalOptions = serde_json::from_str(r#"{"tokens": 4096}"#).unwrap();
        assert_eq!(options, EvalOptions { tokens: 4096, ..EvalOptions::default() });
        let error = serde_json::from_str::<EvalOptions>(r#"{"topk": 5}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `topk`"), "{error}");
    }
}
