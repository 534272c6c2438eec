//! `unsafe` lives in named crates only, and every crate takes the workspace's lints, whole.
//!
//! A crate with `unsafe` cannot inherit a table that forbids it, so it writes the lints out; then this rule compares
//! them one by one, since nothing else would notice one that was left out.

use syn::visit::{self, Visit};

use crate::house::{Crate, House, lines};
use crate::tidy::Finding;

/// Crates that may hold `unsafe`, each block with its `// SAFETY:` (clippy asks for that).
const UNSAFE: [&str; 2] = ["cpu", "cuda"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings: Vec<Finding> = house.crates.iter().filter_map(|owner| lints(house, owner)).collect();
    for (owner, source) in house.production() {
        if owner.department == "dev" || !UNSAFE.contains(&owner.name.as_str()) {
            Unsafe { path: &source.path, findings: &mut findings }.visit_file(&source.production);
        }
    }
    findings
}

fn lints(house: &House, owner: &Crate) -> Option<Finding> {
    let path = owner.manifest_path();
    let own = owner.manifest.get("lints").and_then(toml::Value::as_table);
    if own.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true) {
        return None;
    }
    let line = house.line_of(&path, "[lints");
    if !UNSAFE.contains(&owner.name.as_str()) {
        let fix = "write `[lints]` and `workspace = true`";
        return Some(Finding::new(path, line, "the workspace's lints do not hold here", fix));
    }
    let root: toml::Table = house.texts.get("Cargo.toml")?.parse().ok()?;
    let workspace = root.get("workspace")?.get("lints")?.as_table()?;
    let entries = workspace.iter().flat_map(|(tool, lints)| {
        lints.as_table().into_iter().flatten().map(move |(name, level)| (tool, name, level))
    });
    let differs = |(tool, name, level): &(&String, &String, &toml::Value)| {
        *name != "unsafe_code" && own.and_then(|lints| lints.get(*tool)?.get(*name)) != Some(*level)
    };
    let (tool, name, _) = entries.into_iter().find(differs)?;
    let what = format!("the lint {tool}.{name} is not the workspace's");
    Some(Finding::new(path, line, what, "repeat every lint of the root but unsafe_code"))
}

struct Unsafe<'a> {
    path: &'a str,
    findings: &'a mut Vec<Finding>,
}

impl Unsafe<'_> {
    fn found(&mut self, line: usize) {
        let fix = "write it without, or move it to cpu";
        self.findings.push(Finding::new(self.path, line, "`unsafe` outside its crates", fix));
    }
}

impl<'ast> Visit<'ast> for Unsafe<'_> {
    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.found(lines(block).0);
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if matches!(signature.safety, syn::Safety::Unsafe(_)) {
            self.found(lines(signature).0);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if block.unsafety.is_some() {
            self.found(lines(block).0);
        }
        visit::visit_item_impl(self, block);
    }

    fn visit_item_foreign_mod(&mut self, block: &'ast syn::ItemForeignMod) {
        self.found(lines(block).0);
        visit::visit_item_foreign_mod(self, block);
    }
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    const ROOT: (&str, &str) = (
        "Cargo.toml",
        "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n[workspace.lints.clippy]\ntodo = \"warn\"\nall = { level = \"warn\", priority = -1 }\n",
    );

    fn check(folder: &str, manifest: &str, source: &str) -> Vec<String> {
        let (manifest_path, lib) = (format!("{folder}/Cargo.toml"), format!("{folder}/src/lib.rs"));
        let found = findings_of(super::check, &[ROOT, (&manifest_path, manifest), (&lib, source)]);
        found.iter().map(|f| f.replace(&format!("{folder}/"), "")).collect()
    }

    #[test]
    fn lints_are_inherited_or_repeated() {
        let inherited = "[lints]\nworkspace = true\n";
        assert_eq!(check("crates/engine/nn", inherited, ""), [""; 0]);
        assert_eq!(
            check("crates/engine/nn", "", ""),
            ["Cargo.toml:1: the workspace's lints do not hold here"]
        );
        let repeated = "[lints.rust]\nunsafe_code = \"warn\"\n[lints.clippy]\nall = { level = \"warn\", priority = -1 }\n";
        let missing = check("crates/engine/cpu", repeated, "");
        assert_eq!(missing, ["Cargo.toml:1: the lint clippy.todo is not the workspace's"]);
        assert_eq!(check("crates/engine/cpu", &format!("{repeated}todo = \"warn\"\n"), ""), [""; 0]);
    }

    #[test]
    fn unsafe_stays_in_its_crates() {
        let inherited = "[lints]\nworkspace = true\n";
        for source in [
            "fn f() { unsafe {} }",
            "unsafe fn f() {}",
            "unsafe impl Send for X {}",
            "unsafe extern \"C\" {}",
        ] {
            let expected = "src/lib.rs:1: `unsafe` outside its crates";
            assert_eq!(check("crates/engine/nn", inherited, source), [expected]);
            assert_eq!(check("crates/engine/cpu", inherited, source), [""; 0]);
        }
    }
}
