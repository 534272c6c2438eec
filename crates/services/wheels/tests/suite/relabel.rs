//! A relabelled wheel is the same wheel under another version, for pip as for us.

use super::python;
use super::wheel_file::WheelFile;
use std::fs;
use std::path::Path;
use std::process::Command;
use wootz_wheels::{Variants, inspect, relabel};

fn wheel() -> WheelFile {
    WheelFile::new(
        "py3-none-any",
        &[
            ("foo/__init__.py", b"x = 1\n"),
            ("foo/a,b.txt", b"comma"),
            ("Foo.Bar-1.0.data/scripts/foo-tool", b"#!python\nprint('tool')\n"),
            ("Foo.Bar-1.0.dist-info/licenses/LICENSE", b"yes\n"),
            ("foo/Foo.Bar-1.0.dist-info/METADATA", b"Version: 1.0\n"),
        ],
    )
}

#[test]
fn the_four_places_agree_and_nothing_else_changed() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let made = relabel(&wheel().write(from.path()), "CU128.torch-2.9", false, to.path()).unwrap();
    let path = to.path().join("Foo.Bar-1.0+cu128.torch.2.9-py3-none-any.whl");
    assert_eq!((made.path.as_str(), made.from.as_str()), (path.to_str().unwrap(), wheel().name.as_str()));
    assert_eq!((made.label.cuda.as_deref(), made.label.torch.as_deref()), (Some("12.8"), Some("2.9")));
    let told = inspect(&path, Variants::Refused).unwrap();
    assert_eq!(told.findings, []);
    assert_eq!((told.sha256, told.verified), (made.sha256, 7));
    assert_eq!(told.metadata.unwrap().version, "1.0+cu128.torch.2.9");
    let script = "
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
assert wheel.testzip() is None
for entry in wheel.infolist():
    print(entry.filename, entry.external_attr >> 16, entry.date_time[0])
print(wheel.read('Foo.Bar-1.0+cu128.torch.2.9.dist-info/METADATA').decode())
";
    expect_test::expect![[r#"
        foo/__init__.py 33261 1980
        foo/a,b.txt 33261 1980
        Foo.Bar-1.0+cu128.torch.2.9.data/scripts/foo-tool 33261 1980
        Foo.Bar-1.0+cu128.torch.2.9.dist-info/licenses/LICENSE 33261 1980
        foo/Foo.Bar-1.0.dist-info/METADATA 33261 1980
        Foo.Bar-1.0+cu128.torch.2.9.dist-info/METADATA 33261 1980
        Foo.Bar-1.0+cu128.torch.2.9.dist-info/WHEEL 33261 1980
        Foo.Bar-1.0+cu128.torch.2.9.dist-info/RECORD 33261 1980
        Metadata-Version: 2.1
        Name: Foo.Bar
        Version: 1.0+cu128.torch.2.9
        Summary: A wheel, of a test
        Requires-Python: >=3.9
        Requires-Dist: torch ==2.9.*
        Requires-Dist: einops
        Author: A
          Tester

        Version: not here

    "#]]
    .assert_eq(&python::run(script, &[&path], Vec::new()));
}

#[test]
fn the_same_wheel_and_label_give_the_same_bytes() {
    let [from, one, two] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let path = wheel().write(from.path());
    let first = relabel(&path, "cu128torch2.9", false, one.path()).unwrap();
    let second = relabel(&path, "+CU128torch2.9", false, two.path()).unwrap();
    assert_eq!(fs::read(&first.path).unwrap(), fs::read(&second.path).unwrap());
    // Again into the same folder changes nothing, and through another label is no other way.
    assert_eq!(relabel(&path, "cu128torch2.9", false, one.path()).unwrap(), first);
    let other = relabel(&path, "cu130torch2.10", false, one.path()).unwrap();
    let back = relabel(Path::new(&other.path), "cu128torch2.9", true, one.path()).unwrap();
    assert_eq!(back.sha256, first.sha256);
    assert_eq!(fs::read_dir(one.path()).unwrap().count(), 2);
}

#[test]
fn a_wheel_that_was_given_its_platform_by_renaming_comes_out_consistent() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut renamed = wheel();
    renamed.name = "Foo.Bar-1.0-2b-cp312.cp313-none-win_amd64.whl".to_owned();
    let made = relabel(&renamed.write(from.path()), "cu128", false, to.path()).unwrap();
    let told = inspect(Path::new(&made.path), Variants::Refused).unwrap();
    assert_eq!((told.findings, told.verified), (vec![], 7));
    let said = told.wheel.unwrap();
    assert_eq!(
        (said.tags.join(" "), said.build.as_deref()),
        ("cp312-none-win_amd64 cp313-none-win_amd64".to_owned(), Some("2b"))
    );
    assert_eq!((said.generator.as_deref(), said.root_is_purelib), (Some("test (1)"), Some(false)));
    // Of another format it is not known what else would have to change.
    renamed.edit("Foo.Bar-1.0.dist-info/WHEEL", "Wheel-Version: 1.0", "Wheel-Version: 2.0");
    renamed.list();
    assert!(relabel(&renamed.write(from.path()), "cu130", false, to.path()).is_err());
}

