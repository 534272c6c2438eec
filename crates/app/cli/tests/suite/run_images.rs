//! Images through a real podman and a real registry: built by a plan, pushed, verified by digest, pulled and run under limits.

#![allow(clippy::unwrap_used, reason = "an image that cannot be set up has failed")]

use super::run::Folder;
use serde_json::Value;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};
use wootz_container::{ContainerError, Exit, Kind, Outputs, Runtime, Spec};

/// Debian's registry, with its store in a folder of its own.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(folder: &Path) -> Registry {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{port}\"}}\n",
            folder.join("registry").display()
        );
        fs::write(folder.join("registry.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(folder.join("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Registry { child: command.spawn().unwrap(), port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "the registry does not answer");
            thread::sleep(Duration::from_millis(20));
        }
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Podman by a program that has the settings of tests; none, and a loud line, where it or the registry is not installed.
#[allow(clippy::print_stderr, reason = "what was not tested is to be seen")]
pub fn podman(folder: &Path, port: u16) -> Option<Runtime> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = Runtime::find(Some(Kind::Podman), &path).ok()?.program;
    let registries = folder.join("registries.conf");
    fs::write(&registries, format!("[[registry]]\nlocation = \"127.0.0.1:{port}\"\ninsecure = true\n"))
        .unwrap();
    let settings = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../dev/containers.conf");
    let script = format!(
        "#!/bin/sh\nCONTAINERS_CONF={} CONTAINERS_REGISTRIES_CONF={} exec {} \"$@\"\n",
        settings.display(),
        registries.display(),
        real.display()
    );
    let program = folder.join("bin/podman");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(&program, script).unwrap();
    Command::new("chmod").arg("755").arg(&program).status().unwrap();
    Some(Runtime { kind: Kind::Podman, program })
}

#[allow(clippy::print_stderr, reason = "what was not tested is to be seen")]
fn are_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    let missing: Vec<&str> = ["podman", "docker-registry"].into_iter().filter(|name| !has(name)).collect();
    if !missing.is_empty() {
        eprintln!(
            "NOT TESTED: {} is not installed, so no image was pushed; dev/setup.sh test installs it",
            missing.join(" and ")
        );
    }
    missing.is_empty()
}

const PROGRAM: &str = "#include <stdlib.h>\n#include <string.h>\n#include <stdio.h>\n\
    int main(int count, char **words) {\n\
    if (count > 2) { size_t size = strtoul(words[2], 0, 10) << 20; char *all = malloc(size); memset(all, 1, size); printf(\"%d\\n\", all[size / 2]); }\n\
    puts(\"from the image\"); return count > 1 ? atoi(words[1]) : 0; }\n";

fn plan(image: &str) -> String {
    format!(
        "name: images\nsteps:\n\
         - {{id: build, type: docker_build, docker_build: {{image: \"{image}\", context: context, labels: {{origin: plan}}}}}}\n\
         - {{id: push, type: docker_push, depends_on: [build], docker_push: {{image: \"{image}\"}}}}\n"
    )
}

/// A run of the plan with podman as the only program that has containers.
fn run(folder: &Folder) -> Output {
    folder.command(&["run", "plan.yaml"]).env("PATH", folder.path().join("bin")).output().unwrap()
}

/// How a step ended, by the log of the latest run.
fn end_of(folder: &Folder, step: &str) -> Value {
    let is_its = |event: &&Value| event["step"] == step && event["kind"] != "started";
    let events = folder.events();
    events.iter().rev().find(is_its).unwrap_or_else(|| panic!("{step}: {events:#?}")).clone()
}

fn context(folder: &Folder, file: &str) -> PathBuf {
    let context = folder.path().join("context");
    fs::create_dir_all(&context).unwrap();
    fs::write(folder.path().join("program.c"), PROGRAM).unwrap();
    let mut compile = Command::new("cc");
    let made = compile
        .args(["-static", "-O1", "-o", "context/program", "program.c"])
        .current_dir(folder.path())
        .status();
    assert!(made.unwrap().success());
    fs::write(context.join("Dockerfile"), file).unwrap();
    context
}

