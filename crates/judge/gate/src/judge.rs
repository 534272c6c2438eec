//! The decision itself.
//!
//! A gate exists to stop a line that looks fine because nobody looked: so everything that is not plainly met holds it.
//!
//! | metric                               | outcome      | holds |
//! |--------------------------------------|--------------|-------|
//! | meets its threshold                  | `pass`       | no    |
//! | does not                             | `fail`       | yes   |
//! | absent, required                     | `missing`    | yes   |
//! | absent, `required: false`            | `absent`     | no    |
//! | NaN or infinite                      | `not_finite` | yes   |
//! | figure for truth value, or reverse   | `wrong_type` | yes   |
//! | no threshold met at all              | (verdict)    | yes   |

use crate::config::{self, Bound, GateError};
use wootz_schema::gate::{Check, Decision, Direction, GateConfig, Outcome, Threshold, VERSION, Verdict};
use wootz_schema::metrics::{Metric, Metrics};

/// Compares every threshold of the gate with the metrics.
///
/// Metrics that the gate does not name are not looked at. A configuration that could promote anything (no threshold,
/// two directions, a bound that is not a number) is an error, never a verdict.
pub fn judge(config: &GateConfig, metrics: &Metrics) -> Result<Verdict, GateError> {
    config::validate(config)?;
    let mut checks = Vec::with_capacity(config.metrics.len());
    for (name, threshold) in &config.metrics {
        checks.push(check(name, threshold, metrics.get(name))?);
    }
    let mut reasons: Vec<String> =
        checks.iter().filter(|c| c.outcome.holds()).map(|c| format!("{}: {}", c.metric, c.reason)).collect();
    if reasons.is_empty() && !checks.iter().any(|c| c.outcome == Outcome::Pass) {
        reasons.push("no metric of this gate was reported: nothing was checked".to_owned());
    }
    let verdict = if reasons.is_empty() { Decision::Promote } else { Decision::Hold };
    Ok(Verdict { version: VERSION, stage: config.stage.clone(), verdict, reasons, checks })
}

fn check(name: &str, threshold: &Threshold, value: Option<&Metric>) -> Result<Check, GateError> {
    let bound = config::bound(name, threshold)?;
    let outcome = match (bound, value) {
        (_, None) if threshold.required => Outcome::Missing,
        (_, None) => Outcome::Absent,
        (Bound::AtLeast(_) | Bound::AtMost(_), Some(Metric::Bool(_))) => Outcome::WrongType,
        (Bound::Equals(_), Some(Metric::Number(_))) => Outcome::WrongType,
        (Bound::AtLeast(_) | Bound::AtMost(_), Some(Metric::Number(x))) if !x.is_finite() => {
            Outcome::NotFinite
        }
        (Bound::AtLeast(least), Some(Metric::Number(x))) => passes(*x >= least),
        (Bound::AtMost(most), Some(Metric::Number(x))) => passes(*x <= most),
        (Bound::Equals(wanted), Some(Metric::Bool(b))) => passes(*b == wanted),
    };
    let (direction, limit) = match bound {
        Bound::AtLeast(x) => (Direction::AtLeast, Metric::Number(x)),
        Bound::AtMost(x) => (Direction::AtMost, Metric::Number(x)),
        Bound::Equals(b) => (Direction::Equals, Metric::Bool(b)),
    };
    Ok(Check {
        metric: name.to_owned(),
        value: value.cloned(),
        direction,
        threshold: limit,
        required: threshold.required,
        outcome,
        reason: reason(outcome, bound, value),
    })
}

fn passes(met: bool) -> Outcome {
    if met { Outcome::Pass } else { Outcome::Fail }
}

/// Rounded, unless that would hide on which side of the bound it lies.
fn figure(metric: &Metric, bound: Bound) -> String {
    match (metric, bound) {
        (Metric::Number(x), Bound::AtLeast(limit) | Bound::AtMost(limit))
            if *x != limit && metric.figure() == Metric::Number(limit).figure() =>
        {
            format!("{x}")
        }
        _ => metric.figure(),
    }
}

fn reason(outcome: Outcome, bound: Bound, value: Option<&Metric>) -> String {
    let wanted = match bound {
        Bound::AtLeast(x) => format!("at least {x}"),
        Bound::AtMost(x) => format!("at most {x}"),
        Bound::Equals(b) => format!("{b}"),
    };
    let actual = match value {
        None => "absent".to_owned(),
        Some(metric) => figure(metric, bound),
    };
    match outcome {
        Outcome::Pass => format!("{actual} is {wanted}"),
        Outcome::Fail => format!("{actual} is not {wanted}"),
        Outcome::Missing => format!("was not reported; it must be {wanted}"),
        Outcome::Absent => format!("was not reported, which this gate allows; it would have to be {wanted}"),
        Outcome::NotFinite => format!("{actual} is not a finite number; it must be {wanted}"),
        Outcome::WrongType => match bound {
            Bound::Equals(_) => format!("{actual} is a number; it must be true or false"),
            _ => format!("{actual} is a truth value; it must be a number, {wanted}"),
        },
    }
}
