//! Damaged checkpoints: each kind is named, and the one before is used.

use crate::{in_file_order, snapshot};
use expect_test::{Expect, expect};
use std::fs;
use std::path::Path;
use wootz_checkpoint::{Scope, digest, load_latest, newest_step_folder, save, step_folders};
use wootz_schema::{Diagnose, ExitCode};

fn check(damage: impl Fn(&Path), scope: Scope, expected: Expect) {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &snapshot(100)).unwrap();
    let newest = save(dir.path(), &snapshot(200)).unwrap();
    damage(&newest.folder);

    let latest = load_latest(dir.path(), scope).unwrap();
    let loaded = latest.loaded.unwrap();
    let skipped: Vec<String> = latest
        .skipped
        .iter()
        .map(|skipped| {
            assert_eq!(skipped.folder, newest.folder);
            assert_eq!(skipped.why.exit(), ExitCode::Usage);
            assert!(skipped.why.hint().is_some());
            let why = skipped.why.to_string().replace(dir.path().to_str().unwrap(), "DIR");
            format!("skipped: failed to {why}\n")
        })
        .collect();
    assert_eq!(loaded.snapshot.parameters, in_file_order(snapshot(loaded.snapshot.state.step)).parameters);
    expected.assert_eq(&format!("used step {}\n{}", loaded.snapshot.state.step, skipped.concat()));
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

fn truncate(path: &Path, by: u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - by).unwrap();
}

fn flip_last_bit(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn an_intact_newest_one_is_used() {
    check(
        |_| (),
        Scope::Everything,
        expect![[r#"
        used step 200
    "#]],
    );
}

#[test]
fn truncated_tensors() {
    check(
        |f| truncate(&f.join("model.safetensors"), 1000),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/model.safetensors: 3364 bytes where the manifest says 4364 (truncated by 1000 B)
    "#]],
    );
}

#[test]
fn truncated_to_nothing() {
    check(
        |f| fs::write(f.join("model.safetensors"), "").unwrap(),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/model.safetensors: 0 bytes where the manifest says 4364 (truncated by 4.3 KiB)
    "#]],
    );
}

#[test]
fn a_flipped_bit_in_a_tensor() {
    check(
        |f| flip_last_bit(&f.join("model.safetensors")),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/model.safetensors: its SHA-256 is d9ff4f64a9c4edb40316b69f3efaae36953d9f0becfe1cd942ed7c4fd3140a14, the manifest says 96b8a50c8a2ded3937b8e9f1752d8c49dac59940f9becbb7ddf563116d485ced
    "#]],
    );
}

#[test]
fn a_damaged_optimizer_matters_to_training_only() {
    let damage = |f: &Path| flip_last_bit(&f.join("optimizer/rank-0.safetensors"));
    check(
        damage,
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/optimizer/rank-0.safetensors: its SHA-256 is 81ba9901bb83cfd75f6b8894059049f1875f8987eb16bfa8db38b98867f18d1a, the manifest says 94f40fc03a05d54298c2b7517463b0fb7fa13abea23e11ce0b59a4f59999e6be
    "#]],
    );
    check(
        damage,
        Scope::Model,
        expect![[r#"
        used step 200
    "#]],
    );
}

#[test]
fn a_missing_file() {
    check(
        |f| fs::remove_file(f.join("optimizer/rank-0.safetensors")).unwrap(),
        Scope::Everything,
        expect![[r#"
            used step 100
            skipped: failed to read DIR/step-00000200/optimizer/rank-0.safetensors: the manifest names it, but it is missing
        "#]],
    );
}

#[test]
fn a_missing_manifest() {
    check(
        |f| fs::remove_file(f.join("manifest.json")).unwrap(),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200: no manifest.json in it
    "#]],
    );
}

#[test]
fn the_manifest_of_something_else() {
    check(
        |f| fs::write(f.join("manifest.json"), r#"{"version":1,"documents":3,"files":{}}"#).unwrap(),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200: its manifest.json is not that of a checkpoint
    "#]],
    );
}

#[test]
fn a_cut_manifest() {
    check(
        |f| truncate(&f.join("manifest.json"), 30),
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/manifest.json: not what was written: EOF while parsing a string at line 24 column 65
    "#]],
    );
}

#[test]
fn another_version() {
    let damage = |f: &Path| edit(&f.join("manifest.json"), "\"version\": 1", "\"version\": 2, \"new\": 0");
    check(
        damage,
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/manifest.json: format version 2, this wootz reads version 1
    "#]],
    );
}

#[test]
fn a_manifest_that_points_outside() {
    let damage = |f: &Path| edit(&f.join("manifest.json"), "\"state.json\"", "\"../state.json\"");
    check(
        damage,
        Scope::Everything,
        expect![[r#"
            used step 100
            skipped: failed to read DIR/step-00000200/manifest.json: it names the file "../state.json", which may lie outside the checkpoint
        "#]],
    );
}

#[test]
fn a_manifest_without_a_file() {
    let damage = |f: &Path| edit(&f.join("manifest.json"), "\"state.json\"", "\"other.json\"");
    check(
        damage,
        Scope::Everything,
        expect![[r#"
        used step 100
        skipped: failed to read DIR/step-00000200/manifest.json: it does not name state.json
    "#]],
    );
}

#[test]
fn an_edited_state() {
    check(
        |f| edit(&f.join("state.json"), "\"seed\": 7", "\"seed\": 8"),
        Scope::Everything,
        expect![[r#"
            used step 100
            skipped: failed to read DIR/step-00000200/state.json: its SHA-256 is 457f5d86479ac21ad1f041c9d21c9a0ce500c370679f8d8cab59f3d55b81a4ae, the manifest says a66911f0175f71d2104669dfd37797c4ebacc2924d103127df3cb6ef2303a64f
        "#]],
    );
}

#[test]
fn nothing_is_left_when_every_one_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    for step in [1, 2] {
        truncate(&save(dir.path(), &snapshot(step)).unwrap().folder.join("state.json"), 1);
    }
    let latest = load_latest(dir.path(), Scope::Everything).unwrap();
    assert!(latest.loaded.is_none());
    assert_eq!(latest.skipped.len(), 2);
    assert!(latest.skipped[0].folder.ends_with("step-00000002"));
    assert!(digest(&latest.skipped[0].folder).is_err());
}

#[test]
fn an_absent_folder_has_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let latest = load_latest(&dir.path().join("none"), Scope::Everything).unwrap();
    assert!(latest.loaded.is_none() && latest.skipped.is_empty());
    assert_eq!(newest_step_folder(&dir.path().join("none")).unwrap(), None);
}

#[test]
fn only_canonical_names_are_steps() {
    let dir = tempfile::tempdir().unwrap();
    for name in
        ["step-00000010", "step-123456789", "step-10", "step-", "step-0000001x", ".step-00000011.tmp-1"]
    {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let steps: Vec<u64> = step_folders(dir.path()).unwrap().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [10, 123_456_789]);
    assert_eq!(newest_step_folder(dir.path()).unwrap(), None);
}

/// A run that went back to step 100 reaches 200 again and replaces what was damaged there.
#[test]
fn a_damaged_step_is_replaced_and_a_whole_one_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let first = save(dir.path(), &snapshot(200)).unwrap();
    truncate(&first.folder.join("model.safetensors"), 1);
    let second = save(dir.path(), &snapshot(200)).unwrap();
    assert_eq!(second, first);
    assert_eq!(digest(&second.folder).unwrap(), first.digest);
    assert_eq!(save(dir.path(), &snapshot(200)).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
