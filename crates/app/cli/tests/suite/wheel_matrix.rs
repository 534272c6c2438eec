//! `wootz wheel matrix` beside the expansion of the tool that it succeeds, written down in Python, and what it refuses.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// The rules of the predecessor: package, version, Python, CUDA in this order, with its defaults and coercions.
const EXPANSION: &str = r#"
import json, sys, yaml
config, package, pythons, cudas = sys.argv[1:]
packages = (yaml.safe_load(open(config)) or {}).get("packages") or {}
def split(text, default):
    return [part.strip() for part in (text or default).split(",") if part.strip()]
include = []
for name, entry in packages.items():
    if package and name != package:
        continue
    for version in entry.get("versions") or []:
        for python in split(pythons, "3.12,3.13"):
            for cuda in split(cudas, "12.9.1,13.0.2"):
                include.append({
                    "package": name, "version": str(version).strip(), "python": python, "cuda": cuda,
                    "build_args": entry.get("build_args") or "", "extra_deps": " ".join(entry.get("extra_deps") or []),
                    "test_import": entry.get("test_import") or name.replace("-", "_"),
                })
print(json.dumps({"include": include}, separators=(",", ":"), ensure_ascii=False))
"#;

const REAL: &str = "packages:
  flash-attn:
    versions:
      - \"2.8.3\"
    build_args: \"--no-build-isolation\"
    extra_deps: [packaging, ninja, torch, psutil, numpy]
    test_import: flash_attn
    description: >
      Fast and memory-efficient exact attention
";

struct Place(TempDir);

