//! Real containers: what they say and end with, limits, requests to stop, and who asks again.

#![allow(clippy::unwrap_used, reason = "a container that cannot be set up has failed")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use wootz_container::{ContainerError, Exit, Kind, Mount, Outputs, Runtime, Spec};

/// The image that `dev/setup.sh test` makes.
const IMAGE: &str = "localhost/wootz-test:1";
const GRACE: Duration = Duration::from_secs(1);

/// Podman with the settings of the repository's tests; none, and a loud line, where it is not installed.
#[allow(clippy::print_stderr, reason = "what was not tested is to be seen")]
fn podman() -> Option<Runtime> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Ok(real) = Runtime::find(Some(Kind::Podman), &path) else {
        eprintln!(
            "NOT TESTED: podman is not installed, so no container was run; dev/setup.sh test installs it"
        );
        return None;
    };
    // The environment is shared by all tests, so the settings go by a program of the same name.
    let folder = tempfile::tempdir().unwrap().keep();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../dev/containers.conf");
    let program = folder.join("podman");
    let (settings, real) = (settings.display(), real.program.display().to_string());
    fs::write(&program, format!("#!/bin/sh\nCONTAINERS_CONF={settings} exec {real} \"$@\"\n")).unwrap();
    Command::new("chmod").arg("755").arg(&program).status().unwrap();
    let runtime = Runtime { kind: Kind::Podman, program };
    assert!(runtime.has_image(IMAGE).unwrap(), "no image {IMAGE}: dev/setup.sh test makes it");
    Some(runtime)
}

fn spec(name: &str, script: &str) -> Spec {
    let name = format!("wootz-test-{name}-{}", std::process::id());
    Spec {
        labels: BTreeMap::from([("wootz.task".to_owned(), name.clone())]),
        name,
        image: IMAGE.to_owned(),
        argv: ["sh", "-c", script].map(str::to_owned).to_vec(),
        network: Some("none".to_owned()),
        ..Spec::default()
    }
}

fn run(runtime: &Runtime, spec: &Spec) -> (Result<Exit, ContainerError>, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    let never = AtomicBool::new(false);
    let exit = runtime.run(spec, Outputs::joined(log.as_file()).unwrap(), &never, GRACE);
    let left = Command::new(&runtime.program).args(["container", "inspect", &spec.name]).output().unwrap();
    assert!(!left.status.success(), "{} is left", spec.name);
    (exit, fs::read_to_string(log.path()).unwrap())
}

#[test]
fn what_it_says_and_ends_with_is_told_and_nothing_is_left() {
    let Some(runtime) = podman() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mount = |inside: &str, is_writable| Mount {
        outside: folder.path().display().to_string(),
        inside: inside.to_owned(),
        is_writable,
    };
    let script =
        "echo out $A $B; echo err >&2; pwd; touch /rw/x; touch /ro/y 2>/dev/null && echo wrong; exit 7";
    let (exit, said) = run(
        &runtime,
        &Spec {
            env: BTreeMap::from([("A".to_owned(), "1 2".to_owned())]),
            secrets: BTreeMap::from([("B".to_owned(), "hush".to_owned())]),
            mounts: vec![mount("/rw", true), mount("/ro", false)],
            folder: Some("/tmp".to_owned()),
            ..spec("says", script)
        },
    );
    assert_eq!(exit.unwrap(), Exit { code: 7, out_of_memory: false });
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["/tmp", "err", "out 1 2 hush"]);
    assert!(folder.path().join("x").exists() && !folder.path().join("y").exists());
    let (refused, _) = run(&runtime, &Spec { image: "localhost/none:0".to_owned(), ..spec("none", "true") });
    let told = refused.unwrap_err().to_string();
    assert!(told.starts_with("create the container") && told.contains("localhost/none"), "{told}");
}

#[test]
fn memory_is_limited() {
    let Some(runtime) = podman() else { return };
    let hungry = "python3 -c 'x = bytearray(200 << 20); print(len(x))'";
    let limited = Spec { memory: Some("64m".to_owned()), ..spec("hungry", hungry) };
    let (exit, said) = run(&runtime, &limited);
    assert_eq!(exit.unwrap().code, 137, "{said}");
    let (exit, _) = run(&runtime, &Spec { memory: Some("400m".to_owned()), ..spec("fed", hungry) });
    assert_eq!(exit.unwrap().code, 0);
}

#[test]
fn who_asks_again_gets_the_same_container_and_a_stranger_does_not() {
    let Some(runtime) = podman() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mount =
        Mount { outside: folder.path().display().to_string(), inside: "/out".to_owned(), is_writable: true };
    let asked = Spec {
        mounts: vec![mount],
        ..spec(
            "again",
            "echo begun | tee -a /out/effects; while [ ! -e /out/go ]; do sleep 0.05; done; exit 5",
        )
    };
    // Whoever began it dies, and the container lives on.
    let words = asked.create(runtime.kind);
    assert!(Command::new(&runtime.program).args(&words).output().unwrap().status.success());
    assert!(Command::new(&runtime.program).args(["start", &asked.name]).output().unwrap().status.success());
    while !folder.path().join("effects").exists() {
        thread::sleep(Duration::from_millis(20));
    }
    let stranger =
        Spec { labels: BTreeMap::from([("wootz.task".to_owned(), "x".to_owned())]), ..asked.clone() };
    let log = File::create(folder.path().join("log")).unwrap();
    let taken =
        runtime.run(&stranger, Outputs::joined(&log).unwrap(), &AtomicBool::new(false), GRACE).unwrap_err();
    assert!(matches!(taken, ContainerError::Taken { .. }), "{taken}");
    fs::write(folder.path().join("go"), "").unwrap();
    let (exit, said) = run(&runtime, &asked);
    assert_eq!((exit.unwrap().code, said.as_str()), (5, "begun\n"), "its log from the start");
    assert_eq!(fs::read_to_string(folder.path().join("effects")).unwrap(), "begun\n", "run once");
}

#[test]
fn a_request_to_stop_ends_it() {
    let Some(runtime) = podman() else { return };
    let cancel = AtomicBool::new(false);
    let log = tempfile::NamedTempFile::new().unwrap();
    let asked = spec("stop", "trap '' TERM; echo begun; sleep 600 & wait; sleep 600");
    thread::scope(|scope| {
        scope.spawn(|| {
            while fs::read_to_string(log.path()).unwrap() != "begun\n" {
                thread::sleep(Duration::from_millis(20));
            }
            cancel.store(true, Ordering::Relaxed);
        });
        let stopped =
            runtime.run(&asked, Outputs::joined(log.as_file()).unwrap(), &cancel, GRACE).unwrap_err();
        assert!(matches!(stopped, ContainerError::Cancelled), "{stopped}");
    });
    let left = Command::new(&runtime.program).args(["container", "inspect", &asked.name]).output().unwrap();
    assert!(!left.status.success());
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    use wootz_schema::Diagnose;
    let missing = Runtime::find(None, "/nowhere".as_ref()).unwrap_err();
    assert_eq!(missing.to_string(), "find podman or docker: it is not installed");
    assert!(missing.hint().unwrap().contains("apt-get install podman"));
}
