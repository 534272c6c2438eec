//! What each node at the top of a file is, by language.

use super::names::{Grammar, Mentions, pattern};
use super::{Gathering, OutlineBracket, Part, PartKind, imports, trimmed_end};
use crate::languages::{field_names, go, text};
use std::collections::HashSet;
use tree_sitter::Node;

/// What a node says of itself.
struct Shape {
    kind: PartKind,
    names: Vec<String>,
    touches: Option<String>,
    owner: Option<String>,
    members: Vec<String>,
}

impl Shape {
    fn new(kind: PartKind, names: Vec<String>) -> Shape {
        Shape { kind, names, touches: None, owner: None, members: Vec::new() }
    }
}

impl Gathering<'_> {
    /// Adds a node at the top of the file, or the members of one that is opened.
    pub(super) fn part(&mut self, node: Node<'_>, start: usize, bracket: Option<usize>) {
        if self.grammar == Grammar::Rust && node.kind() == "impl_item" && self.opens(node) {
            self.implementation(node, start);
            return;
        }
        let shape = match self.grammar {
            Grammar::Go => go_shape(node, self.source),
            Grammar::Python => python_shape(node, self.source),
            Grammar::Rust => rust_shape(node, self.source),
            Grammar::TypeScript => typescript_shape(node, self.source),
        };
        self.push(node, start, shape, bracket);
    }

    fn push(&mut self, node: Node<'_>, start: usize, shape: Shape, bracket: Option<usize>) {
        let mut mentions = Mentions::default();
        if !matches!(shape.kind, PartKind::Header | PartKind::Import) {
            self.grammar.mentions(node, self.source, &mut mentions);
        }
        let imports = match shape.kind {
            PartKind::Import => imports::of(self.grammar, node, self.source),
            // `export … from …` hands names on without declaring them.
            PartKind::Idle if node.kind() == "export_statement" => imports::handed_on(node, self.source),
            _ => Vec::new(),
        };
        let mut names = shape.names;
        names.retain(|name| !name.is_empty() && name != "_");
        let is_root = matches!(shape.kind, PartKind::Function | PartKind::Type)
            || mentions.has_function && matches!(shape.kind, PartKind::Idle | PartKind::Value);
        self.outline.parts.push(Part {
            range: self.line_start(start)..trimmed_end(self.source, node),
            kind: shape.kind,
            names,
            touches: shape.touches,
            owner: shape.owner,
            members: shape.members,
            words: mentions.words.into_iter().collect(),
            eager: mentions.eager.into_iter().collect(),
            mentioned_members: mentions.members.into_iter().collect(),
            imports,
            bracket,
            is_root,
            has_errors: node.has_error(),
        });
    }

    /// Whether an `impl` is of methods only, of no trait, and without attributes that would have to go with each of them.
    fn opens(&self, node: Node<'_>) -> bool {
        let Some(body) = node.child_by_field_name("body") else { return false };
        let plain = |kind: &str| {
            matches!(
                kind,
                "function_item" | "const_item" | "attribute_item" | "line_comment" | "block_comment"
            )
        };
        let mut cursor = body.walk();
        node.child_by_field_name("trait").is_none()
            && !node.has_error()
            && body.named_children(&mut cursor).all(|member| plain(member.kind()))
    }

    fn implementation(&mut self, node: Node<'_>, start: usize) {
        let Some(body) = node.child_by_field_name("body") else { return };
        let open = self.line_start(start)..body.start_byte() + 1;
        let close = node.end_byte() - 1..node.end_byte();
        self.outline.brackets.push(OutlineBracket { open, close });
        let mut head = Mentions::default();
        for child in node.children(&mut node.walk()).filter(|child| *child != body) {
            self.grammar.mentions(child, self.source, &mut head);
        }
        let first = self.outline.parts.len();
        self.members(body, Some(self.outline.brackets.len() - 1));
        let owner = implemented(node, self.source);
        for part in &mut self.outline.parts[first..] {
            part.owner.clone_from(&owner);
            part.members = std::mem::take(&mut part.names);
            super::merge(&mut part.words, head.words.iter().cloned().collect());
        }
    }
}

