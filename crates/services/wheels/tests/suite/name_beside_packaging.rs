//! PyPA's `packaging` and we read 100,000 made-up names alike: what is a name, its parts, and the order of versions and builds.

use super::python;
use serde_json::{Value, json};
use std::cmp::Ordering;
use wootz_testkit::Random;
use wootz_wheels::{Variants, WheelName};

const NAMES: usize = 100_000;

/// Reads one name a line; prints its parts, or null, and how it stands to the last name that was one.
const SCRIPT: &str = r#"
import json, sys
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
last = None
for line in sys.stdin:
    try:
        project, version, build, tags = parse_wheel_filename(line[:-1])
    except InvalidWheelFilename:
        print("null")
        continue
    key = (version, build)
    order = 0 if last is None or last == key else 1 if last < key else -1
    last = key
    print(json.dumps([project, str(version), list(build), sorted(map(str, tags)), order]))
"#;

/// Draws one of several.
fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len())]
}

/// A version as people write them, with every spelling of PEP 440; at times one that is none.
fn version(random: &mut Random) -> String {
    let numbers = ["0", "1", "2", "10", "01", "2026", "65536", "4294967296"];
    let mut text = one(random, &["", "", "", "", "", "", "v", "1!", "0!", "v2!"]).to_owned();
    if random.below(2) == 0 {
        // Many of one release, so that the order is decided by what follows.
        text += one(random, &["1", "1.0", "1.0.0", "01.0"]);
    } else {
        text += one(random, &numbers);
        for _ in 0..random.below(6) {
            text += if random.below(30) == 0 { one(random, &["..", "_"]) } else { "." };
            text += one(random, &numbers);
        }
    }
    let words: [&[&str]; 3] = [
        &["a", "alpha", "b", "BETA", "c", "rc", "RC", "pre", "preview", "gamma"],
        &["post", "rev", "r", "POST"],
        &["dev", "DEV"],
    ];
    for words in words {
        if random.below(3) == 0 {
            text += one(random, &["", "", ".", "_", ".", "", "_."]);
            text += one(random, words);
            text += one(random, &["", "", ".", "_"]);
            text += one(random, &["", "0", "1", "12", "007", "2097151", "20260101"]);
        }
    }
    if random.below(3) == 0 {
        text += "+";
        text += one(
            random,
            &["cu128torch2.9", "CU128", "1", "010", "a_1.b", "cxx11abiTRUE", "1.a", "a.", ".a", "", "a!b"],
        );
        for _ in 0..random.below(3) {
            text += one(random, &[".", ".", "_", "+"]);
            text += one(random, &["2", "10", "a", "Z9", "9z"]);
        }
    }
    text
}

fn name(random: &mut Random) -> String {
    let mut parts = vec![
        one(
            random,
            &["foo", "Foo.Bar", "a_b", "a", "9", "_x", "x.", "a._b", "flash_attn", "a__b", "", "a+b"],
        )
        .to_owned(),
        version(random),
    ];
    if random.below(3) == 0 {
        parts.push(
            one(random, &["1", "0", "01", "2a", "10", "1a.b", "2!", "a", "1+", "", "_1", "2B"]).to_owned(),
        );
    }
    let sets: [&[&str]; 3] = [
        &["py3", "cp312", "CP313", "py2.py3", "cp39", "pp311", "py3.py2.py3", "_x", "3", "py3.", "", "a+b"],
        &["none", "cp312", "abi3", "cp313t", "NONE", "abi3.none", "a!", ".", "2"],
        &[
            "any",
            "linux_x86_64",
            "manylinux_2_28_x86_64.manylinux2014_x86_64",
            "WIN_amd64",
            "any.any",
            "any.",
            "+",
        ],
    ];
    for set in sets {
        // Mostly what is right, so that most names are names.
        let upto = if random.below(8) == 0 { set.len() } else { 4 };
        parts.push(one(random, &set[..upto]).to_owned());
    }
    if random.below(40) == 0 {
        parts.remove(random.below(parts.len()));
    }
    if random.below(40) == 0 {
        parts.insert(random.below(parts.len()), "1".to_owned());
    }
    let odd = random.below(30) == 0;
    parts.join("-") + if odd { one(random, &[".WHL", "", ".whl.whl"]) } else { ".whl" }
}

#[test]
fn a_hundred_thousand_names_are_read_alike() {
    let mut random = Random::of(7, "names");
    let names: Vec<String> = (0..NAMES).map(|_| name(&mut random)).collect();
    let theirs = python::run(SCRIPT, &[], (names.join("\n") + "\n").into_bytes());
    assert_eq!(theirs.lines().count(), NAMES);
    let (mut accepted, mut last) = (0, None);
    for (name, theirs) in names.iter().zip(theirs.lines()) {
        let theirs: Value = serde_json::from_str(theirs).unwrap();
        let Ok(ours) = WheelName::parse(name, Variants::Refused) else {
            assert_eq!(theirs, Value::Null, "{name}");
            continue;
        };
        accepted += 1;
        assert_eq!(ours.to_string(), *name);
        let build = ours.build.as_ref().map(|build| json!([build.number, build.suffix]));
        let key =
            (ours.version.clone(), ours.build.as_ref().map(|build| (build.number, build.suffix.clone())));
        let order = last.as_ref().map_or(Ordering::Equal, |last| key.cmp(last)) as i8;
        let tags: Vec<String> = ours.tags().iter().map(ToString::to_string).collect();
        let ours = json!([ours.project, ours.version.to_string(), build.unwrap_or(json!([])), tags, order]);
        assert_eq!(ours, theirs, "{name}, behind {last:?}");
        last = Some(key);
    }
    // A generator of nothing but faults, or of none, would show little.
    assert!((NAMES / 5..NAMES * 4 / 5).contains(&accepted), "{accepted}");
}
