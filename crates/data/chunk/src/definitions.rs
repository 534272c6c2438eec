//! Functions and types at any depth of a file, methods in their classes included: in which one does a line stand?
//!
//! Items say what a file is made of at its top, from a text without bodies; this is the whole parse, walked without recursion,
//! for the few files where it matters.
//!
//! Not covered: closures and lambdas, which belong to the function around them.

use crate::item::{MAX_NAME_BYTES, is_name};
use crate::languages::{cpp, field_names, go, text};
use crate::parse::MAX_DEPTH;
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

/// What a node on the way down means to the nodes inside it.
struct Level {
    /// From where to where a definition right inside reaches, where the node is nothing but its head.
    head: Option<Range<usize>>,
    /// Whether the node gave the innermost scope its name.
    named: bool,
}

impl Chunker {
    /// Functions and types in the order of their beginnings; none where the parser can make nothing of the text.
    ///
    /// Names follow 32 scopes; what stands deeper is named as if it stood in the last of them.
    pub fn definitions(&mut self, language: &dyn Language, source: &[u8]) -> Vec<Definition> {
        let Some(tree) = self.tree(language, source) else { return Vec::new() };
        let separator = if matches!(language.name(), "c" | "cpp" | "rust") { "::" } else { "." };
        let mut found = Vec::new();
        let mut levels: Vec<Level> = Vec::new();
        let mut scopes: Vec<String> = Vec::new();
        let mut cursor = tree.walk();
        loop {
            let node = cursor.node();
            let inside = |name: &str| match scopes.last() {
                Some(scope) => format!("{scope}{separator}{name}"),
                None => name.to_owned(),
            };
            let outer = levels.last().and_then(|level| level.head.clone()).unwrap_or(node.byte_range());
            let scope = match meaning(node, source) {
                Meaning::Definition(kind, name) => {
                    let name = inside(&name);
                    found.push(Definition { range: outer.clone(), name: name.clone(), kind });
                    Some(name)
                }
                Meaning::Scope(name) => Some(inside(&name)),
                Meaning::Nothing => None,
            };
            if cursor.goto_first_child() {
                let scope = scope.filter(|scope| scopes.len() < MAX_DEPTH && scope.len() <= MAX_NAME_BYTES);
                levels.push(Level { head: is_head(node).then_some(outer), named: scope.is_some() });
                scopes.extend(scope);
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    found.sort_by_key(|one: &Definition| (one.range.start, std::cmp::Reverse(one.range.end)));
                    return found;
                }
                if levels.pop().is_some_and(|level| level.named) {
                    scopes.pop();
                }
            }
        }
    }
}

fn meaning(node: Node<'_>, source: &[u8]) -> Meaning {
    match named(node, source) {
        Meaning::Definition(_, name) | Meaning::Scope(name) if !is_name(&name) => Meaning::Nothing,
        meaning => meaning,
    }
}

fn named(node: Node<'_>, source: &[u8]) -> Meaning {
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

/// Whether a node is nothing but what stands in front of a definition and means nothing alone: a template head,
/// decorators, `export const`.
fn is_head(node: Node<'_>) -> bool {
    match node.kind() {
        "template_declaration" | "decorated_definition" | "export_statement" => true,
        // One that declares nothing else.
        "lexical_declaration" | "variable_declaration" | "type_declaration" => node.named_child_count() == 1,
        _ => false,
    }
}
