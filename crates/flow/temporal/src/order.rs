//! What crosses the wire: the order of a run, and the errand of one attempt. Outputs and logs stay in the home folder.

use serde::{Deserialize, Serialize};
use wootz_pipeline::machine::CacheUse;
use wootz_schema::event::{Created, Status};

/// Version of what crosses the wire.
pub(crate) const VERSION: u32 = 1;

/// A run, as the workflow is started with it.
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
pub(crate) struct Errand {
    pub version: u32,
    pub run: String,
    /// Position of the step.
    pub step: usize,
    pub attempt: u32,
    pub reuse: Reuse,
    pub gpus: Vec<String>,
    /// The steps that it waits for.
    pub before: Vec<Before>,
}

/// A step that another waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Before {
    pub id: String,
    pub status: Status,
    pub key: Option<String>,
}

/// [`CacheUse`] on the wire.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reuse {
    Allowed,
    Refused,
    Required,
}

impl From<CacheUse> for Reuse {
    fn from(cache: CacheUse) -> Reuse {
        match cache {
            CacheUse::Allowed => Reuse::Allowed,
            CacheUse::Refused => Reuse::Refused,
            CacheUse::Required => Reuse::Required,
        }
    }
}

impl From<Reuse> for CacheUse {
    fn from(reuse: Reuse) -> CacheUse {
        match reuse {
            Reuse::Allowed => CacheUse::Allowed,
            Reuse::Refused => CacheUse::Refused,
            Reuse::Required => CacheUse::Required,
        }
    }
}
