//! The order in which files are read, which is the order of the documents.
//!
//! Without a cap: sources in the order given, files by the bytes of their paths. With a cap that the sources
//! exceed, files are spread over the projects: the next file is always taken from the project that has given
//! the fewest bytes so far, and within a project (and between equals) in the order of a hash of the path. A small
//! sample so holds a little of everything, and a larger cap extends a smaller one's selection.

use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What the order of a file depends on.
pub(crate) struct Candidate<'a> {
    /// Number of its project, over all sources.
    pub project: usize,
    /// Name of the project, and of the file in it.
    pub repo: &'a str,
    pub path: String,
    pub bytes: u64,
}

/// Indices of `candidates` in the order of the output.
pub(crate) fn order(candidates: &[Candidate<'_>], max_total_bytes: Option<u64>) -> Vec<usize> {
    let total: u64 = candidates.iter().map(|file| file.bytes).sum();
    match max_total_bytes {
        Some(cap) if total > cap => spread(candidates),
        _ => (0..candidates.len()).collect(),
    }
}

fn spread(candidates: &[Candidate<'_>]) -> Vec<usize> {
    let mut projects: BTreeMap<usize, Vec<([u8; 32], usize)>> = BTreeMap::new();
    for (index, file) in candidates.iter().enumerate() {
        let key = Sha256::digest(format!("{}\0{}", file.repo, file.path));
        projects.entry(file.project).or_default().push((key.into(), index));
    }
    let mut heap = BinaryHeap::new();
    for mut files in projects.into_values() {
        // Reversed, because the next one is popped from the end.
        files.sort_unstable_by(|a, b| b.cmp(a));
        if let Some((key, _)) = files.last() {
            heap.push(Reverse((0, *key, files)));
        }
    }
    let mut order = Vec::with_capacity(candidates.len());
    while let Some(Reverse((given, _, mut files))) = heap.pop() {
        let Some((_, index)) = files.pop() else { continue };
        order.push(index);
        if let Some((key, _)) = files.last() {
            heap.push(Reverse((given + candidates[index].bytes, *key, files)));
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(sizes: &[(usize, u64)]) -> Vec<Candidate<'static>> {
        let candidate = |(index, (project, bytes)): (usize, &(usize, u64))| Candidate {
            project: *project,
            repo: ["a", "b", "c"][*project],
            path: format!("{index}.rs"),
            bytes: *bytes,
        };
        sizes.iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn a_cap_that_does_not_bind_changes_nothing() {
        let files = files(&[(0, 10), (1, 10), (0, 10)]);
        assert_eq!(order(&files, None), [0, 1, 2]);
        assert_eq!(order(&files, Some(30)), [0, 1, 2]);
    }

    #[test]
    fn projects_give_in_turn() {
        let files = files(&[(0, 10), (0, 10), (0, 10), (0, 10), (1, 20), (1, 20), (2, 5)]);
        let taken = order(&files, Some(50));
        let mut sorted = taken.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2, 3, 4, 5, 6], "each file once");
        let mut first: Vec<_> = taken[..3].iter().map(|index| files[*index].project).collect();
        first.sort_unstable();
        assert_eq!(first, [0, 1, 2], "each project once before any twice");
    }
}
