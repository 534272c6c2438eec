//! `.ba/jira.json`: which issue is which of Jira's, and what both sides last agreed on.
//!
//! It stands in a file of its own because other programs that write `issues.jsonl` drop what they do not know. It may be lost: issues then
//! find each other by their addresses, or by the label that carries an ID, and differences count as changed on both sides.

use super::sides::Remote;
use crate::store::TrackerError;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::jira::VERSION;
pub use wootz_schema::jira::{JiraLink as Link, JiraState as State};
use wootz_stdx::file::write_atomic;

/// Whether it is of this issue.
pub fn is_of(link: &Link, remote: &Remote) -> bool {
    match link.number.is_empty() || remote.number.is_empty() {
        true => link.key == remote.key,
        false => link.number == remote.number,
    }
}

/// Takes over what Jira has now.
pub fn see(link: &mut Link, remote: &Remote) {
    link.number.clone_from(&remote.number);
    link.key.clone_from(&remote.key);
    link.updated.clone_from(&remote.updated);
    link.hash = remote.hash();
    link.gone = false;
}

fn path(folder: &Path) -> PathBuf {
    folder.join("jira.json")
}

/// Of a store's folder; nothing where there is none.
pub fn read(folder: &Path) -> Result<State, TrackerError> {
    let file = path(folder);
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
pub fn write(state: &mut State, folder: &Path) -> Result<(), TrackerError> {
    state.version = VERSION;
    let file = path(folder);
    let mut text = serde_json::to_string_pretty(state).expect("the keys of the state are text");
    text.push('\n');
    if fs::read(&file).is_ok_and(|known| known == text.as_bytes()) {
        return Ok(());
    }
    write_atomic(&file, text.as_bytes()).map_err(|error| TrackerError::io("write", &file, error))
}