#[test]
fn an_image_is_built_pushed_verified_pulled_and_run() {
    if !are_installed() {
        return;
    }
    let folder = Folder::new("");
    let registry = Registry::start(folder.path());
    let podman = podman(folder.path(), registry.port).unwrap();
    let image = format!("127.0.0.1:{}/team/demo:1", registry.port);
    fs::write(folder.path().join("plan.yaml"), plan(&image)).unwrap();
    context(&folder, "FROM scratch\nCOPY program /program\nENTRYPOINT [\"/program\"]\n");
    let output = run(&folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // The registry itself says which digest the tag has; the plan's step named the same.
    let inspect = Command::new("skopeo")
        .args(["inspect", "--tls-verify=false", &format!("docker://{image}")])
        .output()
        .unwrap();
    let told: Value = serde_json::from_slice(&inspect.stdout).unwrap();
    let digest = told["Digest"].as_str().unwrap();
    assert_eq!(told["Labels"]["origin"], "plan");
    let summary = end_of(&folder, "push")["summary"].as_str().unwrap().to_owned();
    let name = format!("127.0.0.1:{}/team/demo@{digest}", registry.port);
    assert_eq!(summary, format!("pushed {name}"));

    let ask = |words: &[&str]| Command::new(&podman.program).args(words).output().unwrap();
    assert!(ask(&["rmi", "--force", &image]).status.success());
    assert_eq!(podman.verify(&image, digest).unwrap(), name);
    let wrong = podman.verify(&image, &format!("sha256:{}", "0".repeat(64))).unwrap_err();
    assert!(matches!(wrong, ContainerError::Refused { .. }), "{wrong}");
    let spec = |task: &str, argv: &[&str]| Spec {
        name: format!("wootz-images-{task}-{}", registry.port),
        image: name.clone(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        memory: Some("64m".to_owned()),
        cpus: Some("0.5".to_owned()),
        pids: Some(16),
        network: Some("none".to_owned()),
        ..Spec::default()
    };
    for (task, argv, code, said) in [
        ("ends", &["7"][..], 7, "from the image\n"),
        ("fits", &["3", "16"], 3, "1\nfrom the image\n"),
        ("hungry", &["0", "300"], 137, ""),
    ] {
        let log = tempfile::NamedTempFile::new().unwrap();
        let exit = podman.run(
            &spec(task, argv),
            Outputs::joined(log.as_file()).unwrap(),
            &AtomicBool::new(false),
            Duration::from_secs(1),
        );
        let Exit { code: ended, .. } = exit.unwrap();
        assert_eq!((ended, fs::read_to_string(log.path()).unwrap().as_str()), (code, said), "{task}");
    }
    ask(&["rmi", "--force", &name]);

    // Nothing that was pushed is there any more, and the next push says so.
    drop(registry);
    fs::remove_dir_all(folder.path().join(".wootz")).unwrap();
    let output = run(&folder);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let end = end_of(&folder, "push");
    assert!(
        end.to_string().contains("exit code 125") && end.to_string().contains("pinging container registry"),
        "{end}"
    );
    ask(&["rmi", "--force", &image]);
}

#[test]
fn a_build_that_fails_tells_its_code_and_its_line() {
    if !are_installed() {
        return;
    }
    let folder = Folder::new(&plan("localhost/wootz-never:1"));
    podman(folder.path(), 1).unwrap();
    context(&folder, "FROM scratch\nCOPY program /program\nCOPY nothing /\n");
    let output = run(&folder);
    assert_eq!(output.status.code(), Some(1));
    let end = end_of(&folder, "build").to_string();
    assert!(end.contains("exit code 125") && end.contains("nothing"), "{end}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("push: skipped"));
}
