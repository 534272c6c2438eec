//! The repository as a value: every text file, every crate's manifest, every Rust file parsed once and told apart
//! into production code and tests. The rules of `tidy` are functions of it, so their tests need no disk.
//!
//! Not covered: modules that a macro declares; `#[cfg_attr(..., path = ...)]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::{Attribute, ImplItem, Item};

/// Files larger than this are data, not something a person wrote.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// Everything `tidy` looks at; paths are relative to the root, with `/`.
pub struct House {
    pub texts: BTreeMap<String, String>,
    pub crates: Vec<Crate>,
    pub sources: Vec<Source>,
}

/// One package.
pub struct Crate {
    /// `base`, `data`, ... or `dev`.
    pub department: String,
    /// The folder's name.
    pub name: String,
    /// The folder, `crates/base/stdx`.
    pub folder: String,
    pub manifest: toml::Table,
}

/// One Rust file of a crate.
pub struct Source {
    pub path: String,
    /// The folder of the crate that holds it.
    pub crate_folder: String,
    pub standing: Standing,
    /// The file without its `#[cfg(test)]` items.
    pub production: syn::File,
    /// Lines (from 1, both ends in) of the items left out of `production`.
    pub test_spans: Vec<(usize, usize)>,
}

/// How a target of its crate reaches a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// From `src/lib.rs`, `src/main.rs`, `src/bin/` or a build script.
    Production,
    /// From a test, an example, a benchmark, or behind `#[cfg(test)]`.
    Test,
    /// Not a module, but text that another file includes or a test reads.
    Data,
    /// By nothing.
    Dead,
}

impl House {
    /// Reads the repository, leaving out what git ignores.
    pub fn read(root: &Path) -> Result<House> {
        let root =
            root.canonicalize().with_context(|| format!("open the repository at {}", root.display()))?;
        let mut texts = BTreeMap::new();
        let walk =
            ignore::WalkBuilder::new(&root).hidden(false).filter_entry(|e| e.file_name() != ".git").build();
        for entry in walk {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if !metadata.is_file() || metadata.len() > TEXT_BYTES_MAX {
                continue;
            }
            let bytes =
                std::fs::read(entry.path()).with_context(|| format!("read {}", entry.path().display()))?;
            if let Ok(text) = String::from_utf8(bytes) {
                let path = entry.path().strip_prefix(&root)?.to_string_lossy().replace('\\', "/");
                texts.insert(path, text);
            }
        }
        House::of(texts)
    }

    /// The house that these files make.
    pub fn of(texts: BTreeMap<String, String>) -> Result<House> {
        let mut crates = Vec::new();
        let mut sources = Vec::new();
        for (path, text) in &texts {
            let Some(folder) = path.strip_suffix("/Cargo.toml") else { continue };
            let parts: Vec<&str> = folder.split('/').collect();
            let (department, name) = match parts[..] {
                ["crates", department, name] => (department, name),
                ["dev", name] => ("dev", name),
                _ => continue,
            };
            let manifest = text.parse::<toml::Table>().with_context(|| format!("read {path}"))?;
            sources.extend(read_sources(folder, &texts)?);
            crates.push(Crate {
                department: department.into(),
                name: name.into(),
                folder: folder.into(),
                manifest,
            });
        }
        Ok(House { texts, crates, sources })
    }

    /// The crate that a source belongs to.
    pub fn crate_of(&self, source: &Source) -> &Crate {
        let found = self.crates.iter().find(|c| c.folder == source.crate_folder);
        found.expect("a crate because sources are read per crate")
    }

    /// Production files with the crate that holds them.
    pub fn production(&self) -> impl Iterator<Item = (&Crate, &Source)> {
        self.sources.iter().filter(|s| s.standing == Standing::Production).map(|s| (self.crate_of(s), s))
    }

    /// The first line (from 1) of a file that contains `needle`; 1 where none does.
    pub fn line_of(&self, path: &str, needle: &str) -> usize {
        let text = self.texts.get(path).map_or("", String::as_str);
        text.lines().position(|line| line.contains(needle)).map_or(1, |index| index + 1)
    }
}

impl Crate {
    pub fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// Names in a table of dependencies: `dependencies`, `dev-dependencies` or `build-dependencies`.
    pub fn dependencies(&self, table: &str) -> Vec<&str> {
        let entries = self.manifest.get(table).and_then(toml::Value::as_table);
        entries.map_or_else(Vec::new, |entries| entries.keys().map(String::as_str).collect())
    }
}

