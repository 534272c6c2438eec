//! `hf_download_dataset`: the files of a split of a data set of the Hugging Face hub, in the cache that its own client uses.
//!
//! A split has whole files; a slice of it (`train[:100]`) counts rows and downloads no less. Rows are counted where all its files are
//! parquet or JSON lines. The output says which commit and files they are, and what the split was.

use serde::Deserialize;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use wootz_dataset::rows;
use wootz_fetch::Pace;
use wootz_hub::{Downloaded, Hub, Patterns, Place, Slice, Wanted, files_of_split};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::hub::{HubKind, HubSplit};
use wootz_schema::metrics::Metric;

use super::command::TIMEOUT_SECONDS;
use super::hf_download_model::{CACHE, REVISION, SNAPSHOT_FILE, failure, figures, summary, whole};
use super::write_json;

const CARD: &str = "README.md";

/// The step.
pub struct HfDownloadDataset {
    /// The hub.
    pub place: Place,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    dataset_id: String,
    config: String,
    split: String,
    revision: String,
    cache_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dataset_id: String::new(),
            config: "default".to_owned(),
            split: "train[:100]".to_owned(),
            revision: REVISION.to_owned(),
            cache_dir: PathBuf::from(CACHE),
        }
    }
}

fn read(config: &Value) -> Result<Settings, StepError> {
    let settings: Settings = settings(config)?;
    if settings.dataset_id.trim().is_empty() {
        return Err(StepError::usage("hf_download_dataset requires dataset_id"));
    }
    if !settings.split.contains("${") {
        slice(&settings.split)?;
    }
    Ok(settings)
}

fn slice(split: &str) -> Result<Slice, StepError> {
    let error =
        || StepError::usage(format!("{split:?} is no split such as train or train[:100]")).at_key("split");
    Slice::read(split).ok_or_else(error)
}

impl Step for HfDownloadDataset {
    fn kind(&self) -> &'static str {
        "hf_download_dataset"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        read(config).map(drop)
    }

    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }

    fn is_cacheable(&self, _: &Value) -> bool {
        false
    }

    fn timeout_seconds(&self) -> Option<f64> {
        Some(TIMEOUT_SECONDS)
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let settings = read(config)?;
        let slice = slice(&settings.split)?;
        let hub = Hub::new(&self.place, Pace::default(), context.observe, context.cancel);
        let (mut downloaded, files) = download(context, &hub, &settings, &slice)?;
        let folder = PathBuf::from(&downloaded.snapshot.folder);
        let rows = count(&folder, &files)?.map(|total| slice.rows(total));
        let (config, split) = (settings.config, settings.split);
        let mut told = summary(&downloaded);
        let mut figures = figures(&downloaded);
        if let Some(rows) = rows {
            told = format!("{rows} rows of {split}: {told}");
            figures.insert("rows".to_owned(), Metric::Number(rows as f64));
        }
        downloaded.snapshot.split = Some(HubSplit { config, split, rows });
        write_json(&context.work.join(SNAPSHOT_FILE), &downloaded.snapshot)?;
        Ok(StepOutcome::passed(told, figures))
    }
}

/// Downloads the card, and then the files of the split.
fn download(
    context: &StepContext<'_>,
    hub: &Hub<'_>,
    settings: &Settings,
    slice: &Slice,
) -> Result<(Downloaded, Vec<String>), StepError> {
    let cache = whole(&settings.cache_dir)?;
    let fault = |error| failure(context, &error);
    let all = Patterns::default();
    let wanted = Wanted {
        kind: HubKind::Dataset,
        repo: settings.dataset_id.trim(),
        revision: &settings.revision,
        patterns: &all,
        cache: &cache,
    };
    let paths = hub.paths(&wanted).map_err(fault)?;
    let mut include = Vec::new();
    let mut card = None;
    if paths.iter().any(|path| path == CARD) {
        include.push(CARD.to_owned());
        let patterns = Patterns { include: include.clone(), exclude: Vec::new() };
        let downloaded = hub.snapshot(&Wanted { patterns: &patterns, ..wanted }).map_err(fault)?;
        let path = PathBuf::from(downloaded.snapshot.folder).join(CARD);
        card = Some(fs::read_to_string(&path).map_err(|error| super::io("read", &path, &error))?);
    }
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let files = files_of_split(&paths, card.as_deref(), &settings.config, &slice.split);
    let files =
        files.map_err(|why| StepError::usage(format!("use the data set {}: {why}", settings.dataset_id)))?;
    include.extend(files.iter().map(|path| Patterns::exactly(path)));
    let patterns = Patterns { include, exclude: Vec::new() };
    let downloaded = hub.snapshot(&Wanted { patterns: &patterns, ..wanted }).map_err(fault)?;
    Ok((downloaded, files.into_iter().map(str::to_owned).collect()))
}

/// Rows of all files, where every one's can be counted.
fn count(folder: &Path, files: &[String]) -> Result<Option<u64>, StepError> {
    let mut total = 0;
    for file in files {
        match rows(&folder.join(file)).map_err(|error| StepError::from_error(&error))? {
            Some(rows) => total += rows,
            None => return Ok(None),
        }
    }
    Ok(Some(total))
}
