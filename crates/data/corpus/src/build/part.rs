//! Parts: what a run of projects came to before anything that depends on others (duplicates, the cap, counts) was decided.
//!
//! A part is written by the threads that made it, in frames of about 1 MiB that each is compressed by itself, and
//! read file by file. What is told of it is in `wootz_schema::shard`.

use super::CorpusError;
use super::tally::{FileDone, Outcome, ProjectDone, Taker};
use crate::clean::{Changes, Cleaner, Judged};
use crate::sink::Row;
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use wootz_schema::corpus::CorpusFormat;
use wootz_schema::document::Document;
use wootz_schema::shard::{PartDocument, PartFile, PartRecord, VERSION};
use wootz_stdx::digest;

/// Text in one frame.
const FRAME_BYTES: usize = 1 << 20;

/// Fast before small: a part is read once or never.
const LEVEL: i32 = -3;

/// The parts of one plan in one folder.
pub(super) struct Parts {
    pub folder: PathBuf,
    pub plan: String,
}

/// A piece of a part.
enum Piece<'a> {
    Record(PartRecord),
    File(&'a FileDone),
}

impl Parts {
    pub fn path(&self, part: usize) -> PathBuf {
        self.folder.join(format!("part-{part:06}.jsonl.zst"))
    }

    /// Whether a part is there, whole.
    pub fn has(&self, part: usize) -> bool {
        let path = self.path(part);
        path.exists() && ends(&path).unwrap_or(false)
    }

    /// Writes a part, which appears whole or not at all.
    pub fn write(&self, part: usize, projects: &[ProjectDone]) -> Result<(), CorpusError> {
        let head = PartRecord::Head { version: VERSION, plan: self.plan.clone(), part: part as u64 };
        let mut frames = vec![vec![Piece::Record(head)]];
        let mut bytes = 0;
        for project in projects {
            let record = PartRecord::Project {
                oversized_items: project.oversized,
                files_with_errors: project.with_errors,
            };
            let files = project.files.iter().map(Piece::File);
            for piece in std::iter::once(Piece::Record(record)).chain(files) {
                if bytes >= FRAME_BYTES {
                    frames.push(Vec::new());
                    bytes = 0;
                }
                bytes += piece.bytes();
                if let Some(frame) = frames.last_mut() {
                    frame.push(piece);
                }
            }
        }
        if let Some(frame) = frames.last_mut() {
            frame.push(Piece::Record(PartRecord::End));
        }
        let path = self.path(part);
        let temporary = path.with_extension("tmp");
        let written =
            frames.par_iter().map(compressed).collect::<io::Result<Vec<Vec<u8>>>>().and_then(|frames| {
                let mut file = File::create(&temporary)?;
                frames.iter().try_for_each(|frame| file.write_all(frame))?;
                fs::rename(&temporary, &path)
            });
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            CorpusError::io("write", &path, error)
        })
    }

    /// Gives a part's files to the taker, in their order.
    pub fn replay(&self, part: usize, format: CorpusFormat, taker: &mut Taker) -> Result<(), CorpusError> {
        let path = self.path(part);
        let file = File::open(&path).map_err(|error| CorpusError::io("read", &path, error))?;
        let decoder = zstd::Decoder::new(file).map_err(|error| CorpusError::io("read", &path, error))?;
        let mut reader = Reader {
            lines: BufReader::with_capacity(1 << 18, decoder),
            path: &path,
            number: 0,
            line: Vec::new(),
        };
        match reader.record()? {
            PartRecord::Head { version: VERSION, plan, part: number }
                if plan == self.plan && number == part as u64 => {}
            head => {
                return Err(reader.wrong(format!("part {part} of {} was expected, not {head:?}", self.plan)));
            }
        }
        loop {
            let file = match reader.record()? {
                PartRecord::End => return Ok(()),
                head @ PartRecord::Head { .. } => return Err(reader.wrong(format!("{head:?} in the middle"))),
                PartRecord::Project { oversized_items, files_with_errors } => {
                    taker.begin_project(oversized_items, files_with_errors);
                    continue;
                }
                PartRecord::Dropped { reason, license } => {
                    FileDone { text: None, outcome: Outcome::Dropped { reason, license } }
                }
                PartRecord::File(file) => reader.file(file, format)?,
            };
            taker.take_file(file)?;
        }
    }
}

