//! Secrets that say what they are: a telling prefix, then so many letters of an alphabet.

use super::{Finding, begins_word, distinct, holds_placeholder, past_escape, run};
use aho_corasick::{AhoCorasick, MatchKind};
use wootz_schema::clean::Redaction;

/// Letters a token is written with.
#[derive(Clone, Copy)]
enum Alphabet {
    Alphanumeric,
    /// Upper-case letters and digits.
    Upper,
    /// Lower-case hexadecimal digits.
    Hex,
    /// Letters, digits and `_`.
    Word,
    /// Letters, digits, `_` and `-`.
    Url,
    /// Letters, digits, and what else stands in bearer tokens and base64.
    Bearer,
}

impl Alphabet {
    fn holds(self, byte: u8) -> bool {
        match self {
            Alphanumeric => byte.is_ascii_alphanumeric(),
            Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Hex => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
            Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Url => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Bearer => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b'+' | b'/' | b'=')
            }
        }
    }
}

/// What follows a prefix.
#[derive(Clone, Copy)]
enum Rest {
    /// So many letters, fewest and most.
    Run(Alphabet, usize, usize),
    /// As many, and the prefix itself stays: it is no part of the secret.
    After(Alphabet, usize, usize),
    JsonWebToken,
    PrivateKey,
    Url,
    SlackHook,
}

use Alphabet::{Alphanumeric, Bearer, Hex, Upper, Url, Word};
use Redaction::{
    AwsKey, GcpKey, GithubToken, GitlabToken, NpmToken, PypiToken, ServiceToken, SlackToken, StripeKey,
};

const MOST: usize = 1024;

