//! `merge-driver BASE LEFT RIGHT OUT`, as git calls it.

use super::conflict::Conflict;
use super::file::{Source, merge};
use crate::store::{TrackerError, replace};
use std::fs;
use std::path::Path;

/// Merges files into one, which may be one of them and is replaced at once or not at all. What comes back is to be told, and
/// the process then ends with 1: git leaves the file to be looked at.
pub fn drive(base: &Path, left: &Path, right: &Path, out: &Path) -> Result<Vec<Conflict>, TrackerError> {
    let read = |path: &Path| fs::read(path).map_err(|error| TrackerError::io("read", path, error));
    let (base_bytes, left_bytes, right_bytes) = (read(base)?, read(left)?, read(right)?);
    let merged = merge(
        Source { name: base, bytes: &base_bytes },
        Source { name: left, bytes: &left_bytes },
        Source { name: right, bytes: &right_bytes },
    )?;
    replace(out, &[&merged.bytes]).map_err(|error| TrackerError::io("write", out, error))?;
    Ok(merged.conflicts)
}

/// The status with which a failed merge ends: never 1, which says that there is an output.
pub fn exit_status(error: &TrackerError) -> u8 {
    error.status().max(4)
}