fn rust_shape(node: Node<'_>, source: &[u8]) -> Shape {
    let name = || field_names(node, "name", source);
    match node.kind() {
        "inner_attribute_item" => Shape::new(PartKind::Header, Vec::new()),
        "use_declaration" | "extern_crate_declaration" => Shape::new(PartKind::Import, Vec::new()),
        "mod_item" if node.child_by_field_name("body").is_none() => Shape::new(PartKind::Import, Vec::new()),
        "function_item" => Shape::new(PartKind::Function, name()),
        "mod_item" | "struct_item" | "enum_item" | "union_item" | "trait_item" | "type_item" => {
            Shape::new(PartKind::Type, name())
        }
        "const_item" | "static_item" | "macro_definition" => Shape::new(PartKind::Value, name()),
        "impl_item" => {
            let mut members = Vec::new();
            if let Some(body) = node.child_by_field_name("body") {
                for member in body.named_children(&mut body.walk()) {
                    members.extend(field_names(member, "name", source));
                }
            }
            let owner = implemented(node, source);
            Shape { owner, members, ..Shape::new(PartKind::Type, Vec::new()) }
        }
        "foreign_mod_item" => {
            let mut names = Vec::new();
            if let Some(body) = node.child_by_field_name("body") {
                for member in body.named_children(&mut body.walk()) {
                    names.extend(field_names(member, "name", source));
                }
            }
            Shape::new(PartKind::Value, names)
        }
        "macro_invocation" | "expression_statement" => Shape::new(PartKind::Value, in_macro(node, source)),
        _ => Shape::new(PartKind::Idle, Vec::new()),
    }
}

/// `Foo` of `impl<T> Trait for &Foo<T>`.
fn implemented(node: Node<'_>, source: &[u8]) -> Option<String> {
    let mut target = node.child_by_field_name("type")?;
    while let Some(inner) = target.child_by_field_name("type") {
        target = inner;
    }
    (target.kind() == "type_identifier").then(|| text(target, source))
}

