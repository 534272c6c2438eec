//! `wootz container` and steps in containers, with a real podman: whose files they leave, how they end, who finds them again.

#![allow(clippy::unwrap_used, reason = "a container that cannot be set up has failed")]

use super::run::Folder;
use super::run_images::podman;
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use wootz_container::Runtime;

/// The image that `dev/setup.sh test` makes: Debian with Python and a C compiler.
const IMAGE: &str = "localhost/wootz-test:1";

/// A project whose only program is podman.
struct World {
    folder: Folder,
    podman: Runtime,
}

impl World {
    /// None, and a loud line, where podman is not installed.
    #[allow(clippy::print_stderr, reason = "what was not tested is to be seen")]
    fn new(plan: &str) -> Option<World> {
        let folder = Folder::new(plan);
        let Some(podman) = podman(folder.path(), 1) else {
            eprintln!(
                "NOT TESTED: podman is not installed, so no container was run; dev/setup.sh test installs it"
            );
            return None;
        };
        assert!(podman.has_image(IMAGE).unwrap(), "no image {IMAGE}: dev/setup.sh test makes it");
        Some(World { folder, podman })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.env("PATH", self.folder.path().join("bin"));
        command.env("SYGALDRY_CONTAINER_ROOT", self.folder.path().join("root")).stdin(Stdio::null());
        command
    }

