//! Wheels that say what is so, and wheels that do not.

use super::wheel_file::WheelFile;
use expect_test::expect;
use wootz_schema::wheel::{WheelInspection, WheelRule};
use wootz_wheels::{Variants, inspect};

const INFO: &str = "Foo.Bar-1.0.dist-info";

fn pure() -> WheelFile {
    WheelFile::new("py2.py3-none-any", &[("foo/__init__.py", b"x = 1\n"), ("foo/a,b.txt", b"")])
}

fn looked(wheel: &WheelFile) -> WheelInspection {
    let folder = tempfile::tempdir().unwrap();
    inspect(&wheel.write(folder.path()), Variants::Refused).unwrap()
}

/// What is found, a line each.
fn findings(wheel: &WheelFile) -> String {
    let told = looked(wheel).findings.into_iter().map(|finding| {
        format!("{} {}: {}", finding.rule.name(), finding.entry.as_deref().unwrap_or("-"), finding.message)
    });
    told.collect::<Vec<String>>().join("\n")
}

#[test]
fn an_honest_wheel_is_told_whole() {
    let mut told = looked(&pure());
    assert_eq!(told.sha256.len(), 64);
    (told.sha256, told.bytes) = ("...".to_owned(), 0);
    expect![[r#"
        {
          "version": 1,
          "file": "Foo.Bar-1.0-py2.py3-none-any.whl",
          "bytes": 0,
          "sha256": "...",
          "name": {
            "project": "foo-bar",
            "version": "1.0",
            "build": null,
            "tags": [
              "py2-none-any",
              "py3-none-any"
            ],
            "variant": null,
            "label": null
          },
          "metadata": {
            "metadata_version": "2.1",
            "name": "Foo.Bar",
            "version": "1.0",
            "summary": "A wheel, of a test",
            "requires_python": ">=3.9",
            "requires_dist": [
              "torch ==2.9.*",
              "einops"
            ]
          },
          "wheel": {
            "wheel_version": "1.0",
            "generator": "test (1)",
            "root_is_purelib": false,
            "tags": [
              "py2-none-any",
              "py3-none-any"
            ],
            "build": null
          },
          "entries": 5,
          "verified": 4,
          "libraries": {},
          "needs": null,
          "findings": []
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&told).unwrap());
}

#[test]
fn each_lie_breaks_its_rule_at_its_file() {
    let changed = |change: &dyn Fn(&mut WheelFile)| {
        let mut wheel = pure();
        change(&mut wheel);
        findings(&wheel)
    };
    let stated = |file: &str, from: &str, to: &str| {
        changed(&|wheel| {
            wheel.edit(&format!("{INFO}/{file}"), from, to);
            wheel.list();
        })
    };
    expect!["metadata Foo.Bar-1.0.dist-info/METADATA: Version is `1.0+cu128`, and the wheel's name says 1.0"]
        .assert_eq(&stated("METADATA", "Version: 1.0\nS", "Version: 1.0+cu128\nS"));
    expect!["metadata Foo.Bar-1.0.dist-info/METADATA: Name is `other`, and the wheel is of foo-bar"]
        .assert_eq(&stated("METADATA", "Name: Foo.Bar", "Name: other"));
    expect!["metadata Foo.Bar-1.0.dist-info/METADATA: it has no line `Name`"]
        .assert_eq(&stated("METADATA", "Name: ", "Nom: "));
    expect!["metadata Foo.Bar-1.0.dist-info/METADATA: `version` stands 2 times"].assert_eq(&stated(
        "METADATA",
        "Summary: ",
        "version: ",
    ));
    expect!["wheel Foo.Bar-1.0.dist-info/WHEEL: its tags are cp312-none-any, py2-none-any, and the wheel's name says py2-none-any, py3-none-any"]
        .assert_eq(&stated("WHEEL", "Tag: py3", "Tag: cp312"));
    expect!["wheel Foo.Bar-1.0.dist-info/WHEEL: Build is 2, and the wheel's name says none"]
        .assert_eq(&stated("WHEEL", "Tag: py3-none-any", "Tag: py3-none-any\nBuild: 2"));
    expect!["wheel Foo.Bar-1.0.dist-info/WHEEL: Wheel-Version is 2.0, and installers know 1.x"]
        .assert_eq(&stated("WHEEL", "Wheel-Version: 1.0", "Wheel-Version: 2.0"));
    expect!["record foo/__init__.py: its hash is not the one in RECORD"]
        .assert_eq(&changed(&|wheel| wheel.set("foo/__init__.py", b"x = 2\n")));
    expect!["record foo/new.py: RECORD does not list it"]
        .assert_eq(&changed(&|wheel| wheel.set("foo/new.py", b"")));
    expect!["record foo/a,b.txt: RECORD lists it, and it is not there"]
        .assert_eq(&changed(&|wheel| wheel.files.retain(|(path, _)| path != "foo/a,b.txt")));
    let listed = |from: &str, to: &str| changed(&|wheel| wheel.edit(&format!("{INFO}/RECORD"), from, to));
    expect!["record foo/__init__.py: RECORD says 7 bytes, and it has 6"].assert_eq(&listed(",6\n", ",7\n"));
    expect!["record foo/__init__.py: in RECORD its hash is `md5`, where sha256 or better belongs"]
        .assert_eq(&listed("sha256", "md5"));
    expect!["record Foo.Bar-1.0.dist-info/RECORD: line 5 has 2 fields, where 3 belong: path, hash, size"]
        .assert_eq(&listed("RECORD,,", "RECORD,"));
    expect!["record foo/__init__.py: RECORD lists it twice"].assert_eq(
        listed(&format!("{INFO}/RECORD,,\n"), &format!("{INFO}/RECORD,,\nfoo/__init__.py,sha256=xx,6\n"))
            .lines()
            .next()
            .unwrap(),
    );
    expect!["dist_info -: there is not one folder `.dist-info`, which should be Foo.Bar-1.0.dist-info"]
        .assert_eq(&changed(&|wheel| wheel.set("other-1.0.dist-info/x", b"")));
    expect!["dist_info Foo.Bar-1.0.dist-info: the wheel's name asks for foo-1.0.dist-info"].assert_eq(
        changed(&|wheel| wheel.name = "foo-1.0-py2.py3-none-any.whl".to_owned()).lines().next().unwrap(),
    );
    expect!["path ../up.py: the path leads out of the folder of the wheel"].assert_eq(&changed(&|wheel| {
        wheel.set("../up.py", b"");
        wheel.list();
    }));
    expect!["metadata Foo.Bar-1.0.dist-info/METADATA: there is no such file"].assert_eq(&changed(&|wheel| {
        wheel.files.retain(|(path, _)| !path.ends_with("METADATA"));
        wheel.list();
    }));
}

#[test]
fn what_is_no_wheel_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let failed = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        inspect(&path, Variants::Refused).unwrap_err().to_string()
    };
    let whole = std::fs::read(pure().write(folder.path())).unwrap();
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        let error = failed("foo-1.0-py3-none-any.whl", &whole[..cut]);
        assert!(error.starts_with("read ") && error.contains("foo-1.0-py3-none-any.whl: "), "{error}");
    }
    assert!(failed("foo.whl", &whole).starts_with("read the wheel name `foo.whl`: 1 part"));
    let missing = inspect(&folder.path().join("no-1.0-py3-none-any.whl"), Variants::Refused).unwrap_err();
    assert!(missing.to_string().starts_with("open "), "{missing}");
}

