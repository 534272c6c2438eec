//! The catalogue: every published file, a line of JSON each. All pages are functions of it.
//!
//! A file name stands for one sequence of bytes for ever: two lines of one name and one hash are one file, of which the first address counts;
//! two of one name and other hashes are refused, or one of them is preferred by its time. A line of a project tells its status instead.

use crate::name::{Variants, WheelName};
use crate::variants;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use wootz_schema::wheel_index::{CatalogueLine, Marker, ProjectLine, ProjectStatus, Yanked};
use wootz_schema::{Diagnose, ExitCode};

/// A file of the catalogue with what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What its name says.
    pub name: WheelName,
    /// What was published.
    pub line: CatalogueLine,
}

/// What a catalogue says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// In its order.
    pub files: Vec<Entry>,
    /// By project, what is not active.
    pub projects: Projects,
}

/// The status of projects, by their normalised names.
pub type Projects = BTreeMap<String, ProjectStatus>;

/// Which of two files of one name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// That which was published last.
    Newest,
    /// That which was published first.
    Oldest,
}

/// Why a catalogue was refused.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read or written.
    #[error("{action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is none of a catalogue.
    #[error("read {}:{line}: {why}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Two files of one name.
    #[error("take {filename}: it was published twice with other bytes, at {} and {}", urls[0], urls[1])]
    Twice {
        /// The name.
        filename: String,
        /// Where both are.
        urls: [String; 2],
    },
    /// An address cannot be used.
    #[error("use {0:?} as an address: it has no scheme, as https://example.test/wheels has")]
    Address(String),
    /// No folder of wheels.
    #[error("Wheels directory not found: {}", .0.display())]
    NoFolder(PathBuf),
    /// Two variants of one version say what cannot both be so.
    #[error("take {} and {} as variants of one version: {why}", files[0], files[1])]
    Variants {
        /// The wheels.
        files: [String; 2],
        /// What they say.
        why: String,
    },
    /// The project takes no files, or offers none.
    #[error("{action} {project}: it is {}{}", status.status.name(), because(status.reason.as_deref()))]
    Status {
        /// What was tried.
        action: &'static str,
        /// Which.
        project: String,
        /// What is said of it.
        status: ProjectStatus,
    },
    /// A name was asked for that nothing has.
    #[error("find a file in the catalogue that fits {0:?}")]
    NoMatch(String),
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

impl Diagnose for CatalogueError {
    fn exit(&self) -> ExitCode {
        match self {
            CatalogueError::Address(_) => ExitCode::Usage,
            CatalogueError::Io { .. } => ExitCode::Environment,
            _ => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            CatalogueError::Twice { .. } => Some(
                "a published name never gets other bytes: give the new file another version, build number or local label; or take one of \
                 them with --prefer newest|oldest"
                    .to_owned(),
            ),
            CatalogueError::NoFolder(_) => Some("name it with --wheels-dir".to_owned()),
            CatalogueError::Variants { .. } => Some("build both from the same settings of variants".to_owned()),
            CatalogueError::Status { project, .. } => {
                Some(format!("`wootz index status {project} active` takes that back"))
            }
            _ => None,
        }
    }
}

/// Reads a catalogue; lines without anything in them are left out.
pub fn read(file: &Path, variants: Variants) -> Result<Catalogue, CatalogueError> {
    let failed = |source| CatalogueError::Io { action: "read", file: file.to_owned(), source };
    let lines = BufReader::with_capacity(1 << 18, File::open(file).map_err(failed)?);
    of_lines(file, lines, variants)
}

/// Reads the lines of a catalogue; `file` is what it is called in errors.
pub fn of_lines(
    file: &Path,
    mut lines: impl BufRead,
    variants: Variants,
) -> Result<Catalogue, CatalogueError> {
    let mut catalogue = Catalogue::default();
    let (mut text, mut number) = (String::new(), 0);
    loop {
        text.clear();
        let failed = |source| CatalogueError::Io { action: "read", file: file.to_owned(), source };
        if lines.read_line(&mut text).map_err(failed)? == 0 {
            return Ok(catalogue);
        }
        number += 1;
        let line = text.trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |why| CatalogueError::Line { file: file.to_owned(), line: number, why };
        match line_of(line, variants).map_err(wrong)? {
            Line::File(entry) => catalogue.files.push(*entry),
            Line::Project(line) => catalogue.set(&line.project, line.status, line.reason),
        }
    }
}

enum Line {
    File(Box<Entry>),
    Project(ProjectLine),
}