    /// Its exit code and what it said.
    fn run(&self, args: &[&str]) -> (i32, String, String) {
        said(&self.command(args).output().unwrap())
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = Command::new(&self.podman.program).args(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Containers whose folder is this one.
    fn containers(&self) -> Vec<String> {
        let path = self.folder.path().to_str().unwrap();
        let all = self.ask(&["ps", "--all", "--format", "{{.Names}} {{.Mounts}} {{.State}}"]);
        let names = all.lines().filter_map(|line| line.split(' ').next());
        names
            .filter(|name| {
                self.ask(&["container", "inspect", "--format", "{{.Mounts}}", name]).contains(path)
            })
            .map(str::to_owned)
            .collect()
    }

    fn effects(&self) -> String {
        fs::read_to_string(self.folder.path().join("effects")).unwrap_or_default()
    }

    fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "{what}: {} {:#?}",
                self.effects(),
                self.folder.events()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in self.containers() {
            self.ask(&["rm", "--force", &name]);
        }
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_project_has_its_folders_its_user_and_its_entry_points_inside() {
    let Some(world) = World::new("") else { return };
    let run = |args: &[&str]| world.run(&[&["container", "run", "--image", IMAGE], args].concat());
    let (code, out, err) = run(&["--", "sh", "-c", "pwd; echo $HF_HOME; echo x > made; echo no >&2; exit 7"]);
    assert_eq!((code, out.as_str(), err.as_str()), (7, "/workspace\n/opt/hf_cache\n", "no\n"));
    assert_eq!(
        fs::metadata(world.folder.path().join("made")).unwrap().uid(),
        rustix::process::getuid().as_raw()
    );
    // What is kept for the next container.
    run(&["--project-id", "p", "--", "sh", "-c", "echo kept > ~/file; echo cached > /opt/bazel_cache/file"]);
    let root = world.folder.path().join("root/p");
    for (file, text) in [("monorepo_home/file", "kept\n"), ("bazel_cache/file", "cached\n")] {
        assert_eq!(fs::read_to_string(root.join(file)).unwrap(), text);
    }
    // One word that is no program is a line, and the project's own scripts come first; their ending may be written.
    assert_eq!(run(&["-e", "run-job.sh", "--", "echo a b | wc -w"]).1, "2\n");
    assert_eq!(run(&["-e", "run-job"]).0, 2);
    fs::create_dir_all(world.folder.path().join("container/entrypoints")).unwrap();
    world.folder.script("container/entrypoints/run-job.sh", "#!/bin/sh\necho mine \"$@\"\n");
    assert_eq!(run(&["-e", "run-job.sh", "--", "a", "b"]).1, "mine a b\n");
    let mut shell = world.command(&["container", "shell", "--image", IMAGE]);
    let mut shell = shell.stdin(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut shell.stdin.take().unwrap(), b"echo from $PWD; exit 3\n").unwrap();
    let (code, out, _) = said(&shell.wait_with_output().unwrap());
    assert_eq!((code, out.as_str()), (3, "from /workspace\n"));
    assert_eq!(world.containers(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn limits_and_requests_to_stop_hold_and_secrets_stand_nowhere() {
    let Some(world) = World::new("") else { return };
    let python = "print(len(bytearray(300 << 20)))";
    let (code, _, err) =
        world.run(&["container", "run", "--image", IMAGE, "--memory", "64m", "--", "python3", "-c", python]);
    assert_eq!(code, 137);
    assert!(err.contains("needs more than --memory"), "{err}");
    let line = "echo $HF_TOKEN $TOLD > told; trap 'echo asked > effects; exit 0' TERM; echo ready >> told; while true; do sleep 0.1; done";
    let mut command = world.command(&[
        "container",
        "run",
        "--image",
        IMAGE,
        "--bare",
        "--env",
        "TOLD",
        "--",
        "sh",
        "-c",
        line,
    ]);
    let child = command.env("HF_TOKEN", "hush-1").env("TOLD", "hush-2").spawn().unwrap();
    let told = || fs::read_to_string(world.folder.path().join("told")).unwrap_or_default();
    world.wait("it is ready", || told().contains("ready"));
    assert_eq!(told(), "hush-1 hush-2\nready\n");
    let lines =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    let is_secret = |line: &Vec<u8>| String::from_utf8_lossy(line).contains("hush-");
    assert_eq!(lines.filter(is_secret).count(), 0, "a secret stands on a command line");
    kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    let (code, ..) = said(&child.wait_with_output().unwrap());
    assert_eq!((code, world.effects().as_str()), (130, "asked\n"));
    assert_eq!(world.containers(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn an_image_is_built_once_and_again_when_its_recipe_changes() {
    let Some(world) = World::new("") else { return };
    let id = format!("Test {}", std::process::id());
    let image = format!("wootz/test-{}:dev", std::process::id());
    let run = || world.run(&["container", "run", "--project-id", &id, "--", "cat", "/version"]);
    let (code, _, err) = run();
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("no container/Dockerfile") && err.contains("--image"), "{err}");
    fs::create_dir_all(world.folder.path().join("container")).unwrap();
    let write = |version: u32| {
        let text = format!("FROM {IMAGE}\nARG GO_VERSION=none\nRUN echo {version} $GO_VERSION > /version\n");
        fs::write(world.folder.path().join("container/Dockerfile"), text).unwrap();
    };
    write(1);
    let (code, out, err) = run();
    assert_eq!((code, out.as_str()), (0, "1 none\n"), "{err}");
    assert!(err.contains("being built"), "{err}");
    let (_, out, err) = run();
    assert_eq!((out.as_str(), err.as_str()), ("1 none\n", ""), "it is there");
    write(2);
    assert_eq!(run().1, "2 none\n");
    let build = |words: &[&str]| {
        let mut command = world.command(&[&["container", "build", "--project-id", &id], words].concat());
        said(&command.env("GO_VERSION", "1.99").output().unwrap())
    };
    assert_eq!(build(&[]).1, format!("{image} was built\n"));
    assert_eq!(build(&[]).1, format!("{image} is what its Dockerfile says\n"));
    world.ask(&["rmi", "--force", &image]);
}

#[test]
fn a_job_of_a_plan_runs_in_the_project_s_container() {
    let plan = format!(
        "name: p\nsteps:\n\
         - id: job\n  type: container_job\n  resources: {{memory: 256MiB}}\n\
        \x20 container_job: {{command: 'echo $WHAT in $PWD', image: '{IMAGE}', env: {{WHAT: this}}}}\n\
         - id: fails\n  type: container_job\n  container_job: {{command: 'echo no >&2; exit 5', image: '{IMAGE}'}}\n\
         - id: old\n  type: container_job\n  container_job: {{command: x y, launcher_path: ./launch.sh}}\n"
    );
    let Some(world) = World::new(&plan) else { return };
    world.folder.script("launch.sh", "#!/bin/sh\necho \"$# $2 $4 $SYGALDRY_GPU\"\n");
    let (code, _, err) = world.run(&["run", "plan.yaml", "--max-parallel", "4"]);
    assert_eq!(code, 1, "{err}");
    let ends: Vec<Value> = world.folder.events();
    let end = |step: &str| ends.iter().rfind(|event| event["step"] == step).unwrap().to_string();
    assert!(end("job").contains("this in /workspace"), "{}", end("job"));
    assert!(end("fails").contains("exit code 5: no"), "{}", end("fails"));
    assert!(end("old").contains("4 run-job.sh x y false"), "{}", end("old"));
    assert_eq!(world.containers(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn steps_run_in_an_image_and_their_outputs_are_kept() {
    let Some(world) = World::new(
        "name: p\nsteps:\n\
         - {id: a, type: command, command: sh, args: [\"-c\", \"cat /etc/os-release > $WOOTZ_OUTPUT/os; echo a >> effects; pwd\"], cache: true, outputs: [os], env: {A: \"1 2\"}}\n\
         - {id: b, type: command, command: sh, args: [\"-c\", \"grep -c bookworm ${steps.a}/os\"], depends_on: [a]}\n",
    ) else {
        return;
    };
    let run = ["run", "plan.yaml", "--launcher", "podman", "--image", IMAGE];
    for _ in 0..2 {
        let (code, _, err) = world.run(&run);
        assert_eq!(code, 0, "{err}");
    }
    assert_eq!(world.effects(), "a\n", "the second run had it from the cache");
    let (code, _, err) = world.run(&["run", "plan.yaml", "--launcher", "podman"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("give --image"), "{err}");
    let (code, _, err) = world.run(&["run", "plan.yaml", "--image", IMAGE]);
    assert_eq!(code, 2, "{err}");
    let mut alone = world.command(&run);
    let (code, _, err) = said(&alone.env("PATH", "/nowhere").output().unwrap());
    assert_eq!(code, 3);
    assert!(err.contains("apt-get install podman"), "{err}");
}

const SLOW: &str = "name: p\nsteps:\n\
    - {id: a, type: command, command: sh, retries: {max_attempts: 2, initial_seconds: 0.1}, \
    args: [\"-c\", \"echo $WOOTZ_ATTEMPT >> effects; while [ ! -e go ]; do sleep 0.1; done; echo done >> effects\"]}\n";

#[test]
fn a_container_outlives_the_engine_and_is_found_again() {
    let Some(world) = World::new(SLOW) else { return };
    let mut engine =
        world.command(&["run", "plan.yaml", "--launcher", "podman", "--image", IMAGE]).spawn().unwrap();
    world.wait("the step runs", || world.effects().contains('1'));
    engine.kill().unwrap();
    engine.wait().unwrap();
    let resumed = world.command(&["run", "--resume", "latest"]).spawn().unwrap();
    fs::write(world.folder.path().join("go"), "").unwrap();
    let (code, _, err) = said(&resumed.wait_with_output().unwrap());
    assert_eq!((code, world.effects().as_str()), (0, "1\ndone\n"), "{err}");
    assert_eq!(world.containers(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn a_container_whose_keeper_was_killed_is_not_left_beside_the_next_attempt() {
    let Some(world) = World::new(SLOW) else { return };
    let mut engine =
        world.command(&["run", "plan.yaml", "--launcher", "podman", "--image", IMAGE]).spawn().unwrap();
    world.wait("the step runs", || world.effects().contains('1'));
    engine.kill().unwrap();
    engine.wait().unwrap();
    // The keeper and the attendant: nobody is left who knows of the container.
    for pid in world.folder.keepers() {
        kill_process(pid, Signal::KILL).unwrap();
    }
    let attendants = attendants(&world);
    assert_eq!(attendants.len(), 1, "{attendants:?}");
    attendants.iter().for_each(|pid| kill_process(*pid, Signal::KILL).unwrap());
    let containers = world.containers();
    assert_eq!(containers.len(), 1, "it goes on");
    let resumed = world.command(&["run", "--resume", "latest"]).spawn().unwrap();
    world.wait("the next attempt runs", || world.effects().contains('2'));
    assert!(!world.containers().contains(&containers[0]), "the earlier one is gone");
    fs::write(world.folder.path().join("go"), "").unwrap();
    let (code, _, err) = said(&resumed.wait_with_output().unwrap());
    assert_eq!((code, world.effects().as_str()), (0, "1\n2\ndone\n"), "{err}");
    assert_eq!(world.containers(), Vec::<String>::new(), "nothing is left");
}

/// The processes `wootz container run` of this folder.
fn attendants(world: &World) -> Vec<rustix::process::Pid> {
    let folder = world.folder.path().to_str().unwrap();
    let is_one = |path: &PathBuf| {
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(" container run ") && line.contains(folder)
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let numbers = processes.filter(is_one).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
    numbers.filter_map(rustix::process::Pid::from_raw).collect()
}

/// Spack itself cannot be had from a registry: what it is asked for is what is tested.
#[test]
fn an_environment_of_spack_follows_its_lock_or_its_template() {
    let folder = Folder::new(
        "name: p\nsteps:\n- {id: env, type: spack_environment, spack_environment: {folder: env, spack: tools, jobs: 8}}\n",
    );
    let asked = || fs::read_to_string(folder.path().join("env/asked")).unwrap_or_default();
    let run = || said(&folder.command(&["run", "plan.yaml"]).output().unwrap());
    fs::create_dir_all(folder.path().join("env")).unwrap();
    fs::create_dir_all(folder.path().join("tools")).unwrap();
    fs::write(folder.path().join("env/spack_src.yaml"), "spack: {specs: [zlib]}\n").unwrap();
    let (code, _, err) = run();
    assert_eq!(code, 1);
    assert!(err.contains("spack is not installed"), "{err}");
    folder.script(
        "tools/spack",
        "#!/bin/sh\necho \"$@\" >> asked\ncase \"$*\" in *concretize*) cp spack.yaml spack.lock;; esac\necho 1 package\n",
    );
    let (code, _, err) = run();
    assert_eq!(code, 0, "{err}");
    let rest = "--env . install --jobs 8\n--env . env view regenerate\n--env . find\n";
    assert_eq!(asked(), format!("--env . concretize --force\n{rest}"));
    // With a lock the template is not looked at, and what stands in spack.yaml stays.
    fs::remove_file(folder.path().join("env/asked")).unwrap();
    fs::write(folder.path().join("env/spack_src.yaml"), "changed\n").unwrap();
    assert_eq!(run().0, 0);
    assert_eq!(asked(), rest);
    assert_eq!(fs::read_to_string(folder.path().join("env/spack.yaml")).unwrap(), "spack: {specs: [zlib]}\n");
}
