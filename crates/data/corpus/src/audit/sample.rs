//! A sample of a corpus' documents: which ones are in it depends on the seed and each document alone.
//!
//! Every document has a rank, a hash of the seed and of what it is; the lowest ranks of each stratum are taken. One
//! pass, memory for the sample only, and a document that is in the sample stays in it when others are added that
//! rank higher.

use crate::build::CorpusError;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BinaryHeap};
use wootz_schema::document::{Document, DocumentKind};

/// Languages that are judged together, by one set of tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    CCpp,
    Go,
    Python,
    Rust,
    TypeScript,
}

impl Group {
    /// `None` for a language that no check is known for.
    pub fn of(language: &str) -> Option<Group> {
        Some(match language {
            "c" | "cpp" => Group::CCpp,
            "go" => Group::Go,
            "python" => Group::Python,
            "rust" => Group::Rust,
            "typescript" | "javascript" => Group::TypeScript,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Group::CCpp => "c_cpp",
            Group::Go => "go",
            Group::Python => "python",
            Group::Rust => "rust",
            Group::TypeScript => "typescript",
        }
    }
}

/// Documents in the order of their ranks, by stratum.
pub(super) type Strata = BTreeMap<(Group, DocumentKind), Vec<Document>>;

/// The `size` lowest ranks of every group and kind.
pub(super) fn sample(
    documents: impl Iterator<Item = Result<Document, CorpusError>>,
    size: usize,
    seed: u64,
) -> Result<Strata, CorpusError> {
    let mut strata: BTreeMap<(Group, DocumentKind), BinaryHeap<Ranked>> = BTreeMap::new();
    for document in documents {
        let document = document?;
        let Some(group) = Group::of(&document.language) else { continue };
        // Two versions of one text, or lines of a diff, are nothing to compile.
        if matches!(document.kind, DocumentKind::CommitChain | DocumentKind::CommitDiff) {
            continue;
        }
        let heap = strata.entry((group, document.kind)).or_default();
        let rank = rank(&document, seed);
        if heap.len() < size {
            heap.push(Ranked { rank, document });
        } else if heap.peek().is_some_and(|highest| rank < highest.rank) {
            heap.pop();
            heap.push(Ranked { rank, document });
        }
    }
    let sorted = |heap: BinaryHeap<Ranked>| heap.into_sorted_vec().into_iter().map(|ranked| ranked.document);
    Ok(strata.into_iter().map(|(stratum, heap)| (stratum, sorted(heap).collect())).collect())
}

type Rank = [u8; 32];

struct Ranked {
    rank: Rank,
    document: Document,
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Ranked) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Ranked) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Ranked) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

fn rank(document: &Document, seed: u64) -> Rank {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    for part in [&document.repo, &document.path, &document.text] {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(number: u32) -> Document {
        Document {
            text: format!("int v{number};"),
            language: if number.is_multiple_of(3) { "rust".to_owned() } else { "cpp".to_owned() },
            repo: "p".to_owned(),
            path: format!("{number}.cpp"),
            commit: None,
            license: "MIT".to_owned(),
            kind: if number.is_multiple_of(2) { DocumentKind::File } else { DocumentKind::Items },
            symbols: Vec::new(),
            tokens: None,
            sha256: String::new(),
        }
    }

    fn paths(numbers: &[u32], size: usize, seed: u64) -> BTreeMap<(Group, DocumentKind), Vec<String>> {
        let documents = numbers.iter().map(|number| Ok(document(*number)));
        let strata = sample(documents, size, seed).unwrap();
        let paths = |documents: Vec<Document>| documents.into_iter().map(|document| document.path).collect();
        strata.into_iter().map(|(stratum, documents)| (stratum, paths(documents))).collect()
    }

    proptest! {
        #[test]
        fn order_has_no_say_and_larger_samples_hold_smaller_ones(
            count in 0_u32..60, size in 0_usize..12, seed: u64, turn in 0_usize..60,
        ) {
            let numbers: Vec<u32> = (0..count).collect();
            let mut turned = numbers.clone();
            turned.rotate_left(turn.min(numbers.len()));
            turned.reverse();
            let drawn = paths(&numbers, size, seed);
            prop_assert_eq!(&drawn, &paths(&turned, size, seed));
            for (stratum, all) in paths(&numbers, 60, seed) {
                prop_assert_eq!(&drawn[&stratum][..], &all[..size.min(all.len())]);
            }
        }
    }

    #[test]
    fn another_seed_draws_another_sample() {
        let numbers: Vec<u32> = (0..200).collect();
        assert_ne!(paths(&numbers, 10, 0), paths(&numbers, 10, 1));
    }
}
