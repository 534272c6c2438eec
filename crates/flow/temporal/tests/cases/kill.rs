//! Worker and server are killed while a process goes on: the process is found again, and nothing is done twice.

use super::server::DevServer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::Duration;
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

fn work(home: &Path, address: &str) -> Child {
    // The example stands beside the tests: target/<profile>/{deps,examples}.
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/launching_worker");
    let mut command = Command::new(program);
    command.arg("work").arg(home).arg(address).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn killed_worker_and_server_do_nothing_twice() {
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
    let text = PLAN.replace("EFFECTS", &effects.to_string_lossy());
    let none = BTreeMap::new();
    let plan = load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &registry).unwrap();
    let plan = PlanFile { plan, text, path: "p.yaml".to_owned() };
    let cancel = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let run = runtime.block_on(at.start(&runner, &plan, &Options::new("test", &cancel), &registry)).unwrap();
    while !fs::read_to_string(&effects).is_ok_and(|text| text.contains("slow")) {
        sleep(Duration::from_millis(20));
    }
    kill(worker);
    let server = server.again(folder.path());
    let worker = work(&home, &server.address);
    let summary = runtime.block_on(at.follow(&runner, &registry, &run, &cancel, &Silent)).unwrap();
    kill(worker);
    assert_eq!(summary.status, Status::Succeeded, "{summary:?}");
    assert_eq!(fs::read_to_string(&effects).unwrap(), "first\nslow\nslept\nlast\n");
    let events = runner.events(&run).unwrap();
    let started = events.iter().filter(|record| matches!(record.event, Event::Started { .. }));
    assert_eq!(started.count(), 3, "each step once: {events:?}");
}
