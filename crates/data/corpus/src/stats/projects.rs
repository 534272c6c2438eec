//! Projects by name, as many as memory should hold; the smallest beyond that are counted together.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use wootz_schema::corpus::ProjectTally;

/// Projects with a name of their own.
const NAMED: usize = if cfg!(test) { 8 } else { 50_000 };

/// Documents by project. Exact where a project's documents stand together, as a build writes them; a small project that comes
/// back after it was counted with the others is one more.
#[derive(Default)]
pub(super) struct Projects {
    named: BTreeMap<String, ProjectTally>,
    others: ProjectTally,
}

impl Projects {
    pub fn add(&mut self, name: &str, bytes: u64, tokens: u64) {
        if !self.named.contains_key(name) {
            if self.named.len() >= 2 * NAMED {
                self.fold();
            }
            self.named.insert(name.to_owned(), ProjectTally { projects: 1, ..ProjectTally::default() });
        }
        if let Some(tally) = self.named.get_mut(name) {
            tally.documents += 1;
            tally.bytes += bytes;
            tally.tokens += tokens;
        }
    }

    /// The largest by name, and all others together.
    pub fn finish(mut self) -> (BTreeMap<String, ProjectTally>, ProjectTally) {
        self.fold();
        (self.named, self.others)
    }

    /// Counts all but the largest with the others.
    fn fold(&mut self) {
        if self.named.len() <= NAMED {
            return;
        }
        let mut by_size: Vec<(String, ProjectTally)> = std::mem::take(&mut self.named).into_iter().collect();
        by_size.sort_by_key(|(_, tally)| Reverse((tally.tokens, tally.bytes)));
        for (_, tally) in by_size.drain(NAMED..) {
            self.others.projects += tally.projects;
            self.others.documents += tally.documents;
            self.others.bytes += tally.bytes;
            self.others.tokens += tally.tokens;
        }
        self.named = by_size.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_keep_their_names_and_nothing_is_lost() {
        let mut projects = Projects::default();
        // One document after the other, as they stand in a corpus; the larger ones come in the middle.
        let size = |project: u64| 1 + (project * 37) % 101;
        for project in 0..100 {
            for _ in 0..size(project) {
                projects.add(&format!("p{project}"), 10, 3);
            }
        }
        let (named, others) = projects.finish();
        let mut sizes: Vec<u64> = (0..100).map(size).collect();
        sizes.sort_unstable_by_key(|size| Reverse(*size));
        let mut kept: Vec<u64> = named.values().map(|tally| tally.documents).collect();
        kept.sort_unstable_by_key(|size| Reverse(*size));
        assert_eq!(kept, sizes[..NAMED]);
        assert_eq!((others.projects, others.documents), (92, sizes[NAMED..].iter().sum()));
        assert_eq!((others.bytes, others.tokens), (others.documents * 10, others.documents * 3));
    }
}
