//! A few documents of many, each as likely as any other, in one pass: every place in the corpus has a random rank that
//! depends on the seed and the place alone, and the lowest ranks are kept.

use std::collections::BTreeMap;
use wootz_schema::document::Document;

/// The documents chosen so far, by rank.
pub(super) struct Sample {
    size: usize,
    seed: u64,
    met: u64,
    chosen: BTreeMap<(u64, u64), Document>,
}

impl Sample {
    pub fn new(size: usize, seed: u64) -> Sample {
        Sample { size, seed, met: 0, chosen: BTreeMap::new() }
    }

    pub fn offer(&mut self, document: Document) {
        let place = self.met;
        self.met += 1;
        let rank = (mixed(mixed(self.seed) ^ place), place);
        let is_low = self.chosen.last_key_value().is_some_and(|(highest, _)| rank < *highest);
        if self.chosen.len() < self.size {
            self.chosen.insert(rank, document);
        } else if is_low {
            self.chosen.insert(rank, document);
            self.chosen.pop_last();
        }
    }

    /// The chosen documents in the order of the corpus.
    pub fn finish(self) -> Vec<Document> {
        let mut chosen: Vec<((u64, u64), Document)> = self.chosen.into_iter().collect();
        chosen.sort_by_key(|((_, place), _)| *place);
        chosen.into_iter().map(|(_, document)| document).collect()
    }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): every bit of the input decides half of the output's.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_schema::document::DocumentKind;

    fn document(path: String) -> Document {
        Document {
            text: String::new(),
            language: "c".to_owned(),
            repo: ".".to_owned(),
            path,
            commit: None,
            license: "MIT".to_owned(),
            kind: DocumentKind::File,
            symbols: Vec::new(),
            tokens: None,
            sha256: String::new(),
        }
    }

    fn chosen(documents: usize, size: usize, seed: u64) -> Vec<usize> {
        let mut sample = Sample::new(size, seed);
        (0..documents).for_each(|place| sample.offer(document(place.to_string())));
        sample.finish().iter().map(|document| document.path.parse().unwrap()).collect()
    }

    #[test]
    fn a_seed_always_chooses_the_same_and_all_are_as_likely() {
        assert_eq!(chosen(1000, 10, 1), chosen(1000, 10, 1));
        assert_ne!(chosen(1000, 10, 1), chosen(1000, 10, 2));
        assert_eq!(chosen(3, 10, 1), [0, 1, 2], "of few, all");
        assert!(chosen(3, 0, 1).is_empty());
        let mut times = [0u32; 50];
        for seed in 0..2000 {
            let places = chosen(50, 10, seed);
            assert!(places.len() == 10 && places.is_sorted());
            places.iter().for_each(|place| times[*place] += 1);
        }
        // 400 expected, with a standard deviation of 18.
        assert!(times.iter().all(|times| (310..490).contains(times)), "{times:?}");
    }
}
