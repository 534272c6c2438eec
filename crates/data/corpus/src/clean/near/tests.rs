//! Pairs of known likeness on both sides of the threshold.

use super::*;
use std::collections::BTreeSet;

/// A text of so many words, drawn from a sequence that `seed` begins.
fn words(seed: u64, count: usize) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("name{}", state % 5000)
        })
        .collect()
}

/// A copy in which every `every`-th word is another.
fn edited(words: &[String], every: usize, seed: u64) -> Vec<String> {
    let edit = |(at, word): (usize, &String)| {
        if (at + seed as usize).is_multiple_of(every) { format!("edit{seed}x{at}") } else { word.clone() }
    };
    words.iter().enumerate().map(edit).collect()
}

/// The Jaccard index itself.
fn jaccard(a: &[String], b: &[String]) -> f64 {
    let set = |words: &[String]| words.windows(3).map(<[String]>::to_vec).collect::<BTreeSet<_>>();
    let (a, b) = (set(a), set(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

#[test]
fn planted_pairs_are_found_and_others_are_not() {
    let mut index = NearIndex::default();
    let (mut near, mut found, mut far, mut wrong) = (0, 0, 0, 0);
    for seed in 0..2500_u64 {
        let original = words(seed, 60 + (seed as usize * 37) % 1500);
        let copy = edited(&original, [33, 36, 42, 60, 80, 120, 22, 20, 16, 10][seed as usize % 10], seed);
        let likeness = jaccard(&original, &copy);
        let before = index.find_or_insert(&sketch(&original.join(" ")).unwrap());
        assert_eq!(before, None, "{seed}: unlike all before");
        let answer = index.find_or_insert(&sketch(&copy.join(" ")).unwrap());
        // The estimate may err by a few hundredths: pairs nearer to the threshold count on neither side.
        if likeness >= 0.83 {
            near += 1;
            found += usize::from(answer.is_some());
        } else if likeness < 0.77 {
            far += 1;
            wrong += usize::from(answer.is_some());
        }
    }
    assert!(near > 900 && far > 900, "{near} near pairs, {far} far ones");
    let (recall, precision) = (found as f64 / near as f64, found as f64 / (found + wrong) as f64);
    assert!(recall >= 0.98, "recall {recall}: {found} of {near}");
    assert!(precision >= 0.99, "precision {precision}: {wrong} of {far} wrong");
}

#[test]
fn the_first_stays_and_layout_does_not_matter() {
    let mut index = NearIndex::default();
    let [a, b] = [words(1, 100), words(2, 100)];
    assert_eq!(index.find_or_insert(&sketch(&a.join(" ")).unwrap()), None);
    assert_eq!(index.find_or_insert(&sketch(&b.join(" ")).unwrap()), None);
    assert_eq!(index.find_or_insert(&sketch(&b.join("\n\t")).unwrap()), Some(1));
    assert_eq!(index.find_or_insert(&sketch(&edited(&a, 60, 3).join(" ")).unwrap()), Some(0));
    assert_eq!(sketch("too short"), None);
}

#[test]
fn memory_is_bounded_and_what_is_recent_is_remembered() {
    let mut index = NearIndex::with_capacity(50);
    let sketches: Vec<_> = (0..200).map(|seed| sketch(&words(seed, 80).join(" ")).unwrap()).collect();
    for one in &sketches {
        assert_eq!(index.find_or_insert(one), None);
        assert!(index.old.sketches.len() + index.new.sketches.len() <= 100);
    }
    assert_eq!(index.find_or_insert(&sketches[160]), Some(160));
    assert_eq!(index.find_or_insert(&sketches[0]), None, "forgotten");
}

#[test]
fn what_all_share_does_not_fill_the_table() {
    let mut index = NearIndex::default();
    let head = words(7, 300);
    for seed in 0..400 {
        let text = [head.clone(), words(seed + 100, 200)].concat().join(" ");
        assert_eq!(index.find_or_insert(&sketch(&text).unwrap()), None, "{seed}: three fifths are shared");
    }
    let text = [head, words(399 + 100, 200)].concat().join("  ");
    assert_eq!(index.find_or_insert(&sketch(&text).unwrap()), Some(399));
}
