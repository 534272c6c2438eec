//! Python.

use super::{field_names, text};
use crate::{Language, Role};
use tree_sitter::Node;

/// Python 3 (2 as far as the grammar reads it).
#[derive(Debug)]
pub struct Python;

impl Language for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["py", "pyi"]
    }

    fn grammar(&self) -> tree_sitter::Language {
        tree_sitter_python::LANGUAGE.into()
    }

    fn role<'tree>(&self, node: Node<'tree>, source: &[u8]) -> Role<'tree> {
        match node.kind() {
            "comment" => Role::Comment,
            "function_definition" | "class_definition" => Role::Item(field_names(node, "name", source)),
            // Decorators are inside the node, so they cannot come loose.
            "decorated_definition" => Role::Item(
                node.child_by_field_name("definition")
                    .map(|definition| field_names(definition, "name", source))
                    .unwrap_or_default(),
            ),
            "expression_statement" => Role::Item(assigned(node, source)),
            "type_alias_statement" => Role::Item(field_names(node, "left", source)),
            _ => Role::Item(Vec::new()),
        }
    }
}

/// `X` of `X = …` and `X: T = …`; attributes, subscripts and unpacking declare no name.
fn assigned(statement: Node<'_>, source: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = statement.named_child(0);
    while let Some(assignment) = next.filter(|node| node.kind() == "assignment") {
        if let Some(left) = assignment.child_by_field_name("left").filter(|left| left.kind() == "identifier")
        {
            names.push(text(left, source));
        }
        next = assignment.child_by_field_name("right");
    }
    names
}
