//! Licenses that are declared: in the head of a file, in a package manifest.

use super::canonical_expression;
use serde_json::Value;

/// How far into a file a license line is looked for, bytes.
const HEAD_BYTES: usize = 8 << 10;

/// The expression of the `SPDX-License-Identifier` lines in a file's head; several lines all apply.
pub(crate) fn in_head(text: &str) -> Option<String> {
    const TAG: &str = "SPDX-License-Identifier:";
    let head = &text[..text.floor_char_boundary(HEAD_BYTES)];
    let lines = head.split(TAG).skip(1).filter_map(|rest| {
        let line = rest.lines().next().unwrap_or_default().trim();
        let line = ["*/", "-->", "#}", "\"\"\""]
            .iter()
            .fold(line, |line, end| line.split(end).next().unwrap_or(line));
        canonical_expression(line)
    });
    let mut expressions: Vec<String> = lines.collect();
    expressions.sort_unstable();
    expressions.dedup();
    match expressions.len() {
        0 => None,
        1 => expressions.pop(),
        _ => canonical_expression(&sum(expressions.iter().map(String::as_str))),
    }
}

/// The expression that asks for all of several.
pub(super) fn sum<'a>(expressions: impl Iterator<Item = &'a str>) -> String {
    let bracketed = |one: &str| if one.contains(" OR ") { format!("({one})") } else { one.to_owned() };
    expressions.map(bracketed).collect::<Vec<_>>().join(" AND ")
}

/// The license field of a package manifest, as written there.
pub(crate) fn in_manifest(name: &str, content: &str) -> Option<String> {
    match name {
        "package.json" => in_package_json(content),
        "Cargo.toml" => in_toml(content, &["package", "workspace.package"]),
        "pyproject.toml" => in_toml(content, &["project", "tool.poetry"]),
        _ => None,
    }
}

fn in_package_json(content: &str) -> Option<String> {
    let manifest: Value = serde_json::from_str(content).ok()?;
    let license = match manifest.get("license") {
        Some(license) => license,
        None => manifest.get("licenses")?.get(0)?,
    };
    license.as_str().or_else(|| license.get("type")?.as_str()).map(str::to_owned)
}

/// `license = "X"`, `license.text = "X"` or `license = { text = "X" }` in one of the tables.
///
/// Reads lines, not TOML: a value over several lines is missed, which leaves the license undeclared.
fn in_toml(content: &str, tables: &[&str]) -> Option<String> {
    let mut table = String::new();
    for line in content.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            table = header.split(']').next().unwrap_or_default().trim().to_owned();
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        if !tables.contains(&table.as_str()) || !matches!(key.trim(), "license" | "license.text") {
            continue;
        }
        let value = value.trim();
        let value = match value.strip_prefix('{') {
            Some(inline) => {
                inline.split_once("text").and_then(|(_, rest)| rest.split_once('=')).map(|(_, text)| text)
            }
            None => Some(value),
        };
        let quoted = value.map(str::trim).and_then(|value| {
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
            value[1..].split(quote).next()
        });
        if let Some(license) = quoted {
            return Some(license.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        for (text, expected) in [
            ("// SPDX-License-Identifier: MIT\n", Some("MIT")),
            ("/* SPDX-License-Identifier: GPL-2.0+ */ int x;", Some("GPL-2.0-or-later")),
            ("# SPDX-License-Identifier: MIT OR Apache-2.0", Some("Apache-2.0 OR MIT")),
            ("# SPDX-License-Identifier: MIT\n# SPDX-License-Identifier: Zlib\n", Some("MIT AND Zlib")),
            ("// SPDX-License-Identifier: Nonsense\n", None),
            ("// MIT\n", None),
        ] {
            assert_eq!(in_head(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn manifests() {
        for (name, content, expected) in [
            ("Cargo.toml", "[package]\nlicense = \"MIT\"\n", Some("MIT")),
            ("Cargo.toml", "[package]\nlicense.workspace = true\n", None),
            ("Cargo.toml", "[workspace.package]\nlicense = 'MIT' # x\n", Some("MIT")),
            ("Cargo.toml", "[dependencies.x]\nlicense = \"MIT\"\n", None),
            ("pyproject.toml", "[project]\nlicense = { text = \"MIT\" }\n", Some("MIT")),
            ("pyproject.toml", "[project]\nlicense = { file = \"LICENSE\" }\n", None),
            ("pyproject.toml", "[tool.poetry]\nlicense = \"BSD-3-Clause\"\n", Some("BSD-3-Clause")),
            ("package.json", r#"{"license": "ISC"}"#, Some("ISC")),
            ("package.json", r#"{"licenses": [{"type": "MIT"}]}"#, Some("MIT")),
            ("package.json", "{", None),
            ("go.mod", "module x", None),
        ] {
            assert_eq!(in_manifest(name, content).as_deref(), expected, "{content}");
        }
    }
}
