//! Where records stand, and how they are read again.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufRead};
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
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
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
pub(super) fn language_named(name: &str) -> Option<&'static dyn Language> {
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

/// Reads a line into `bytes`, of which it keeps no more than `limit`; its whole length with the line break, or `None` at the
/// end.
pub(super) fn line(
    lines: &mut impl BufRead,
    bytes: &mut Vec<u8>,
    limit: usize,
    hasher: &mut Sha256,
) -> io::Result<Option<u64>> {
    bytes.clear();
    let mut length = 0;
    loop {
        let buffer = match lines.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            buffer => buffer?,
        };
        let end = memchr::memchr(b'\n', buffer);
        let part = &buffer[..end.map_or(buffer.len(), |end| end + 1)];
        hasher.update(part);
        bytes.extend_from_slice(&part[..part.len().min(limit.saturating_sub(bytes.len()))]);
        let read = part.len();
        length += read as u64;
        lines.consume(read);
        if end.is_some() || read == 0 {
            return Ok((length > 0).then_some(length));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    #[test]
    fn long_lines_are_not_kept() {
        let text = b"ab\n0123456789\n\nlast";
        for capacity in [1, 3, 100] {
            let mut lines = BufReader::with_capacity(capacity, text.as_slice());
            let (mut bytes, mut hasher, mut read) = (Vec::new(), Sha256::new(), Vec::new());
            while let Some(length) = line(&mut lines, &mut bytes, 5, &mut hasher).unwrap() {
                read.push((length, String::from_utf8(bytes.clone()).unwrap()));
            }
            let expected = [(3, "ab\n"), (11, "01234"), (1, "\n"), (4, "last")];
            assert_eq!(read, expected.map(|(length, text)| (length, text.to_owned())));
            assert_eq!(hasher.finalize(), Sha256::digest(text));
        }
    }

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
