//! Decontamination: documents that share text with a benchmark's items are found.
//!
//! An item is every string of one record (JSONL, or an array of records) or a whole text file, cut into words (letters, digits
//! and `_`, in lower case). A document is contaminated when it holds 13 words in a row of an item, whatever the layout
//! and the punctuation (Brown et al., "Language models are few-shot learners", 2020, appendix C); a shorter string of an item
//! counts as a whole from 8 words on. Runs that more than ten items share are the benchmark's own phrases and do
//! not count.
//!
//! Not covered: items under other names, translations, strings of fewer than 8 words.

use crate::build::CorpusError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Words in a run, fewest and most.
const FEWEST: usize = 8;
const WORDS: usize = 13;

/// Items that may share a run.
const MAX_SHARED: usize = 10;

/// The items' runs.
pub struct Benchmarks {
    /// Names of the items.
    items: Vec<String>,
    /// For each length: sorted hashes of runs, with the first item that holds them.
    runs: Vec<(usize, Vec<(u64, u32)>)>,
    /// One bit for each value of a hash's top bits: most words of a document are settled by one look.
    filter: Vec<u64>,
}

/// Bits of the filter, as a power of two.
const FILTER_BITS: u32 = 22;

impl Benchmarks {
    /// Reads benchmark files.
    pub fn read(paths: &[impl AsRef<Path>]) -> Result<Benchmarks, CorpusError> {
        let mut texts = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let bytes =
                std::fs::read(path).map_err(|error| CorpusError::io("read the benchmark", path, error))?;
            items_of(path, &String::from_utf8_lossy(&bytes), &mut texts)?;
        }
        Ok(Benchmarks::new(texts))
    }

    /// From items: a name and its strings.
    fn new(texts: Vec<(String, Vec<String>)>) -> Benchmarks {
        let mut holders: BTreeMap<(usize, u64), Vec<u32>> = BTreeMap::new();
        let mut items = Vec::new();
        for (name, strings) in texts {
            let item = u32::try_from(items.len()).unwrap_or(u32::MAX);
            items.push(name);
            for string in strings {
                let words: Vec<u64> = Words::new(string.as_bytes()).collect();
                let length = words.len().min(WORDS);
                if length < FEWEST {
                    continue;
                }
                for run in words.windows(length) {
                    let holders = holders.entry((length, hash_of(run))).or_default();
                    if holders.last() != Some(&item) && holders.len() <= MAX_SHARED {
                        holders.push(item);
                    }
                }
            }
        }
        let mut runs: BTreeMap<usize, Vec<(u64, u32)>> = BTreeMap::new();
        let mut filter = vec![0; 1 << (FILTER_BITS - 6)];
        for ((length, hash), holders) in
            holders.into_iter().filter(|(_, holders)| holders.len() <= MAX_SHARED)
        {
            let bit = hash >> (64 - FILTER_BITS);
            filter[usize::try_from(bit >> 6).unwrap_or(0)] |= 1 << (bit & 63);
            runs.entry(length).or_default().push((hash, holders[0]));
        }
        Benchmarks { items, runs: runs.into_iter().collect(), filter }
    }

    /// The first item that a text shares a run with.
    pub fn item_in(&self, text: &str) -> Option<&str> {
        let mut window = [0_u64; WORDS];
        for (count, word) in Words::new(text.as_bytes()).enumerate() {
            window.rotate_left(1);
            window[WORDS - 1] = word;
            for (length, runs) in self.runs.iter().filter(|(length, _)| *length <= count + 1) {
                let hash = hash_of(&window[WORDS - length..]);
                let bit = hash >> (64 - FILTER_BITS);
                if self.filter[usize::try_from(bit >> 6).unwrap_or(0)] >> (bit & 63) & 1 == 0 {
                    continue;
                }
                if let Ok(found) = runs.binary_search_by_key(&hash, |(hash, _)| *hash) {
                    return self.items.get(runs[found].1 as usize).map(String::as_str);
                }
            }
        }
        None
    }
}

