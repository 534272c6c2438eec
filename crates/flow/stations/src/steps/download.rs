//! `download`: a file from an address, resumed and checked, put whole where the plan says.
//!
//! The file is outside the step's output, so the step is done in each run; one that is there with the wanted SHA-256 costs its reading.

use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use wootz_fetch::{Check, Fetcher, Pace, Stores, Wanted};
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::{Metric, Metrics};

use super::command::TIMEOUT_SECONDS;

/// The step.
pub struct Download {
    /// For addresses of objects in stores.
    pub stores: Stores,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    url: String,
    output: PathBuf,
    sha256: Option<String>,
}

fn read(config: &Value) -> Result<Settings, StepError> {
    let settings: Settings = settings(config)?;
    if settings.url.trim().is_empty() || settings.output.as_os_str().is_empty() {
        return Err(StepError::usage("download requires url and output"));
    }
    let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match &settings.sha256 {
        Some(hash) if !is_hash(hash) && !hash.contains("${") => {
            Err(StepError::usage(format!("{hash:?} is no SHA-256 in hexadecimal digits")).at_key("sha256"))
        }
        _ => Ok(settings),
    }
}

impl Step for Download {
    fn kind(&self) -> &'static str {
        "download"
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
        let here = std::env::current_dir().map_err(|error| super::io("find", Path::new("."), &error))?;
        let path = here.join(&settings.output);
        let check = settings.sha256.as_deref().map(Check::Sha256);
        let wanted = Wanted { url: &settings.url, path: &path, check, bearer: None };
        let fetcher =
            Fetcher::new(Pace::default(), context.observe, context.cancel).with_stores(&self.stores);
        let fetched = fetcher.fetch(&wanted).map_err(|error| {
            // What came so far is kept, so another attempt has less to do.
            StepError::from_error(&error).retryable()
        })?;
        context.check_cancelled()?;
        let metrics = Metrics::from([("bytes".to_owned(), Metric::Number(fetched.bytes as f64))]);
        Ok(StepOutcome::passed(format!("downloaded {}", settings.output.display()), metrics))
    }
}
