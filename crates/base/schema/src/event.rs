//! The log of a run: what happened, in order. Replaying it gives the state of the run, so nothing else is stored.

use crate::metrics::Metrics;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};

/// Version of the event log and of the run summary.
pub const VERSION: u32 = 1;

/// One entry of a run's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Position in the log, from 0, without gaps.
    pub seq: u64,
    /// When it happened, milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What happened.
    pub event: Event,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The run exists; always the first event, and only the first.
    Created(Box<Created>),
    /// A process took the run up again after a crash, a failure or a cancellation.
    Resumed {
        /// How many steps may run at once from here on; 0: no limit.
        max_parallel: usize,
        /// What steps share from here on; absent: nothing is counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        capacity: Option<Capacity>,
        /// Steps whose attempts outlived the process that began them, and go on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        kept: Vec<String>,
    },
    /// An attempt began.
    Started {
        /// The step.
        step: String,
        /// Number of the attempt, from 1.
        attempt: u32,
        /// Cache key: the name of the artifact that the attempt will publish.
        key: String,
    },
    /// The step's artifact was there already; nothing ran.
    Cached {
        /// The step.
        step: String,
        /// Number the attempt would have had.
        attempt: u32,
        /// Cache key of the artifact.
        key: String,
    },
    /// An attempt published its artifact, or has left nothing to publish.
    Succeeded {
        /// The step.
        step: String,
        /// Number of the attempt.
        attempt: u32,
        /// Cache key of the artifact; empty where there is none.
        key: String,
        /// How long it took.
        seconds: f64,
        /// One line for people.
        summary: String,
    },
    /// A gate ran and did not let the line pass; its verdict is published.
    Held {
        /// The step.
        step: String,
        /// Number of the attempt.
        attempt: u32,
        /// Cache key of the artifact with the verdict.
        key: String,
        /// How long it took.
        seconds: f64,
        /// Why, on one line.
        summary: String,
    },
    /// An attempt failed.
    Failed {
        /// The step.
        step: String,
        /// Number of the attempt.
        attempt: u32,
        /// What went wrong.
        failure: Failure,
    },
    /// An attempt stopped because it was asked to.
    Cancelled {
        /// The step.
        step: String,
        /// Number of the attempt.
        attempt: u32,
    },
    /// The wait before the next attempt is over.
    RetryDue {
        /// The step.
        step: String,
    },
    /// The run was asked to stop.
    CancelRequested,
    /// The run goes on with another plan; nothing of it was running.
    Replanned {
        /// What is asked for from here on.
        created: Box<Created>,
        /// Steps that succeeded and stay as they are; all others are decided anew.
        kept: Vec<String>,
    },
}

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Created {
    /// Version of the log.
    pub version: u32,
    /// The plan with parameters replaced.
    pub plan: Plan,
    /// The plan as it was written.
    pub plan_text: String,
    /// The file it was read from, as the caller named it.
    pub plan_path: String,
    /// The command line that started the run.
    pub command: String,
    /// How many steps may run at once; 0: no limit.
    pub max_parallel: usize,
    /// What steps share; absent: nothing is counted, as where a cluster does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// What runs the processes of steps; absent: this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Cluster>,
    /// Who drives the run; absent: the process that was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Run this step and everything after it, even if cached.
    pub from: Option<String>,
    /// Run this step alone, even if cached, on the cached outputs of the others.
    pub only: Option<String>,
}

impl Created {
    /// Whether what runs processes counts for itself what they use.
    pub fn counts_elsewhere(&self) -> bool {
        self.cluster.as_ref().is_some_and(Cluster::counts)
    }
}

/// An engine elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Driver {
    /// A workflow on a Temporal server, of the run's name.
    Temporal {
        /// Host and port of the server.
        address: String,
        /// Its namespace.
        namespace: String,
        /// Where workers wait for work.
        task_queue: String,
    },
}

/// Something other than this machine that runs processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Cluster {
    /// Slurm.
    Slurm {
        /// Further words for `sbatch`.
        arguments: Vec<String>,
    },
    /// Containers on this machine.
    Container {
        /// The program that has them.
        runtime: String,
        /// The image.
        image: String,
        /// Further words for `wootz container run`.
        arguments: Vec<String>,
    },
}

impl Cluster {
    /// Whether it counts for itself what processes use.
    pub fn counts(&self) -> bool {
        matches!(self, Cluster::Slurm { .. })
    }
}

/// What the steps of a run share; pools are the plan's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capacity {
    /// CPU cores.
    pub cpus: u32,
    /// Memory, MiB.
    pub memory_mb: u64,
    /// GPUs, as `CUDA_VISIBLE_DEVICES` names them.
    pub gpus: Vec<String>,
}

