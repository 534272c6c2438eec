//! The plan: which files are worked on together, in the order of the output.
//!
//! A part is a few MiB of projects, or one project alone that is larger; for documents of single files, a run of files. Parts depend
//! on the walk alone, so that every machine and every run cuts the same ones. A project of more than 32 MiB is
//! taken in pieces that are cut between folders, so that memory does not grow with it: what one piece needs of another is not found.

use super::tree::Tree;
use crate::order::{Candidate, order};
use crate::walk::Found;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use wootz_schema::corpus::{CorpusOptions, DropReason, FileCounts};
use wootz_schema::shard::Share;

/// Bytes of source in one part; tests see many parts of small trees.
const PART_BYTES: u64 = if cfg!(test) { 300 } else { 4 << 20 };

/// Bytes of source that are put together at once.
const PROJECT_BYTES: u64 = if cfg!(test) { 1000 } else { 32 << 20 };

/// Files of one project, in order.
pub(super) type Group<'a> = Vec<&'a Found>;

/// All there is to do.
pub(super) struct Plan<'a> {
    pub parts: Vec<Vec<Group<'a>>>,
    /// What became of files before any was read.
    pub files: FileCounts,
}

impl<'a> Plan<'a> {
    pub fn new(options: &CorpusOptions, tree: &'a Tree<'a>) -> Plan<'a> {
        let mut files = in_order(options, tree);
        let mut counts = tree.files.clone();
        if options.compose.is_none() {
            let parts = parts(files, |file| file.bytes);
            return Plan { parts: parts.into_iter().map(|part| vec![part]).collect(), files: counts };
        }
        let past_the_cap = cap(options, &mut files);
        if past_the_cap > 0 {
            *counts.dropped.entry(DropReason::OverTotal).or_default() += past_the_cap;
        }
        let projects = by_project(tree, files);
        let pieces = projects.into_iter().flat_map(|files| pieces(files, PROJECT_BYTES)).collect();
        Plan { parts: parts(pieces, |files| bytes_of(files)), files: counts }
    }

    /// The parts of one of several shards: the largest are given out first, each to the shard that has the least.
    pub fn share(&self, share: Share) -> Vec<usize> {
        let bytes: Vec<u64> = self.parts.iter().map(|part| part_bytes(part)).collect();
        let mut by_size: Vec<usize> = (0..bytes.len()).collect();
        by_size.sort_by_key(|part| Reverse(bytes[*part]));
        let mut given: BTreeMap<u64, u64> =
            (0..share.count.min(bytes.len() as u64)).map(|shard| (shard, 0)).collect();
        let mut own = Vec::new();
        for part in by_size {
            let Some((least, _)) = given.iter().min_by_key(|(shard, bytes)| (**bytes, **shard)) else {
                break;
            };
            let least = *least;
            *given.entry(least).or_default() += bytes[part].max(1);
            if least == share.index {
                own.push(part);
            }
        }
        own.sort_unstable();
        own
    }
}

