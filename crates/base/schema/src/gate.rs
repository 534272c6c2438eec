//! A gate's thresholds and its verdict.

use crate::metrics::Metric;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the gate configuration and of the verdict.
pub const VERSION: u32 = 1;

/// What must hold before the line goes on: a threshold per metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateConfig {
    /// Format version.
    #[serde(default = "version")]
    pub version: u32,
    /// What the gate guards, e.g. `pretrain`.
    pub stage: String,
    /// Threshold by metric name.
    pub metrics: BTreeMap<String, Threshold>,
}

/// The bound of one metric. Exactly one of `at_least`, `at_most`, `equals` is given: the direction is never guessed
/// from the metric's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Holds the line when the metric is below this figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Holds the line when the metric is above this figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Holds the line when the check's truth value is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<bool>,
    /// Whether a missing metric holds the line. A metric that is there and does not meet its bound always does.
    #[serde(default = "required")]
    pub required: bool,
}

fn version() -> u32 {
    VERSION
}

fn required() -> bool {
    true
}

/// Whether the line may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Every threshold is met.
    Promote,
    /// At least one is not.
    Hold,
}

/// The file a gate leaves: its decision with the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Format version.
    pub version: u32,
    /// What the gate guards.
    pub stage: String,
    /// Whether the line may go on.
    pub verdict: Decision,
    /// One line for each metric that held, in order of name; empty on promotion.
    pub reasons: Vec<String>,
    /// Every metric that the gate names, in order of name.
    pub checks: Vec<Check>,
}

/// One metric against its threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Name of the metric.
    pub metric: String,
    /// What it was; absent where it was not reported.
    pub value: Option<Metric>,
    /// In which direction the threshold bounds it.
    pub direction: Direction,
    /// What it had to be.
    pub threshold: Metric,
    /// Whether it may be absent.
    pub required: bool,
    /// What came of it.
    pub outcome: Outcome,
    /// The outcome as a sentence.
    pub reason: String,
}

/// Direction of a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Greater is better.
    AtLeast,
    /// Smaller is better.
    AtMost,
    /// A truth value.
    Equals,
}

/// Result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The threshold is met.
    Pass,
    /// The metric is there and does not meet it.
    Fail,
    /// The metric is absent, and must not be.
    Missing,
    /// The metric is absent, and may be.
    Absent,
    /// The metric is NaN or infinite.
    NotFinite,
    /// A figure where a truth value is asked for, or the other way round.
    WrongType,
}

impl Outcome {
    /// Whether this outcome holds the line.
    pub fn holds(self) -> bool {
        !matches!(self, Outcome::Pass | Outcome::Absent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_of_version_1_is_read_as_it_was_written() {
        let text = r#"{"version":1,"stage":"sft","verdict":"hold","reasons":["bpb: was not reported"],"checks":[
            {"metric":"bpb","value":null,"direction":"at_most","threshold":2.5,"required":true,"outcome":"missing",
             "reason":"r"},
            {"metric":"ok","value":true,"direction":"equals","threshold":true,"required":false,"outcome":"pass",
             "reason":"r"}]}"#;
        let verdict: Verdict = serde_json::from_str(text).expect("a verdict of version 1");
        let written = serde_json::to_value(&verdict).expect("a verdict can be written");
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).expect("JSON"));
    }
}
