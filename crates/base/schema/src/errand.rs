//! What an engine elsewhere is told: the order of a run, and the errand of one attempt. Outputs and logs stay in the home folder.

use crate::event::{Created, Status};
use serde::{Deserialize, Serialize};

/// Version of orders and errands.
pub const VERSION: u32 = 1;

/// A run, as a workflow is started with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Version of this format.
    pub version: u32,
    /// Id of the run.
    pub run: String,
    /// What was asked for.
    pub created: Box<Created>,
    /// How long a worker may be silent until it counts as lost.
    pub silence_ms: u64,
}

/// One attempt, as an activity is started with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errand {
    /// Version of this format.
    pub version: u32,
    /// Id of the run.
    pub run: String,
    /// Position of the step.
    pub step: usize,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// How an output that is there may be used.
    pub reuse: Reuse,
    /// GPUs that it has for itself.
    pub gpus: Vec<String>,
    /// The steps that it waits for.
    pub before: Vec<Before>,
}

/// A step that another waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// Its id.
    pub id: String,
    /// How it ended.
    pub status: Status,
    /// Key of its output.
    pub key: Option<String>,
}

/// How an output that is there may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// It is taken.
    Allowed,
    /// It is made anew.
    Refused,
    /// Without it the step fails.
    Required,
}
