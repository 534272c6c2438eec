//! The names that an import declares, each with the statement that would import it alone.

use super::Import;
use super::names::Grammar;
use crate::languages::text;
use tree_sitter::Node;

/// What a part that imports brings into its file.
pub(super) fn of(grammar: Grammar, node: Node<'_>, source: &[u8]) -> Vec<Import> {
    match grammar {
        Grammar::Go => go(node, source),
        Grammar::Python => python(node, source),
        Grammar::Rust => rust(node, source),
        Grammar::TypeScript => typescript(node, source),
    }
}

fn import(module: &str, name: Option<&str>, local: &str, before: String, after: String) -> Import {
    Import {
        module: module.to_owned(),
        name: name.map(str::to_owned),
        local: local.to_owned(),
        written: [before, after],
    }
}

/// `name` and `alias` of a node that may have both.
fn named(node: Node<'_>, source: &[u8]) -> (String, Option<String>) {
    let field = |field| node.child_by_field_name(field).map(|node| text(node, source));
    (field("name").unwrap_or_else(|| text(node, source)), field("alias"))
}

fn python(node: Node<'_>, source: &[u8]) -> Vec<Import> {
    let mut found = Vec::new();
    let from = node.child_by_field_name("module_name").map(|module| text(module, source));
    if from.is_some() && node.named_children(&mut node.walk()).any(|child| child.kind() == "wildcard_import")
    {
        let module = from.as_deref().unwrap_or("");
        return vec![import(module, Some("*"), "*", "from ".to_owned(), " import *".to_owned())];
    }
    for child in node.children_by_field_name("name", &mut node.walk()) {
        let (name, alias) = named(child, source);
        let tail = alias.as_ref().map_or_else(String::new, |alias| format!(" as {alias}"));
        let local = alias.as_deref().unwrap_or(&name);
        found.push(match &from {
            Some(module) => {
                import(module, Some(&name), local, "from ".to_owned(), format!(" import {name}{tail}"))
            }
            None => {
                let local = local.split('.').next().unwrap_or(local);
                import(&name, None, local, "import ".to_owned(), tail)
            }
        });
    }
    found
}

fn go(node: Node<'_>, source: &[u8]) -> Vec<Import> {
    let mut found = Vec::new();
    let mut stack = vec![node];
    while let Some(node) = stack.pop() {
        if node.kind() != "import_spec" {
            let mut children: Vec<_> = node.named_children(&mut node.walk()).collect();
            children.reverse();
            stack.extend(children);
            continue;
        }
        let Some(path) = node.child_by_field_name("path") else { continue };
        let written = text(path, source);
        let module = written.trim_matches(['"', '`']);
        match node.child_by_field_name("name").map(|name| text(name, source)) {
            Some(name) => {
                let local = if name == "." { "*" } else { &name };
                found.push(import(module, None, local, format!("import {name} \""), "\"".to_owned()));
            }
            None => found.extend(
                package_names(module)
                    .into_iter()
                    .map(|local| import(module, None, &local, "import \"".to_owned(), "\"".to_owned())),
            ),
        }
    }
    found
}

/// Names that the package of a path may have: its clause is in another project.
fn package_names(path: &str) -> Vec<String> {
    let mut parts = path.rsplit('/');
    let mut last = parts.next().unwrap_or(path);
    let version = |part: &str| {
        part.len() > 1 && part.starts_with('v') && part[1..].bytes().all(|byte| byte.is_ascii_digit())
    };
    if version(last) {
        last = parts.next().unwrap_or(last);
    }
    let last = last.split_once(".v").map_or(last, |(name, _)| name);
    let mut names: Vec<String> = last.split(['-', '.']).map(str::to_owned).collect();
    names.push(last.replace(['-', '.'], "_"));
    names.push(last.replace(['-', '.'], ""));
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    names
}

