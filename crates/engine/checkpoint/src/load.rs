//! Reading checkpoints: every byte is compared with the manifest before it is believed.

use crate::layout::{CheckpointError, MANIFEST, MODEL, OPTIMIZER, STATE, optimizer_file, step_folders};
use crate::save::Snapshot;
use crate::tensors::{Tensors, read_tensors};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use wootz_schema::checkpoint::{FileEntry, Manifest, TrainState, VERSION};
use wootz_stdx::digest::{sha256, sha256_file};

/// How much of a checkpoint is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it, to go on training.
    Everything,
    /// All but the optimizer's tensors, which stay unread and unverified.
    Model,
}

/// A checkpoint in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The step folder it came from.
    pub folder: PathBuf,
    /// Its content; `optimizer` is empty when the scope was [`Scope::Model`]. Tensors come in the file's order.
    pub snapshot: Snapshot,
    /// Digest of the content, as [`digest`] gives it.
    pub digest: String,
}

/// A step folder that could not be used, and why.
#[derive(Debug)]
pub struct Skipped {
    /// The step folder.
    pub folder: PathBuf,
    /// What is wrong with it.
    pub why: CheckpointError,
}

/// The newest checkpoint that is whole, and the newer ones that are not.
#[derive(Debug)]
pub struct Latest {
    /// The checkpoint; none when there is no step folder, or every one was skipped.
    pub loaded: Option<Loaded>,
    /// Damaged newer ones, newest first: the caller names them to its user.
    pub skipped: Vec<Skipped>,
}

/// Reads the newest whole checkpoint below `checkpoints`.
///
/// Damage makes it try the one before; trouble of the machine, such as a permission, is an error, for an older
/// checkpoint would only hide it.
pub fn load_latest(checkpoints: &Path, scope: Scope) -> Result<Latest, CheckpointError> {
    let mut skipped = Vec::new();
    for (_, folder) in step_folders(checkpoints)?.into_iter().rev() {
        match load(&folder, scope) {
            Ok(loaded) => return Ok(Latest { loaded: Some(loaded), skipped }),
            Err(why) if why.is_damage() => skipped.push(Skipped { folder, why }),
            Err(error) => return Err(error),
        }
    }
    Ok(Latest { loaded: None, skipped })
}

/// Reads the checkpoint in a step folder.
pub fn load(folder: &Path, scope: Scope) -> Result<Loaded, CheckpointError> {
    let manifest = read_manifest(folder)?;
    let state = read_state(folder, &manifest)?;
    let parameters = read_verified_tensors(folder, MODEL, &manifest)?;
    let optimizer = match scope {
        Scope::Everything => read_optimizer(folder, &manifest)?,
        Scope::Model => Tensors::new(),
    };
    let digest = digest_of(&manifest.files);
    let snapshot = Snapshot { model: manifest.model, parameters, optimizer, state };
    Ok(Loaded { folder: folder.to_owned(), snapshot, digest })
}

/// One SHA-256 for the content of a step folder, by which two runs are compared: of the lines that
/// `sha256sum model.safetensors optimizer/rank-*.safetensors state.json` prints. Every file is read and
/// compared with the manifest first.
pub fn digest(folder: &Path) -> Result<String, CheckpointError> {
    let manifest = read_manifest(folder)?;
    for (name, expected) in &manifest.files {
        let path = folder.join(name);
        check_size(&path, expected)?;
        let (sha256, bytes) = sha256_file(&path).map_err(read_error(&path))?;
        check_digest(&path, expected, &FileEntry { bytes, sha256 })?;
    }
    Ok(digest_of(&manifest.files))
}

pub(crate) fn digest_of(files: &BTreeMap<String, FileEntry>) -> String {
    let lines: String = files.iter().map(|(name, file)| format!("{}  {name}\n", file.sha256)).collect();
    sha256(lines.as_bytes())
}

/// Whether a step folder has a readable manifest and files of the right sizes: cheap, and enough to count it.
pub(crate) fn looks_whole(folder: &Path) -> bool {
    let sizes = |manifest: Manifest| {
        manifest.files.iter().all(|(name, expected)| check_size(&folder.join(name), expected).is_ok())
    };
    read_manifest(folder).is_ok_and(sizes)
}

