//! What a report page shows: one value that holds all of it, stored beside the page as `report.json`.
//!
//! The page is a pure function of this value, so that a report can be drawn again, compared, or read by a
//! program without going back to the files of the run.

use crate::metrics::{EvalPoint, TrainStep};
use serde::{Deserialize, Serialize};

/// Version of the report record.
pub const VERSION: u32 = 1;

/// Everything a report shows. A part that the plan did not produce is absent and its section is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Format version.
    pub version: u32,
    /// What was run.
    pub run: RunSummary,
    /// The gate's decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateSummary>,
    /// The corpus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corpus: Option<CorpusSummary>,
    /// The tokenizer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerSummary>,
    /// The token shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetSummary>,
    /// The model and its plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelSummary>,
    /// Every optimizer step, in order.
    pub train: Vec<TrainStep>,
    /// Every evaluation, in order.
    pub evals: Vec<EvalPoint>,
    /// What the model writes.
    pub samples: Vec<Sample>,
    /// The steps of the run, in plan order.
    pub steps: Vec<StepTime>,
    /// The machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<Hardware>,
    /// Commands that give the same result again, in order.
    pub commands: Vec<ReportCommand>,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSummary {
    /// Name of the plan.
    pub plan: String,
    /// Id of the run; it begins with the date and the time.
    pub id: String,
    /// Version of wootz.
    pub wootz: String,
}

/// The gate's decision, row by row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateSummary {
    /// The stage that was judged.
    pub stage: String,
    /// Whether the checkpoint may go on.
    pub promoted: bool,
    /// One row per threshold.
    pub checks: Vec<CheckSummary>,
}

/// One threshold of a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckSummary {
    /// Name of the metric.
    pub metric: String,
    /// The value found, as text; `missing` where there was none.
    pub value: String,
    /// What was asked, e.g. `at most 3.2`.
    pub wanted: String,
    /// Whether the check held.
    pub passed: bool,
    /// Whether the check can hold the gate.
    pub required: bool,
    /// The sentence that says why.
    pub reason: String,
}

/// The corpus in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorpusSummary {
    /// Documents written.
    pub documents: u64,
    /// Bytes of their text.
    pub bytes: u64,
    /// Files that were read.
    pub files: u64,
    /// By language, largest first.
    pub languages: Vec<Share>,
    /// By licence, largest first.
    pub licenses: Vec<Share>,
    /// Files and documents that were left out, by reason.
    pub skipped: Vec<Skipped>,
}

/// A part of the corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// The language or the licence.
    pub name: String,
    /// Documents.
    pub documents: u64,
    /// Bytes of text.
    pub bytes: u64,
}

/// What was left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// The reason.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// The tokenizer in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSummary {
    /// Entries of the vocabulary, special tokens included.
    pub vocab_size: u64,
    /// Bytes of text per token; absent where it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_token: Option<f64>,
}

/// The token shards in figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetSummary {
    /// Documents for training.
    pub train_documents: u64,
    /// Documents for validation.
    pub validation_documents: u64,
    /// Bytes of text for training.
    pub train_bytes: u64,
    /// Bytes of text for validation.
    pub validation_bytes: u64,
    /// Shards, the validation shard included.
    pub shards: u64,
}

/// The model and the plan of its training step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSummary {
    /// Its configuration.
    pub config: crate::model::ModelConfig,
    /// Number of parameters; absent where it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Planned peak memory of the training step in bytes, which is what is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Tokens of one optimizer step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_batch_size: Option<u64>,
    /// SHA-256 of the last checkpoint's weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_sha256: Option<String>,
}

/// A prompt and how the model goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// How tokens were chosen, e.g. `greedy`.
    pub method: String,
    /// What was given.
    pub prompt: String,
    /// What the model wrote.
    pub completion: String,
}

/// How long a step took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepTime {
    /// Id of the step.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// How it ended.
    pub state: StepResult,
    /// Seconds the step took; of the run that made the output, where it came from the cache.
    pub seconds: f64,
    /// The sentence with which the step ended.
    pub summary: String,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepResult {
    /// It ran and was well.
    Done,
    /// Its output was there already.
    Cached,
    /// It failed, or did not hold.
    Failed,
    /// It was not run.
    Skipped,
}

/// The machine a run used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Name of the processor.
    pub cpu: String,
    /// Threads that can run at once.
    pub threads: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Vector extensions in use, widest first.
    pub features: Vec<String>,
    /// Operating system.
    pub os: String,
}

/// A command that a reader can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportCommand {
    /// What it does.
    pub purpose: String,
    /// The command line.
    pub line: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_version_1_is_read_and_written_back() {
        let text = concat!(
            r#"{"version":1,"run":{"plan":"tiny","id":"20260714-093012-001","wootz":"0.1.0"},"#,
            r#""gate":{"stage":"pretrain","promoted":false,"checks":[{"metric":"bpb","value":"missing","wanted":"at most 3","#,
            r#""passed":false,"required":true,"reason":"was not reported"}]},"#,
            r#""corpus":{"documents":2,"bytes":90,"files":2,"languages":[{"name":"rust","documents":2,"bytes":90}],"#,
            r#""licenses":[],"skipped":[{"reason":"duplicates","count":1}]},"#,
            r#""tokenizer":{"vocab_size":300,"bytes_per_token":2.5},"#,
            r#""dataset":{"train_documents":1,"validation_documents":1,"train_bytes":50,"validation_bytes":40,"shards":2},"#,
            r#""model":{"config":{"sequence_len":16,"vocab_size":300,"n_layer":1,"n_head":1,"n_kv_head":1,"n_embd":128,"#,
            r#""window_pattern":"L"},"parameters":1000},"#,
            r#""train":[],"evals":[{"step":0,"bpb":4.5,"loss":8.0}],"#,
            r#""samples":[{"method":"greedy","prompt":"fn","completion":" main"}],"#,
            r#""steps":[{"id":"corpus","kind":"corpus","state":"cached","seconds":1.5,"summary":"2 documents"}],"#,
            r#""hardware":{"cpu":"c","threads":2,"memory_bytes":1,"features":["avx2"],"os":"o"},"#,
            r#""commands":[{"purpose":"all","line":"wootz run tiny.yaml"}]}"#,
        );
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!(report.steps[0].state, StepResult::Cached);
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
    }
}
