//! What holds for any bytes in any language. The fuzz target compiles this file too.

use std::ops::Range;
use wootz_chunk::{Chunker, Item, Language, Parsed, PieceKind, split};

/// Holds everything that the crate says about a source against it; panics where that is not so.
pub fn hold(language: &dyn Language, source: &[u8]) {
    let mut chunker = Chunker::new();
    let parsed = chunker.parse(language, source);
    assert_eq!(rejoined(&parsed, source), source, "the items, rejoined, are the file");
    named_inside(&parsed.items, language, source);
    let whole = chunker.parse_whole(language, source);
    assert_eq!(rejoined(&whole, source), source, "so are those of the whole parse");
    named_inside(&whole.items, language, source);
    if !whole.has_errors {
        assert_eq!(parsed.items, whole.items, "bodies left out change nothing");
    }
    assert_eq!(chunker.parse(language, source), parsed, "a parser that was used before reads the same");
    for max_bytes in [0, 1, 40, 1000] {
        tiled(&parsed, source, max_bytes);
    }
    defined(language, source);
}

/// The file, put together from its items and what stands between them, which no item may hold twice or leave out.
pub fn rejoined(parsed: &Parsed, source: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(source.len());
    let end = rejoin(&parsed.items, 0..source.len(), true, source, &mut text);
    assert!(is_blank(&source[end..]), "text after the last item belongs to none");
    text.extend_from_slice(&source[end..]);
    text
}

/// Appends the items within a range; returns where the last ends.
fn rejoin(items: &[Item], within: Range<usize>, top: bool, source: &[u8], text: &mut Vec<u8>) -> usize {
    let mut at = within.start;
    for item in items {
        let Range { start, end } = item.range;
        assert!(at <= start && start < end && end <= within.end, "{item:?} stands apart in its place");
        let between = &source[at..start];
        assert!(!top || is_blank(between), "no item has {:?}", String::from_utf8_lossy(between));
        text.extend_from_slice(between);
        at = rejoin(&item.members, item.range.clone(), false, source, text);
        text.extend_from_slice(&source[at..end]);
        at = end;
    }
    at
}

/// White space of any grammar, escaped newlines and marks without width included.
fn is_blank(text: &[u8]) -> bool {
    let blank = |letter: char| {
        letter.is_whitespace() || matches!(letter, '\\' | '\u{feff}' | '\u{200b}' | '\u{2060}')
    };
    String::from_utf8_lossy(text).chars().all(blank)
}

fn named_inside(items: &[Item], language: &dyn Language, source: &[u8]) {
    for item in items {
        let text = String::from_utf8_lossy(&source[item.range.clone()]);
        for name in &item.names {
            assert!(!name.is_empty() && name.len() <= 1000, "{name:?} is a name");
            assert!(stands_in(name, language, &text), "{name:?} stands in {text:?}");
        }
        assert!(item.prefix.len() <= 1000);
        named_inside(&item.members, language, source);
    }
}

fn stands_in(name: &str, language: &dyn Language, text: &str) -> bool {
    // A method is named with its receiver; a letter in pieces has no other way to be written.
    let method = || language.name() == "go" && name.split('.').all(|part| text.contains(part));
    text.contains(name) || method() || name.contains('\u{fffd}')
}

/// The pieces of a file tile it, keep to the limit, and cut no item.
pub fn tiled(parsed: &Parsed, source: &[u8], max_bytes: usize) {
    let pieces = split(parsed, source, max_bytes);
    let mut at = 0;
    for piece in &pieces {
        assert_eq!(piece.range.start, at, "pieces tile the file");
        assert!(piece.kind == PieceKind::Oversized || piece.range.len() <= max_bytes, "{piece:?}");
        at = piece.range.end;
        if let Ok(text) = std::str::from_utf8(source) {
            assert!(text.get(piece.range.clone()).is_some(), "{piece:?} cuts a character");
        }
    }
    assert_eq!(at, source.len(), "pieces reach the end");
    let mut ends = pieces.iter().map(|piece| piece.range.end).peekable();
    uncut(&parsed.items, &mut ends);
}

fn uncut(items: &[Item], ends: &mut std::iter::Peekable<impl Iterator<Item = usize>>) {
    for item in items {
        if item.members.is_empty() {
            while ends.next_if(|end| *end <= item.range.start).is_some() {}
            assert!(ends.peek().is_some_and(|end| item.range.end <= *end), "{item:?} is not cut");
        }
        uncut(&item.members, ends);
    }
}

/// Definitions are sorted, one inside the other or apart, and hold their names.
fn defined(language: &dyn Language, source: &[u8]) {
    let definitions = Chunker::new().definitions(language, source);
    let mut around: Vec<Range<usize>> = Vec::new();
    let mut last = 0;
    for definition in &definitions {
        let range = definition.range.clone();
        assert!(last <= range.start && range.start < range.end && range.end <= source.len());
        last = range.start;
        around.retain(|outer| outer.end > range.start);
        assert!(around.iter().all(|outer| range.end <= outer.end), "{definition:?} is inside of {around:?}");
        let text = String::from_utf8_lossy(&source[range.clone()]);
        let separator = if matches!(language.name(), "c" | "cpp" | "rust") { "::" } else { "." };
        let own = definition.name.rsplit(separator).next().unwrap_or_default();
        assert!(own.contains('\u{fffd}') || text.contains(own), "{own:?} stands in {text:?}");
        around.push(range);
    }
}
