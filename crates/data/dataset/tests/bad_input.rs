//! What is wrong is named, with the file and the fix.

use crate::{DATASET, TOKENIZER, copy_of_dataset, options, write_documents};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use wootz_dataset::{
    Cursor, DatasetError, DatasetOptions, Loader, Split, inspect, load_tokenizer, pack, save_tokenizer,
    train_tokenizer, write,
};
use wootz_schema::progress::Silent;
use wootz_schema::{Diagnose, ExitCode};
use wootz_tokenizer::TokenizerOptions;

fn open(dir: &Path, split: Split, cursor: Option<Cursor>) -> Result<Loader, DatasetError> {
    Loader::open(dir, split, Arc::clone(&TOKENIZER), 1, 8, 1, cursor)
}

/// The error says all of `parts`, comes with a hint, and ends a command with `exit`.
#[track_caller]
fn check(error: &DatasetError, exit: ExitCode, parts: &[&str]) {
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
    assert_eq!(error.exit(), exit, "{message}");
    assert!(error.hint().is_some(), "{message}");
}

/// Reads rows until the loader fails.
fn first_error(dir: &Path) -> DatasetError {
    let mut loader = match open(dir, Split::Train, None) {
        Ok(loader) => loader,
        Err(error) => return error,
    };
    let mut row = [0; 9];
    (0..10_000).find_map(|_| loader.next_batch(&mut row).err()).expect("an error within the first pass")
}

#[test]
fn rows_of_no_tokens() {
    let copy = copy_of_dataset();
    let out = copy.path().join("rows.npy");
    let error = pack(copy.path(), Split::Train, Arc::clone(&TOKENIZER), 0, &out, 1, &Silent).unwrap_err();
    check(&error, ExitCode::Usage, &["sequence_len", "above 0"]);
    assert!(!out.exists());
}

#[test]
fn a_truncated_shard() {
    let copy = copy_of_dataset();
    let shard = copy.path().join("shard_00001.parquet");
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..bytes.len() / 2]).unwrap();
    check(&first_error(copy.path()), ExitCode::Usage, &["shard_00001.parquet", "the manifest says"]);
    fs::remove_file(copy.path().join("manifest.json")).unwrap();
    check(&first_error(copy.path()), ExitCode::Usage, &["read the shard", "shard_00001.parquet"]);
}

#[test]
fn a_changed_shard() {
    let copy = copy_of_dataset();
    let shard = copy.path().join("shard_00001.parquet");
    let mut bytes = fs::read(&shard).unwrap();
    bytes[1000] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let error = first_error(copy.path());
    check(&error, ExitCode::Usage, &["shard_00001.parquet", "SHA-256"]);
    assert!(error.hint().unwrap().contains("build the dataset again"));
}

#[test]
fn a_shard_that_is_missing_or_too_many() {
    let copy = copy_of_dataset();
    fs::write(copy.path().join("shard_99999.parquet"), "").unwrap();
    check(&first_error(copy.path()), ExitCode::Usage, &["shard_99999.parquet", "does not name it"]);
    fs::remove_file(copy.path().join("shard_99999.parquet")).unwrap();
    fs::remove_file(copy.path().join("shard_00000.parquet")).unwrap();
    check(&first_error(copy.path()), ExitCode::Usage, &["shard_00000.parquet", "the manifest names it"]);
}

#[test]
fn a_failed_loader_stays_failed() {
    let copy = copy_of_dataset();
    fs::remove_file(copy.path().join("manifest.json")).unwrap();
    let mut loader = open(copy.path(), Split::Validation, None).unwrap();
    let mut row = [0; 9];
    loader.next_batch(&mut row).unwrap();
    let last = fs::read_dir(copy.path()).unwrap().map(|e| e.unwrap().path()).max().unwrap();
    fs::write(&last, "no parquet").unwrap();
    let errors: Vec<_> = (0..100_000).filter_map(|_| loader.next_batch(&mut row).err()).take(2).collect();
    check(&errors[0], ExitCode::Usage, &["read the shard"]);
    assert!(matches!(errors[1], DatasetError::Stopped));
}

