//! `corpus`: source trees become documents.

use super::apart;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use wootz_corpus::file_list;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::corpus::CorpusOptions;
use wootz_schema::metrics::{Metric, Metrics};
use wootz_stdx::human;

/// The kind.
pub struct Corpus;

/// Settings beside the library's options.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    /// Folders in one text, with `:` between them as in PATH, in place of the list `sources`. A folder with `?`
    /// behind it is read only where it exists.
    source: Option<String>,
}

fn read(config: &Value) -> Result<CorpusOptions, StepError> {
    let (own, rest): (Own, Map<String, Value>) = apart(config, &["source"])?;
    let mut rest = rest;
    match (own.source, rest.contains_key("sources")) {
        (Some(_), true) => {
            return Err(StepError::usage("both `source` and `sources` are given")
                .at_key("source")
                .with_hint("keep one"));
        }
        (Some(text), false) => drop(rest.insert("sources".to_owned(), json!(folders(&text)))),
        (None, true) => {}
        (None, false) => drop(rest.insert("sources".to_owned(), json!([]))),
    }
    let options: CorpusOptions = settings(&Value::Object(rest))?;
    if options.sources.is_empty() && options.records.is_empty() {
        return Err(StepError::usage("there is no source to read").with_hint("name a folder: source: DIR"));
    }
    Ok(options)
}

/// The folders of a `source` text: those that must be there, and those that are.
fn folders(text: &str) -> Vec<String> {
    text.split(':')
        .filter(|folder| !folder.is_empty())
        .filter_map(|folder| match folder.strip_suffix('?') {
            Some(optional) => PathBuf::from(optional).is_dir().then(|| optional.to_owned()),
            None => Some(folder.to_owned()),
        })
        .collect()
}

impl Step for Corpus {
    fn kind(&self) -> &'static str {
        "corpus"
    }

    fn version(&self) -> u32 {
        2
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        read(config).map(drop)
    }

    /// Only files that can become documents or say under which license they stand: the rest of a tree may change.
    fn sources(&self, config: &Value) -> Result<Vec<PathBuf>, StepError> {
        let files = file_list(&read(config)?).map_err(|error| StepError::from_error(&error))?;
        Ok(files.into_iter().map(|file| file.path).collect())
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let manifest = wootz_corpus::build(&read(config)?, context.work, context.observe)
            .map_err(|error| StepError::from_error(&error))?;
        let metrics: Metrics = [
            ("documents", manifest.documents.documents),
            ("bytes", manifest.documents.bytes),
            ("files", manifest.files.kept),
            ("languages", manifest.languages.len() as u64),
            ("licenses", manifest.licenses.len() as u64),
        ]
        .map(|(name, value)| (name.to_owned(), Metric::Number(value as f64)))
        .into();
        let summary = format!(
            "{} documents, {}, from {} of {} files",
            manifest.documents.documents,
            human::bytes(manifest.documents.bytes),
            manifest.files.kept,
            manifest.files.seen,
        );
        Ok(StepOutcome::passed(summary, metrics))
    }
}
