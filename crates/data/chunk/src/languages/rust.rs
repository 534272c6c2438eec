//! Rust.

use super::{field_names, text};
use crate::skeleton::{self, Lexis, Token};
use crate::{Language, Role};
use std::ops::Range;
use tree_sitter::Node;

/// Rust, all editions.
#[derive(Debug)]
pub struct Rust;

impl Language for Rust {
    fn name(&self) -> &'static str {
        "rust"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["rs"]
    }

    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_rust::LANGUAGE.into()
    }

    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        match node.kind() {
            // `//!` and `/*!` document what encloses them, so they are items of their own.
            "line_comment" | "block_comment" => match source.get(node.start_byte() + 2) {
                Some(b'!') => Role::Item(Vec::new()),
                _ => Role::Comment,
            },
            "attribute_item" => Role::Attribute,
            "empty_statement" => Role::Trailing,
            "mod_item" => match node.child_by_field_name("body") {
                Some(members) => {
                    let name = field_names(node, "name", source).pop().unwrap_or_default();
                    Role::Container { prefix: format!("{name}::"), members }
                }
                None => Role::Item(field_names(node, "name", source)),
            },
            "foreign_mod_item" => match node.child_by_field_name("body") {
                Some(members) => Role::Container { prefix: String::new(), members },
                None => Role::Item(Vec::new()),
            },
            "impl_item" => Role::Item(implemented_type(node, source)),
            "function_item"
            | "function_signature_item"
            | "struct_item"
            | "enum_item"
            | "union_item"
            | "trait_item"
            | "type_item"
            | "const_item"
            | "static_item"
            | "macro_definition" => Role::Item(field_names(node, "name", source)),
            _ => Role::Item(Vec::new()),
        }
    }

    fn bodies(&self, source: &[u8]) -> Option<Vec<Range<usize>>> {
        skeleton::bodies(source, &LEXIS)
    }
}

const LEXIS: Lexis = Lexis { starts: b"/\"'", token, opens_container, tables: true };

fn token(source: &[u8], at: usize) -> Token {
    match (source[at], source.get(at + 1)) {
        (b'/', Some(b'/')) => Token::Ends(skeleton::line_end(source, at)),
        (b'/', Some(b'*')) => skeleton::block_comment(source, at, true),
        (b'"', _) => string(source, at),
        (b'\'', Some(b'\\')) => skeleton::quoted(source, at, b'\'', false),
        // One character and a quote: else it is a lifetime.
        (b'\'', Some(first)) => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xe0 => 2,
                0xe0..0xf0 => 3,
                0xf0.. => 4,
            };
            if source.get(at + 1 + width) == Some(&b'\'') {
                Token::Ends(at + 2 + width)
            } else {
                Token::Plain
            }
        }
        _ => Token::Plain,
    }
}

/// A string; a raw one shows by what stands before its quote.
fn string(source: &[u8], at: usize) -> Token {
    let before = &source[..at];
    let hashes = before.iter().rev().take_while(|byte| **byte == b'#').count();
    let prefix = &before[..at - hashes];
    let letters =
        prefix.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if !matches!(&prefix[prefix.len() - letters..], b"r" | b"br" | b"cr") {
        return skeleton::quoted(source, at, b'"', true);
    }
    let mut next = at + 1;
    while let Some(step) = source[next..].iter().position(|byte| *byte == b'"') {
        next += step + 1;
        let closing = source[next..].iter().take(hashes).take_while(|byte| **byte == b'#').count();
        if closing == hashes {
            return Token::Ends(next + hashes);
        }
    }
    Token::Broken
}

/// `mod name {`, `extern {`, `extern "C" {`.
fn opens_container(head: &[u8]) -> bool {
    skeleton::ends_near(head, b"mod")
        || head.trim_ascii_end().ends_with(b"\"") && skeleton::ends_near(head, b"extern")
        || head.trim_ascii_end().ends_with(b"extern")
}

/// `Foo` of `impl<T> Trait for Foo<T>`.
fn implemented_type(node: Node<'_>, source: &[u8]) -> Vec<String> {
    let Some(mut target) = node.child_by_field_name("type") else { return Vec::new() };
    while let Some(inner) = target.child_by_field_name("type") {
        target = inner;
    }
    vec![text(target, source)]
}
