//! Whether the text of an item can be what it is said to be.
//!
//! A parser that met something it does not know may draw the limits of items wrongly, and a slice that rests on them
//! would not compile. One pass over the characters of an item finds that out: its brackets match, so do the
//! conditional directives in it, and it ends as an item of its kind does.

use super::entry::Kind;
use super::lexis::{begins_line, code_start, line_end, step};

/// Whether the code of an item, which begins with its first token, is whole.
pub(super) fn is_whole(code: &[u8], kind: Kind) -> bool {
    match kind {
        Kind::Include | Kind::Macro | Kind::Undefine | Kind::Layout | Kind::Idle | Kind::Unknown => true,
        Kind::Function | Kind::Call => balanced_end(code).is_some(),
        _ => balanced_end(code) == Some(b';'),
    }
}

/// Whether a text is white space and comments.
pub(super) fn is_blank(text: &[u8]) -> bool {
    code_start(text) >= text.len()
}

/// The last byte of code, if all brackets and conditional directives match.
fn balanced_end(code: &[u8]) -> Option<u8> {
    let mut open = Vec::new();
    let mut conditionals = 0usize;
    let mut last = 0;
    let mut at = 0;
    while let Some(byte) = code.get(at).copied() {
        let next = step(code, at)?;
        if code[at..next].starts_with(b"//") || code[at..next].starts_with(b"/*") {
            at = next;
            continue;
        }
        match byte {
            b'#' if begins_line(code, at) => {
                let word = code[at + 1..].trim_ascii_start();
                if word.starts_with(b"if") {
                    conditionals += 1;
                } else if word.starts_with(b"endif") {
                    conditionals = conditionals.checked_sub(1)?;
                } else if word.starts_with(b"el") && conditionals == 0 {
                    return None;
                }
                at = line_end(code, at);
                continue;
            }
            b'(' | b'[' | b'{' => open.push(byte),
            b')' | b']' | b'}' => {
                let opened = open.pop()?;
                if !matches!((opened, byte), (b'(', b')') | (b'[', b']') | (b'{', b'}')) {
                    return None;
                }
            }
            _ => {}
        }
        if !byte.is_ascii_whitespace() {
            last = byte;
        }
        at = next;
    }
    (open.is_empty() && conditionals == 0).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_items_are_told_from_pieces() {
        let check =
            |code: &str, kind, expected| assert_eq!(is_whole(code.as_bytes(), kind), expected, "{code}");
        check("struct A { int b; }; // }", Kind::Type, true);
        check("struct A { int b; }", Kind::Type, false);
        check("int f() { return '}' + 1'000 + \"{\"[0]; }", Kind::Function, true);
        check("int f() { return 1; } }", Kind::Function, false);
        check("auto s = R\"x()\" })x\";", Kind::Global, true);
        check("int f() {\n#if A\n  g();\n#endif\n}", Kind::Function, true);
        check("int f() {\n#else\n  g();\n}", Kind::Function, false);
        check("zip(unsigned char *p)", Kind::Prototype, false);
    }
}
