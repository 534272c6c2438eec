//! `wootz index`: what its predecessor's scripts rely on, pages that are written once and whole, and what is refused.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::create_dir(place.0.path().join("wheels")).unwrap();
        place
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wootz"));
        command.arg("index").args(args).current_dir(self.0.path()).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// All files below a folder: their bytes and which they are.
    fn files(&self, folder: &str) -> BTreeMap<String, (Vec<u8>, u64)> {
        fn look(root: &Path, folder: &Path, all: &mut BTreeMap<String, (Vec<u8>, u64)>) {
            for entry in fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    look(root, &path, all);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                    all.insert(name, (fs::read(&path).unwrap(), fs::metadata(&path).unwrap().ino()));
                }
            }
        }
        let mut all = BTreeMap::new();
        look(&self.0.path().join(folder), &self.0.path().join(folder), &mut all);
        all
    }
}

fn line(filename: &str, hash: char) -> String {
    json!({
        "url": format!("https://a.test/v1/{filename}"), "filename": filename, "sha256": hash.to_string().repeat(64), "size": 7,
        "upload_time": "2026-01-01T00:00:00Z", "requires_python": ">=3.9,<4", "metadata_sha256": null, "yanked": false,
    })
    .to_string()
        + "\n"
}

#[test]
fn the_predecessors_own_cases_hold() {
    let place = Place::new();
    for name in
        ["flash_attn-2.5.0-cp312-cp312-linux_x86_64.whl", "xformers-0.0.23-1-cp312-cp312-linux_x86_64.whl"]
    {
        place.write(&format!("wheels/{name}"), "");
    }
    place.write("wheels/not-a-wheel.whl", "");
    place.write("wheels/README.txt", "");
    fs::create_dir(place.0.path().join("wheels/folder-1.0-py3-none-any.whl")).unwrap();
    let output = place.run(&[
        "build",
        "--wheels-dir",
        "wheels",
        "--output-dir",
        "out/simple",
        "--base-url",
        "https://a.test/r/",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "Warning: Invalid wheel filename: not-a-wheel.whl\n"
    );
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "Generated index for 2 packages\nTotal wheels: 2\n"
    );
    let root = place.read("out/simple/index.html");
    assert!(root.contains("<a href=\"flash-attn/\">") && root.contains("<a href=\"xformers/\">"), "{root}");
    let page = place.read("out/simple/flash-attn/index.html");
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(
        page.contains("\"https://a.test/r/flash_attn-2.5.0-cp312-cp312-linux_x86_64.whl#sha256=e3b0c442"),
        "{page}"
    );
    let missing = place.run(&["build", "--wheels-dir", "none", "--base-url", "https://a.test"]);
    assert_eq!(missing.status.code(), Some(1));
    assert_eq!(String::from_utf8(missing.stderr).unwrap(), "Error: Wheels directory not found: none\n");
    assert_eq!(place.run(&["build"]).status.code(), Some(2));
    fs::create_dir(place.0.path().join("empty")).unwrap();
    let empty =
        place.run(&["build", "--wheels-dir", "empty", "--output-dir", "e", "--base-url", "https://a.test"]);
    assert_eq!(empty.status.code(), Some(0));
    assert!(
        String::from_utf8(empty.stdout).unwrap().contains("Warning")
            && place.read("e/index.html").contains("<h1>")
    );
}

