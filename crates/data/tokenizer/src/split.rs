//! Cuts text into the pieces that merges never cross: GPT-4's pattern with number groups of one or two digits.
//!
//! The pattern is a regular expression with lookahead and possessive repeats. Engines that can run it are slow, so
//! it is written out here as a scanner: one look at the class of the first character, and of the one after it,
//! decides which alternative matches, and none of them ever has to give back more than one character.
//!
//! Bytes that are no UTF-8 stand for themselves: each byte at which no well-formed character begins is a piece
//! character of class `Other`, as if it were a punctuation mark. On well-formed text the cuts are the pattern's.

use crate::unicode_ranges::{LETTERS, NUMBERS};
use std::sync::LazyLock;

/// The pattern, as `tokenizer.json` states it. The alternatives are tried in this order at every position.
pub const PATTERN: &str = concat!(
    r"'(?i:[sdmt]|ll|ve|re)",
    r"|[^\r\n\p{L}\p{N}]?+\p{L}+",
    r"|\p{N}{1,2}",
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*",
    r"|\s*[\r\n]",
    r"|\s+(?!\S)",
    r"|\s+",
);

/// The pieces of a text, in order; put together they are the text.
pub fn pieces(text: &[u8]) -> Pieces<'_> {
    Pieces { text, start: 0 }
}

/// Iterator over the pieces of a text.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    text: &'a [u8],
    start: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.start == self.text.len() {
            return None;
        }
        let end = piece_end(self.text, self.start);
        let piece = &self.text[self.start..end];
        self.start = end;
        Some(piece)
    }
}

/// End of the piece that begins at `start`, which must lie within the text.
#[inline]
pub(crate) fn piece_end(text: &[u8], start: usize) -> usize {
    let (class, len) = class_at(text, start);
    let next = start + len;
    match class {
        Class::Letter => skip_letters(text, next),
        Class::Number => match class_at(text, next) {
            (Class::Number, len) => next + len,
            _ => next,
        },
        Class::Newline => whitespace_end(text, start),
        Class::Space => match class_at(text, next) {
            (Class::Letter, len) => skip_letters(text, next + len),
            (Class::Other, len) if text[start] == b' ' => others_end(text, next + len),
            _ => whitespace_end(text, start),
        },
        Class::Other => {
            if text[start] == b'\''
                && let Some(end) = contraction_end(text, next)
            {
                return end;
            }
            match class_at(text, next) {
                (Class::Letter, len) => skip_letters(text, next + len),
                _ => others_end(text, next),
            }
        }
        Class::End => start,
    }
}

/// What the pattern tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Class {
    /// Neither letter, number nor white space.
    Other = 0,
    /// `\p{L}`
    Letter = 1,
    /// `\p{N}`
    Number = 2,
    /// `\s` without the line ends.
    Space = 3,
    /// `\r` or `\n`
    Newline = 4,
    /// Past the last byte.
    End = 5,
}

/// `\p{L}*`
#[inline]
fn skip_letters(text: &[u8], mut at: usize) -> usize {
    loop {
        while at < text.len() && ASCII[usize::from(text[at])] == Class::Letter {
            at += 1;
        }
        if at == text.len() || text[at] < 0x80 {
            return at;
        }
        match wide_class_at(text, at) {
            (Class::Letter, len) => at += len,
            _ => return at,
        }
    }
}

/// `[^\s\p{L}\p{N}]*[\r\n]*`
fn others_end(text: &[u8], mut at: usize) -> usize {
    while let (Class::Other, len) = class_at(text, at) {
        at += len;
    }
    while at < text.len() && matches!(text[at], b'\r' | b'\n') {
        at += 1;
    }
    at
}

/// The last three alternatives: up to the last line end of the run; else the whole run where the text ends with it;
/// else all but its last character, which belongs to what follows; else the single character.
fn whitespace_end(text: &[u8], start: usize) -> usize {
    let mut at = start;
    let mut last_start = start;
    let mut newline_end = None;
    loop {
        match class_at(text, at) {
            (Class::Newline, len) => {
                last_start = at;
                at += len;
                newline_end = Some(at);
            }
            (Class::Space, len) => {
                last_start = at;
                at += len;
            }
            _ => break,
        }
    }
    match newline_end {
        Some(end) => end,
        None if at == text.len() || last_start == start => at,
        None => last_start,
    }
}

