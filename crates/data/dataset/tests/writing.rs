//! Documents to shards.

use crate::{DATASET, document, options, texts_of, write_documents};
use std::collections::BTreeSet;
use wootz_dataset::{DatasetManifest, DatasetOptions, Split, inspect, rows, stats, write};
use wootz_schema::dataset::{Inspection, ValidationUnit};
use wootz_schema::progress::Silent;

fn manifest() -> DatasetManifest {
    serde_json::from_slice(&std::fs::read(DATASET.1.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn every_document_is_in_one_shard_and_no_project_in_both_parts() {
    let manifest = manifest();
    assert!(manifest.shards.len() > 3, "several training shards");
    assert_eq!(manifest.validation_unit, ValidationUnit::Repo);
    let mut found: Vec<(String, Split)> = Vec::new();
    for shard in &manifest.shards {
        let texts = texts_of(&DATASET.1.join(&shard.file));
        assert_eq!(texts.len() as u64, shard.documents);
        assert_eq!(texts.iter().map(String::len).sum::<usize>() as u64, shard.text_bytes);
        found.extend(texts.into_iter().map(|text| (text, shard.split)));
    }
    assert_eq!(manifest.shards.iter().filter(|s| s.split == Split::Validation).count(), 1);
    assert_eq!(manifest.shards.last().unwrap().split, Split::Validation);
    let share = manifest.validation.text_bytes as f64
        / (manifest.validation.text_bytes + manifest.train.text_bytes) as f64;
    assert!((0.025..0.0625).contains(&share), "{share}");

    let documents: Vec<_> = (0..900).map(document).collect();
    let in_order: Vec<&String> = documents.iter().map(|d| &d.text).collect();
    assert_ne!(found.iter().map(|(text, _)| text).collect::<Vec<_>>(), in_order, "shuffled");
    assert_eq!(found.iter().map(|(text, _)| text).collect::<BTreeSet<_>>(), in_order.into_iter().collect());
    let repos = |split: Split| -> BTreeSet<&str> {
        let texts: BTreeSet<&String> =
            found.iter().filter(|(_, s)| *s == split).map(|(text, _)| text).collect();
        documents.iter().filter(|d| texts.contains(&d.text)).map(|d| d.repo.as_str()).collect()
    };
    assert!(repos(Split::Train).is_disjoint(&repos(Split::Validation)));
}

#[test]
fn the_same_documents_and_seed_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let documents = write_documents(folder.path(), 900);
    for time in 0..10 {
        let again = folder.path().join("again");
        std::fs::create_dir(&again).unwrap(); // an empty folder is no obstacle
        // The manifest holds every shard's digest.
        assert_eq!(write(&documents, &again, &options(), &Silent).unwrap(), manifest(), "time {time}");
        std::fs::remove_dir_all(&again).unwrap();
    }
    let reseeded = DatasetOptions { seed: 4, ..options() };
    assert_ne!(
        write(&documents, &folder.path().join("other"), &reseeded, &Silent).unwrap().shards,
        manifest().shards
    );
    let names: BTreeSet<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "no temporary folder is left: {names:?}");
}

#[test]
fn inspect_and_stats_count_what_was_written() {
    let Inspection::Dataset(dataset) = inspect(&DATASET.1).unwrap() else { panic!("a dataset folder") };
    let manifest = dataset.manifest.unwrap();
    assert_eq!(dataset.shards.iter().map(|s| s.documents).sum::<u64>(), 900);
    assert_eq!(dataset.shards[0].split, Some(Split::Train));
    let stats = stats(&DATASET.1, Split::Train, Some(&crate::TOKENIZER), 2, &Silent).unwrap();
    assert_eq!((stats.documents, stats.text_bytes), (manifest.train.documents, manifest.train.text_bytes));
    let quantiles = stats.tokens_per_document;
    assert!(
        quantiles.min <= quantiles.p50 && quantiles.p50 < quantiles.p99 && quantiles.p99 <= quantiles.max
    );
    assert!(stats.tokens > stats.documents && stats.tokens < stats.text_bytes);
}

#[test]
fn rows_are_counted_by_the_kind_of_file() {
    for shard in &manifest().shards {
        let path = DATASET.1.join(&shard.file);
        assert_eq!(rows(&path).unwrap(), Some(shard.documents));
        std::fs::copy(&path, DATASET.0.path().join("other.csv")).unwrap();
    }
    assert_eq!(rows(&DATASET.0.path().join("documents.jsonl")).unwrap(), Some(900));
    assert_eq!(rows(&DATASET.0.path().join("other.csv")).unwrap(), None);
    let lines = DATASET.0.path().join("lines.jsonl");
    for (text, count) in [("", 0), ("{}", 1), ("{}\n", 1), ("{}\n\n \n{}", 2)] {
        std::fs::write(&lines, text).unwrap();
        assert_eq!(rows(&lines).unwrap(), Some(count), "{text:?}");
    }
    std::fs::write(DATASET.0.path().join("broken.parquet"), "PAR1").unwrap();
    assert!(rows(&DATASET.0.path().join("broken.parquet")).is_err());
}
