//! What the rest of wootz asks of the engine: run a plan, take a run up again, tell about runs.

use crate::cancel::Request;
use crate::clock::{Clock, SystemClock};
use crate::engine::{Setting, drive};
use crate::error::RunnerError;
use crate::journal::{Journal, created, replay};
use crate::view;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_devbox::Contained;
use wootz_keeper::Local;
use wootz_pipeline::{Launcher, NoLauncher, Registry, machine};
use wootz_schema::event::{Capacity, Cluster, Created, Driver, Event, Record, RunSummary, Status, VERSION};
use wootz_schema::plan::Plan;
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::task::TaskLogs;
use wootz_slurm::Slurm;
use wootz_stdx::file;
use wootz_store::{Artifact, Lock, Lookup, Store, StoreError};

/// A plan with the text it was read from.
#[derive(Debug, Clone)]
pub struct PlanFile {
    /// The plan, checked.
    pub plan: Plan,
    /// Its text.
    pub text: String,
    /// The file as the caller named it.
    pub path: String,
}

/// How a plan is run.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    /// How many steps may run at once; 0: no limit.
    pub max_parallel: usize,
    /// What steps share; without it nothing is counted but pools.
    pub capacity: Option<Capacity>,
    /// Run this step and everything after it, even if cached.
    pub from: Option<String>,
    /// Run this step alone, even if cached, on the cached outputs of the others.
    pub only: Option<String>,
    /// The command line, for the record.
    pub command: String,
    /// Set from outside to stop the run: what runs is asked to end, nothing new begins.
    pub cancel: &'a AtomicBool,
    /// How long to wait for another process that makes the same output.
    pub lock_wait: Duration,
    /// The command that starts a keeper of processes when the path of its journal is added ([`wootz_keeper::keep`]); without it steps
    /// that are processes fail.
    pub keeper: Vec<OsString>,
    /// What runs processes in place of this machine; a run that is taken up again has that with which it was started.
    pub cluster: Option<Cluster>,
    /// Who else is to drive the run.
    pub driver: Option<Driver>,
    /// The commands that attend to what runs processes in place of this machine.
    pub attendants: Attendants,
}

impl<'a> Options<'a> {
    /// Everything that is not cached, one step after the other.
    pub fn new(command: impl Into<String>, cancel: &'a AtomicBool) -> Options<'a> {
        let (from, only, lock_wait) = (None, None, Duration::from_secs(600));
        let keeper = Vec::new();
        Options {
            max_parallel: 1,
            capacity: None,
            from,
            only,
            command: command.into(),
            cancel,
            lock_wait,
            keeper,
            cluster: None,
            driver: None,
            attendants: Attendants::default(),
        }
    }
}

/// A log file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// The step.
    pub step: String,
    /// Number of the attempt.
    pub attempt: u32,
    /// `stdout` or `stderr` of the attempt's process, or `log`: what the step said of itself.
    pub stream: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Commands of attendants, to each of which what it attends to and its process are added.
#[derive(Debug, Clone, Default)]
pub struct Attendants {
    /// Of a job of a cluster.
    pub job: Vec<String>,
    /// Of a container.
    pub container: Vec<String>,
}

/// The engine of a home folder.
pub struct Runner {
    store: Store,
    journal: Journal,
    clock: Arc<dyn Clock>,
}

impl Runner {
    /// Opens a home folder with the machine's clock.
    pub fn open(home: &Path) -> Result<Runner, RunnerError> {
        Runner::with_clock(home, Arc::new(SystemClock))
    }

    /// Opens a home folder with a clock of the caller's.
    pub fn with_clock(home: &Path, clock: Arc<dyn Clock>) -> Result<Runner, RunnerError> {
        let store = Store::open(home)?;
        let journal = Journal::open(&store.home().join("runs.db"))?;
        Ok(Runner { store, journal, clock })
    }

    /// Runs a plan. A step that fails or a gate that holds is told by the summary, not by an error.
    pub fn run(
        &self,
        plan: &PlanFile,
        options: &Options<'_>,
        registry: &Registry,
        observe: &dyn Observe,
    ) -> Result<RunSummary, RunnerError> {
        let asked = self.asked(plan, options)?;
        let (run, record) = self.journal.create(self.clock.now_ms(), &asked)?;
        let _taken = self.take(&run)?;
        let path = self.folder(&run).join("plan.yaml");
        file::write_atomic(&path, plan.text.as_bytes()).map_err(|source| StoreError::Io {
            action: "write",
            path,
            source,
        })?;
        observe.observe(Progress::Message(&format!("run {run}: {} steps", asked.plan.steps.len())));
        self.drive(&run, &asked, &[record], options, registry, observe)
    }

