//! Variants of wheels (PEP 825) and the status of projects (PEP 792): what an index tells of them, and what pip and uv make of it.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use super::index_clients::{installed, pip, uv, write_variant, write_wheel};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;

const SCHEMA: &str = "https://variants-schema.wheelnext.dev/peps/825/v0.1.1.json";

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("wheels")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.arg("index").args(args).current_dir(self.0.path()).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// What a command that must fail says.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn add(&self, more: &[&str]) -> Output {
        let args =
            ["add", "--catalogue", "c.jsonl", "--wheels-dir", "wheels", "--base-url", "http://127.0.0.1/w"];
        self.ok(&[&args, more].concat())
    }

    fn page(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path(&format!("index/simple/{name}"))).unwrap()).unwrap()
    }
}

/// What a wheel says of its variant.
fn told(namespaces: &[&str], label: &str, properties: Value) -> String {
    json!({ "$schema": SCHEMA, "default-priorities": { "namespace": namespaces }, "variants": { label: properties } }).to_string()
}

fn cuda(values: &[&str]) -> Value {
    json!({ "nvidia": { "cuda_version_lower_bound": values } })
}

const BUILD: [&str; 3] = ["build", "--catalogue", "c.jsonl"];

#[test]
fn variants_are_told_in_a_file_of_their_version() {
    let place = Place::new();
    let wheels = place.path("wheels");
    write_wheel(&wheels, "1.0", "py3-none-any", ">=3.8");
    let write = |version: &str, label: &str, json: &str| {
        write_variant(&wheels, version, "py3-none-any", ">=3.8", Some((label, json)))
    };
    let first = write("1.0", "cu128", &told(&["nvidia"], "cu128", cuda(&["12.8"])));
    write("1.0", "cu130", &told(&["nvidia", "x86_64"], "cu130", cuda(&["13.0"])));
    write("1.0", "null", &told(&["nvidia"], "null", json!({})));
    write("1.1", "cu130", &told(&["nvidia"], "cu130", cuda(&["13.0", "13.1"])));
    // Without the flag these are no names of wheels.
    let output = place.add(&[]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 added, 1 files\n");
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("Invalid wheel filename: {first}")));
    place.add(&["--variants"]);
    let error = place.refused(&BUILD);
    assert!(error.contains("c.jsonl:2") && error.contains("--variants"), "{error}");
    place.ok(&[&BUILD[..], &["--variants", "--json-tree"]].concat());

    let name = "demo_gpu-1.0-variants.json";
    let file = fs::read(place.path(&format!("index/simple/demo-gpu/{name}"))).unwrap();
    let expected = json!({
        "$schema": SCHEMA, "default-priorities": { "namespace": ["nvidia", "x86_64"] },
        "variants": { "cu128": cuda(&["12.8"]), "cu130": cuda(&["13.0"]), "null": {} },
    });
    assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), expected);
    let page = place.page("demo-gpu/index.json");
    let listed = page["files"].as_array().unwrap().iter().find(|listed| listed["filename"] == name).unwrap();
    let sum =
        Command::new("sha256sum").arg(place.path(&format!("index/simple/demo-gpu/{name}"))).output().unwrap();
    let hash = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    assert_eq!((&listed["url"], &listed["hashes"]["sha256"]), (&json!(name), &json!(hash)));
    assert_eq!(listed["size"], file.len());
    let html = fs::read_to_string(place.path("index/simple/demo-gpu/index.html")).unwrap();
    assert!(html.contains(&format!("<a href=\"{name}#sha256={hash}\">{name}</a>")), "{html}");
    assert_eq!(fs::read(place.path(&format!("index/json/demo-gpu/{name}"))).unwrap(), file);
    assert_eq!(
        place.page("demo-gpu/demo_gpu-1.1-variants.json")["variants"],
        json!({ "cu130": cuda(&["13.0", "13.1"]) })
    );

    place.ok(&["lint", "index/simple", "--variants"]);
    assert!(!place.run(&["lint", "index/simple"]).status.success());
    fs::write(
        place.path(&format!("index/simple/demo-gpu/{name}")),
        told(&["nvidia"], "cu128", cuda(&["12.8"])),
    )
    .unwrap();
    let lint = place.run(&["lint", "index/simple", "--variants"]);
    assert!(String::from_utf8(lint.stdout).unwrap().contains("lacks the variant cu130"));

    // A version that goes takes its file along, in both trees, and leaves what is not ours.
    fs::write(place.path("index/simple/demo-gpu/mine-variants.json"), "{}").unwrap();
    let catalogue = fs::read_to_string(place.path("c.jsonl")).unwrap();
    let kept: String =
        catalogue.lines().filter(|line| !line.contains("-1.1-")).map(|line| format!("{line}\n")).collect();
    fs::write(place.path("c.jsonl"), kept).unwrap();
    place.ok(&[&BUILD[..], &["--variants", "--json-tree"]].concat());
    for tree in ["simple", "json"] {
        assert!(place.path(&format!("index/{tree}/demo-gpu/{name}")).exists());
        assert!(!place.path(&format!("index/{tree}/demo-gpu/demo_gpu-1.1-variants.json")).exists());
    }
    assert!(place.path("index/simple/demo-gpu/mine-variants.json").exists());
}

