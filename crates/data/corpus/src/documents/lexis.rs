//! C and C++ below the level of a parser: comments, literals, brackets, words, the starts of directives.

use std::ops::Range;

/// Part of a word.
pub(super) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 128
}

/// Whether a word stands in a text, comments and literals included.
pub(super) fn has_word(text: &[u8], word: &[u8]) -> bool {
    text.split(|byte| !is_word(*byte)).any(|part| part == word)
}

/// Whether code begins with a word.
pub(super) fn starts_with_word(code: &[u8], word: &[u8]) -> bool {
    code.starts_with(word) && code.get(word.len()).is_none_or(|byte| !is_word(*byte))
}

/// Where the comments and white space at the start of a text end.
pub(super) fn code_start(text: &[u8]) -> usize {
    let mut at = 0;
    loop {
        at += text[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if text[at..].starts_with(b"//") || text[at..].starts_with(b"/*") {
            at = step(text, at).unwrap_or(text.len());
        } else {
            return at;
        }
    }
}

/// The end of a line that backslashes may continue.
pub(super) fn line_end(source: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(step) = source[at..].iter().position(|byte| *byte == b'\n') {
        if !source[at..at + step].trim_ascii_end().ends_with(b"\\") {
            return at + step;
        }
        at += step + 1;
    }
    source.len()
}

/// Past the comment or literal that begins at a position, or past one byte. `None` where a literal does not end.
pub(super) fn step(code: &[u8], at: usize) -> Option<usize> {
    match (code[at], code.get(at + 1)) {
        (b'/', Some(b'/')) => Some(line_end(code, at)),
        (b'/', Some(b'*')) => {
            let end = code[at..].windows(2).skip(2).position(|pair| pair == b"*/");
            Some(end.map_or(code.len(), |end| at + end + 4))
        }
        (b'"', _) if at > 0 && code[at - 1] == b'R' => {
            let delimiter = code[at + 1..].iter().take(17).position(|byte| *byte == b'(')?;
            let closing = [b")", &code[at + 1..at + 1 + delimiter], b"\""].concat();
            let found = code[at..].windows(closing.len()).position(|window| window == closing)?;
            Some(at + found + closing.len())
        }
        (b'\'', _) if within_number(code, at) => Some(at + 1),
        (b'"' | b'\'', _) => after_quote(code, at),
        _ => Some(at + 1),
    }
}

fn after_quote(code: &[u8], at: usize) -> Option<usize> {
    let mut next = at + 1;
    loop {
        match code.get(next)? {
            b'\\' => next += 2,
            b'\n' => return None,
            byte if *byte == code[at] => return Some(next + 1),
            _ => next += 1,
        }
    }
}

fn within_number(code: &[u8], at: usize) -> bool {
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(**byte, b'_' | b'\'' | b'.');
    let word = code[..at].iter().rev().take_while(part).count();
    code[at - word..at].first().is_some_and(u8::is_ascii_digit)
}

/// Whether only blanks stand before a position in its line.
pub(super) fn begins_line(code: &[u8], at: usize) -> bool {
    code[..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')).is_none_or(|byte| *byte == b'\n')
}

/// Past the bracket that closes the one at a position; the end of the code where none does.
pub(super) fn past_bracket(code: &[u8], open: usize) -> usize {
    let closing = match code[open] {
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        _ => b']',
    };
    let mut depth = 0usize;
    let mut at = open;
    while at < code.len() {
        if code[at] == code[open] {
            depth += 1;
        } else if code[at] == closing {
            depth -= 1;
            if depth == 0 {
                return at + 1;
            }
        }
        at = step(code, at).unwrap_or(code.len());
    }
    code.len()
}

/// `define` of `# define X`.
pub(super) fn directive(code: &[u8]) -> Option<&[u8]> {
    let rest = code.strip_prefix(b"#")?.trim_ascii_start();
    let end = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// What follows the name of a directive.
pub(super) fn directive_text(code: &[u8]) -> &[u8] {
    let Some(name) = directive(code) else { return &[] };
    let rest = code[1..].trim_ascii_start();
    &rest[name.len()..]
}

/// The words of a file's part that can name something: no keywords, nothing in comments and literals. Each comes with
/// its range, what stands before it, and whether `(` follows.
pub(super) fn words(source: &[u8], range: Range<usize>, take: &mut dyn FnMut(Range<usize>, After, bool)) {
    let code = &source[..range.end];
    let mut after = After::Nothing;
    let mut at = range.start;
    while at < range.end {
        let byte = code[at];
        let next = code.get(at + 1).copied().unwrap_or(b' ');
        if is_word(byte) {
            let length = code[at..].iter().position(|byte| !is_word(*byte)).unwrap_or(range.end - at);
            if byte.is_ascii_digit() {
                let part = |byte: &u8| is_word(*byte) || matches!(byte, b'.' | b'\'');
                at += code[at..].iter().position(|byte| !part(byte)).unwrap_or(range.end - at);
            } else {
                if !is_reserved(&code[at..at + length]) {
                    let call = code[at + length..].trim_ascii_start().first() == Some(&b'(');
                    take(at..at + length, after, call);
                }
                at += length;
            }
            after = After::Nothing;
            continue;
        }
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let sign = match (byte, next) {
            (b'.', next) if next != b'.' => After::Member,
            (b'-', b'>') => After::Member,
            (b':', b':') => After::Scope,
            _ => After::Nothing,
        };
        after = sign;
        at = match sign {
            After::Nothing => step(code, at).unwrap_or(at + 1),
            After::Member if byte == b'.' => at + 1,
            After::Member | After::Scope => at + 2,
        };
    }
}

/// What stands before a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing that changes where it is looked up.
    Nothing,
    /// `.` or `->`.
    Member,
    /// `::`.
    Scope,
}

/// Whether a word is a keyword of either language. In the other one, and in older ones, it may be a name all the same: C has
/// functions called `try`, its own `bool`, and macros for what came later.
pub(super) fn is_keyword(word: &[u8]) -> bool {
    is_reserved(word) || SOMEWHERE_RESERVED.binary_search(&word).is_ok()
}

fn is_reserved(word: &[u8]) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

/// Keywords of both languages and of directives, sorted.
const RESERVED: [&[u8]; 41] = [
    b"auto",
    b"break",
    b"case",
    b"char",
    b"const",
    b"continue",
    b"default",
    b"define",
    b"defined",
    b"do",
    b"double",
    b"elif",
    b"else",
    b"endif",
    b"enum",
    b"extern",
    b"float",
    b"for",
    b"goto",
    b"if",
    b"ifdef",
    b"ifndef",
    b"include",
    b"int",
    b"long",
    b"pragma",
    b"register",
    b"return",
    b"short",
    b"signed",
    b"sizeof",
    b"static",
    b"struct",
    b"switch",
    b"typedef",
    b"undef",
    b"union",
    b"unsigned",
    b"void",
    b"volatile",
    b"while",
];

/// Keywords of one of the languages, or of its later standards, sorted.
const SOMEWHERE_RESERVED: [&[u8]; 45] = [
    b"alignas",
    b"alignof",
    b"asm",
    b"bool",
    b"catch",
    b"class",
    b"const_cast",
    b"consteval",
    b"constexpr",
    b"constinit",
    b"decltype",
    b"delete",
    b"dynamic_cast",
    b"explicit",
    b"export",
    b"false",
    b"final",
    b"friend",
    b"inline",
    b"mutable",
    b"namespace",
    b"new",
    b"noexcept",
    b"nullptr",
    b"operator",
    b"override",
    b"private",
    b"protected",
    b"public",
    b"reinterpret_cast",
    b"restrict",
    b"static_assert",
    b"static_cast",
    b"template",
    b"this",
    b"thread_local",
    b"throw",
    b"true",
    b"try",
    b"typeid",
    b"typename",
    b"using",
    b"virtual",
    b"wchar_t",
    b"xor",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_that_can_name_something() {
        assert!(RESERVED.is_sorted() && SOMEWHERE_RESERVED.is_sorted());
        let code = b"int f() { // g\n  return a->b(\"c\", 'd', 0x1'fUL) + std::max(e.f, R\"(x\")\"); }";
        let mut seen = Vec::new();
        words(code, 0..code.len(), &mut |range, after, call| {
            seen.push((String::from_utf8_lossy(&code[range]).into_owned(), after, call));
        });
        let expected = [
            ("f", After::Nothing, true),
            ("a", After::Nothing, false),
            ("b", After::Member, true),
            ("std", After::Nothing, false),
            ("max", After::Scope, true),
            ("e", After::Nothing, false),
            ("f", After::Member, false),
            ("R", After::Nothing, false),
        ];
        assert_eq!(seen, expected.map(|(word, after, call)| (word.to_owned(), after, call)));
    }
}
