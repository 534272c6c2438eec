//! Stopping a run that a server drives: by the server's own means, and by a request in the home folder.

use super::conformance::registry;
use super::server::{DevServer, program};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tempfile::TempDir;
use wootz_pipeline::{Source, load};
use wootz_runner::{Attendants, Options, PlanFile, Runner, RunnerError};
use wootz_schema::event::{Event, RunSummary, Status};
use wootz_schema::progress::Silent;
use wootz_temporal::{Server, TemporalError, Worker};

/// Runs a plan that would never end, and stops it when it has begun.
fn stopped(
    home: &Path,
    server: &DevServer,
    stop: impl Fn(&Path, &str) + Copy + Send + 'static,
) -> RunSummary {
    let runner = Runner::open(home).unwrap();
    let at = Server {
        address: server.address.clone(),
        namespace: "default".to_owned(),
        task_queue: "stop".to_owned(),
        silence: Duration::from_secs(5),
    };
    let begun = home.join("begun");
    let text = format!(
        "{{name: stop, steps: [{{id: a, type: told, told: {{forever: true, begun: {}}}}}, {{id: b, type: told, depends_on: [a]}}]}}",
        begun.display()
    );
    let none = BTreeMap::new();
    let kinds = registry();
    let plan = load(Source { text: &text, file: "p.yaml", params: &none, env: &none }, &kinds).unwrap();
    let plan = PlanFile { plan, text, path: "p.yaml".to_owned() };
    let never = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let worker = Worker {
        runner: Runner::open(home).unwrap(),
        registry: registry(),
        keeper: Vec::new(),
        attendants: Attendants::default(),
    };
    runtime.block_on(async {
        let run = at.start(&runner, &plan, &Options::new("test", &never), &kinds).await.unwrap();
        let wait = async {
            while !begun.exists() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            // The embedded engine leaves it alone, and nothing of it is removed.
            let taken = runner.resume(&run, &Options::new("test", &never), &kinds, &Silent).unwrap_err();
            assert!(matches!(taken, RunnerError::Driven { .. } | RunnerError::Taken { .. }), "{taken}");
            let (home, run) = (home.to_owned(), run.clone());
            std::thread::spawn(move || stop(&home, &run));
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ended = worker.serve(&at, &Silent) => panic!("the worker ended: {ended:?}"),
            () = wait => unreachable!("it waits for ever"),
            summary = at.follow(&runner, &kinds, &run, &never, &Silent) => summary.unwrap(),
        }
    })
}

fn check(runner: &Runner, summary: &RunSummary) {
    assert_eq!(summary.status, Status::Cancelled, "{summary:?}");
    let events = runner.events(&summary.run).unwrap();
    let requests = events.iter().filter(|record| matches!(record.event, Event::CancelRequested));
    assert_eq!(requests.count(), 1);
    assert!(!events.iter().any(|record| matches!(&record.event, Event::Started { step, .. } if step == "b")));
}

#[test]
fn the_servers_own_cancellation_counts() {
    let folder = TempDir::new().unwrap();
    let server = DevServer::start(folder.path());
    let home = folder.path().join("home");
    let address: &'static str = server.address.clone().leak();
    let summary = stopped(&home, &server, move |_, run| {
        let mut cancel = Command::new(program());
        let cancel = cancel.args(["workflow", "cancel", "--workflow-id", run, "--address", address]);
        assert!(cancel.output().unwrap().status.success());
    });
    check(&Runner::open(&home).unwrap(), &summary);
}

#[test]
fn a_request_in_the_home_folder_is_heard_by_who_follows() {
    let folder = TempDir::new().unwrap();
    let server = DevServer::start(folder.path());
    let home = folder.path().join("home");
    let summary = stopped(&home, &server, |home, run| {
        let runner = Runner::open(home).unwrap();
        let set = AtomicBool::new(true);
        runner.cancel(run, false, &Options::new("test", &set), &registry(), &Silent).map(drop).unwrap();
    });
    check(&Runner::open(&home).unwrap(), &summary);
}

#[test]
fn without_a_server_one_error_says_where_it_was_looked_for() {
    let folder = TempDir::new().unwrap();
    let runner = Runner::open(folder.path()).unwrap();
    let at = Server {
        address: "127.0.0.1:9".to_owned(),
        namespace: "default".to_owned(),
        task_queue: "none".to_owned(),
        silence: Duration::from_secs(5),
    };
    let (text, none) = ("{name: p, steps: [{id: a, type: told}]}", BTreeMap::new());
    let kinds = registry();
    let plan = load(Source { text, file: "p.yaml", params: &none, env: &none }, &kinds).unwrap();
    let plan = PlanFile { plan, text: text.to_owned(), path: "p.yaml".to_owned() };
    let never = AtomicBool::new(false);
    let error =
        wootz_temporal::run(&at, &runner, &plan, &Options::new("test", &never), &kinds, &Silent).unwrap_err();
    assert!(
        matches!(error, TemporalError::Connect { .. }) && error.to_string().contains("127.0.0.1:9"),
        "{error}"
    );
    assert!(runner.runs().unwrap().is_empty());
}
