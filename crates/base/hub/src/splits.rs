//! Which files of a data set are a split of it, and how many of their rows are meant.
//!
//! A data set's card (the YAML head of its `README.md`) may say which files a split of a configuration has. Where it says nothing, names
//! do: a file is of the split that its path has as a word (`data/train-00000-of-00002.parquet`, `validation/a.jsonl`), within the
//! folder of the configuration unless that is `default`; where no name has a split's word, all files are `train`.
//!
//! Not covered: data sets that a script makes; several slices joined by `+`; rounding other than down.

use crate::patterns::Patterns;
use serde_yaml_ng::Value;

const KINDS: [&str; 8] = ["parquet", "jsonl", "json", "csv", "tsv", "txt", "arrow", "ndjson"];
const PACKED: [&str; 4] = ["gz", "zst", "bz2", "xz"];
const WORDS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("validation", &["validation", "valid", "val", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];

/// A split and some of its rows, such as `train[:100]`, `train[10%:20%]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The split's name.
    pub split: String,
    from: Option<Place>,
    to: Option<Place>,
}

/// A row's number, from the end where it is below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Row(i64),
    Percent(i64),
}

impl Slice {
    /// Reads one; `None` where it is none.
    pub fn read(text: &str) -> Option<Slice> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.chars().all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.'))
        };
        let (split, bounds) = match text.split_once('[') {
            None => (text, ":"),
            Some((split, rest)) => (split, rest.strip_suffix(']')?),
        };
        let (from, to) = bounds.split_once(':')?;
        let place = |text: &str| match text.trim() {
            "" => Some(None),
            text => Some(Some(match text.strip_suffix('%') {
                Some(number) => Place::Percent(number.parse().ok()?),
                None => Place::Row(text.parse().ok()?),
            })),
        };
        is_name(split).then_some(())?;
        Some(Slice { split: split.to_owned(), from: place(from)?, to: place(to)? })
    }

    /// How many of so many rows are meant.
    pub fn rows(&self, total: u64) -> u64 {
        let at = |place: Option<Place>, without: u64| {
            let number = match place {
                None => return without,
                Some(Place::Row(number)) => i128::from(number),
                Some(Place::Percent(percent)) => i128::from(total) * i128::from(percent) / 100,
            };
            let from_end = if number < 0 { number + i128::from(total) } else { number };
            u64::try_from(from_end).unwrap_or(0).min(total)
        };
        at(self.to, total).saturating_sub(at(self.from, 0))
    }
}

/// The files of a split, or the sentence that says why there are none.
pub fn files_of_split<'p>(
    paths: &[&'p str],
    card: Option<&str>,
    config: &str,
    split: &str,
) -> Result<Vec<&'p str>, String> {
    let files = match card.and_then(|card| of_card(card, config)) {
        Some(Ok(all)) => {
            let patterns = all.iter().filter(|(name, _)| name == split).flat_map(|(_, paths)| paths.clone());
            let patterns = Patterns { include: patterns.collect(), exclude: Vec::new() };
            let is_named = !patterns.include.is_empty();
            paths.iter().filter(|path| is_named && patterns.mean(path)).copied().collect()
        }
        Some(Err(known)) => {
            return Err(format!("it has no configuration {config:?}, but {}", known.join(", ")));
        }
        None => of_names(paths, config, split),
    };
    if files.is_empty() {
        return Err(format!("it has no files of the split {split:?} of the configuration {config:?}"));
    }
    Ok(files)
}

type Splits = Vec<(String, Vec<String>)>;

/// The patterns of each split that a card has for a configuration, or the configurations that there are. `None`: it says nothing.
fn of_card(card: &str, config: &str) -> Option<Result<Splits, Vec<String>>> {
    let head = card.strip_prefix("---\n")?.split("\n---").next()?;
    let head: Value = serde_yaml_ng::from_str(head).ok()?;
    let configs = head.get("configs")?.as_sequence()?;
    let name =
        |config: &Value| config.get("config_name").and_then(Value::as_str).unwrap_or("default").to_owned();
    let is_default = |config: &&Value| config.get("default").and_then(Value::as_bool) == Some(true);
    let found = configs.iter().find(|one| name(one) == config).or_else(|| match config {
        "default" => configs.iter().find(is_default).or(configs.first().filter(|_| configs.len() == 1)),
        _ => None,
    });
    let Some(found) = found else { return Some(Err(configs.iter().map(name).collect())) };
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Sequence(all) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let files = found.get("data_files")?;
    let of_split = |entry: &Value| {
        Some((entry.get("split")?.as_str()?.to_owned(), entry.get("path").map(texts).unwrap_or_default()))
    };
    let splits: Splits = match files {
        Value::Sequence(entries) if entries.iter().any(Value::is_mapping) => {
            entries.iter().filter_map(of_split).collect()
        }
        files => vec![("train".to_owned(), texts(files))],
    };
    Some(Ok(splits))
}

/// The files whose names say that they are of a split.
fn of_names<'p>(paths: &[&'p str], config: &str, split: &str) -> Vec<&'p str> {
    let is_in = |path: &&&str| {
        config == "default" || path.strip_prefix(config).is_some_and(|rest| rest.starts_with('/'))
    };
    let data: Vec<&str> = paths.iter().filter(|path| is_data(path)).filter(is_in).copied().collect();
    let own = [split];
    let known = WORDS.iter().find(|(name, _)| *name == split).map_or(&own[..], |(_, words)| *words);
    let inside = |path: &str| path.strip_prefix(config).unwrap_or(path).to_owned();
    let named: Vec<&str> = data.iter().filter(|path| has_word(&inside(path), known)).copied().collect();
    let is_unnamed = !data.iter().any(|path| WORDS.iter().any(|(_, words)| has_word(&inside(path), words)));
    if named.is_empty() && is_unnamed && split == "train" { data } else { named }
}

fn is_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut ends = name.rsplit('.');
    let last = ends.next().unwrap_or_default();
    let kind = if PACKED.contains(&last) { ends.next().unwrap_or_default() } else { last };
    name.contains('.') && !name.starts_with('.') && KINDS.contains(&kind)
}

fn has_word(path: &str, words: &[&str]) -> bool {
    path.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| words.contains(&word))
        || path.split(['/', '.']).any(|part| words.contains(&part))
}
