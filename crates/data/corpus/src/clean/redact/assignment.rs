//! Random texts given to names that stand for secrets: `api_key = "…"`.
//!
//! The name is the anchor, the value decides: one string without spaces that changes between letters and digits
//! as only random text does. Digests and UUIDs do not count, nor do words in any spelling.

use super::{Finding, distinct, holds_placeholder, run};
use aho_corasick::AhoCorasick;
use wootz_schema::clean::Redaction;

/// Parts of names that stand for secrets, in any case.
const NAMES: [&str; 17] = [
    "passw",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "access-key",
    "auth_key",
    "authkey",
    "private_key",
    "privatekey",
    "credential",
    "signing_key",
    "account_key",
];

/// Names that are given nothing but secrets, so that even hexadecimal digits are one.
const SURE: [&str; 14] = [
    "apikey",
    "api_key",
    "api-key",
    "access_key",
    "accesskey",
    "access_token",
    "accesstoken",
    "auth_token",
    "authtoken",
    "client_secret",
    "clientsecret",
    "app_secret",
    "secret_key",
    "secretkey",
];

/// Ends of names that say something about a secret instead of holding it.
const ABOUT: [&str; 36] = [
    "type",
    "kind",
    "name",
    "url",
    "uri",
    "path",
    "file",
    "dir",
    "prefix",
    "suffix",
    "format",
    "pattern",
    "regex",
    "header",
    "field",
    "param",
    "label",
    "id",
    "ids",
    "length",
    "size",
    "count",
    "index",
    "hash",
    "digest",
    "sha1",
    "sha256",
    "md5",
    "checksum",
    "algorithm",
    "endpoint",
    "class",
    "message",
    "error",
    "version",
    "uuid",
];

/// How far behind a name its value may begin, bytes.
const REACH: usize = 48;

/// Finds secrets by the names they are given to.
pub struct Assignments {
    names: AhoCorasick,
}

impl Assignments {
    /// Prepares the search.
    pub fn new() -> Assignments {
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(aho_corasick::AhoCorasickKind::DFA))
            .build(NAMES);
        Assignments { names: built.expect("a few short names fit an automaton because each is a constant") }
    }

    /// Adds what it finds, in order.
    pub(super) fn find(&self, bytes: &[u8], findings: &mut Vec<Finding>) {
        let mut done = 0;
        for found in self.names.find_iter(bytes) {
            if found.start() < done {
                continue;
            }
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let end = found.end() + run(bytes, found.end(), is_word);
            done = end;
            let length =
                bytes[..found.start()].iter().rev().take(40).take_while(|byte| is_word(**byte)).count();
            let name = &bytes[found.start() - length..end];
            let value = value_behind(bytes, end).filter(|_| !is_about(name));
            if let Some(range) = value.filter(|value| is_secret(name, &bytes[value.clone()])) {
                done = range.end;
                findings.push(Finding { range, kind: Redaction::Secret });
            }
        }
    }
}

/// Whether a name says something about a secret.
fn is_about(name: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    ABOUT.iter().any(|end| name.ends_with(end.as_bytes())) || holds_placeholder(&name.to_ascii_uppercase())
}

