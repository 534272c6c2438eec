//! The map and the manuals are true: every crate has its place in ARCHITECTURE.md, and every path that a document
//! names is there.

use std::collections::BTreeSet;

use crate::house::House;
use crate::tidy::Finding;

const MAP: &str = "ARCHITECTURE.md";
const MAP_LINES_MAX: usize = 250;

/// First parts of the paths that documents are held to.
const ROOTS: [&str; 6] = ["crates/", "dev/", "docs/", "recipes/", ".ci/", ".cargo/"];

pub fn check(house: &House) -> Vec<Finding> {
    let mut findings = places(house);
    let paths = known_paths(house);
    for (file, text) in
        house.texts.iter().filter(|(path, _)| path.ends_with(".md") && !path.contains("/tests/"))
    {
        for (index, line) in text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            for path in quoted.filter_map(checked_path).filter(|path| !paths.contains(*path)) {
                let what = format!("`{path}` is not there");
                findings.push(Finding::new(file, index + 1, what, "correct the path, or the sentence"));
            }
        }
    }
    findings
}

/// One heading `### department/crate` per crate, none without one, on a map of a readable size.
fn places(house: &House) -> Vec<Finding> {
    let Some(map) = house.texts.get(MAP) else {
        return vec![Finding::new(MAP, 1, "the map is missing", "write it")];
    };
    let mut findings = Vec::new();
    let headings: Vec<(usize, &str)> = map
        .lines()
        .enumerate()
        .filter_map(|(i, line)| Some((i + 1, line.strip_prefix("### ")?.trim_matches('`'))))
        .collect();
    let crates: BTreeSet<String> =
        house.crates.iter().map(|c| format!("{}/{}", c.department, c.name)).collect();
    for place in crates.iter().filter(|place| !headings.iter().any(|(_, heading)| heading == place)) {
        let what = format!("`{place}` is not on the map");
        findings.push(Finding::new(
            MAP,
            1,
            what,
            "give it a heading `### department/crate`: what it is, what it never does",
        ));
    }
    for (line, heading) in headings.iter().filter(|(_, heading)| !crates.contains(*heading)) {
        findings.push(Finding::new(MAP, *line, format!("`{heading}` is no crate"), "remove the heading"));
    }
    let count = map.lines().count();
    if count > MAP_LINES_MAX {
        let what = format!("{count} lines, a map has at most {MAP_LINES_MAX}");
        findings.push(Finding::new(MAP, MAP_LINES_MAX, what, "move the detail to the crate's lib.rs"));
    }
    findings
}

/// Every file, and every folder above one.
fn known_paths(house: &House) -> BTreeSet<&str> {
    let mut paths = BTreeSet::new();
    for path in house.texts.keys() {
        paths.insert(path.as_str());
        paths.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
    }
    paths
}

/// A quoted text that claims to be a path of this repository, without trailing `/` and without arguments or patterns.
fn checked_path(quoted: &str) -> Option<&str> {
    let path = quoted.split_whitespace().next()?.trim_end_matches('/');
    let plain = !path.contains(['<', '*', '{', '$', ':']);
    (plain && ROOTS.iter().any(|root| path.starts_with(root))).then_some(path)
}

#[cfg(test)]
mod tests {
    use crate::tidy::findings_of;

    fn check(map: &str, extra: (&str, &str)) -> Vec<String> {
        let files = [
            ("crates/base/a/Cargo.toml", ""),
            ("crates/base/a/src/lib.rs", ""),
            ("ARCHITECTURE.md", map),
            extra,
        ];
        findings_of(super::check, &files)
    }

    #[test]
    fn the_map_has_every_crate_and_no_other() {
        let none = ("docs/x.md", "");
        assert_eq!(check("### base/a\n", none), [""; 0]);
        let expected =
            ["ARCHITECTURE.md:1: `base/a` is not on the map", "ARCHITECTURE.md:1: `base/b` is no crate"];
        assert_eq!(check("### base/b\n", none), expected);
        let long = format!("### base/a\n{}", "\n".repeat(250));
        assert_eq!(check(&long, none), ["ARCHITECTURE.md:250: 251 lines, a map has at most 250"]);
    }

    #[test]
    fn documents_name_what_is_there() {
        let text = "See `crates/base/a/src/lib.rs`, `crates/base/a/`, `crates/<x>` and `src/any.rs`.\nAlso `crates/base/z.rs`.\n";
        assert_eq!(
            check("### base/a\n", ("docs/x.md", text)),
            ["docs/x.md:2: `crates/base/z.rs` is not there"]
        );
    }
}
