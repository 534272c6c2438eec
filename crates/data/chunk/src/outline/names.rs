//! The names a part mentions, without those that it declares inside its functions.
//!
//! No recursion: hostile code nests deeply.

use crate::Language;
use std::collections::{BTreeSet, HashSet};
use tree_sitter::Node;

/// The family of a grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    Go,
    Python,
    Rust,
    TypeScript,
}

/// Names that a part mentions.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    pub words: BTreeSet<String>,
    pub eager: BTreeSet<String>,
    pub members: BTreeSet<String>,
    /// Whether a function stands in it.
    pub has_function: bool,
}

/// Names that a function declares inside, and the function around it.
struct Scope<'s> {
    parent: Option<usize>,
    names: HashSet<&'s [u8]>,
}

impl Grammar {
    pub(crate) fn of(language: &dyn Language) -> Option<Grammar> {
        Some(match language.name() {
            "go" => Grammar::Go,
            "python" => Grammar::Python,
            "rust" => Grammar::Rust,
            "typescript" | "javascript" => Grammar::TypeScript,
            _ => return None,
        })
    }

    /// Adds what a node mentions.
    pub(super) fn mentions(self, node: Node<'_>, source: &[u8], into: &mut Mentions) {
        let loads = matches!(self, Grammar::Python | Grammar::TypeScript);
        let mut scopes: Vec<Scope<'_>> = Vec::new();
        let mut stack = vec![(node, ("", ""), None, loads)];
        while let Some((node, place, scope, eager)) = stack.pop() {
            let kind = node.kind();
            if is_import(kind) {
                continue;
            }
            if node.child_count() == 0 {
                if let Some(place) = self.place(node, place, source) {
                    leaf(&source[node.byte_range()], place, (&scopes, scope), eager, into);
                }
                continue;
            }
            let function = self.is_function(kind);
            into.has_function |= function && kind != "lambda";
            let mut inner = scope;
            if function || is_comprehension(kind) {
                scopes.push(Scope { parent: scope, names: self.declared(node, source) });
                inner = Some(scopes.len() - 1);
            }
            let mut cursor = node.walk();
            if cursor.goto_first_child() {
                loop {
                    let body = function && cursor.field_name() == Some("body");
                    let place = (kind, cursor.field_name().unwrap_or(""));
                    // A default is evaluated outside of its function.
                    let outside = place.1 == "value" && kind.ends_with("default_parameter");
                    let scope = match inner {
                        Some(function) if outside => scopes[function].parent,
                        _ => inner,
                    };
                    stack.push((cursor.node(), place, scope, eager && !body));
                    if !cursor.goto_next_sibling() {
                        break;
                    }
                }
            }
        }
    }

    fn is_function(self, kind: &str) -> bool {
        match self {
            Grammar::Go => matches!(kind, "function_declaration" | "method_declaration" | "func_literal"),
            Grammar::Python => matches!(kind, "function_definition" | "lambda"),
            Grammar::Rust => matches!(kind, "function_item" | "closure_expression"),
            Grammar::TypeScript => matches!(
                kind,
                "function_declaration"
                    | "generator_function_declaration"
                    | "function_expression"
                    | "generator_function"
                    | "arrow_function"
                    | "method_definition"
            ),
        }
    }

    /// What a leaf is to the node and the field that it stands in; `None` where it is no mention.
    fn place(self, node: Node<'_>, (above, field): (&str, &str), source: &[u8]) -> Option<Place> {
        match (self, node.kind()) {
            (Grammar::Python, "identifier") => match above {
                "attribute" if field == "attribute" => Some(Place::Member),
                "keyword_argument" if field == "name" => None,
                _ => Some(Place::Word),
            },
            (Grammar::TypeScript, "identifier" | "shorthand_property_identifier") => Some(Place::Word),
            (Grammar::TypeScript, "type_identifier") => Some(Place::Type),
            (Grammar::TypeScript, "property_identifier") => Some(Place::Member),
            (Grammar::Go, "field_identifier") => Some(Place::Member),
            (Grammar::Go, "type_identifier") if above == "qualified_type" => None,
            (Grammar::Go, "type_identifier") => Some(Place::Type),
            (Grammar::Go, "identifier") if above == "call_expression" => Some(Place::Type),
            (Grammar::Go, "identifier" | "package_identifier") => Some(Place::Word),
            (Grammar::Rust, "field_identifier" | "shorthand_field_identifier") => Some(Place::Member),
            (Grammar::Rust, "type_identifier") if above != "scoped_type_identifier" || field != "name" => {
                Some(Place::Type)
            }
            (Grammar::Rust, "type_identifier") => Some(Place::Member),
            (Grammar::Rust, "identifier") => match above {
                "lifetime" | "label" => None,
                "scoped_identifier" | "scoped_type_identifier" if field == "name" => Some(Place::Member),
                "macro_invocation" if field == "macro" => Some(Place::Macro),
                "token_tree" => Some(in_tokens(node, source)),
                "call_expression" | "scoped_identifier" | "generic_function" => Some(Place::Type),
                _ => Some(Place::Word),
            },
            _ => None,
        }
    }

