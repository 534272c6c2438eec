//! A plan after reading: every default filled in, every parameter replaced.
//!
//! People write plans as YAML; `wootz-pipeline` reads that text into these types, and a run stores them with its
//! first event, so that a resumed run needs neither the plan file nor the environment it was started in.

use crate::task::Resources;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Version of the plan format.
pub const VERSION: u32 = 1;

/// Steps and what they wait for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format version.
    pub version: u32,
    /// Name for people; the file's stem where the plan gives none.
    pub name: String,
    /// Folder of what processes say, in place of one below the run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_dir: Option<String>,
    /// Every parameter with the value it has in this run.
    pub params: BTreeMap<String, Value>,
    /// How many of each pool there are; steps take of them while they run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<String, u32>,
    /// The steps, in the plan's order: of two steps that could start, the earlier starts first.
    pub steps: Vec<PlanStep>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanStep {
    /// Unique name: letters, digits, `-` and `_`.
    pub id: String,
    /// Name for people; the id where the plan gives none.
    pub name: String,
    /// Which kind of step this is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Steps that must be over before this one starts, those that `${steps.ID}` names included.
    pub depends_on: Vec<String>,
    /// Starts the step on an outcome of another, in place of "every dependency succeeded".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// Seconds after which an attempt is cancelled; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<f64>,
    /// Whether the run can succeed although this step failed.
    pub allow_failure: bool,
    /// What is done when the step has failed, or held as a gate, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// How often, and after how long, a failed attempt is repeated.
    pub retries: Retries,
    /// What an attempt has for itself while it runs.
    #[serde(default, skip_serializing_if = "Resources::is_nothing")]
    pub resources: Resources,
    /// How many of each pool an attempt takes while it runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pools: BTreeMap<String, u32>,
    /// Whether what its process says is part of its output, because another step reads it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captures: bool,
    /// The settings of this kind of step, with parameters replaced; `${steps.ID}` still stands for the output of ID.
    pub config: Value,
}

/// What is done about a step that has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// An issue of the task tracker says so, with the evidence.
    Issue,
    /// Another step runs, which runs for no other reason.
    Run(String),
}

/// A condition on another step's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The step looked at.
    pub step: String,
    /// The outcome it must have had.
    pub status: WhenStatus,
}

/// Outcomes that a condition can ask for. A skipped step matches none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStatus {
    /// It succeeded.
    Success,
    /// It failed, or held as a gate.
    Failure,
    /// It ran, whatever came of it.
    Finished,
}

impl WhenStatus {
    /// The word used in a plan.
    pub fn word(self) -> &'static str {
        match self {
            WhenStatus::Success => "success",
            WhenStatus::Failure => "failure",
            WhenStatus::Finished => "finished",
        }
    }
}

/// Repetition of failed attempts, with exponential backoff.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retries {
    /// Attempts in all; 1: no repetition.
    pub max_attempts: u32,
    /// Wait before the second attempt, seconds.
    pub initial_seconds: f64,
    /// Each further wait is this many times the one before.
    pub factor: f64,
    /// Longest wait, seconds.
    pub max_seconds: f64,
    /// Each wait is shortened or lengthened by up to this share of it, so that many that failed together do not come back together.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter: f64,
    /// Exit codes after which a process is run again; empty: any but 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_exit_codes: Vec<i32>,
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Default for Retries {
    fn default() -> Retries {
        let (jitter, on_exit_codes) = (0.0, Vec::new());
        Retries {
            max_attempts: 1,
            initial_seconds: 5.0,
            factor: 2.0,
            max_seconds: 60.0,
            jitter,
            on_exit_codes,
        }
    }
}
