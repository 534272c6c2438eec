//! Chooses the validation documents and the order of all of them.
//!
//! Files of one project share names, idioms and whole functions, so a model that has seen one file of a project knows
//! something about the next. Validation therefore takes whole projects, in an order that a hash of seed and name
//! gives, as long as they fit the share. Where that cannot come near the share (few projects, or one giant), whole
//! files are taken by the same rule; a file's documents are never on both sides. What is the same text in both is
//! left out of training.
//!
//! The order of the documents comes from a hash of seed and text: one more document moves no other.

use std::collections::{BTreeMap, HashSet};
use wootz_schema::dataset::ValidationUnit;
use wootz_schema::document::Document;
use wootz_stdx::digest::sha256;

/// What the choice needs to know about a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Hash of seed and project.
    repo: u64,
    /// Hash of seed, project and path.
    file: u64,
    /// Half of the text's SHA-256.
    text: u128,
    /// Its place in the order.
    order: u64,
    pub(crate) text_bytes: u64,
}

impl Candidate {
    /// `None` where the document's `sha256` is no digest.
    pub(crate) fn new(document: &Document, seed: u64) -> Option<Candidate> {
        let text = u128::from_str_radix(document.sha256.get(..32)?, 16).ok()?;
        let repo = hash(seed, &[&document.repo]);
        let file = hash(seed, &[&document.repo, &document.path]);
        let order = hash(seed, &[&document.sha256]);
        Some(Candidate { repo, file, text, order, text_bytes: document.text.len() as u64 })
    }
}

/// Indices of the documents of both parts, in the order in which they are to be written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) unit: Option<ValidationUnit>,
    pub(crate) train: Vec<usize>,
    pub(crate) validation: Vec<usize>,
    /// Documents left out of training because validation has their text.
    pub(crate) leaked: u64,
}

/// Splits and orders the documents; `Err` with the number of source files where there are fewer than two.
pub(crate) fn choose(candidates: &[Candidate], share: f64) -> Result<Choice, usize> {
    let target = candidates.iter().map(|c| c.text_bytes).sum::<u64>() as f64 * share;
    let repos = take_units(candidates, |c| c.repo, target);
    let taken: u64 = candidates.iter().filter(|c| repos.contains(&c.repo)).map(|c| c.text_bytes).sum();
    let (unit, chosen): (ValidationUnit, Vec<bool>) = if taken as f64 >= target / 2.0 && !repos.is_empty() {
        (ValidationUnit::Repo, candidates.iter().map(|c| repos.contains(&c.repo)).collect())
    } else {
        let mut files = take_units(candidates, |c| c.file, target);
        if files.is_empty() {
            files.extend(smallest_file(candidates)?);
        }
        (ValidationUnit::File, candidates.iter().map(|c| files.contains(&c.file)).collect())
    };
    let mut choice = Choice { unit: Some(unit), ..Choice::default() };
    let texts: HashSet<u128> =
        candidates.iter().zip(&chosen).filter(|(_, v)| **v).map(|(c, _)| c.text).collect();
    for (at, candidate) in candidates.iter().enumerate() {
        if chosen[at] {
            choice.validation.push(at);
        } else if texts.contains(&candidate.text) {
            choice.leaked += 1;
        } else {
            choice.train.push(at);
        }
    }
    for part in [&mut choice.train, &mut choice.validation] {
        part.sort_by_key(|at| (candidates[*at].order, *at));
    }
    if choice.train.is_empty() { Err(1) } else { Ok(choice) }
}

/// Units in the order of their hashes, passing over those that would overshoot the target by more than a quarter.
fn take_units(candidates: &[Candidate], unit: impl Fn(&Candidate) -> u64, target: f64) -> HashSet<u64> {
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for candidate in candidates {
        *sizes.entry(unit(candidate)).or_default() += candidate.text_bytes;
    }
    let mut taken = HashSet::new();
    let mut bytes = 0;
    for (unit, size) in sizes {
        if bytes as f64 >= target {
            break;
        }
        if (bytes + size) as f64 <= target * 1.25 {
            taken.insert(unit);
            bytes += size;
        }
    }
    taken
}

fn smallest_file(candidates: &[Candidate]) -> Result<Option<u64>, usize> {
    let mut sizes: BTreeMap<u64, u64> = BTreeMap::new();
    for candidate in candidates {
        *sizes.entry(candidate.file).or_default() += candidate.text_bytes;
    }
    if sizes.len() < 2 {
        return Err(sizes.len());
    }
    Ok(sizes.into_iter().min_by_key(|(file, size)| (*size, *file)).map(|(file, _)| file))
}

/// The first eight bytes of SHA-256 over the seed and the parts, each closed by a zero byte.
fn hash(seed: u64, parts: &[&str]) -> u64 {
    let mut bytes = seed.to_le_bytes().to_vec();
    for part in parts {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(0);
    }
    u64::from_str_radix(&sha256(&bytes)[..16], 16).expect("hex, because a digest is hex")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Documents as (repo, file, text, bytes).
    fn candidates(rows: &[(u64, u64, u128, u64)]) -> Vec<Candidate> {
        let candidate =
            |&(repo, file, text, text_bytes)| Candidate { repo, file, text, order: text as u64, text_bytes };
        rows.iter().map(candidate).collect()
    }

    #[test]
    fn whole_projects_go_to_validation_where_they_fit() {
        let rows: Vec<_> = (0..100).map(|i| (i / 5, i, u128::from(99 - i), 10)).collect();
        let choice = choose(&candidates(&rows), 0.1).unwrap();
        assert_eq!(choice.unit, Some(ValidationUnit::Repo));
        assert_eq!(choice.validation, (0..10).rev().collect::<Vec<_>>());
        assert_eq!(choice.train, (10..100).rev().collect::<Vec<_>>());
    }

    #[test]
    fn whole_files_go_to_validation_where_projects_are_too_large() {
        // Two documents to a file, one project.
        let rows: Vec<_> = (0..100).map(|i| (7, i / 2, u128::from(i), 10)).collect();
        let choice = choose(&candidates(&rows), 0.04).unwrap();
        assert_eq!(choice.unit, Some(ValidationUnit::File));
        assert_eq!(choice.validation, [0, 1, 2, 3]);
    }

    #[test]
    fn the_same_text_is_not_in_both() {
        let rows = [(1, 1, 5, 10), (2, 2, 5, 10), (3, 3, 6, 10), (4, 4, 7, 10)];
        let choice = choose(&candidates(&rows), 0.25).unwrap();
        assert_eq!((choice.validation, choice.train, choice.leaked), (vec![0], vec![2, 3], 1));
    }

    #[test]
    fn two_files_are_the_least() {
        assert_eq!(choose(&candidates(&[(1, 1, 1, 10), (1, 1, 2, 10)]), 0.1), Err(1));
        let choice = choose(&candidates(&[(1, 1, 1, 10), (1, 2, 2, 5)]), 0.01).unwrap();
        assert_eq!(choice.validation, [1]);
    }
}