#[test]
fn variants_that_lie_are_not_taken() {
    for (label, json, rule) in [
        ("cu128", told(&["nvidia"], "cu130", cuda(&["13.0"])), "variants has cu130"),
        ("cu128", told(&["x86_64"], "cu128", cuda(&["12.8"])), "lacks \"nvidia\""),
        ("cu128", told(&["nvidia"], "cu128", cuda(&[])), "has no value"),
        ("cu128", told(&["nvidia"], "cu128", cuda(&["12.8", "12.8"])), "twice"),
        ("cu128", told(&["nvidia"], "cu128", cuda(&["12-8"])), "\"12-8\" is not made of"),
        ("null", told(&["nvidia"], "null", cuda(&["12.8"])), "null has properties"),
        ("cu128", told(&[], "cu128", json!({})), "namespace is empty"),
        ("cu128", told(&["nvidia"], "cu128", json!({})).replace("v0.1.1", "v9"), "only https"),
        ("cu128", told(&["nvidia"], "cu128", json!({})).replace("variants\"", "variant\""), "unknown field"),
        ("cu128", "{".to_owned(), "EOF"),
    ] {
        let place = Place::new();
        write_variant(&place.path("wheels"), "1.0", "py3-none-any", ">=3.8", Some((label, &json)));
        let output = place.add(&["--variants"]);
        let warning = String::from_utf8(output.stderr).unwrap();
        assert!(
            warning.contains("No variant in demo_gpu-1.0") && warning.contains(rule),
            "{rule}: {warning}"
        );
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "0 added, 0 files\n");
    }
}

#[test]
fn variants_that_contradict_one_another_change_no_page() {
    for (one, other, rule) in [
        (told(&["a", "nvidia"], "x", cuda(&["1"])), told(&["nvidia", "a"], "y", cuda(&["2"])), "ordered"),
        (told(&["nvidia"], "x", cuda(&["1"])), told(&["nvidia"], "x", cuda(&["2"])), "other properties"),
    ] {
        let place = Place::new();
        write_wheel(&place.path("wheels"), "1.0", "py3-none-any", ">=3.8");
        place.add(&[]);
        place.ok(&BUILD);
        let before = fs::read(place.path("index/simple/demo-gpu/index.json")).unwrap();
        for (json, tags) in [(one, "py3-none-any"), (other, "py3-none-linux_x86_64")] {
            let label = if json.contains("\"x\"") { "x" } else { "y" };
            write_variant(&place.path("wheels"), "1.0", tags, ">=3.8", Some((label, &json)));
        }
        place.add(&["--variants"]);
        let error = place.refused(&[&BUILD[..], &["--variants"]].concat());
        assert!(error.contains(rule) && error.contains("linux_x86_64"), "{error}");
        assert_eq!(fs::read(place.path("index/simple/demo-gpu/index.json")).unwrap(), before);
    }
}

