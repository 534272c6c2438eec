//! A source whose files are lines of JSON: records are put in folders by their repositories and paths, and read where they stand.
//!
//! One pass reads every line and remembers where it is, how long its text is and what it says of itself, about 150 bytes; the
//! texts are read again when their turn comes. What follows sees a source like any other: a first-level folder for each
//! repository, in which names that hold a `/` are escaped. Records without a repository are one project for each file of records;
//! without a path they are named after their line.
//!
//! A path that a repository has twice gets a number the second time. Lines that are no records, or say no text, are counted; lines
//! that are longer than any text that is wanted could make them are not kept in memory.
//!
//! Not covered: compressed files, and files that cannot be read twice.

mod lines;
mod place;

pub(crate) use lines::Lines;
pub(crate) use place::{Records, language_named};

use crate::build::CorpusError;
use crate::folders::{Folders, RecordProject, is_license_file, is_manifest};
use crate::license;
use crate::walk::Found;
use lines::At;
use place::Place;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use wootz_chunk::{Language, detect};
use wootz_schema::corpus::{DropReason, NO_LICENSE};
use wootz_schema::record::{RecordOptions, SourceRecord};

/// What a record says beside its texts is shorter.
const MAX_ABOUT_BYTES: u64 = 1 << 20;

/// Records, sorted into what may become documents.
pub(crate) struct Indexed {
    pub records: Records,
    pub folders: Folders,
    /// Sorted by the bytes of their paths.
    pub found: Vec<Found>,
    /// Records met, and why some of them are not among `found`.
    pub seen: u64,
    pub dropped: BTreeMap<DropReason, u64>,
    /// Lower-case hex SHA-256 of each file of records, as far as it was read.
    pub digests: Vec<String>,
}

/// Reads all files of records; `source` is the number of the source that they make up.
pub(crate) fn index(
    options: &RecordOptions,
    max_text_bytes: u64,
    source: usize,
) -> Result<Indexed, CorpusError> {
    let language = match options.language.as_deref().map(|name| (name, language_named(name))) {
        None => None,
        Some((_, Some(language))) => Some(language),
        Some((name, None)) => return Err(CorpusError::unknown_language(name)),
    };
    let mut indexer = Indexer { max_text_bytes, language, ..Indexer::default() };
    let mut digests = Vec::new();
    for (number, path) in options.files.iter().enumerate() {
        digests.push(indexer.read(number, path, options.max_records)?);
    }
    indexer.finish(source, digests)
}

/// Where everything is remembered on the way.
#[derive(Default)]
struct Indexer {
    max_text_bytes: u64,
    /// Of records that do not tell theirs.
    language: Option<&'static dyn Language>,
    files: Vec<(PathBuf, File)>,
    repos: HashMap<String, u32>,
    /// Projects of files of records whose records name no repository.
    nameless: HashMap<usize, u32>,
    projects: Vec<Met>,
    entries: Vec<Entry>,
    licenses: HashMap<String, u32>,
    seen: u64,
    dropped: BTreeMap<DropReason, u64>,
}

/// A project that a record named.
struct Met {
    /// Its name; of a nameless one, that of the file of records.
    name: String,
    named: bool,
    /// The commit that all its records name.
    commit: Option<String>,
    said: bool,
}

/// A record that may become documents, or says something about others.
struct Entry {
    project: u32,
    path: String,
    bytes: u64,
    place: Place,
    /// License text or manifest: no document, but read for the license of its folder.
    tells: bool,
}

