//! Rust.

use super::{field_names, text};
use crate::{Language, Role};
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
}

/// `Foo` of `impl<T> Trait for Foo<T>`.
fn implemented_type(node: Node<'_>, source: &[u8]) -> Vec<String> {
    let Some(mut target) = node.child_by_field_name("type") else { return Vec::new() };
    while let Some(inner) = target.child_by_field_name("type") {
        target = inner;
    }
    vec![text(target, source)]
}