/// `index serve`, ended with the value.
struct Served(Child, String);

impl Served {
    fn start(folder: &Path) -> Served {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.args(["index", "serve", "--port", "0", "--dir", "index/simple", "--wheels-dir", "wheels"]);
        let mut child =
            command.current_dir(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Served(child, url)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn clients_of_today_pass_over_variants_and_heed_quarantine() {
    let place = Place::new();
    write_wheel(&place.path("wheels"), "1.0", "py3-none-any", ">=3.8");
    let json = told(&["nvidia"], "cu128", cuda(&["12.8"]));
    for version in ["1.0", "1.1"] {
        write_variant(&place.path("wheels"), version, "py3-none-any", ">=3.8", Some(("cu128", &json)));
    }
    fs::create_dir_all(place.path("index/simple")).unwrap();
    let served = Served::start(place.0.path());
    let base = served.1.replace("/simple/", "/wheels");
    place.ok(&["add", "--variants", "--catalogue", "c.jsonl", "--wheels-dir", "wheels", "--base-url", &base]);
    let build = [&BUILD[..], &["--variants"]].concat();
    place.ok(&build);
    place.ok(&["lint", "--variants", "--fetch", &served.1]);
    assert_eq!(installed(&served.1, &["demo-gpu"]), ["1.0", "1.0"]);
    let chosen =
        place.ok(&["which", "--package", "demo-gpu", "--python", "3.12", "--platform", "linux_x86_64"]);
    assert!(
        String::from_utf8(chosen.stdout)
            .unwrap()
            .starts_with(&format!("{base}/demo_gpu-1.0-py3-none-any.whl\n"))
    );

    let status = |status: &str| {
        place.ok(&["status", "Demo.GPU", status, "--catalogue", "c.jsonl", "--reason", "see <news>"]);
        place.ok(&build);
        place.ok(&["lint", "--variants", "index/simple"]);
        place.page("demo-gpu/index.json")["project-status"].clone()
    };
    for name in ["deprecated", "archived"] {
        assert_eq!(status(name), json!({ "status": name, "reason": "see <news>" }));
        assert_eq!(installed(&served.1, &["demo-gpu"]), ["1.0", "1.0"]);
    }
    let html = fs::read_to_string(place.path("index/simple/demo-gpu/index.html")).unwrap();
    assert!(html.contains("<meta name=\"pypi:project-status\" content=\"archived\">"), "{html}");
    assert!(
        html.contains("<meta name=\"pypi:project-status-reason\" content=\"see &lt;news&gt;\">"),
        "{html}"
    );
    write_wheel(&place.path("wheels"), "2.0", "py3-none-any", ">=3.8");
    let more = ["add", "--catalogue", "c.jsonl", "--wheels-dir", "wheels", "--base-url", &base];
    let error = place.refused(&more);
    assert!(
        error.contains("demo-gpu: it is archived (see <news>)") && error.contains("index status"),
        "{error}"
    );

    assert_eq!(status("quarantined")["status"], "quarantined");
    assert_eq!(place.page("demo-gpu/index.json")["files"], json!([]));
    assert!(!place.path("index/simple/demo-gpu/demo_gpu-1.0-variants.json").exists());
    for client in [pip, uv] {
        let output =
            client(&served.1, &["--target", "t", "demo-gpu"]).current_dir(place.0.path()).output().unwrap();
        assert!(!output.status.success());
    }
    let error = place.refused(&["which", "--package", "demo-gpu", "--catalogue", "c.jsonl"]);
    assert!(error.contains("it is quarantined"), "{error}");

    assert_eq!(status("active"), Value::Null);
    place.ok(&more);
    place.ok(&build);
    assert_eq!(installed(&served.1, &["demo-gpu"]), ["2.0", "2.0"]);
    let error = place.refused(&["status", "other", "archived", "--catalogue", "c.jsonl"]);
    assert!(error.contains("other"), "{error}");
}
