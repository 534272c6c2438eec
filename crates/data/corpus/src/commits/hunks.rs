//! What a change changed: its hunks, the definitions they lie in, and the diff as people write it.
//!
//! Lines are compared by histogram diff. A changed line belongs to the smallest function that holds it, else to the smallest
//! type, but a blank line between a type's members to none. Lines that were only added belong, on the old side, to what holds
//! the gap, where that is what they belong to on the new side: a new method changes no old one, a new statement does.

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

/// One version of a file, with where its definitions begin and end.
pub(super) struct Side<'a> {
    definitions: &'a [Definition],
    lines: Vec<&'a str>,
    /// Lines of each definition.
    spans: Vec<Range<u32>>,
}

impl<'a> Side<'a> {
    /// Finds the lines that definitions stand in.
    pub fn new(definitions: &'a [Definition], text: &'a str) -> Side<'a> {
        let mut starts = vec![0];
        starts.extend(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        let line_of = |at: usize| starts.partition_point(|start| *start <= at) as u32 - 1;
        let span = |one: &Definition| {
            line_of(one.range.start)..line_of(one.range.end.saturating_sub(1).max(one.range.start)) + 1
        };
        Side { definitions, lines: lines(text), spans: definitions.iter().map(span).collect() }
    }

    /// The definition that a line belongs to.
    fn of_line(&self, line: u32) -> Option<usize> {
        let found = self.smallest(|span| span.contains(&line))?;
        let blank = self.lines.get(line as usize).is_none_or(|text| text.trim().is_empty());
        (!blank || self.definitions[found].kind == DefinitionKind::Function).then_some(found)
    }

    /// The definition that holds the lines before and behind a gap.
    fn of_gap(&self, at: u32) -> Option<usize> {
        self.smallest(|span| span.start < at && at < span.end)
    }

    /// The smallest function that a test finds, else the smallest type.
    fn smallest(&self, holds: impl Fn(&Range<u32>) -> bool) -> Option<usize> {
        let of_kind = |kind: DefinitionKind| {
            let those = (0..self.spans.len())
                .filter(|one| self.definitions[*one].kind == kind && holds(&self.spans[*one]));
            those.min_by_key(|one| self.definitions[*one].range.len())
        };
        of_kind(DefinitionKind::Function).or_else(|| of_kind(DefinitionKind::Type))
    }
}

/// Indices of the definitions that changed on each side, ascending.
pub(super) fn changed(before: &Side<'_>, after: &Side<'_>, hunks: &[Hunk]) -> (Vec<usize>, Vec<usize>) {
    let mut found = (Vec::new(), Vec::new());
    for hunk in hunks {
        let mut old: Vec<usize> = hunk.before.clone().filter_map(|line| before.of_line(line)).collect();
        let mut new: Vec<usize> = hunk.after.clone().filter_map(|line| after.of_line(line)).collect();
        let around_gap = |gap: &Range<u32>, side: &Side<'_>, other: &Side<'_>, others: &[usize]| {
            let around = side.of_gap(gap.start).filter(|_| gap.is_empty())?;
            let name = &side.definitions[around].name;
            others.iter().any(|one| other.definitions[*one].name == *name).then_some(around)
        };
        let gaps =
            (around_gap(&hunk.before, before, after, &new), around_gap(&hunk.after, after, before, &old));
        old.extend(gaps.0);
        new.extend(gaps.1);
        found.0.append(&mut old);
        found.1.append(&mut new);
    }
    for side in [&mut found.0, &mut found.1] {
        side.sort_unstable();
        side.dedup();
    }
    found
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
