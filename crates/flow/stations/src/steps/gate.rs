//! `gate`: holds the line unless every threshold is met by the metrics that other steps left.

use super::{io, is_pending, read_json, write_json};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::gate::{Decision, GateConfig};
use wootz_schema::metrics::{Metric, Metrics};

/// The file with the verdict.
pub const VERDICT_FILE: &str = "verdict.json";
/// The file in which a step leaves metrics for a gate.
pub const METRICS_FILE: &str = "metrics.json";

/// The kind.
pub struct Gate;

/// Its settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Folders with a `metrics.json`, or such files; no metric may be in two of them.
    evidence: Vec<PathBuf>,
    /// What is guarded.
    stage: String,
    /// Threshold by metric.
    metrics: BTreeMap<String, Value>,
}

impl Settings {
    fn read(config: &Value) -> Result<(Settings, GateConfig), StepError> {
        let own: Settings = settings(config)?;
        let gate = json!({ "stage": own.stage, "metrics": own.metrics });
        let gate = wootz_gate::from_value(&gate).map_err(|error| StepError::from_error(&error))?;
        if own.evidence.is_empty() {
            return Err(StepError::usage("the gate has no evidence")
                .with_hint("name a step: evidence: [\"${steps.eval}\"]"));
        }
        Ok((own, gate))
    }
}

impl Step for Gate {
    fn kind(&self) -> &'static str {
        "gate"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        Settings::read(config).map(drop)
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(super::outside(&Settings::read(config)?.0.evidence.iter().collect::<Vec<_>>()))
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let (own, gate) = Settings::read(config)?;
        let metrics = evidence(&own.evidence)?;
        let verdict = wootz_gate::judge(&gate, &metrics).map_err(|error| StepError::from_error(&error))?;
        write_json(&context.work.join(VERDICT_FILE), &verdict)?;
        let promoted = verdict.verdict == Decision::Promote;
        let figures = Metrics::from([
            ("promoted".to_owned(), Metric::Bool(promoted)),
            ("checks".to_owned(), Metric::Number(verdict.checks.len() as f64)),
        ]);
        Ok(if promoted {
            StepOutcome::passed(format!("promoted: {} checks held", verdict.checks.len()), figures)
        } else {
            StepOutcome::held(format!("held: {}", verdict.reasons.join("; ")), figures)
        })
    }
}

/// The metrics of several files together; the same name in two of them is an error, since either could be the stale one.
pub fn evidence(paths: &[PathBuf]) -> Result<Metrics, StepError> {
    let mut all = Metrics::new();
    for path in paths {
        let file = metrics_file(path)?;
        for (name, metric) in read_json::<Metrics>(&file)? {
            if all.insert(name.clone(), metric).is_some() {
                let message =
                    format!("read {}: the metric {name} is in another of the files too", file.display());
                return Err(StepError::usage(message).with_hint("name each source of metrics once"));
            }
        }
    }
    Ok(all)
}

fn metrics_file(path: &Path) -> Result<PathBuf, StepError> {
    debug_assert!(!is_pending(path), "an engine replaces ${{steps.ID}} before it runs a step");
    let meta = std::fs::metadata(path).map_err(|error| io("read", path, &error))?;
    Ok(if meta.is_dir() { path.join(METRICS_FILE) } else { path.to_path_buf() })
}
