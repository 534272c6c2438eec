//! Text of unknown origin as HTML: nothing in it can act, nothing in it is invisible, and code is lightly coloured.
//!
//! Comments, strings and the most common keywords are told apart by one pass over the characters, without a grammar: it is
//! a help to the eye. Not covered: raw strings, regular expressions and nested comments, which may be coloured wrongly; the text itself
//! is always whole.

/// What a stretch of code is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    String,
    Keyword,
    Other,
}

/// A text as HTML without any colour.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 8);
    escape(text, &mut html);
    html
}

/// A text for a title, in which there are no tags.
pub fn plain(text: &str) -> String {
    let seen = |letter: char| match letter {
        letter if is_unseen(letter) => format!("U+{:04X}", letter as u32),
        letter => escaped(letter.encode_utf8(&mut [0; 4])),
    };
    text.chars().map(seen).collect()
}

/// Code as HTML.
pub fn code(text: &str, language: &str) -> String {
    let mut html = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text;
    while !rest.is_empty() {
        let (kind, length) = stretch(rest, language);
        let (part, behind) = rest.split_at(length);
        rest = behind;
        let class = match kind {
            Kind::Comment => "c",
            Kind::String => "s",
            Kind::Keyword => "k",
            Kind::Other => {
                escape(part, &mut html);
                continue;
            }
        };
        html.push_str(&format!("<span class=\"{class}\">"));
        escape(part, &mut html);
        html.push_str("</span>");
    }
    html
}

fn escape(text: &str, html: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            '\n' | '\t' => html.push(letter),
            letter if is_unseen(letter) => {
                html.push_str(&format!("<span class=\"u\">U+{:04X}</span>", letter as u32));
            }
            letter => html.push(letter),
        }
    }
}