impl Piece<'_> {
    fn bytes(&self) -> usize {
        match self {
            Piece::File(FileDone { outcome: Outcome::Cut { rows, .. }, .. }) => {
                rows.iter().map(|row| row.bytes as usize + 256).sum()
            }
            _ => 64,
        }
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let file = match self {
            Piece::Record(record) => return write_line(out, record),
            Piece::File(file) => file,
        };
        let (rows, record) = match &file.outcome {
            Outcome::Dropped { reason, license } => {
                let record = PartRecord::Dropped { reason: *reason, license: license.clone() };
                return write_line(out, &record);
            }
            Outcome::Cut { project, rows, oversized, has_errors, changes } => {
                let known = |row: &Row| PartDocument {
                    sketched: row.judged.sketch.is_some(),
                    benchmark: row.judged.benchmark.clone(),
                };
                let record = PartFile {
                    sha256: file.text.map(|sha256| digest::hex(&sha256)).unwrap_or_default(),
                    project: (project.0 as u64, project.1 as u64),
                    documents: rows.iter().map(known).collect(),
                    oversized: oversized.clone(),
                    has_errors: *has_errors,
                    converted: changes.converted,
                    redacted: changes.redacted.clone(),
                };
                (rows, record)
            }
        };
        write_line(out, &PartRecord::File(record))?;
        rows.iter().try_for_each(|row| row.write_line(out))
    }
}

fn write_line(out: &mut impl Write, record: &PartRecord) -> io::Result<()> {
    serde_json::to_writer(&mut *out, record)?;
    out.write_all(b"\n")
}

fn compressed(pieces: &Vec<Piece<'_>>) -> io::Result<Vec<u8>> {
    let mut frame = zstd::Encoder::new(Vec::new(), LEVEL)?;
    frame.include_checksum(true)?;
    for piece in pieces {
        piece.write(&mut frame)?;
    }
    frame.finish()
}

/// Whether a part can be read to its last line.
fn ends(path: &Path) -> io::Result<bool> {
    let end = serde_json::to_vec(&PartRecord::End)?;
    let mut decoder = zstd::Decoder::new(File::open(path)?)?;
    let mut buffer = vec![0; 1 << 18];
    let mut last = Vec::new();
    loop {
        let read = decoder.read(&mut buffer)?;
        if read == 0 {
            return Ok(last.trim_ascii_end().ends_with(&end));
        }
        last.extend_from_slice(&buffer[read.saturating_sub(16)..read]);
        last.drain(..last.len().saturating_sub(16));
    }
}

/// Reads a part.
struct Reader<'a, R> {
    lines: R,
    path: &'a Path,
    number: u64,
    line: Vec<u8>,
}

impl<R: BufRead> Reader<'_, R> {
    fn record(&mut self) -> Result<PartRecord, CorpusError> {
        self.next_line()?;
        serde_json::from_slice(&self.line).map_err(|error| self.wrong(error.to_string()))
    }

    /// A file with the documents behind it.
    fn file(&mut self, record: PartFile, format: CorpusFormat) -> Result<FileDone, CorpusError> {
        let text = digest_of(&record.sha256).ok_or_else(|| self.wrong("a digest is not one".to_owned()))?;
        let mut rows = Vec::with_capacity(record.documents.len());
        for known in record.documents {
            self.next_line()?;
            let document: Document =
                serde_json::from_slice(&self.line).map_err(|error| self.wrong(error.to_string()))?;
            let sha256 =
                digest_of(&document.sha256).ok_or_else(|| self.wrong("a digest is not one".to_owned()))?;
            let sketch = if known.sketched { Cleaner::sketch(&document.text) } else { None };
            let judged = Judged { sketch, benchmark: known.benchmark };
            let line = if format == CorpusFormat::Jsonl { self.line.clone() } else { Vec::new() };
            rows.push(Row::read(document, sha256, line, judged));
        }
        let (source, project) = record.project;
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let outcome = Outcome::Cut {
            project: (number(source), number(project)),
            rows,
            oversized: record.oversized,
            has_errors: record.has_errors,
            changes: Changes { converted: record.converted, redacted: record.redacted },
        };
        Ok(FileDone { text: Some(text), outcome })
    }

    fn next_line(&mut self) -> Result<(), CorpusError> {
        self.line.clear();
        self.number += 1;
        match self.lines.read_until(b'\n', &mut self.line) {
            Ok(0) => Err(self.wrong("it ends too early".to_owned())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.wrong(error.to_string())),
        }
    }

    fn wrong(&self, message: String) -> CorpusError {
        let place = format!("line {}", self.number);
        CorpusError::Record { path: self.path.to_owned(), place, message }
    }
}

fn digest_of(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&hex[at..at + 2], 16).ok()?;
    }
    Some(digest)
}
