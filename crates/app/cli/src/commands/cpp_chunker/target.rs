//! The file of texts: written beside its place, and moved there when it is complete.

use crate::outcome::Failure;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use wootz_corpus::read_documents;
use wootz_stdx::{file, human};

/// Where the texts go.
pub struct Target {
    /// As asked.
    named: PathBuf,
    /// Behind links.
    path: PathBuf,
}

/// What was written.
#[derive(Default)]
pub struct Written {
    documents: u64,
    bytes: u64,
    tokens: u64,
    /// Documents that were too short.
    pub short: u64,
}

impl Target {
    /// Checks the place before any work is done.
    pub fn new(named: &Path) -> Result<Target, Failure> {
        let failed = |error| Failure::io("write", named, &error);
        let path = match fs::metadata(named) {
            Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                let message = format!("write {}: not a regular file", named.display());
                return Err(Failure::usage(message, "name a file; a device or a pipe cannot be replaced"));
            }
            Ok(_) => named.canonicalize().map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => named.to_owned(),
            Err(error) => return Err(failed(error)),
        };
        if path.file_name().is_none() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let temporary = file::temporary_sibling(&path);
        File::create(&temporary).and_then(|_| fs::remove_file(&temporary)).map_err(failed)?;
        Ok(Target { named: named.to_owned(), path })
    }

    /// Whether a path leads to the same file.
    pub fn is(&self, other: &Path) -> bool {
        other.canonicalize().is_ok_and(|other| other == self.path)
    }

    /// Where the corpus is built: beside the output, since that is where there is room.
    pub fn folder(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.corpus"))
    }

    /// Writes the texts of a corpus that are at least so long.
    pub fn write(&self, corpus: &Path, min_bytes: usize) -> Result<Written, Failure> {
        let documents = read_documents(corpus)?;
        let temporary = file::temporary_sibling(&self.path);
        let written = self.write_to(&temporary, documents, min_bytes);
        if written.is_err() {
            // The error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// Writes a file without texts.
    pub fn write_nothing(&self) -> Result<Written, Failure> {
        file::write_atomic(&self.path, b"").map_err(|error| Failure::io("write", &self.named, &error))?;
        Ok(Written::default())
    }

    fn write_to(
        &self,
        temporary: &Path,
        documents: wootz_corpus::Documents,
        min_bytes: usize,
    ) -> Result<Written, Failure> {
        let failed = |error| Failure::io("write", &self.named, &error);
        let mut output = BufWriter::with_capacity(1 << 20, File::create(temporary).map_err(failed)?);
        let mut written = Written::default();
        for document in documents {
            let document = document?;
            if document.text.len() < min_bytes {
                written.short += 1;
                continue;
            }
            written.documents += 1;
            written.bytes += document.text.len() as u64;
            written.tokens += document.tokens.unwrap_or(0);
            line(&mut output, &document.text).map_err(failed)?;
        }
        let output = output.into_inner().map_err(|error| failed(error.into_error()))?;
        output.sync_all().map_err(failed)?;
        drop(output);
        file::rename_durable(temporary, &self.path).map_err(failed)?;
        Ok(written)
    }
}

fn line(output: &mut impl Write, text: &str) -> io::Result<()> {
    output.write_all(b"{\"text\":")?;
    serde_json::to_writer(&mut *output, text)?;
    output.write_all(b"}\n")
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {} tokens", self.documents, human::bytes(self.bytes), self.tokens)
    }
}
