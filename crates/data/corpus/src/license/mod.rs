//! Which license a file is under.
//!
//! Nearest first: an `SPDX-License-Identifier` line in the file, a notice in its leading comment; then, folder by folder up to the project's root, the
//! license texts and the package manifest there. Where a manifest's expression names a license whose text lies
//! beside it, the manifest wins: only it says whether two texts are a choice or a sum. Texts alone are a choice
//! where all are named `LICENSE-X`, else a sum.
//!
//! Not covered: notices that only point elsewhere ("see the file THANKS"), `REUSE.toml`, Debian copyright files.

mod declared;
mod expression;
mod notice;
mod text;

pub(crate) use expression::said;
pub use expression::{Allowed, Denied, canonical_expression};
pub(crate) use text::Texts;

use std::fs;
use std::path::Path;
use wootz_schema::corpus::NO_LICENSE;

/// Longer license files are books of notices.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// What a file says about its own license.
pub(crate) fn of_file(text: &str) -> Option<String> {
    declared::in_head(text).or_else(|| notice::in_leading_comment(text))
}

/// The license of a text that is drawn from several files: `own`, and whatever the others ask for beside it. Where one of
/// them is not known, nothing is.
pub(crate) fn all_of<'a>(own: &'a str, others: impl Iterator<Item = &'a str>) -> String {
    let mut licenses = vec![own];
    for license in others {
        if !licenses.contains(&license) {
            licenses.push(license);
        }
    }
    match licenses.as_slice() {
        [only] => (*only).to_owned(),
        several if several.contains(&NO_LICENSE) => NO_LICENSE.to_owned(),
        several => declared::sum(several.iter().copied()),
    }
}

/// What one folder says about its license; `None` where it says nothing.
pub(crate) fn of_folder(
    folder: &Path,
    license_files: &[String],
    manifests: &[String],
    texts: &Texts,
) -> Option<String> {
    of_files(license_files, manifests, texts, |name| fs::read(folder.join(name)).ok())
}

/// The same of files that are not in a folder, but can be read by name.
pub(crate) fn of_files(
    license_files: &[String],
    manifests: &[String],
    texts: &Texts,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> Option<String> {
    let declared = manifests.iter().find_map(|name| {
        let content = String::from_utf8(read(name)?).ok()?;
        canonical_expression(&declared::in_manifest(name, &content)?)
    });
    let mut recognized: Vec<(&str, String)> = Vec::new();
    for name in license_files {
        let bytes = read(name).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_TEXT_BYTES)]);
        recognized.extend(texts.recognize(&text).map(|license| (name.as_str(), license)));
    }
    match (declared, recognized.is_empty()) {
        (Some(declared), true) => Some(declared),
        (Some(declared), false) => {
            let agrees = recognized.iter().any(|(_, license)| expression::mentions(&declared, license));
            Some(if agrees { declared } else { joined(&recognized) })
        }
        (None, false) => Some(joined(&recognized)),
        // A text nobody recognizes still keeps a license further up from applying.
        (None, true) => (!license_files.is_empty()).then(|| NO_LICENSE.to_owned()),
    }
}

/// One expression for the texts of a folder.
fn joined(recognized: &[(&str, String)]) -> String {
    let mut licenses: Vec<&str> = recognized.iter().map(|(_, license)| license.as_str()).collect();
    licenses.sort_unstable();
    licenses.dedup();
    // The LGPL is written as an addition to the GPL and comes with its text.
    if licenses.iter().any(|license| license.starts_with("LGPL-")) {
        licenses.retain(|license| !license.starts_with("GPL-"));
    }
    let a_choice =
        recognized.iter().all(|(name, _)| name.len() > 8 && matches!(name.as_bytes()[7], b'-' | b'_'));
    if a_choice { licenses.join(" OR ") } else { declared::sum(licenses.into_iter()) }
}
