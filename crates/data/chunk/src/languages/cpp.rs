//! C and C++: two grammars, one set of nodes.

use super::{field_names, text};
use crate::skeleton::{self, Lexis, Token};
use crate::{Language, Role};
use std::ops::Range;
use tree_sitter::Node;

/// C.
#[derive(Debug)]
pub struct C;

/// C++.
#[derive(Debug)]
pub struct Cpp;

impl Language for C {
    fn name(&self) -> &'static str {
        "c"
    }
    fn extensions(&self) -> &'static [&'static str] {
        &["c"]
    }
    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_c::LANGUAGE.into()
    }
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        role(node, source)
    }
    fn bodies(&self, source: &[u8]) -> Option<Vec<Range<usize>>> {
        skeleton::bodies(source, &LEXIS)
    }
}

impl Language for Cpp {
    fn name(&self) -> &'static str {
        "cpp"
    }
    // `h` stands here so that a walk knows it is ours; `detect` decides between C and C++ by the text.
    fn extensions(&self) -> &'static [&'static str] {
        &[
            "cc", "cpp", "cxx", "c++", "C", "h", "hh", "hpp", "hxx", "h++", "H", "inl", "ipp", "tcc", "tpp",
            "cu", "cuh",
        ]
    }
    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_cpp::LANGUAGE.into()
    }
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        role(node, source)
    }
    fn bodies(&self, source: &[u8]) -> Option<Vec<Range<usize>>> {
        skeleton::bodies(source, &LEXIS)
    }
}

const LEXIS: Lexis = Lexis { starts: b"/\"'#", token, opens_container, tables: false };

fn token(source: &[u8], at: usize) -> Token {
    match (source[at], source.get(at + 1)) {
        (b'/', Some(b'/')) => Token::Ends(logical_line_end(source, at)),
        (b'/', Some(b'*')) => skeleton::block_comment(source, at, false),
        (b'"', _) if source[..at].last() == Some(&b'R') => raw_string(source, at),
        (b'"', _) => skeleton::quoted(source, at, b'"', false),
        // A quote inside a number parts its digits.
        (b'\'', _) if number_before(source, at) => Token::Plain,
        (b'\'', _) => skeleton::quoted(source, at, b'\'', false),
        // Directives are lines: braces of a macro's text do not count.
        (b'#', _) if begins_line(source, at) => directive(source, at),
        _ => Token::Plain,
    }
}

/// The end of a line that backslashes may continue.
fn logical_line_end(source: &[u8], at: usize) -> usize {
    let mut start = at;
    loop {
        let end = skeleton::line_end(source, start);
        if end == source.len() || !source[start..end].trim_ascii_end().ends_with(b"\\") {
            return end;
        }
        start = end + 1;
    }
}

/// A directive ends with its line, unless a comment in it goes on.
fn directive(source: &[u8], at: usize) -> Token {
    let end = logical_line_end(source, at);
    match source[at..end].windows(2).position(|pair| pair == b"/*") {
        Some(comment) => match skeleton::block_comment(source, at + comment, false) {
            Token::Ends(comment_end) if comment_end > end => Token::Ends(comment_end),
            Token::Broken => Token::Broken,
            _ => Token::Ends(end),
        },
        None => Token::Ends(end),
    }
}

fn begins_line(source: &[u8], at: usize) -> bool {
    source[..at].iter().rev().find(|byte| !matches!(byte, b' ' | b'\t')).is_none_or(|byte| *byte == b'\n')
}

/// Whether a number goes on at a position; it began at most a hundred bytes before.
fn number_before(source: &[u8], at: usize) -> bool {
    let part_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'.');
    let word = source[..at].iter().rev().take(100).take_while(|byte| part_of_word(byte)).count();
    source[at - word..at].first().is_some_and(u8::is_ascii_digit)
}

/// `"d(…)d"` after `R`.
fn raw_string(source: &[u8], at: usize) -> Token {
    let rest = &source[at + 1..];
    let Some(delimiter) = rest.iter().take(17).position(|byte| *byte == b'(') else { return Token::Broken };
    let closing = [b")", &rest[..delimiter], b"\""].concat();
    match rest.windows(closing.len()).position(|window| window == closing) {
        Some(found) => Token::Ends(at + 1 + found + closing.len()),
        None => Token::Broken,
    }
}