/// Characters that show nothing, or that make a line read otherwise than it is: controls, and marks of direction and width.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The kind of what a text begins with, and how long it is: at least one character.
fn stretch(text: &str, language: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or(' ');
    let hashes = language == "python";
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let line = || text.find('\n').unwrap_or(text.len());
    match first {
        '#' if hashes => (Kind::Comment, line()),
        '/' if !hashes && text.starts_with("//") => (Kind::Comment, line()),
        '/' if !hashes && text.starts_with("/*") => (Kind::Comment, until("*/", 2)),
        '"' | '\'' if hashes && text[1..].starts_with(&format!("{first}{first}")) => {
            (Kind::String, until(&format!("{first}{first}{first}"), 3))
        }
        '"' => (Kind::String, quoted(text, first)),
        '\'' if language == "rust" => match lifetime(text) {
            Some(length) => (Kind::Other, length),
            None => (Kind::String, quoted(text, first)),
        },
        '\'' => (Kind::String, quoted(text, first)),
        '`' if matches!(language, "go" | "javascript" | "typescript") => (Kind::String, until("`", 1)),
        first if is_word(first) => {
            let length = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
            // A digit separator is no quote.
            let grouped = first.is_ascii_digit() && matches!(language, "c" | "cpp");
            let length = if grouped { number(text) } else { length };
            (if KEYWORDS.contains(&&text[..length]) { Kind::Keyword } else { Kind::Other }, length)
        }
        _ => {
            let plain = |letter: char| !is_word(letter) && !matches!(letter, '"' | '\'' | '`' | '#' | '/');
            let length = text.find(|letter| !plain(letter)).unwrap_or(text.len());
            (Kind::Other, length.max(first.len_utf8()))
        }
    }
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Length of a number of C++14, in which `'` stands between digits.
fn number(text: &str) -> usize {
    text.find(|letter| !is_word(letter) && letter != '\'').unwrap_or(text.len())
}

/// Length of a string up to its closing quote or the end of its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '\n' if !escaped => return at,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            letter if letter == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Length of a Rust lifetime: a quote and a name that no quote ends.
fn lifetime(text: &str) -> Option<usize> {
    let name = text[1..].find(|letter| !is_word(letter)).map_or(text.len(), |at| at + 1);
    (name > 1 && !text[name..].starts_with('\'')).then_some(name)
}

const KEYWORDS: [&str; 64] = [
    "as",
    "async",
    "auto",
    "await",
    "bool",
    "break",
    "case",
    "catch",
    "char",
    "class",
    "const",
    "constexpr",
    "continue",
    "def",
    "default",
    "defer",
    "delete",
    "do",
    "double",
    "elif",
    "else",
    "enum",
    "except",
    "export",
    "extern",
    "float",
    "fn",
    "for",
    "from",
    "func",
    "function",
    "go",
    "if",
    "impl",
    "import",
    "in",
    "inline",
    "int",
    "interface",
    "let",
    "long",
    "match",
    "mod",
    "mut",
    "namespace",
    "new",
    "package",
    "private",
    "pub",
    "public",
    "raise",
    "return",
    "self",
    "static",
    "struct",
    "switch",
    "template",
    "trait",
    "try",
    "typedef",
    "typename",
    "use",
    "void",
    "while",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a reader of the page sees, back as text: the inverse of what this module does, written apart from it. Fails on a tag
    /// or an entity that is not one of ours.
    fn seen(html: &str) -> String {
        let mut text = String::new();
        let mut rest = html;
        while let Some(at) = rest.find(['<', '&']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let marks = [
                ("&amp;", "&"),
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&#39;", "'"),
                ("<span class=\"c\">", ""),
                ("<span class=\"s\">", ""),
                ("<span class=\"k\">", ""),
                ("</span>", ""),
            ];
            if let Some(behind) = rest.strip_prefix("<span class=\"u\">U+") {
                let (number, behind) = behind.split_once("</span>").unwrap();
                text.push(u32::from_str_radix(number, 16).ok().and_then(char::from_u32).unwrap());
                rest = behind;
            } else {
                let (mark, plain) = marks.iter().find(|(mark, _)| rest.starts_with(mark)).expect(rest);
                text.push_str(plain);
                rest = &rest[mark.len()..];
            }
        }
        text + rest
    }

    fn check(text: &str, language: &str) {
        let html = code(text, language);
        assert_eq!(seen(&html), text);
        assert_eq!(seen(&escaped(text)), text);
        assert!(!html.chars().any(|letter| is_unseen(letter) && !matches!(letter, '\n' | '\t')), "{html:?}");
    }

    proptest! {
        #[test]
        fn nothing_acts_and_nothing_is_lost(
            text in any::<String>(),
            code in r#"([a-z]{1,3}|["'`/*#<>&\\\n\r\t ]|</pre>|<script>|\u{202e}|\u{0}|é|1'0){0,40}"#,
            language in prop::sample::select(vec!["c", "cpp", "rust", "python", "go", "typescript", "unknown"]),
        ) {
            check(&text, language);
            check(&code, language);
        }
    }

    #[test]
    fn code_is_coloured() {
        let coloured = |text: &str, language: &str| {
            let html = code(text, language);
            html.replace("<span class=\"", "[").replace("\">", ":").replace("</span>", "]")
        };
        assert_eq!(coloured("int a; // b", "c"), "[k:int] a; [c:// b]");
        assert_eq!(coloured("x = \"a\\\"b\" / 1'000;", "cpp"), "x = [s:&quot;a\\&quot;b&quot;] / 1&#39;000;");
        assert_eq!(coloured("fn f<'a>(x: &'a u8) { 'b' }", "rust").matches("[s:").count(), 1);
        assert_eq!(
            coloured("# a\n'''b\nc''' + 'd", "python"),
            "[c:# a]\n[s:&#39;&#39;&#39;b\nc&#39;&#39;&#39;] + [s:&#39;d]"
        );
        assert_eq!(coloured("# a", "c"), "# a");
    }
}
