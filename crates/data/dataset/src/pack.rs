//! One pass over a part of a dataset, packed into a file of N x T tokens.

use crate::folder::{DatasetError, Folder, io_error};
use crate::npy;
use crate::packer::Packer;
use crate::stream::Stream;
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wootz_schema::dataset::{PackManifest, Split, VERSION};
use wootz_schema::progress::{Observe, Progress};
use wootz_stdx::digest::sha256_file;
use wootz_stdx::file::{rename_durable, temporary_sibling, write_atomic};
use wootz_tokenizer::Tokenizer;

/// Path of the manifest of a token file: `tokens.npy` has `tokens.npy.json` beside it.
pub fn pack_manifest_path(tokens: &Path) -> PathBuf {
    let mut name = tokens.as_os_str().to_owned();
    name.push(".json");
    PathBuf::from(name)
}

/// Packs every document of a part once into rows of `sequence_len` tokens and writes them to `out` as `.npy`, int32,
/// N x T, with a manifest beside it. A last row that the documents do not fill is left out and counted as dropped.
pub fn pack(
    dir: &Path,
    split: Split,
    tokenizer: Arc<Tokenizer>,
    sequence_len: usize,
    out: &Path,
    threads: usize,
    observe: &dyn Observe,
) -> Result<PackManifest, DatasetError> {
    if sequence_len == 0 {
        let reason = "it must be above 0".to_owned();
        return Err(DatasetError::Option { option: "sequence_len", reason });
    }
    let part = Arc::new(Folder::open(dir)?.part(split)?);
    let temporary = temporary_sibling(out);
    observe.observe(Progress::Begin {
        task: "dataset: pack",
        total: Some(part.documents),
        unit: "documents",
    });
    let documents = part.documents;
    let mut packer = Packer::new(tokenizer.bos());
    let vocab_size = tokenizer.vocab_size() as u64;
    let mut stream = Stream::start(part, tokenizer, threads, 0, Some(1));
    let written = write_rows(&temporary, sequence_len, &mut packer, &mut stream, observe);
    let finished = written.and_then(|rows| {
        let (sha256, _) = sha256_file(&temporary).map_err(io_error("read", &temporary))?;
        rename_durable(&temporary, out).map_err(io_error("write", out))?;
        let manifest = PackManifest {
            version: VERSION,
            file: out.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            split,
            rows,
            sequence_len: sequence_len as u64,
            documents,
            tokens: packer.counts.received,
            placed_tokens: packer.counts.placed,
            dropped_tokens: packer.counts.dropped,
            vocab_size,
            sha256,
        };
        let path = pack_manifest_path(out);
        let mut bytes = serde_json::to_vec_pretty(&manifest).expect("JSON, because every key is a string");
        bytes.push(b'\n');
        write_atomic(&path, &bytes).map_err(io_error("write", &path))?;
        Ok(manifest)
    });
    if finished.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    observe.observe(Progress::End);
    finished
}

/// Writes header and rows; returns the number of rows.
fn write_rows(
    path: &Path,
    sequence_len: usize,
    packer: &mut Packer,
    stream: &mut Stream,
    observe: &dyn Observe,
) -> Result<u64, DatasetError> {
    let failed = || io_error("write", path);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed())?);
    file.write_all(&npy::header(0, sequence_len as u64)).map_err(failed())?;
    let mut row = vec![0i32; sequence_len];
    let mut bytes = vec![0u8; sequence_len * 4];
    let mut rows = 0;
    loop {
        let filled = packer.fill_row(&mut row, |packer| {
            let Some(batch) = stream.next()? else { return Ok(false) };
            let read = batch.first + batch.documents.len() as u64;
            batch
                .documents
                .into_iter()
                .zip(batch.first..)
                .for_each(|(ids, ordinal)| packer.push(ordinal, ids));
            observe.observe(Progress::Advance { done: read });
            Ok::<bool, DatasetError>(true)
        })?;
        if filled < sequence_len {
            packer.counts.placed -= filled as u64;
            packer.counts.dropped += filled as u64;
            break;
        }
        bytes
            .chunks_exact_mut(4)
            .zip(&row)
            .for_each(|(four, token)| four.copy_from_slice(&token.to_le_bytes()));
        file.write_all(&bytes).map_err(failed())?;
        rows += 1;
    }
    file.seek(SeekFrom::Start(0)).map_err(failed())?;
    file.write_all(&npy::header(rows, sequence_len as u64)).map_err(failed())?;
    let file = file.into_inner().map_err(|error| failed()(error.into_error()))?;
    file.sync_all().map_err(failed())?;
    Ok(rows)
}