const RULES: &[(&str, Redaction, Rest)] = &[
    ("-----BEGIN ", Redaction::PrivateKey, Rest::PrivateKey),
    ("://", Redaction::UrlPassword, Rest::Url),
    ("eyJ", Redaction::JsonWebToken, Rest::JsonWebToken),
    ("hooks.slack.com/", SlackToken, Rest::SlackHook),
    ("AKIA", AwsKey, Rest::Run(Upper, 16, 16)),
    ("ASIA", AwsKey, Rest::Run(Upper, 16, 16)),
    ("AIza", GcpKey, Rest::Run(Url, 35, 35)),
    ("ya29.", GcpKey, Rest::Run(Url, 20, MOST)),
    ("GOCSPX-", GcpKey, Rest::Run(Url, 24, 40)),
    ("ghp_", GithubToken, Rest::Run(Alphanumeric, 36, 255)),
    ("gho_", GithubToken, Rest::Run(Alphanumeric, 36, 255)),
    ("ghu_", GithubToken, Rest::Run(Alphanumeric, 36, 255)),
    ("ghs_", GithubToken, Rest::Run(Alphanumeric, 36, 255)),
    ("ghr_", GithubToken, Rest::Run(Alphanumeric, 36, 255)),
    ("github_pat_", GithubToken, Rest::Run(Word, 50, 255)),
    ("glpat-", GitlabToken, Rest::Run(Url, 20, 255)),
    ("gldt-", GitlabToken, Rest::Run(Url, 20, 255)),
    ("glptt-", GitlabToken, Rest::Run(Url, 20, 255)),
    ("glrt-", GitlabToken, Rest::Run(Url, 20, 255)),
    ("xoxb-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxp-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxa-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxr-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxs-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxe-", SlackToken, Rest::Run(Url, 16, 255)),
    ("xoxe.", SlackToken, Rest::Run(Bearer, 16, 255)),
    ("xapp-", SlackToken, Rest::Run(Url, 20, 255)),
    ("sk_live_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("sk_test_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("rk_live_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("rk_test_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("pk_live_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("pk_test_", StripeKey, Rest::Run(Alphanumeric, 16, 255)),
    ("whsec_", StripeKey, Rest::Run(Alphanumeric, 24, 255)),
    ("npm_", NpmToken, Rest::Run(Alphanumeric, 36, 36)),
    ("pypi-AgE", PypiToken, Rest::Run(Url, 50, MOST)),
    ("SG.", ServiceToken, Rest::Run(Bearer, 60, 80)),
    ("hf_", ServiceToken, Rest::Run(Alphanumeric, 34, 40)),
    ("sk-proj-", ServiceToken, Rest::Run(Url, 40, 255)),
    ("sk-ant-", ServiceToken, Rest::Run(Url, 40, 255)),
    ("dop_v1_", ServiceToken, Rest::Run(Hex, 64, 64)),
    ("shpat_", ServiceToken, Rest::Run(Hex, 32, 32)),
    ("dckr_pat_", ServiceToken, Rest::Run(Url, 20, 255)),
    ("AGE-SECRET-KEY-1", ServiceToken, Rest::Run(Upper, 50, 64)),
    ("AccountKey=", ServiceToken, Rest::After(Bearer, 80, 100)),
    ("Bearer ", ServiceToken, Rest::After(Bearer, 20, MOST)),
];

/// Finds tokens, URLs with passwords, and private keys.
pub struct Tokens {
    prefixes: AhoCorasick,
}

impl Tokens {
    /// Prepares the search.
    pub fn new() -> Tokens {
        let prefixes = RULES.iter().map(|(prefix, ..)| prefix);
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(prefixes);
        Tokens {
            prefixes: built.expect("a few dozen short prefixes fit an automaton because each is a constant"),
        }
    }

    /// Adds what it finds, in order.
    pub(super) fn find(&self, bytes: &[u8], findings: &mut Vec<Finding>) {
        let mut done = 0;
        for found in self.prefixes.find_iter(bytes) {
            let (prefix, kind, rest) = RULES[found.pattern().as_usize()];
            let (start, end) = (found.start(), found.end());
            if start < done {
                continue;
            }
            let before = findings.len();
            match rest {
                Rest::Run(alphabet, fewest, most) if begins_word(bytes, start) => {
                    let length = run(up_to(bytes, end, most), end, |byte| alphabet.holds(byte));
                    if (fewest..=most).contains(&length) && is_random(prefix, &bytes[end..end + length]) {
                        findings.push(Finding { range: start..end + length, kind });
                    }
                }
                Rest::After(alphabet, fewest, most) if begins_word(bytes, start) => {
                    let length = run(up_to(bytes, end, most), end, |byte| alphabet.holds(byte));
                    if (fewest..=most).contains(&length) && is_random(prefix, &bytes[end..end + length]) {
                        findings.push(Finding { range: end..end + length, kind });
                    }
                }
                Rest::JsonWebToken if begins_word(bytes, start) => json_web_token(bytes, start, findings),
                Rest::PrivateKey => private_key(bytes, end, findings),
                Rest::Url => url_password(bytes, start, findings),
                Rest::SlackHook => slack_hook(bytes, end, findings),
                _ => {}
            }
            if let Some(last) = findings[before..].last() {
                done = last.range.end;
            }
        }
    }
}

/// The bytes up to one more than a run from `at` may have: what is longer need not be measured.
fn up_to(bytes: &[u8], at: usize, most: usize) -> &[u8] {
    &bytes[..bytes.len().min(at + most + 1)]
}

/// Whether letters look drawn by lot, rather than `xxxxxxxx` or one of the samples in a service's own manual.
fn is_random(prefix: &str, letters: &[u8]) -> bool {
    let sample = prefix == "AKIA" && letters.ends_with(b"EXAMPLE");
    let has_digit_or_case = letters.iter().any(u8::is_ascii_digit)
        || letters.iter().any(u8::is_ascii_uppercase) && letters.iter().any(u8::is_ascii_lowercase);
    !sample && has_digit_or_case && distinct(letters) >= 8 && !holds_placeholder(letters)
}

/// `header.payload.signature`, each base64 of its own; the first two begin as JSON objects do.
fn json_web_token(bytes: &[u8], start: usize, findings: &mut Vec<Finding>) {
    let part = |at: usize| run(up_to(bytes, at, 2 * MOST), at, |byte| Url.holds(byte));
    let header = part(start);
    let payload_at = start + header + 1;
    if header < 12 || bytes.get(payload_at - 1) != Some(&b'.') || !bytes[payload_at..].starts_with(b"eyJ") {
        return;
    }
    let payload = part(payload_at);
    if payload < 8 {
        return;
    }
    let mut end = payload_at + payload;
    if bytes.get(end) == Some(&b'.') {
        end += 1 + part(end + 1);
    }
    findings.push(Finding { range: start..end, kind: Redaction::JsonWebToken });
}

/// How far behind its first line a private key may end, bytes.
const KEY_BYTES: usize = 16 << 10;

/// The runs of base64 between the first and the last line of a key, wherever the quotes and line breaks are.
fn private_key(bytes: &[u8], at: usize, findings: &mut Vec<Finding>) {
    let label = run(bytes, at, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    let named = &bytes[at..at + label];
    if !(named.ends_with(b"PRIVATE KEY") || named.ends_with(b"PRIVATE KEY BLOCK"))
        || !bytes[at + label..].starts_with(b"-----")
    {
        return;
    }
    let begin = at + label + 5;
    let window = &bytes[..bytes.len().min(begin + KEY_BYTES)];
    let Some(end) = memchr::memmem::find(&window[begin..], b"-----").map(|length| begin + length) else {
        return;
    };
    if !bytes[end..].starts_with(b"-----END ") {
        return;
    }
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    let mut runs = Vec::new();
    let mut at = begin;
    while at < end {
        let start = if bytes[at].is_ascii_alphanumeric() { past_escape(bytes, at) } else { at };
        let length = run(&bytes[..end], start, is_base64);
        if length > 0 {
            runs.push(start..start + length);
        }
        at = (start + length).max(at + 1);
    }
    // Constants that name both lines have only code between them.
    let has_body = |range: &std::ops::Range<usize>| {
        let run = &bytes[range.clone()];
        run.len() >= 32
            && run.iter().any(u8::is_ascii_digit)
            && run.iter().any(u8::is_ascii_uppercase)
            && run.iter().any(u8::is_ascii_lowercase)
    };
    if !runs.iter().any(has_body) {
        return;
    }
    let last = runs.len() - 1;
    let secret = runs.into_iter().enumerate().filter(|(index, run)| run.len() >= 8 || *index == last);
    findings.extend(secret.map(|(_, range)| Finding { range, kind: Redaction::PrivateKey }));
}

/// The password in `scheme://user:password@host`.
fn url_password(bytes: &[u8], at: usize, findings: &mut Vec<Finding>) {
    let user_at = at + 3;
    if at == 0 || !bytes[at - 1].is_ascii_alphanumeric() {
        return;
    }
    let is_part = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'/' | b'?' | b'#' | b'"' | b'\'' | b'`' | b'<' | b'>' | b'\\' | b' ' | b'@')
    };
    let user_info = run(bytes, user_at, is_part);
    let end = user_at + user_info;
    if bytes.get(end) != Some(&b'@')
        || !bytes.get(end + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'[')
    {
        return;
    }
    let Some(colon) = memchr::memchr(b':', &bytes[user_at..end]) else { return };
    let (user, password) = (&bytes[user_at..user_at + colon], &bytes[user_at + colon + 1..end]);
    if !is_sample(user, password) {
        findings.push(Finding { range: user_at + colon + 1..end, kind: Redaction::UrlPassword });
    }
}

/// Whether a password is a word for a password, the user's own name, or the place for one in a format.
fn is_sample(user: &[u8], password: &[u8]) -> bool {
    const WORDS: [&str; 12] = [
        "pass", "password", "passwd", "pwd", "pswd", "secret", "token", "user", "word", "hunter2", "xxxx",
        "changeme",
    ];
    let format =
        |byte: &u8| matches!(byte, b'{' | b'}' | b'$' | b'[' | b']' | b'(' | b')' | b'*' | b',' | b';');
    let percent = |at: usize| {
        password[at] == b'%'
            && !password.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    password.len() < 4
        || password.eq_ignore_ascii_case(user)
        || WORDS.iter().any(|word| password.eq_ignore_ascii_case(word.as_bytes()))
        || password.iter().any(format)
        || (0..password.len()).any(percent)
        || holds_placeholder(password)
        || distinct(password) < 3
}

/// The three parts of a web hook's path.
fn slack_hook(bytes: &[u8], at: usize, findings: &mut Vec<Finding>) {
    let Some(rest) = bytes[at..].strip_prefix(b"services/") else { return };
    let start = bytes.len() - rest.len();
    let length = run(bytes, start, |byte| byte.is_ascii_alphanumeric() || byte == b'/');
    let path = &bytes[start..start + length];
    if path.len() >= 30 && path.iter().filter(|byte| **byte == b'/').count() == 2 && is_random("", path) {
        findings.push(Finding { range: start..start + length, kind: SlackToken });
    }
}
