//! `packages.yml`: which packages are built, in which versions, and how. Files of the tool that this one succeeds are read unchanged.
//!
//! Mistakes are found all at once, each with its line. A version that YAML reads as a number is taken as it is shown, as that tool did, and
//! warned of where it lost a digit.

use pep440_rs::Version;
use serde_yaml_ng::Value;
use std::fmt;
use std::str::FromStr;
use wootz_schema::words::nearest;
use wootz_schema::yaml::{Part, locate};
use wootz_schema::{Diagnose, ExitCode};

/// A package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name, as it is written.
    pub name: String,
    /// Its versions.
    pub versions: Vec<String>,
    /// Further arguments of `pip wheel`.
    pub build_args: String,
    /// What is installed before it is built.
    pub extra_deps: Vec<String>,
    /// The module that is imported to see whether it works.
    pub test_import: String,
    /// What else is run, by a shell, to see whether it works.
    pub test_command: String,
    /// Combinations that are not built: keys of a cell with their values.
    pub exclude: Vec<Vec<(String, String)>>,
    /// Versions in place of the defaults.
    pub axes: Axes,
    /// Whether combinations are left out for which there is no torch; by itself where torch is one of `extra_deps`.
    pub torch_map: bool,
}

/// Versions of what a package is built for; empty where the defaults count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Axes {
    /// Of Python.
    pub python: Vec<String>,
    /// Of CUDA.
    pub cuda: Vec<String>,
    /// Of torch.
    pub torch: Vec<String>,
}

/// Something wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column, where they are known.
    pub at: Option<(usize, usize)>,
    /// What is wrong, and what would be right.
    pub what: String,
}

/// All that is wrong with it.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.problems.iter().map(|Problem { at, what }| match at {
            Some((line, column)) => format!("{}:{line}:{column}: {what}", self.file),
            None => format!("{}: {what}", self.file),
        });
        write!(f, "read {}", told.collect::<Vec<_>>().join("\n  and "))
    }
}

impl Diagnose for ConfigError {
    fn exit(&self) -> ExitCode {
        ExitCode::Usage
    }

    fn hint(&self) -> Option<String> {
        None
    }
}

const KEYS: [&str; 9] = [
    "versions",
    "build_args",
    "extra_deps",
    "test_import",
    "test_command",
    "description",
    "exclude",
    "axes",
    "torch_map",
];
const CELL: [&str; 4] = ["version", "python", "cuda", "torch"];
const AXES: [&str; 3] = ["python", "cuda", "torch"];

/// Reads the text of a file; `file` is what it is called in errors. Warnings come with the packages.
pub fn read(file: &str, text: &str) -> Result<(Vec<Package>, Vec<String>), ConfigError> {
    let mut reader = Reader { text, problems: Vec::new(), warnings: Vec::new() };
    let packages = match serde_yaml_ng::from_str::<Value>(text) {
        Ok(root) => reader.root(&root),
        Err(error) => {
            let at = error.location().map(|at| (at.line(), at.column()));
            let what = error.to_string();
            let what = what.rfind(" at line ").map_or(what.as_str(), |end| &what[..end]).to_owned();
            reader.problems.push(Problem { at, what: format!("not readable as YAML: {what}") });
            Vec::new()
        }
    };
    let Reader { problems, warnings, .. } = reader;
    if problems.is_empty() {
        Ok((packages, warnings))
    } else {
        Err(ConfigError { file: file.to_owned(), problems })
    }
}

struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, path: &[Part], what: impl Into<String>) {
        self.problems.push(Problem { at: locate(self.text, path), what: what.into() });
    }

    fn root(&mut self, root: &Value) -> Vec<Package> {
        // An empty file has no packages.
        if root.is_null() {
            return Vec::new();
        }
        let mut packages = Vec::new();
        for (key, value) in self.map(root, &[], &["packages"]) {
            let path = [Part::Key(key)];
            for (name, value) in self.map(value, &path, &[]) {
                let path = [path[0].clone(), Part::Key(name.clone())];
                let package = self.package(name, value, &path);
                packages.push(package);
            }
        }
        packages
    }

    fn package(&mut self, name: String, value: &Value, path: &[Part]) -> Package {
        let mut package = Package {
            test_import: name.replace('-', "_"),
            name,
            versions: Vec::new(),
            build_args: String::new(),
            extra_deps: Vec::new(),
            test_command: String::new(),
            exclude: Vec::new(),
            axes: Axes::default(),
            torch_map: false,
        };
        let mut torch_map = None;
        for (key, value) in self.map(value, path, &KEYS) {
            let path = [path, &[Part::Key(key.clone())]].concat();
            match key.as_str() {
                "versions" => package.versions = self.versions(value, &path),
                "build_args" => package.build_args = self.text(value, &path),
                "extra_deps" => package.extra_deps = self.list(value, &path),
                "test_command" => package.test_command = self.text(value, &path),
                "test_import" => package.test_import = self.text(value, &path),
                "exclude" => package.exclude = self.exclude(value, &path),
                "axes" => package.axes = self.axes(value, &path),
                "torch_map" => match value {
                    Value::Bool(is) => torch_map = Some(*is),
                    _ => self.wrong(&path, "torch_map is true or false"),
                },
                _ => {}
            }
        }
        let is_torch = |dependency: &String| {
            let end =
                dependency.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter));
            crate::project(&dependency[..end.unwrap_or(dependency.len())]) == "torch"
        };
        package.torch_map = torch_map.unwrap_or_else(|| package.extra_deps.iter().any(is_torch));
        package
    }

    fn versions(&mut self, value: &Value, path: &[Part]) -> Vec<String> {
        let versions = self.list(value, path);
        for (at, version) in versions.iter().enumerate() {
            let path = [path, &[Part::Index(at)]].concat();
            if Version::from_str(version).is_err() {
                self.wrong(&path, format!("{version:?} is no version (PEP 440)"));
            }
            if versions[..at].contains(version) {
                self.wrong(&path, format!("the version {version} is there twice"));
            }
        }
        versions
    }

    fn exclude(&mut self, value: &Value, path: &[Part]) -> Vec<Vec<(String, String)>> {
        let Value::Sequence(items) = value else {
            self.wrong(path, "exclude is a list, each entry with some of version, python, cuda, torch");
            return Vec::new();
        };
        let mut exclude = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let path = [path, &[Part::Index(at)]].concat();
            let mut keys = Vec::new();
            for (key, value) in self.map(item, &path, &CELL) {
                let path = [path.as_slice(), &[Part::Key(key.clone())]].concat();
                keys.push((key, self.text(value, &path)));
            }
            exclude.push(keys);
        }
        exclude
    }

    fn axes(&mut self, value: &Value, path: &[Part]) -> Axes {
        let mut axes = Axes::default();
        for (key, value) in self.map(value, path, &AXES) {
            let path = [path, &[Part::Key(key.clone())]].concat();
            let list = self.list(value, &path);
            match key.as_str() {
                "python" => axes.python = list,
                "cuda" => axes.cuda = list,
                _ => axes.torch = list,
            }
        }
        axes
    }

    /// The entries of a mapping; `known` are its keys, any where there are none.
    fn map<'v>(&mut self, value: &'v Value, path: &[Part], known: &[&str]) -> Vec<(String, &'v Value)> {
        let Value::Mapping(entries) = value else {
            if !value.is_null() || path.is_empty() {
                self.wrong(path, format!("here belong keys with values, not {}", kind(value)));
            }
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in entries {
            let Some(key) = plain(key) else {
                self.wrong(path, "a key must be a word");
                continue;
            };
            if known.is_empty() || known.contains(&key.as_str()) {
                found.push((key, value));
                continue;
            }
            let near = match nearest(&key, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            self.wrong(&[path, &[Part::Key(key.clone())]].concat(), format!("unknown key `{key}`; {near}"));
        }
        found
    }

    fn list(&mut self, value: &Value, path: &[Part]) -> Vec<String> {
        match value {
            Value::Null => Vec::new(),
            Value::Sequence(items) => {
                let text = |(at, item)| self.text(item, &[path, &[Part::Index(at)]].concat());
                items.iter().enumerate().map(text).collect()
            }
            other => {
                self.wrong(path, format!("here belongs a list, not {}", kind(other)));
                Vec::new()
            }
        }
    }

    fn text(&mut self, value: &Value, path: &[Part]) -> String {
        if value.as_f64().is_some() && value.as_i64().is_none() {
            let at = locate(self.text, path)
                .map(|(line, column)| format!("{line}:{column}: "))
                .unwrap_or_default();
            let shown = plain(value).unwrap_or_default();
            self.warnings.push(format!("{at}YAML reads this as the number {shown}; write it in quotes"));
        }
        match plain(value) {
            Some(text) => text.trim().to_owned(),
            None => {
                self.wrong(path, format!("here belongs a text, not {}", kind(value)));
                String::new()
            }
        }
    }
}

/// A value as Python's `str` shows it; `None` for lists and mappings.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is) => Some(if *is { "True" } else { "False" }.to_owned()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Some(whole.to_string()),
            // `2.0` stays `2.0`.
            (None, Some(number)) => Some(format!("{number:?}")),
            _ => Some(number.to_string()),
        },
        Value::Null => Some(String::new()),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "keys with values",
        Value::Tagged(_) => "a value with a tag",
    }
}
