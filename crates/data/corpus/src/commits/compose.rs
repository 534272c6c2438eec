//! A change becomes text: what was said of it, what it calls, how it was and how it is.
//!
//! Two forms. A chain shows imports, the unchanged functions that the changed ones call (callees first), the changed
//! definitions before, and the same after. A diff shows the same surroundings and the hunks as a unified diff. Whole definitions
//! only: where a form does not fit, the callees farthest away go first, then the imports, and then it is given up and counted.

use super::hunks::{Side, changed, hunks, unified};
use std::collections::{BTreeMap, BTreeSet};
use wootz_chunk::{Chunker, Definition, DefinitionKind, Language};
use wootz_schema::commits::CommitForm;

/// Lines of a message's body that are kept.
const BODY_LINES: usize = 8;
/// How far calls are followed.
const CALL_DEPTH: usize = 3;

/// A file before and after a commit.
pub(super) struct Versions<'a> {
    pub subject: &'a str,
    pub body: &'a str,
    pub repo: &'a str,
    pub path: &'a str,
    pub language: &'static dyn Language,
    pub old: &'a str,
    pub new: &'a str,
}

/// A form, ready.
pub(super) struct Composed {
    pub form: CommitForm,
    /// None where it fits in no shape.
    pub text: Option<(String, u64)>,
    pub symbols: Vec<String>,
}

/// What both forms have in common.
struct Parts<'a> {
    mark: &'static str,
    about: String,
    imports: Vec<&'a str>,
    /// Called definitions by distance from what changed, each callees first.
    called: Vec<Vec<&'a str>>,
    before: Vec<&'a str>,
    after: Vec<&'a str>,
    diff: String,
}

/// Makes the asked forms; none where no line differs, or none that a definition holds.
pub(super) fn compose(
    versions: &Versions<'_>,
    forms: &[CommitForm],
    chunker: &mut Chunker,
    count: &dyn Fn(&str) -> u64,
    max_tokens: u64,
) -> Vec<Composed> {
    let hunks = hunks(versions.old, versions.new);
    let old = chunker.definitions(versions.language, versions.old.as_bytes());
    let new = chunker.definitions(versions.language, versions.new.as_bytes());
    let sides = changed(&Side::new(&old, versions.old), &Side::new(&new, versions.new), &hunks);
    let names = sides.0.iter().map(|one| &old[*one].name).chain(sides.1.iter().map(|one| &new[*one].name));
    let mut seen = BTreeSet::new();
    let symbols: Vec<String> = names.filter(|name| seen.insert((*name).clone())).cloned().collect();
    if symbols.is_empty() {
        return Vec::new();
    }
    let (before, after) = both_sides(&old, &new, sides);
    let parts = Parts {
        mark: if versions.language.name() == "python" { "#" } else { "//" },
        about: about(versions),
        imports: imports(chunker, versions),
        called: called(&new, &after, versions.new),
        before: texts(&old, &before, versions.old),
        after: texts(&new, &after, versions.new),
        diff: unified(versions.path, versions.old, versions.new, &hunks),
    };
    let form = |form: &CommitForm| Composed {
        form: *form,
        text: parts.fitting(*form, count, max_tokens),
        symbols: symbols.clone(),
    };
    forms.iter().map(form).collect()
}

/// What changed on one side is shown on both, where both have it under one name.
fn both_sides(
    old: &[Definition],
    new: &[Definition],
    (mut before, mut after): (Vec<usize>, Vec<usize>),
) -> (Vec<usize>, Vec<usize>) {
    let add = |from: &[Definition], chosen: &[usize], to: &[Definition], into: &mut Vec<usize>| {
        let present: BTreeSet<&str> = into.iter().map(|one| to[*one].name.as_str()).collect();
        let mut missing = Vec::new();
        for name in chosen.iter().map(|one| from[*one].name.as_str()).filter(|name| !present.contains(name)) {
            let mut same = (0..to.len()).filter(|one| to[*one].name == name);
            // Of overloads nobody can tell which one it was.
            if let (Some(only), None) = (same.next(), same.next()) {
                missing.push(only);
            }
        }
        into.extend(missing);
        into.sort_unstable();
        into.dedup();
    };
    let known = before.clone();
    add(new, &after, old, &mut before);
    add(old, &known, new, &mut after);
    (outermost(old, before), outermost(new, after))
}

/// Without those that stand inside another one that is shown too.
fn outermost(definitions: &[Definition], chosen: Vec<usize>) -> Vec<usize> {
    let inside = |one: usize| {
        let range = &definitions[one].range;
        chosen.iter().any(|other| {
            let around = &definitions[*other].range;
            *other != one && around.start <= range.start && range.end <= around.end
        })
    };
    chosen.iter().copied().filter(|one| !inside(*one)).collect()
}

fn texts<'a>(definitions: &[Definition], chosen: &[usize], source: &'a str) -> Vec<&'a str> {
    chosen.iter().map(|one| &source[definitions[*one].range.clone()]).collect()
}