#[test]
fn pages_are_functions_of_the_catalogue() {
    let place = Place::new();
    let names = [
        "flash_attn-2.8.3+cu129torch2.8-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.10.0+cu130torch2.9-cp312-cp312-linux_x86_64.whl",
        "apex-0.1-py3-none-any.whl",
    ];
    let catalogue: String = names.iter().map(|name| line(name, 'a')).collect();
    place.write("c.jsonl", &catalogue);
    let build = ["build", "--catalogue", "c.jsonl", "--sub-indexes", "--output-dir", "i/simple"];
    place.ok(&build);
    let page = place.read("i/simple/flash-attn/index.html");
    assert!(
        page.contains("/flash_attn-2.8.3%2Bcu129torch2.8-cp312")
            && page.contains("data-requires-python=\"&gt;=3.9,&lt;4\""),
        "{page}"
    );
    assert!(page.find("2.8.3").unwrap() < page.find("2.10.0").unwrap());
    let json: Value = serde_json::from_str(&place.read("i/simple/flash-attn/index.json")).unwrap();
    assert_eq!(
        (&json["meta"]["api-version"], &json["versions"]),
        (&json!("1.4"), &json!(["2.8.3+cu129torch2.8", "2.10.0+cu130torch2.9"]))
    );
    let file = json!({
        "filename": names[0], "url": "https://a.test/v1/flash_attn-2.8.3%2Bcu129torch2.8-cp312-cp312-linux_x86_64.whl",
        "hashes": {"sha256": "a".repeat(64)}, "requires-python": ">=3.9,<4", "core-metadata": false, "dist-info-metadata": false, "size": 7,
        "upload-time": "2026-01-01T00:00:00Z", "yanked": false,
    });
    assert_eq!(json["files"][0], file);
    assert!(!place.read("i/cu129/simple/flash-attn/index.html").contains("cu130"));
    assert!(place.read("i/cu130-torch2.9/simple/index.html").contains("flash-attn"));
    // Again, from lines in another order: not a file is touched.
    let before = place.files("i");
    place.write("c.jsonl", &catalogue.lines().rev().map(|line| format!("{line}\n")).collect::<String>());
    place.ok(&build);
    assert_eq!(place.files("i"), before);
    // One more release touches its project's pages; what is not ours stays.
    place.write("i/simple/robots.txt", "mine");
    place.write("c.jsonl", &(catalogue.clone() + &line("apex-0.2-py3-none-any.whl", 'b')));
    place.ok(&build);
    let after = place.files("i");
    let changed: Vec<&String> =
        after.iter().filter(|(name, file)| before.get(*name) != Some(file)).map(|(name, _)| name).collect();
    assert_eq!(changed, ["simple/apex/index.html", "simple/apex/index.json", "simple/robots.txt"]);
    // A project that is gone takes its pages with it, and so does a CUDA.
    place.write("c.jsonl", &line(names[0], 'a'));
    place.ok(&build);
    let left: Vec<String> = place.files("i").into_keys().collect();
    assert!(!left.iter().any(|name| name.contains("apex") || name.contains("cu130")), "{left:?}");
    assert!(
        left.contains(&"simple/robots.txt".to_owned())
            && left.iter().any(|name| name.contains("cu129-torch2.8/"))
    );
    let rest: Vec<String> = fs::read_dir(place.0.path().join("i"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(rest.iter().all(|name| !name.starts_with('.')), "{rest:?}");
}

#[test]
fn a_catalogue_that_is_refused_leaves_the_pages() {
    let place = Place::new();
    let good = line("apex-0.1-py3-none-any.whl", 'a');
    place.write("c.jsonl", &good);
    let build = ["build", "--catalogue", "c.jsonl", "--output-dir", "o"];
    place.ok(&build);
    let before = place.files("o");
    for (bad, part) in [
        ("{\"url\":".to_owned(), "c.jsonl:2"),
        (good.replace("apex-0.1-py3-none-any.whl", "apex-0.1-py3-any.whl"), "filename"),
        (good.replace(&"a".repeat(64), "zz"), "sha256"),
        (good.replace("https://", ""), "url"),
        (good.replace("T00:00:00Z", ""), "upload_time"),
        (good.replace("\"size\"", "\"bytes\""), "bytes"),
        (
            good.replace('a', "b")
                .replace("https://b.test/v1/bpex", "https://other.test/apex")
                .replace("bpex-0.1-py3-none-bny", "apex-0.1-py3-none-any")
                .replace("filenbme", "filename")
                .replace("uplobd_time", "upload_time")
                .replace("metbdbtb_shb256", "metadata_sha256")
                .replace("shb256", "sha256")
                .replace("ybnked\":fblse", "yanked\":false"),
            "other.test",
        ),
    ] {
        place.write("c.jsonl", &format!("{good}{bad}"));
        let output = place.run(&build);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!matches!(output.status.code(), Some(0 | 2)) && stderr.contains(part), "{bad}: {stderr}");
        assert_eq!(place.files("o"), before);
    }
    for (prefer, hash) in [("newest", 'b'), ("oldest", 'a')] {
        let later = line("apex-0.1-py3-none-any.whl", 'b').replace("2026-01-01", "2026-02-01");
        place.write("c.jsonl", &(good.clone() + &later));
        place.ok(&["build", "--catalogue", "c.jsonl", "--output-dir", "o", "--prefer", prefer]);
        assert!(place.read("o/apex/index.html").contains(&hash.to_string().repeat(64)), "{prefer}");
    }
    let address = place.run(&["build", "--wheels-dir", "wheels", "--base-url", "a.test/wheels"]);
    assert!(
        String::from_utf8(address.stderr).unwrap().contains("scheme") && address.status.code() != Some(0)
    );
}

#[test]
fn releases_are_read_from_the_apis_dump() {
    let place = Place::new();
    let name = "flash_attn-2.8.3+cu130torch2.9-cp312-cp312-linux_x86_64.whl";
    let asset = |name: &str, digest: Value| {
        json!({
            "name": name, "size": 9, "digest": digest, "updated_at": "2026-02-01T00:00:00Z", "browser_download_url": format!("https://a.test/{name}"),
        })
    };
    let hash = json!(format!("sha256:{}", "c".repeat(64)));
    let assets = json!([
        asset(name, hash.clone()),
        asset(&format!("{name}.metadata"), hash.clone()),
        asset("notes.txt", hash),
        asset("x-1.0-py3-none-any.whl", Value::Null)
    ]);
    place.write(
        "dump.json",
        &json!([{ "tag_name": "v1", "published_at": "2026-02-01T00:00:00Z", "assets": assets }]).to_string(),
    );
    let add = ["add", "--catalogue", "c.jsonl", "--releases", "dump.json"];
    assert_eq!(place.ok(&add), "1 added, 1 files\n");
    assert_eq!(place.ok(&add), "0 added, 1 files\n");
    let line: Value = serde_json::from_str(&place.read("c.jsonl")).unwrap();
    assert_eq!((&line["release"], &line["metadata_sha256"]), (&json!("v1"), &json!("c".repeat(64))));
}

#[test]
fn the_wheel_that_fits_is_named_with_its_install_lines() {
    let place = Place::new();
    let names = [
        "f-1.0+cu128torch2.9-cp312-cp312-linux_x86_64.whl",
        "f-1.0+cu130torch2.9-cp312-cp312-linux_x86_64.whl",
    ];
    place.write("c.jsonl", &names.map(|name| line(name, 'a')).concat());
    place.ok(&["build", "--catalogue", "c.jsonl"]);
    let ask = |cuda: &str, source: &[&str]| {
        let machine = [
            "which",
            "--package",
            "F",
            "--torch",
            "2.9",
            "--cuda",
            cuda,
            "--python",
            "3.12",
            "--platform",
            "linux_x86_64",
        ];
        place.run(&machine.iter().chain(source).copied().collect::<Vec<_>>())
    };
    for source in [&["--catalogue", "c.jsonl"][..], &["--dir", "index/simple"]] {
        let told = String::from_utf8(ask("13.0", source).stdout).unwrap();
        let url = "https://a.test/v1/f-1.0%2Bcu130torch2.9-cp312-cp312-linux_x86_64.whl";
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(
            (lines[0], lines[2], lines[3]),
            (url, format!("pip install \"{url}\"").as_str(), format!("uv pip install \"{url}\"").as_str())
        );
        let none = ask("12.4", source);
        let stderr = String::from_utf8(none.stderr).unwrap();
        assert!(
            none.status.code() == Some(1) && stderr.contains("for CUDA 12.8") && stderr.contains("CUDA 12.4"),
            "{stderr}"
        );
    }
}

#[test]
fn what_is_wrong_with_an_index_is_found() {
    let place = Place::new();
    place.write("c.jsonl", &line("apex-0.1+cu128-py3-none-any.whl", 'a'));
    place.ok(&["build", "--catalogue", "c.jsonl", "--output-dir", "o"]);
    assert_eq!(place.ok(&["lint", "o"]), "nothing is wrong\n");
    let (page, root) = (place.read("o/apex/index.html"), place.read("o/index.html"));
    for (file, from, to, part) in [
        ("apex/index.html", "%2B", "+", "raw +"),
        ("apex/index.html", "#sha256=", "#md5=", "SHA-256"),
        ("apex/index.html", "any.whl</a>", "any2.whl</a>", "leads to"),
        ("apex/index.html", "&gt;=3.9,&lt;4", "three", "specifier"),
        ("apex/index.html", "pypi:repository-version", "version", "version of the API"),
        ("index.html", "apex/\"", "Apex/\"", "normalised"),
        ("index.html", "<!DOCTYPE html>", "", "DOCTYPE"),
    ] {
        place.write("o/apex/index.html", &page);
        place.write("o/index.html", &root);
        place.write(&format!("o/{file}"), &place.read(&format!("o/{file}")).replace(from, to));
        let output = place.run(&["lint", "o"]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.code() == Some(1) && told.contains(part) && told.contains(file),
            "{from}: {told}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let place = Place::new();
    fs::create_dir(place.0.path().join("o")).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = place.run(&["serve", "--dir", "o", "--port", &port]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(3) && stderr.contains(&port) && stderr.contains("--port"),
        "{stderr}"
    );
}