#[test]
fn folders_without_shards_or_split() {
    let folder = tempfile::tempdir().unwrap();
    check(&first_error(folder.path()), ExitCode::Usage, &["holds no .parquet file"]);
    check(&first_error(&folder.path().join("none")), ExitCode::Usage, &["none"]);
    fs::copy(DATASET.1.join("shard_00000.parquet"), folder.path().join("a.parquet")).unwrap();
    check(&first_error(folder.path()), ExitCode::Usage, &["training split", "holds no document"]);
    open(folder.path(), Split::Validation, None).unwrap();
    check(&inspect(&DATASET.1.join("manifest.json")).unwrap_err(), ExitCode::Usage, &["neither"]);
}

#[test]
fn cursors_of_another_dataset() {
    let mut loader = open(&DATASET.1, Split::Train, None).unwrap();
    loader.next_batch(&mut [0; 9]).unwrap();
    let cursor = loader.cursor();
    let refused = |cursor: Cursor, split| open(&DATASET.1, split, Some(cursor)).unwrap_err();
    check(
        &refused(cursor.clone(), Split::Validation),
        ExitCode::Usage,
        &["documents, and the cursor was made on"],
    );
    let within = Cursor { documents: cursor.documents + 1, ..cursor.clone() };
    check(&refused(within, Split::Train), ExitCode::Usage, &["within a batch"]);
    let ahead = Cursor { buffered: vec![cursor.documents], ..cursor };
    check(&refused(ahead, Split::Train), ExitCode::Usage, &["has not read it"]);
}

#[test]
fn documents_that_make_no_dataset() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let documents = write_documents(folder.path(), 20);
    let refused = |options: DatasetOptions| write(&documents, &out, &options, &Silent).unwrap_err();
    check(
        &refused(DatasetOptions { validation_share: 0.0, ..options() }),
        ExitCode::Usage,
        &["validation_share"],
    );
    check(
        &refused(DatasetOptions { validation_share: f64::NAN, ..options() }),
        ExitCode::Usage,
        &["validation_share"],
    );
    check(&refused(DatasetOptions { shard_bytes: 0, ..options() }), ExitCode::Usage, &["shard_bytes"]);
    check(
        &refused(DatasetOptions { row_group_documents: 0, ..options() }),
        ExitCode::Usage,
        &["row_group_documents"],
    );

    let text = fs::read_to_string(&documents).unwrap();
    fs::write(&documents, text.replacen("\"license\"", "\"licence\"", 3)).unwrap();
    check(&refused(options()), ExitCode::Usage, &["documents.jsonl:1:", "licence"]);
    fs::write(&documents, text.lines().next().unwrap()).unwrap();
    check(&refused(options()), ExitCode::Usage, &["documents of 1 source files"]);
    fs::write(&documents, "").unwrap();
    check(&refused(options()), ExitCode::Usage, &["documents of 0 source files"]);
    fs::remove_file(&documents).unwrap();
    check(&refused(options()), ExitCode::Usage, &["documents.jsonl"]);

    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing half-written is left");
    fs::write(&out, "mine").unwrap();
    check(&refused(options()), ExitCode::Usage, &["something of that name"]);
    assert_eq!(fs::read(&out).unwrap(), b"mine");
}

#[test]
fn tokenizer_files() {
    let folder = tempfile::tempdir().unwrap();
    let documents = write_documents(folder.path(), 50);
    let options = TokenizerOptions { vocab_size: 350, ..TokenizerOptions::default() };
    let trained = train_tokenizer(&documents, &options, 2, &Silent).unwrap();
    assert_eq!((trained.documents, trained.tokenizer.vocab_size()), (50, 350));
    let path = folder.path().join("tokenizer.json");
    save_tokenizer(&trained.tokenizer, &path).unwrap();
    assert_eq!(load_tokenizer(&path).unwrap().to_json(), trained.tokenizer.to_json());
    fs::write(&path, "{}").unwrap();
    check(&load_tokenizer(&path).unwrap_err(), ExitCode::Usage, &["tokenizer.json", "missing field"]);
    fs::write(&documents, "").unwrap();
    check(&train_tokenizer(&documents, &options, 2, &Silent).unwrap_err(), ExitCode::Usage, &["no text"]);
}

#[test]
fn option_blocks_refuse_unknown_keys() {
    assert!(serde_json::from_str::<DatasetOptions>(r#"{"seed": 1}"#).is_ok());
    assert!(
        serde_json::from_str::<DatasetOptions>(r#"{"sead": 1}"#).unwrap_err().to_string().contains("sead")
    );
    assert!(
        serde_json::from_str::<TokenizerOptions>(r#"{"vocab": 1}"#)
            .unwrap_err()
            .to_string()
            .contains("vocab")
    );
}
