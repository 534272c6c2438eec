//! Secrets and personal data give way to placeholders.
//!
//! Anchors are found at memory speed (a set of literal prefixes by SIMD, single signs by `memchr`); what stands
//! around each is then read byte by byte, so that text without anchors costs next to nothing. Placeholders hold letters,
//! digits, `_`, `@`, `.` and `-` only and never take a quote, an escape or a line break with them: what was a string
//! literal stays one. A text is searched again after every change until nothing is found, so that a second run changes
//! nothing.
//!
//! Not covered: names and postal addresses of people, IPv6, secrets that look like words, tokens of services that have
//! no telling prefix where no telling name stands before them.

mod assignment;
mod personal;
mod token;

use assignment::Assignments;
use std::collections::BTreeMap;
use std::ops::Range;
use token::Tokens;
use wootz_schema::clean::Redaction;

/// What was replaced, by kind.
pub type Counts = BTreeMap<Redaction, u64>;

/// Replaces secrets and personal data; one for all threads.
pub struct Redactor {
    tokens: Tokens,
    assignments: Assignments,
}

/// A place to replace.
#[derive(Debug)]
struct Finding {
    range: Range<usize>,
    kind: Redaction,
}

impl Redactor {
    /// Prepares the search.
    pub fn new() -> Redactor {
        Redactor { tokens: Tokens::new(), assignments: Assignments::new() }
    }

    /// The text with placeholders and what they stand for; `None` where there is nothing to replace.
    pub fn redact(&self, text: &str) -> Option<(String, Counts)> {
        let mut findings = self.find(text.as_bytes());
        if findings.is_empty() {
            return None;
        }
        let mut counts = Counts::new();
        let mut text = text.to_owned();
        // Placeholders can only be found again where they complete something; twice has not been seen.
        for _ in 0..8 {
            text = replaced(&text, &findings, &mut counts);
            findings = self.find(text.as_bytes());
            if findings.is_empty() {
                break;
            }
        }
        Some((text, counts))
    }

    /// Everything to replace, in order, without overlaps: the first searches are the surest and win.
    fn find(&self, bytes: &[u8]) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.tokens.find(bytes, &mut findings);
        self.assignments.find(bytes, &mut findings);
        personal::find_emails(bytes, &mut findings);
        personal::find_addresses(bytes, &mut findings);
        personal::find_phones(bytes, &mut findings);
        if findings.len() > 1 {
            let mut order: Vec<usize> = (0..findings.len()).collect();
            order.sort_by_key(|index| findings[*index].range.start);
            findings = without_overlaps(findings, &order);
        }
        findings
    }
}

/// Of findings that share bytes, the one found first; `order`: their indices by place.
fn without_overlaps(findings: Vec<Finding>, order: &[usize]) -> Vec<Finding> {
    let mut kept: Vec<usize> = Vec::with_capacity(findings.len());
    for &index in order {
        let start = findings[index].range.start;
        while let Some(&last) = kept.last() {
            if findings[last].range.end <= start {
                kept.push(index);
                break;
            }
            if last < index {
                break;
            }
            kept.pop();
        }
        if kept.is_empty() {
            kept.push(index);
        }
    }
    let mut findings: Vec<Option<Finding>> = findings.into_iter().map(Some).collect();
    kept.into_iter().filter_map(|index| findings[index].take()).collect()
}

fn replaced(text: &str, findings: &[Finding], counts: &mut Counts) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for finding in findings {
        out.push_str(&text[at..finding.range.start]);
        out.push_str(placeholder(finding.kind));
        *counts.entry(finding.kind).or_default() += 1;
        at = finding.range.end;
    }
    out.push_str(&text[at..]);
    out
}

/// What stands in the place of a secret.
///
/// An address, a number of the ranges set aside for documentation: a program that parses it still does.
fn placeholder(kind: Redaction) -> &'static str {
    match kind {
        Redaction::PrivateKey => "REDACTED_PRIVATE_KEY",
        Redaction::AwsKey => "REDACTED_AWS_KEY",
        Redaction::GcpKey => "REDACTED_GCP_KEY",
        Redaction::GithubToken => "REDACTED_GITHUB_TOKEN",
        Redaction::GitlabToken => "REDACTED_GITLAB_TOKEN",
        Redaction::SlackToken => "REDACTED_SLACK_TOKEN",
        Redaction::StripeKey => "REDACTED_STRIPE_KEY",
        Redaction::NpmToken => "REDACTED_NPM_TOKEN",
        Redaction::PypiToken => "REDACTED_PYPI_TOKEN",
        Redaction::JsonWebToken => "REDACTED_JSON_WEB_TOKEN",
        Redaction::ServiceToken => "REDACTED_SERVICE_TOKEN",
        Redaction::UrlPassword => "REDACTED_PASSWORD",
        Redaction::Secret => "REDACTED_SECRET",
        Redaction::Email => "redacted@example.com",
        Redaction::IpAddress => "192.0.2.1",
        Redaction::PhoneNumber => "+1-555-0100",
    }
}

/// Sign that a placeholder stands in a text.
const MARK: &[u8] = b"REDACTED_";

fn holds_placeholder(bytes: &[u8]) -> bool {
    bytes.len() >= MARK.len() && memchr::memmem::find(bytes, MARK).is_some()
}

/// Whether the byte before `at` ends a word; the letter of an escape such as `\n` belongs to no word.
fn begins_word(bytes: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else { return true };
    let byte = bytes[before];
    !(byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80) || past_escape(bytes, before) == at
}

/// Where the text goes on if the byte at `at` is the letter of an escape: `n` in `\n`, `x41` in `\x41`.
fn past_escape(bytes: &[u8], at: usize) -> usize {
    let slashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    if slashes % 2 == 0 {
        return at;
    }
    let hex =
        |most: usize| bytes[at + 1..].iter().take(most).take_while(|byte| byte.is_ascii_hexdigit()).count();
    match bytes.get(at) {
        Some(b'x') => at + 1 + hex(2),
        Some(b'u') => at + 1 + hex(4),
        Some(b'U') => at + 1 + hex(8),
        Some(b'0'..=b'7') => {
            at + bytes[at..].iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count()
        }
        Some(byte) if byte.is_ascii() => at + 1,
        _ => at,
    }
}

/// Length of the run of bytes from `at` on that `is_part` accepts.
fn run(bytes: &[u8], at: usize, is_part: impl Fn(u8) -> bool) -> usize {
    bytes.get(at..).map_or(0, |rest| rest.iter().take_while(|byte| is_part(**byte)).count())
}

/// How many different bytes there are.
fn distinct(bytes: &[u8]) -> usize {
    let mut seen = [false; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    seen.iter().filter(|seen| **seen).count()
}

#[cfg(test)]
mod tests;
