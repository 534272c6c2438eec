//! A dataset folder: its shards in name order, which of them is for validation, and what can be wrong with it.
//!
//! nanochat's contract: the files `*.parquet`, sorted by name; the last is the validation shard. A manifest beside
//! them is optional, so folders that other tools wrote are read too; where it is there, it is held against the files.

use crate::shard::ShardReader;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::dataset::{DatasetManifest, Shard, Split, VERSION};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest::sha256_file;
use wootz_tokenizer::TokenizerError;

/// Name of the manifest in a dataset folder.
pub const MANIFEST: &str = "manifest.json";

const REBUILD: &str =
    "build the dataset again with `wootz dataset` or by running the plan from its dataset step";

/// Why documents do not become shards, or shards do not become rows.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file system said no.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `open`.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// An option out of its range.
    #[error("use the dataset option {option}: {reason}")]
    Option {
        /// Its name in the plan.
        option: &'static str,
        /// What it must be.
        reason: String,
    },
    /// A line that is no document.
    #[error("read {}:{line}: {reason}", path.display())]
    Document {
        /// The file of documents.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// Fewer source files than a split takes.
    #[error("split {} into training and validation: it has documents of {files} source files, and two are the least", path.display())]
    TooFewFiles {
        /// The file of documents.
        path: PathBuf,
        /// Source files it has documents of.
        files: usize,
    },
    /// The output is there already.
    #[error("write the dataset {}: there is something of that name already", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// A folder without shards.
    #[error("open the dataset {}: it holds no .parquet file", dir.display())]
    NoShards {
        /// The folder.
        dir: PathBuf,
    },
    /// A part of a dataset without a document.
    #[error("read the {} split of {}: it holds no document", split_name(*split), dir.display())]
    EmptySplit {
        /// The folder.
        dir: PathBuf,
        /// The part.
        split: Split,
    },
    /// A shard that cannot be read or is not the one the manifest names.
    #[error("read the shard {}: {reason}", path.display())]
    Corrupt {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A manifest that cannot be read.
    #[error("read the manifest {}: {reason}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A cursor that does not belong to this dataset.
    #[error("resume the loader on {}: {reason}", dir.display())]
    Cursor {
        /// The dataset.
        dir: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// A path that `inspect` has nothing to say about.
    #[error("inspect {}: it is neither a dataset folder, a .parquet shard nor a .npy file", path.display())]
    Unknown {
        /// The path.
        path: PathBuf,
    },
    /// A file of packed tokens that is none.
    #[error("read the packed tokens {}: {reason}", path.display())]
    Packed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A loader that was used again after it had failed.
    #[error("read on after the loader has failed")]
    Stopped,
    /// A tokenizer that cannot be trained or read.
    #[error("{source} ({})", path.display())]
    Tokenizer {
        /// The file it is in, or is learned from.
        path: PathBuf,
        /// Why.
        source: TokenizerError,
    },
}

impl Diagnose for DatasetError {
    fn exit(&self) -> ExitCode {
        match self {
            DatasetError::Io { source, .. } => exit_of_io(source),
            DatasetError::Tokenizer { source, .. } => source.exit(),
            DatasetError::Stopped => ExitCode::Bug,
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            DatasetError::Io { source, .. } => return hint_of_io(source),
            DatasetError::Tokenizer { source, .. } => return source.hint(),
            DatasetError::Option { option, .. } => {
                return Some(format!("give another {option}"));
            }
            DatasetError::Document { .. } => {
                "build the corpus again: every line must be a document that wootz wrote"
            }
            DatasetError::TooFewFiles { .. } => "give the corpus more sources",
            DatasetError::Exists { .. } => "remove it, or choose another output",
            DatasetError::NoShards { .. } => "check the path: shards are named shard_00000.parquet and so on",
            DatasetError::EmptySplit { .. } => {
                "a dataset needs two shards: the last in name order is for validation, all before it for training"
            }
            DatasetError::Corrupt { .. } | DatasetError::Manifest { .. } => REBUILD,
            DatasetError::Cursor { .. } => {
                "resume with the dataset that the run began with, or begin a new run"
            }
            DatasetError::Unknown { .. } => "check the path",
            DatasetError::Stopped => "report the first error: this one only follows it",
            DatasetError::Packed { .. } => "pack the dataset again with `wootz dataset pack`",
        };
        Some(hint.to_owned())
    }
}

fn split_name(split: Split) -> &'static str {
    match split {
        Split::Train => "training",
        Split::Validation => "validation",
    }
}

/// For `map_err` on a call to the file system.
pub(crate) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError {
    move |source| DatasetError::Io { action, path: path.to_owned(), source }
}

/// The shards of a dataset.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    pub(crate) dir: PathBuf,
    /// In name order; the last is for validation.
    shards: Vec<PathBuf>,
    pub(crate) manifest: Option<DatasetManifest>,
}

