//! `documents.jsonl`, line by line, with the place of each line so that it can be read again.

use crate::folder::{DatasetError, io_error};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use wootz_schema::document::Document;

/// Reads documents in the order of the file.
pub(crate) struct DocumentLines {
    path: PathBuf,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    line: u64,
    offset: u64,
}

/// Where a document stands in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

impl DocumentLines {
    pub(crate) fn open(path: &Path) -> Result<DocumentLines, DatasetError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        let reader = BufReader::with_capacity(1 << 20, file);
        Ok(DocumentLines { path: path.to_owned(), reader, buffer: Vec::new(), line: 0, offset: 0 })
    }

    /// The next document and its place; `None` at the end of the file. Blank lines are passed over.
    pub(crate) fn next(&mut self) -> Result<Option<(Document, Place)>, DatasetError> {
        loop {
            self.buffer.clear();
            let bytes =
                self.reader.read_until(b'\n', &mut self.buffer).map_err(io_error("read", &self.path))?;
            if bytes == 0 {
                return Ok(None);
            }
            self.line += 1;
            let place = Place { line: self.line, offset: self.offset, bytes: bytes as u64 };
            self.offset += bytes as u64;
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((parse(&self.buffer, &self.path, place)?, place)));
            }
        }
    }

    /// Bytes of the file read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Length of the file in bytes.
    pub(crate) fn total(&self) -> Result<u64, DatasetError> {
        let metadata = self.reader.get_ref().metadata().map_err(io_error("read", &self.path))?;
        Ok(metadata.len())
    }
}

/// Reads documents at known places.
pub(crate) struct DocumentPlaces {
    path: PathBuf,
    file: File,
    buffer: Vec<u8>,
}

impl DocumentPlaces {
    pub(crate) fn open(path: &Path) -> Result<DocumentPlaces, DatasetError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        Ok(DocumentPlaces { path: path.to_owned(), file, buffer: Vec::new() })
    }

    pub(crate) fn read(&mut self, place: Place) -> Result<Document, DatasetError> {
        self.buffer.resize(place.bytes as usize, 0);
        self.file.read_exact_at(&mut self.buffer, place.offset).map_err(io_error("read", &self.path))?;
        parse(&self.buffer, &self.path, place)
    }
}

fn parse(line: &[u8], path: &Path, place: Place) -> Result<Document, DatasetError> {
    serde_json::from_slice(line).map_err(|error| DatasetError::Document {
        path: path.to_owned(),
        line: place.line,
        reason: format!("this is no document: {error}"),
    })
}