/// The items of a file: records of JSON by lines or in an array, else the text as a whole.
fn items_of(path: &Path, text: &str, items: &mut Vec<(String, Vec<String>)>) -> Result<(), CorpusError> {
    let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    let broken = |place: String, error: serde_json::Error| CorpusError::Record {
        path: path.to_owned(),
        place,
        message: error.to_string(),
    };
    let mut push = |number: usize, record: &Value| {
        let named = ["task_id", "id", "name"].iter().find_map(|key| match record.get(key)? {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        });
        let mut strings = Vec::new();
        strings_of(record, &mut strings);
        items.push((format!("{file}:{}", named.unwrap_or_else(|| number.to_string())), strings));
    };
    match extension.as_str() {
        "jsonl" | "ndjson" => {
            for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let record = serde_json::from_str(line)
                    .map_err(|error| broken(format!("line {}", index + 1), error))?;
                push(index + 1, &record);
            }
        }
        "json" => {
            let value: Value = serde_json::from_str(text)
                .map_err(|error| broken(format!("line {}", error.line()), error))?;
            match &value {
                Value::Array(records) => {
                    records.iter().enumerate().for_each(|(index, record)| push(index + 1, record))
                }
                record => push(1, record),
            }
        }
        _ => items.push((file, vec![text.to_owned()])),
    }
    Ok(())
}

/// Every string in a value, wherever it stands.
fn strings_of(value: &Value, strings: &mut Vec<String>) {
    match value {
        Value::String(string) => strings.push(string.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings_of(value, strings)),
        Value::Object(fields) => fields.values().for_each(|value| strings_of(value, strings)),
        _ => {}
    }
}

fn hash_of(words: &[u64]) -> u64 {
    let mixed = |hash: u64, word: &u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hash = words.iter().fold(words.len() as u64, mixed);
    (hash ^ (hash >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

/// Hashes of a text's words.
struct Words<'a> {
    rest: &'a [u8],
}

impl<'a> Words<'a> {
    fn new(bytes: &'a [u8]) -> Words<'a> {
        Words { rest: bytes }
    }
}

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let start = self.rest.iter().position(is_word)?;
        let word = &self.rest[start..];
        let length = word.iter().position(|byte| !is_word(byte)).unwrap_or(word.len());
        self.rest = &word[length..];
        let mixed = |hash: u64, byte: &u8| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01B3)
        };
        Some(word[..length].iter().fold(0xCBF2_9CE4_8422_2325, mixed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ITEMS: &str = r#"{"task_id": "T/0", "prompt": "def has_close_elements(numbers, threshold):\n    \"\"\"Check if in the given list of numbers any two are closer to each other than the threshold.\"\"\"", "tests": ["assert candidate([1.0, 2.0, 3.9], 0.3) == True and other(1, 2, 3) is 7"]}
{"prompt": "one two three four five six seven eight nine"}
{"prompt": "too short to count"}
"#;

    fn benchmarks() -> Benchmarks {
        let mut items = Vec::new();
        items_of(Path::new("bench.jsonl"), ITEMS, &mut items).unwrap();
        Benchmarks::new(items)
    }

    #[test]
    fn runs_are_found_in_any_layout() {
        let benchmarks = benchmarks();
        for (text, expected) in [
            (
                "// check IF in the given list\n// of numbers, any two are closer to each other!\nint x;",
                Some("bench:T/0"),
            ),
            ("check if in the given list of numbers any two are nearer", None),
            ("zero one two three; four five six seven eight nine ten", Some("bench:2")),
            ("one two three four five six seven nine eight", None),
            ("assert candidate([1.0, 2.0, 3.9], 0.3) == True and other(1, 2)", Some("bench:T/0")),
            ("too short to count", None),
            ("", None),
        ] {
            assert_eq!(benchmarks.item_in(text), expected, "{text}");
        }
    }

    #[test]
    fn phrases_of_the_benchmark_itself_do_not_count() {
        let phrase = "write a function in python that takes the arguments below and returns the result of";
        let items = (0..20)
            .map(|item| (item.to_string(), vec![format!("{phrase} task{item} on all of the given data")]));
        let benchmarks = Benchmarks::new(items.collect());
        assert_eq!(benchmarks.item_in(phrase), None);
        assert_eq!(benchmarks.item_in(&format!("{phrase} task7 on all")), Some("7"));
    }

    #[test]
    fn bad_records_name_their_line() {
        let error = items_of(Path::new("b.jsonl"), "{}\n{", &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("b.jsonl, line 2"), "{error}");
    }
}