impl Folder {
    /// Lists the shards and holds their names and sizes against the manifest.
    pub(crate) fn open(dir: &Path) -> Result<Folder, DatasetError> {
        let mut shards = Vec::new();
        for entry in fs::read_dir(dir).map_err(io_error("open the dataset", dir))? {
            let path = entry.map_err(io_error("list the dataset", dir))?.path();
            if path.extension().is_some_and(|extension| extension == "parquet") {
                shards.push(path);
            }
        }
        shards.sort();
        let manifest = read_manifest(&dir.join(MANIFEST))?;
        if let Some(manifest) = &manifest {
            check_sizes(dir, &shards, manifest)?;
        }
        if shards.is_empty() {
            return Err(DatasetError::NoShards { dir: dir.to_owned() });
        }
        Ok(Folder { dir: dir.to_owned(), shards, manifest })
    }

    /// Every shard with the part it belongs to.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (&Path, Split)> {
        let last = self.shards.len() - 1;
        let split_of = move |at| if at == last { Split::Validation } else { Split::Train };
        self.shards.iter().enumerate().map(move |(at, path)| (path.as_path(), split_of(at)))
    }

    /// What the manifest says about a shard.
    fn listed(&self, path: &Path) -> Option<&Shard> {
        let name = path.file_name()?.to_str()?;
        self.manifest.as_ref()?.shards.iter().find(|shard| shard.file == name)
    }

    /// Reads a whole shard once and compares its digest with the manifest's.
    pub(crate) fn check_digest(&self, path: &Path) -> Result<(), DatasetError> {
        let Some(shard) = self.listed(path) else { return Ok(()) };
        let (found, _) = sha256_file(path).map_err(io_error("read", path))?;
        if found != shard.sha256 {
            let reason =
                "its SHA-256 is not the one in the manifest: the file has changed since it was written";
            return Err(DatasetError::Corrupt { path: path.to_owned(), reason: reason.to_owned() });
        }
        Ok(())
    }

    /// The documents of one part, as places in the shards.
    pub(crate) fn part(self, split: Split) -> Result<Part, DatasetError> {
        let mut groups = Vec::new();
        let mut documents = 0;
        let paths: Vec<PathBuf> =
            self.shards().filter(|(_, s)| *s == split).map(|(path, _)| path.to_owned()).collect();
        for (shard, path) in paths.iter().enumerate() {
            for (index, len) in ShardReader::open(path)?.row_group_lens().into_iter().enumerate() {
                if len > 0 {
                    groups.push(RowGroup { shard, index, first: documents });
                    documents += len;
                }
            }
        }
        if documents == 0 {
            return Err(DatasetError::EmptySplit { dir: self.dir, split });
        }
        Ok(Part { folder: self, paths, groups, documents })
    }
}

/// One part of a dataset: documents numbered through all its shards.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) folder: Folder,
    pub(crate) paths: Vec<PathBuf>,
    /// In order; none is empty.
    pub(crate) groups: Vec<RowGroup>,
    /// Documents of all row groups.
    pub(crate) documents: u64,
}

/// A row group and the number of its first document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowGroup {
    pub(crate) shard: usize,
    pub(crate) index: usize,
    pub(crate) first: u64,
}

impl Part {
    /// Index of the row group that holds a document, which must be less than `documents`.
    pub(crate) fn group_of(&self, document: u64) -> usize {
        self.groups.partition_point(|group| group.first <= document) - 1
    }
}

fn read_manifest(path: &Path) -> Result<Option<DatasetManifest>, DatasetError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let wrong = |reason: String| DatasetError::Manifest { path: path.to_owned(), reason };
    let manifest: DatasetManifest =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if manifest.version != VERSION {
        return Err(wrong(format!("its version is {}, and this wootz reads {VERSION}", manifest.version)));
    }
    Ok(Some(manifest))
}

fn check_sizes(dir: &Path, found: &[PathBuf], manifest: &DatasetManifest) -> Result<(), DatasetError> {
    for shard in &manifest.shards {
        let path = dir.join(&shard.file);
        let reason = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == shard.bytes => continue,
            Ok(metadata) => format!("it has {} bytes, and the manifest says {}", metadata.len(), shard.bytes),
            Err(error) => format!("the manifest names it, but: {error}"),
        };
        return Err(DatasetError::Corrupt { path, reason });
    }
    let listed = |path: &&PathBuf| {
        manifest.shards.iter().any(|shard| path.file_name().is_some_and(|n| n == shard.file.as_str()))
    };
    match found.iter().find(|path| !listed(path)) {
        Some(path) => {
            let reason = "the manifest does not name it".to_owned();
            Err(DatasetError::Corrupt { path: path.clone(), reason })
        }
        None => Ok(()),
    }
}
