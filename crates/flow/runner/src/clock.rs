//! The time of day, as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of day.
pub trait Clock: Send + Sync {
    /// Milliseconds since 1970 UTC.
    fn now_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }
}

/// A time as `format` (of `jiff`) writes it, in UTC.
pub(crate) fn format(at_ms: u64, format: &str) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    at.unwrap_or_default().strftime(format).to_string()
}

/// A time as `events.jsonl` writes it: RFC 3339 in UTC, with milliseconds.
pub fn rfc3339(at_ms: u64) -> String {
    format(at_ms, "%Y-%m-%dT%H:%M:%S.%3fZ")
}
