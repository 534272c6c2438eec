//! One file per language family; a new one is a file here and its lines in [`LANGUAGES`].

pub mod cpp;
pub mod go;
pub mod python;
pub mod rust;
pub mod typescript;

use crate::Language;
use tree_sitter::Node;

/// Every language, by dialect.
pub const LANGUAGES: &[&dyn Language] = &[
    &cpp::C,
    &cpp::Cpp,
    &go::Go,
    &python::Python,
    &rust::Rust,
    &typescript::JavaScript,
    &typescript::Tsx,
    &typescript::TypeScript,
];

/// The source text of a node; a node over broken UTF-8 yields replacement characters.
pub(crate) fn text(node: Node<'_>, source: &[u8]) -> String {
    String::from_utf8_lossy(&source[node.byte_range()]).into_owned()
}

/// The text of a field as a list of one name, empty where the field is absent or blank (broken code).
pub(crate) fn field_names(node: Node<'_>, field: &str, source: &[u8]) -> Vec<String> {
    let name = node.child_by_field_name(field).map(|name| text(name, source));
    name.filter(|name| !name.is_empty()).into_iter().collect()
}
