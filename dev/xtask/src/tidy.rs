//! The rules of the house as functions of its text: `cargo xtask tidy`.
//!
//! A rule is one file under `tidy/` with a `check`, and one line in [`RULES`]. What may break a rule stands in
//! `exemptions.rs` with its reason; an exemption that nothing needs is itself a breach.

mod departments;
mod exemptions;
mod files;
mod map;
mod names;
mod purity;
mod safety;
mod shell;
mod stored;
mod testing;
mod walls;
mod words;

use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::house::House;
use exemptions::{EXEMPTIONS, Exemption};

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    what: String,
    fix: &'static str,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, what: impl Into<String>, fix: &'static str) -> Finding {
        Finding { path: path.into(), line, what: what.into(), fix }
    }
}

/// A rule's name, as exemptions and messages have it, and its check.
type Rule = (&'static str, fn(&House) -> Vec<Finding>);

const RULES: &[Rule] = &[
    ("departments", departments::check),
    ("purity", purity::check),
    ("shell", shell::check),
    ("safety", safety::check),
    ("walls", walls::check),
    ("files", files::check),
    ("names", names::check),
    ("words", words::check),
    ("stored", stored::check),
    ("testing", testing::check),
    ("map", map::check),
];

/// Checks the repository and prints what it found; true when nothing.
pub fn run(root: &Path) -> Result<bool> {
    let start = Instant::now();
    let house = House::read(root)?;
    let findings = check_all(&house, EXEMPTIONS);
    for (rule, finding) in &findings {
        eprintln!("{}:{}: {} [{rule}]\n    fix: {}", finding.path, finding.line, finding.what, finding.fix);
    }
    let (crates, sources, seconds) = (house.crates.len(), house.sources.len(), start.elapsed().as_secs_f64());
    let verdict = match findings.len() {
        0 => "clean".to_string(),
        1 => "1 breach".to_string(),
        n => format!("{n} breaches"),
    };
    println!("tidy: {verdict}; {} rules, {crates} crates, {sources} Rust files, {seconds:.2} s", RULES.len());
    Ok(findings.is_empty())
}

/// Every finding that no exemption covers, and every exemption that covers none.
fn check_all(house: &House, exemptions: &[Exemption]) -> Vec<(&'static str, Finding)> {
    let mut used = vec![false; exemptions.len()];
    let mut left = Vec::new();
    for (rule, check) in RULES {
        let mut findings = check(house);
        findings.sort();
        for finding in findings {
            match exemptions.iter().position(|e| e.rule == *rule && e.covers(&finding.path)) {
                Some(index) => used[index] = true,
                None => left.push((*rule, finding)),
            }
        }
    }
    for (exemption, _) in exemptions.iter().zip(&used).filter(|(_, used)| !**used) {
        let path = "dev/xtask/src/tidy/exemptions.rs";
        let what = format!("nothing at {} needs its exemption from {}", exemption.path, exemption.rule);
        left.push((
            "exemptions",
            Finding::new(path, house.line_of(path, exemption.path), what, "remove the entry"),
        ));
    }
    left
}

/// Runs one rule on a house of the given files, for the rules' tests; each finding as `path:line: what`.
#[cfg(test)]
fn findings_of(check: fn(&House) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    let house =
        House::of(files.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect()).unwrap();
    let mut findings = check(&house);
    findings.sort();
    findings.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.what)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(path: &str, text: &str) -> House {
        House::of([(path.to_string(), text.to_string())].into()).unwrap()
    }

    #[test]
    fn an_exemption_silences_its_rule_at_its_path_only() {
        let house = house("docs/a.md", concat!("see /ho", "me/someone/notes\n"));
        let exempt = |rule, path| [Exemption { rule, path, reason: "a test" }];
        let rules = |exemptions: &[Exemption]| -> Vec<&str> {
            check_all(&house, exemptions).into_iter().map(|(rule, _)| rule).filter(|r| *r != "map").collect()
        };
        assert_eq!(rules(&[]), ["words"]);
        assert_eq!(rules(&exempt("words", "docs/a.md")), [""; 0]);
        assert_eq!(rules(&exempt("words", "docs/")), [""; 0]);
        assert_eq!(rules(&exempt("words", "docs/b.md")), ["words", "exemptions"]);
        assert_eq!(rules(&exempt("walls", "docs/a.md")), ["words", "exemptions"]);
    }

    #[test]
    fn the_repository_is_tidy() {
        assert!(run(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))).unwrap());
    }
}
