//! Worker and server are killed while a process goes on: the process is found again, and nothing is done twice.

use super::server::DevServer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load};
use wootz_runner::{Options, PlanFile, Runner};
use wootz_schema::event::{Event, Status};
use wootz_schema::progress::Silent;
use wootz_temporal::Server;

/// The kind of step that the worker has; the client only reads plans.
struct Shell;

impl Step for Shell {
    fn kind(&self) -> &'static str {
        "shell"
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, _: &Value) -> Result<(), StepError> {
        Ok(())
    }
    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }
    fn run(&self, _: &StepContext<'_>, _: &Value) -> Result<StepOutcome, StepError> {
        unreachable!("the worker runs it")
    }
}

const PLAN: &str = r#"{name: killed, steps: [
    {id: first, type: shell, shell: {line: "echo first >> EFFECTS"}},
    {id: slow, type: shell, depends_on: [first], shell: {line: "echo slow >> EFFECTS; sleep 4; echo slept >> EFFECTS"}},
    {id: last, type: shell, depends_on: [slow], shell: {line: "echo last >> EFFECTS"}}]}"#;

fn work(home: &Path, address: &str) -> Worker {
    // The example stands beside the tests: target/<profile>/{deps,examples}.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/launching_worker");
    let mut command = Command::new(program);
    command.arg("work").arg(home).arg(address).stdin(Stdio::null()).stdout(Stdio::null());
    Worker(command.spawn().unwrap())
}

/// Killed when it is dropped.
struct Worker(Child);

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().expect("a worker that still goes on");
        self.0.wait().expect("a child");
    }
}

/// A run on a server of its own, with what is needed to begin workers for it.
struct Begun {
    folder: TempDir,
    server: Option<DevServer>,
    at: Server,
    runner: Runner,
    registry: Registry,
    run: String,
    worker: Worker,
}

impl Begun {
    fn new(plan: &str) -> Begun {
        let folder = TempDir::new().unwrap();
        let (home, effects) = (folder.path().join("home"), folder.path().join("effects"));
        let server = DevServer::start(folder.path());
        let worker = work(&home, &server.address);
        let at = Server {
            address: server.address.clone(),
            namespace: "default".to_owned(),
            task_queue: "launching".to_owned(),
            silence: Duration::from_secs(2),
        };
        let runner = Runner::open(&home).unwrap();
        let mut registry = Registry::new();
        registry.register(Shell);
        let text = plan.replace("EFFECTS", &effects.to_string_lossy());
        let none = BTreeMap::new();
        let plan =
            load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &registry).unwrap();
        let plan = PlanFile { plan, text, path: "p.yaml".to_owned() };
        let cancel = AtomicBool::new(false);
        let run =
            runtime().block_on(at.start(&runner, &plan, &Options::new("test", &cancel), &registry)).unwrap();
        Begun { folder, server: Some(server), at, runner, registry, run, worker }
    }

    fn effects(&self) -> String {
        fs::read_to_string(self.folder.path().join("effects")).unwrap_or_default()
    }

    /// Waits until something has happened as often.
    fn wait(&self, what: &str, count: usize) {
        let begun = Instant::now();
        while self.effects().matches(what).count() < count {
            assert!(begun.elapsed() < Duration::from_secs(60), "{what} {count} times: {}", self.effects());
            sleep(Duration::from_millis(20));
        }
    }

    /// Kills it only once the next one has begun: work may be handed to either.
    fn kill_worker(&mut self) {
        self.worker = work(&self.folder.path().join("home"), &self.at.address);
    }

    fn kill_server(&mut self) {
        self.server = self.server.take().map(|server| server.again(self.folder.path()));
    }

    /// Follows it to its end: how each step was begun.
    fn end(self) -> (String, usize) {
        let never = AtomicBool::new(false);
        let followed = self.at.follow(&self.runner, &self.registry, &self.run, &never, &Silent);
        let summary = runtime().block_on(followed).unwrap();
        assert_eq!(summary.status, Status::Succeeded, "{summary:?}");
        let events = self.runner.events(&self.run).unwrap();
        let started = events.iter().filter(|record| matches!(record.event, Event::Started { .. })).count();
        let effects = self.effects();
        (effects, started)
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

#[test]
fn killed_worker_and_server_do_nothing_twice() {
    let mut begun = Begun::new(PLAN);
    begun.wait("slow", 1);
    begun.kill_worker();
    begun.kill_server();
    assert_eq!(begun.end(), ("first\nslow\nslept\nlast\n".to_owned(), 3), "each step once");
}

/// The worker is killed in each of twelve steps, now before and now behind what the step does, and with every fourth the server, too.
#[test]
fn a_worker_killed_in_every_step_does_nothing_twice() {
    let steps: Vec<String> = (1..=12)
        .map(|n| {
            let after = if n > 1 { format!("depends_on: [s{}], ", n - 1) } else { String::new() };
            format!("{{id: s{n}, type: shell, {after}shell: {{line: \"echo {n} began >> EFFECTS; sleep 0.4; echo {n} ended >> EFFECTS\"}}}}")
        })
        .collect();
    let mut begun = Begun::new(&format!("{{name: often, steps: [{}]}}", steps.join(", ")));
    for n in 1..=12 {
        begun.wait(if n % 2 == 0 { "began" } else { "ended" }, n);
        begun.kill_worker();
        if n % 4 == 0 {
            begun.kill_server();
        }
    }
    let once: String = (1..=12).map(|n| format!("{n} began\n{n} ended\n")).collect();
    assert_eq!(begun.end(), (once, 12), "each step once");
}
