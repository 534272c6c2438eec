//! One integration-test binary per crate, and no test that is switched off.

use crate::house::{Crate, House};
use crate::tidy::Finding;

const OFF: &str = concat!("#[", "ignore");

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        house.crates.iter().filter_map(|owner| written_out(house, owner)).collect();
    for source in &house.sources {
        let inside = &source.path[source.crate_folder.len() + 1..];
        let binary = inside.strip_prefix("tests/").filter(|rest| !rest.contains('/'));
        let discovers = discovers(house.crate_of(source));
        if let Some(file) = binary.filter(|file| discovers && *file != "main.rs") {
            let fix = "make it a module of tests/main.rs, with `autotests = false` and one `[[test]]` in Cargo.toml";
            findings.push(Finding::new(
                &source.path,
                1,
                format!("tests/{file} is a test binary of its own"),
                fix,
            ));
        }
        let text = house.texts.get(&source.path).map_or("", String::as_str);
        for (index, _) in text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with(OFF)) {
            let fix = "make it fast enough to run, or delete it";
            findings.push(Finding::new(&source.path, index + 1, "an ignored test", fix));
        }
    }
    findings
}

/// Cargo makes a binary of every file in tests/, unless the manifest says otherwise.
fn discovers(owner: &Crate) -> bool {
    let package = owner.manifest.get("package");
    package.and_then(|p| p.get("autotests")).and_then(toml::Value::as_bool) != Some(false)
}

/// Test binaries that the manifest lists: one at most.
fn written_out(house: &House, owner: &Crate) -> Option<Finding> {
    let count = owner.manifest.get("test").and_then(toml::Value::as_array).map_or(0, Vec::len);
    (count > 1).then(|| {
        let path = owner.manifest_path();
        let line = house.line_of(&path, "[[test]]");
        Finding::new(path, line, format!("{count} test binaries"), "make them modules of one")
    })
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn one_binary_and_nothing_ignored() {
        let off = format!("#[test]\n    {}]\nfn t() {{}}\n", super::OFF);
        let files = [
            ("crates/base/a/Cargo.toml", ""),
            ("crates/base/a/src/lib.rs", ""),
            ("crates/base/a/tests/main.rs", "mod more;\n"),
            ("crates/base/a/tests/more/mod.rs", off.as_str()),
            ("crates/base/a/tests/second.rs", ""),
        ];
        let expected = [
            "crates/base/a/tests/more/mod.rs:2: an ignored test",
            "crates/base/a/tests/second.rs:1: tests/second.rs is a test binary of its own",
        ];
        assert_eq!(findings_of(super::check, &files), expected);
    }

    #[test]
    fn a_manifest_may_name_its_one_binary() {
        let check = |tests: &str| {
            let manifest = format!("[package]\nautotests = false\n{tests}");
            let files =
                [("crates/base/a/Cargo.toml", manifest.as_str()), ("crates/base/a/tests/part.rs", "")];
            findings_of(super::check, &files)
        };
        let one = "[[test]]\nname = \"main\"\n";
        assert_eq!(check(one), [""; 0]);
        assert_eq!(check(&one.repeat(2)), ["crates/base/a/Cargo.toml:3: 2 test binaries"]);
    }
}