#[test]
fn no_flipped_byte_of_a_file_goes_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let path = pure().write(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let honest = inspect(&path, Variants::Refused).unwrap();
    let mut seen = 0;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        std::fs::write(&path, &damaged).unwrap();
        // What reads without a finding reads the same: the byte was a date, a permission, or an attribute of that kind.
        match inspect(&path, Variants::Refused) {
            Ok(told) if told.findings.is_empty() => {
                assert_eq!(
                    (told.metadata, told.wheel, told.verified),
                    (honest.metadata.clone(), honest.wheel.clone(), honest.verified)
                );
            }
            Ok(_) | Err(_) => seen += 1,
        }
    }
    assert!(seen * 10 > whole.len() * 7, "{seen} of {}", whole.len());
}

#[test]
fn hashes_better_than_sha256_count_and_padding_is_let_pass() {
    use base64::Engine;
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use sha2::{Digest, Sha256, Sha384, Sha512};
    let body = b"x = 1\n";
    let own = format!("sha256={}", URL_SAFE_NO_PAD.encode(Sha256::digest(body)));
    for hash in [
        format!("sha256={}", URL_SAFE.encode(Sha256::digest(body))),
        format!("sha384={}", URL_SAFE_NO_PAD.encode(Sha384::digest(body))),
        format!("sha512={}", URL_SAFE_NO_PAD.encode(Sha512::digest(body))),
    ] {
        let mut wheel = pure();
        wheel.edit(&format!("{INFO}/RECORD"), &own, &hash);
        assert_eq!((findings(&wheel).as_str(), looked(&wheel).verified), ("", 4), "{hash}");
        wheel.set("foo/__init__.py", b"x = 2\n");
        assert!(findings(&wheel).ends_with("its hash is not the one in RECORD"), "{hash}");
    }
}

#[test]
fn metadata_that_swells_is_not_taken_into_memory() {
    let mut wheel = pure();
    wheel.set(&format!("{INFO}/METADATA"), &vec![b'a'; (64 << 20) + 1]);
    wheel.list();
    assert_eq!(findings(&wheel), "metadata Foo.Bar-1.0.dist-info/METADATA: it has more than 67108864 bytes");
}

#[test]
fn an_archive_with_two_answers_is_refused() {
    // The same path twice: installers differ in which of them they unpack.
    let mut wheel = pure();
    wheel.set("foo/__init__.pz", b"evil\n");
    wheel.list();
    let folder = tempfile::tempdir().unwrap();
    let path = wheel.write(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    let needle = b"foo/__init__.pz";
    let mut twice = bytes.clone();
    for at in 0..bytes.len() - needle.len() {
        if bytes[at..].starts_with(needle) {
            twice[at + needle.len() - 1] = b'y';
        }
    }
    std::fs::write(&path, twice).unwrap();
    let told = inspect(&path, Variants::Refused).unwrap();
    assert!(told.findings.iter().any(|finding| finding.rule == WheelRule::Archive), "{:?}", told.findings);
}