fn read_manifest(folder: &Path) -> Result<Manifest, CheckpointError> {
    let path = folder.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CheckpointError::NoManifest { folder: folder.to_owned() });
        }
        Err(error) => return Err(CheckpointError::Read { path, error }),
    };
    if is_of_something_else(&bytes) {
        return Err(CheckpointError::OtherManifest { folder: folder.to_owned() });
    }
    let manifest: Manifest = parse_versioned(&path, &bytes)?;
    for name in manifest.files.keys() {
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            let reason = format!("it names the file {name:?}, which may lie outside the checkpoint");
            return Err(CheckpointError::Malformed { path, reason });
        }
    }
    Ok(manifest)
}

/// A manifest with none of a checkpoint's own keys: folders of other kinds have a file of that name too.
fn is_of_something_else(bytes: &[u8]) -> bool {
    let keys = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(bytes);
    keys.is_ok_and(|keys| !keys.is_empty() && !keys.contains_key("step") && !keys.contains_key("model"))
}

fn read_state(folder: &Path, manifest: &Manifest) -> Result<TrainState, CheckpointError> {
    let path = folder.join(STATE);
    let expected = entry(folder, STATE, manifest)?;
    check_size(&path, expected)?;
    let bytes = fs::read(&path).map_err(read_error(&path))?;
    check_digest(&path, expected, &FileEntry { bytes: bytes.len() as u64, sha256: sha256(&bytes) })?;
    let state: TrainState = parse_versioned(&path, &bytes)?;
    if state.step != manifest.step {
        let reason = format!("step {} where the manifest says {}", state.step, manifest.step);
        return Err(CheckpointError::Malformed { path, reason });
    }
    Ok(state)
}

/// The states of all ranks that wrote them; which rank that was does not matter.
fn read_optimizer(folder: &Path, manifest: &Manifest) -> Result<Tensors, CheckpointError> {
    let mut all = read_verified_tensors(folder, &optimizer_file(0), manifest)?;
    let others =
        manifest.files.keys().filter(|name| name.starts_with(OPTIMIZER) && **name != optimizer_file(0));
    for name in others {
        all.extend(read_verified_tensors(folder, name, manifest)?);
    }
    let mut names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(all),
        Some(pair) => {
            let reason = format!("two ranks have the state {}", pair[0]);
            Err(CheckpointError::Malformed { path: folder.join(MANIFEST), reason })
        }
    }
}

fn read_verified_tensors(folder: &Path, name: &str, manifest: &Manifest) -> Result<Tensors, CheckpointError> {
    let path = folder.join(name);
    let expected = entry(folder, name, manifest)?;
    check_size(&path, expected)?;
    let (tensors, actual) = read_tensors(&path)?;
    check_digest(&path, expected, &actual)?;
    Ok(tensors)
}

/// Parses a file of ours, looking at its version first: another version's unknown key is no damage.
fn parse_versioned<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, CheckpointError> {
    let malformed = |error: serde_json::Error| CheckpointError::Malformed {
        path: path.to_owned(),
        reason: format!("not what was written: {error}"),
    };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
    match value.get("version").and_then(serde_json::Value::as_u64) {
        Some(actual) if actual != u64::from(VERSION) => {
            Err(CheckpointError::WrongVersion { path: path.to_owned(), expected: VERSION, actual })
        }
        _ => serde_json::from_value(value).map_err(malformed),
    }
}

fn entry<'m>(folder: &Path, name: &str, manifest: &'m Manifest) -> Result<&'m FileEntry, CheckpointError> {
    manifest.files.get(name).ok_or_else(|| CheckpointError::Malformed {
        path: folder.join(MANIFEST),
        reason: format!("it does not name {name}"),
    })
}

fn check_size(path: &Path, expected: &FileEntry) -> Result<(), CheckpointError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() == expected.bytes => Ok(()),
        Ok(metadata) => Err(CheckpointError::WrongSize {
            path: path.to_owned(),
            expected: expected.bytes,
            actual: metadata.len(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(CheckpointError::MissingFile { path: path.to_owned() })
        }
        Err(error) => Err(CheckpointError::Read { path: path.to_owned(), error }),
    }
}

fn check_digest(path: &Path, expected: &FileEntry, actual: &FileEntry) -> Result<(), CheckpointError> {
    if actual == expected {
        return Ok(());
    }
    let (expected, actual) = (expected.sha256.clone(), actual.sha256.clone());
    Err(CheckpointError::WrongDigest { path: path.to_owned(), expected, actual })
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    let path = path.to_owned();
    |error| CheckpointError::Read { path, error }
}
