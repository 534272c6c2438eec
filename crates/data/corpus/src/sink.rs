//! Where documents go: JSON lines or parquet.

use crate::build::CorpusError;
use crate::clean::Judged;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wootz_schema::corpus::CorpusFormat;
use wootz_schema::document::{Document, DocumentKind};

/// A document on its way to the sink.
pub(crate) struct Row {
    /// Without its text where the line has it.
    pub document: Document,
    /// Bytes of its text.
    pub bytes: u64,
    pub sha256: [u8; 32],
    pub judged: Judged,
    /// The document's JSON line, made by the thread that made the document; empty for parquet.
    line: Vec<u8>,
}

impl Row {
    pub fn new(document: Document, sha256: [u8; 32], as_line: bool, judged: Judged) -> Row {
        let mut line = Vec::new();
        if as_line {
            line.reserve(document.text.len() + document.text.len() / 8 + 512);
            serde_json::to_writer(&mut line, &document)
                .expect("a document is JSON because its keys are text");
            line.push(b'\n');
            line.shrink_to_fit();
        }
        Row::read(document, sha256, line, judged)
    }

    /// A document whose line is known, if one is wanted.
    pub fn read(mut document: Document, sha256: [u8; 32], line: Vec<u8>, judged: Judged) -> Row {
        let bytes = document.text.len() as u64;
        if !line.is_empty() {
            document.text = String::new();
        }
        Row { document, bytes, sha256, judged, line }
    }

    pub fn is_whole_file(&self) -> bool {
        self.document.kind == DocumentKind::File
    }

    /// Writes the document's JSON line, whatever the format of the corpus.
    pub fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.line.is_empty() {
            return out.write_all(&self.line);
        }
        serde_json::to_writer(&mut *out, &self.document)?;
        out.write_all(b"\n")
    }
}

/// The documents file under construction.
pub(crate) enum Sink {
    Jsonl(PathBuf, BufWriter<File>),
    Parquet(PathBuf, Box<Parquet>),
}

impl Sink {
    pub fn create(path: &Path, format: CorpusFormat) -> Result<Sink, CorpusError> {
        let file = File::create(path).map_err(|error| CorpusError::io("create", path, error))?;
        Ok(match format {
            CorpusFormat::Jsonl => Sink::Jsonl(path.to_owned(), BufWriter::with_capacity(1 << 20, file)),
            CorpusFormat::Parquet => {
                let parquet = Parquet::new(file).map_err(|error| parquet_error(path, error))?;
                Sink::Parquet(path.to_owned(), Box::new(parquet))
            }
        })
    }

    pub fn push(&mut self, row: Row) -> Result<(), CorpusError> {
        match self {
            Sink::Jsonl(path, file) => {
                file.write_all(&row.line).map_err(|error| CorpusError::io("write", path, error))
            }
            Sink::Parquet(path, parquet) => {
                parquet.push(row.document).map_err(|error| parquet_error(path, error))
            }
        }
    }

    /// Ends the file and waits until the disk has it.
    pub fn finish(self) -> Result<(), CorpusError> {
        let (path, file) = match self {
            Sink::Jsonl(path, file) => (path, file.into_inner().map_err(|error| error.into_error())),
            Sink::Parquet(path, parquet) => match parquet.finish() {
                Ok(file) => (path, Ok(file)),
                Err(error) => return Err(parquet_error(&path, error)),
            },
        };
        file.and_then(|file| file.sync_all()).map_err(|error| CorpusError::io("write", &path, error))
    }
}

/// A full disk reaches us as an IO error inside a parquet error.
fn parquet_error(path: &Path, error: ParquetError) -> CorpusError {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => CorpusError::io("write", path, *error),
            Err(inner) => {
                CorpusError::Parquet { path: path.to_owned(), source: ParquetError::External(inner) }
            }
        },
        source => CorpusError::Parquet { path: path.to_owned(), source },
    }
}

/// Text or documents that make a row group full.
const GROUP_BYTES: usize = 16 << 20;
const GROUP_DOCUMENTS: usize = 8192;

