//! The folders of the sources: which project each belongs to, and where its licenses and commit are written.
//!
//! A project is the topmost folder below a source with a manifest, a license file or a repository; where there
//! is none, the first-level folder.

use crate::license;
use crate::walk::Found;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use wootz_schema::corpus::NO_LICENSE;

/// Names of the files that say what a folder is.
const MANIFESTS: [&str; 4] = ["Cargo.toml", "package.json", "pyproject.toml", "go.mod"];

/// Whether a file's name is that of a package manifest.
pub(crate) fn is_manifest(name: &str) -> bool {
    MANIFESTS.contains(&name)
}

/// Whether a file's name is that of a license text.
pub(crate) fn is_license_file(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    let named = ["LICENSE", "LICENCE", "COPYING", "UNLICENSE"].iter().any(|start| {
        // `LICENSE`, `LICENSE-MIT`, `LICENSE.txt`, but not `licensing.py` or `LicenseHeader.md`.
        upper.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', '_']))
    });
    named && (!name.contains('.') || wootz_chunk::detect(name, b"").is_none())
}

/// The folders of one source.
pub(crate) struct Folders {
    by_path: BTreeMap<PathBuf, usize>,
    folders: Vec<Folder>,
    projects: Vec<Project>,
}

/// A project: what its documents have in common.
pub(crate) struct Project {
    /// Path of its root below the source, `.` for the source itself.
    pub repo: String,
    /// Path of its root below the source.
    root: PathBuf,
    /// Commit of the repository or package it was read at.
    pub commit: Option<String>,
}

/// A project of records.
pub(crate) struct RecordProject {
    /// Its name.
    pub repo: String,
    /// Its folder, one component.
    pub root: PathBuf,
    /// The commit that its records name.
    pub commit: Option<String>,
}

struct Folder {
    parent: Option<usize>,
    project: usize,
    path: PathBuf,
    license_files: Vec<String>,
    manifests: Vec<String>,
    /// What this folder says about the license of the files below it.
    license: OnceLock<Option<String>>,
}

impl Folders {
    /// The folders that hold `files`, which are sorted by path.
    pub fn new(source: &Path, files: &[Found]) -> Folders {
        let mut named: BTreeMap<PathBuf, (Vec<String>, Vec<String>)> = BTreeMap::new();
        let mut paths = BTreeSet::from([PathBuf::new()]);
        for file in files {
            let folder = file.path.parent().unwrap_or(Path::new(""));
            if !paths.contains(folder) {
                paths.extend(folder.ancestors().map(Path::to_owned));
            }
            let name = file.name();
            if is_license_file(&name) {
                named.entry(folder.to_owned()).or_default().0.push(name);
            } else if is_manifest(&name) {
                named.entry(folder.to_owned()).or_default().1.push(name);
            }
        }
        let mut this = Folders { by_path: BTreeMap::new(), folders: Vec::new(), projects: Vec::new() };
        let mut settled = Vec::new();
        // Parents sort before what is in them.
        for path in paths {
            let parent = path.parent().and_then(|parent| this.by_path.get(parent).copied());
            let (license_files, manifests) = named.remove(&path).unwrap_or_default();
            let at = source.join(&path);
            let settled_above = parent.is_some_and(|parent: usize| settled[parent]);
            let marked = !license_files.is_empty() || !manifests.is_empty() || at.join(".git").exists();
            let starts = !settled_above && (marked || path.components().count() <= 1);
            let project = match parent {
                Some(parent) if !starts => this.folders[parent].project,
                _ => this.start_project(&at, &path),
            };
            settled.push(settled_above || marked);
            this.by_path.insert(path, this.folders.len());
            this.folders.push(Folder {
                parent,
                project,
                path: at,
                license_files,
                manifests,
                license: OnceLock::new(),
            });
        }
        this
    }

