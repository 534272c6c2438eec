//! The license of a repository's files, as its newest commit says: the nearest folder up that says anything.
//!
//! Older commits had other texts at times; who takes the history has it under what is said today.

use super::CommitsError;
use super::git::{Blobs, Entry};
use crate::folders::{is_license_file, is_manifest};
use crate::license;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wootz_schema::corpus::NO_LICENSE;

/// Longer files are no license texts.
const MAX_BYTES: u64 = 1 << 20;

/// What the folders say that say anything, by path; the root's is empty.
pub(super) struct Licenses(BTreeMap<String, String>);

impl Licenses {
    /// Reads the texts and manifests among the files of a commit.
    pub fn read(
        files: &[Entry],
        blobs: &mut Blobs,
        texts: &license::Texts,
    ) -> Result<Licenses, CommitsError> {
        let mut named: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for file in files {
            let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            if is_license_file(name) {
                named.entry(folder).or_default().0.push(name.to_owned());
            } else if is_manifest(name) {
                named.entry(folder).or_default().1.push(name.to_owned());
            } else {
                continue;
            }
            ids.insert((folder, name), file.id.as_str());
        }
        let mut said = BTreeMap::new();
        let blobs = RefCell::new((blobs, None));
        for (folder, (licenses, manifests)) in named {
            let read = |name: &str| {
                let (blobs, failed) = &mut *blobs.borrow_mut();
                let read = blobs.read(ids.get(&(folder, name))?, MAX_BYTES);
                read.map_err(|error| *failed = Some(error)).ok()?.ok()
            };
            if let Some(license) = license::of_files(&licenses, &manifests, texts, read) {
                said.insert(folder.to_owned(), license);
            }
        }
        match blobs.into_inner().1 {
            Some(error) => Err(error),
            None => Ok(Licenses(said)),
        }
    }

    /// For a file that says nothing itself.
    pub fn of(&self, path: &str) -> &str {
        let mut folder = path;
        while !folder.is_empty() {
            folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
            if let Some(license) = self.0.get(folder) {
                return license;
            }
        }
        NO_LICENSE
    }
}