/// Bytes of source in a part.
pub(super) fn part_bytes(part: &[Group<'_>]) -> u64 {
    part.iter().map(|files| bytes_of(files)).sum()
}

fn bytes_of(files: &[&Found]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

/// The candidates in the order of the output.
fn in_order<'a>(options: &CorpusOptions, tree: &'a Tree<'a>) -> Vec<&'a Found> {
    let total: u64 = tree.candidates.iter().map(|file| file.bytes).sum();
    if options.max_total_bytes.is_none_or(|cap| total <= cap) {
        return tree.candidates.iter().collect();
    }
    let mut first_project = Vec::new();
    let mut projects = 0;
    for (_, folders) in &tree.sources {
        first_project.push(projects);
        projects += folders.project_count();
    }
    let candidate = |file: &'a Found| {
        let folders = &tree.sources[file.source].1;
        let project = folders.project_of(folders.folder_of(file));
        Candidate {
            project: first_project[file.source] + project,
            repo: &folders.project(project).repo,
            path: folders.project(project).path_of(file),
            bytes: file.bytes,
        }
    };
    let candidates: Vec<_> = tree.candidates.iter().map(candidate).collect();
    let order = order(&candidates, options.max_total_bytes);
    order.into_iter().map(|index| &tree.candidates[index]).collect()
}

/// Leaves out files past the cap, which is filled before projects are put together, and says how many these are.
fn cap(options: &CorpusOptions, files: &mut Vec<&Found>) -> u64 {
    let (candidates, mut bytes) = (files.len(), 0);
    let cap = options.max_total_bytes.unwrap_or(u64::MAX);
    let over = files.iter().position(|file| {
        bytes += file.bytes;
        bytes > cap
    });
    files.truncate(over.unwrap_or(candidates));
    (candidates - files.len()) as u64
}

/// The files by project, projects in the order of their first files.
fn by_project<'a>(tree: &Tree<'_>, mut files: Vec<&'a Found>) -> Vec<Group<'a>> {
    // As without a cap: the cap chooses, and not orders.
    files.sort_by(|a, b| (a.source, a.path.as_os_str()).cmp(&(b.source, b.path.as_os_str())));
    let mut places = BTreeMap::new();
    let mut projects: Vec<Group<'a>> = Vec::new();
    for file in files {
        let folders = &tree.sources[file.source].1;
        let project = (file.source, folders.project_of(folders.folder_of(file)));
        let place = *places.entry(project).or_insert_with(|| {
            projects.push(Vec::new());
            projects.len() - 1
        });
        projects[place].push(file);
    }
    projects
}

/// A project as it is, or where it has more than `limit` bytes, in pieces: each of about the limit, cut where the folders that the
/// files on both sides have in common are fewest.
fn pieces(mut files: Group<'_>, limit: u64) -> Vec<Group<'_>> {
    let mut pieces = Vec::new();
    loop {
        let mut bytes = 0;
        let end = files.iter().position(|file| {
            bytes += file.bytes;
            bytes > limit
        });
        let Some(end) = end else { break };
        let mut half = limit / 2;
        let start = files.iter().position(|file| {
            half = half.saturating_sub(file.bytes);
            half == 0
        });
        let start = start.map_or(1, |start| start + 1).min(end.max(1));
        let cut = (start..=end.max(1)).min_by_key(|cut| (in_common(&files, *cut), Reverse(*cut)));
        let rest = files.split_off(cut.unwrap_or(end.max(1)));
        pieces.push(std::mem::replace(&mut files, rest));
        if files.is_empty() {
            return pieces;
        }
    }
    pieces.push(files);
    pieces
}

/// How many folders two neighbours have in common.
fn in_common(files: &[&Found], second: usize) -> usize {
    let Some((one, other)) = files.get(second - 1).zip(files.get(second)) else { return usize::MAX };
    one.path.components().zip(other.path.components()).take_while(|(one, other)| one == other).count()
}

/// Runs of what is worked on together.
fn parts<T>(all: Vec<T>, bytes_of: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut parts = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for one in all {
        bytes += bytes_of(&one);
        part.push(one);
        if bytes >= PART_BYTES {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, bytes: u64) -> Found {
        Found { source: 0, path: std::path::Path::new(path).into(), bytes, modified_ns: 0, record: 0 }
    }

    fn plan(files: &[Found]) -> Plan<'_> {
        Plan { parts: files.iter().map(|file| vec![vec![file]]).collect(), files: FileCounts::default() }
    }

    #[test]
    fn a_large_project_is_cut_between_folders() {
        let files: Vec<Found> = ["a/x/1", "a/x/2", "a/y/1", "b/1", "b/2", "b/3", "c"]
            .iter()
            .map(|path| found(path, 10))
            .collect();
        let cut = |limit| pieces(files.iter().collect(), limit).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(cut(70), [7], "it fits");
        assert_eq!(cut(40), [3, 4], "between a and b");
        assert_eq!(cut(20), [2, 1, 2, 2]);
        assert_eq!(cut(5), [1; 7], "no file is cut");
    }

    #[test]
    fn shards_have_every_part_once_and_about_the_same() {
        let files: Vec<Found> =
            [23, 9, 4, 4, 14, 5, 13, 1, 1].iter().map(|bytes| found("a", *bytes)).collect();
        let plan = plan(&files);
        for count in 1..12 {
            let shards: Vec<_> = (0..count).map(|index| plan.share(Share { index, count })).collect();
            let mut all = shards.concat();
            all.sort_unstable();
            assert_eq!(all, (0..9).collect::<Vec<_>>(), "{count} shards");
            if count == 2 {
                let bytes = |shard: &Vec<usize>| shard.iter().map(|part| files[*part].bytes).sum::<u64>();
                assert_eq!((bytes(&shards[0]), bytes(&shards[1])), (37, 37));
            }
        }
    }
}