#[test]
fn pip_installs_the_result() {
    let [from, to, target] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let path = wheel().write(from.path());
    let made = relabel(&path, "cu128torch2.9", false, to.path()).unwrap();
    // Another name alone is what pip refuses.
    fs::copy(&path, to.path().join("Foo.Bar-1.0+cu130-py3-none-any.whl")).unwrap();
    let pip = |version: &str| {
        Command::new(python::interpreter())
            .args([
                "-m",
                "pip",
                "install",
                "--no-index",
                "--no-deps",
                "--disable-pip-version-check",
                "--target",
            ])
            .args([target.path(), Path::new("--find-links"), to.path()])
            .arg(format!("foo-bar=={version}"))
            .output()
            .unwrap()
    };
    let refused = pip("1.0+cu130");
    assert!(!refused.status.success());
    let told =
        String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("inconsistent version"), "{told}");
    let output = pip("1.0");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(made.path.ends_with("Foo.Bar-1.0+cu128torch2.9-py3-none-any.whl"));
    let script = "
import sys; sys.path.insert(0, sys.argv[1])
import foo, importlib.metadata as metadata
print(foo.x, metadata.version('foo-bar'))
";
    assert_eq!(python::run(script, &[target.path()], Vec::new()), "1 1.0+cu128torch2.9\n");
    assert!(target.path().join("bin/foo-tool").exists());
}

#[test]
fn what_would_vouch_for_a_lie_is_refused_and_leaves_nothing() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let refused = |wheel: &WheelFile, label: &str, replace: bool| {
        let error = relabel(&wheel.write(from.path()), label, replace, to.path()).unwrap_err().to_string();
        error.replace(&from.path().display().to_string(), "F").replace(&to.path().display().to_string(), "T")
    };
    let mut lying = wheel();
    lying.edit("Foo.Bar-1.0.dist-info/METADATA", "Version: 1.0", "Version: 1.1");
    lying.list();
    assert_eq!(
        refused(&lying, "cu128", false),
        "relabel F/Foo.Bar-1.0-py3-none-any.whl: Foo.Bar-1.0.dist-info/METADATA: Version is `1.1`, and the wheel's name says \
         1.0 (rule metadata)"
    );
    let mut stale = wheel();
    stale.set("foo/__init__.py", b"x = 2\n");
    stale.set("foo/new.py", b"");
    let error = refused(&stale, "cu128", false);
    assert!(error.ends_with("its hash is not the one in RECORD (rule record), and 1 more"), "{error}");
    for label in ["", "a b", "cu128+torch", ".a", "a/b", " a", "cu128\n"] {
        assert!(refused(&wheel(), label, false).starts_with("read the label"), "{label:?}");
    }
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 0);
    let made = relabel(&wheel().write(from.path()), "cu128", false, to.path()).unwrap();
    let again = relabel(Path::new(&made.path), "cu130", false, to.path()).unwrap_err();
    assert!(again.to_string().ends_with("its version 1.0+cu128 has a label already"), "{again}");
    // Published bytes do not change under their name.
    let mut newer = wheel();
    newer.set("foo/__init__.py", b"x = 3\n");
    newer.list();
    assert_eq!(
        refused(&newer, "cu128", false),
        "write T/Foo.Bar-1.0+cu128-py3-none-any.whl: a file with other bytes is there"
    );
    assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
}
