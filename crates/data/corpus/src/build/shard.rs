//! Shards: the parts of a corpus made by several machines, and merged into the corpus that one would have made.

use super::part::Parts;
use super::pipeline::Pipeline;
use super::plan::Plan;
use super::publish::Publication;
use super::tally::Taker;
use super::tree::Tree;
use super::{CorpusError, Settings, Work, finish, on_threads};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use wootz_schema::corpus::{CorpusManifest, CorpusOptions, MANIFEST_FILE};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::shard::{SHARD_FILE, Shard, Share, VERSION};
use wootz_stdx::file;

/// Builds one shard of the corpus that `options` describe in the folder `out`, which appears complete or not at all.
///
/// An earlier shard at `out` is replaced; anything else there is left alone and is an error. What was finished before a kill is not
/// done again.
pub fn build_shard(
    options: &CorpusOptions,
    share: Share,
    out: &Path,
    observe: &dyn Observe,
) -> Result<Shard, CorpusError> {
    if share.index >= share.count {
        return Err(CorpusError::NoSuchShard { index: share.index, count: share.count });
    }
    let settings = Settings::new(options)?;
    let publication = Publication::resume(out, SHARD_FILE)?;
    let built = on_threads(options, || {
        let tree = Tree::read(options, &settings)?;
        let plan = Plan::new(options, &tree);
        let parts = Parts { folder: publication.parts(&tree.key)?, plan: tree.plan.clone() };
        let own = plan.share(share);
        let pipeline = Pipeline::new(options, &settings, &tree);
        Work { pipeline, plan: &plan, parts: &parts, observe }.run_apart(&own)?;
        keep_only(&parts, &own)?;
        let shard = Shard {
            version: VERSION,
            plan: tree.plan.clone(),
            share,
            parts: plan.parts.len() as u64,
            here: own.iter().map(|part| *part as u64).collect(),
            files: plan.files.clone(),
            options: options.clone(),
        };
        let path = publication.path().join(SHARD_FILE);
        let mut text = serde_json::to_vec_pretty(&shard).expect("a shard is JSON because its keys are text");
        text.push(b'\n');
        file::write_atomic(&path, &text).map_err(|error| CorpusError::io("write the shard", &path, error))?;
        Ok(shard)
    });
    finish(publication, built, true)
}

/// Removes parts that another share of the same plan left, and waits until the disk has the others.
fn keep_only(parts: &Parts, own: &[usize]) -> Result<(), CorpusError> {
    let failed = |error| CorpusError::io("read the folder", &parts.folder, error);
    let paths: Vec<PathBuf> = own.iter().map(|part| parts.path(*part)).collect();
    for entry in fs::read_dir(&parts.folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if paths.contains(&path) {
            File::open(&path).and_then(|part| part.sync_all())
        } else {
            fs::remove_file(&path)
        }
        .map_err(|error| CorpusError::io("write", &path, error))?;
    }
    Ok(())
}

/// Makes of all shards the corpus that one run would have built, in the folder `out`, which appears complete or not at all.
///
/// The sources are not needed. An earlier corpus at `out` is replaced; anything else there is left alone and is an error.
pub fn merge(shards: &[PathBuf], out: &Path, observe: &dyn Observe) -> Result<CorpusManifest, CorpusError> {
    let read = shards
        .iter()
        .map(|path| Ok((path.as_path(), read_shard(path)?)))
        .collect::<Result<Vec<_>, CorpusError>>()?;
    let (first, places) = together(&read)?;
    let publication = Publication::begin(out)?;
    let options = &first.options;
    let merged =
        Taker::new(options, &publication.path().join(options.format.file_name())).and_then(|mut taker| {
            observe.observe(Progress::Begin {
                task: "corpus: merge",
                total: Some(places.len() as u64),
                unit: "parts",
            });
            for (part, folder) in places.iter().enumerate() {
                let parts = Parts { folder: folder.join("parts"), plan: first.plan.clone() };
                parts.replay(part, options.format, &mut taker)?;
                observe.observe(Progress::Advance { done: part as u64 + 1 });
            }
            observe.observe(Progress::End);
            taker.finish(&first.files, publication.path(), options)
        });
    finish(publication, merged, false)
}

fn read_shard(folder: &Path) -> Result<Shard, CorpusError> {
    let path = folder.join(SHARD_FILE);
    if folder.join(MANIFEST_FILE).exists() && !path.exists() {
        return Err(wrong(folder, "it is a whole corpus".to_owned()));
    }
    let bytes = fs::read(&path).map_err(|error| CorpusError::io("read the shard", &path, error))?;
    let shard: Shard = serde_json::from_slice(&bytes).map_err(|error| CorpusError::Record {
        path: path.clone(),
        place: format!("line {}", error.line()),
        message: error.to_string(),
    })?;
    if shard.version != VERSION {
        let message = format!("version {} where this program reads {VERSION}", shard.version);
        return Err(CorpusError::Record { path, place: "version".to_owned(), message });
    }
    Ok(shard)
}

/// The first shard and the folder of every part, if the shards are all of one plan.
fn together<'a>(shards: &'a [(&'a Path, Shard)]) -> Result<(&'a Shard, Vec<&'a Path>), CorpusError> {
    let Some((first_path, first)) = shards.first() else {
        return Err(wrong(Path::new("nothing"), "no shard is named".to_owned()));
    };
    let mut shares: BTreeMap<u64, &Path> = BTreeMap::new();
    let mut places: BTreeMap<u64, &Path> = BTreeMap::new();
    for (path, shard) in shards {
        if (&shard.plan, shard.share.count, shard.parts) != (&first.plan, first.share.count, first.parts) {
            let message = format!("it has other sources, flags or numbers than {}", first_path.display());
            return Err(wrong(path, message));
        }
        if let Some(same) = shares.insert(shard.share.index, path) {
            return Err(wrong(path, format!("it is shard {}, and so is {}", shard.share, same.display())));
        }
        places.extend(shard.here.iter().map(|part| (*part, *path)));
    }
    let missing: Vec<String> = (0..first.share.count)
        .filter(|index| !shares.contains_key(index))
        .map(|index| Share { index, ..first.share }.to_string())
        .collect();
    if !missing.is_empty() {
        return Err(wrong(first_path, format!("the other shards are not named: {}", missing.join(", "))));
    }
    if !places.keys().copied().eq(0..first.parts) {
        return Err(wrong(first_path, "the shards do not have each part once".to_owned()));
    }
    Ok((first, places.into_values().collect()))
}

fn wrong(path: &Path, message: String) -> CorpusError {
    CorpusError::Shards { path: path.to_owned(), message }
}

#[cfg(test)]
mod tests;
