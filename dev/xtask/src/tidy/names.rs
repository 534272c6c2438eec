//! No file of code, and no folder of it, whose name says nothing.

use std::collections::BTreeSet;

use crate::house::House;
use crate::tidy::Finding;

const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "helper", "helpers", "common", "misc", "errors", "shared", "stuff"];

/// Endings of the files that the rule is about.
const CODE: [&str; 4] = [".rs", ".py", ".sh", ".cu"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut folders = BTreeSet::new();
    let is_code = |path: &&String| CODE.iter().any(|ending| path.ends_with(ending));
    for path in house.texts.keys().filter(is_code) {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let stem = file.split('.').next().unwrap_or(file);
        let empty_folder = folder.split('/').find(|part| EMPTY_NAMES.contains(part));
        if EMPTY_NAMES.contains(&stem) {
            findings.push(nameless(path, stem));
        } else if let Some(part) = empty_folder.filter(|_| folders.insert(folder)) {
            findings.push(nameless(path, part));
        }
    }
    findings
}

fn nameless(path: &str, part: &str) -> Finding {
    let fix = "name it after the noun it holds; errors stand beside the code that raises them";
    Finding::new(path, 1, format!("`{part}` says nothing"), fix)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    #[test]
    fn names_that_say_nothing_are_refused() {
        let files = [
            ("crates/base/a/src/errors.rs", ""),
            ("crates/base/a/src/helpers/x.rs", ""),
            ("crates/base/a/src/helpers/y.rs", ""),
            ("crates/base/a/src/utility_bills.rs", ""),
            ("dev/common.sh", ""),
            ("tests/pages/errors.md", ""),
        ];
        let expected = [
            "crates/base/a/src/errors.rs:1: `errors` says nothing",
            "crates/base/a/src/helpers/x.rs:1: `helpers` says nothing",
            "dev/common.sh:1: `common` says nothing",
        ];
        assert_eq!(findings_of(super::check, &files), expected);
    }
}
