//! Where records stand, and how they are read again.

use super::lines::mark;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use wootz_chunk::{Language, languages::LANGUAGES};
use wootz_schema::corpus::DropReason;
use wootz_schema::record::SourceRecord;

/// The records of all files.
pub(crate) struct Records {
    /// The number of the source that they make up.
    pub(super) source: usize,
    pub(super) files: Vec<(PathBuf, File)>,
    pub(super) places: Vec<Place>,
    pub(super) licenses: Vec<String>,
}

/// A line, and what is known of its record.
pub(super) struct Place {
    pub file: u32,
    pub offset: u64,
    pub length: u64,
    /// Number of the license that it says, from 1; 0 for none.
    pub license: u32,
    /// Its language, where its name does not tell.
    pub language: Option<&'static dyn Language>,
}

impl Records {
    /// The source that the records make up.
    pub fn source(&self) -> usize {
        self.source
    }

    /// The text of a record.
    pub fn text(&self, record: u32) -> Result<Vec<u8>, DropReason> {
        let place = &self.places[record as usize];
        let mut line = vec![0; usize::try_from(place.length).map_err(|_| DropReason::TooLarge)?];
        let (_, file) = &self.files[place.file as usize];
        file.read_exact_at(&mut line, place.offset).map_err(|_| DropReason::Unreadable)?;
        let line = &line[if place.offset == 0 { mark(&line) } else { 0 }..];
        // It was one when it was met: the file has changed.
        let record = SourceRecord::read(line).map_err(|_| DropReason::Unreadable)?;
        record.text.map(|text| text.into_owned().into_bytes()).ok_or(DropReason::Unreadable)
    }

    /// The license that a record says.
    pub fn license(&self, record: u32) -> Option<&str> {
        let number = self.places[record as usize].license as usize;
        number.checked_sub(1).and_then(|number| self.licenses.get(number)).map(String::as_str)
    }

    /// The language of a record whose name does not tell it.
    pub fn language(&self, record: u32) -> Option<&'static dyn Language> {
        self.places[record as usize].language
    }
}

/// The language that people call so.
pub(crate) fn language_named(name: &str) -> Option<&'static dyn Language> {
    let lower = name.trim().to_ascii_lowercase();
    let known = match lower.as_str() {
        "c++" | "cxx" | "cc" | "cuda" | "cu" => "cpp",
        "js" | "jsx" => "javascript",
        "ts" => "typescript",
        "py" | "python3" => "python",
        "rs" => "rust",
        "golang" => "go",
        other => other,
    };
    // Of the dialects of TypeScript, `tsx` is the one that is not meant.
    let is_known =
        |language: &&&dyn Language| language.name() == known && !language.extensions().contains(&"tsx");
    if known == "tsx" {
        return LANGUAGES.iter().copied().find(|language| language.extensions().contains(&"tsx"));
    }
    LANGUAGES.iter().find(is_known).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_by_the_names_that_people_use() {
        for (name, expected) in [
            ("C++", "cpp"),
            ("C", "c"),
            ("c", "c"),
            ("TypeScript", "typescript"),
            ("Golang", "go"),
            (" Rust ", "rust"),
        ] {
            assert_eq!(language_named(name).map(Language::name), Some(expected), "{name}");
        }
        assert_eq!(language_named("TSX").map(|language| language.extensions()[0]), Some("tsx"));
        assert_eq!(language_named("typescript").map(|language| language.extensions()[0]), Some("ts"));
        assert!(language_named("COBOL").is_none());
    }
}