    /// The folders of `found`, which is in no file system: the first component of a path is the root of one of `projects`. `licenses` is what
    /// folders say about theirs.
    pub fn of_records(
        found: &[Found],
        projects: Vec<RecordProject>,
        mut licenses: BTreeMap<PathBuf, Option<String>>,
    ) -> Folders {
        let mut paths = BTreeSet::from([PathBuf::new()]);
        for file in found {
            let folder = file.path.parent().unwrap_or(Path::new(""));
            if !paths.contains(folder) {
                paths.extend(folder.ancestors().map(Path::to_owned));
            }
        }
        // What a folder without sources says holds for those below it.
        paths.extend(licenses.keys().cloned());
        let roots: BTreeMap<PathBuf, usize> =
            projects.iter().enumerate().map(|(index, project)| (project.root.clone(), index)).collect();
        let mut this = Folders { by_path: BTreeMap::new(), folders: Vec::new(), projects: Vec::new() };
        for RecordProject { repo, root, commit } in projects {
            this.projects.push(Project { repo, root, commit: commit.filter(|commit| is_digest(commit)) });
        }
        for path in paths {
            let root = path.components().next().map(|root| PathBuf::from(root.as_os_str()));
            let license = OnceLock::from(licenses.remove(&path).flatten());
            this.folders.push(Folder {
                parent: path.parent().and_then(|parent| this.by_path.get(parent).copied()),
                project: root.and_then(|root| roots.get(&root).copied()).unwrap_or(0),
                path: path.clone(),
                license_files: Vec::new(),
                manifests: Vec::new(),
                license,
            });
            this.by_path.insert(path, this.folders.len() - 1);
        }
        this
    }

    fn start_project(&mut self, at: &Path, path: &Path) -> usize {
        let repo = if path.as_os_str().is_empty() { ".".to_owned() } else { slashed(path) };
        self.projects.push(Project { repo, root: path.to_owned(), commit: commit_of(at) });
        self.projects.len() - 1
    }

    /// Index of the folder a file is in.
    pub fn folder_of(&self, file: &Found) -> usize {
        self.by_path[file.path.parent().unwrap_or(Path::new(""))]
    }

    /// Index of a folder's project.
    pub fn project_of(&self, folder: usize) -> usize {
        self.folders[folder].project
    }

    /// How many projects there are.
    pub fn project_count(&self) -> usize {
        self.projects.len()
    }

    /// The commits of all projects that have one.
    pub fn commits(&self) -> impl Iterator<Item = &str> {
        self.projects.iter().filter_map(|project| project.commit.as_deref())
    }

    pub fn project(&self, index: usize) -> &Project {
        &self.projects[index]
    }

    /// The license of files in a folder: what the nearest folder says that says anything, up to the project's root.
    pub fn license_of(&self, folder: usize, texts: &license::Texts) -> String {
        let project = self.folders[folder].project;
        let mut next = Some(folder);
        while let Some(index) = next.filter(|index| self.folders[*index].project == project) {
            let folder = &self.folders[index];
            let said = folder.license.get_or_init(|| {
                license::of_folder(&folder.path, &folder.license_files, &folder.manifests, texts)
            });
            if let Some(license) = said {
                return license.clone();
            }
            next = folder.parent;
        }
        NO_LICENSE.to_owned()
    }
}

impl Project {
    /// A file's path below the project, with `/`.
    pub fn path_of(&self, file: &Found) -> String {
        slashed(file.path.strip_prefix(&self.root).unwrap_or(&file.path))
    }
}

fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// The commit of a repository's checkout, or the one a cargo package says it was made from.
fn commit_of(root: &Path) -> Option<String> {
    let commit = git_commit(&root.join(".git")).or_else(|| packaged_commit(root))?;
    is_digest(&commit).then_some(commit)
}

fn is_digest(commit: &str) -> bool {
    matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn git_commit(dot_git: &Path) -> Option<String> {
    let folder = match fs::read_to_string(dot_git) {
        // A worktree or submodule: a file that names the real folder.
        Ok(pointer) => dot_git.parent()?.join(pointer.strip_prefix("gitdir:")?.trim()),
        Err(_) => dot_git.to_owned(),
    };
    let head = fs::read_to_string(folder.join("HEAD")).ok()?;
    let Some(reference) = head.strip_prefix("ref:").map(str::trim) else {
        return Some(head.trim().to_owned());
    };
    let common = match fs::read_to_string(folder.join("commondir")) {
        Ok(path) => folder.join(path.trim()),
        Err(_) => folder.clone(),
    };
    for place in [&folder, &common] {
        if let Ok(commit) = fs::read_to_string(place.join(reference)) {
            return Some(commit.trim().to_owned());
        }
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, name)| *name == reference).map(|(commit, _)| commit.to_owned())
}

fn packaged_commit(root: &Path) -> Option<String> {
    let info = fs::read(root.join(".cargo_vcs_info.json")).ok()?;
    let info: serde_json::Value = serde_json::from_slice(&info).ok()?;
    let git = info.get("git")?;
    if git.get("dirty").and_then(serde_json::Value::as_bool) == Some(true) {
        return None;
    }
    git.get("sha1")?.as_str().map(str::to_owned)
}
