//! What commands left that were ended while they wrote: temporary files, and history that is open.

use super::{Finding, Kind};
use crate::events::ahead;
use crate::store::{Issues, Store, TrackerError};
use std::fs;
use std::path::Path;

/// What there is, for a caller that holds the lock: nobody writes now.
pub(super) fn find(store: &Store) -> Result<Vec<Finding>, TrackerError> {
    let mut findings = temporary(store)?;
    if ahead::open(store.folder())?.is_some() {
        let message = "a command did not end, and history does not know what became of it".to_owned();
        let file = ahead::marker(store.folder());
        findings.push(Finding { kind: Kind::Unsettled, file, line: None, id: None, message });
    }
    Ok(findings)
}

/// Clears one away, for a caller that may change the store; `bytes` is what the file of issues has. Whether it could be.
pub(super) fn clear(store: &Store, finding: &Finding, bytes: &[u8]) -> bool {
    if finding.kind == Kind::Temporary {
        return fs::remove_file(&finding.file).is_ok();
    }
    let issues = Issues::of_bytes(&store.file(), bytes.to_vec());
    issues.and_then(|issues| ahead::settle(store.folder(), &issues)).is_ok()
}

fn temporary(store: &Store) -> Result<Vec<Finding>, TrackerError> {
    let target = fs::canonicalize(store.file()).ok();
    let beside_target = target.as_deref().and_then(Path::parent).map(Path::to_owned);
    let own = fs::canonicalize(store.folder()).ok();
    let folders =
        [Some(store.folder().to_owned()), beside_target.filter(|folder| Some(folder) != own.as_ref())];
    let mut findings = Vec::new();
    for folder in folders.into_iter().flatten() {
        let failed = |error| TrackerError::io("read", &folder, error);
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if is_temporary(&name) {
                let message = "a temporary file of a command that did not end".to_owned();
                findings.push(Finding { kind: Kind::Temporary, file: path, line: None, id: None, message });
            }
        }
    }
    findings.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(findings)
}

/// Whether a file has a name that only this program and `ba` give, and only to temporary files.
fn is_temporary(name: &str) -> bool {
    let files = [
        "issues.jsonl.tmp.",
        "issues.index.tmp.",
        "records.jsonl.tmp.",
        "issues.jsonl.rejected.tmp.",
        ".config.json.tmp-",
    ];
    let rest = files.iter().find_map(|prefix| name.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}