fn line_of(text: &str, variants: Variants) -> Result<Line, String> {
    let told = |error: serde_json::Error| error.to_string().replace(" at line 1 column", " at column");
    let line: CatalogueLine = match serde_json::from_str(text) {
        Ok(line) => line,
        Err(error) => {
            let is_project =
                serde_json::from_str::<Value>(text).is_ok_and(|line| line["project"].is_string());
            return match is_project {
                true => serde_json::from_str(text).map(Line::Project).map_err(told),
                false => Err(told(error)),
            };
        }
    };
    let entry = entry_of(line, variants)?;
    match (&entry.name.variant, &entry.line.variant) {
        (Some(label), Some(metadata)) => {
            variants::check(metadata, label).map_err(|why| format!("variant: {why}"))?;
        }
        (Some(_), None) => return Err("variant: it is missing".to_owned()),
        (None, Some(_)) => return Err("variant: the file's name has no label of a variant".to_owned()),
        (None, None) => {}
    }
    Ok(Line::File(Box::new(entry)))
}

impl Catalogue {
    /// Says what a project is like.
    pub fn set(&mut self, project: &str, status: Marker, reason: Option<String>) {
        let project = crate::name::project(project);
        match status {
            Marker::Active => drop(self.projects.remove(&project)),
            status => drop(self.projects.insert(project, ProjectStatus { status, reason })),
        }
    }

    /// Adds files that are not there yet; how many these were.
    pub fn add(&mut self, files: Vec<Entry>) -> Result<usize, CatalogueError> {
        let before = self.files.len();
        let mut known: BTreeMap<String, usize> =
            self.files.iter().enumerate().map(|(at, entry)| (entry.line.filename.clone(), at)).collect();
        for entry in files {
            match known.get(&entry.line.filename).map(|at| &self.files[*at].line) {
                Some(line) if line.sha256.eq_ignore_ascii_case(&entry.line.sha256) => {}
                Some(line) => {
                    let urls = [line.url.clone(), entry.line.url.clone()];
                    return Err(CatalogueError::Twice { filename: entry.line.filename, urls });
                }
                None => {
                    let status = self.projects.get(&entry.name.project);
                    if let Some(status) = status.filter(|status| status.status != Marker::Deprecated) {
                        let project = entry.name.project.clone();
                        return Err(CatalogueError::Status {
                            action: "add a file to",
                            project,
                            status: status.clone(),
                        });
                    }
                    known.insert(entry.line.filename.clone(), self.files.len());
                    self.files.push(entry);
                }
            }
        }
        Ok(self.files.len() - before)
    }

    /// Its text.
    pub fn text(&self) -> String {
        let told = "the keys of a line are text";
        let mut text = String::new();
        for (project, ProjectStatus { status, reason }) in &self.projects {
            let line = ProjectLine { project: project.clone(), status: *status, reason: reason.clone() };
            text.push_str(&(serde_json::to_string(&line).expect(told) + "\n"));
        }
        for entry in &self.files {
            text.push_str(&(serde_json::to_string(&entry.line).expect(told) + "\n"));
        }
        text
    }

    /// Takes files back or offers them again; which these are, by name.
    pub fn yank(&mut self, pattern: &str, yanked: &Yanked) -> Result<Vec<String>, CatalogueError> {
        let mut changed = Vec::new();
        let mut fits = 0;
        let lines = self.files.iter_mut().map(|entry| &mut entry.line);
        for line in lines.filter(|line| matches(pattern, &line.filename)) {
            fits += 1;
            if line.yanked != *yanked {
                line.yanked.clone_from(yanked);
                changed.push(line.filename.clone());
            }
        }
        if fits == 0 { Err(CatalogueError::NoMatch(pattern.to_owned())) } else { Ok(changed) }
    }
}

/// The wheels of a project's page, as [`crate::pages`] writes it; `file` is what it is called in errors. What variants say is not there.
pub fn of_page(file: &Path, json: &str) -> Result<Vec<Entry>, CatalogueError> {
    let wrong = |why: String| CatalogueError::Line { file: file.to_owned(), line: 1, why };
    let page: Value = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    let files = page["files"].as_array().ok_or_else(|| wrong("it has no files".to_owned()))?;
    let entry = |file: &Value| {
        let line = json!({
            "url": file["url"], "filename": file["filename"], "sha256": file["hashes"]["sha256"], "size": file["size"],
            "upload_time": file["upload-time"], "requires_python": file["requires-python"],
            "metadata_sha256": file["core-metadata"]["sha256"], "yanked": file["yanked"],
        });
        let line = serde_json::from_value(line).map_err(|error| wrong(error.to_string()))?;
        entry_of(line, Variants::Allowed).map_err(wrong)
    };
    let is_wheel =
        |file: &&Value| !file["filename"].as_str().is_some_and(|name| name.ends_with(variants::ENDING));
    files.iter().filter(is_wheel).map(entry).collect()
}

