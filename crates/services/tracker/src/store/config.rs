//! `config.json`: the version of the store and the prefix of its IDs.

use super::TrackerError;
use crate::record::Record;
use std::fs;
use std::io;
use std::path::Path;
use wootz_stdx::file::write_atomic;

/// What a store says of itself; other keys of the file are left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Of the layout.
    pub version: u32,
    /// What IDs begin with.
    pub prefix: String,
}

impl Config {
    pub(super) fn read(folder: &Path) -> Result<Config, TrackerError> {
        let record = record(folder)?;
        let wrong = |why: String| TrackerError::Config { file: folder.join("config.json"), why };
        match record.read_as::<u32>("version") {
            Some(1) => {}
            Some(other) => return Err(wrong(format!("version {other} is not known, only 1"))),
            None => return Err(wrong("missing field `version`".to_owned())),
        }
        let prefix = record.text("prefix").filter(|prefix| !prefix.is_empty());
        let prefix = prefix.ok_or_else(|| wrong("missing field `prefix`".to_owned()))?;
        Ok(Config { version: 1, prefix })
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), TrackerError> {
        let file = folder.join("config.json");
        let Config { version, prefix } = self;
        let text = format!("{{\n  \"version\": {version},\n  \"prefix\": \"{prefix}\"\n}}");
        write_atomic(&file, text.as_bytes()).map_err(|error| TrackerError::io("write", &file, error))
    }
}

/// All that the file says.
pub(super) fn record(folder: &Path) -> Result<Record, TrackerError> {
    let file = folder.join("config.json");
    let text = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => {
            return Err(TrackerError::NoStore { lock: folder.join("issues.lock") });
        }
        text => text.map_err(|error| TrackerError::io("read", &file, error))?,
    };
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    Record::read(text).map_err(|error| TrackerError::Config { file, why: error.to_string() })
}
