//! Names of wheels beside PyPA's `packaging`: what is taken, what it says, and which version is the later one.

use pep440_rs::Version;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::str::FromStr;
use wootz_testkit::Random;
use wootz_wheels::{Label, NameError, WheelName};

const REAL: &str = include_str!("../data/wheel-filenames.txt");

/// What `packaging` says of each line, then the versions in order.
const PACKAGING: &str = r#"
import json, sys
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
versions = set()
for line in sys.stdin:
    try:
        name, version, build, tags = parse_wheel_filename(json.loads(line))
        versions.add(version)
        print(json.dumps([name, str(version), list(build), sorted(map(str, tags))]))
    except InvalidWheelFilename:
        print("null")
print(json.dumps([str(version) for version in sorted(versions)]))
"#;

fn packaging(names: &[String]) -> Vec<Value> {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../.venv/bin/python");
    let mut command = Command::new(&python);
    command.args(["-c", PACKAGING]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("dev/setup.sh makes .venv");
    let lines: String = names.iter().map(|name| json!(name).to_string() + "\n").collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success(), "dev/setup.sh installs packaging");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn told(name: &str) -> Value {
    match WheelName::parse(name) {
        Err(_) => Value::Null,
        Ok(name) => {
            let build: Vec<Value> =
                name.build.iter().flat_map(|(number, rest)| [json!(number), json!(rest)]).collect();
            json!([name.project, name.version.to_string(), build, name.tags()])
        }
    }
}

/// A name that is right more often than not, then perhaps with a letter changed.
fn generated(random: &mut Random) -> String {
    fn pick(random: &mut Random, of: &[&str]) -> String {
        of[random.below(of.len())].to_owned()
    }
    /// One of the first five; now and then one of the rest.
    fn rarely(random: &mut Random, of: &[&str]) -> String {
        let most = if random.below(10) == 0 { of.len() } else { 5 };
        pick(random, &of[..most])
    }
    let project = pick(
        random,
        &["flash_attn", "Foo", "a", "x.y", "foo__bar", "_lead", "trail.", "foo_1", "naïve", "f!", ""],
    );
    fn number(random: &mut Random) -> String {
        let most = if random.below(20) == 0 { 100_000 } else { 12 };
        random.below(most).to_string()
    }
    let mut version = if random.below(12) == 0 { "1!".to_owned() } else { String::new() };
    version += &number(random);
    for _ in 0..random.below(4) {
        version += &format!(".{}", number(random));
    }
    let suffixes = [
        "",
        "",
        "",
        "a1",
        "b",
        "rc2",
        ".rc3",
        "c4",
        "alpha.5",
        "_beta_6",
        "pre",
        "preview7",
        ".post1",
        "post",
        "_post2",
        ".dev3",
        "dev",
        "a1.post2.dev3",
        ".rev4",
        "r5",
    ];
    version += &pick(random, &suffixes);
    if random.below(3) == 0 {
        let label = [
            "+cu128torch2.9",
            "+cu.12.8.torch.2.11",
            "+CU12_torch2.6cxx11abiTRUE",
            "+1",
            "+abc.01.0a",
            "+1_2",
            "+",
            "+a..b",
            "+a_",
            "+09.9",
        ];
        version += &pick(random, &label);
    }
    if random.below(40) == 0 {
        version = pick(
            random,
            &["v1.0", " 1.0", "1.0 ", "notaversion", "1..0", "1.0.", "V2", "1.0+", "00.01", "1.0.0.0.0"],
        );
    }
    let mut parts = vec![project, version];
    if random.below(5) == 0 {
        parts.push(pick(random, &["1", "0", "01", "1a.b", "2_x", "a1", "", "12345678", "1ß"]));
    }
    let pythons = ["cp312", "py3", "py2.py3", "CP310", "cp39.cp310", "3cp", "cp_x", "", "py3.", "pp310"];
    parts.push(rarely(random, &pythons));
    let abis = ["cp312", "none", "abi3", "cp313t", "none.abi3", "", "abi3."];
    parts.push(rarely(random, &abis));
    let platforms = [
        "any",
        "linux_x86_64",
        "manylinux_2_24_x86_64.manylinux_2_28_x86_64",
        "Win_AMD64",
        "macosx_11_0_arm64",
        "",
        "any.",
    ];
    parts.push(rarely(random, &platforms));
    if random.below(30) == 0 {
        parts.remove(random.below(parts.len()));
    }
    if random.below(30) == 0 {
        parts.push("x".to_owned());
    }
    let mut name = parts.join("-")
        + [".whl", ".whl", ".whl", ".whl", ".WHL", ".zip", ""]
            [if random.below(20) == 0 { random.below(7) } else { 0 }];
    if random.below(8) == 0 {
        let mut letters: Vec<char> = name.chars().collect();
        let at = random.below(letters.len());
        letters[at] = "-_.+!1a Z~".chars().nth(random.below(10)).unwrap();
        name = letters.into_iter().collect();
    }
    name
}

#[test]
fn what_packaging_takes_is_taken_and_says_the_same() {
    let mut random = Random::of(6, "names of wheels");
    let names: Vec<String> = (0..100_000).map(|_| generated(&mut random)).collect();
    let mut theirs = packaging(&names);
    let order = theirs.pop().unwrap();
    assert_eq!(theirs.len(), names.len());
    let taken = theirs.iter().filter(|told| !told.is_null()).count();
    assert!(taken > 40_000 && taken < 90_000, "{taken} of them are names, which tests too little");
    for (name, theirs) in names.iter().zip(&theirs) {
        assert_eq!(told(name), *theirs, "{name:?}");
    }
    let order: Vec<Version> = order
        .as_array()
        .unwrap()
        .iter()
        .map(|version| Version::from_str(version.as_str().unwrap()).unwrap())
        .collect();
    assert!(order.len() > 5_000, "{}", order.len());
    assert!(order.is_sorted_by(|one, next| one < next), "versions are in another order");
}

#[test]
fn every_real_name_is_read() {
    let mut labels = BTreeSet::new();
    for line in REAL.lines() {
        let name = WheelName::parse(line).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(name.to_string(), line);
        let local = name.version.local().iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        let label = Label::read(&local);
        if !local.is_empty() {
            assert!(label.torch.is_some() || label.cuda.is_some() || label.rocm.is_some(), "{line}: {local}");
        }
        labels.insert(label);
    }
    assert!(labels.len() > 20, "{labels:?}");
    let names: Vec<String> = REAL.lines().map(str::to_owned).collect();
    let theirs = packaging(&names);
    names.iter().zip(&theirs).for_each(|(name, theirs)| assert_eq!(told(name), *theirs, "{name}"));
}

#[test]
fn what_the_original_read_wrongly_is_refused() {
    for (name, rule) in [
        ("foo-1.0-a-py3-none-any.whl", "build tag"),
        ("foo-bar-1.0-py3-none-any.whl", "version"),
        ("foo-1.0-py3-none-any-x.whl", "build tag"),
        ("foo__bar-1.0-py3-none-any.whl", "name of a project"),
        ("foo-notaversion-py3-none-any.whl", "version"),
        ("a-b-c-d-e.whl", "version"),
        ("numpy-2.3.2-cp313-cp313-manylinux_2_28_x86_64-x86_64_v3.whl", "build tag"),
        ("foo-1.0-py3-none.whl", "4 parts"),
        ("foo-1.0-py3-none-any.WHL", "extension"),
        ("foo-1.0.whl", "2 parts"),
    ] {
        let error = WheelName::parse(name).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(rule), "{error}");
    }
    let name = WheelName::parse("Flash.Attn_extra-2.5.0-1-cp312-cp312-manylinux2014_x86_64.whl").unwrap();
    assert_eq!((name.project.as_str(), name.build), ("flash-attn-extra", Some((1, String::new()))));
}

#[test]
fn variants_are_read_where_they_are_asked_for() {
    let file = "numpy-2.3.2-cp313-cp313-manylinux_2_28_x86_64-x86_64_v3.whl";
    let name = WheelName::parse_variant(file).unwrap();
    assert_eq!(
        (name.variant.as_deref(), name.pythons.as_slice()),
        (Some("x86_64_v3"), &["cp313".to_owned()][..])
    );
    let both = WheelName::parse_variant("numpy-2.3.2-1a-cp313-cp313-any-null.whl").unwrap();
    assert_eq!((both.variant.as_deref(), both.build), (Some("null"), Some((1, "a".to_owned()))));
    let without = WheelName::parse_variant("numpy-2.3.2-1-cp313-cp313-any.whl").unwrap();
    assert_eq!(without.variant, None);
    let error = WheelName::parse_variant("numpy-2.3.2-cp313-cp313-any-V3.whl").unwrap_err();
    assert!(matches!(error, NameError::Variant { .. }), "{error}");
}