fn entry_of(line: CatalogueLine, variants: Variants) -> Result<Entry, String> {
    let name = WheelName::parse(&line.filename, variants).map_err(|error| {
        let is_variant = WheelName::parse(&line.filename, Variants::Allowed).is_ok();
        let draft = if is_variant {
            "; it is that of a variant (PEP 825, a draft), which --variants takes"
        } else {
            ""
        };
        format!("filename: {}{draft}", error.rule)
    })?;
    let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash(&line.sha256) {
        return Err(format!("sha256: {:?} is no SHA-256 in hexadecimal digits", line.sha256));
    }
    if let Some(hash) = line.metadata_sha256.as_ref().filter(|hash| !is_hash(hash)) {
        return Err(format!("metadata_sha256: {hash:?} is no SHA-256 in hexadecimal digits"));
    }
    if !is_address(&line.url) {
        return Err(format!("url: {:?} has no scheme, as https://example.test/wheels has", line.url));
    }
    if line.upload_time.parse::<jiff::Timestamp>().is_err() || !line.upload_time.ends_with('Z') {
        return Err(format!(
            "upload_time: {:?} is no time in UTC, as 2026-01-31T12:00:00Z",
            line.upload_time
        ));
    }
    Ok(Entry { name, line })
}

/// Whether a text begins with a scheme.
pub fn is_address(text: &str) -> bool {
    let scheme =
        text.split_once("://").map_or("", |(scheme, rest)| if rest.is_empty() { "" } else { scheme });
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// One file for each name, sorted by project, version and name.
pub fn unite(
    entries: impl IntoIterator<Item = Entry>,
    prefer: Option<Prefer>,
) -> Result<Vec<Entry>, CatalogueError> {
    // Projects first, then the files of each: of 100,000 files this takes half of what one sort does, which jumps about in memory.
    let mut projects: HashMap<String, Vec<Entry>> = HashMap::new();
    for entry in entries {
        match projects.get_mut(&entry.name.project) {
            Some(files) => files.push(entry),
            None => drop(projects.insert(entry.name.project.clone(), vec![entry])),
        }
    }
    // Of files of one name the first that came stays the first.
    let by_name = |one: &Entry, other: &Entry| {
        one.name.wanted(&other.name).then_with(|| one.line.filename.cmp(&other.line.filename))
    };
    let mut projects: Vec<Vec<Entry>> = projects.into_values().collect();
    projects.sort_by(|one, other| one[0].name.project.cmp(&other[0].name.project));
    projects.iter_mut().for_each(|files| files.sort_by(by_name));
    let mut files: Vec<Entry> = Vec::with_capacity(projects.iter().map(Vec::len).sum());
    for entry in projects.into_iter().flatten() {
        let same = files.last_mut().filter(|known| known.line.filename == entry.line.filename);
        let Some(known) = same else {
            files.push(entry);
            continue;
        };
        if known.line.sha256.eq_ignore_ascii_case(&entry.line.sha256) {
            // A file that anybody took back is taken back.
            if known.line.yanked == Yanked::No {
                known.line.yanked = entry.line.yanked;
            }
            continue;
        }
        let time = |entry: &Entry| entry.line.upload_time.parse::<jiff::Timestamp>().ok();
        let is_newer = time(&entry) > time(known);
        match prefer {
            None => {
                return Err(CatalogueError::Twice {
                    filename: entry.line.filename.clone(),
                    urls: [known.line.url.clone(), entry.line.url],
                });
            }
            Some(prefer) if is_newer == (prefer == Prefer::Newest) => *known = entry,
            Some(_) => {}
        }
    }
    Ok(files)
}

/// Whether a text fits a pattern in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("a-1*.whl", "a-1.0-py3-none-any.whl", true),
            ("a-1*.whl", "a-2.0-py3-none-any.whl", false),
            ("*cu128*cp312*", "x+cu128-cp312-cp312-any.whl", true),
            ("*", "anything", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*ab", "aab", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn addresses_have_schemes() {
        for (text, is) in [
            ("https://a.test/x", true),
            ("file:///tmp", true),
            ("a.test/x", false),
            ("://x", false),
            ("http://", false),
        ] {
            assert_eq!(is_address(text), is, "{text}");
        }
    }
}