    /// What a run is asked to do, checked: a plan that cannot run must not leave a run behind.
    pub(crate) fn asked(&self, plan: &PlanFile, options: &Options<'_>) -> Result<Created, RunnerError> {
        if options.from.is_some() && options.only.is_some() {
            return Err(RunnerError::FromAndOnly);
        }
        let asked = Created {
            version: VERSION,
            plan: plan.plan.clone(),
            plan_text: plan.text.clone(),
            plan_path: plan.path.clone(),
            command: options.command.clone(),
            max_parallel: options.max_parallel,
            capacity: options
                .capacity
                .clone()
                .filter(|_| !options.cluster.as_ref().is_some_and(Cluster::counts)),
            cluster: options.cluster.clone(),
            driver: options.driver.clone(),
            from: options.from.clone(),
            only: options.only.clone(),
        };
        machine::begin(&asked)?;
        Ok(asked)
    }

    /// Takes a run up again: after a crash it goes on where it was, after a failure or a cancellation what failed and what
    /// waited for it is tried again. `run` is an id or `latest`. Of `options` the parallelism counts, and the request to
    /// stop.
    pub fn resume(
        &self,
        run: &str,
        options: &Options<'_>,
        registry: &Registry,
        observe: &dyn Observe,
    ) -> Result<RunSummary, RunnerError> {
        let run = self.id(run)?;
        let _taken = self.take(&run)?;
        let records = self.journal.load(&run)?;
        let asked = created(&run, &records)?;
        if let Some(driver) = &asked.driver {
            return Err(RunnerError::Driven { run, driver: driver.clone() });
        }
        Request::of(self, &run).forget();
        self.show_plan(&run, asked)?;
        observe.observe(Progress::Message(&format!("run {run}: resumed")));
        self.drive(&run, asked, &records, options, registry, observe)
    }

    /// Drives a run that this process has taken.
    pub(crate) fn drive(
        &self,
        run: &str,
        created: &Created,
        records: &[Record],
        options: &Options<'_>,
        registry: &Registry,
        observe: &dyn Observe,
    ) -> Result<RunSummary, RunnerError> {
        let launcher = self.launcher(run, created, &options.keeper, &options.attendants)?;
        let launcher = launcher.as_ref();
        drive(&Setting { runner: self, registry, options, observe, launcher, run, created }, records)?;
        self.show(run)
    }

    /// What runs the processes of a run; the commands are those of [`Options`].
    pub fn launcher(
        &self,
        run: &str,
        created: &Created,
        keeper: &[OsString],
        attendants: &Attendants,
    ) -> Result<Box<dyn Launcher>, RunnerError> {
        if keeper.is_empty() {
            return Ok(Box::new(NoLauncher));
        }
        let keepers = self.folder(run).join("keepers");
        let local = Local::open(&keepers, keeper.to_vec(), run);
        let local = local.map_err(|source| StoreError::Io { action: "read", path: keepers, source })?;
        Ok(match &created.cluster {
            None => Box::new(local),
            Some(Cluster::Slurm { arguments }) => {
                let folder = self.folder(run).join("slurm");
                Box::new(Slurm::new(Box::new(local), attendants.job.clone(), folder, arguments.clone()))
            }
            Some(Cluster::Container { runtime, image, arguments }) => Box::new(Contained {
                local: Box::new(local),
                command: attendants.container.clone(),
                runtime: runtime.clone(),
                image: image.clone(),
                arguments: arguments.clone(),
                folders: self.seen()?,
            }),
        })
    }

    /// What processes see of this machine under the same names when they do not run on it as it is: where the plan's paths begin, and
    /// the folder of runs.
    fn seen(&self) -> Result<Vec<PathBuf>, RunnerError> {
        let home = self.store.home();
        let absolute = |path: &Path| {
            path.canonicalize().map_err(|source| StoreError::Io {
                action: "find",
                path: path.to_owned(),
                source,
            })
        };
        Ok(vec![absolute(Path::new("."))?, absolute(home)?])
    }

    /// All runs, newest first.
    pub fn runs(&self) -> Result<Vec<RunSummary>, RunnerError> {
        self.journal.runs()?.iter().map(|run| self.summary(run, false)).collect()
    }

    /// One run with its steps' figures. `run` is an id or `latest`.
    pub fn show(&self, run: &str) -> Result<RunSummary, RunnerError> {
        self.summary(&self.id(run)?, true)
    }

    /// The event log of a run. `run` is an id or `latest`.
    pub fn events(&self, run: &str) -> Result<Vec<Record>, RunnerError> {
        self.journal.load(&self.id(run)?)
    }

    /// The log files of a run or of one of its steps, in the order of steps and attempts. `run` is an id or `latest`.
    pub fn logs(&self, run: &str, step: Option<&str>) -> Result<Vec<LogFile>, RunnerError> {
        let run = self.id(run)?;
        let records = self.journal.load(&run)?;
        let plan = &created(&run, &records)?.plan;
        let steps = &plan.steps;
        if let Some(step) = step.filter(|step| steps.iter().all(|s| s.id != *step)) {
            return Err(RunnerError::NoSuchStep { run, step: step.to_owned() });
        }
        let mut logs = Vec::new();
        for plan_step in steps.iter().filter(|s| step.is_none_or(|step| s.id == step)) {
            let begun = records.iter().filter_map(|r| match &r.event {
                Event::Started { step, attempt, .. } if *step == plan_step.id => Some(*attempt),
                _ => None,
            });
            for attempt in begun {
                let TaskLogs { stdout, stderr, .. } = self.task_logs(&run, plan, &plan_step.id, attempt);
                let log = self.log_path(&run, &plan_step.id, attempt);
                let files = [("log", log), ("stdout", stdout.into()), ("stderr", stderr.into())];
                // Not every attempt is a process, and one that was killed at once has no file yet.
                let files = files.into_iter().filter(|(_, path)| path.exists());
                let log = |(stream, path)| LogFile { step: plan_step.id.clone(), attempt, stream, path };
                logs.extend(files.map(log));
            }
        }
        Ok(logs)
    }

