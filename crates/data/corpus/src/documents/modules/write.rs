//! The text of a document: headers, imports, then the parts in their order.

use std::collections::BTreeSet;
use wootz_chunk::PartKind;
use wootz_schema::document::DocumentKind;

use super::super::compose::{Composed, each_once};
use super::Place;
use super::order::arrange;
use super::slice::Slice;

/// Puts a slice into words.
pub(super) fn compose(slice: &Slice<'_>, kind: DocumentKind) -> Composed {
    let order = arrange(slice);
    let mut text = String::new();
    headers(slice, &mut text);
    imports(slice, &mut text);
    bodies(slice, &order, &mut text);
    let source = slice.modules.source(slice.root.0);
    let files: BTreeSet<u32> = order.iter().map(|(file, _)| *file).collect();
    Composed {
        tokens: (slice.count)(&text),
        text,
        path: source.path.clone(),
        language: source.language.name(),
        kind,
        symbols: each_once(order.iter().flat_map(|place| symbols(slice, *place))),
        drawn_from: files.into_iter().map(|file| slice.modules.source(file).path.clone()).collect(),
    }
}

fn symbols(slice: &Slice<'_>, place: Place) -> Vec<String> {
    let Some(part) = slice.part(place) else { return Vec::new() };
    let separator = if slice.modules.source(place.0).language.name() == "rust" { "::" } else { "." };
    let owner = part.owner.as_deref().unwrap_or("");
    let members = part.members.iter().map(|member| format!("{owner}{separator}{member}"));
    part.names.iter().cloned().chain(members).collect()
}

/// Headers of the root's file; of the others those of Python, which say how their annotations are read.
fn headers(slice: &Slice<'_>, text: &mut String) {
    let mut written = BTreeSet::new();
    let mut files: Vec<u32> = vec![slice.root.0];
    if slice.modules.source(slice.root.0).language.name() == "python" {
        files.extend(slice.parts.iter().map(|(file, _)| *file).filter(|file| *file != slice.root.0));
    }
    for file in files {
        let Some(read) = slice.modules.read(file) else { continue };
        for part in read.outline.parts.iter().filter(|part| part.kind == PartKind::Header) {
            let header = slice.modules.source(file).text[part.range.clone()].trim_end();
            if written.insert(header) {
                text.push_str(header);
                text.push('\n');
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
}

/// Imports of the root's file, then of the others; as they stand where all of a statement is used.
fn imports(slice: &Slice<'_>, text: &mut String) {
    let before = text.len();
    let mut written: BTreeSet<&str> = BTreeSet::new();
    let mut whole = BTreeSet::new();
    let own = slice.imports.iter().filter(|((file, ..), _)| *file == slice.root.0);
    let others = slice.imports.iter().filter(|((file, ..), _)| *file != slice.root.0);
    for ((file, part, _), line) in own.chain(others) {
        if whole.contains(&(*file, *part)) || !written.insert(line) {
            continue;
        }
        let Some(read) = slice.modules.read(*file) else { continue };
        let of = &read.outline.parts[*part as usize];
        let spoken_for = |place: usize| slice.imports.contains_key(&(*file, *part, place as u32));
        let same_text = |one: usize| {
            (0..of.imports.len()).any(|other| {
                of.imports[one].written == of.imports[other].written
                    && of.imports[one].module == of.imports[other].module
                    && spoken_for(other)
            })
        };
        let source = &slice.modules.source(*file).text[of.range.clone()];
        let attributed = source.starts_with("#[") || source.starts_with("//");
        if *file == slice.root.0 && ((0..of.imports.len()).all(same_text) || attributed) {
            whole.insert((*file, *part));
            text.push_str(source.trim_end());
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    if text.len() > before {
        text.push('\n');
    }
}

fn bodies(slice: &Slice<'_>, order: &[Place], text: &mut String) {
    let mut open: Option<(u32, usize)> = None;
    let mut last: Option<Place> = None;
    let close = |bracket: Option<(u32, usize)>, text: &mut String| {
        if let Some((file, bracket)) = bracket
            && let Some(read) = slice.modules.read(file)
        {
            text.push_str(&slice.modules.source(file).text[read.outline.brackets[bracket].close.clone()]);
            text.push('\n');
        }
    };
    for place in order {
        let Some(read) = slice.modules.read(place.0) else { continue };
        let part = &read.outline.parts[place.1 as usize];
        let source = &slice.modules.source(place.0).text;
        let bracket = part.bracket.map(|bracket| (place.0, bracket));
        let changes = bracket != open;
        if changes {
            close(open, text);
        }
        if last.is_some_and(|last| !adjoins(slice, last, *place)) {
            text.push('\n');
        }
        if changes && let Some((_, bracket)) = bracket {
            text.push_str(&source[read.outline.brackets[bracket].open.clone()]);
            text.push('\n');
        }
        text.push_str(&source[part.range.clone()]);
        text.push('\n');
        open = bracket;
        last = Some(*place);
    }
    close(open, text);
}

/// Whether two parts follow each other in their file without a blank line.
fn adjoins(slice: &Slice<'_>, last: Place, next: Place) -> bool {
    let (Some(one), Some(other)) = (slice.part(last), slice.part(next)) else { return false };
    let source = slice.modules.source(last.0).text.as_bytes();
    last.0 == next.0
        && one.bracket == other.bracket
        && one.range.end <= other.range.start
        && source[one.range.end..other.range.start].iter().all(u8::is_ascii_whitespace)
        && source[one.range.end..other.range.start].iter().filter(|byte| **byte == b'\n').count() <= 1
}
