//! Files arrive whole or not at all, and what has come is not asked for again.

use super::server::{Fault, Server};
use proptest::collection::vec;
use proptest::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;
use wootz_fetch::{Check, FetchError, Fetched, Fetcher, Pace, Wanted};
use wootz_schema::progress::Silent;
use wootz_stdx::digest::sha256;

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn fetch(url: &str, path: &Path, sha256: Option<&str>, attempts: u32) -> Result<Fetched, FetchError> {
    let wait = Duration::from_millis(1);
    let pace = Pace { attempts, first_wait: wait, longest_wait: wait * 4, ..Pace::default() };
    Fetcher::new(pace, &Silent, &AtomicBool::new(false)).fetch(&Wanted {
        url,
        path,
        check: sha256.map(Check::Sha256),
        bearer: None,
    })
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn only_missing_bytes_are_asked_for_by_the_next_process() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(300_000));
    let server = Server::start(&content, &[Fault::Cut(1000)]);
    let path = folder.path().join("deep/file");
    assert!(matches!(fetch(&server.url, &path, None, 1), Err(FetchError::Lost { .. })));
    assert!(!path.exists());
    let fetched = fetch(&server.url, &path, Some(&sha256(&content).to_uppercase()), 1).unwrap();
    assert_eq!(fetched, Fetched { sha256: sha256(&content), bytes: 300_000, was_there: false });
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(server.world.lock().unwrap().log, [None, Some("bytes=1000-".to_owned())]);
    assert_eq!(names(path.parent().unwrap()), ["file"]);
}

#[test]
fn a_source_that_changed_is_fetched_anew() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(5000));
    let server = Server::start(&bytes(9000)[3000..], &[Fault::Cut(1000)]);
    let path = folder.path().join("file");
    assert!(fetch(&server.url, &path, None, 1).is_err());
    server.world.lock().unwrap().bytes = content.clone();
    server.world.lock().unwrap().faults.push_back(Fault::Changed);
    fetch(&server.url, &path, None, 1).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
}

#[test]
fn a_file_with_the_wanted_hash_is_left_alone_and_wrong_bytes_never_arrive() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(5000));
    let server = Server::start(&content, &[]);
    let path = folder.path().join("file");
    fs::write(&path, &content).unwrap();
    assert!(fetch(&server.url, &path, Some(&sha256(&content)), 1).unwrap().was_there);
    assert!(server.world.lock().unwrap().log.is_empty());
    let error = fetch(&server.url, &path, Some(&sha256(b"other")), 1).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(names(folder.path()), ["file"]);
}

#[test]
fn refusals_are_final_and_messages_hold_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(b"x", &[Fault::Status(404)]);
    let url = format!("{}?token=s3cret", server.url.replace("//", "//me:s3cret@"));
    let error = fetch(&url, &folder.path().join("file"), None, 5).unwrap_err();
    assert!(matches!(error, FetchError::Refused { status: 404, .. }), "{error}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    assert_eq!(server.world.lock().unwrap().log.len(), 1);
    let error = fetch("ftp://me:s3cret@host/x", &folder.path().join("file"), None, 5).unwrap_err();
    assert_eq!(error.to_string(), "fetch ftp://host/x: its scheme is none of http, https, s3, gs and file");
}

#[test]
fn a_silence_is_an_end_after_which_it_goes_on() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(5000));
    let server = Server::start(&content, &[Fault::Silent(2000)]);
    let path = folder.path().join("file");
    let wait = Duration::from_millis(50);
    let pace = Pace { attempts: 2, first_wait: wait, silence: wait, ..Pace::default() };
    let wanted = Wanted { url: &server.url, path: &path, check: None, bearer: None };
    Fetcher::new(pace, &Silent, &AtomicBool::new(false)).fetch(&wanted).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(server.world.lock().unwrap().log, [None, Some("bytes=2000-".to_owned())]);
    assert_eq!(Pace::default().silence, Duration::from_secs(60));
}

#[test]
fn a_local_file_is_copied() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(200_000));
    fs::write(folder.path().join("a b"), &content).unwrap();
    let url = format!("file://{}/a%20b", folder.path().display());
    fetch(&url, &folder.path().join("copy"), Some(&sha256(&content)), 1).unwrap();
    assert_eq!(fs::read(folder.path().join("copy")).unwrap(), content);
}

#[test]
fn two_at_once_do_not_mix_their_bytes() {
    let (folder, content) = (tempfile::tempdir().unwrap(), bytes(2_000_000));
    let server = Server::start(&content, &[Fault::Cut(70_000), Fault::Cut(500_000)]);
    let (path, hash) = (folder.path().join("file"), sha256(&content));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fetch(&server.url, &path, Some(&hash), 4).unwrap());
        }
    });
    assert_eq!(fs::read(&path).unwrap(), content);
    assert_eq!(names(folder.path()), ["file"]);
    // The others waited, and found it there.
    assert_eq!(server.world.lock().unwrap().log.len(), 3);
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (0..20_000usize).prop_map(Fault::Cut),
        (0..20_000usize).prop_map(Fault::WholeThenCut),
        prop_oneof![Just(429), Just(500), Just(503)].prop_map(Fault::Status),
        Just(Fault::Changed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_faults_end_in_the_right_bytes_or_in_an_error_after_which_it_goes_on(
        faults in vec(fault(), 0..8), attempts in 1..4u32, length in 0..20_000usize,
    ) {
        let (folder, content) = (tempfile::tempdir().unwrap(), bytes(length));
        let server = Server::start(&content, &faults);
        let path = folder.path().join("file");
        let mut tries = 0;
        while let Err(error) = fetch(&server.url, &path, None, attempts) {
            prop_assert!(matches!(error, FetchError::Lost { .. }), "{}", error);
            prop_assert!(!path.exists() && folder.path().join(".file.part").exists());
            tries += 1;
            prop_assert!(tries <= faults.len());
        }
        prop_assert_eq!(fs::read(&path).unwrap(), content);
        prop_assert_eq!(names(folder.path()), ["file"]);
    }
}