/// `namespace a::b {`, `extern "C" {`.
fn opens_container(head: &[u8]) -> bool {
    skeleton::ends_near(head, b"namespace")
        || head.trim_ascii_end().ends_with(b"\"") && skeleton::ends_near(head, b"extern")
}

fn role<'tree>(outer: Node<'tree>, source: &[u8]) -> Role<'tree> {
    let mut node = outer;
    // `extern "C" int f();` is what it declares.
    while node.kind() == "linkage_specification" {
        match node.child_by_field_name("body") {
            Some(body) if body.kind() == "declaration_list" => return container(String::new(), Some(body)),
            Some(declaration) => node = declaration,
            None => break,
        }
    }
    match node.kind() {
        "comment" => Role::Comment,
        // The `;` of a type that the grammar took for a function.
        "expression_statement" if node.named_child_count() == 0 => Role::Trailing,
        "namespace_definition" => {
            let name = field_names(node, "name", source).pop();
            let prefix = name.map(|name| format!("{name}::")).unwrap_or_default();
            container(prefix, node.child_by_field_name("body"))
        }
        // An include guard wraps a whole header: its members are the header's items.
        "preproc_ifdef" | "preproc_if" | "preproc_else" | "preproc_elif" | "preproc_elifdef" => {
            container(String::new(), Some(node))
        }
        "template_declaration" => {
            let mut children = node.walk();
            let templated = node.named_children(&mut children).last();
            let names = templated.map(|inner| names(inner, source)).unwrap_or_default();
            Role::Item(names)
        }
        _ => Role::Item(names(node, source)),
    }
}

fn container<'tree>(prefix: String, members: Option<Node<'tree>>) -> Role<'tree> {
    match members {
        Some(members) => Role::Container { prefix, members },
        None => Role::Item(Vec::new()),
    }
}

/// The names that a declaration brings in.
fn names(node: Node<'_>, source: &[u8]) -> Vec<String> {
    match node.kind() {
        // A macro without a value is a flag or an include guard.
        "preproc_def" if node.child_by_field_name("value").is_none() => Vec::new(),
        "preproc_def"
        | "preproc_function_def"
        | "struct_specifier"
        | "class_specifier"
        | "union_specifier"
        | "enum_specifier"
        | "alias_declaration"
        | "concept_definition"
        | "namespace_alias_definition" => field_names(node, "name", source),
        "function_definition" | "declaration" | "type_definition" => {
            // `struct X { … } x;` brings in both; `struct X x;` only the variable.
            let specifier = node.child_by_field_name("type");
            let defined = specifier.filter(|specifier| specifier.child_by_field_name("body").is_some());
            let mut names = defined.map(|defined| field_names(defined, "name", source)).unwrap_or_default();
            let mut cursor = node.walk();
            let declarators = node.children_by_field_name("declarator", &mut cursor);
            names.extend(declarators.filter_map(|node| declarator_name(node, source)));
            let misread = node.has_error() || names.iter().any(|name| is_type_word(name.as_bytes()));
            match name_before_parameters(&source[node.byte_range()], misread) {
                Some(name) => vec![name],
                None => names,
            }
        }
        _ => Vec::new(),
    }
}

/// The name of a plain function, read off its text: the grammar does not know macros, and takes the type of `API T (f)(int)` for
/// the name, or of `API T f(int)` where it is `misread`. `None` where the text has more in it than words, `*`, `&` and parentheses
/// before the name.
fn name_before_parameters(text: &[u8], misread: bool) -> Option<String> {
    let mut words: Vec<&[u8]> = Vec::new();
    let mut at = 0;
    while words.len() < 20 {
        let rest = &text[at..];
        let length = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        match rest.first()? {
            byte if byte.is_ascii_whitespace() || matches!(byte, b'*' | b'&') => at += 1,
            b'(' => {
                let close = at + closing(rest)?;
                let inner = text[at + 1..close].trim_ascii();
                let name = match words[..] {
                    [_, ..] if is_plain_name(inner) && is_followed_by_one_pair(&text[close + 1..]) => inner,
                    _ if !misread => return None,
                    // Past `__attribute__(…)`, and past a macro that more words follow.
                    [_, .., name] if !name.starts_with(b"__") && !is_in_front(name, &text[close + 1..]) => {
                        name
                    }
                    _ => {
                        at = close + 1;
                        continue;
                    }
                };
                return is_plain_name(name).then(|| String::from_utf8_lossy(name).into_owned());
            }
            _ if length > 0 => {
                words.push(&rest[..length]);
                at += length;
            }
            _ => return None,
        }
    }
    None
}

