//! Pairs of known likeness on both sides of the threshold.

use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// A text of so many words, drawn from a sequence that `seed` begins.
fn words(seed: u64, count: usize) -> Vec<String> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("name{}", state % 50_000)
        })
        .collect()
}

/// A copy in which such a share of the words, drawn one by one, are others.
fn edited(words: &[String], share: f64, seed: u64) -> Vec<String> {
    let mut state = (seed + 77).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let edit = |(at, word): (usize, &String)| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let drawn = (state >> 11) as f64 / (1_u64 << 53) as f64;
        if drawn < share { format!("edit{seed}x{at}") } else { word.clone() }
    };
    words.iter().enumerate().map(edit).collect()
}

/// The Jaccard index itself.
fn jaccard(a: &[String], b: &[String]) -> f64 {
    let set = |words: &[String]| words.windows(3).map(<[String]>::to_vec).collect::<BTreeSet<_>>();
    let (a, b) = (set(a), set(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

/// Copies whose likeness is spread evenly from 0.7 to 1: the nearest to the threshold are the hard ones.
#[test]
fn planted_pairs_are_found_and_others_are_not() {
    let mut index = NearIndex::default();
    let (mut near, mut found, mut wrong, mut planted) = (0, 0, 0, [0; 6]);
    for seed in 0..2500_u64 {
        let original = words(seed, 60 + (seed as usize * 37) % 1500);
        // A share `s` of words that are others leaves J = (1-s)^3 / (2 - (1-s)^3).
        let aim = 0.7 + 0.3 * (seed as f64 * 0.618_033_988_75).fract();
        let edits = 1.0 - (2.0 * aim / (1.0 + aim)).cbrt();
        let copy = edited(&original, edits, seed);
        let likeness = jaccard(&original, &copy);
        planted[((likeness.clamp(0.7, 0.999) - 0.7) * 20.0) as usize] += 1;
        let before = index.find_or_insert(&sketch(&original.join(" "), 0).unwrap());
        assert_eq!(before, None, "{seed}: unlike all before");
        let answer = index.find_or_insert(&sketch(&copy.join(" "), 0).unwrap());
        near += usize::from(likeness >= THRESHOLD);
        found += usize::from(likeness >= THRESHOLD && answer.is_some());
        wrong += usize::from(likeness < THRESHOLD && answer.is_some());
    }
    assert!(planted.iter().all(|count| *count > 250), "{planted:?}");
    let (recall, precision) = (found as f64 / near as f64, found as f64 / (found + wrong) as f64);
    assert!(recall >= 0.985, "recall {recall}: {found} of {near}");
    assert!(precision >= 0.99, "precision {precision}: {wrong} wrong beside {found}");
}

/// The same from a few words to hundreds of thousands, which are sampled.
#[test]
fn likeness_is_told_to_half_a_hundredth_at_any_length() {
    let mut worst = BTreeMap::new();
    for (count, least) in [
        (60, 0.02),
        (500, 0.015),
        (5_900, 0.015),
        (6_200, 0.015),
        (21_000, 0.015),
        (26_000, 0.03),
        (300_000, 0.03),
    ] {
        for seed in 0..if count < 10_000 { 20 } else { 3 } {
            let original = words(seed + 9_000, count);
            let copy = edited(&original, 0.037, seed);
            let told = sketch(&original.join(" "), 0).unwrap().likeness(&sketch(&copy.join(" "), 0).unwrap());
            let error = (told - jaccard(&original, &copy)).abs();
            assert!(error < least, "{count} words, {seed}: {told} is {error} off");
            let worst = worst.entry(count).or_insert(0.0_f64);
            *worst = worst.max(error);
        }
    }
    let long = words(1, 60_000);
    assert!(
        sketch(&long.join(" "), 0).unwrap().likeness(&sketch(&long[..9_000].join(" "), 0).unwrap()) < 0.3
    );
    assert!(worst[&60] < 0.01 && worst[&500] < 0.012, "{worst:?}");
}

#[test]
fn a_remembered_document_takes_little() {
    for (count, most) in [(100, 1_300), (5_900, 1_300), (20_000, 3_500), (300_000, 3_500)] {
        let bytes = sketch(&words(3, count).join(" "), 0).unwrap().bytes();
        assert!(bytes <= most, "{count} words: {bytes} bytes");
    }
}

#[test]
fn the_first_stays_and_layout_does_not_matter() {
    let mut index = NearIndex::default();
    let [a, b] = [words(1, 100), words(2, 100)];
    assert_eq!(index.find_or_insert(&sketch(&a.join(" "), 0).unwrap()), None);
    assert_eq!(index.find_or_insert(&sketch(&b.join(" "), 0).unwrap()), None);
    assert_eq!(index.find_or_insert(&sketch(&b.join("\n\t"), 0).unwrap()), Some(1));
    assert_eq!(index.find_or_insert(&sketch(&edited(&a, 0.017, 3).join(" "), 0).unwrap()), Some(0));
    assert_eq!(sketch("too short", 0), None);
}

#[test]
fn memory_is_bounded_and_what_is_recent_is_remembered() {
    let mut index = NearIndex::with_capacity(50);
    let sketches: Vec<_> = (0..200).map(|seed| sketch(&words(seed, 80).join(" "), 0).unwrap()).collect();
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
        assert_eq!(index.find_or_insert(&sketch(&text, 0).unwrap()), None, "{seed}: three fifths are shared");
    }
    let text = [head, words(399 + 100, 200)].concat().join("  ");
    assert_eq!(index.find_or_insert(&sketch(&text, 0).unwrap()), Some(399));
}
