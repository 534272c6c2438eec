//! Points in time as the store has them: RFC 3339 in UTC, with 0, 3, 6 or 9 digits of a second, as many as are needed.

use jiff::fmt::temporal::DateTimePrinter;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// Writes a time.
pub fn stored(time: Timestamp) -> String {
    let nanoseconds = time.subsec_nanosecond();
    let digits = match nanoseconds {
        0 => 0,
        n if n % 1_000_000 == 0 => 3,
        n if n % 1_000 == 0 => 6,
        _ => 9,
    };
    let mut text = String::new();
    let printer = DateTimePrinter::new().precision(Some(digits));
    printer.print_timestamp(&time, &mut text).expect("text takes any length");
    text
}

/// Reads a time with any offset.
pub fn read(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Reads how long something is to last: `2h`, `90m`, `1d 12h`; a day has 24 hours.
pub fn duration(text: &str) -> Option<SignedDuration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

/// Reads a time as people give it: a day, a time, or how long from now as `3d` or `2h`.
pub fn given(text: &str, now: Timestamp) -> Option<Timestamp> {
    read(text)
        .or_else(|| read(&format!("{text}T00:00:00Z")))
        .or_else(|| read(&format!("{text}Z")))
        .or_else(|| now.checked_add(duration(text.trim_start_matches('+'))?).ok())
}

/// The digits of a time in UTC as it is stored, as one number that grows with it: 14 of date and time, 9 of the fraction.
pub fn digits(stored: &[u8]) -> Option<u128> {
    let text = stored.strip_suffix(b"Z")?;
    let (time, fraction) = text.split_at_checked(19)?;
    let mut number: u64 = 0;
    for (at, byte) in time.iter().enumerate() {
        match (at, byte) {
            (4 | 7, b'-') | (10, b'T') | (13 | 16, b':') => {}
            (4 | 7 | 10 | 13 | 16, _) => return None,
            (_, b'0'..=b'9') => number = number * 10 + u64::from(byte - b'0'),
            _ => return None,
        }
    }
    let fraction = match fraction {
        [] => fraction,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => digits,
        _ => return None,
    };
    let mut nanoseconds: u64 = 0;
    for at in 0..9 {
        let byte = fraction.get(at).copied().unwrap_or(b'0');
        nanoseconds = nanoseconds * 10 + u64::from(byte.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    Some(u128::from(number) * 1_000_000_000 + u128::from(nanoseconds))
}

/// A time for people, to the minute in UTC.
pub fn minute(text: &str) -> String {
    match read(text) {
        Some(time) => time.strftime("%Y-%m-%d %H:%M").to_string(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_has_as_many_digits_as_it_needs() {
        for (given, expected) in [
            ("2025-01-01T00:00:00-08:00", "2025-01-01T08:00:00Z"),
            ("2025-01-01T00:00:00.5Z", "2025-01-01T00:00:00.500Z"),
            ("2025-11-16T14:51:16.520465-08:00", "2025-11-16T22:51:16.520465Z"),
            ("2025-01-01T00:00:00.123456789Z", "2025-01-01T00:00:00.123456789Z"),
            ("2025-01-01T00:00:00.100000001+05:30", "2024-12-31T18:30:00.100000001Z"),
        ] {
            assert_eq!(stored(read(given).unwrap()), expected);
        }
        assert_eq!(digits(b"2025-01-02T03:04:05.006Z"), Some(20_250_102_030_405_006_000_000));
        assert_eq!(digits(b"2025-01-02T03:04:05Z"), Some(20_250_102_030_405_000_000_000));
        for other in ["2025-01-02T03:04:05+00:00", "2025-01-02 03:04:05Z", "2025-01-02T03:04:05.Z", "x"] {
            assert_eq!(digits(other.as_bytes()), None, "{other}");
        }
        assert_eq!(minute("2025-01-01T00:00:59.9-01:00"), "2025-01-01 01:00");
    }

    #[test]
    fn people_give_days_times_and_how_long() {
        let now = read("2025-01-31T12:00:00Z").unwrap();
        for (text, expected) in [
            ("2025-03-01", Some("2025-03-01T00:00:00Z")),
            ("2025-03-01T01:02:03", Some("2025-03-01T01:02:03Z")),
            ("2025-03-01T01:02:03+01:00", Some("2025-03-01T00:02:03Z")),
            ("3d", Some("2025-02-03T12:00:00Z")),
            ("+1w", Some("2025-02-07T12:00:00Z")),
            ("90m", Some("2025-01-31T13:30:00Z")),
            ("1d 12h", Some("2025-02-02T00:00:00Z")),
            ("soon", None),
            ("", None),
            ("2025-13-01", None),
        ] {
            assert_eq!(given(text, now).map(stored).as_deref(), expected, "{text}");
        }
    }
}