/// `(?i:[sdmt]|ll|ve|re)`. Case folding adds one letter beyond ASCII: U+017F, the long s.
fn contraction_end(text: &[u8], at: usize) -> Option<usize> {
    let first = text.get(at)?.to_ascii_lowercase();
    if matches!(first, b's' | b'd' | b'm' | b't') {
        return Some(at + 1);
    }
    let second = *text.get(at + 1)?;
    let pair = [first, second.to_ascii_lowercase()];
    let long_s = [text[at], second] == [0xC5, 0xBF];
    (long_s || matches!(&pair, b"ll" | b"ve" | b"re")).then_some(at + 2)
}

/// Class and length of the character at `at`.
#[inline]
fn class_at(text: &[u8], at: usize) -> (Class, usize) {
    match text.get(at) {
        None => (Class::End, 0),
        Some(&byte) if byte < 0x80 => (ASCII[usize::from(byte)], 1),
        Some(_) => wide_class_at(text, at),
    }
}

/// `class_at` for a byte of 0x80 and above.
fn wide_class_at(text: &[u8], at: usize) -> (Class, usize) {
    match decode_wide(&text[at..]) {
        Some((code, len)) => {
            let shift = code % 4 * 2;
            let class = match WIDE[code as usize / 4] >> shift & 3 {
                1 => Class::Letter,
                2 => Class::Number,
                3 => Class::Space,
                _ => Class::Other,
            };
            (class, len)
        }
        None => (Class::Other, 1),
    }
}

/// The well-formed UTF-8 character of two or more bytes at the start of `bytes` (Unicode 16.0, table 3-7).
fn decode_wide(bytes: &[u8]) -> Option<(u32, usize)> {
    let continuation = |i: usize| bytes.get(i).filter(|b| **b & 0xC0 == 0x80).map(|b| u32::from(b & 0x3F));
    let lead = u32::from(bytes[0]);
    let (code, len, least) = match lead {
        0xC2..=0xDF => ((lead & 0x1F) << 6 | continuation(1)?, 2, 0x80),
        0xE0..=0xEF => ((lead & 0x0F) << 12 | continuation(1)? << 6 | continuation(2)?, 3, 0x800),
        0xF0..=0xF4 => (
            (lead & 0x07) << 18 | continuation(1)? << 12 | continuation(2)? << 6 | continuation(3)?,
            4,
            0x1_0000,
        ),
        _ => return None,
    };
    (code >= least && code <= 0x10_FFFF && !(0xD800..=0xDFFF).contains(&code)).then_some((code, len))
}

static ASCII: [Class; 256] = ascii_classes();

const fn ascii_classes() -> [Class; 256] {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Number,
            b'\r' | b'\n' => Class::Newline,
            b'\t' | 0x0B | 0x0C | b' ' => Class::Space,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
}

/// Classes of all code points, two bits each: 272 KiB, of which a text touches a few lines.
static WIDE: LazyLock<Box<[u8]>> = LazyLock::new(|| {
    let mut packed = vec![0u8; 0x11_0000 / 4].into_boxed_slice();
    let mut set = |code: u32, class: Class| packed[code as usize / 4] |= (class as u8) << (code % 4 * 2);
    for (ranges, class) in [(LETTERS, Class::Letter), (NUMBERS, Class::Number)] {
        for (first, last) in ranges {
            (*first..=*last).for_each(|code| set(code, class));
        }
    }
    ('\u{80}'..='\u{FFFF}').filter(|c| c.is_whitespace()).for_each(|c| set(c as u32, Class::Space));
    packed
});

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let cut: Vec<&str> = pieces(text.as_bytes()).map(|p| std::str::from_utf8(p).unwrap()).collect();
        assert_eq!(cut, expected, "{text:?}");
    }

    #[test]
    fn each_alternative() {
        check("don't I'LL we'ſo 'x", &["don", "'t", " I", "'LL", " we", "'ſ", "o", " '", "x"]);
        check("foo_bar(x1234)", &["foo", "_bar", "(x", "12", "34", ")"]);
        check("a ==\n\n\tb", &["a", " ==\n\n", "\tb"]);
        check("x  \n   y", &["x", "  \n", "  ", " y"]);
        check("x   ", &["x", "   "]);
        check("x  1", &["x", " ", " ", "1"]);
        check("über 日本語、٣٤٥", &["über", " 日本語", "、", "٣٤", "٥"]);
        check("", &[]);
    }

    #[test]
    fn malformed_bytes_are_punctuation() {
        let text = b"ab\xFF\xE2\x82 cd\xC0\xAFef\xED\xA0\x80";
        let cut: Vec<&[u8]> = pieces(text).collect();
        assert_eq!(cut, [&b"ab"[..], b"\xFF\xE2\x82", b" cd", b"\xC0\xAF", b"ef", b"\xED\xA0\x80"]);
    }
}
