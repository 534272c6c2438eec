//! Objects of stores by the binary and by a plan: the environment says where they are and who asks, and nothing says it to others.

#![allow(clippy::unwrap_used, reason = "a server that cannot be set up has failed")]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use wootz_testkit::gcs::{Gcs, TOKEN};
use wootz_testkit::s3::{Fault, GUEST, OWNER, S3};

/// The binary in a folder that is its user's home, with no variables but these.
fn wootz(folder: &Path, variables: &[(&str, &str)], words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder)
        .env("NO_PROXY", "*");
    command.envs(variables.iter().copied()).args(words);
    command
}

/// What it said, none of which is secret.
fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    for secret in ["s3cret", "X-Amz", "Signature="] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

fn s3(content: &[u8]) -> S3 {
    let s3 = S3::start();
    s3.world().put("b", "deep/rows#1.bin", content);
    s3
}

#[test]
fn an_object_of_s3_comes_with_the_keys_of_the_environment_or_of_the_file() {
    let content: Vec<u8> = (0..100_000u32).map(|at| (at % 251) as u8).collect();
    let (s3, folder) = (s3(&content), tempfile::tempdir().unwrap());
    let words = ["fetch", "s3://b/deep/rows#1.bin", "--json", "--quiet"];
    let endpoint = ("AWS_ENDPOINT_URL", s3.url.as_str());
    let output = wootz(folder.path(), &[endpoint], &words).output().unwrap();
    let error = said(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("answered 403 (AccessDenied)") && error.contains("AWS_SECRET_ACCESS_KEY"),
        "{error}"
    );
    s3.world().faults.push_back(Fault::Cut(40_000));
    let of_guest = [
        ("AWS_ENDPOINT_URL_S3", s3.url.as_str()),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", GUEST.key),
        ("AWS_SECRET_ACCESS_KEY", GUEST.secret),
        ("AWS_SESSION_TOKEN", GUEST.token.unwrap()),
    ];
    let output = wootz(folder.path(), &of_guest, &words).output().unwrap();
    let told: Value = serde_json::from_str(&said(&output)).unwrap();
    assert_eq!((&told["file"], &told["bytes"]), (&Value::from("rows#1.bin"), &Value::from(100_000)));
    assert_eq!(fs::read(folder.path().join("rows#1.bin")).unwrap(), content);
    assert_eq!(s3.world().fetched().last().unwrap().1.as_deref(), Some("bytes=40000-"));
    let keys = format!("[me]\naws_access_key_id = {}\naws_secret_access_key = {}\n", OWNER.key, OWNER.secret);
    fs::create_dir(folder.path().join(".aws")).unwrap();
    fs::write(folder.path().join(".aws/credentials"), keys).unwrap();
    for (profile, code) in [("me", 0), ("you", 2)] {
        let output = wootz(folder.path(), &[endpoint, ("AWS_PROFILE", profile)], &words).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    }
    s3.world().region = "eu-north-1".to_owned();
    let of_owner = [endpoint, ("AWS_PROFILE", "me"), ("AWS_DEFAULT_REGION", "eu-north-1")];
    assert_eq!(wootz(folder.path(), &of_owner, &words).output().unwrap().status.code(), Some(0));
}

#[test]
fn a_plan_downloads_from_both_stores_and_its_records_hold_no_secret() {
    let (s3, gcs, folder) = (s3(b"of s3"), Gcs::start(), tempfile::tempdir().unwrap());
    gcs.world().put("c", "deep/weights", b"of google");
    let plan = "
steps:
  - {id: one, type: download, download: {url: 's3://b/deep/rows#1.bin', output: got/rows}}
  - {id: two, type: download, download: {url: 'gs://c/deep/weights', output: got/weights}}
";
    fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", s3.url.as_str()),
        ("AWS_ACCESS_KEY_ID", OWNER.key),
        ("AWS_SECRET_ACCESS_KEY", OWNER.secret),
        ("STORAGE_EMULATOR_HOST", gcs.url.as_str()),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN),
    ];
    let output = wootz(folder.path(), &variables, &["run", "plan.yaml"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    said(&output);
    assert_eq!(fs::read(folder.path().join("got/rows")).unwrap(), b"of s3");
    assert_eq!(fs::read(folder.path().join("got/weights")).unwrap(), b"of google");
    let search = Command::new("grep").args(["-rlE", "s3cret|X-Amz"]).arg(folder.path()).output().unwrap();
    assert_eq!(String::from_utf8(search.stdout).unwrap(), "");
}