impl Indexer {
    /// Reads one file of records, and tells its digest.
    fn read(&mut self, number: usize, path: &Path, max_records: Option<u64>) -> Result<String, CorpusError> {
        let failed = |error| CorpusError::io("read the records", path, error);
        let file = File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            let why = "not a regular file, which is read twice";
            return Err(failed(std::io::Error::new(ErrorKind::InvalidInput, why)));
        }
        let opened = file.try_clone().map_err(failed)?;
        self.files.push((path.to_owned(), file));
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut lines = Lines::new(opened, self.max_text_bytes, max_records);
        while let Some((at, line)) = lines.next().map_err(failed)? {
            self.seen += 1;
            let record = line.ok_or(DropReason::TooLarge);
            let record = record.and_then(|line| SourceRecord::read(line).map_err(|_| DropReason::BadRecord));
            if let Err(reason) = record.and_then(|record| self.meet(&record, number, at)) {
                *self.dropped.entry(reason).or_default() += 1;
            }
        }
        Ok(lines.sha256())
    }

    /// Remembers a record, or says why not.
    fn meet(&mut self, record: &SourceRecord<'_>, file: u32, at: At) -> Result<(), DropReason> {
        let text = record.text.as_deref().ok_or(DropReason::BadRecord)?;
        let path = record.path.as_deref().map(normal).unwrap_or_default();
        let said = record.language.as_deref().and_then(language_named).or(self.language);
        let name = path.rsplit('/').next().unwrap_or_default();
        let by_name = if name.is_empty() { None } else { detect(name, text.as_bytes()) };
        let tells = is_license_file(name) || is_manifest(name);
        let language = by_name.or(said).filter(|_| !tells);
        if language.is_none() && !tells {
            return Err(DropReason::UnknownLanguage);
        }
        if text.len() as u64 > self.max_text_bytes {
            return Err(DropReason::TooLarge);
        }
        let path = match language {
            // The name of a line has the ending that tells its language.
            Some(language) if path.is_empty() => {
                let ending = language.extensions().first().unwrap_or(&"txt");
                format!("record-{:06}.{ending}", at.number)
            }
            _ => path,
        };
        let project = self.project(record, file as usize);
        let license = self.license(record);
        let language = language.filter(|_| by_name.is_none());
        let place = Place { file, offset: at.offset, length: at.length, license, language };
        self.entries.push(Entry { project, path, bytes: text.len() as u64, place, tells });
        Ok(())
    }

    fn project(&mut self, record: &SourceRecord<'_>, file: usize) -> u32 {
        let next = u32::try_from(self.projects.len()).unwrap_or(u32::MAX);
        let repo = record.repo.as_deref().map(str::trim).filter(|repo| !repo.is_empty());
        let known = match repo {
            Some(repo) => self.repos.get(repo),
            None => self.nameless.get(&file),
        };
        let project = known.copied().unwrap_or(next);
        if project == next {
            let stem = || self.files[file].0.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            let name = repo.map(str::to_owned).or_else(stem).unwrap_or_default();
            match repo {
                Some(repo) => self.repos.insert(repo.to_owned(), next),
                None => self.nameless.insert(file, next),
            };
            self.projects.push(Met { name, named: repo.is_some(), commit: None, said: false });
        }
        let met = &mut self.projects[project as usize];
        if let Some(commit) = record.commit.as_deref() {
            let agrees = !met.said || met.commit.as_deref() == Some(commit);
            met.commit = agrees.then(|| commit.to_owned());
            met.said = true;
        }
        project
    }

    /// The license that a record says, by number from 1; 0 where it says none. Of a list, all hold.
    fn license(&mut self, record: &SourceRecord<'_>) -> u32 {
        let said = record
            .licenses
            .iter()
            .map(|license| license::said(license).unwrap_or_else(|| NO_LICENSE.to_owned()));
        let said: Vec<String> = said.collect();
        let Some((first, others)) = said.split_first() else { return 0 };
        let license = license::all_of(first, others.iter().map(String::as_str));
        let license = license::canonical_expression(&license).unwrap_or(license);
        let next = u32::try_from(self.licenses.len()).unwrap_or(u32::MAX) + 1;
        *self.licenses.entry(license).or_insert(next)
    }

    fn finish(self, source: usize, digests: Vec<String>) -> Result<Indexed, CorpusError> {
        let Indexer { files, projects, entries, licenses, seen, mut dropped, .. } = self;
        let projects = projects_named(projects);
        let mut sorted: Vec<(Box<Path>, Entry)> = entries
            .into_iter()
            .map(|mut entry| {
                let below = std::mem::take(&mut entry.path);
                (projects[entry.project as usize].root.join(below).into_boxed_path(), entry)
            })
            .collect();
        sort_apart(&mut sorted);
        let mut by_number: Vec<(String, u32)> = licenses.into_iter().collect();
        by_number.sort_unstable_by_key(|(_, number)| *number);
        let licenses = by_number.into_iter().map(|(license, _)| license).collect();
        let mut records = Records { source, files, places: Vec::with_capacity(sorted.len()), licenses };
        let mut found = Vec::with_capacity(sorted.len());
        let mut telling = Vec::new();
        for (path, entry) in sorted {
            let record = u32::try_from(records.places.len()).unwrap_or(u32::MAX);
            records.places.push(entry.place);
            if entry.tells {
                // Like the license texts of a folder: read, and no source.
                *dropped.entry(DropReason::UnknownLanguage).or_default() += 1;
                telling.push((path, record));
            } else {
                found.push(Found { source, path, bytes: entry.bytes, modified_ns: 0, record });
            }
        }
        let said = licenses_of_folders(&records, &telling);
        let folders = Folders::of_records(&found, projects, said);
        Ok(Indexed { records, folders, found, seen, dropped, digests })
    }
}