/// The inside of the string that is given to the name ending at `at`, on the same line.
fn value_behind(bytes: &[u8], at: usize) -> Option<std::ops::Range<usize>> {
    // `#define NAME "value"` has nothing in between.
    let blanks = run(bytes, at, |byte| matches!(byte, b' ' | b'\t'));
    let mut given = blanks > 0 && bytes.get(at + blanks) == Some(&b'"');
    let mut at = at + blanks;
    let reach = bytes.len().min(at + REACH);
    while at < reach {
        match bytes[at] {
            b'\n' | b';' | b'{' | b'}' => return None,
            // `NAME=value` and `?name=value`, as in shells and URLs.
            b'=' if bytes.get(at + 1).is_some_and(u8::is_ascii_alphanumeric) => {
                let is_part = |byte: u8| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'~')
                };
                let end = at + 1 + run(bytes, at + 1, is_part);
                let is_called = bytes.get(end).is_some_and(|next| matches!(next, b'(' | b'[' | b':' | b'.'));
                return (end - at > 20 && !is_called).then_some(at + 1..end);
            }
            b'=' | b':' | b'(' | b',' => given = true,
            quote @ (b'"' | b'\'' | b'`') if given => {
                let is_part =
                    |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'\'' | b'`');
                let end = at + 1 + run(bytes, at + 1, is_part);
                // A string in a string ends with as many backslashes as it begins with.
                let slashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
                let closing = bytes.get(end..end + slashes + 1);
                if closing.is_some_and(|closing| {
                    closing[slashes] == quote && closing[..slashes].iter().all(|byte| *byte == b'\\')
                }) {
                    return Some(at + 1..end);
                }
                // A lifetime, or a string with spaces: only the former may stand before the value.
                if quote != b'\'' {
                    return None;
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether a text given to a name is random.
fn is_secret(name: &[u8], value: &[u8]) -> bool {
    if !(8..=512).contains(&value.len())
        || value.iter().any(|byte| matches!(byte, b'{' | b'}' | b'<' | b'>' | b'(' | b')' | b',' | b';'))
        || holds_placeholder(value)
        || value.windows(3).any(|window| window == b"://")
    {
        return false;
    }
    if value.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
        return is_secret_hex(name, value);
    }
    let name = name.to_ascii_lowercase();
    let is_password =
        memchr::memmem::find(&name, b"passw").is_some() || memchr::memmem::find(&name, b"pwd").is_some();
    let bits = entropy(value);
    if value.len() < 16 {
        // Signs of all kinds, and digits in several places, are no name.
        let mixed = classes(value) == 4 && digit_runs(value) >= 2 && changes(value) >= 1;
        return is_password && bits >= 2.7 && (classes(value) >= 3 && changes(value) >= 3 || mixed);
    }
    let least = (value.len() / 7).clamp(3, 12);
    // Letters that hardly repeat change less often by chance; words of a name repeat some.
    let hardly_repeats = bits >= 0.93 * (value.len() as f64).log2();
    let least = if hardly_repeats && classes(value) >= 3 { 2 } else { least };
    bits >= 3.3
        && changes(value) >= least
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
}

/// Hexadecimal digits are mostly digests: only sure names make them a secret.
fn is_secret_hex(name: &[u8], value: &[u8]) -> bool {
    let name = name.to_ascii_lowercase();
    let sure = SURE.iter().any(|sure| memchr::memmem::find(&name, sure.as_bytes()).is_some());
    sure && value.len() >= 20 && !value.contains(&b'-') && distinct(value) >= 8
}

/// Shannon's entropy of a text's bytes, bits per byte.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    bytes.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    let total = bytes.len() as f64;
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// How many of lower case, upper case, digits and signs a text holds.
fn classes(bytes: &[u8]) -> usize {
    let tests: [fn(&u8) -> bool; 4] =
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit, u8::is_ascii_punctuation];
    tests.iter().filter(|test| bytes.iter().any(**test)).count()
}

/// How many places of a text have digits.
fn digit_runs(bytes: &[u8]) -> usize {
    bytes.split(|byte| !byte.is_ascii_digit()).filter(|digits| !digits.is_empty()).count()
}

/// Changes between kinds of letters inside the words of a text.
///
/// Separators do not count, nor the digits at a word's end, nor what follows an upper-case letter or three lower-case ones:
/// `key-v2`, `someOtherName` and `sha256Sum` hardly change.
fn changes(bytes: &[u8]) -> usize {
    let words = bytes.split(|byte| matches!(byte, b'-' | b'_' | b'.' | b'/' | b':'));
    words
        .map(|word| {
            let end = word.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
            let (mut changes, mut lower) = (0, 0);
            for pair in word[..end].windows(2) {
                lower = if pair[0].is_ascii_lowercase() { lower + 1 } else { 0 };
                let goes_on = pair[0].is_ascii_uppercase() && pair[1].is_ascii_lowercase()
                    || pair[1].is_ascii_uppercase() && lower >= 3;
                changes += usize::from(class(pair[0]) != class(pair[1]) && !goes_on);
            }
            changes
        })
        .sum()
}

fn class(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}