/// A line of `events.jsonl`: what happened to a step, for programs that follow runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct StepLine {
    /// When, RFC 3339 in UTC.
    pub timestamp: String,
    /// Name of the plan.
    pub workflow_id: String,
    /// Id of the run.
    pub run_id: String,
    /// Id of the step.
    pub step_id: String,
    /// Name of the step.
    pub step_name: String,
    /// Number of the attempt; 0 for one that was never begun.
    pub attempt: u32,
    /// `step_started`, `step_finished`, `step_cached`, `step_skipped` or `step_cancelled`.
    pub status: String,
    /// Of a finished step; -1 where nothing gave one.
    pub exit_code: i32,
    /// Whole seconds that the attempt took.
    pub duration_sec: u64,
    /// File of the process's standard output; empty where there was no process.
    pub stdout_path: String,
    /// File of its standard error.
    pub stderr_path: String,
    /// File of both, line by line.
    pub structured_path: String,
    /// What is started, why it failed, or why it was skipped.
    pub message: String,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What went wrong and where.
    pub message: String,
    /// The fix, where there is one to name.
    pub hint: Option<String>,
    /// Exit code a command would have ended with.
    pub exit: u8,
    /// Whether another attempt could do better.
    pub retryable: bool,
    /// Exit code of the attempt's process, where it is that which failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
}

/// How far a run or a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not begun.
    Pending,
    /// Going on.
    Running,
    /// Done.
    Succeeded,
    /// Done by an earlier run.
    Cached,
    /// Failed, or held as a gate.
    Failed,
    /// Never begun, because of another step's outcome or of `--only`.
    Skipped,
    /// Stopped on request.
    Cancelled,
    /// Going on when its process died; of a run only.
    Interrupted,
}

impl Status {
    /// The word people read.
    pub fn word(self) -> &'static str {
        match self {
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Succeeded => "succeeded",
            Status::Cached => "cached",
            Status::Failed => "failed",
            Status::Skipped => "skipped",
            Status::Cancelled => "cancelled",
            Status::Interrupted => "interrupted",
        }
    }
}

/// A run as `runs show --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// Format version.
    pub version: u32,
    /// Id of the run; ids sort by time.
    pub run: String,
    /// Name of the plan.
    pub plan: String,
    /// The plan's file as the caller named it.
    pub plan_path: String,
    /// The command line that started it.
    pub command: String,
    /// How far it is.
    pub status: Status,
    /// Exit code of a command that ran it: of the first step that failed and was not allowed to.
    pub exit: u8,
    /// When it was created, milliseconds since 1970 UTC.
    pub created_ms: u64,
    /// When the last event happened, milliseconds since 1970 UTC.
    pub updated_ms: u64,
    /// The steps in the plan's order.
    pub steps: Vec<StepSummary>,
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepSummary {
    /// Id of the step.
    pub step: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// How far it is.
    pub status: Status,
    /// Attempts begun.
    pub attempts: u32,
    /// Seconds the successful attempt took, in whichever run it was.
    pub seconds: Option<f64>,
    /// One line for people: what it made, why it was skipped, or the error.
    pub summary: String,
    /// Where the failure can be mended, if it failed.
    pub failure: Option<Failure>,
    /// Folder of its output, if there is one.
    pub output: Option<String>,
    /// Figures it reported.
    pub metrics: Metrics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_version_1_is_read_as_it_was_written() {
        let created = r#"{"kind":"created","version":1,"plan":{"version":1,"name":"tiny","params":{"depth":4},"steps":[
            {"id":"a","name":"a","type":"train","depends_on":["b"],"when":{"step":"b","status":"finished"},
             "timeout_seconds":1.5,"allow_failure":false,"retries":{"max_attempts":1,"initial_seconds":5.0,
             "factor":2.0,"max_seconds":60.0},"config":{"x":"${steps.b}"}}]},"plan_text":"t","plan_path":"p.yaml",
            "command":"wootz run p.yaml","max_parallel":1,"from":null,"only":null}"#;
        let replanned = created.replacen(r#""kind":"created","#, "", 1);
        let replanned = format!(r#"{{"kind":"replanned","created":{replanned},"kept":["a"]}}"#);
        for text in [
            created,
            &replanned,
            r#"{"kind":"resumed","max_parallel":0}"#,
            r#"{"kind":"resumed","max_parallel":0,"kept":["a"]}"#,
            r#"{"kind":"started","step":"a","attempt":1,"key":"train-0"}"#,
            r#"{"kind":"cached","step":"a","attempt":1,"key":"train-0"}"#,
            r#"{"kind":"succeeded","step":"a","attempt":1,"key":"train-0","seconds":1.5,"summary":"s"}"#,
            r#"{"kind":"held","step":"a","attempt":1,"key":"gate-0","seconds":1.5,"summary":"s"}"#,
            r#"{"kind":"failed","step":"a","attempt":1,"failure":{"message":"m","hint":null,"exit":3,"retryable":true}}"#,
            r#"{"kind":"cancelled","step":"a","attempt":1}"#,
            r#"{"kind":"retry_due","step":"a"}"#,
            r#"{"kind":"cancel_requested"}"#,
        ] {
            let event: Event = serde_json::from_str(text).expect("an event of version 1");
            let written = serde_json::to_value(&event).expect("an event can be written");
            assert_eq!(written, serde_json::from_str::<serde_json::Value>(text).expect("JSON"), "{text}");
        }
        assert!(serde_json::from_str::<Event>(r#"{"kind":"retry_due","step":"a","x":1}"#).is_err());
    }
}
