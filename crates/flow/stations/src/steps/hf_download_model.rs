//! `hf_download_model`: a model of the Hugging Face hub, in the cache that its own client uses.
//!
//! The files are in the cache, which is outside the step's output, so the step is done in each run; where all is there, it asks the hub
//! for the commit and for no more. The output says which commit and files they are. Where the hub is and who asks is the machine's.

use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use wootz_fetch::Pace;
use wootz_hub::{Downloaded, Hub, HubError, Patterns, Place, Wanted};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::hub::HubKind;
use wootz_schema::metrics::{Metric, Metrics};
use wootz_stdx::human;

use super::command::TIMEOUT_SECONDS;
use super::write_json;

/// Which commit and files there are, in the step's output.
pub(super) const SNAPSHOT_FILE: &str = "snapshot.json";
/// The cache of a plan that names none.
pub(super) const CACHE: &str = "/opt/hf_cache";
/// The branch of a plan that names none.
pub(super) const REVISION: &str = "main";

/// The step.
pub struct HfDownloadModel {
    /// The hub.
    pub place: Place,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    model_id: String,
    revision: String,
    include: Vec<String>,
    exclude: Vec<String>,
    cache_dir: PathBuf,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            model_id: String::new(),
            revision: REVISION.to_owned(),
            include: Vec::new(),
            exclude: Vec::new(),
            cache_dir: PathBuf::from(CACHE),
        }
    }
}

fn read(config: &Value) -> Result<Settings, StepError> {
    let settings: Settings = settings(config)?;
    match settings.model_id.trim() {
        "" => Err(StepError::usage("hf_download_model requires model_id")),
        _ => Ok(settings),
    }
}

impl Step for HfDownloadModel {
    fn kind(&self) -> &'static str {
        "hf_download_model"
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
        let patterns = Patterns { include: settings.include, exclude: settings.exclude };
        let wanted = Wanted {
            kind: HubKind::Model,
            repo: settings.model_id.trim(),
            revision: &settings.revision,
            patterns: &patterns,
            cache: &whole(&settings.cache_dir)?,
        };
        let hub = Hub::new(&self.place, Pace::default(), context.observe, context.cancel);
        let downloaded = hub.snapshot(&wanted).map_err(|error| failure(context, &error))?;
        write_json(&context.work.join(SNAPSHOT_FILE), &downloaded.snapshot)?;
        Ok(StepOutcome::passed(summary(&downloaded), figures(&downloaded)))
    }
}

/// A cache's path from the root, since links and manifests outlive the working folder.
pub(super) fn whole(cache: &Path) -> Result<PathBuf, StepError> {
    std::path::absolute(cache).map_err(|error| super::io("find", cache, &error))
}

/// What came so far is kept, so another attempt has less to do.
pub(super) fn failure(context: &StepContext<'_>, error: &HubError) -> StepError {
    if let Err(stopped) = context.check_cancelled() {
        return stopped;
    }
    let failure = StepError::from_error(error);
    if error.is_passing() { failure.retryable() } else { failure }
}

pub(super) fn summary(downloaded: &Downloaded) -> String {
    let snapshot = &downloaded.snapshot;
    let bytes = human::bytes(snapshot.files.iter().map(|file| file.bytes).sum());
    format!("{} files of {} ({bytes}) in {}", snapshot.files.len(), snapshot.repo, snapshot.folder)
}

pub(super) fn figures(downloaded: &Downloaded) -> Metrics {
    let files = &downloaded.snapshot.files;
    let numbers = [
        ("files", files.len() as u64),
        ("bytes", files.iter().map(|file| file.bytes).sum()),
        ("fetched_bytes", downloaded.fetched_bytes),
    ];
    numbers.map(|(name, value)| (name.to_owned(), Metric::Number(value as f64))).into()
}
