//! What is in a dataset, a shard or a token file, and how long its documents are.

use crate::folder::{DatasetError, Folder, io_error};
use crate::npy;
use crate::pack::pack_manifest_path;
use crate::shard::ShardReader;
use std::fs::{self, File};
use std::path::Path;
use wootz_schema::dataset::{
    DatasetInspection, DatasetStats, Inspection, PackManifest, PackedInspection, Quantiles, ShardInspection,
    Split,
};
use wootz_schema::progress::{Observe, Progress};
use wootz_tokenizer::Tokenizer;

/// Looks at a dataset folder, a `.parquet` shard or a `.npy` file of tokens.
pub fn inspect(path: &Path) -> Result<Inspection, DatasetError> {
    let metadata = fs::metadata(path).map_err(io_error("inspect", path))?;
    if metadata.is_dir() {
        let folder = Folder::open(path)?;
        let shards = folder
            .shards()
            .map(|(path, split)| inspect_shard(path, Some(split)))
            .collect::<Result<_, _>>()?;
        return Ok(Inspection::Dataset(DatasetInspection { shards, manifest: folder.manifest }));
    }
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => Ok(Inspection::Shard(inspect_shard(path, None)?)),
        Some("npy") => Ok(Inspection::Packed(inspect_packed(path, metadata.len())?)),
        _ => Err(DatasetError::Unknown { path: path.to_owned() }),
    }
}

/// Lengths of the documents of one part, in bytes and, with a tokenizer, in tokens with the one that begins each.
pub fn stats(
    dir: &Path,
    split: Split,
    tokenizer: Option<&Tokenizer>,
    threads: usize,
    observe: &dyn Observe,
) -> Result<DatasetStats, DatasetError> {
    let part = Folder::open(dir)?.part(split)?;
    observe.observe(Progress::Begin {
        task: "dataset: stats",
        total: Some(part.documents),
        unit: "documents",
    });
    let (mut bytes, mut tokens) = (Vec::new(), Vec::new());
    for group in &part.groups {
        let texts = ShardReader::open(&part.paths[group.shard])?.texts_from(group.index, 0)?;
        bytes.extend(texts.iter().map(|text| text.len() as u64));
        if let Some(tokenizer) = tokenizer {
            tokens.extend(tokenizer.encode_batch(&texts, threads).iter().map(|ids| ids.len() as u64 + 1));
        }
        observe.observe(Progress::Advance { done: bytes.len() as u64 });
    }
    observe.observe(Progress::End);
    Ok(DatasetStats {
        split,
        documents: part.documents,
        text_bytes: bytes.iter().sum(),
        tokens: tokens.iter().sum(),
        bytes_per_document: quantiles(bytes),
        tokens_per_document: quantiles(tokens),
    })
}

fn inspect_shard(path: &Path, split: Option<Split>) -> Result<ShardInspection, DatasetError> {
    let reader = ShardReader::open(path)?;
    let lens = reader.row_group_lens();
    Ok(ShardInspection {
        file: name_of(path),
        split,
        documents: lens.iter().sum(),
        row_groups: lens.len() as u64,
        bytes: fs::metadata(path).map_err(io_error("inspect", path))?.len(),
        uncompressed_bytes: reader.uncompressed_bytes(),
    })
}

fn inspect_packed(path: &Path, bytes: u64) -> Result<PackedInspection, DatasetError> {
    let wrong = |reason: String| DatasetError::Packed { path: path.to_owned(), reason };
    let file = File::open(path).map_err(io_error("open", path))?;
    let header =
        npy::read_header(file).map_err(io_error("read", path))?.map_err(|reason| wrong(reason.to_owned()))?;
    let width = match header.dtype.as_str() {
        "<i4" | "<u4" => 4,
        "<i8" => 8,
        "<u2" => 2,
        other => return Err(wrong(format!("its elements are {other}, and tokens are <i4, <u4, <i8 or <u2"))),
    };
    let expected = header.bytes + header.rows * header.len * width;
    if bytes != expected {
        return Err(wrong(format!("it has {bytes} bytes, and its header says {expected}")));
    }
    let manifest_path = pack_manifest_path(path);
    let manifest: Option<PackManifest> = match fs::read(&manifest_path) {
        Ok(text) => Some(serde_json::from_slice(&text).map_err(|error| DatasetError::Manifest {
            path: manifest_path.clone(),
            reason: error.to_string(),
        })?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(io_error("read", &manifest_path)(error)),
    };
    let (rows, sequence_len) = (header.rows, header.len);
    Ok(PackedInspection { file: name_of(path), dtype: header.dtype, rows, sequence_len, bytes, manifest })
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn quantiles(mut lens: Vec<u64>) -> Quantiles {
    if lens.is_empty() {
        return Quantiles::default();
    }
    lens.sort_unstable();
    let at = |percent: usize| lens[(lens.len() * percent).div_ceil(100).saturating_sub(1)];
    Quantiles { min: lens[0], p25: at(25), p50: at(50), p75: at(75), p99: at(99), max: lens[lens.len() - 1] }
}
