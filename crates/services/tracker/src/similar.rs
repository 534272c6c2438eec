//! Issues that say the same, by the words of their titles.
//!
//! Two titles are alike where their sets of words have a Jaccard similarity of at least [`ALIKE`]. Pairs are found by prefix filtering
//! (Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity joins in data cleaning", 2006): with the words of each set ordered from rare to
//! frequent, two sets that are alike share one of their first `n - ceil(ALIKE n) + 1`, so only issues that share a rare word are compared.
//!
//! Not covered: the same thing said in other words.

use crate::view::View;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How alike two titles must be: common words as a share of all words, as a fraction.
pub const ALIKE: (usize, usize) = (4, 5);

/// Groups of two or more issues with titles alike; in each group and among groups the oldest first.
pub fn groups<'v, 'a>(views: &[&'v View<'a>]) -> Vec<Vec<&'v View<'a>>> {
    let sets = word_sets(views);
    let mut group: Vec<usize> = (0..views.len()).collect();
    let mut holders: HashMap<u32, Vec<usize>> = HashMap::new();
    for (at, words) in sets.iter().enumerate() {
        let count = words.len();
        let prefix = count - (ALIKE.0 * count).div_ceil(ALIKE.1) + usize::from(count > 0);
        let mut candidates = BTreeSet::new();
        for word in &words[..prefix] {
            let others = holders.entry(*word).or_default();
            candidates.extend(others.iter().copied());
            others.push(at);
        }
        for other in candidates {
            if root(&mut group, at) != root(&mut group, other) && alike(words, &sets[other]) {
                let (one, two) = (root(&mut group, at), root(&mut group, other));
                group[one.max(two)] = one.min(two);
            }
        }
    }
    let mut found: BTreeMap<usize, Vec<&'v View<'a>>> = BTreeMap::new();
    for (at, view) in views.iter().enumerate() {
        found.entry(root(&mut group, at)).or_default().push(view);
    }
    let mut found: Vec<Vec<&View<'_>>> = found.into_values().filter(|group| group.len() > 1).collect();
    found.iter_mut().for_each(|group| group.sort_by_key(|view| (view.age(), view.id())));
    found.sort_by_key(|group| (group[0].age(), group[0].id()));
    found
}

/// The words of each title as numbers that grow with how many titles have them.
fn word_sets(views: &[&View<'_>]) -> Vec<Vec<u32>> {
    let words: Vec<BTreeSet<String>> = views.iter().map(|view| words(&view.title())).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in words.iter().flatten() {
        *counts.entry(word).or_default() += 1;
    }
    let mut order: Vec<(usize, &str)> = counts.into_iter().map(|(word, count)| (count, word)).collect();
    order.sort_unstable();
    let ranks: HashMap<&str, u32> = order.iter().zip(0..).map(|((_, word), rank)| (*word, rank)).collect();
    let ranked = |words: &BTreeSet<String>| {
        let mut ranked: Vec<u32> = words.iter().map(|word| ranks[word.as_str()]).collect();
        ranked.sort_unstable();
        ranked
    };
    words.iter().map(ranked).collect()
}

/// Letters and digits in lower case; a number counts as it stands, so that "step 1" and "step 2" differ.
fn words(title: &str) -> BTreeSet<String> {
    let parts = title.split(|letter: char| !letter.is_alphanumeric());
    parts.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

fn alike(one: &[u32], other: &[u32]) -> bool {
    let (mut a, mut b, mut common) = (0, 0, 0);
    while a < one.len() && b < other.len() {
        match one[a].cmp(&other[b]) {
            std::cmp::Ordering::Less => a += 1,
            std::cmp::Ordering::Greater => b += 1,
            std::cmp::Ordering::Equal => (a, b, common) = (a + 1, b + 1, common + 1),
        }
    }
    let all = one.len() + other.len() - common;
    all > 0 && common * ALIKE.1 >= all * ALIKE.0
}

fn root(group: &mut [usize], mut at: usize) -> usize {
    while group[at] != at {
        group[at] = group[group[at]];
        at = group[at];
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Issues;
    use proptest::prelude::*;
    use std::path::Path;

    fn grouped(titles: &[String]) -> Vec<BTreeSet<usize>> {
        let line = |(at, title): (usize, &String)| {
            let title = serde_json::Value::from(title.as_str());
            format!("{{\"id\":\"x-{at:04}\",\"title\":{title},\"created_at\":\"2025-01-01T00:00:00Z\"}}\n")
        };
        let file: String = titles.iter().enumerate().map(line).collect();
        let issues = Issues::of_bytes(Path::new("issues.jsonl"), file.into_bytes()).unwrap();
        let views = issues.views().unwrap();
        let number = |view: &&View<'_>| view.id()[2..].parse().unwrap();
        let views: Vec<&View<'_>> = views.iter().collect();
        groups(&views).iter().map(|group| group.iter().map(number).collect()).collect()
    }

    #[test]
    fn case_and_punctuation_do_not_count_and_numbers_do() {
        let titles = ["Fix: the LOGIN page", "fix the login page!", "Step 1", "Step 2", "", "..."];
        assert_eq!(grouped(&titles.map(str::to_owned)), [BTreeSet::from([0, 1])]);
    }

    proptest! {
        #[test]
        fn the_filter_loses_no_pair(
            titles in prop::collection::vec(prop::collection::vec(0..12_u8, 0..9), 0..30),
        ) {
            let text = |words: &Vec<u8>| words.iter().map(|word| format!("w{word} ")).collect::<String>();
            let titles: Vec<String> = titles.iter().map(text).collect();
            // Connected components of all pairs, compared one by one.
            let sets: Vec<BTreeSet<String>> = titles.iter().map(|title| words(title)).collect();
            let is_pair = |a: usize, b: usize| {
                let (common, all) = (sets[a].intersection(&sets[b]).count(), sets[a].union(&sets[b]).count());
                all > 0 && common * ALIKE.1 >= all * ALIKE.0
            };
            let mut left: BTreeSet<usize> = (0..titles.len()).collect();
            let mut expected = Vec::new();
            while let Some(first) = left.pop_first() {
                let (mut component, mut waiting) = (BTreeSet::from([first]), vec![first]);
                while let Some(at) = waiting.pop() {
                    let near: Vec<usize> = left.iter().copied().filter(|other| is_pair(at, *other)).collect();
                    near.iter().for_each(|other| { left.remove(other); });
                    component.extend(&near);
                    waiting.extend(near);
                }
                if component.len() > 1 {
                    expected.push(component);
                }
            }
            prop_assert_eq!(grouped(&titles), expected);
        }
    }
}
