//! A folder of wheels as lines of a catalogue.

use crate::archive::Archive;
use crate::catalogue::{CatalogueError, Entry, is_address};
use crate::metadata::headers;
use crate::name::{Variants, WheelName};
use crate::pages::encoded;
use crate::variants;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use wootz_schema::wheel_index::{CatalogueLine, VariantMetadata, Yanked};
use wootz_stdx::file::write_atomic;

/// The wheels of a folder, and what somebody should know of the others.
#[derive(Debug, Default)]
pub struct Found {
    /// Sorted by file name.
    pub entries: Vec<Entry>,
    /// Sentences.
    pub warnings: Vec<String>,
}

/// Reads the wheels of a folder, not of those within it; they are offered below `base_url`.
///
/// Metadata are offered where `<wheel>.metadata` stands beside a wheel, as it must beside the address; with `write_metadata` it is put there.
pub fn folder(
    folder: &Path,
    base_url: &str,
    write_metadata: bool,
    variants: Variants,
) -> Result<Found, CatalogueError> {
    if !is_address(base_url) {
        return Err(CatalogueError::Address(base_url.to_owned()));
    }
    if !folder.is_dir() {
        return Err(CatalogueError::NoFolder(folder.to_owned()));
    }
    let failed = |source| CatalogueError::Io { action: "read", file: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".whl") && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    let mut found = Found::default();
    for file in names {
        let Ok(name) = WheelName::parse(&file, variants) else {
            found.warnings.push(format!("Invalid wheel filename: {file}"));
            continue;
        };
        let path = folder.join(&file);
        let variant = match name.variant.as_ref().map(|label| variant(&path, label)).transpose() {
            Ok(variant) => variant,
            Err(why) => {
                found.warnings.push(format!("No variant in {file}: {why}"));
                continue;
            }
        };
        if write_metadata {
            match metadata(&path) {
                Ok(text) => put(&beside(&path), &text).map_err(failed)?,
                Err(error) => found.warnings.push(format!("No metadata in {file}: {error}")),
            }
        }
        let line = line(&path, &file, base_url).map_err(|source| CatalogueError::Io {
            action: "read",
            file: path.clone(),
            source,
        })?;
        found.entries.push(Entry { name, line: CatalogueLine { variant: variant.map(Box::new), ..line } });
    }
    Ok(found)
}

fn variant(wheel: &Path, label: &str) -> Result<VariantMetadata, String> {
    let mut archive = Archive::open(wheel, Variants::Allowed).map_err(|error| error.to_string())?;
    variants::of_wheel(&mut archive, label)
}

/// Where the metadata of a wheel stand.
fn beside(wheel: &Path) -> PathBuf {
    let mut name = wheel.as_os_str().to_owned();
    name.push(".metadata");
    PathBuf::from(name)
}

fn put(file: &Path, text: &[u8]) -> io::Result<()> {
    match fs::read(file) {
        Ok(known) if known == text => Ok(()),
        _ => write_atomic(file, text),
    }
}

fn line(path: &Path, file: &str, base_url: &str) -> io::Result<CatalogueLine> {
    let on_disk = fs::metadata(path)?;
    let time = Timestamp::try_from(on_disk.modified()?).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = Timestamp::from_second(time.as_second()).unwrap_or(time);
    let beside = fs::read(beside(path)).ok();
    let metadata_sha256 = beside.as_deref().map(|text| hex(&Sha256::digest(text)));
    // A wheel that cannot be opened can be offered; what it needs is not known then.
    let text = beside.or_else(|| metadata(path).ok());
    Ok(CatalogueLine {
        url: format!("{}/{}", base_url.trim_end_matches('/'), encoded(file)),
        filename: file.to_owned(),
        sha256: sha256(&mut File::open(path)?)?,
        size: on_disk.len(),
        upload_time: time.to_string(),
        requires_python: text.and_then(|text| requires_python(&text)),
        metadata_sha256,
        yanked: Yanked::No,
        release: None,
        variant: None,
    })
}

/// The metadata of a wheel, as they stand in it.
pub fn metadata(wheel: &Path) -> io::Result<Vec<u8>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut archive = Archive::open(wheel, Variants::Allowed).map_err(|error| wrong(error.to_string()))?;
    let is_metadata = |path: &str| {
        path.split_once('/')
            .is_some_and(|(folder, file)| folder.ends_with(".dist-info") && file == "METADATA")
    };
    let entry = archive.entries.iter().find(|entry| is_metadata(&entry.path));
    let index = entry.ok_or_else(|| wrong("it has no METADATA".to_owned()))?.index;
    archive.read(index)
}

fn requires_python(metadata: &[u8]) -> Option<String> {
    let headers = headers(metadata).ok()?;
    let (_, python) = headers.into_iter().find(|(key, _)| key == "requires-python")?;
    Some(python).filter(|python| !python.is_empty())
}

/// The hash of what can be read.
pub fn sha256(from: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(hex(&hasher.finalize())),
            length => hasher.update(&block[..length]),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
