//! `dataset`: documents become shards of text for training and validation.

use super::{apart, fresh, outside};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use wootz_corpus::read_manifest;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome};
use wootz_schema::dataset::{DatasetManifest, DatasetOptions};
use wootz_schema::metrics::Metric;
use wootz_stdx::human;

/// The kind.
pub struct Dataset;

/// Settings beside the library's options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// The corpus.
    corpus: PathBuf,
}

fn read(config: &Value) -> Result<(Own, DatasetOptions), StepError> {
    apart(config, &["corpus"])
}

impl Step for Dataset {
    fn kind(&self) -> &'static str {
        "dataset"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        read(config).map(drop)
    }

    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(outside(&[&read(config)?.0.corpus]))
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let (own, options) = read(config)?;
        fresh(context.work)?;
        let documents = documents_file(&own.corpus)?;
        let manifest = wootz_dataset::write(&documents, context.work, &options, context.observe)
            .map_err(|error| StepError::from_error(&error))?;
        Ok(StepOutcome::passed(summary(&manifest), figures(&manifest)))
    }
}

/// The documents of a corpus folder; any other path is a file of documents itself.
pub fn documents_file(corpus: &Path) -> Result<PathBuf, StepError> {
    if !corpus.is_dir() {
        return Ok(corpus.to_path_buf());
    }
    let manifest = read_manifest(corpus).map_err(|error| StepError::from_error(&error))?;
    Ok(corpus.join(manifest.documents_file))
}

fn summary(manifest: &DatasetManifest) -> String {
    format!(
        "{} training documents ({}), {} for validation ({}), {} shards",
        manifest.train.documents,
        human::bytes(manifest.train.text_bytes),
        manifest.validation.documents,
        human::bytes(manifest.validation.text_bytes),
        manifest.shards.len(),
    )
}

fn figures(manifest: &DatasetManifest) -> wootz_schema::metrics::Metrics {
    [
        ("train_documents", manifest.train.documents),
        ("train_bytes", manifest.train.text_bytes),
        ("validation_documents", manifest.validation.documents),
        ("validation_bytes", manifest.validation.text_bytes),
        ("leaked_documents", manifest.leaked_documents),
        ("shards", manifest.shards.len() as u64),
    ]
    .map(|(name, value)| (name.to_owned(), Metric::Number(value as f64)))
    .into()
}