/// Every `.rs` file under a crate, parsed, with its standing.
fn read_sources(folder: &str, texts: &BTreeMap<String, String>) -> Result<Vec<Source>> {
    let prefix = format!("{folder}/");
    let files: BTreeMap<&str, &str> = texts
        .range(prefix.clone()..)
        .take_while(|(path, _)| path.starts_with(&prefix))
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let mut walk =
        Walk { files, reached: BTreeMap::new(), parsed: BTreeMap::new(), mentioned: BTreeSet::new() };
    for path in walk.files.keys().copied().collect::<Vec<_>>() {
        if let Some(standing) = root_standing(&path[prefix.len()..]) {
            walk.enter(path.to_string(), standing, true)?;
        }
    }
    walk.finish(folder)
}

/// The standing of a crate root by Cargo's conventions; `None` for files that only a module tree can reach.
fn root_standing(inside: &str) -> Option<Standing> {
    let parts: Vec<&str> = inside.split('/').collect();
    match parts[..] {
        ["src", "lib.rs" | "main.rs"] | ["build.rs"] | ["src", "bin", _] | ["src", "bin", _, "main.rs"] => {
            Some(Standing::Production)
        }
        ["tests" | "examples" | "benches", _]
        | ["tests" | "examples" | "benches", _, "main.rs"]
        | ["fuzz", "fuzz_targets", _] => Some(Standing::Test),
        _ => None,
    }
}

/// The walk along `mod` declarations from the crate roots.
struct Walk<'a> {
    files: BTreeMap<&'a str, &'a str>,
    reached: BTreeMap<String, Standing>,
    parsed: BTreeMap<String, (syn::File, Vec<(usize, usize)>)>,
    /// File names in `include!`, `include_str!` and `include_bytes!`.
    mentioned: BTreeSet<String>,
}

impl Walk<'_> {
    /// Visits a file and the modules it declares; `owns_folder` for roots and `mod.rs`, whose modules stand beside them.
    fn enter(&mut self, path: String, standing: Standing, owns_folder: bool) -> Result<()> {
        let known = self.reached.get(&path).copied();
        if known == Some(Standing::Production) || known == Some(standing) {
            return Ok(());
        }
        let Some(text) = self.files.get(path.as_str()) else { return Ok(()) };
        self.reached.insert(path.clone(), standing);
        let whole = syn::parse_file(text).with_context(|| format!("parse {path}"))?;
        self.mentioned.extend(included(text));
        let folder = match owns_folder {
            true => parent(&path).to_string(),
            false => path.trim_end_matches(".rs").to_string(),
        };
        self.declared(&whole.items, &folder, parent(&path), standing)?;
        let (production, test_spans) = without_tests(whole);
        self.parsed.insert(path, (production, test_spans));
        Ok(())
    }

    /// Follows the modules that `items` declare, inline ones included.
    fn declared(&mut self, items: &[Item], folder: &str, beside: &str, standing: Standing) -> Result<()> {
        for item in items {
            let Item::Mod(module) = item else { continue };
            let standing = if is_test_only(&module.attrs) { Standing::Test } else { standing };
            let name = module.ident.to_string();
            if let Some((_, inner)) = &module.content {
                self.declared(inner, &format!("{folder}/{name}"), beside, standing)?;
            } else if let Some(path) = path_attribute(&module.attrs) {
                self.enter(format!("{beside}/{path}"), standing, true)?;
            } else {
                self.enter(format!("{folder}/{name}.rs"), standing, false)?;
                self.enter(format!("{folder}/{name}/mod.rs"), standing, true)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, folder: &str) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for path in self.files.keys().copied() {
            let mentioned = self.mentioned.iter().any(|name| path.ends_with(&format!("/{name}")));
            let unreached = if mentioned || is_test_data(path) { Standing::Data } else { Standing::Dead };
            let standing = self.reached.get(path).copied().unwrap_or(unreached);
            let empty = || (syn::parse_file("").expect("a file because no items are fine"), Vec::new());
            let (production, test_spans) = self.parsed.remove(path).unwrap_or_else(empty);
            let (path, crate_folder) = (path.to_string(), folder.to_string());
            sources.push(Source { path, crate_folder, standing, production, test_spans });
        }
        Ok(sources)
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Rust text that tests read as input lies in a folder that says so.
fn is_test_data(path: &str) -> bool {
    path.contains("/tests/")
        && ["/data/", "/fixtures/", "/inputs/", "/golden/"].iter().any(|f| path.contains(f))
}

/// The last parts of the paths in `include*!("...")`.
fn included(text: &str) -> Vec<String> {
    let after = text.split("include").skip(1);
    let literals = after.filter_map(|rest| {
        let call = rest.split_once("!(").filter(|(kind, _)| matches!(*kind, "" | "_str" | "_bytes"))?.1;
        call.trim_start().strip_prefix('"')?.split_once('"')
    });
    literals.map(|(path, _)| path.rsplit('/').next().unwrap_or(path).to_string()).collect()
}

fn path_attribute(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|a| a.path().is_ident("path"))?;
    let syn::Expr::Lit(literal) = &attribute.meta.require_name_value().ok()?.value else { return None };
    let syn::Lit::Str(path) = &literal.lit else { return None };
    Some(path.value())
}

/// Behind `#[cfg(test)]`, or a test function.
fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let cfg_test = || attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test");
        attribute.path().is_ident("test") || (attribute.path().is_ident("cfg") && cfg_test())
    })
}

