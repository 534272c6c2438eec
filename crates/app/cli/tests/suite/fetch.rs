//! Downloads by the binary: killed, stopped, on a full disk, large, several at once.

#![allow(clippy::unwrap_used, reason = "a server that cannot be set up has failed")]

use serde_json::Value;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;
use wootz_testkit::hub::{Content, Fault, Hub};

const MIB: u64 = 1 << 20;

fn hub(name: &str, content: Content) -> Hub {
    let hub = Hub::start();
    hub.world().files.insert(name.to_owned(), content);
    hub
}

fn fetch(hub: &Hub, folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
    command.current_dir(folder).env_remove("HTTP_PROXY").env_remove("http_proxy").env("NO_PROXY", "*");
    command.args(["fetch", &format!("{}/files/big.bin", hub.url), "--quiet", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn told(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// Waits until the part has so many bytes.
fn wait_for_part(folder: &Path, bytes: u64) {
    while fs::metadata(folder.join(".big.bin.part")).map_or(0, |data| data.len()) < bytes {
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_it_goes_on_with_the_missing_bytes_alone() {
    let content = Content::Generated(24 * MIB);
    let hub = hub("big.bin", content.clone());
    let folder = tempfile::tempdir().unwrap();
    // The server stops in the middle, so that the kill finds it there.
    hub.world().faults.push_back(Fault::Silent(9 * MIB));
    let mut child = fetch(&hub, folder.path()).spawn().unwrap();
    wait_for_part(folder.path(), 9 * MIB);
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert!(!folder.path().join("big.bin").exists());
    let output = fetch(&hub, folder.path()).output().unwrap();
    assert_eq!(told(&output)["sha256"], content.sha256().as_str());
    let ranges: Vec<_> = hub.world().fetched().into_iter().map(|(_, range)| range).collect();
    assert_eq!(ranges, [None, Some(format!("bytes={}-", 9 * MIB))]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_full_disk_is_one_error_and_what_came_stays() {
    let content = Content::Generated(8 * MIB);
    let hub = hub("big.bin", content.clone());
    let folder = tempfile::tempdir().unwrap();
    let limit = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"";
    let small = fetch(&hub, folder.path());
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(limit).arg(small.get_program()).args(small.get_args()).current_dir(folder.path());
    let output = shell.output().unwrap();
    let error = told(&output)["error"].to_string();
    assert!(error.contains("write") && error.contains(".big.bin.part"), "{error}");
    assert!(output.status.code().is_some_and(|code| code != 0));
    let length = fs::metadata(folder.path().join(".big.bin.part")).unwrap().len();
    assert_eq!(length, 4 * MIB);
    assert_eq!(hub.world().fetched().len(), 1, "it is not tried again");
    told(&fetch(&hub, folder.path()).output().unwrap());
    assert_eq!(hub.world().fetched()[1].1, Some(format!("bytes={length}-")));
}

#[test]
fn a_gigabyte_takes_little_memory() {
    let hub = hub("big.bin", Content::Generated(1024 * MIB));
    let folder = tempfile::tempdir().unwrap();
    let mut child = fetch(&hub, folder.path()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak_kib = kib.unwrap_or(0).max(peak_kib);
        thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(told(&output)["bytes"], 1024 * MIB);
    assert!((1..=64 * 1024).contains(&peak_kib), "{peak_kib} KiB");
}

#[test]
fn two_at_once_fetch_it_once() {
    let content = Content::Generated(16 * MIB);
    let hub = hub("big.bin", content.clone());
    let (folder, sha256) = (tempfile::tempdir().unwrap(), content.sha256());
    let start = || fetch(&hub, folder.path()).args(["--sha256", &sha256]).spawn().unwrap();
    let all = [start(), start(), start()].map(|child| told(&child.wait_with_output().unwrap()));
    assert!(all.iter().all(|told| told["sha256"] == sha256.as_str()), "{all:?}");
    assert_eq!(all.iter().filter(|told| told["was_there"] == false).count(), 1);
    assert_eq!(hub.world().fetched().len(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_model_comes_by_the_binary_and_the_token_is_not_seen() {
    let hub = Hub::start();
    let files = [("config.json", Content::git("{}")), ("model.safetensors", Content::lfs("weights"))];
    hub.world().add("models", "me/tiny", &files).access = wootz_testkit::hub::Access::Private;
    let folder = tempfile::tempdir().unwrap();
    let download = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.args(["hub", "download", "me/tiny", "--json"]).args(words).env("NO_PROXY", "*");
        command.env("HF_ENDPOINT", &hub.url).env("HF_HOME", folder.path()).env_remove("HF_TOKEN");
        command.output().unwrap()
    };
    let output = download(&[]);
    assert!(told(&output)["error"].to_string().contains("private"), "{output:?}");
    fs::write(folder.path().join("token"), format!("{}\n", wootz_testkit::hub::TOKEN)).unwrap();
    let output = download(&["--include", "*.json"]);
    let snapshot = &told(&output)["snapshot"];
    assert_eq!(snapshot["files"].as_array().unwrap().len(), 1);
    assert!(Path::new(snapshot["folder"].as_str().unwrap()).starts_with(folder.path().join("hub")));
    for stream in [output.stdout, output.stderr] {
        assert!(!String::from_utf8_lossy(&stream).contains("hf_"));
    }
}
