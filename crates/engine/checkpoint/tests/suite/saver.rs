//! The background saver: what stays, what goes, and where errors come out.

use crate::snapshot;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use wootz_checkpoint::{Retention, Saver, digest, save, step_folder};
use wootz_schema::{Diagnose, ExitCode};

fn retention(keep_last: usize, keep_every: Option<u64>) -> Retention {
    Retention { keep_last: NonZeroUsize::new(keep_last).unwrap(), keep_every }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn check_kept(retention: Retention, saved: &[u64], kept: &[u64]) {
    let dir = tempfile::tempdir().unwrap();
    let mut saver = Saver::new(dir.path(), retention).unwrap();
    for &step in saved {
        saver.save(snapshot(step)).unwrap();
    }
    let last = saver.finish().unwrap().unwrap();
    assert_eq!(last.step, *saved.last().unwrap());
    assert_eq!(digest(&last.folder).unwrap(), last.digest);
    let expected: Vec<String> = kept.iter().map(|step| format!("step-{step:08}")).collect();
    assert_eq!(names(dir.path()), expected);
}

#[test]
fn the_newest_stay() {
    check_kept(retention(1, None), &[1, 2, 3], &[3]);
    check_kept(retention(2, None), &[1, 2, 3], &[2, 3]);
    check_kept(retention(5, None), &[1, 2, 3], &[1, 2, 3]);
    check_kept(retention(1, Some(10)), &[5, 10, 15, 20, 25], &[10, 20, 25]);
    check_kept(retention(2, Some(10)), &[5, 10, 15, 20, 25], &[10, 20, 25]);
    check_kept(retention(1, Some(0)), &[5, 10], &[10]);
    // A run that went back: the newer folder is left until its step comes again.
    check_kept(retention(1, None), &[30, 10, 20], &[20, 30]);
}

#[test]
fn a_damaged_one_takes_no_place_of_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &snapshot(1)).unwrap();
    let damaged = save(dir.path(), &snapshot(2)).unwrap();
    fs::write(damaged.folder.join("state.json"), "").unwrap();
    let mut saver = Saver::new(dir.path(), retention(2, None)).unwrap();
    saver.save(snapshot(3)).unwrap();
    saver.finish().unwrap();
    assert_eq!(names(dir.path()), ["step-00000001", "step-00000003"]);
}

#[test]
fn what_a_killed_saver_left_is_swept() {
    let dir = tempfile::tempdir().unwrap();
    for name in [".step-00000009.tmp-4242", ".step-00000009.old.tmp-4242", "notes", ".hidden.tmp-1"] {
        fs::create_dir_all(dir.path().join(name).join("optimizer")).unwrap();
    }
    assert_eq!(Saver::new(dir.path(), retention(1, None)).unwrap().finish().unwrap(), None);
    assert_eq!(names(dir.path()), [".hidden.tmp-1", "notes"]);
}

#[test]
fn an_error_comes_out_at_the_next_call_and_the_saver_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut saver = Saver::new(dir.path(), retention(2, None)).unwrap();
    saver.save(snapshot(1)).unwrap();
    saver.save(snapshot(2)).unwrap();
    let mut twice = snapshot(3);
    twice.parameters.push(twice.parameters[0].clone());
    saver.save(twice.clone()).unwrap();
    assert_eq!(saver.save(snapshot(4)).unwrap_err().exit(), ExitCode::Bug);
    saver.save(snapshot(5)).unwrap();
    saver.save(twice).unwrap();
    assert_eq!(saver.finish().unwrap_err().exit(), ExitCode::Bug);
    assert_eq!(names(dir.path()), ["step-00000002", "step-00000005"]);
}

#[test]
fn a_drop_waits_for_the_save_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let mut saver = Saver::new(dir.path(), retention(1, None)).unwrap();
    saver.save(snapshot(1)).unwrap();
    drop(saver);
    digest(&step_folder(dir.path(), 1)).unwrap();
}
