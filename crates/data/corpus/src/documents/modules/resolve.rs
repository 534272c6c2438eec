//! Which file of the project an import means.
//!
//! Python: relative to the package, or below a folder on the way up to the root that is no package. Rust: `crate`,
//! `self`, `super` and declared modules below `src`. TypeScript and JavaScript: relative paths, with the usual endings
//! and index files. Go: files of one folder and package see one another without imports. More than one answer is none.

use std::collections::BTreeMap;

use super::{Modules, Place};

/// The paths of a project.
pub(super) struct Paths {
    numbers: BTreeMap<String, u32>,
    folders: BTreeMap<String, Vec<u32>>,
}

/// How often a name may be handed on from module to module.
const MAX_HOPS: u32 = 8;

const TYPESCRIPT_ENDINGS: [&str; 10] =
    [".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mjs", "/index.ts", "/index.tsx", "/index.d.ts", "/index.js"];

impl Paths {
    pub fn new(paths: Vec<String>) -> Paths {
        let mut folders: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        for (number, path) in paths.iter().enumerate() {
            folders.entry(folder(path).to_owned()).or_default().push(number as u32);
        }
        let numbers = paths.into_iter().enumerate().map(|(number, path)| (path, number as u32)).collect();
        Paths { numbers, folders }
    }

    fn get(&self, path: &str) -> Option<u32> {
        self.numbers.get(path).copied()
    }

    /// The file that a module named in another file is.
    pub fn module(&self, language: &str, from: &str, module: &str) -> Option<u32> {
        match language {
            "python" => self.python(from, module),
            "rust" => self.rust(from, module),
            "typescript" | "javascript" => self.typescript(from, module),
            _ => None,
        }
    }

    fn python(&self, from: &str, module: &str) -> Option<u32> {
        let name = module.trim_start_matches('.');
        let dots = module.len() - name.len();
        let tail = name.replace('.', "/");
        let below = |base: &str| {
            let stem = join(base, &tail);
            let endings = [join(&stem, "__init__.py"), format!("{stem}.py")];
            endings.iter().find_map(|path| self.get(path))
        };
        if dots > 0 {
            return below(&up(folder(from), dots - 1)?);
        }
        let mut found = None;
        let mut base = Some(folder(from).to_owned());
        while let Some(folder) = base {
            for searched in [folder.clone(), join(&folder, "src"), join(&folder, "lib")] {
                if self.get(&join(&searched, "__init__.py")).is_some() {
                    continue;
                }
                if let Some(file) = below(&searched) {
                    if found.is_some_and(|found| found != file) {
                        return None;
                    }
                    found = Some(file);
                }
            }
            base = up(&folder, 1);
        }
        found
    }

    fn rust(&self, from: &str, module: &str) -> Option<u32> {
        let (base, parts) = rust_module(from)?;
        let target = rust_path(&parts, module)?;
        let stem = join(&base, &target.join("/"));
        if target.is_empty() {
            return ["lib.rs", "main.rs"].iter().find_map(|name| self.get(&join(&base, name)));
        }
        self.get(&format!("{stem}.rs")).or_else(|| self.get(&join(&stem, "mod.rs")))
    }

    fn typescript(&self, from: &str, module: &str) -> Option<u32> {
        let path = relative(folder(from), module)?;
        if let Some(file) = self.get(&path) {
            return Some(file);
        }
        // Sources may name what they are compiled to.
        let stems = [path.as_str(), path.strip_suffix(".js").unwrap_or(&path)];
        stems.iter().find_map(|stem| {
            TYPESCRIPT_ENDINGS.iter().find_map(|ending| self.get(&format!("{stem}{ending}")))
        })
    }
}

impl Modules {
    /// The definition that a name imported in a file means: one file's parts.
    pub(super) fn imported(&self, file: u32, at: (u32, u32), name: &str) -> Option<Vec<Place>> {
        self.imported_within(file, at, name, MAX_HOPS)
    }

    fn imported_within(&self, file: u32, at: (u32, u32), name: &str, hops: u32) -> Option<Vec<Place>> {
        let import = self.read(file)?.import(at);
        let wanted = import.name.as_deref()?;
        let plain = wanted == name && import.local == name;
        let by_default = wanted == "default" && import.local == name;
        if !plain && !by_default && wanted != "*" {
            return None;
        }
        let source = self.source(file);
        let target = self.paths.module(source.language.name(), &source.path, &import.module)?;
        if target == file {
            return None;
        }
        let found = self.defined(target, name, hops)?;
        // The default of a module is what it says it is.
        let is_default = |place: &Place| {
            let part = &self.read(place.0)?.outline.parts[place.1 as usize];
            Some(self.source(place.0).text[part.range.clone()].contains("export default"))
        };
        (!by_default || found.iter().all(|place| is_default(place) == Some(true))).then_some(found)
    }

