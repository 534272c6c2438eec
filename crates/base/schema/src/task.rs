//! A process that an attempt at a step runs, and what is said of it: orders to the keeper of a run, one JSON object a line, and the
//! keeper's journal, which is also what it answers.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of orders, journal and structured lines.
pub const VERSION: u32 = 1;

/// A process to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// Format version.
    pub version: u32,
    /// Whose it is.
    pub label: TaskLabel,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// Variables beside those of the engine.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: String,
    /// Where what it says is kept.
    pub logs: TaskLogs,
    /// What it needs of whatever runs it.
    #[serde(default, skip_serializing_if = "Resources::is_nothing")]
    pub resources: Resources,
    /// Whether it has to do with containers itself, and is never run inside one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_outside: bool,
}

/// What a process needs while it runs; 0: nothing was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// CPU cores, of each node.
    pub cpus: u32,
    /// GPUs, of each node.
    pub gpus: u32,
    /// Machines at once.
    pub nodes: u32,
    /// Memory, MiB, of each node.
    pub memory_mb: Option<u64>,
}

impl Resources {
    /// Whether it asks for nothing.
    pub fn is_nothing(&self) -> bool {
        *self == Resources::default()
    }
}

/// Which attempt a process belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TaskLabel {
    /// Name of the plan.
    pub workflow_id: String,
    /// Id of the run.
    pub run_id: String,
    /// Id of the step.
    pub step_id: String,
    /// Name of the step.
    pub step_name: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
}

impl TaskLabel {
    /// The attempt among all of its run.
    pub fn task(&self) -> String {
        format!("{}.{}", self.step_id, self.attempt)
    }

    /// The attempt among all of all runs; processes carry it in their environment, so that they are found when everything else of them is lost.
    pub fn mark(&self) -> String {
        format!("{}/{}", self.run_id, self.task())
    }
}

/// Files with what a process says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLogs {
    /// Its standard output as it is.
    pub stdout: String,
    /// Its standard error as it is.
    pub stderr: String,
    /// Both, line by line ([`LogLine`]).
    pub structured: String,
}

/// What the keeper is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Start a process.
    Run(Box<Task>),
    /// End a process: asked to at first, forced after a time.
    Stop {
        /// Which.
        task: String,
        /// Milliseconds between.
        grace_ms: u64,
    },
}

/// What became of a process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum TaskEvent {
    /// It runs.
    Spawned {
        /// Which.
        task: String,
        /// Its process, which leads a group of the same number.
        pid: u32,
        /// When, milliseconds since 1970 UTC.
        at_ms: u64,
    },
    /// It could not be started.
    Refused {
        /// Which.
        task: String,
        /// What the system said.
        error: String,
        /// Whether the program is not there.
        is_missing: bool,
    },
    /// It has ended.
    Exited {
        /// Which.
        task: String,
        /// Its exit code, unless a signal ended it.
        code: Option<i32>,
        /// The signal that ended it.
        signal: Option<i32>,
        /// How long it ran.
        seconds: f64,
        /// Why what it said is not whole in the files, if it is not.
        lost_output: Option<String>,
    },
    /// The keeper has read its last order: what is not in the journal by now was not started.
    Closed,
}

/// A line of what a process said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LogLine {
    /// When it was read, RFC 3339 in UTC.
    pub timestamp: String,
    /// Name of the plan.
    pub workflow_id: String,
    /// Id of the run.
    pub run_id: String,
    /// Id of the step.
    pub step_id: String,
    /// Name of the step.
    pub step_name: String,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The line without its end; bytes that are no UTF-8 are replaced.
    pub message: String,
    /// Whether the line was not ended: the last one, or a piece of a very long one.
    pub partial: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_events_of_version_1_are_read_as_they_were_written() {
        let run = concat!(
            r#"{"order":"run","version":1,"label":{"workflowId":"w","runId":"r","stepId":"s","stepName":"S","attempt":2},"#,
            r#""argv":["true"],"env":{"A":"b"},"folder":"/","logs":{"stdout":"o","stderr":"e","structured":"l"}}"#
        );
        for text in [run, r#"{"order":"stop","task":"s.2","grace_ms":10}"#] {
            let order: Order = serde_json::from_str(text).expect("an order of version 1");
            assert_eq!(serde_json::to_string(&order).expect("an order can be written"), text);
        }
        for text in [
            r#"{"event":"spawned","task":"s.2","pid":7,"at_ms":1}"#,
            r#"{"event":"refused","task":"s.2","error":"no","is_missing":true}"#,
            r#"{"event":"exited","task":"s.2","code":0,"signal":null,"seconds":1.5,"lost_output":null}"#,
            r#"{"event":"closed"}"#,
        ] {
            let event: TaskEvent = serde_json::from_str(text).expect("an event of version 1");
            assert_eq!(serde_json::to_string(&event).expect("an event can be written"), text);
        }
    }
}