/// Whether a word with parentheses is a macro in front of a declaration, judged by its letters and by what follows.
fn is_in_front(word: &[u8], after: &[u8]) -> bool {
    let next = after.trim_ascii_start().first();
    !word.iter().any(u8::is_ascii_lowercase) && next.is_some_and(u8::is_ascii_alphabetic)
}

/// Whether one pair of parentheses follows, and then none.
fn is_followed_by_one_pair(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    let is_pair = |text: &[u8]| text.starts_with(b"(");
    is_pair(text) && closing(text).is_some_and(|close| !is_pair(text[close + 1..].trim_ascii_start()))
}

/// Where the parenthesis at the start of a text closes.
fn closing(text: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    text.iter().take(4096).position(|byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

fn is_plain_name(word: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    word.iter().all(plain) && word.first().is_some_and(|first| !first.is_ascii_digit()) && !is_type_word(word)
}

/// Whether a word stands for a type, or a part of one, in every C.
fn is_type_word(word: &[u8]) -> bool {
    matches!(
        word,
        b"char"
            | b"const"
            | b"double"
            | b"float"
            | b"int"
            | b"long"
            | b"short"
            | b"signed"
            | b"unsigned"
            | b"void"
    )
}

/// The name at the heart of a declarator: `A::f` of `*A::f(int)`.
pub(crate) fn declarator_name(declarator: Node<'_>, source: &[u8]) -> Option<String> {
    let mut node = declarator;
    loop {
        match node.kind() {
            "identifier" | "field_identifier" | "type_identifier" | "primitive_type" | "destructor_name"
            | "operator_name" | "template_function" => return Some(text(node, source)),
            "qualified_identifier" | "operator_cast" => return Some(without_parameters(&text(node, source))),
            _ => {}
        }
        let inner = node.child_by_field_name("declarator");
        // Parentheses and references hold their declarator without a field.
        node = inner
            .or_else(|| node.named_child(u32::try_from(node.named_child_count()).ok()?.checked_sub(1)?))?;
    }
}

/// `A::operator bool` of `A::operator bool() const`; the grammar counts a conversion's parentheses to its name.
fn without_parameters(name: &str) -> String {
    let end = match name.split_once('(') {
        Some((before, _)) if !before.trim_end().ends_with("operator") => before.trim_end().len(),
        _ => name.len(),
    };
    name[..end].to_owned()
}

/// Whether a header's text is C++: a line of code that begins with what no C header's line begins with, or
/// a scope operator outside comments.
pub fn looks_like_cpp(text: &[u8]) -> bool {
    const STARTS: [&[u8]; 10] = [
        b"class ",
        b"namespace ",
        b"namespace{",
        b"template <",
        b"template<",
        b"using ",
        b"public:",
        b"private:",
        b"protected:",
        b"constexpr ",
    ];
    let mut in_comment = false;
    text.split(|byte| *byte == b'\n').any(|line| {
        let line = line.trim_ascii();
        if in_comment || line.starts_with(b"/*") {
            in_comment = !contains(line, b"*/");
            return false;
        }
        if line.starts_with(b"//") {
            return false;
        }
        STARTS.iter().any(|start| line.starts_with(start))
            || contains(line.split(|byte| *byte == b'"').next().unwrap_or(line), b"::")
    })
}

/// Whether the first lines carry the editor mode that extensionless C++ headers have.
pub fn has_cpp_mode_line(text: &[u8]) -> bool {
    contains(&text[..text.len().min(256)], b"-*- C++ -*-")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
