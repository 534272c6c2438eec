//! `.ba/jira.json`: which issue is which of Jira's, and what both sides last agreed on.
//!
//! It stands in a file of its own because other programs that write `issues.jsonl` drop what they do not know. It may be lost: issues then
//! find each other by their addresses, or by the label that carries an ID, and differences count as changed on both sides.

use super::sides::{Field, Fields, Remote};
use crate::store::TrackerError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wootz_stdx::file::write_atomic;

/// The version of the file.
const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// When both sides were last brought together.
    pub last_sync: Option<String>,
    /// By the ID of ours.
    pub issues: BTreeMap<String, Link>,
}

/// What is known of an issue on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What stays when an issue is moved to another project.
    pub number: String,
    /// Jira's key.
    pub key: String,
    /// When Jira's was changed, as Jira wrote it.
    pub updated: String,
    /// A number of Jira's values.
    pub hash: String,
    /// What both sides agreed on; of the description a number.
    pub base: Fields,
    /// What Jira refused: our value and Jira's at that time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stuck: BTreeMap<Field, (String, String)>,
    /// Whether Jira has it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

impl Link {
    /// Whether it is of this issue.
    pub fn is(&self, remote: &Remote) -> bool {
        match self.number.is_empty() || remote.number.is_empty() {
            true => self.key == remote.key,
            false => self.number == remote.number,
        }
    }

    /// Takes over what Jira has now.
    pub fn see(&mut self, remote: &Remote) {
        self.number.clone_from(&remote.number);
        self.key.clone_from(&remote.key);
        self.updated.clone_from(&remote.updated);
        self.hash = remote.hash();
        self.gone = false;
    }
}

impl State {
    fn file(folder: &Path) -> PathBuf {
        folder.join("jira.json")
    }

    /// Of a store's folder; nothing where there is none.
    pub fn read(folder: &Path) -> Result<State, TrackerError> {
        let file = State::file(folder);
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::default()),
            bytes => bytes.map_err(|error| TrackerError::io("read", &file, error))?,
        };
        let wrong = |why: String| TrackerError::Config { file: file.clone(), why };
        let state: State = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        match state.version {
            VERSION => Ok(state),
            other => Err(wrong(format!("version {other} is not known, only {VERSION}"))),
        }
    }

    /// Writes it; one that is already there as it is stays.
    pub fn write(&mut self, folder: &Path) -> Result<(), TrackerError> {
        self.version = VERSION;
        let file = State::file(folder);
        let mut text = serde_json::to_string_pretty(self).expect("the keys of the state are text");
        text.push('\n');
        if fs::read(&file).is_ok_and(|known| known == text.as_bytes()) {
            return Ok(());
        }
        write_atomic(&file, text.as_bytes()).map_err(|error| TrackerError::io("write", &file, error))
    }
}