/// The file without its test items, and the lines that those took.
fn without_tests(mut file: syn::File) -> (syn::File, Vec<(usize, usize)>) {
    let mut spans = Vec::new();
    retain_production(&mut file.items, &mut spans);
    (file, spans)
}

fn retain_production(items: &mut Vec<Item>, spans: &mut Vec<(usize, usize)>) {
    items.retain(|item| {
        let test_only = is_test_only(attributes(item));
        if test_only {
            spans.push(lines(item));
        }
        !test_only
    });
    for item in items {
        match item {
            Item::Mod(module) => {
                if let Some((_, inner)) = &mut module.content {
                    retain_production(inner, spans);
                }
            }
            Item::Impl(block) => block.items.retain(|item| match item {
                ImplItem::Fn(function) if is_test_only(&function.attrs) => {
                    spans.push(lines(function));
                    false
                }
                _ => true,
            }),
            _ => {}
        }
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(i) => &i.attrs,
        Item::Enum(i) => &i.attrs,
        Item::Fn(i) => &i.attrs,
        Item::Impl(i) => &i.attrs,
        Item::Macro(i) => &i.attrs,
        Item::Mod(i) => &i.attrs,
        Item::Static(i) => &i.attrs,
        Item::Struct(i) => &i.attrs,
        Item::Trait(i) => &i.attrs,
        Item::Type(i) => &i.attrs,
        Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// First and last line of a piece of syntax.
pub fn lines(syntax: &impl Spanned) -> (usize, usize) {
    let span = syntax.span();
    let (LineColumn { line: first, .. }, LineColumn { line: last, .. }) = (span.start(), span.end());
    (first, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A house of these files, each `(path, text)`.
    fn standings(files: &[(&str, &str)]) -> Vec<(String, Standing)> {
        let manifest = ("crates/base/a/Cargo.toml", "[package]\nname = \"wootz-a\"\n");
        let texts = files.iter().chain([&manifest]).map(|(p, t)| (p.to_string(), t.to_string())).collect();
        let house = House::of(texts).unwrap();
        house.sources.iter().map(|s| (s.path.replace("crates/base/a/", ""), s.standing)).collect()
    }

    #[test]
    fn standing_follows_module_declarations() {
        let files = [
            ("crates/base/a/src/lib.rs", "mod one;\n#[cfg(test)]\nmod check;\nmod two { mod deep; }"),
            ("crates/base/a/src/one.rs", "mod inner;\nconst T: &str = include_str!(\"../table.rs\");"),
            ("crates/base/a/src/one/inner.rs", ""),
            ("crates/base/a/src/two/deep.rs", ""),
            ("crates/base/a/src/check.rs", ""),
            ("crates/base/a/src/lost.rs", ""),
            ("crates/base/a/table.rs", "not rust at all ("),
            ("crates/base/a/tests/main.rs", "mod big { #[path = \"../odd.rs\"] mod odd; }"),
            ("crates/base/a/tests/inputs/x.rs", "fn ("),
        ];
        let found = standings(&files);
        let expected = [
            ("src/check.rs", Standing::Test),
            ("src/lib.rs", Standing::Production),
            ("src/lost.rs", Standing::Dead),
            ("src/one.rs", Standing::Production),
            ("src/one/inner.rs", Standing::Production),
            ("src/two/deep.rs", Standing::Production),
            ("table.rs", Standing::Data),
            ("tests/inputs/x.rs", Standing::Data),
            ("tests/main.rs", Standing::Test),
        ];
        assert_eq!(found, expected.map(|(path, standing)| (path.to_string(), standing)));
    }

    #[test]
    fn test_items_are_cut_out_with_their_lines() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nimpl X {\n    #[cfg(test)]\n    fn c() {}\n}\n";
        let (file, spans) = without_tests(syn::parse_file(text).unwrap());
        assert_eq!(spans, [(2, 5), (7, 8)]);
        assert_eq!(file.items.len(), 2);
    }
}
