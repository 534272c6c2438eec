//! One file per kind of step.
//!
//! A file holds the settings of its kind (the block a plan writes under the kind's name), and the call they lead
//! to. What a step leaves for the steps after it is named by a constant beside it.

mod command;
mod container_job;
mod corpus;
mod dataset;
mod download;
mod eval;
mod gate;
mod hf_download_dataset;
mod hf_download_model;
mod images;
mod report;
mod spack_environment;
mod tokenizer;
mod train;

pub use dataset::documents_file;
pub use eval::EVAL_FILE;
pub use gate::{METRICS_FILE, VERDICT_FILE, evidence};
pub use tokenizer::{Learned, TOKENIZER_FILE, train_tokenizer};
pub use train::{pretrain, pretrain_among};

use crate::device::Machine;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs;
use std::path::{Path, PathBuf};
use wootz_pipeline::{Registry, StepError, settings};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_stdx::file::write_atomic;

/// Every kind of step that a plan can name; those that train run on a device of this machine.
pub fn registry(machine: &Machine) -> Registry {
    let mut registry = Registry::new();
    registry.register(command::Command { kind: "command" });
    registry.register(command::Command { kind: "package_build" });
    registry.register(download::Download { stores: machine.stores.clone() });
    registry.register(hf_download_dataset::HfDownloadDataset { place: machine.hub.clone() });
    registry.register(hf_download_model::HfDownloadModel { place: machine.hub.clone() });
    for what in [images::What::Build, images::What::Push] {
        registry.register(images::Image { what, programs: machine.programs.clone() });
    }
    registry.register(container_job::ContainerJob { container: machine.container.clone() });
    registry.register(spack_environment::SpackEnvironment);
    registry.register(corpus::Corpus);
    registry.register(tokenizer::TokenizerStep);
    registry.register(dataset::Dataset);
    registry.register(train::Train { machine: machine.clone() });
    registry.register(eval::Eval);
    registry.register(gate::Gate);
    registry.register(report::Report);
    registry
}

/// The error of a file operation: what was tried, on which path, and what the system said.
pub fn io(what: &str, path: &Path, error: &std::io::Error) -> StepError {
    let exit = exit_of_io(error);
    StepError {
        hint: hint_of_io(error),
        exit,
        ..StepError::failed(format!("{what} {}: {error}", path.display()))
    }
}

/// Reads a JSON file that another step left.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, StepError> {
    let text = fs::read_to_string(path).map_err(|error| io("read", path, &error))?;
    serde_json::from_str(&text)
        .map_err(|error| StepError::usage(format!("read {}:{}: {error}", path.display(), error.line())))
}

/// Writes a JSON file for people and programs, whole or not at all.
fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), StepError> {
    let mut bytes =
        serde_json::to_vec_pretty(value).expect("because stored types have string keys and no failing parts");
    bytes.push(b'\n');
    write_atomic(path, &bytes).map_err(|error| io("write", path, &error))
}

/// Settings that are a library's options and beside them keys of the step's own: takes the own keys out.
fn apart<Own: DeserializeOwned, Options: DeserializeOwned>(
    config: &Value,
    own_keys: &[&str],
) -> Result<(Own, Options), StepError> {
    let empty = Map::new();
    let all = config.as_object().unwrap_or(&empty);
    let (own, options): (Map<String, Value>, Map<String, Value>) =
        all.clone().into_iter().partition(|(key, _)| own_keys.contains(&key.as_str()));
    // The options first: a mistyped key of either kind lands there, and it explains a missing one.
    let options = settings(&Value::Object(options)).map_err(|error| match error.key {
        Some(_) => StepError { message: format!("{}, {}", error.message, own_keys.join(", ")), ..error },
        None => error,
    })?;
    Ok((settings(&Value::Object(own))?, options))
}

/// Whether a setting still stands for another step's output, so that its file cannot be looked at yet.
fn is_pending(path: &Path) -> bool {
    path.to_string_lossy().contains("${steps.")
}

/// The files among a step's settings that exist outside the run: what its result depends on beside other steps.
fn outside(paths: &[&PathBuf]) -> Vec<PathBuf> {
    paths.iter().filter(|path| !is_pending(path)).map(|path| (*path).clone()).collect()
}

/// Empties a work folder: for steps that cannot go on with what a killed attempt left.
fn fresh(work: &Path) -> Result<(), StepError> {
    let entries = fs::read_dir(work).map_err(|error| io("read", work, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| io("read", work, &error))?.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| io("remove", &path, &error))?;
    }
    Ok(())
}
