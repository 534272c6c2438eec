//! The official client works with the fake hub, so that the fake one is right.

use super::python::{complaint, official, printed};
use std::fs;
use std::path::Path;
use wootz_stdx::digest::sha256_file;
use wootz_testkit::hub::{Access, Content, Fault, Hub, STRANGER, TOKEN};

/// A model and a data set, with a file in a folder and one that is apart from git.
fn hub() -> Hub {
    let hub = Hub::start();
    let weights: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    let model = [
        ("config.json", Content::git("{}")),
        ("deep/er/a b.txt", Content::git("text")),
        ("model.safetensors", Content::lfs(&weights)),
    ];
    hub.world().add("models", "me/tiny", &model);
    hub.world().add("datasets", "me/rows", &[("data/train.jsonl", Content::lfs("{\"a\": 1}\n{\"a\": 2}\n"))]);
    hub
}

fn download(hub: &Hub, home: &Path, token: Option<&str>, words: &[&str]) -> std::process::Output {
    official("hf", hub, home, token).arg("download").args(words).arg("--quiet").output().unwrap()
}

#[test]
fn it_downloads_a_model_and_a_data_set() {
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    hub.world().elsewhere = Some(hub.elsewhere.clone());
    hub.world().page = 2;
    let told = printed(&download(&hub, folder.path(), Some(TOKEN), &["me/tiny"]));
    let snapshot = Path::new(told.trim().rsplit('=').next().unwrap());
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap().len(), 100_000);
    assert_eq!(fs::read_to_string(snapshot.join("deep/er/a b.txt")).unwrap(), "text");
    printed(&download(&hub, folder.path(), None, &["me/rows", "--repo-type", "dataset"]));
    let rows = folder.path().join("hf/hub/datasets--me--rows/refs/main");
    assert_eq!(fs::read_to_string(rows).unwrap(), "0123456789abcdef0123456789abcdef01234567");
    // It knows that the token is not for the other host; so that host must be one to the double, too.
    let elsewhere = hub.elsewhere.trim_start_matches("http://").to_owned();
    let world = hub.world();
    assert!(world.log.iter().any(|asked| asked.host == elsewhere));
    for asked in world.log.iter().filter(|asked| asked.host == elsewhere) {
        assert_eq!(asked.authorization, None, "{asked:?}");
    }
}

#[test]
fn it_says_what_is_gated_and_what_is_missing() {
    let (hub, folder) = (hub(), tempfile::tempdir().unwrap());
    let said = |token, words: &[&str]| {
        let output = download(&hub, folder.path(), token, words);
        assert!(!output.status.success());
        complaint(&output)
    };
    for token in [None, Some(TOKEN)] {
        let missing = said(token, &["me/none"]);
        assert!(missing.contains("not found") || missing.contains("Not Found"), "{missing}");
    }
    let revision = said(None, &["me/tiny", "--revision", "v9"]);
    assert!(revision.contains("Revision"), "{revision}");
    let file = said(None, &["me/tiny", "none.bin"]);
    assert!(file.contains("none.bin"), "{file}");
    hub.world().repos.get_mut(&("models".to_owned(), "me/tiny".to_owned())).unwrap().access = Access::Gated;
    for token in [None, Some(STRANGER)] {
        let gated = said(token, &["me/tiny"]);
        assert!(gated.contains("requires approval"), "{gated}");
    }
    printed(&download(&hub, folder.path(), Some(TOKEN), &["me/tiny"]));
}

#[test]
fn it_goes_on_after_faults() {
    let (hub, folder, content) = (Hub::start(), tempfile::tempdir().unwrap(), Content::Generated(24 << 20));
    hub.world().add("models", "me/big", &[("big.bin", content.clone())]);
    // It keeps whole pieces of 10 MiB.
    hub.world().faults = [Fault::TooMany(0), Fault::Cut(15 << 20)].into();
    let told = printed(&download(&hub, folder.path(), None, &["me/big", "big.bin"]));
    let path = Path::new(told.trim().rsplit('=').next().unwrap());
    assert_eq!(sha256_file(path).unwrap(), (content.sha256(), 24 << 20));
    let ranges: Vec<_> = hub.world().fetched().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some("bytes=10485760-".to_owned())]);
}