    /// The artifacts and fingerprints of the home folder.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    pub(crate) fn log_path(&self, run: &str, step: &str, attempt: u32) -> PathBuf {
        self.folder(run).join("logs").join(format!("{step}.{attempt}.log"))
    }

    /// Folder of what the processes of a run say, and of `events.jsonl`.
    pub(crate) fn log_folder(&self, run: &str, plan: &Plan) -> PathBuf {
        plan.log_dir.as_ref().map_or_else(|| self.folder(run).join("logs"), PathBuf::from)
    }

    /// Files of what the process of an attempt says.
    pub(crate) fn task_logs(&self, run: &str, plan: &Plan, step: &str, attempt: u32) -> TaskLogs {
        let again = if attempt > 1 { format!(".{attempt}") } else { String::new() };
        let name = format!("{}_{run}_{step}{again}", plan.name.trim().replace(['/', '\\', ' '], "_"));
        let path = |end: &str| {
            let path = self.log_folder(run, plan).join(format!("{name}_{end}"));
            // Processes run elsewhere; where the folder cannot be told the path is right for this process at least.
            std::path::absolute(&path).unwrap_or(path).to_string_lossy().into_owned()
        };
        TaskLogs {
            stdout: path("stdout.log"),
            stderr: path("stderr.log"),
            structured: path("structured.jsonl"),
        }
    }

    /// Points the run's folder at a step's output, for people. Nothing depends on it, so a failure is no error.
    pub(crate) fn link(&self, run: &str, step: &str, artifact: &Path) {
        let link = self.folder(run).join(step);
        let target = Path::new("../../artifacts").join(artifact.file_name().unwrap_or_default());
        let _ = fs::remove_file(&link);
        let _ = std::os::unix::fs::symlink(target, link);
    }

    /// Puts the plan's text into the run's folder, for people.
    pub(crate) fn show_plan(&self, run: &str, asked: &Created) -> Result<(), RunnerError> {
        let path = self.folder(run).join("plan.yaml");
        let written = file::write_atomic(&path, asked.plan_text.as_bytes());
        Ok(written.map_err(|source| StoreError::Io { action: "write", path, source })?)
    }

    pub(crate) fn folder(&self, run: &str) -> PathBuf {
        view::folder(self.store.home(), run)
    }

    pub(crate) fn id(&self, run: &str) -> Result<String, RunnerError> {
        match run {
            "latest" => self.journal.latest()?.ok_or(RunnerError::NoRuns),
            run => Ok(run.to_owned()),
        }
    }

    /// Takes a run for this process until the handle is dropped.
    pub fn take(&self, run: &str) -> Result<Lock, RunnerError> {
        let folder = self.folder(run);
        let created = fs::create_dir_all(&folder);
        created.map_err(|source| StoreError::Io { action: "create", path: folder.clone(), source })?;
        let mut tries = 0;
        loop {
            // Whoever lists runs holds the lock for an instant.
            match wootz_store::lock(&folder.join(".lock"))? {
                Ok(lock) => return Ok(lock),
                Err(holder) if tries == 5 => return Err(RunnerError::Taken { run: run.to_owned(), holder }),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
            tries += 1;
        }
    }

    fn summary(&self, run: &str, with_artifacts: bool) -> Result<RunSummary, RunnerError> {
        let records = self.journal.load(run)?;
        let asked = created(run, &records)?;
        let state = replay(run, &records)?;
        let artifact = |key: &String| -> Option<Artifact> {
            match self.store.find(key) {
                Lookup::Whole(artifact) => Some(*artifact),
                Lookup::Missing | Lookup::Broken(_) => None,
            }
        };
        let artifacts = state.steps().iter();
        let artifacts: Vec<Option<Artifact>> =
            artifacts.map(|s| s.output.as_ref().filter(|_| with_artifacts).and_then(artifact)).collect();
        let mut summary = view::summary(run, asked, &records, &state, &artifacts);
        if summary.status == Status::Running && !self.is_driven(run)? {
            summary.status = Status::Interrupted;
        }
        Ok(summary)
    }

    /// Whether a process works on the run.
    pub fn is_driven(&self, run: &str) -> Result<bool, RunnerError> {
        let lock = self.folder(run).join(".lock");
        // A process that died right after it created the run has left no lock to look at.
        Ok(lock.exists() && wootz_store::lock(&lock)?.is_err())
    }
}
