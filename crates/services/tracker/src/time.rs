//! Points in time as the store has them: RFC 3339 in UTC, with 0, 3, 6 or 9 digits of a second, as many as are needed.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

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
        assert_eq!(minute("2025-01-01T00:00:59.9-01:00"), "2025-01-01 01:00");
    }
}