impl Place {
    fn new(config: &str) -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::write(place.0.path().join("packages.yml"), config).unwrap();
        place
    }

    fn run(&self, command: &str, args: &[&str]) -> Output {
        let mut wootz = Command::new(env!("CARGO_BIN_EXE_wootz"));
        wootz.args(["wheel", command, "--config", "packages.yml"]).args(args).current_dir(self.0.path());
        wootz.output().unwrap()
    }

    /// The matrix, which is one line, and what was said of what is not in it.
    fn matrix(&self, args: &[&str]) -> (String, String) {
        let output = self.run("matrix", args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{args:?}: {stderr}");
        (String::from_utf8(output.stdout).unwrap(), stderr)
    }

    fn expanded(&self, package: &str, pythons: &str, cudas: &str) -> String {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin/python");
        let mut command = Command::new(python);
        command.args(["-c", EXPANSION, "packages.yml", package, pythons, cudas]).current_dir(self.0.path());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn the_matrix_is_that_of_the_predecessor_byte_for_byte() {
    let many = "packages:
  b-pkg:
    versions: [1.5, 2.0, 10, ' 3.1 ', 0.1.post1]
  a.pkg:
    versions: ['1.0']
    build_args: --x \"ü\"
    extra_deps: []
    test_import: other
  none:
    versions: []
  void:
    description: nothing
";
    for config in [REAL, many, "", "packages:\n", "packages: {}\n"] {
        let place = Place::new(config);
        for (package, pythons, cudas) in [
            ("", "", ""),
            ("b-pkg", "", ""),
            ("B-pkg", "", ""),
            ("flash-attn", "3.12", "13.0.2"),
            ("", " 3.10 , 3.11,,", "12.8.1, 12.6.3"),
        ] {
            let args = ["--package", package, "--python-versions", pythons, "--cuda-versions", cudas];
            assert_eq!(place.matrix(&args).0, place.expanded(package, pythons, cudas), "{config}{args:?}");
        }
    }
    assert_eq!(Place::new(REAL).matrix(&["--package", "unknown"]).0, "{\"include\":[]}\n");
}

#[test]
fn what_cannot_be_is_dropped_with_its_reason() {
    let place = Place::new(&format!("{REAL}    exclude:\n      - {{python: '3.12', cuda: 13.0.2}}\n"));
    let (matrix, said) = place.matrix(&["--python-versions", "3.12,3.14", "--explain"]);
    let matrix: Value = serde_json::from_str(&matrix).unwrap();
    let cells: Vec<(&Value, &Value)> =
        matrix["include"].as_array().unwrap().iter().map(|cell| (&cell["python"], &cell["cuda"])).collect();
    assert_eq!(cells, [(&json!("3.12"), &json!("12.9.1")), (&json!("3.14"), &json!("13.0.2"))]);
    assert!(said.contains("dropped: flash-attn 2.8.3, Python 3.12, CUDA 13.0.2: the configuration excludes python 3.12, cuda 13.0.2"), "{said}");
    assert!(said.contains("Python 3.14, CUDA 12.9.1: no torch for CUDA 12.9 is built for Python 3.14 (torch 2.8: 3.9 to 3.13)"), "{said}");
    assert!(said.contains("built: flash-attn 2.8.3, Python 3.12, CUDA 12.9.1"), "{said}");
    let without = Place::new(&format!("{REAL}    torch_map: false\n"));
    assert!(without.matrix(&["--python-versions", "3.14"]).1.is_empty());
    let torch = Place::new(REAL).matrix(&[
        "--torch-versions",
        "2.8.0,2.9.1",
        "--cuda-versions",
        "12.9.1,12.8.1",
        "--python-versions",
        "3.12",
    ]);
    let matrix: Value = serde_json::from_str(&torch.0).unwrap();
    let cells: Vec<String> = matrix["include"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| format!("{} {}", cell["cuda"], cell["torch"]))
        .collect();
    assert_eq!(cells, ["\"12.9.1\" \"2.8.0\"", "\"12.8.1\" \"2.8.0\"", "\"12.8.1\" \"2.9.1\""]);
    assert!(torch.1.contains("torch 2.9 is not built for CUDA 12.9"), "{}", torch.1);
}

#[test]
fn mistakes_are_named_by_line_and_nothing_is_printed() {
    for (config, parts) in [
        (
            "packages:\n  a:\n    version: ['1']\n",
            &["packages.yml:3:5: unknown key `version`; did you mean `versions`?"][..],
        ),
        ("packages:\n  a:\n    versions: ['1.0', 'x y']\n", &["packages.yml:3:23: \"x y\" is no version"]),
        ("packages:\n  a: {versions: ['1', '1']}\n", &["the version 1 is there twice"]),
        ("packages:\n  a: {versions: 1.0}\n", &["packages.yml:2:", "here belongs a list, not a number"]),
        ("packages:\n  a: [\n", &["packages.yml:", "not readable as YAML"]),
        ("package: {}\n", &["unknown key `package`; did you mean `packages`?"]),
        (
            "packages:\n  a: {versions: ['1'], exclude: [{pythons: '3.12'}], nothing: 1}\n",
            &["did you mean `python`?", "unknown key `nothing`"],
        ),
        ("- a\n", &["packages.yml:1:1"]),
    ] {
        let output = Place::new(config).run("matrix", &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{config}");
        parts.iter().for_each(|part| assert!(stderr.contains(part), "{config}: {stderr}"));
    }
    let number = Place::new("packages:\n  a: {versions: [2.10]}\n").matrix(&[]).1;
    assert!(
        number.contains("packages.yml:2:") && number.contains("the number 2.1; write it in quotes"),
        "{number}"
    );
}

#[test]
fn what_is_there_and_what_is_missing_is_told() {
    let place = Place::new(REAL);
    let line = |name: &str| {
        json!({
            "url": format!("https://a.test/{name}"), "filename": name, "sha256": "a".repeat(64), "size": 1, "upload_time": "2026-01-01T00:00:00Z",
        })
    };
    let names = [
        "flash_attn-2.8.3+cu129torch2.8-cp312-cp312-linux_x86_64.whl",
        "flash_attn-2.8.3+cu130torch2.9-cp313-cp313-linux_x86_64.whl",
    ];
    let text: String = names.iter().map(|name| format!("{}\n", line(name))).collect();
    fs::write(place.0.path().join("c.jsonl"), text).unwrap();
    let output = place.run("coverage", &["--catalogue", "c.jsonl"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = "2 of 4 builds are there (50.0%)\nmissing: flash-attn 2.8.3, Python 3.12, CUDA 13.0.2\n\
                    missing: flash-attn 2.8.3, Python 3.13, CUDA 12.9.1\n";
    assert_eq!(told, expected);
}
