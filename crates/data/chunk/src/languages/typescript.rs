//! TypeScript, its JSX dialect, and JavaScript: one family with three grammars.

use super::{field_names, text};
use crate::{Language, Role};
use tree_sitter::Node;

/// TypeScript without JSX, where `<T>x` is a cast.
#[derive(Debug)]
pub struct TypeScript;

/// TypeScript with JSX.
#[derive(Debug)]
pub struct Tsx;

/// JavaScript, JSX included.
#[derive(Debug)]
pub struct JavaScript;

impl Language for TypeScript {
    fn name(&self) -> &'static str {
        "typescript"
    }
    fn extensions(&self) -> &'static [&'static str] {
        &["ts", "mts", "cts"]
    }
    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()
    }
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        role(node, source)
    }
}

impl Language for Tsx {
    fn name(&self) -> &'static str {
        "typescript"
    }
    fn extensions(&self) -> &'static [&'static str] {
        &["tsx"]
    }
    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_typescript::LANGUAGE_TSX.into()
    }
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        role(node, source)
    }
}

impl Language for JavaScript {
    fn name(&self) -> &'static str {
        "javascript"
    }
    fn extensions(&self) -> &'static [&'static str] {
        &["js", "mjs", "cjs", "jsx"]
    }
    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_javascript::LANGUAGE.into()
    }
    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        role(node, source)
    }
}

fn role<'tree>(outer: Node<'tree>, source: &[u8]) -> Role<'tree> {
    let mut node = outer;
    // `export …`, `declare …`, and the statement a namespace is wrapped in.
    while matches!(node.kind(), "export_statement" | "ambient_declaration" | "expression_statement") {
        let mut children = node.walk();
        match node.named_children(&mut children).find(|child| is_declaration(child.kind())) {
            Some(inner) => node = inner,
            None => return Role::Item(Vec::new()),
        }
    }
    match node.kind() {
        "comment" => Role::Comment,
        "decorator" => Role::Attribute,
        "empty_statement" => Role::Trailing,
        "internal_module" | "module" => match node.child_by_field_name("body") {
            Some(members) => {
                let name = field_names(node, "name", source).pop().unwrap_or_default();
                Role::Container { prefix: format!("{}.", name.trim_matches(['"', '\''])), members }
            }
            None => Role::Item(field_names(node, "name", source)),
        },
        "lexical_declaration" | "variable_declaration" => Role::Item(variables(node, source)),
        kind if is_declaration(kind) => Role::Item(field_names(node, "name", source)),
        _ => Role::Item(Vec::new()),
    }
}

fn is_declaration(kind: &str) -> bool {
    matches!(
        kind,
        "function_declaration"
            | "generator_function_declaration"
            | "function_signature"
            | "class_declaration"
            | "abstract_class_declaration"
            | "interface_declaration"
            | "type_alias_declaration"
            | "enum_declaration"
            | "lexical_declaration"
            | "variable_declaration"
            | "internal_module"
            | "module"
            | "ambient_declaration"
    )
}

/// Names of `const a = …, b = …`; destructuring declares none here.
fn variables(node: Node<'_>, source: &[u8]) -> Vec<String> {
    let mut cursor = node.walk();
    let declarators = node.named_children(&mut cursor).filter(|child| child.kind() == "variable_declarator");
    let names = declarators.filter_map(|declarator| declarator.child_by_field_name("name"));
    names.filter(|name| name.kind() == "identifier").map(|name| text(name, source)).collect()
}