/// The folders of projects: no two have the same, and each is one component.
fn projects_named(met: Vec<Met>) -> Vec<RecordProject> {
    let mut taken: HashMap<String, ()> =
        met.iter().filter(|one| one.named).map(|one| (one.name.clone(), ())).collect();
    let named = |one: Met| {
        let mut name = one.name.clone();
        let mut number = 1;
        while !one.named && taken.contains_key(&name) {
            number += 1;
            name = format!("{}-{number}", one.name);
        }
        taken.insert(name.clone(), ());
        let escaped = name.replace('%', "%25").replace('/', "%2F");
        let escaped =
            if matches!(escaped.as_str(), "." | "..") { escaped.replace('.', "%2E") } else { escaped };
        RecordProject { repo: name, root: PathBuf::from(escaped), commit: one.commit }
    };
    met.into_iter().map(named).collect()
}

/// Sorts by path, and numbers paths that come again: `a.c`, `a~2.c`.
fn sort_apart(entries: &mut [(Box<Path>, Entry)]) {
    let order = |entry: &(Box<Path>, Entry)| (entry.1.place.file, entry.1.place.offset);
    loop {
        entries.sort_by(|a, b| {
            let by_path = a.0.as_os_str().as_encoded_bytes().cmp(b.0.as_os_str().as_encoded_bytes());
            by_path.then_with(|| order(a).cmp(&order(b)))
        });
        let (mut first, mut again) = (0, false);
        for at in 1..entries.len() {
            if entries[at].0 != entries[first].0 {
                first = at;
                continue;
            }
            let path = entries[first].0.clone();
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            let mut name = format!("{stem}~{}", at - first + 1);
            if let Some(ending) = path.extension() {
                name = format!("{name}.{}", ending.to_string_lossy());
            }
            entries[at].0 = path.with_file_name(name).into_boxed_path();
            again = true;
        }
        if !again {
            return;
        }
    }
}

/// What the license texts and manifests among the records say about their folders.
fn licenses_of_folders(records: &Records, telling: &[(Box<Path>, u32)]) -> BTreeMap<PathBuf, Option<String>> {
    let mut folders: BTreeMap<PathBuf, BTreeMap<String, u32>> = BTreeMap::new();
    for (path, record) in telling {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        folders.entry(folder).or_default().insert(name, *record);
    }
    let texts = license::Texts::default();
    let said = |names: &BTreeMap<String, u32>| {
        let (licenses, manifests): (Vec<String>, Vec<String>) =
            names.keys().cloned().partition(|name| is_license_file(name));
        license::of_files(&licenses, &manifests, &texts, |name| records.text(*names.get(name)?).ok())
    };
    folders.iter().map(|(folder, names)| (folder.clone(), said(names))).collect()
}

/// A path as one below a folder: without a root, `.`, `..`, and what cannot be in a name.
pub(crate) fn normal(path: &str) -> String {
    let path = path.replace('\\', "/");
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "." | ".."));
    let named = |part: &str| part.replace(|letter: char| letter.is_control(), "_");
    parts.map(named).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_their_project() {
        for (path, expected) in [
            ("a/b.c", "a/b.c"),
            ("/etc//x.c", "etc/x.c"),
            ("../../x.c", "x.c"),
            ("./a/./b.c", "a/b.c"),
            ("a\\b.c", "a/b.c"),
            ("a\0b\n.c", "a_b_.c"),
            ("..", ""),
        ] {
            assert_eq!(normal(path), expected, "{path:?}");
        }
    }

    #[test]
    fn projects_are_told_apart() {
        let met = |name: &str, named| Met { name: name.to_owned(), named, commit: None, said: false };
        let projects = projects_named(vec![
            met("train", false),
            met("a/b", true),
            met("train", true),
            met("train", false),
            met("..", true),
            met("a%2Fb", true),
        ]);
        let names: Vec<&str> = projects.iter().map(|project| project.repo.as_str()).collect();
        assert_eq!(names, ["train-2", "a/b", "train", "train-3", "..", "a%2Fb"]);
        let roots: Vec<_> = projects.iter().map(|project| project.root.to_str().unwrap()).collect();
        assert_eq!(roots, ["train-2", "a%2Fb", "train", "train-3", "%2E%2E", "a%252Fb"]);
    }
}
