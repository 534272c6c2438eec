//! What is to be built: every package in every version for every Python and CUDA, and torch where it is asked for, without what cannot be.

use crate::catalogue::Entry;
use crate::compat::{self, pair, why_not};
use crate::config::Package;
use crate::pages::label_of;
use crate::{Cuda, Minor, project};
use pep440_rs::Version;
use serde_json::{Value, json};
use std::str::FromStr;

/// One build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The package, as the configuration has it.
    pub package: String,
    /// Its version.
    pub version: String,
    /// For which Python.
    pub python: String,
    /// With which CUDA.
    pub cuda: String,
    /// With which torch, where that is an axis.
    pub torch: Option<String>,
    /// Further arguments of `pip wheel`.
    pub build_args: String,
    /// What is installed before, a blank between two.
    pub extra_deps: String,
    /// The module that is imported.
    pub test_import: String,
    /// What else is run to see whether the wheel works; empty: nothing.
    pub test_command: String,
}

/// What is asked for; an empty list stands for the defaults.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only this package.
    pub package: Option<String>,
    /// Versions of Python.
    pub python: Vec<String>,
    /// Versions of CUDA.
    pub cuda: Vec<String>,
    /// Versions of torch; none where it is no axis.
    pub torch: Vec<String>,
}

/// What comes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matrix {
    /// To be built, in the order of the configuration, then version, Python, CUDA, torch.
    pub cells: Vec<Cell>,
    /// Not to be built, with the reason.
    pub dropped: Vec<(Cell, String)>,
}

/// Versions of Python where nobody says others.
pub const PYTHON: [&str; 2] = ["3.12", "3.13"];
/// Versions of CUDA where nobody says others.
pub const CUDA: [&str; 2] = ["12.9.1", "13.0.2"];

/// The builds of packages.
pub fn matrix(packages: &[Package], asked: &Asked) -> Matrix {
    let table = compat::table();
    let mut matrix = Matrix::default();
    let is_meant = |package: &&Package| asked.package.as_ref().is_none_or(|name| *name == package.name);
    for package in packages.iter().filter(is_meant) {
        let python = first(&[&asked.python, &package.axes.python], &PYTHON);
        let cuda = first(&[&asked.cuda, &package.axes.cuda], &CUDA);
        let torch = first(&[&asked.torch, &package.axes.torch], &[]);
        let torch: Vec<Option<String>> =
            if torch.is_empty() { vec![None] } else { torch.into_iter().map(Some).collect() };
        for version in &package.versions {
            for python in &python {
                for cuda in &cuda {
                    for torch in &torch {
                        let cell = cell(package, version, python, cuda, torch.as_ref());
                        let is_mapped = package.torch_map || torch.is_some();
                        let why = excluded(package, &cell).or_else(|| {
                            is_mapped.then(|| why_not(&table, python, cuda, torch.as_deref())).flatten()
                        });
                        match why {
                            Some(why) => matrix.dropped.push((cell, why)),
                            None => matrix.cells.push(cell),
                        }
                    }
                }
            }
        }
    }
    matrix
}

fn first(lists: &[&Vec<String>], default: &[&str]) -> Vec<String> {
    match lists.iter().find(|list| !list.is_empty()) {
        Some(list) => (*list).clone(),
        None => default.iter().map(|text| (*text).to_owned()).collect(),
    }
}

fn cell(package: &Package, version: &str, python: &str, cuda: &str, torch: Option<&String>) -> Cell {
    Cell {
        package: package.name.clone(),
        version: version.to_owned(),
        python: python.to_owned(),
        cuda: cuda.to_owned(),
        torch: torch.cloned(),
        build_args: package.build_args.clone(),
        extra_deps: package.extra_deps.join(" "),
        test_import: package.test_import.clone(),
        test_command: package.test_command.clone(),
    }
}

fn excluded(package: &Package, cell: &Cell) -> Option<String> {
    let of_cell = |key: &str| match key {
        "version" => Some(cell.version.as_str()),
        "python" => Some(cell.python.as_str()),
        "cuda" => Some(cell.cuda.as_str()),
        _ => cell.torch.as_deref(),
    };
    let fits = |keys: &&Vec<(String, String)>| {
        !keys.is_empty() && keys.iter().all(|(key, value)| of_cell(key) == Some(value.as_str()))
    };
    let keys = package.exclude.iter().find(fits)?;
    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key} {value}")).collect();
    Some(format!("the configuration excludes {}", keys.join(", ")))
}

impl Cell {
    /// As GitHub's matrices have it.
    pub fn json(&self) -> Value {
        let mut cell = json!({
            "package": self.package, "version": self.version, "python": self.python, "cuda": self.cuda, "build_args": self.build_args,
            "extra_deps": self.extra_deps, "test_import": self.test_import,
        });
        if let Some(torch) = &self.torch {
            cell["torch"] = json!(torch);
        }
        cell
    }

    /// For people: `flash-attn 2.8.3, Python 3.12, CUDA 12.9.1`.
    pub fn told(&self) -> String {
        let torch = self.torch.as_ref().map(|torch| format!(", torch {torch}")).unwrap_or_default();
        format!("{} {}, Python {}, CUDA {}{torch}", self.package, self.version, self.python, self.cuda)
    }

    /// Whether a published file is what it builds.
    pub fn is_built(&self, entry: &Entry) -> bool {
        let label = label_of(entry);
        let python = format!("cp{}", self.python.trim_end_matches('t').replace('.', ""));
        let abi = format!("{python}{}", if self.python.ends_with('t') { "t" } else { "" });
        let is_abi = |known: &String| *known == abi || *known == "abi3" || *known == "none";
        let is_cuda = |built: Cuda| {
            pair(&self.cuda).is_some_and(|(major, minor)| {
                built.major == major && built.minor.is_none_or(|built| built == minor)
            })
        };
        let is_torch = |built: Minor| {
            self.torch
                .as_deref()
                .and_then(pair)
                .is_none_or(|(major, minor)| (built.major, built.minor) == (major, minor))
        };
        entry.name.project == project(&self.package)
            && Version::from_str(&self.version)
                .is_ok_and(|version| version == entry.name.version.clone().without_local())
            && entry.name.abi.iter().any(is_abi)
            && (entry.name.python.contains(&python) || entry.name.abi.iter().any(|abi| abi == "abi3"))
            && label.cuda.is_some_and(is_cuda)
            && (self.torch.is_none() || label.torch.is_some_and(is_torch))
    }
}
