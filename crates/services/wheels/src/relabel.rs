//! The same wheel under another local label: `foo-1.0-…whl` becomes `foo-1.0+cu128torch2.9-…whl`.
//!
//! A version stands in four places, and installers refuse a wheel in which they differ: the file's name, the names of its folders
//! of metadata and data, `Version` in `METADATA`, and with these the paths and one hash in `RECORD`. `WHEEL` names no version and
//! stays. All other files are copied as they are compressed, so the result depends on the wheel and the label alone.
//!
//! A wheel that already says what is not so is refused: a new `RECORD` would vouch for it. Signatures of the old `RECORD` and
//! entries for folders are left out.

use crate::archive::{Archive, WheelError};
use crate::inspect::{inspect_opened, meaning};
use crate::metadata;
use crate::name::{Variants, project};
use crate::record::{self, Line};
use pep440_rs::{LocalSegment, Version};
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
    let mut lies = inspect_opened(&mut archive)?.findings;
    lies.retain(|finding| finding.rule <= WheelRule::Record);
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
    let own = |path: &str, file: &str| {
        path.strip_suffix(file)
            .and_then(|folder| folder.strip_suffix('/'))
            .is_some_and(|folder| folder.ends_with(".dist-info") && !folder.contains('/'))
    };
    let index =
        |file: &str| archive.entries.iter().find(|entry| own(&entry.path, file)).map(|entry| entry.index);
    let (Some(said), Some(list)) = (index("METADATA"), index("RECORD")) else {
        return Err(damaged(ZipError::FileNotFound));
    };
    let stated = archive.read(said).map_err(|error| damaged(ZipError::Io(error)))?;
    let stated = metadata::with_version(&stated, &version.to_string());
    let listed = archive.read(list).map_err(|error| damaged(ZipError::Io(error)))?;
    let lines = record::read(&listed).map_err(|fault| damaged(ZipError::InvalidArchive(fault.into())))?;
    let listed = record::write(&relisted(lines, &paths, &stated, own));
    let mut zip = ZipWriter::new(BufWriter::new(File::create(target).map_err(failed)?));
    for entry in archive.entries.clone() {
        if own(&entry.path, "RECORD.jws") || own(&entry.path, "RECORD.p7s") {
            continue;
        }
        let path = paths.renamed(&entry.path);
        let new = [(said, &stated), (list, &listed)].into_iter().find(|(index, _)| *index == entry.index);
        if let Some((_, bytes)) = new {
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

/// The list of files under their new paths, with the new hash of `METADATA`.
fn relisted(lines: Vec<Line>, paths: &Paths, stated: &[u8], own: impl Fn(&str, &str) -> bool) -> Vec<Line> {
    let signed = |line: &Line| own(&line.path, "RECORD.jws") || own(&line.path, "RECORD.p7s");
    let kept = lines.into_iter().filter(|line| !signed(line));
    kept.map(|line| {
        let path = paths.renamed(&line.path);
        match own(&line.path, "METADATA") {
            true => Line { path, hash: record::hash(stated), size: stated.len().to_string() },
            false => Line { path, ..line },
        }
    })
    .collect()
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
