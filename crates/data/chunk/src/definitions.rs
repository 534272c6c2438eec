//! Functions and types at any depth of a file, methods in their classes included: in which one does a line stand?
//!
//! Items say what a file is made of at its top, from a text without bodies; this is the whole parse, walked without recursion,
//! for the few files where it matters.
//!
//! Not covered: closures and lambdas, which belong to the function around them.

use crate::languages::{cpp, field_names, go, text};
use crate::{Chunker, Language};
use std::ops::Range;
use tree_sitter::Node;

/// A function or a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// From its first token, template head and decorators included, to its last.
    pub range: Range<usize>,
    /// Its name, qualified with what it stands in.
    pub name: String,
    /// What it is.
    pub kind: DefinitionKind,
}

/// What a definition defines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefinitionKind {
    /// A function, method or macro with parameters.
    Function,
    /// A class, struct, union, enum, trait, interface or implementation.
    Type,
}

/// What a node means to the names inside it.
enum Meaning {
    Definition(DefinitionKind, String),
    /// A namespace or module.
    Scope(String),
    Nothing,
}

impl Chunker {
    /// Functions and types in the order of their beginnings; none where the parser can make nothing of the text.
    pub fn definitions(&mut self, language: &dyn Language, source: &[u8]) -> Vec<Definition> {
        let Some(tree) = self.tree(language, source) else { return Vec::new() };
        let separator = if matches!(language.name(), "c" | "cpp" | "rust") { "::" } else { "." };
        let mut found = Vec::new();
        // The name inside of each node on the way down that has one, and how deep that node stands.
        let mut scopes: Vec<(usize, String)> = Vec::new();
        let (mut cursor, mut depth) = (tree.walk(), 0);
        loop {
            let node = cursor.node();
            let inside = |name: &str| match scopes.last() {
                Some((_, scope)) => format!("{scope}{separator}{name}"),
                None => name.to_owned(),
            };
            let scope = match meaning(node, source) {
                Meaning::Definition(kind, name) => {
                    let name = inside(&name);
                    found.push(Definition { range: with_head(node), name: name.clone(), kind });
                    Some(name)
                }
                Meaning::Scope(name) => Some(inside(&name)),
                Meaning::Nothing => None,
            };
            if cursor.goto_first_child() {
                scopes.extend(scope.map(|scope| (depth, scope)));
                depth += 1;
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    found.sort_by_key(|one: &Definition| (one.range.start, std::cmp::Reverse(one.range.end)));
                    return found;
                }
                depth -= 1;
                if scopes.last().is_some_and(|(at, _)| *at == depth) {
                    scopes.pop();
                }
            }
        }
    }
}

fn meaning(node: Node<'_>, source: &[u8]) -> Meaning {
    use DefinitionKind::{Function, Type};
    let named = |kind| match field_names(node, "name", source).pop() {
        Some(name) => Meaning::Definition(kind, name),
        None => Meaning::Nothing,
    };
    match node.kind() {
        // Python has a name where C has a declarator.
        "function_definition" => match node.child_by_field_name("declarator") {
            Some(declarator) => match cpp::declarator_name(declarator, source) {
                Some(name) => Meaning::Definition(Function, name),
                None => Meaning::Nothing,
            },
            None => named(Function),
        },
        "function_item"
        | "macro_definition"
        | "preproc_function_def"
        | "function_declaration"
        | "generator_function_declaration"
        | "method_definition" => named(Function),
        "method_declaration" => match go::method(node, source).pop() {
            Some(name) => Meaning::Definition(Function, name),
            None => Meaning::Nothing,
        },
        // `const f = () => …`.
        "variable_declarator" => match node.child_by_field_name("value").map(|value| value.kind()) {
            Some("arrow_function" | "function_expression" | "generator_function") => named(Function),
            _ => Meaning::Nothing,
        },
        "class_specifier" | "struct_specifier" | "union_specifier" | "enum_specifier"
            if node.child_by_field_name("body").is_some() =>
        {
            named(Type)
        }
        "class_definition"
        | "struct_item"
        | "enum_item"
        | "union_item"
        | "trait_item"
        | "class_declaration"
        | "abstract_class_declaration"
        | "interface_declaration"
        | "enum_declaration"
        | "type_spec" => named(Type),
        "impl_item" => match node.child_by_field_name("type") {
            Some(target) => Meaning::Definition(Type, text(target, source)),
            None => Meaning::Nothing,
        },
        "namespace_definition" | "mod_item" | "internal_module" | "module" => {
            match field_names(node, "name", source).pop() {
                Some(name) => Meaning::Scope(name),
                None => Meaning::Nothing,
            }
        }
        _ => Meaning::Nothing,
    }
}

/// A definition with what stands in front of it and means nothing alone: template heads, decorators, `export const`.
fn with_head(node: Node<'_>) -> Range<usize> {
    let mut outer = node;
    while let Some(parent) = outer.parent() {
        let head = match parent.kind() {
            "template_declaration" | "decorated_definition" | "export_statement" => true,
            // One that declares nothing else.
            "lexical_declaration" | "variable_declaration" | "type_declaration" => {
                parent.named_child_count() == 1
            }
            _ => false,
        };
        if !head {
            break;
        }
        outer = parent;
    }
    outer.byte_range()
}
