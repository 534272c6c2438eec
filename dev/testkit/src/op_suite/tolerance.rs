//! How far a backend that computes in fewer bits may be from the definition.

/// Bounds of a comparison, and what is done so that it is a fair one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Largest ‖actual − expected‖₂ / ‖expected‖₂ of a value. Of a value that the program adds to or advances, the norm is the
    /// one of its change, save for cases whose changes cancel.
    pub relative: f64,
    /// Whether inputs are rounded to bfloat16 numbers before both runs, so that a backend which stores them so starts from the
    /// same.
    pub round_bf16: bool,
}

/// How a comparison ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Every value is within the bounds.
    Agrees {
        /// Largest relative error of a value.
        worst: f64,
    },
    /// The backend does not take the case's sizes.
    Skipped {
        /// Why not.
        reason: String,
    },
}

/// Changes below this share of a value are rounding, and the value itself is what the error is measured against.
const CHANGE: f64 = 1e-6;

/// ‖actual − expected‖ over the norm of what was computed: of the change since `before` where there is one, else of the value
/// itself, but at least `least`. An expected zero is compared absolutely. Not a number where either holds none, or where the lengths differ.
pub(crate) fn relative_error(expected: &[f64], actual: &[f64], before: Option<&[f64]>, least: f64) -> f64 {
    if expected.len() != actual.len() {
        return f64::NAN;
    }
    let norm = |a: &[f64], b: &dyn Fn(usize) -> f64| {
        a.iter().enumerate().map(|(i, a)| (a - b(i)).powi(2)).sum::<f64>().sqrt()
    };
    let (error, whole) = (norm(actual, &|i| expected[i]), norm(expected, &|_| 0.0));
    let change = before.map_or(whole, |before| norm(expected, &|i| before[i]));
    let scale = if change > CHANGE * whole { change } else { whole }.max(least);
    if scale == 0.0 { error / (expected.len() as f64).sqrt() } else { error / scale }
}

#[cfg(test)]
mod tests {
    use super::relative_error;

    #[test]
    fn errors_are_relative_to_what_was_computed() {
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} beside {b}");
        close(relative_error(&[3.0, 4.0], &[3.0, 4.5], None, 0.0), 0.1);
        close(relative_error(&[103.0, 104.0], &[103.0, 104.5], Some(&[100.0, 100.0]), 0.0), 0.1);
        close(relative_error(&[0.0, 0.0], &[0.0, 0.2f64.sqrt()], None, 0.0), 0.1f64.sqrt());
        close(relative_error(&[3.0, 4.0], &[3.0, 4.5], Some(&[3.0, 4.0]), 0.0), 0.1);
        close(relative_error(&[3.0, 4.0], &[3.0, 4.5], None, 50.0), 0.01);
        assert!(relative_error(&[1.0], &[f64::NAN], None, 0.0).is_nan());
        assert!(relative_error(&[1.0], &[1.0, 2.0], None, 0.0).is_nan());
    }
}
