//! The same wheel under another local label: `foo-1.0-…whl` becomes `foo-1.0+cu128torch2.9-…whl`.
//!
//! A version stands in four places, and installers refuse a wheel in which they differ: the file's name, the names of its folders
//! of metadata and data, `Version` in `METADATA`, and with these the paths and hashes in `RECORD`. All other files are copied as
//! they are compressed, so the result depends on the wheel and the label alone.
//!
//! `WHEEL` names no version. Where its tags are not those of the file's name they become them: installers go by the name, and
//! many wheels were given a platform by renaming. A wheel that says anything else that is not so is refused: a new `RECORD` would
//! vouch for it. Signatures of the old `RECORD` and entries for folders are left out.

use crate::archive::{Archive, WheelError};
use crate::inspect::{inspect_opened, meaning};
use crate::metadata;
use crate::name::{Variants, WheelName, project};
use crate::record::{self, Line};
use pep440_rs::{LocalSegment, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::str::FromStr;
use wootz_schema::wheel::{VERSION, WheelRelabelled, WheelRule};
use wootz_stdx::{digest, file};
use zip::ZipWriter;
use zip::result::ZipError;

/// Writes a wheel into `folder` under another label; `replace` lets it take the place of a label that is there.
pub fn relabel(
    path: &Path,
    label: &str,
    replace: bool,
    folder: &Path,
) -> Result<WheelRelabelled, WheelError> {
    let segments = segments(label)?;
    let mut archive = Archive::open(path, Variants::Allowed)?;
    let old = archive.name.version.clone();
    if old.is_local() && !replace {
        return Err(WheelError::Labelled { path: path.to_owned(), version: old.to_string() });
    }
    let told = inspect_opened(&mut archive)?;
    let readable = told.wheel.is_some_and(|wheel| wheel.wheel_version.starts_with("1."));
    let mut lies = told.findings;
    lies.retain(|finding| {
        finding.rule <= WheelRule::Record && (finding.rule != WheelRule::Wheel || !readable)
    });
    if let Some(first) = lies.first() {
        return Err(WheelError::Lying { path: path.to_owned(), first: first.clone(), count: lies.len() });
    }
    let version = old.with_local(segments);
    let name = archive.name.with_version(version.clone());
    let target = folder.join(name.to_string());
    let temporary = file::temporary_sibling(&target);
    let written = copy(&mut archive, &version, &temporary).and_then(|()| keep(&temporary, &target));
    if written.is_err() {
        // The first error is the one to report; what is left of the attempt is in nobody's way.
        let _ = fs::remove_file(&temporary);
    }
    let (sha256, bytes) = written?;
    let local: Vec<String> = version.local().iter().map(ToString::to_string).collect();
    Ok(WheelRelabelled {
        version: VERSION,
        from: archive.name.to_string(),
        path: target.display().to_string(),
        bytes,
        sha256,
        label: meaning(&local.join(".")),
    })
}

/// Reads a label as PEP 440 does, with or without its `+`.
fn segments(label: &str) -> Result<Vec<LocalSegment>, WheelError> {
    let text = label.strip_prefix('+').unwrap_or(label);
    let version = Version::from_str(&format!("0+{text}")).ok().filter(|_| text.trim() == text);
    match version {
        Some(version) => Ok(version.local().to_vec()),
        None => Err(WheelError::Label { label: label.to_owned() }),
    }
}

/// What a wheel's paths become under another version.
struct Paths {
    project: String,
    old: Version,
    new: Version,
}

impl Paths {
    /// Only folders that carry the wheel's own name and version change: `foo-1.0.dist-info` and `foo-1.0.data`.
    fn renamed(&self, path: &str) -> String {
        let Some((top, rest)) = path.split_once('/') else { return path.to_owned() };
        for ending in [".dist-info", ".data"] {
            let said = top.strip_suffix(ending).and_then(|said| said.rsplit_once('-'));
            if let Some((name, version)) = said
                && project(name) == self.project
                && Version::from_str(version).as_ref() == Ok(&self.old)
            {
                return format!("{name}-{}{ending}/{rest}", self.new);
            }
        }
        path.to_owned()
    }
}

/// Whether a path is that of a file in the wheel's folder of metadata.
fn own(path: &str, file: &str) -> bool {
    let folder = path.strip_suffix(file).and_then(|folder| folder.strip_suffix('/'));
    folder.is_some_and(|folder| folder.ends_with(".dist-info") && !folder.contains('/'))
}

fn is_signature(path: &str) -> bool {
    own(path, "RECORD.jws") || own(path, "RECORD.p7s")
}

/// The files that change, by their paths: `METADATA`, maybe `WHEEL`, and the list of all.
fn rewritten(archive: &mut Archive, paths: &Paths) -> Result<BTreeMap<String, Vec<u8>>, ZipError> {
    let mut files = BTreeMap::new();
    let mut list = None;
    for entry in archive.entries.clone() {
        if own(&entry.path, "METADATA") {
            let stated = archive.read(entry.index)?;
            files.insert(entry.path, metadata::with_version(&stated, &paths.new.to_string()));
        } else if own(&entry.path, "WHEEL") {
            let stated = archive.read(entry.index)?;
            let tags: Vec<String> = archive.name.tags().iter().map(ToString::to_string).collect();
            let build = archive.name.build.as_ref().map(|build| build.text.clone());
            let said = metadata::wheel(&stated).map_err(|fault| ZipError::InvalidArchive(fault.into()))?;
            if said.build != build || tag_set(&said.tags) != tag_set(&tags) {
                files.insert(entry.path, metadata::with_tags(&stated, &tags, build.as_deref()));
            }
        } else if own(&entry.path, "RECORD") {
            list = Some(entry);
        }
    }
    let list = list.ok_or(ZipError::FileNotFound)?;
    let lines =
        record::read(&archive.read(list.index)?).map_err(|fault| ZipError::InvalidArchive(fault.into()))?;
    let kept = lines.into_iter().filter(|line| !is_signature(&line.path));
    let lines: Vec<Line> = kept
        .map(|line| {
            let path = paths.renamed(&line.path);
            match files.get(&line.path) {
                Some(bytes) => Line { path, hash: record::hash(bytes), size: bytes.len().to_string() },
                None => Line { path, ..line },
            }
        })
        .collect();
    files.insert(list.path, record::write(&lines));
    Ok(files)
}

/// Every combination that tags stand for, of which each may be a set.
fn tag_set(tags: &[String]) -> BTreeSet<String> {
    let names =
        tags.iter().filter_map(|tag| WheelName::parse(&format!("x-0-{tag}.whl"), Variants::Refused).ok());
    names.flat_map(|name| name.tags()).map(|tag| tag.to_string()).collect()
}

/// Writes the wheel under its new version.
fn copy(archive: &mut Archive, version: &Version, target: &Path) -> Result<(), WheelError> {
    let from = archive.path.clone();
    let damaged = |error: ZipError| WheelError::Archive { path: from.clone(), error };
    let failed = |error| WheelError::Io { what: "write", path: target.to_owned(), error };
    let paths = Paths {
        project: archive.name.project.clone(),
        old: archive.name.version.clone(),
        new: version.clone(),
    };
    let rewritten = rewritten(archive, &paths).map_err(damaged)?;
    let mut zip = ZipWriter::new(BufWriter::new(File::create(target).map_err(failed)?));
    for entry in archive.entries.iter().filter(|entry| !is_signature(&entry.path)) {
        let path = paths.renamed(&entry.path);
        if let Some(bytes) = rewritten.get(&entry.path) {
            let options = archive.zip.by_index(entry.index).map_err(damaged)?.options();
            zip.start_file(path, options).map_err(damaged)?;
            zip.write_all(bytes).map_err(failed)?;
        } else {
            let file = archive.zip.by_index_raw(entry.index).map_err(damaged)?;
            zip.raw_copy_file_rename(file, path).map_err(damaged)?;
        }
    }
    let file = zip.finish().map_err(damaged)?.into_inner().map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// Gives the finished file its name, unless a file with other bytes has it; returns its hash and size.
fn keep(temporary: &Path, target: &Path) -> Result<(String, u64), WheelError> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |error| WheelError::Io { what, path, error }
    };
    let made = digest::sha256_file(temporary).map_err(io("read", temporary))?;
    if target.exists() {
        let there = digest::sha256_file(target).map_err(io("read", target))?;
        if there != made {
            return Err(WheelError::Exists { path: target.to_owned() });
        }
        fs::remove_file(temporary).map_err(io("remove", temporary))?;
    } else {
        file::rename_durable(temporary, target).map_err(io("write", target))?;
    }
    Ok(made)
}
