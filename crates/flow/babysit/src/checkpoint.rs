//! From which step a run goes on: files are uploaded one after the other, so the newest step may lack some.

use std::collections::{BTreeMap, BTreeSet};

/// The newest step of which the model, the metadata and the optimizer of each rank are there. Names are those of nanochat:
/// `model_000100.pt`, `meta_000100.json`, `optim_000100_rank0.pt`.
pub fn newest_whole<'a>(names: impl IntoIterator<Item = &'a str>, ranks: u32) -> Option<u64> {
    let mut steps: BTreeMap<u64, BTreeSet<Part>> = BTreeMap::new();
    for (step, part) in names.into_iter().filter_map(part) {
        steps.entry(step).or_default().insert(part);
    }
    let is_whole = |parts: &BTreeSet<Part>| {
        let optimizers = (0..ranks).all(|rank| parts.contains(&Part::Optimizer(rank)));
        parts.contains(&Part::Model) && parts.contains(&Part::Metadata) && optimizers
    };
    steps.into_iter().rev().find(|(_, parts)| is_whole(parts)).map(|(step, _)| step)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Model,
    Metadata,
    Optimizer(u32),
}

/// A file's step and part; what comes before the last `/` is its folder.
fn part(name: &str) -> Option<(u64, Part)> {
    let name = name.trim().rsplit('/').next()?;
    let (kind, rest) = name.split_once('_')?;
    let (rest, part) = match kind {
        "model" => (rest.strip_suffix(".pt")?, Part::Model),
        "meta" => (rest.strip_suffix(".json")?, Part::Metadata),
        "optim" => {
            let (step, rank) = rest.strip_suffix(".pt")?.split_once("_rank")?;
            (step, Part::Optimizer(rank.parse().ok()?))
        }
        _ => return None,
    };
    let is_number = rest.len() >= 6 && rest.bytes().all(|byte| byte.is_ascii_digit());
    Some((is_number.then(|| rest.parse().ok())??, part))
}
