//! Splits of data sets: which files, and how many rows.

use proptest::prelude::*;
use wootz_hub::{Slice, files_of_split};

const CARD: &str = "---
license: mit
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: en/part-*
  - split: test
    path: [en/held/a.parquet]
- config_name: de
  data_files: de/*.jsonl
---
# Rows
";

#[test]
fn a_card_says_which_files() {
    let paths = ["README.md", "de/a.jsonl", "en/held/a.parquet", "en/part-0.parquet", "en/part-1.parquet"];
    let files = |config, split| files_of_split(&paths, Some(CARD), config, split);
    assert_eq!(files("default", "train").unwrap(), ["en/part-0.parquet", "en/part-1.parquet"]);
    assert_eq!(files("en", "test").unwrap(), ["en/held/a.parquet"]);
    assert_eq!(files("de", "train").unwrap(), ["de/a.jsonl"]);
    assert_eq!(files("fr", "train").unwrap_err(), "it has no configuration \"fr\", but en, de");
    assert!(files("de", "test").is_err());
}

#[test]
fn without_a_card_names_say_which_files() {
    let paths = ["README.md", "data/train-00000-of-00001.parquet", "data/val.jsonl.gz", "x/constrained.csv"];
    for card in [None, Some("---\nlicense: mit\n---\n"), Some("no head")] {
        let files = |config, split| files_of_split(&paths, card, config, split);
        assert_eq!(files("default", "train").unwrap(), ["data/train-00000-of-00001.parquet"]);
        assert_eq!(files("default", "validation").unwrap(), ["data/val.jsonl.gz"]);
        assert!(files("default", "test").is_err());
        // Its only file has no split's name.
        assert_eq!(files("x", "train").unwrap(), ["x/constrained.csv"]);
        assert!(files("y", "train").is_err());
    }
}

#[test]
fn what_is_no_slice_is_refused() {
    for text in ["", "[:5]", "train[", "train[5]", "train[a:b]", "train[:5", "a b", "train+test"] {
        assert_eq!(Slice::read(text), None, "{text}");
    }
    let rows = |text, total| Slice::read(text).unwrap().rows(total);
    assert_eq!([rows("train", 7), rows("train[:100]", 7), rows("train[:100]", 700)], [7, 7, 100]);
    assert_eq!([rows("train[10%:20%]", 50), rows("train[-5:]", 50), rows("train[5:2]", 50)], [5, 5, 0]);
}

proptest! {
    #[test]
    fn neighbouring_slices_are_the_whole(cut in 0..200u64, total in 0..200u64, percent in proptest::bool::ANY) {
        let unit = if percent { "%" } else { "" };
        let rows = |text: String| Slice::read(&text).unwrap().rows(total);
        prop_assert_eq!(rows(format!("train[:{cut}{unit}]")) + rows(format!("train[{cut}{unit}:]")), total);
    }
}