/// Names behind the keywords of declarations among the tokens of a macro call.
fn in_macro(node: Node<'_>, source: &[u8]) -> Vec<String> {
    let bytes = &source[node.byte_range()];
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
    let mut names = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if matches!(*word, "static" | "struct" | "enum" | "fn" | "const" | "type" | "trait" | "union") {
            let mut rest = words[at + 1..].iter().filter(|word| !matches!(**word, "ref" | "mut"));
            names.extend(rest.next().map(|name| (*name).to_owned()));
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

fn go_shape(node: Node<'_>, source: &[u8]) -> Shape {
    let mut names = Vec::new();
    match node.kind() {
        "package_clause" => Shape::new(PartKind::Header, names),
        "import_declaration" => Shape::new(PartKind::Import, names),
        "function_declaration" => {
            names = field_names(node, "name", source);
            names.retain(|name| name != "init");
            Shape::new(PartKind::Function, names)
        }
        "method_declaration" => {
            let qualified = go::method(node, source).pop().unwrap_or_default();
            match qualified.rsplit_once('.') {
                Some((owner, name)) => Shape {
                    owner: Some(owner.to_owned()),
                    members: vec![name.to_owned()],
                    ..Shape::new(PartKind::Function, names)
                },
                None => Shape::new(PartKind::Function, names),
            }
        }
        kind @ ("type_declaration" | "const_declaration" | "var_declaration") => {
            go::declared(node, source, &mut names);
            let kind = if kind == "type_declaration" { PartKind::Type } else { PartKind::Value };
            Shape::new(kind, names)
        }
        _ => Shape::new(PartKind::Idle, names),
    }
}

fn python_shape(node: Node<'_>, source: &[u8]) -> Shape {
    let name = |node: Node<'_>| field_names(node, "name", source);
    let inner = match node.kind() {
        "decorated_definition" => node.child_by_field_name("definition").unwrap_or(node),
        _ => node,
    };
    match inner.kind() {
        "future_import_statement" => Shape::new(PartKind::Header, Vec::new()),
        "import_statement" | "import_from_statement" => Shape::new(PartKind::Import, Vec::new()),
        "function_definition" => Shape::new(PartKind::Function, name(inner)),
        "class_definition" => Shape::new(PartKind::Type, name(inner)),
        "type_alias_statement" => Shape::new(PartKind::Value, field_names(node, "left", source)),
        "expression_statement" => python_statement(node, source),
        "if_statement" | "try_statement" | "with_statement" | "for_statement" | "while_statement"
        | "match_statement" => {
            let names = bound(node, Grammar::Python, source);
            Shape::new(if names.is_empty() { PartKind::Idle } else { PartKind::Value }, names)
        }
        _ => Shape::new(PartKind::Idle, Vec::new()),
    }
}

fn python_statement(node: Node<'_>, source: &[u8]) -> Shape {
    let Some(inner) = node.named_child(0) else { return Shape::new(PartKind::Idle, Vec::new()) };
    match inner.kind() {
        "assignment" | "augmented_assignment" | "named_expression" => {
            let names = bound(node, Grammar::Python, source);
            let left = inner.child_by_field_name("left");
            let touches = left.and_then(|left| base(left, source)).filter(|_| names.is_empty());
            let kind = if names.is_empty() && touches.is_none() { PartKind::Idle } else { PartKind::Value };
            Shape { touches, ..Shape::new(kind, names) }
        }
        _ => Shape::new(PartKind::Idle, Vec::new()),
    }
}

/// `a` of `a.b[0].c`.
fn base(node: Node<'_>, source: &[u8]) -> Option<String> {
    let mut node = node;
    let mut inside = false;
    while let Some(inner) = node.child_by_field_name("object").or_else(|| node.child_by_field_name("value")) {
        node = inner;
        inside = true;
    }
    (inside && node.kind() == "identifier").then(|| text(node, source))
}

/// Names that a statement binds outside of functions and classes, sorted.
fn bound(node: Node<'_>, grammar: Grammar, source: &[u8]) -> Vec<String> {
    let mut names = HashSet::new();
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        match node.kind() {
            "function_definition" | "class_definition" => {
                names.extend(node.child_by_field_name("name").map(|name| &source[name.byte_range()]));
                continue;
            }
            "lambda"
            | "list_comprehension"
            | "set_comprehension"
            | "dictionary_comprehension"
            | "generator_expression" => continue,
            _ => {}
        }
        let mut cursor = node.walk();
        if cursor.goto_first_child() {
            loop {
                if grammar.declares(node.kind(), cursor.field_name(), cursor.node().kind()) {
                    pattern(cursor.node(), source, grammar, &mut names);
                }
                stack.push(cursor.node());
                if !cursor.goto_next_sibling() {
                    break;
                }
            }
        }
    }
    let mut names: Vec<String> =
        names.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    names.sort_unstable();
    names
}

fn typescript_shape(node: Node<'_>, source: &[u8]) -> Shape {
    let name = |node: Node<'_>| field_names(node, "name", source);
    match node.kind() {
        "import_statement" => Shape::new(PartKind::Import, Vec::new()),
        "export_statement" | "ambient_declaration" => {
            let declared = node.child_by_field_name("declaration").or_else(|| {
                let mut cursor = node.walk();
                node.named_children(&mut cursor).find(|child| {
                    child.kind().ends_with("_declaration")
                        || matches!(child.kind(), "module" | "internal_module" | "function_signature")
                })
            });
            declared.map_or_else(
                || Shape::new(PartKind::Idle, Vec::new()),
                |inner| typescript_shape(inner, source),
            )
        }
        "function_declaration" | "generator_function_declaration" | "function_signature" => {
            Shape::new(PartKind::Function, name(node))
        }
        "class_declaration"
        | "abstract_class_declaration"
        | "interface_declaration"
        | "type_alias_declaration"
        | "enum_declaration"
        | "module"
        | "internal_module" => Shape::new(PartKind::Type, name(node)),
        "lexical_declaration" | "variable_declaration" => {
            let mut names = HashSet::new();
            let mut function = false;
            for declarator in node.named_children(&mut node.walk()) {
                if let Some(name) = declarator.child_by_field_name("name") {
                    pattern(name, source, Grammar::TypeScript, &mut names);
                }
                let value = declarator.child_by_field_name("value").map_or("", |value| value.kind());
                function |= matches!(value, "arrow_function" | "function_expression" | "generator_function");
            }
            let mut names: Vec<String> =
                names.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            names.sort_unstable();
            Shape::new(if function { PartKind::Function } else { PartKind::Value }, names)
        }
        "expression_statement" => {
            let Some(inner) = node.named_child(0) else { return Shape::new(PartKind::Idle, Vec::new()) };
            match inner.kind() {
                "string" => Shape::new(PartKind::Header, Vec::new()),
                "internal_module" => Shape::new(PartKind::Type, name(inner)),
                "assignment_expression" => {
                    let left = inner.child_by_field_name("left");
                    let touches = left.and_then(|left| base(left, source));
                    let touches = touches.filter(|name| name != "exports" && name != "module");
                    let kind = if touches.is_some() { PartKind::Value } else { PartKind::Idle };
                    Shape { touches, ..Shape::new(kind, Vec::new()) }
                }
                _ => Shape::new(PartKind::Idle, Vec::new()),
            }
        }
        _ => Shape::new(PartKind::Idle, Vec::new()),
    }
}
