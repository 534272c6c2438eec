//! `metrics.jsonl` and TensorBoard events of a run.

use crate::pretrain::TrainError;
use crate::tensorboard::EventWriter;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use wootz_schema::metrics::{EvalPoint, MetricsRecord, SkippedStep, TrainStep};
use wootz_stdx::file::write_atomic;

/// Appends records; every line is written at once, so a killed run leaves at most a torn last line. Of several ranks, only
/// the first has files; the others' records are the same.
pub(crate) struct MetricsLog(Option<Files>);

struct Files {
    path: PathBuf,
    file: File,
    events: EventWriter,
}

impl MetricsLog {
    /// Opens the log of a run that goes on at `step`: records from there on are of work that is done again, and go.
    pub(crate) fn open(out: &Path, step: u64) -> Result<MetricsLog, TrainError> {
        let path = out.join("metrics.jsonl");
        let kept: String =
            read(&path)?.iter().filter(|record| record_step(record) < step).map(line).collect();
        write_atomic(&path, kept.as_bytes()).map_err(TrainError::io("write", &path))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(TrainError::io("write", &path))?;
        let folder = out.join("tensorboard");
        let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "localhost".to_owned());
        let events =
            EventWriter::create(&folder, now() as u64, &host).map_err(TrainError::io("write", &folder))?;
        Ok(MetricsLog(Some(Files { path, file, events })))
    }
    /// A log of a rank that writes none.
    pub(crate) fn none() -> MetricsLog {
        MetricsLog(None)
    }
    pub(crate) fn train(&mut self, step: &TrainStep) -> Result<(), TrainError> {
        let scalars = [
            ("train/loss", step.loss),
            ("train/lr_multiplier", step.lr_multiplier),
            ("train/grad_norm", step.grad_norm),
            ("train/tokens_per_second", step.tokens_per_second),
        ];
        self.append(&MetricsRecord::Train(step.clone()), step.step, &scalars)
    }
    pub(crate) fn eval(&mut self, point: &EvalPoint) -> Result<(), TrainError> {
        let scalars = [("eval/bpb", point.bpb), ("eval/loss", point.loss)];
        self.append(&MetricsRecord::Eval(point.clone()), point.step, &scalars)
    }
    pub(crate) fn skipped(&mut self, step: &SkippedStep) -> Result<(), TrainError> {
        self.append(&MetricsRecord::Skipped(step.clone()), step.step, &[])
    }
    fn append(
        &mut self,
        record: &MetricsRecord,
        step: u64,
        scalars: &[(&str, f64)],
    ) -> Result<(), TrainError> {
        let Some(Files { path, file, events }) = &mut self.0 else { return Ok(()) };
        file.write_all(line(record).as_bytes()).map_err(TrainError::io("write", path))?;
        let written = events.scalars(step, now(), scalars).and_then(|()| events.flush());
        written.map_err(TrainError::io("write", events.path()))
    }
}

/// The records of a run; a torn last line is left out.
pub(crate) fn read(path: &Path) -> Result<Vec<MetricsRecord>, TrainError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(TrainError::io("read", path)(error)),
    }
}

fn line(record: &MetricsRecord) -> String {
    let mut line =
        serde_json::to_string(record).expect("plain numbers serialise, because they have no keys to clash");
    line.push('\n');
    line
}

fn record_step(record: &MetricsRecord) -> u64 {
    match record {
        MetricsRecord::Train(step) => step.step,
        MetricsRecord::Eval(point) => point.step,
        MetricsRecord::Skipped(skipped) => skipped.step,
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|d| d.as_secs_f64()).unwrap_or(0.0)
}