    fn defined(&self, file: u32, name: &str, hops: u32) -> Option<Vec<Place>> {
        let read = self.read(file)?;
        if let Some(parts) = read.names.get(name) {
            return Some(parts.iter().map(|part| (file, *part)).collect());
        }
        let hops = hops.checked_sub(1)?;
        let named = read.imports.get(name).copied();
        let handed = read.handed_on.iter().chain(&read.wildcards).copied();
        let mut found: Option<Vec<Place>> = None;
        for at in named.into_iter().chain(handed) {
            if let Some(places) = self.imported_within(file, at, name, hops) {
                if found.as_ref().is_some_and(|found| *found != places) {
                    return None;
                }
                found = Some(places);
            }
        }
        found
    }

    /// The other files of a Go package.
    pub(super) fn find_package(&self, file: u32) -> Vec<u32> {
        let source = self.source(file);
        if source.language.name() != "go" {
            return Vec::new();
        }
        let clause = |file: u32| {
            let text = &self.source(file).text;
            let line = text.lines().find_map(|line| line.strip_prefix("package "));
            line.and_then(|rest| rest.split_whitespace().next())
        };
        let own = clause(file);
        let tests = source.path.ends_with("_test.go");
        let beside = self.paths.folders.get(folder(&source.path));
        let seen = |other: &u32| {
            let path = &self.source(*other).path;
            *other != file
                && path.ends_with(".go")
                && (tests || !path.ends_with("_test.go"))
                && clause(*other) == own
        };
        beside.into_iter().flatten().copied().filter(seen).collect()
    }

    /// The module of an import as another file has to write it; `None` where it cannot.
    pub(super) fn module_for(&self, file: u32, module: &str, root: u32) -> Option<String> {
        let (from, to) = (&self.source(file).path, &self.source(root).path);
        if file == root {
            return Some(module.to_owned());
        }
        match self.source(file).language.name() {
            "python" if module.starts_with('.') => python_for(from, module, to),
            "rust" => {
                let first = module.split("::").next().unwrap_or(module);
                let declared = matches!(first, "self" | "super")
                    || self.read(file).and_then(|read| read.imports.get(first)).is_some();
                if !declared {
                    return Some(module.to_owned());
                }
                let (_, parts) = rust_module(from)?;
                let path =
                    rust_path(&parts, module).or_else(|| rust_path(&parts, &format!("self::{module}")))?;
                Some(
                    std::iter::once("crate")
                        .chain(path.iter().map(String::as_str))
                        .collect::<Vec<_>>()
                        .join("::"),
                )
            }
            "typescript" | "javascript" if module.starts_with('.') && folder(from) != folder(to) => {
                let target = relative(folder(from), module)?;
                let (shared, ups) = from_to(folder(to), &target);
                let ups = if ups == 0 { "./".to_owned() } else { "../".repeat(ups) };
                Some(format!("{ups}{}", &target[shared..]))
            }
            _ => Some(module.to_owned()),
        }
    }
}

fn python_for(from: &str, module: &str, to: &str) -> Option<String> {
    let name = module.trim_start_matches('.');
    let base = up(folder(from), module.len() - name.len() - 1)?;
    let target = join(&base, &name.replace('.', "/"));
    let (shared, ups) = from_to(folder(to), &target);
    Some(format!("{}{}", ".".repeat(ups + 1), target[shared..].replace('/', ".")))
}

/// Where the part of `target` begins that is not on the way to `folder`, and how many folders are to be left.
fn from_to(folder: &str, target: &str) -> (usize, usize) {
    let (mut shared, mut left) = (0, folder);
    while !left.is_empty() {
        let first = left.split('/').next().unwrap_or(left);
        match target[shared..].strip_prefix(first).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => shared = target.len() - rest.len(),
            None => return (shared, left.split('/').count()),
        }
        left = left[first.len()..].trim_start_matches('/');
    }
    (shared, 0)
}

/// The folder of a crate's sources, and the path of a file's module in it.
fn rust_module(path: &str) -> Option<(String, Vec<String>)> {
    let (base, inner) = match path.rfind("/src/") {
        Some(at) => (&path[..at + 4], &path[at + 5..]),
        None => ("src", path.strip_prefix("src/")?),
    };
    let mut parts: Vec<String> = inner.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") || matches!(inner, "lib.rs" | "main.rs") {
        parts.pop();
    }
    Some((base.to_owned(), parts))
}

/// The absolute path of a module that another names.
fn rust_path(from: &[String], module: &str) -> Option<Vec<String>> {
    let mut parts = module.split("::");
    let mut path = match parts.next()? {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => from[..from.len().checked_sub(1)?].to_vec(),
        _ => return None,
    };
    for part in parts {
        if part == "super" {
            path.pop()?;
        } else {
            path.push(part.to_owned());
        }
    }
    Some(path)
}

/// A path that begins with dots, from a folder.
fn relative(folder: &str, module: &str) -> Option<String> {
    if !module.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in module.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn join(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", _) => name.to_owned(),
        (_, "") => folder.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

/// So many folders up.
fn up(folder_path: &str, levels: usize) -> Option<String> {
    let mut at = folder_path;
    for _ in 0..levels {
        if at.is_empty() {
            return None;
        }
        at = folder(at);
    }
    Some(at.to_owned())
}