/// The columns, in the order of [`Document`]'s fields.
pub(crate) const SCHEMA: &str = "message document {
    required binary text (STRING);
    required binary language (STRING);
    required binary repo (STRING);
    required binary path (STRING);
    optional binary commit (STRING);
    required binary license (STRING);
    required binary kind (STRING);
    required group symbols (LIST) { repeated group list { required binary element (STRING); } }
    optional int64 tokens;
    required binary sha256 (STRING);
}";

/// Documents in row groups of bounded size.
pub(crate) struct Parquet {
    writer: SerializedFileWriter<File>,
    documents: Vec<Document>,
    bytes: usize,
}

impl Parquet {
    fn new(file: File) -> ParquetResult<Parquet> {
        let schema = Arc::new(parse_message_type(SCHEMA)?);
        let properties = WriterProperties::builder()
            .set_created_by("wootz".to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_dictionary_enabled(ColumnPath::from("text"), false)
            .set_column_dictionary_enabled(ColumnPath::from("sha256"), false)
            .build();
        let writer = SerializedFileWriter::new(file, schema, Arc::new(properties))?;
        Ok(Parquet { writer, documents: Vec::new(), bytes: 0 })
    }

    fn push(&mut self, document: Document) -> ParquetResult<()> {
        self.bytes += document.text.len();
        self.documents.push(document);
        if self.bytes >= GROUP_BYTES || self.documents.len() >= GROUP_DOCUMENTS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn finish(mut self) -> ParquetResult<File> {
        self.flush()?;
        self.writer.into_inner()
    }

    fn flush(&mut self) -> ParquetResult<()> {
        let documents = std::mem::take(&mut self.documents);
        self.bytes = 0;
        if documents.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let text = |of: fn(&Document) -> &str| {
            documents.iter().map(|one| ByteArray::from(of(one))).collect::<Vec<_>>()
        };
        strings(&mut group, text(|document| &document.text), None, None)?;
        strings(&mut group, text(|document| &document.language), None, None)?;
        strings(&mut group, text(|document| &document.repo), None, None)?;
        strings(&mut group, text(|document| &document.path), None, None)?;
        let commits = documents.iter().filter_map(|document| document.commit.as_deref().map(ByteArray::from));
        let defined: Vec<i16> =
            documents.iter().map(|document| i16::from(document.commit.is_some())).collect();
        strings(&mut group, commits.collect(), Some(&defined), None)?;
        strings(&mut group, text(|document| &document.license), None, None)?;
        strings(&mut group, text(|document| kind_name(document.kind)), None, None)?;
        let (mut names, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        for document in &documents {
            // An empty list is one level pair without a value.
            repeated.push(0);
            defined.push(i16::from(!document.symbols.is_empty()));
            repeated.extend(document.symbols.iter().skip(1).map(|_| 1));
            defined.extend(document.symbols.iter().skip(1).map(|_| 1));
            names.extend(document.symbols.iter().map(|symbol| ByteArray::from(symbol.as_str())));
        }
        strings(&mut group, names, Some(&defined), Some(&repeated))?;
        let tokens: Vec<i64> = documents
            .iter()
            .filter_map(|document| document.tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX)))
            .collect();
        let defined: Vec<i16> =
            documents.iter().map(|document| i16::from(document.tokens.is_some())).collect();
        column::<Int64Type>(&mut group, &tokens, Some(&defined), None)?;
        strings(&mut group, text(|document| &document.sha256), None, None)?;
        group.close()?;
        Ok(())
    }
}

/// The stored name of a kind, as in JSON.
pub(crate) fn kind_name(kind: DocumentKind) -> &'static str {
    match kind {
        DocumentKind::File => "file",
        DocumentKind::Items => "items",
        DocumentKind::Function => "function",
        DocumentKind::Class => "class",
        DocumentKind::Unit => "unit",
        DocumentKind::CommitChain => "commit_chain",
        DocumentKind::CommitDiff => "commit_diff",
    }
}

fn strings(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: Vec<ByteArray>,
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> ParquetResult<()> {
    column::<ByteArrayType>(group, &values, defined, repeated)
}

/// Writes the next column of a row group.
fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> ParquetResult<()> {
    let missing = || ParquetError::General("a document has more columns than the schema".to_owned());
    let mut writer = group.next_column()?.ok_or_else(missing)?;
    writer.typed::<T>().write_batch(values, defined, repeated)?;
    writer.close()
}
