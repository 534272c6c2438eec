//! A worker whose steps are processes: `launching_worker work HOME ADDRESS` works, `launching_worker keep JOURNAL` is the keeper that it
//! starts. The kill test kills it while a process goes on.

use serde_json::Value;
use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wootz_pipeline::{Registry, Step, StepContext, StepError, StepOutcome};
use wootz_runner::{Attendants, Runner};
use wootz_schema::metrics::Metrics;
use wootz_schema::progress::Silent;
use wootz_temporal::{Server, Worker};

/// Runs a line of shell.
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

    fn is_launched(&self) -> bool {
        true
    }

    fn run(&self, context: &StepContext<'_>, config: &Value) -> Result<StepOutcome, StepError> {
        let line = config["line"].as_str().unwrap_or_default();
        let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        let env = std::env::vars().collect();
        let ended = context.launch(argv, env, context.work)?;
        match ended.code {
            Some(0) => Ok(StepOutcome::passed("ended", Metrics::new())),
            code => Err(StepError::failed(format!("run the line: it ended with {code:?}"))),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "keep", journal] => {
            let orders = File::from(std::io::stdin().as_fd().try_clone_to_owned()?);
            Ok(wootz_keeper::keep(Path::new(journal), orders, std::io::stdout())?)
        }
        [program, "work", home, address] => {
            let mut registry = Registry::new();
            registry.register(Shell);
            let keeper = vec![program.into(), "keep".into()];
            let worker = Worker {
                runner: Runner::open(Path::new(home))?,
                registry,
                keeper,
                attendants: Attendants::default(),
            };
            let server = Server {
                address: (*address).to_owned(),
                namespace: "default".to_owned(),
                task_queue: "launching".to_owned(),
                silence: Duration::from_secs(2),
            };
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            Ok(runtime.block_on(worker.serve(&server, &Silent))?)
        }
        _ => Err("usage: launching_worker work HOME ADDRESS | keep JOURNAL".into()),
    }
}
