//! Go.

use super::{field_names, text};
use crate::skeleton::{self, Lexis, Token};
use crate::{Language, Role};
use std::ops::Range;
use tree_sitter::Node;

/// Go.
#[derive(Debug)]
pub struct Go;

impl Language for Go {
    fn name(&self) -> &'static str {
        "go"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["go"]
    }

    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_go::LANGUAGE.into()
    }

    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        match node.kind() {
            "comment" => Role::Comment,
            "function_declaration" => Role::Item(field_names(node, "name", source)),
            "method_declaration" => Role::Item(method(node, source)),
            "type_declaration" | "const_declaration" | "var_declaration" => {
                let mut names = Vec::new();
                declared(node, source, &mut names);
                Role::Item(names)
            }
            _ => Role::Item(Vec::new()),
        }
    }

    fn bodies(&self, source: &[u8]) -> Option<Vec<Range<usize>>> {
        skeleton::bodies(source, &LEXIS)
    }
}

const LEXIS: Lexis = Lexis { starts: b"/\"'`", token, opens_container: |_| false, tables: false };

fn token(source: &[u8], at: usize) -> Token {
    match (source[at], source.get(at + 1)) {
        (b'/', Some(b'/')) => Token::Ends(skeleton::line_end(source, at)),
        (b'/', Some(b'*')) => skeleton::block_comment(source, at, false),
        (quote @ (b'"' | b'\''), _) => skeleton::quoted(source, at, quote, false),
        (b'`', _) => match source[at + 1..].iter().position(|byte| *byte == b'`') {
            Some(length) => Token::Ends(at + length + 2),
            None => Token::Broken,
        },
        _ => Token::Plain,
    }
}

/// `T.Name` of `func (t *T[K]) Name()`.
pub(crate) fn method(node: Node<'_>, source: &[u8]) -> Vec<String> {
    let mut names = field_names(node, "name", source);
    let parameter = node.child_by_field_name("receiver").and_then(|list| list.named_child(0));
    let mut receiver = parameter.and_then(|parameter| parameter.child_by_field_name("type"));
    while let Some(outer) = receiver {
        match outer.kind() {
            "pointer_type" | "parenthesized_type" => receiver = outer.named_child(0),
            "generic_type" => receiver = outer.child_by_field_name("type"),
            _ => break,
        }
    }
    if let (Some(name), Some(receiver)) = (names.first_mut(), receiver) {
        *name = format!("{}.{name}", text(receiver, source));
    }
    names
}

/// Names of a declaration and of the specs in its parentheses.
pub(crate) fn declared(node: Node<'_>, source: &[u8], names: &mut Vec<String>) {
    for spec in node.named_children(&mut node.walk()) {
        match spec.kind() {
            "var_spec_list" => declared(spec, source, names),
            "type_spec" | "type_alias" | "const_spec" | "var_spec" => {
                for name in spec.children_by_field_name("name", &mut spec.walk()) {
                    // The grammar's field also covers the commas of `a, b = …`.
                    if name.is_named() {
                        names.push(text(name, source));
                    }
                }
            }
            _ => {}
        }
    }
}
