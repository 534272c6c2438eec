//! What an item is, read off its text.
//!
//! The chunker says where items begin and end and what they are called; this says which kind they are, by the first
//! of the signs that decide it: a directive, a keyword in front, then whichever of `(`, `=`, `{`, `;` comes first
//! outside template arguments.
//!
//! Not covered: a variable with a constructor's arguments looks like a prototype; to a slice they are alike.

use std::ops::Range;

use super::entry::Kind;
use super::lexis::{directive, directive_text, has_word, is_word, past_bracket, starts_with_word, step};

/// What an item is, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub kind: Kind,
    /// Its braces, counted from where its code begins.
    pub body: Option<Range<usize>>,
    pub parameters: u32,
}

impl Reading {
    fn plain(kind: Kind) -> Reading {
        Reading { kind, body: None, parameters: 0 }
    }
}

/// Reads the code of an item, which begins with its first token.
pub(super) fn read(code: &[u8]) -> Reading {
    if code.is_empty() || code == b";" {
        return Reading::plain(Kind::Idle);
    }
    if code[0] == b'#' {
        return Reading::plain(of_directive(code));
    }
    let starts = |word: &[u8]| starts_with_word(code, word);
    if starts(b"using") {
        let rest = code[5..].trim_ascii_start();
        return Reading::plain(match () {
            () if code.contains(&b'=') => Kind::Alias,
            () if starts_with_word(rest, b"namespace") => Kind::Opening,
            () => Kind::Import,
        });
    }
    if starts(b"namespace") {
        return Reading::plain(if code.contains(&b'=') { Kind::Import } else { Kind::Idle });
    }
    if starts(b"static_assert") || starts(b"_Static_assert") {
        return Reading::plain(Kind::Assertion);
    }
    if starts(b"typedef") {
        let open = code.iter().position(|byte| *byte == b'{');
        let body = open.map(|open| open..past_bracket(code, open));
        return Reading { body, ..Reading::plain(Kind::Alias) };
    }
    // An instantiation asks for code, not for meaning.
    if starts(b"extern") && starts_with_word(code[6..].trim_ascii_start(), b"template") {
        return Reading::plain(Kind::Idle);
    }
    of_declaration(code)
}

fn of_directive(code: &[u8]) -> Kind {
    match directive(code) {
        Some(b"include") => Kind::Include,
        Some(b"define") => Kind::Macro,
        Some(b"undef") => Kind::Undefine,
        Some(b"pragma") if has_word(code, b"pack") => Kind::Layout,
        Some(b"pragma" | b"error" | b"warning" | b"line" | b"ident") => Kind::Idle,
        _ => Kind::Unknown,
    }
}

/// Path of an include, and whether it stands in angles. `None` where a macro stands for it.
pub(super) fn included(code: &[u8]) -> Option<(String, bool)> {
    let text = directive_text(code).trim_ascii();
    let (angle, closing) = match text.first()? {
        b'<' => (true, b'>'),
        b'"' => (false, b'"'),
        _ => return None,
    };
    let end = text[1..].iter().position(|byte| *byte == closing)?;
    Some((String::from_utf8_lossy(&text[1..=end]).into_owned(), angle))
}

