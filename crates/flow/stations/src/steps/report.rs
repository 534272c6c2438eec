//! `report`: one page that shows what the steps before it made.

use super::{io, write_json};
use crate::report::{collect, page};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use wootz_pipeline::{Step, StepContext, StepError, StepOutcome, settings};
use wootz_schema::metrics::Metrics;
use wootz_stdx::{file::write_atomic, human};

/// The page.
pub const PAGE_FILE: &str = "report.html";
/// The same as data.
pub const DATA_FILE: &str = "report.json";

/// The kind.
pub struct Report;

/// Its settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Title of the page; the plan's name without it.
    title: Option<String>,
}

impl Step for Report {
    fn kind(&self) -> &'static str {
        "report"
    }

    fn version(&self) -> u32 {
        1
    }

    fn validate(&self, config: &Value) -> Result<(), StepError> {
        settings::<Settings>(config).map(drop)
    }

    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }

    fn reads_run(&self) -> bool {
        true
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let title = settings::<Settings>(config)?.title;
        let report = collect(context.run, title)?;
        write_json(&context.work.join(DATA_FILE), &report)?;
        let html = page(&report);
        let path = context.work.join(PAGE_FILE);
        write_atomic(&path, html.as_bytes()).map_err(|error| io("write", &path, &error))?;
        let size = human::bytes(html.len() as u64);
        Ok(StepOutcome::passed(format!("{PAGE_FILE}, {size}, loads nothing"), Metrics::new()))
    }
}
