//! The catalogue: every published file, a line of JSON each. All pages are functions of it.
//!
//! A file name stands for one sequence of bytes for ever: two lines of one name and one hash are one file, of which the first address counts;
//! two of one name and other hashes are refused, or one of them is preferred by its time.

use crate::name::{Variants, WheelName};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use wootz_schema::wheel_index::{CatalogueLine, Yanked};
use wootz_schema::{Diagnose, ExitCode};

/// A file of the catalogue with what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What its name says.
    pub name: WheelName,
    /// What was published.
    pub line: CatalogueLine,
}

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
    /// A name was asked for that nothing has.
    #[error("find a file in the catalogue that fits {0:?}")]
    NoMatch(String),
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
            _ => None,
        }
    }
}

/// Reads a catalogue; lines without anything in them are left out.
pub fn read(file: &Path) -> Result<Vec<Entry>, CatalogueError> {
    let text = std::fs::read_to_string(file).map_err(|source| CatalogueError::Io {
        action: "read",
        file: file.to_owned(),
        source,
    })?;
    of_text(file, &text)
}

/// Reads the text of a catalogue; `file` is what it is called in errors.
pub fn of_text(file: &Path, text: &str) -> Result<Vec<Entry>, CatalogueError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let entry = |(at, line): (usize, &str)| {
        entry_of(line).map_err(|why| CatalogueError::Line { file: file.to_owned(), line: at + 1, why })
    };
    lines.map(entry).collect()
}

/// The files of a project's page, as [`crate::pages::pages`] writes it; `file` is what it is called in errors.
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
        entry_of(&line.to_string()).map_err(wrong)
    };
    files.iter().map(entry).collect()
}

fn entry_of(line: &str) -> Result<Entry, String> {
    let line: CatalogueLine = serde_json::from_str(line)
        .map_err(|error| error.to_string().replace(" at line 1 column", " at column"))?;
    let name = WheelName::parse(&line.filename, Variants::Refused)
        .map_err(|error| format!("filename: {}", error.rule))?;
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
    let mut all: Vec<Entry> = entries.into_iter().collect();
    // Of files of one name the first that came stays the first.
    all.sort_by(|one, other| one.name.cmp(&other.name));
    let mut files: Vec<Entry> = Vec::with_capacity(all.len());
    for entry in all {
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

/// The text of a catalogue.
pub fn text(lines: &[CatalogueLine]) -> String {
    let line =
        |line: &CatalogueLine| serde_json::to_string(line).expect("the keys of a line are text") + "\n";
    lines.iter().map(line).collect()
}

/// Takes files back or offers them again; which these are, by name.
pub fn yank(
    lines: &mut [CatalogueLine],
    pattern: &str,
    yanked: &Yanked,
) -> Result<Vec<String>, CatalogueError> {
    let mut changed = Vec::new();
    let mut fits = 0;
    for line in lines.iter_mut().filter(|line| matches(pattern, &line.filename)) {
        fits += 1;
        if line.yanked != *yanked {
            line.yanked.clone_from(yanked);
            changed.push(line.filename.clone());
        }
    }
    if fits == 0 { Err(CatalogueError::NoMatch(pattern.to_owned())) } else { Ok(changed) }
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