fn typescript(node: Node<'_>, source: &[u8]) -> Vec<Import> {
    let mut found = Vec::new();
    let kept = || import("", None, "_", text(node, source), String::new());
    let clause = node.named_children(&mut node.walk()).find(|child| child.kind() == "import_clause");
    let (Some(clause), Some(from)) = (clause, node.child_by_field_name("source")) else {
        // `import x = require("y")`.
        let required =
            node.named_children(&mut node.walk()).find(|child| child.kind() == "import_require_clause");
        if let Some(name) = required.and_then(|clause| clause.named_child(0)) {
            found.push(Import { local: text(name, source), ..kept() });
        }
        return found;
    };
    let quoted = text(from, source);
    let module = quoted.trim_matches(['"', '\'']);
    let quote = quoted.chars().next().unwrap_or('"');
    let word = if source[node.start_byte()..clause.start_byte()].ends_with(b"type ") {
        "import type"
    } else {
        "import"
    };
    let after = format!("{quote};");
    for child in clause.named_children(&mut clause.walk()) {
        match child.kind() {
            "identifier" => {
                let name = text(child, source);
                let before = format!("{word} {name} from {quote}");
                found.push(import(module, Some("default"), &name, before, after.clone()));
            }
            "namespace_import" => {
                let name = child.named_child(0).map(|name| text(name, source)).unwrap_or_default();
                let before = format!("{word} * as {name} from {quote}");
                found.push(import(module, None, &name, before, after.clone()));
            }
            _ => {
                for one in
                    child.named_children(&mut child.walk()).filter(|one| one.kind() == "import_specifier")
                {
                    let (name, alias) = named(one, source);
                    let before = format!("{word} {{ {} }} from {quote}", text(one, source));
                    found.push(import(
                        module,
                        Some(&name),
                        alias.as_deref().unwrap_or(&name),
                        before,
                        after.clone(),
                    ));
                }
            }
        }
    }
    found
}

/// Names that `export … from …` hands on.
pub(super) fn handed_on(node: Node<'_>, source: &[u8]) -> Vec<Import> {
    let Some(from) = node.child_by_field_name("source") else { return Vec::new() };
    let from = text(from, source);
    let module = from.trim_matches(['"', '\'']);
    let clause = node.named_children(&mut node.walk()).find(|child| child.kind() == "export_clause");
    let none = String::new;
    let Some(clause) = clause else { return vec![import(module, Some("*"), "*", none(), none())] };
    let one = |specifier| {
        let (name, alias) = named(specifier, source);
        import(module, Some(&name), alias.as_deref().unwrap_or(&name), none(), none())
    };
    let mut cursor = clause.walk();
    clause.named_children(&mut cursor).filter(|child| child.kind() == "export_specifier").map(one).collect()
}

fn rust(node: Node<'_>, source: &[u8]) -> Vec<Import> {
    if node.kind() != "use_declaration" {
        // `mod name;` and `extern crate name;`.
        let (name, alias) = named(node, source);
        let local = alias.unwrap_or_else(|| name.clone());
        let whole = text(node, source);
        return vec![import("", None, &local, whole, String::new())];
    }
    let Some(argument) = node.child_by_field_name("argument") else { return Vec::new() };
    let mut found = Vec::new();
    let mut stack = vec![(String::new(), argument)];
    while let Some((path, node)) = stack.pop() {
        let join = |last: &str| if path.is_empty() { last.to_owned() } else { format!("{path}::{last}") };
        let field = |name| node.child_by_field_name(name).map(|node| text(node, source));
        match node.kind() {
            "use_list" | "scoped_use_list" => {
                let path = field("path").map_or_else(|| path.clone(), |inner| join(&inner));
                let list = node.child_by_field_name("list").unwrap_or(node);
                let mut members: Vec<_> =
                    list.named_children(&mut list.walk()).map(|child| (path.clone(), child)).collect();
                members.reverse();
                stack.extend(members);
            }
            "use_as_clause" => {
                let alias = field("alias").unwrap_or_default();
                found.extend(used(&join(&field("path").unwrap_or_default()), Some(&alias)));
            }
            "use_wildcard" => {
                let inner = text(node, source);
                let inner = inner.trim_end_matches('*').trim_end_matches("::");
                let module = if inner.is_empty() { path.clone() } else { join(inner) };
                found.push(import(&module, Some("*"), "*", "use ".to_owned(), "::*;".to_owned()));
            }
            kind if kind.ends_with("comment") => {}
            _ => found.extend(used(&join(&text(node, source)), None)),
        }
    }
    found
}

/// One path of a `use`.
fn used(path: &str, alias: Option<&str>) -> Option<Import> {
    let path: String = path.split_whitespace().collect();
    let path = path.strip_suffix("::self").unwrap_or(&path);
    let tail = alias.map_or_else(String::new, |alias| format!(" as {alias}"));
    match path.rsplit_once("::") {
        Some((module, name)) => {
            let after = format!("::{name}{tail};");
            Some(import(module, Some(name), alias.unwrap_or(name), "use ".to_owned(), after))
        }
        None => (!path.is_empty())
            .then(|| import(path, None, alias.unwrap_or(path), "use ".to_owned(), format!("{tail};"))),
    }
}
