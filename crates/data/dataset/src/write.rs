//! Documents to shards.
//!
//! Two passes: the first notes where each document stands and what decides its place; the second reads the documents in
//! their new order and writes them out. Memory holds the notes and one row group, never the corpus.

use crate::choose::{Candidate, Choice, choose};
use crate::documents::{DocumentLines, DocumentPlaces, Place};
use crate::folder::{DatasetError, MANIFEST, io_error};
use crate::shard::ShardWriter;
use std::fs;
use std::path::Path;
use wootz_schema::dataset::{
    DatasetManifest, DatasetOptions, Shard, Split, SplitCounts, VERSION, ValidationUnit,
};
use wootz_schema::progress::{Observe, Progress};
use wootz_stdx::digest::sha256_file;
use wootz_stdx::file::{rename_durable, temporary_sibling, write_atomic};

/// Shard numbers have five digits, so that the order of names is the order of numbers.
const MOST_SHARDS: u64 = 100_000;

/// Writes the shards and the manifest of a file of documents into the new folder `out`, which appears whole or not
/// at all. The bytes depend on the documents and the options only.
pub fn write(
    documents: &Path,
    out: &Path,
    options: &DatasetOptions,
    observe: &dyn Observe,
) -> Result<DatasetManifest, DatasetError> {
    check_options(options)?;
    if fs::read_dir(out).map_or(out.exists(), |mut entries| entries.next().is_some()) {
        return Err(DatasetError::Exists { path: out.to_owned() });
    }
    let (candidates, places) = index(documents, options.seed, observe)?;
    let text_bytes: u64 = candidates.iter().map(|c| c.text_bytes).sum();
    if text_bytes / options.shard_bytes >= MOST_SHARDS - 2 {
        let reason = format!("{text_bytes} bytes of text would be more than {MOST_SHARDS} shards");
        return Err(DatasetError::Option { option: "shard_bytes", reason });
    }
    let choice = choose(&candidates, options.validation_share)
        .map_err(|files| DatasetError::TooFewFiles { path: documents.to_owned(), files })?;
    let temporary = temporary_sibling(out);
    let written =
        write_folder(documents, &places, &choice, &temporary, options, observe).and_then(|manifest| {
            rename_durable(&temporary, out).map_err(io_error("write", out))?;
            Ok(manifest)
        });
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&temporary);
    }
    written
}

fn check_options(options: &DatasetOptions) -> Result<(), DatasetError> {
    let wrong = |option, reason: &str| Err(DatasetError::Option { option, reason: reason.to_owned() });
    if !(options.validation_share > 0.0 && options.validation_share <= 0.5) {
        return wrong("validation_share", "it must be above 0 and at most 0.5");
    }
    if options.shard_bytes == 0 {
        return wrong("shard_bytes", "it must be above 0");
    }
    if options.row_group_documents == 0 {
        return wrong("row_group_documents", "it must be above 0");
    }
    Ok(())
}

fn index(
    documents: &Path,
    seed: u64,
    observe: &dyn Observe,
) -> Result<(Vec<Candidate>, Vec<Place>), DatasetError> {
    let mut lines = DocumentLines::open(documents)?;
    observe.observe(Progress::Begin { task: "dataset: index", total: Some(lines.total()?), unit: "bytes" });
    let (mut candidates, mut places) = (Vec::new(), Vec::new());
    while let Some((document, place)) = lines.next()? {
        let Some(candidate) = Candidate::new(&document, seed) else {
            let reason = format!("its sha256 {:?} is no digest", document.sha256);
            return Err(DatasetError::Document { path: documents.to_owned(), line: place.line, reason });
        };
        candidates.push(candidate);
        places.push(place);
        if places.len() % 1024 == 0 {
            observe.observe(Progress::Advance { done: lines.offset() });
        }
    }
    observe.observe(Progress::End);
    Ok((candidates, places))
}

fn write_folder(
    documents: &Path,
    places: &[Place],
    choice: &Choice,
    folder: &Path,
    options: &DatasetOptions,
    observe: &dyn Observe,
) -> Result<DatasetManifest, DatasetError> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(io_error("write", folder))?;
    }
    fs::create_dir_all(folder).map_err(io_error("write", folder))?;
    let total = (choice.train.len() + choice.validation.len()) as u64;
    observe.observe(Progress::Begin { task: "dataset: shards", total: Some(total), unit: "documents" });
    let mut shards = Shards {
        documents: DocumentPlaces::open(documents)?,
        places,
        folder,
        options,
        observe,
        written: Vec::new(),
        done: 0,
    };
    shards.write_part(&choice.train, Split::Train, options.shard_bytes)?;
    // One shard whatever its size: the last in name order is the whole of the validation part.
    shards.write_part(&choice.validation, Split::Validation, u64::MAX)?;
    observe.observe(Progress::End);
    let counts = |split| {
        let of_split = shards.written.iter().filter(|shard| shard.split == split);
        of_split.fold(SplitCounts::default(), |sum, shard| SplitCounts {
            documents: sum.documents + shard.documents,
            text_bytes: sum.text_bytes + shard.text_bytes,
        })
    };
    let manifest = DatasetManifest {
        version: VERSION,
        options: options.clone(),
        validation_unit: choice.unit.unwrap_or(ValidationUnit::File),
        train: counts(Split::Train),
        validation: counts(Split::Validation),
        leaked_documents: choice.leaked,
        shards: shards.written,
    };
    let path = folder.join(MANIFEST);
    let mut bytes = serde_json::to_vec_pretty(&manifest).expect("JSON, because every key is a string");
    bytes.push(b'\n');
    write_atomic(&path, &bytes).map_err(io_error("write", &path))?;
    Ok(manifest)
}

struct Shards<'a> {
    documents: DocumentPlaces,
    places: &'a [Place],
    folder: &'a Path,
    options: &'a DatasetOptions,
    observe: &'a dyn Observe,
    written: Vec<Shard>,
    done: u64,
}

impl Shards<'_> {
    fn write_part(&mut self, part: &[usize], split: Split, shard_bytes: u64) -> Result<(), DatasetError> {
        let mut rest = part.iter().copied().peekable();
        while rest.peek().is_some() {
            let file = format!("shard_{:05}.parquet", self.written.len());
            let path = self.folder.join(&file);
            let mut writer = ShardWriter::create(&path, self.options.row_group_documents)?;
            while writer.text_bytes < shard_bytes
                && let Some(at) = rest.next()
            {
                writer.push(self.documents.read(self.places[at])?.text)?;
                self.done += 1;
                if self.done.is_multiple_of(1024) {
                    self.observe.observe(Progress::Advance { done: self.done });
                }
            }
            let (documents, text_bytes) = (writer.documents, writer.text_bytes);
            writer.finish()?;
            let (sha256, bytes) = sha256_file(&path).map_err(io_error("read", &path))?;
            self.written.push(Shard { file, split, documents, text_bytes, bytes, sha256 });
        }
        Ok(())
    }
}
