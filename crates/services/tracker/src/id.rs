//! IDs: `prefix-suffix`, a pure function of what an issue is, and of which IDs are taken.
//!
//! The prefix is two characters of the SHA-256 of the project's path, the suffix four of the SHA-256 of title and time; characters
//! are bytes modulo 36. Where a suffix is taken the window of four bytes moves on by one, and behind the last of the 28 windows a
//! counter begins. [`base36`] and [`length`] are the other family's: the last digits of a number in base 36, longer in a larger store.

use sha2::{Digest, Sha256};
use wootz_stdx::digest::hex;

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn digit(byte: u8) -> char {
    char::from(DIGITS[usize::from(byte % 36)])
}

/// The prefix of a project in this folder.
pub fn prefix(folder: &str) -> String {
    Sha256::digest(folder.as_bytes())[..2].iter().copied().map(digit).collect()
}

/// The suffix of an issue; `created_at` is the time as it is stored, in UTC with a final `Z`. `taken` says which are.
pub fn suffix(title: &str, created_at: &str, taken: impl Fn(&str) -> bool) -> String {
    let offset = created_at.strip_suffix('Z').map(|time| format!("{time}+00:00"));
    let hashed = format!("{title}{}", offset.as_deref().unwrap_or(created_at));
    let hash = Sha256::digest(hashed.as_bytes());
    let windows = hash.windows(4).take(28).map(|bytes| bytes.iter().copied().map(digit).collect());
    let counted = (0_u32..).map(|number| format!("{number:04x}"));
    windows.chain(counted).find(|suffix: &String| !taken(suffix)).expect("a counter has no end")
}

/// The last `length` digits (3 to 8) of a number that the hash of an issue begins with, in base 36.
pub fn base36(
    title: &str,
    description: &str,
    creator: &str,
    created_ns: i128,
    nonce: u32,
    length: usize,
) -> String {
    const BYTES: [usize; 6] = [2, 3, 4, 4, 5, 5];
    let length = length.clamp(3, 8);
    let hash = Sha256::digest(format!("{title}|{description}|{creator}|{created_ns}|{nonce}").as_bytes());
    let number = hash[..BYTES[length - 3]].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let digits = (0..length).rev().scan(number, |rest, _| {
        let digit = digit((*rest % 36) as u8);
        *rest /= 36;
        Some(digit)
    });
    let reversed: Vec<char> = digits.collect();
    reversed.into_iter().rev().collect()
}

/// The least length from `least` on, at most 8, with which a collision among `issues` is at most one in four (the birthday bound).
pub fn length(issues: usize, least: usize) -> usize {
    let issues = issues as f64;
    let collides = |length: usize| 1.0 - (-issues * issues / (2.0 * 36_f64.powi(length as i32))).exp();
    (least..8).find(|length| collides(*length) <= 0.25).unwrap_or(8)
}

/// What changes whenever one of these texts does, as 64 hexadecimal digits.
pub fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_of_the_import_fixture() {
        for (title, created_at, expected) in [
            ("A", "2025-01-01T00:00:00Z", "hh22"),
            ("B", "2025-01-01T08:00:00Z", "vuxr"),
            ("C", "2025-01-01T00:00:00Z", "7l5r"),
            ("F", "2025-01-01T00:00:00Z", "5sah"),
        ] {
            assert_eq!(suffix(title, created_at, |_| false), expected, "{title}");
        }
    }

    #[test]
    fn a_taken_suffix_gives_way_to_the_next_window() {
        let (title, time) = ("A", "2025-01-01T00:00:00Z");
        let mut taken: Vec<String> = Vec::new();
        for _ in 0..32 {
            let next = suffix(title, time, |suffix| taken.iter().any(|one| one == suffix));
            assert!(!taken.contains(&next));
            taken.push(next);
        }
        assert!(
            taken.windows(2).take(27).all(|pair| pair[0][1..] == pair[1][..3]),
            "windows overlap: {taken:?}"
        );
        assert_eq!(taken[28..], ["0000", "0001", "0002", "0003"]);
    }

    #[test]
    fn base_36_of_the_known_issue() {
        // 2024-01-02T03:04:05.006Z
        let created_ns = 1_704_164_645_006_000_000;
        for expected in ["vju", "8d8e", "bi3tk", "8bi3tk", "r5sr6bm", "8r5sr6bm"] {
            let id = base36("Fix login", "Details", "jira-import", created_ns, 0, expected.len());
            assert_eq!(id, expected);
        }
    }

    #[test]
    fn ids_grow_with_the_store() {
        let lengths =
            |least| [0, 100, 160, 500, 900, 1500, 5000, 50_000, 500_000].map(|issues| length(issues, least));
        assert_eq!(lengths(3), [3, 3, 3, 4, 4, 5, 5, 7, 8]);
        assert_eq!(lengths(4), [4, 4, 4, 4, 4, 5, 5, 7, 8]);
    }

    #[test]
    fn a_prefix_is_two_digits_of_the_path() {
        assert_eq!(prefix("/tmp/x").len(), 2);
        assert_ne!(prefix("/tmp/x"), prefix("/tmp/y"));
    }
}