/// Subject, body, repository and file, as text.
fn about(versions: &Versions<'_>) -> String {
    let mut text = versions.subject.to_owned();
    let body: Vec<&str> = versions.body.lines().take(BODY_LINES).collect();
    if !body.is_empty() {
        text.push_str("\n\n");
        text.push_str(&body.join("\n"));
    }
    text.push_str(&format!("\n\nRepository: {}\nFile: {}", versions.repo, versions.path));
    text
}

/// The top-level items that bring names in.
fn imports<'a>(chunker: &mut Chunker, versions: &Versions<'a>) -> Vec<&'a str> {
    let starts: &[&str] = match versions.language.name() {
        "c" | "cpp" => &["#include", "using "],
        "rust" => &["use ", "pub use "],
        "python" => &["import ", "from "],
        "go" => &["import ", "import("],
        _ => &["import "],
    };
    let items = chunker.parse(versions.language, versions.new.as_bytes()).items;
    let mut texts = Vec::new();
    let mut open: Vec<&wootz_chunk::Item> = items.iter().rev().collect();
    while let Some(item) = open.pop() {
        let text = &versions.new[item.range.clone()];
        if item.members.is_empty() && starts.iter().any(|start| text.starts_with(start)) {
            texts.push(text);
        }
        open.extend(item.members.iter().rev());
    }
    texts
}

/// Functions of the file that the chosen ones call, and those call: by distance, nearest first.
fn called<'a>(definitions: &[Definition], chosen: &[usize], source: &'a str) -> Vec<Vec<&'a str>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, one) in definitions.iter().enumerate().filter(|(_, one)| one.kind == DefinitionKind::Function)
    {
        by_name.entry(last_part(&one.name)).or_default().push(index);
    }
    let mut seen: BTreeSet<usize> = chosen.iter().copied().collect();
    let mut level: Vec<usize> = chosen.to_vec();
    let mut levels = Vec::new();
    for _ in 0..CALL_DEPTH {
        let mut next = BTreeSet::new();
        for one in &level {
            for name in calls(&source[definitions[*one].range.clone()]) {
                // A name that several functions bear tells nothing.
                if let Some([callee]) = by_name.get(name).map(Vec::as_slice)
                    && !seen.contains(callee)
                {
                    next.insert(*callee);
                }
            }
        }
        if next.is_empty() {
            break;
        }
        seen.extend(&next);
        level = next.into_iter().collect();
        levels.push(texts(definitions, &level, source));
    }
    levels
}

fn last_part(name: &str) -> &str {
    name.rsplit([':', '.']).next().unwrap_or(name)
}

/// Names that an opening parenthesis follows.
fn calls(text: &str) -> BTreeSet<&str> {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut names = BTreeSet::new();
    for (at, _) in text.match_indices('(') {
        let head = text[..at].trim_end();
        let start = head
            .rfind(|letter| !part_of_word(letter))
            .map_or(0, |at| at + head[at..].chars().next().map_or(1, char::len_utf8));
        if start < head.len() {
            names.insert(&head[start..]);
        }
    }
    names
}

impl Parts<'_> {
    /// The fullest text of a form within the wall, and its length.
    fn fitting(
        &self,
        form: CommitForm,
        count: &dyn Fn(&str) -> u64,
        max_tokens: u64,
    ) -> Option<(String, u64)> {
        let shapes = (0..=self.called.len()).rev().map(|levels| (levels, true)).chain([(0, false)]);
        for (levels, imports) in shapes {
            let text = self.text(form, levels, imports);
            let tokens = count(&text);
            if tokens <= max_tokens {
                return Some((text, tokens));
            }
        }
        None
    }

    fn text(&self, form: CommitForm, levels: usize, imports: bool) -> String {
        let mut text = String::new();
        let mut line = |said: &str| match said {
            "" => text.push_str(&format!("{}\n", self.mark)),
            said => text.push_str(&format!("{} {said}\n", self.mark)),
        };
        self.about.lines().for_each(|said| line(said.trim_end()));
        let mut blocks = Vec::new();
        if imports && !self.imports.is_empty() {
            blocks.push(self.imports.join("\n"));
        }
        blocks.extend(self.called[..levels].iter().rev().flatten().map(|one| (*one).to_owned()));
        let marked = |what: &str| format!("{} {what}", self.mark);
        match form {
            CommitForm::Chain => {
                blocks.push(marked("Before:"));
                blocks.extend(self.before.iter().map(|one| (*one).to_owned()));
                blocks.push(marked("After:"));
                blocks.extend(self.after.iter().map(|one| (*one).to_owned()));
            }
            CommitForm::Diff => {
                blocks.push(marked("Change:"));
                blocks.push(self.diff.clone());
            }
        }
        for block in blocks {
            text.push('\n');
            text.push_str(block.trim_end_matches('\n'));
            text.push('\n');
        }
        text
    }
}