    /// Names that a function declares in itself, those of functions inside it aside.
    fn declared<'s>(self, function: Node<'_>, source: &'s [u8]) -> HashSet<&'s [u8]> {
        let mut names = HashSet::new();
        let mut global = HashSet::new();
        let mut stack = vec![(function, true)];
        while let Some((node, first)) = stack.pop() {
            if !first && self.is_function(node.kind()) {
                if matches!(self, Grammar::Python | Grammar::TypeScript)
                    && let Some(name) = node.child_by_field_name("name")
                {
                    names.insert(&source[name.byte_range()]);
                }
                continue;
            }
            if self == Grammar::Python && node.kind() == "global_statement" {
                let named = node
                    .named_children(&mut node.walk())
                    .map(|name| &source[name.byte_range()])
                    .collect::<Vec<_>>();
                global.extend(named);
            }
            let mut cursor = node.walk();
            if !cursor.goto_first_child() {
                continue;
            }
            loop {
                if self.declares(node.kind(), cursor.field_name(), cursor.node().kind()) {
                    pattern(cursor.node(), source, self, &mut names);
                }
                stack.push((cursor.node(), false));
                if !cursor.goto_next_sibling() {
                    break;
                }
            }
        }
        names.retain(|name| !global.contains(name));
        names
    }

    /// Whether a child of a node is a pattern of names that are declared there.
    pub(super) fn declares(self, kind: &str, field: Option<&str>, child: &str) -> bool {
        let field = field.unwrap_or("");
        match self {
            Grammar::Python => match kind {
                "parameters" | "lambda_parameters" | "typed_parameter" => {
                    matches!(
                        child,
                        "identifier" | "list_splat_pattern" | "dictionary_splat_pattern" | "tuple_pattern"
                    )
                }
                "default_parameter" | "typed_default_parameter" | "named_expression" => field == "name",
                "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => field == "left",
                "as_pattern" => child == "as_pattern_target",
                "class_definition" => field == "name",
                "import_statement" | "import_from_statement" => field == "name",
                _ => false,
            },
            Grammar::TypeScript => match kind {
                "required_parameter" | "optional_parameter" => field == "pattern",
                "formal_parameters" => child != "required_parameter" && child != "optional_parameter",
                "variable_declarator" => field == "name",
                "catch_clause" | "arrow_function" => field == "parameter",
                "for_in_statement" => field == "left",
                _ => false,
            },
            Grammar::Go => match kind {
                "parameter_declaration" | "variadic_parameter_declaration" | "var_spec" | "const_spec" => {
                    field == "name"
                }
                "short_var_declaration" | "range_clause" | "receive_statement" => field == "left",
                "type_switch_statement" => field == "alias",
                _ => false,
            },
            Grammar::Rust => match kind {
                "parameter" | "let_declaration" | "for_expression" | "let_condition" | "match_arm" => {
                    field == "pattern"
                }
                "closure_parameters" => child == "identifier" || child.ends_with("_pattern"),
                _ => false,
            },
        }
    }
}

/// How a name is mentioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Means what the innermost scope says.
    Word,
    /// A type, or a call: not what a variable of that name is.
    Type,
    /// A macro, which has to be defined above.
    Macro,
    /// Belongs to a value or a path before it.
    Member,
}

/// What a word among the tokens of a macro call is, by the text around it.
fn in_tokens(node: Node<'_>, source: &[u8]) -> Place {
    let before = source[..node.start_byte()].trim_ascii_end();
    let after = &source[node.end_byte()..];
    if before.ends_with(b"::") || before.ends_with(b".") && !before.ends_with(b"..") {
        Place::Member
    } else if after.starts_with(b"!") && !after.starts_with(b"!=") {
        Place::Macro
    } else {
        Place::Type
    }
}

fn leaf(
    bytes: &[u8],
    place: Place,
    (scopes, scope): (&[Scope<'_>], Option<usize>),
    eager: bool,
    into: &mut Mentions,
) {
    let Ok(word) = std::str::from_utf8(bytes) else { return };
    if place == Place::Member {
        into.members.insert(word.to_owned());
        return;
    }
    let mut scope = scope.filter(|_| place == Place::Word);
    while let Some(at) = scope {
        if scopes[at].names.contains(bytes) {
            return;
        }
        scope = scopes[at].parent;
    }
    if eager || place == Place::Macro {
        into.eager.insert(word.to_owned());
    }
    into.words.insert(word.to_owned());
}

fn is_comprehension(kind: &str) -> bool {
    matches!(
        kind,
        "list_comprehension" | "set_comprehension" | "dictionary_comprehension" | "generator_expression"
    )
}

fn is_import(kind: &str) -> bool {
    matches!(kind, "import_statement" | "import_from_statement" | "use_declaration" | "import_declaration")
}

/// Adds the names in a pattern.
pub(super) fn pattern<'s>(node: Node<'_>, source: &'s [u8], grammar: Grammar, names: &mut HashSet<&'s [u8]>) {
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        match node.kind() {
            "attribute"
            | "subscript"
            | "member_expression"
            | "subscript_expression"
            | "selector_expression"
            | "index_expression"
            | "scoped_identifier"
            | "type"
            | "type_annotation" => {}
            // `import a.b` declares `a`.
            "dotted_name" => names.extend(node.named_child(0).map(|first| &source[first.byte_range()])),
            "aliased_import" => {
                names.extend(node.child_by_field_name("alias").map(|name| &source[name.byte_range()]));
            }
            "identifier" | "shorthand_property_identifier_pattern" | "shorthand_field_identifier" => {
                let name = &source[node.byte_range()];
                let constant = grammar == Grammar::Rust && name.first().is_some_and(u8::is_ascii_uppercase);
                if !constant {
                    names.insert(name);
                }
            }
            _ => stack.extend(node.named_children(&mut node.walk())),
        }
    }
}
