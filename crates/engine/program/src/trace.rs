//! What a run did, launch by launch, and the same summed by name.

use crate::OpTime;
use std::collections::BTreeMap;

/// One launch of a run: a kernel, a product, an op.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// What was launched.
    pub name: String,
    /// When it began, seconds from the beginning of the run.
    pub begin_seconds: f64,
    /// How long it took.
    pub seconds: f64,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes read and written at least once.
    pub bytes: u64,
}

/// Spans of one name summed, most expensive first.
pub fn op_times(spans: &[Span]) -> Vec<OpTime> {
    let mut times: BTreeMap<&str, OpTime> = BTreeMap::new();
    for span in spans {
        let entry = times.entry(&span.name).or_insert_with(|| OpTime {
            op: span.name.clone(),
            calls: 0,
            seconds: 0.0,
            flops: 0,
            bytes: 0,
        });
        entry.calls += 1;
        entry.seconds += span.seconds;
        entry.flops += span.flops;
        entry.bytes += span.bytes;
    }
    let mut times: Vec<OpTime> = times.into_values().collect();
    times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    times
}
