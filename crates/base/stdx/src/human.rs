//! Figures as people read them.

/// Bytes with a binary unit: `1.5 GiB`.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A count with a decimal unit: `12.3K`.
pub fn count(n: u64) -> String {
    scaled(n as f64, 1000.0, &["", "K", "M", "B", "T"]).replace(' ', "")
}

/// Seconds as `850ms`, `12.3s`, `4m05s`, `2h03m`.
pub fn seconds(s: f64) -> String {
    let whole = s.max(0.0).round() as u64;
    match s {
        s if s < 1.0 => format!("{:.0}ms", s.max(0.0) * 1e3),
        s if s < 60.0 => format!("{s:.1}s"),
        _ if whole < 3600 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// Reads a size as people write it: `8GiB`, `512 MB`, `1.5G`, `4096`. Units without `i` are decimal, a bare letter is
/// binary, as memory is counted.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().ok()?;
    let unit = text[split..].trim().to_ascii_lowercase();
    let power = |letter: &str| ["", "k", "m", "g", "t"].iter().position(|l| *l == letter);
    let factor = match unit.as_str() {
        "b" => 1.0,
        _ => match (unit.strip_suffix("ib"), unit.strip_suffix('b')) {
            (Some(letter), _) => 1024f64.powi(power(letter)? as i32),
            (None, Some(letter)) => 1000f64.powi(power(letter)? as i32),
            (None, None) => 1024f64.powi(power(&unit)? as i32),
        },
    };
    Some((number * factor) as u64)
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut unit = 0;
    while value >= base && unit + 1 < units.len() {
        value /= base;
        unit += 1;
    }
    if unit == 0 { format!("{value:.0} {}", units[0]) } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(count(12_345), "12.3K");
        assert_eq!(count(999), "999");
        assert_eq!(parse_bytes("8GiB"), Some(8 << 30));
        assert_eq!(parse_bytes("512 MB"), Some(512_000_000));
        assert_eq!(parse_bytes("1.5g"), Some(3 << 29));
        assert_eq!(parse_bytes("4096"), Some(4096));
        assert_eq!(parse_bytes("much"), None);
        assert_eq!(seconds(0.85), "850ms");
        assert_eq!(seconds(245.0), "4m05s");
        assert_eq!(seconds(7_380.0), "2h03m");
    }
}
