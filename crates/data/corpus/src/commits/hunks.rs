//! What a change changed: its hunks, the definitions they lie in, and the diff as people write it.
//!
//! Lines are compared by histogram diff. A changed line belongs to the smallest function that holds it, else to the smallest
//! type; lines that were only added belong, on the old side, to what holds the lines on both sides of the gap.

use imara_diff::{Algorithm, Diff, InternedInput};
use std::ops::Range;
use wootz_chunk::{Definition, DefinitionKind};

/// Lines around a hunk that a diff shows.
const CONTEXT: u32 = 3;

/// Lines that differ, 0-based, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    pub before: Range<u32>,
    pub after: Range<u32>,
}

/// The hunks between two texts.
pub(super) fn hunks(before: &str, after: &str) -> Vec<Hunk> {
    let input = InternedInput::new(before, after);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    diff.hunks().map(|hunk| Hunk { before: hunk.before, after: hunk.after }).collect()
}

/// Where each line of a text begins, and the text's end.
pub(super) fn line_starts(text: &str) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
    if starts.last() != Some(&text.len()) {
        starts.push(text.len());
    }
    starts
}

/// Indices of the definitions that the lines of one side lie in, ascending.
pub(super) fn changed(definitions: &[Definition], starts: &[usize], lines: &[Range<u32>]) -> Vec<usize> {
    let line_of = |at: usize| starts.partition_point(|start| *start <= at) as u32 - 1;
    let spans: Vec<Range<u32>> = definitions
        .iter()
        .map(|one| {
            line_of(one.range.start)..line_of(one.range.end.saturating_sub(1).max(one.range.start)) + 1
        })
        .collect();
    let mut found = Vec::new();
    for lines in lines {
        if lines.is_empty() {
            // A gap lies in what holds the lines before and behind it.
            let holds = |span: &Range<u32>| span.start < lines.start && lines.start < span.end;
            found.extend(smallest(definitions, &spans, holds));
        }
        for line in lines.clone() {
            found.extend(smallest(definitions, &spans, |span| span.contains(&line)));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// The smallest function that a test finds, else the smallest type.
fn smallest(
    definitions: &[Definition],
    spans: &[Range<u32>],
    holds: impl Fn(&Range<u32>) -> bool,
) -> Option<usize> {
    let of_kind = |kind: DefinitionKind| {
        let those = (0..spans.len()).filter(|one| definitions[*one].kind == kind && holds(&spans[*one]));
        those.min_by_key(|one| definitions[*one].range.len())
    };
    of_kind(DefinitionKind::Function).or_else(|| of_kind(DefinitionKind::Type))
}

/// A unified diff (POSIX `diff -u`) of two texts.
pub(super) fn unified(path: &str, before: &str, after: &str, hunks: &[Hunk]) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (lines(before), lines(after));
    let mut text = format!("--- a/{path}\n+++ b/{path}\n");
    let mut next = 0;
    while next < hunks.len() {
        // Hunks whose surroundings touch are shown as one.
        let mut last = next;
        while last + 1 < hunks.len() && hunks[last + 1].before.start - hunks[last].before.end <= 2 * CONTEXT {
            last += 1;
        }
        show(&mut text, &old, &new, &hunks[next..=last]);
        next = last + 1;
    }
    text
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn show(text: &mut String, old: &[&str], new: &[&str], hunks: &[Hunk]) {
    let (first, last) = (&hunks[0], &hunks[hunks.len() - 1]);
    let above = CONTEXT.min(first.before.start);
    let below = CONTEXT.min(old.len() as u32 - last.before.end);
    let from = (first.before.start - above, first.after.start - above);
    let counts = (last.before.end + below - from.0, last.after.end + below - from.1);
    let place = |start: u32, count: u32| match count {
        0 => format!("{start},0"),
        1 => format!("{}", start + 1),
        count => format!("{},{count}", start + 1),
    };
    text.push_str(&format!("@@ -{} +{} @@\n", place(from.0, counts.0), place(from.1, counts.1)));
    let mut put = |sign: char, line: &str| {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    };
    let mut at = from.0;
    for hunk in hunks {
        old[at as usize..hunk.before.start as usize].iter().for_each(|line| put(' ', line));
        old[hunk.before.start as usize..hunk.before.end as usize].iter().for_each(|line| put('-', line));
        new[hunk.after.start as usize..hunk.after.end as usize].iter().for_each(|line| put('+', line));
        at = hunk.before.end;
    }
    old[at as usize..(at + below) as usize].iter().for_each(|line| put(' ', line));
}
