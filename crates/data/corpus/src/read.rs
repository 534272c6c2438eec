//! Documents and manifests, read back.

use crate::build::CorpusError;
use crate::sink::kind_name;
use parquet::file::reader::SerializedFileReader;
use parquet::record::{Field, Row, reader::RowIter};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use wootz_schema::corpus::{CorpusManifest, MANIFEST_FILE, VERSION};
use wootz_schema::document::{Document, DocumentKind};

/// Reads the manifest of a corpus folder.
pub fn read_manifest(folder: &Path) -> Result<CorpusManifest, CorpusError> {
    let path = folder.join(MANIFEST_FILE);
    let bytes = std::fs::read(&path).map_err(|error| CorpusError::io("read the manifest", &path, error))?;
    let manifest: CorpusManifest = serde_json::from_slice(&bytes)
        .map_err(|error| record(&path, format!("line {}", error.line()), error.to_string()))?;
    if manifest.version != VERSION {
        let message = format!("version {} where this program reads {VERSION}", manifest.version);
        return Err(record(&path, "version".to_owned(), message));
    }
    Ok(manifest)
}

/// Reads the documents of a corpus folder, or of a `.jsonl` or `.parquet` file of documents, in order.
pub fn read_documents(path: &Path) -> Result<Documents, CorpusError> {
    let manifest = if path.is_dir() { Some(read_manifest(path)?) } else { None };
    let path = manifest.as_ref().map_or(path.to_owned(), |manifest| path.join(&manifest.documents_file));
    let failed = |error| CorpusError::io("read the documents", &path, error);
    let file = File::open(&path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    // Lines that are missing at the end would not show.
    if let Some(expected) = manifest.map(|manifest| manifest.file_bytes).filter(|expected| *expected != bytes)
    {
        let message = format!("{bytes} bytes where the manifest says {expected}");
        return Err(record(&path, "length".to_owned(), message));
    }
    let source = if path.extension().is_some_and(|extension| extension == "parquet") {
        let reader = SerializedFileReader::new(file)
            .map_err(|error| record(&path, "footer".to_owned(), error.to_string()))?;
        Source::Rows(Box::new(RowIter::from_file_into(Box::new(reader))))
    } else {
        Source::Lines(BufReader::with_capacity(1 << 20, file))
    };
    Ok(Documents { path, read: 0, ended: false, line: Vec::new(), source })
}

/// Documents one after the other; ends after the first error.
pub struct Documents {
    path: PathBuf,
    read: u64,
    ended: bool,
    line: Vec<u8>,
    source: Source,
}

enum Source {
    Lines(BufReader<File>),
    Rows(Box<RowIter<'static>>),
}

impl Iterator for Documents {
    type Item = Result<Document, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        self.read += 1;
        let next = match &mut self.source {
            Source::Lines(file) => next_line(file, &mut self.line, &self.path, self.read),
            Source::Rows(rows) => rows.next().map(|row| {
                let document = row.map_err(|error| error.to_string()).and_then(|row| document_of(&row));
                document.map_err(|message| record(&self.path, format!("row {}", self.read), message))
            }),
        };
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

fn next_line(
    file: &mut BufReader<File>,
    line: &mut Vec<u8>,
    path: &Path,
    number: u64,
) -> Option<Result<Document, CorpusError>> {
    line.clear();
    match file.read_until(b'\n', line) {
        Ok(0) => None,
        Ok(_) => Some(serde_json::from_slice(line).map_err(|error| {
            let message = format!("column {}: {}", error.column(), without_place(&error.to_string()));
            record(path, format!("line {number}"), message)
        })),
        Err(error) => Some(Err(CorpusError::io("read the documents", path, error))),
    }
}

/// The parser numbers lines within one record, which would mislead.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(message, _)| message)
}

fn document_of(row: &Row) -> Result<Document, String> {
    let mut document = Document {
        text: String::new(),
        language: String::new(),
        repo: String::new(),
        path: String::new(),
        commit: None,
        license: String::new(),
        kind: DocumentKind::File,
        symbols: Vec::new(),
        tokens: None,
        sha256: String::new(),
    };
    let mut met = 0;
    for (name, field) in row.get_column_iter() {
        met += 1;
        match (name.as_str(), field) {
            ("text", Field::Str(value)) => document.text.clone_from(value),
            ("language", Field::Str(value)) => document.language.clone_from(value),
            ("repo", Field::Str(value)) => document.repo.clone_from(value),
            ("path", Field::Str(value)) => document.path.clone_from(value),
            ("commit", Field::Str(value)) => document.commit = Some(value.clone()),
            ("license", Field::Str(value)) => document.license.clone_from(value),
            ("kind", Field::Str(value)) => document.kind = kind_of(value)?,
            ("symbols", Field::ListInternal(list)) => {
                let names = list.elements().iter().map(|element| match element {
                    Field::Str(name) => Ok(name.clone()),
                    other => Err(format!("a symbol is {other}, not text")),
                });
                document.symbols = names.collect::<Result<_, _>>()?;
            }
            ("tokens", Field::Long(value)) => document.tokens = u64::try_from(*value).ok(),
            ("sha256", Field::Str(value)) => document.sha256.clone_from(value),
            ("commit" | "tokens", Field::Null) => {}
            (other, _) => return Err(format!("unexpected column {other:?}")),
        }
    }
    if met == 10 { Ok(document) } else { Err(format!("{met} columns where a document has 10")) }
}

fn kind_of(name: &str) -> Result<DocumentKind, String> {
    let kinds = [
        DocumentKind::File,
        DocumentKind::Items,
        DocumentKind::Function,
        DocumentKind::Class,
        DocumentKind::Unit,
        DocumentKind::CommitChain,
        DocumentKind::CommitDiff,
    ];
    let kind = kinds.into_iter().find(|kind| kind_name(*kind) == name);
    kind.ok_or_else(|| format!("unknown kind {name:?}"))
}

fn record(path: &Path, place: String, message: String) -> CorpusError {
    CorpusError::Record { path: path.to_owned(), place, message }
}
