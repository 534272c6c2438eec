//! Pure crates turn values into values: no clock, file, environment, process or network.
//!
//! Clippy's `disallowed-methods` in the crate's own file catches calls by name, this rule the paths themselves, and
//! the libraries that would bring such things in. Not covered: methods of values that were made elsewhere
//! (`Path::exists`), which the crate-level file may list.

use syn::visit::{Visit, visit_path};
use syn::{Path, UseTree};

use crate::house::{House, lines};
use crate::tidy::Finding;

const PURE: [&str; 6] = ["chunk", "tokenizer", "program", "ops", "gate", "pipeline"];

const IMPURE_LIBRARIES: [&str; 9] = [
    "wootz-stdx",
    "wootz-store",
    "wootz-container",
    "rusqlite",
    "ignore",
    "tempfile",
    "libc",
    "rustix",
    "jiff",
];

const IMPURE_PATHS: [&str; 6] =
    ["std::fs", "std::env", "std::process", "std::net", "std::time::Instant", "std::time::SystemTime"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_pure = |department: &str, name: &str| department != "dev" && PURE.contains(&name);
    for owner in house.crates.iter().filter(|c| is_pure(&c.department, &c.name)) {
        let manifest = owner.manifest_path();
        for name in owner.dependencies("dependencies") {
            if IMPURE_LIBRARIES.contains(&name) {
                let what = format!("the pure crate `{}` depends on `{name}`", owner.name);
                let fix = "do the effect in a crate above, and pass the value in";
                findings.push(Finding::new(&manifest, house.line_of(&manifest, name), what, fix));
            }
        }
        findings.extend(clippy_file(house, &owner.folder));
    }
    for (owner, source) in house.production() {
        if is_pure(&owner.department, &owner.name) {
            let mut paths = ImpurePaths { path: &source.path, findings: &mut findings };
            paths.visit_file(&source.production);
        }
    }
    findings
}

/// The crate-level clippy.toml: there, with bans, and with every key of the root's, which it replaces.
fn clippy_file(house: &House, folder: &str) -> Option<Finding> {
    let path = format!("{folder}/clippy.toml");
    let fix = "copy the clippy.toml of another pure crate";
    let parsed = house.texts.get(&path).and_then(|text| text.parse::<toml::Table>().ok());
    let Some(table) = parsed else {
        return Some(Finding::new(path, 1, "a pure crate without its bans", fix));
    };
    let root =
        house.texts.get("clippy.toml").and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let missing = root
        .keys()
        .map(String::as_str)
        .chain(["disallowed-methods"])
        .find(|key| !table.contains_key(*key))?;
    Some(Finding::new(path, 1, format!("`{missing}` is missing"), fix))
}

/// Collects uses of [`IMPURE_PATHS`], in `use` trees and written out.
struct ImpurePaths<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl ImpurePaths<'_> {
    fn judge(&mut self, full: &str, line: usize) {
        let breach = |banned: &&&str| full == **banned || full.starts_with(&format!("{banned}::"));
        if let Some(banned) = IMPURE_PATHS.iter().find(breach) {
            let fix = "take the value as an argument";
            self.findings.push(Finding::new(self.path, line, format!("`{banned}` in a pure crate"), fix));
        }
    }

    fn judge_tree(&mut self, tree: &UseTree, prefix: &str) {
        let joined = |name: String| if prefix.is_empty() { name } else { format!("{prefix}::{name}") };
        match tree {
            UseTree::Path(path) => self.judge_tree(&path.tree, &joined(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.judge_tree(item, prefix)),
            UseTree::Name(name) => self.judge(&joined(name.ident.to_string()), lines(name).0),
            UseTree::Rename(name) => self.judge(&joined(name.ident.to_string()), lines(name).0),
            _ => {}
        }
    }
}

impl<'ast> Visit<'ast> for ImpurePaths<'_> {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.judge_tree(&item.tree, "");
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.judge(&names.join("::"), lines(path).0);
        visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    const ROOT: (&str, &str) = ("clippy.toml", "allow-unwrap-in-tests = true\n");
    const CLIPPY: (&str, &str) =
        ("crates/judge/gate/clippy.toml", "allow-unwrap-in-tests = true\ndisallowed-methods = []\n");

    fn check(manifest: &str, source: &str, clippy: (&str, &str)) -> Vec<String> {
        let manifest = ("crates/judge/gate/Cargo.toml", manifest);
        findings_of(super::check, &[ROOT, clippy, manifest, ("crates/judge/gate/src/lib.rs", source)])
    }

    #[test]
    fn values_are_fine() {
        let source = "use std::{fmt, collections::BTreeMap};\nfn f(t: std::time::Duration) {}\n";
        assert_eq!(check("", source, CLIPPY), [""; 0]);
    }

    #[test]
    fn effects_are_found_however_they_are_written() {
        let cases = [
            ("use std::fs;", "`std::fs`"),
            ("use std::{env::var as v, fmt};", "`std::env`"),
            ("use std::time::{Duration, Instant};", "`std::time::Instant`"),
            ("fn f() { std::process::abort() }", "`std::process`"),
            ("fn f(s: std::net::TcpStream) {}", "`std::net`"),
        ];
        for (source, what) in cases {
            let expected = format!("crates/judge/gate/src/lib.rs:1: {what} in a pure crate");
            assert_eq!(check("", source, CLIPPY), [expected]);
        }
    }

    #[test]
    fn tests_of_pure_crates_may_touch_files() {
        assert_eq!(check("", "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n", CLIPPY), [""; 0]);
    }

    #[test]
    fn bans_and_libraries() {
        let stdx = "[dependencies]\nwootz-stdx.workspace = true\n";
        let expected = "crates/judge/gate/Cargo.toml:2: the pure crate `gate` depends on `wootz-stdx`";
        assert_eq!(check(stdx, "", CLIPPY), [expected]);
        let other = ("crates/judge/gate/README.md", "");
        assert_eq!(check("", "", other), ["crates/judge/gate/clippy.toml:1: a pure crate without its bans"]);
        let partial = ("crates/judge/gate/clippy.toml", "disallowed-methods = []\n");
        assert_eq!(
            check("", "", partial),
            ["crates/judge/gate/clippy.toml:1: `allow-unwrap-in-tests` is missing"]
        );
    }
}
