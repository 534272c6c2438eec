//! A gate's configuration: reading it, and refusing what could promote anything.

use serde_json::Value;
use wootz_schema::gate::{GateConfig, Threshold, VERSION};
use wootz_schema::{Diagnose, ExitCode};

/// Why a gate could not be read or used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GateError {
    /// The text is no gate configuration.
    #[error("{file}{}: {message}", line.map(|l| format!(":{l}")).unwrap_or_default())]
    Syntax {
        /// The file as the caller named it.
        file: String,
        /// Line of the mistake, from 1.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// The settings of a step are no gate configuration.
    #[error("gate settings: {0}")]
    Settings(String),
    /// Nothing is checked, so anything would be promoted.
    #[error("gate `{stage}` has no metrics: it would promote anything")]
    Empty {
        /// What the gate guards.
        stage: String,
    },
    /// Written for another version of wootz.
    #[error("gate `{stage}` has version {version}; this build reads version {VERSION}")]
    Version {
        /// What the gate guards.
        stage: String,
        /// The version found.
        version: u32,
    },
    /// Not exactly one of the three directions.
    #[error("metric `{metric}` needs exactly one of at_least, at_most, equals, but has {count}")]
    Direction {
        /// Name of the metric.
        metric: String,
        /// How many it has.
        count: usize,
    },
    /// A bound that every or no figure meets.
    #[error("metric `{metric}`: the threshold {value} is not a finite number")]
    NotFinite {
        /// Name of the metric.
        metric: String,
        /// The bound found.
        value: f64,
    },
}

impl Diagnose for GateError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            GateError::Empty { .. } => "name at least one metric, e.g. `val_bpb: { at_most: 2.5 }`",
            GateError::Direction { .. } => {
                "write e.g. `{ at_least: 0.7 }`, `{ at_most: 2.5 }` or `{ equals: true }`"
            }
            GateError::NotFinite { .. } => "give a finite number, or leave the metric out",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Reads a gate from YAML or JSON text; `file` names it in errors.
pub fn parse(text: &str, file: &str) -> Result<GateConfig, GateError> {
    let config: GateConfig = serde_yaml_ng::from_str(text).map_err(|error| GateError::Syntax {
        file: file.to_owned(),
        line: error.location().map(|l| l.line()),
        message: without_location(&error),
    })?;
    validate(&config)?;
    Ok(config)
}

/// Reads a gate from the settings of a plan's step.
pub fn from_value(value: &Value) -> Result<GateConfig, GateError> {
    let config: GateConfig =
        serde_json::from_value(value.clone()).map_err(|error| GateError::Settings(error.to_string()))?;
    validate(&config)?;
    Ok(config)
}

/// Refuses a gate that is empty, of another version, or has a metric without a clear bound.
pub fn validate(config: &GateConfig) -> Result<(), GateError> {
    if config.version != VERSION {
        return Err(GateError::Version { stage: config.stage.clone(), version: config.version });
    }
    if config.metrics.is_empty() {
        return Err(GateError::Empty { stage: config.stage.clone() });
    }
    config.metrics.iter().try_for_each(|(metric, threshold)| bound(metric, threshold).map(drop))
}

/// A threshold with exactly one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Equals(bool),
}

pub(crate) fn bound(metric: &str, threshold: &Threshold) -> Result<Bound, GateError> {
    let Threshold { at_least, at_most, equals, required: _ } = threshold;
    let bound = match (at_least, at_most, equals) {
        (Some(x), None, None) => Bound::AtLeast(*x),
        (None, Some(x), None) => Bound::AtMost(*x),
        (None, None, Some(b)) => Bound::Equals(*b),
        _ => {
            let count =
                [at_least.is_some(), at_most.is_some(), equals.is_some()].iter().filter(|b| **b).count();
            return Err(GateError::Direction { metric: metric.to_owned(), count });
        }
    };
    match bound {
        Bound::AtLeast(value) | Bound::AtMost(value) if !value.is_finite() => {
            Err(GateError::NotFinite { metric: metric.to_owned(), value })
        }
        bound => Ok(bound),
    }
}

/// The message without " at line L column C", which the error carries apart.
fn without_location(error: &serde_yaml_ng::Error) -> String {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) if error.location().is_some() => message[..end].to_owned(),
        _ => message,
    }
}
