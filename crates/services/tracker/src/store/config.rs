//! `config.json`: the version of the store and the prefix of its IDs.

use super::TrackerError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use wootz_stdx::file::write_atomic;

/// What a store says of itself; other keys are left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Of the layout.
    pub version: u32,
    /// What IDs begin with.
    pub prefix: String,
}

impl Config {
    pub(super) fn read(folder: &Path) -> Result<Config, TrackerError> {
        let file = folder.join("config.json");
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => {
                return Err(TrackerError::NoStore { lock: folder.join("issues.lock") });
            }
            text => text.map_err(|error| TrackerError::io("read", &file, error))?,
        };
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
        let config: Config = serde_json::from_slice(text)
            .map_err(|error| TrackerError::Config { file: file.clone(), why: error.to_string() })?;
        if config.version != 1 {
            let why = format!("version {} is not known, only 1", config.version);
            return Err(TrackerError::Config { file, why });
        }
        Ok(config)
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), TrackerError> {
        let file = folder.join("config.json");
        let text = serde_json::to_vec_pretty(self).expect("numbers and text are JSON");
        write_atomic(&file, &text).map_err(|error| TrackerError::io("write", &file, error))
    }
}
