//! The steps that download from a model hub.

use super::steps::run_on;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use wootz_pipeline::{RunView, StepError, StepOutcome};
use wootz_schema::hub::{HubKind, HubSnapshot};
use wootz_schema::metrics::Metric;
use wootz_stations::device::Machine;
use wootz_testkit::hub::{Access, Content, Hub};

fn step(hub: &Hub, kind: &str, work: &Path, config: &Value) -> Result<StepOutcome, StepError> {
    let place = wootz_hub::Place { endpoint: Some(hub.url.clone()), ..wootz_hub::Place::default() };
    let machine = Machine { hub: place, ..Machine::default() };
    run_on(&machine, kind, work, &RunView::default(), config)
}

fn told(work: &Path) -> HubSnapshot {
    serde_json::from_slice(&fs::read(work.join("snapshot.json")).unwrap()).unwrap()
}

#[test]
fn a_model_is_in_the_cache_and_the_output_says_where() {
    let (hub, folder) = (Hub::start(), tempfile::tempdir().unwrap());
    let files = [("config.json", Content::git("{}")), ("model.safetensors", Content::lfs("weights"))];
    hub.world().add("models", "me/tiny", &files);
    let work = folder.path().join("work");
    let config = json!({"model_id": "me/tiny", "cache_dir": folder.path().join("cache")});
    let outcome = step(&hub, "hf_download_model", &work, &config).unwrap();
    let told = told(&work);
    assert_eq!((told.kind, told.repo.as_str(), told.files.len()), (HubKind::Model, "me/tiny", 2));
    assert_eq!(fs::read_to_string(Path::new(&told.folder).join("model.safetensors")).unwrap(), "weights");
    assert_eq!(outcome.metrics["fetched_bytes"], Metric::Number(9.0));
    // Again: nothing comes.
    let outcome = step(&hub, "hf_download_model", &work, &config).unwrap();
    assert_eq!(outcome.metrics["fetched_bytes"], Metric::Number(0.0));
    let only =
        json!({"model_id": "me/tiny", "cache_dir": folder.path().join("cache"), "include": ["*.json"]});
    step(&hub, "hf_download_model", &work, &only).unwrap();
    assert_eq!(self::told(&work).files.len(), 1);
}

#[test]
fn a_split_of_a_data_set_is_fetched_and_its_rows_are_counted() {
    let (hub, folder) = (Hub::start(), tempfile::tempdir().unwrap());
    let rows = |count: usize| Content::lfs("{\"a\": 1}\n".repeat(count));
    let files = [
        ("README.md", Content::git("# Rows\n")),
        ("data/train-[0].jsonl", rows(70)),
        ("data/train-1.jsonl", rows(80)),
        ("data/test.jsonl", rows(3)),
        ("plain/train.csv", Content::git("a\n1\n")),
    ];
    hub.world().add("datasets", "me/rows", &files);
    let work = folder.path().join("work");
    let run = |more: Value| {
        let mut config = json!({"dataset_id": "me/rows", "config": "data", "cache_dir": folder.path()});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step(&hub, "hf_download_dataset", &work, &config)
    };
    let outcome = run(json!({})).unwrap();
    assert_eq!(outcome.metrics["rows"], Metric::Number(100.0), "the first hundred, if nothing else is said");
    assert!(outcome.summary.starts_with("100 rows of train[:100]: 3 files"), "{}", outcome.summary);
    assert_eq!(told(&work).split.unwrap().rows, Some(100));
    assert_eq!(run(json!({"split": "train"})).unwrap().metrics["rows"], Metric::Number(150.0));
    assert_eq!(run(json!({"split": "test"})).unwrap().metrics["rows"], Metric::Number(3.0));
    let outcome = run(json!({"config": "plain"})).unwrap();
    assert!(!outcome.metrics.contains_key("rows"), "rows of this kind are not counted");
    let error = run(json!({"split": "validation"})).unwrap_err();
    assert!(error.message.contains("no files of the split \"validation\""), "{}", error.message);
    assert!(run(json!({"split": "train["})).unwrap_err().message.contains("is no split"));
}

#[test]
fn what_the_hub_refuses_is_not_tried_again() {
    let (hub, folder) = (Hub::start(), tempfile::tempdir().unwrap());
    hub.world().add("models", "me/tiny", &[("a", Content::git("a"))]).access = Access::Gated;
    for (name, expected) in [("me/tiny", "is gated"), ("me/none", "is private")] {
        let config = json!({"model_id": name, "cache_dir": folder.path()});
        let error = step(&hub, "hf_download_model", &folder.path().join("work"), &config).unwrap_err();
        assert!(error.message.contains(expected) && !error.retryable, "{error:?}");
        assert!(error.hint.is_some());
    }
}