fn of_declaration(code: &[u8]) -> Reading {
    let mut start = 0;
    let mut special = false;
    while starts_with_word(&code[start..], b"template") {
        let open = start + 8 + code[start + 8..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if code.get(open) != Some(&b'<') {
            return Reading::plain(Kind::Idle);
        }
        let end = past_bracket(code, open);
        special |= code[open + 1..end.max(open + 2) - 1].trim_ascii().is_empty();
        start = end + super::lexis::code_start(&code[end..]);
    }
    let signs = Signs::find(code, start);
    let mut reading = signs.reading(code, start);
    if special && !matches!(reading.kind, Kind::Call) {
        reading.kind = Kind::Specialization;
    }
    reading
}

/// What decides the kind of a declaration.
struct Signs {
    parameters: Option<Range<usize>>,
    body: Option<usize>,
    value: Option<usize>,
    end: usize,
}

impl Signs {
    fn find(code: &[u8], start: usize) -> Signs {
        let mut signs = Signs { parameters: None, body: None, value: None, end: code.len() };
        let mut angles = 0usize;
        let mut at = start;
        while at < code.len() {
            match code[at] {
                b'o' if starts_with_word(&code[at..], b"operator") && (at == 0 || !is_word(code[at - 1])) => {
                    at = past_operator(code, at + 8);
                    continue;
                }
                b'(' => {
                    let end = past_bracket(code, at);
                    if signs.parameters.is_none() && angles == 0 && !is_attribute(&code[start..at]) {
                        signs.parameters = Some(at..end);
                    }
                    at = end;
                    continue;
                }
                b'=' if signs.parameters.is_none() && angles == 0 => {
                    signs.value = Some(at);
                    return signs;
                }
                b'<' => angles += 1,
                b'>' if !code[..at].ends_with(b"-") => angles = angles.saturating_sub(1),
                b'{' if is_initializer(code, signs.parameters.as_ref(), at) => {
                    at = past_bracket(code, at);
                    continue;
                }
                b'{' => {
                    signs.body = Some(at);
                    return signs;
                }
                b';' => {
                    signs.end = at;
                    return signs;
                }
                _ => {}
            }
            at = step(code, at).unwrap_or(code.len());
        }
        signs
    }

    fn reading(&self, code: &[u8], start: usize) -> Reading {
        let head_end = self.value.or(self.body).unwrap_or(self.end);
        let head_end = self.parameters.as_ref().map_or(head_end, |parameters| parameters.start.min(head_end));
        let head = &code[start..head_end];
        let typed = [&b"class"[..], b"struct", b"union", b"enum"].iter().any(|word| has_word(head, word));
        let body_at = |open: usize| Some(open..past_bracket(code, open));
        if let Some(value) = self.value {
            let open = code[value..].iter().position(|byte| *byte == b'{').map(|step| value + step);
            return Reading { body: open.and_then(body_at), ..Reading::plain(Kind::Global) };
        }
        let parameters = self.parameters.as_ref().map_or(0, |range| count(&code[range.clone()]));
        if let Some(open) = self.body {
            let body = body_at(open);
            let after = body.as_ref().map_or(code.len(), |body| body.end);
            let ends = code[after..].trim_ascii_start();
            let kind = match () {
                () if self.parameters.is_some() => Kind::Function,
                () if typed && (ends.is_empty() || ends.starts_with(b";")) => Kind::Type,
                () => Kind::Global,
            };
            return Reading { kind, body, parameters };
        }
        let words = head.split(|byte| !is_word(*byte)).filter(|word| !word.is_empty()).count();
        let kind = match () {
            () if self.parameters.is_some() && words <= 1 => Kind::Call,
            () if self.parameters.is_some() => Kind::Prototype,
            () if typed && words <= 4 && !head.contains(&b'*') => Kind::Forward,
            () if words <= 1 => Kind::Call,
            () => Kind::Global,
        };
        Reading { kind, body: None, parameters }
    }
}

/// Past the sign of an operator, up to its parameters.
fn past_operator(code: &[u8], at: usize) -> usize {
    let sign = code[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if code[at + sign..].starts_with(b"()") {
        return at + sign + 2;
    }
    code[at..].iter().position(|byte| matches!(byte, b'(' | b';')).map_or(code.len(), |step| at + step)
}

/// Whether the parentheses after `before` belong to an attribute or a computed type.
fn is_attribute(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let word = before.iter().rposition(|byte| !is_word(*byte)).map_or(0, |last| last + 1);
    matches!(
        &before[word..],
        b"__attribute__" | b"__declspec" | b"alignas" | b"decltype" | b"noexcept" | b"explicit" | b"requires"
    )
}

/// Whether braces after parameters initialise a member: `A::A() : b{1} {}`.
fn is_initializer(code: &[u8], parameters: Option<&Range<usize>>, open: usize) -> bool {
    let Some(parameters) = parameters else { return false };
    let between = code[parameters.end.min(open)..open].trim_ascii_end();
    let word = between.iter().rposition(|byte| !is_word(*byte)).map_or(0, |last| last + 1);
    let lists = between.trim_ascii_start().starts_with(b":");
    lists
        && word < between.len()
        && !matches!(&between[word..], b"const" | b"override" | b"noexcept" | b"try")
}

/// Parameters between parentheses.
fn count(parentheses: &[u8]) -> u32 {
    let inner = parentheses.get(1..parentheses.len() - 1).unwrap_or(&[]).trim_ascii();
    if inner.is_empty() || inner == b"void" {
        return 0;
    }
    let mut depth = 0i32;
    let mut commas = 0;
    for byte in inner {
        match byte {
            b'(' | b'<' | b'[' | b'{' => depth += 1,
            b')' | b'>' | b']' | b'}' => depth -= 1,
            b',' if depth == 0 => commas += 1,
            _ => {}
        }
    }
    commas + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_off_the_text() {
        let check = |code: &str, kind, parameters| {
            let reading = read(code.as_bytes());
            assert_eq!((reading.kind, reading.parameters), (kind, parameters), "{code}");
        };
        check("class EXPORT A : public B<C> { int x; };", Kind::Type, 0);
        check("struct A;", Kind::Forward, 0);
        check("struct { int a; } table[] = {{1}};", Kind::Global, 0);
        check("typedef struct { int a; } A;", Kind::Alias, 0);
        check("using A = B<int>;", Kind::Alias, 0);
        check("using namespace std;", Kind::Opening, 0);
        check("using std::string;", Kind::Import, 0);
        check("int f(int a, std::map<int, int> b);", Kind::Prototype, 2);
        check("A::A(int b) : c_(b), d_{1} { run(); }", Kind::Function, 1);
        check("inline bool operator<(const A& a, const A& b) { return a.x < b.x; }", Kind::Function, 2);
        check("R A::operator()(int a) const { return a; }", Kind::Function, 1);
        check("template <> struct hash<A> { int x; };", Kind::Specialization, 0);
        check("template class A<int>;", Kind::Idle, 0);
        check("static const int kA = 3;", Kind::Global, 0);
        check("TEST(A, B) { run(); }", Kind::Function, 2);
        check("DEFINE_FLAG(int, a);", Kind::Call, 2);
        check("#pragma pack(push, 1)", Kind::Layout, 0);
        check("#define A(b) {", Kind::Macro, 0);
    }
}
