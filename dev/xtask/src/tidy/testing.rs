//! One integration-test binary per crate, and no test that is switched off.

use crate::house::House;
use crate::tidy::Finding;

const OFF: &str = concat!("#[ig", "nore");

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &house.sources {
        let inside = &source.path[source.crate_folder.len() + 1..];
        let binary = inside.strip_prefix("tests/").filter(|rest| !rest.contains('/'));
        if let Some(file) = binary.filter(|file| *file != "main.rs") {
            let fix = "make it a module of tests/main.rs: tests/<name>/mod.rs is no binary of its own";
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
}
