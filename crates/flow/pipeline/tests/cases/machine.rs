//! The state machine: named cases, and its laws on random plans with a random world.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wootz_pipeline::machine::{CacheUse, Command, State, StepState, begin, step};
use wootz_schema::event::{Capacity, Created, Event, Failure, Record, Status, VERSION};
use wootz_schema::plan::{OnFailure, Plan, PlanStep, Retries, When, WhenStatus};
use wootz_schema::task::Resources;

fn plan_step(id: &str, depends_on: &[&str]) -> PlanStep {
    PlanStep {
        id: id.to_owned(),
        name: id.to_owned(),
        kind: "x".to_owned(),
        depends_on: depends_on.iter().map(|d| (*d).to_owned()).collect(),
        when: None,
        timeout_seconds: None,
        allow_failure: false,
        on_failure: None,
        retries: Retries::default(),
        resources: Resources::default(),
        pools: BTreeMap::new(),
        captures: false,
        config: serde_json::json!({}),
    }
}

fn created(steps: Vec<PlanStep>, max_parallel: usize) -> Created {
    Created {
        version: VERSION,
        plan: Plan {
            version: 1,
            name: "p".to_owned(),
            log_dir: None,
            params: BTreeMap::new(),
            pools: BTreeMap::from([("disk".to_owned(), 2)]),
            steps,
        },
        plan_text: String::new(),
        plan_path: String::new(),
        command: String::new(),
        max_parallel,
        capacity: Some(Capacity { cpus: 4, memory_mb: 1024, gpus: vec!["3".to_owned(), "GPU-x".to_owned()] }),
        cluster: None,
        from: None,
        only: None,
    }
}

/// What the world does with an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Act {
    Succeed,
    Cache,
    Hold,
    Fail,
    FailForGood,
}

/// An engine without processes: it carries out commands in an order that the choices decide.
struct World {
    state: State,
    log: Vec<Record>,
    /// Attempts and waits under way.
    attempts: Vec<(usize, u32)>,
    wakes: Vec<(usize, u64)>,
    finished: usize,
    /// Steps in the order in which attempts began.
    begun: Vec<String>,
    now_ms: u64,
}

impl World {
    fn new(created: &Created) -> World {
        let (state, commands) = begin(created).unwrap();
        let event = Event::Created(Box::new(created.clone()));
        let log = vec![Record { seq: 0, at_ms: 0, event }];
        let (attempts, wakes, begun) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = World { state, log, attempts, wakes, finished: 0, begun, now_ms: 0 };
        world.obey(commands);
        world
    }

    /// The world after a crash that left the log's first `length` records.
    fn resumed(created: &Created, log: &[Record]) -> World {
        World::resumed_with(created, log, false)
    }

    /// The same; with `is_kept` every attempt that was running outlived the crash.
    fn resumed_with(created: &Created, log: &[Record], is_kept: bool) -> World {
        let mut world = World::new(created);
        (world.attempts, world.wakes, world.begun) = Default::default();
        for record in &log[1..] {
            world.state = step(world.state, record).0;
        }
        world.log = log.to_vec();
        world.now_ms = 1_000_000;
        let steps = world.state.steps().iter().enumerate();
        let running = steps.filter(|(_, step)| is_kept && step.state == StepState::Running);
        let kept: Vec<(usize, u32)> = running.map(|(position, step)| (position, step.attempt)).collect();
        let ids = kept.iter().map(|(position, _)| world.id(*position)).collect();
        world.report(Event::Resumed {
            max_parallel: created.max_parallel,
            capacity: created.capacity.clone(),
            kept: ids,
        });
        for attempt in kept {
            assert_eq!(world.attempts.iter().filter(|other| **other == attempt).count(), 1, "it goes on");
        }
        world
    }

    fn report(&mut self, event: Event) {
        let record = Record { seq: self.log.len() as u64, at_ms: self.now_ms, event };
        let (state, commands) = step(self.state.clone(), &record);
        self.state = state;
        self.log.push(record);
        self.obey(commands);
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Start { step, attempt, .. } => {
                    let record = &self.state.steps()[step];
                    assert_eq!((&record.state, record.attempt), (&StepState::Starting, attempt));
                    self.attempts.push((step, attempt));
                    self.begun.push(self.state.graph().id(step).to_owned());
                }
                Command::Attach { step, attempt, .. } => self.attempts.push((step, attempt)),
                Command::Wake { step, due_ms } => self.wakes.push((step, due_ms)),
                Command::Cancel { step } => assert!(self.attempts.iter().any(|(s, _)| *s == step)),
                Command::Finish => self.finished += 1,
            }
        }
    }

    fn id(&self, position: usize) -> String {
        self.state.graph().id(position).to_owned()
    }

    fn act(&mut self, chosen: usize, act: Act) {
        let (position, attempt) = self.attempts.remove(chosen);
        let (step, key) = (self.id(position), format!("key-{position}"));
        if act == Act::Cache {
            return self.report(Event::Cached { step, attempt, key });
        }
        self.report(Event::Started { step: step.clone(), attempt, key: key.clone() });
        self.now_ms += 10;
        let failure = Failure {
            message: "no".to_owned(),
            hint: None,
            exit: 1,
            retryable: act == Act::Fail,
            code: None,
        };
        self.report(match act {
            Act::Succeed => Event::Succeeded { step, attempt, key, seconds: 0.01, summary: String::new() },
            Act::Hold => Event::Held { step, attempt, key, seconds: 0.01, summary: "held".to_owned() },
            _ => Event::Failed { step, attempt, failure },
        });
    }

    fn wake(&mut self, chosen: usize) {
        let (position, due_ms) = self.wakes.remove(chosen);
        self.now_ms = self.now_ms.max(due_ms);
        let step = self.id(position);
        self.report(Event::RetryDue { step });
    }

    /// Lets the world go on until nothing is under way. Each choice picks what happens next.
    fn run(&mut self, choices: &[u8]) {
        let mut choices = choices.iter().copied().cycle();
        while !self.attempts.is_empty() || !self.wakes.is_empty() {
            let (which, what) = (usize::from(choices.next().unwrap()), choices.next().unwrap());
            let which = which % (self.attempts.len() + self.wakes.len());
            match which.checked_sub(self.attempts.len()) {
                Some(wake) => self.wake(wake),
                None => self.act(
                    which,
                    match what % 8 {
                        0 => Act::Fail,
                        1 => Act::FailForGood,
                        2 => Act::Hold,
                        3 => Act::Cache,
                        _ => Act::Succeed,
                    },
                ),
            }
        }
    }

    fn outcome(&self) -> String {
        let step = |(position, s): (usize, &wootz_pipeline::machine::StepRecord)| {
            let why = if s.summary.is_empty() { String::new() } else { format!(" ({})", s.summary) };
            format!("{} {}{why}", self.state.graph().id(position), s.status().word())
        };
        self.state.steps().iter().enumerate().map(step).collect::<Vec<_>>().join(", ")
    }
}

fn check(created: &Created, acts: &[(&str, Act)], status: Status, outcome: &str) -> World {
    let mut world = World::new(created);
    while let Some((position, _)) = world.attempts.first().copied() {
        let id = world.id(position);
        let act = acts.iter().find(|(step, _)| *step == id).map_or(Act::Succeed, |(_, act)| *act);
        world.act(0, act);
        while !world.wakes.is_empty() {
            world.wake(0);
        }
    }
    assert_eq!(world.outcome(), outcome);
    assert_eq!((world.state.status(), world.finished), (status, 1));
    world
}

fn when(mut step: PlanStep, target: &str, status: WhenStatus) -> PlanStep {
    step.when = Some(When { step: target.to_owned(), status });
    step
}

#[test]
fn a_failure_stops_dependents_and_lets_the_rest_finish() {
    let steps = vec![
        plan_step("bad", &[]),
        plan_step("after", &["bad"]),
        plan_step("later", &["after"]),
        when(plan_step("handler", &["bad"]), "bad", WhenStatus::Failure),
        when(plan_step("never", &["bad"]), "bad", WhenStatus::Success),
        when(plan_step("report", &["bad"]), "bad", WhenStatus::Finished),
        plan_step("other", &[]),
    ];
    let expected = "bad failed (no), after skipped (dependency bad did not succeed), \
        later skipped (dependency after did not succeed), handler succeeded, \
        never skipped (when condition not met: bad is success), report succeeded, other succeeded";
    check(&created(steps.clone(), 1), &[("bad", Act::FailForGood)], Status::Failed, expected);

    let mut allowed = steps;
    allowed[0].allow_failure = true;
    check(&created(allowed, 0), &[("bad", Act::FailForGood)], Status::Succeeded, expected);
}

#[test]
fn a_gate_that_holds_is_not_tried_again_and_its_report_runs() {
    let mut gate = plan_step("gate", &[]);
    gate.retries.max_attempts = 5;
    let report = when(plan_step("report", &["gate"]), "gate", WhenStatus::Finished);
    let steps = vec![gate, report, plan_step("ship", &["gate"])];
    let expected = "gate failed (held), report succeeded, ship skipped (dependency gate did not succeed)";
    let world = check(&created(steps, 0), &[("gate", Act::Hold)], Status::Failed, expected);
    assert_eq!(world.state.steps()[0].output.as_deref(), Some("key-0"), "the verdict is kept");
}

#[test]
fn retries_wait_longer_each_time_and_end() {
    let mut flaky = plan_step("flaky", &[]);
    flaky.retries = Retries {
        max_attempts: 4,
        initial_seconds: 1.0,
        factor: 3.0,
        max_seconds: 5.0,
        ..Retries::default()
    };
    let world = check(&created(vec![flaky], 0), &[("flaky", Act::Fail)], Status::Failed, "flaky failed (no)");
    let failed = world.log.iter().filter(|r| matches!(r.event, Event::Failed { .. })).map(|r| r.at_ms);
    let due = world.log.iter().filter(|r| matches!(r.event, Event::RetryDue { .. })).map(|r| r.at_ms);
    let waits: Vec<u64> = failed.zip(due).map(|(failed, due)| due - failed).collect();
    assert_eq!(waits, [1_000, 3_000, 5_000]);
}

#[test]
fn a_step_starts_as_soon_as_its_own_dependencies_are_over() {
    let steps = vec![plan_step("slow", &[]), plan_step("quick", &[]), plan_step("next", &["quick"])];
    let mut world = World::new(&created(steps, 2));
    assert_eq!(world.begun, ["slow", "quick"]);
    world.act(1, Act::Succeed);
    assert_eq!(world.begun, ["slow", "quick", "next"], "no barrier");
}

#[test]
fn from_and_only_select() {
    let steps =
        || vec![plan_step("a", &[]), plan_step("b", &["a"]), plan_step("c", &["b"]), plan_step("d", &["a"])];
    let uses = |created: &Created| {
        let mut world = World::new(created);
        let mut uses = Vec::new();
        while !world.attempts.is_empty() {
            let (_, commands) = begin(created).unwrap();
            drop(commands);
            world.act(0, Act::Succeed);
        }
        for record in &world.log {
            if let Event::Started { step, .. } = &record.event {
                uses.push(step.clone());
            }
        }
        (world.outcome(), uses.join(" "))
    };
    let only = Created { only: Some("b".to_owned()), ..created(steps(), 0) };
    let expected =
        "a succeeded, b succeeded, c skipped (not selected by --only), d skipped (not selected by --only)";
    assert_eq!(uses(&only), (expected.to_owned(), "a b".to_owned()));
    let (_, commands) = begin(&only).unwrap();
    assert_eq!(commands, [Command::Start { step: 0, attempt: 1, cache: CacheUse::Required }]);

    let from = Created { from: Some("a".to_owned()), ..created(steps(), 0) };
    let (_, commands) = begin(&from).unwrap();
    assert_eq!(commands, [Command::Start { step: 0, attempt: 1, cache: CacheUse::Refused }]);
    let from = Created { from: Some("b".to_owned()), ..created(steps(), 0) };
    let (_, commands) = begin(&from).unwrap();
    assert_eq!(commands, [Command::Start { step: 0, attempt: 1, cache: CacheUse::Allowed }]);
    assert!(begin(&Created { from: Some("x".to_owned()), ..created(steps(), 0) }).is_err());
}

#[test]
fn a_cancelled_run_waits_for_what_runs_and_can_be_resumed() {
    let steps = vec![plan_step("a", &[]), plan_step("b", &["a"]), plan_step("c", &[])];
    let asked = created(steps, 0);
    let mut world = World::new(&asked);
    world.report(Event::Started { step: "a".to_owned(), attempt: 1, key: "k".to_owned() });
    world.report(Event::CancelRequested);
    assert!(!world.state.is_over());
    world.report(Event::Cancelled { step: "a".to_owned(), attempt: 1 });
    assert_eq!((world.state.status(), world.finished), (Status::Cancelled, 1));
    assert_eq!(world.outcome(), "a cancelled, b cancelled, c cancelled");

    let mut again = World::resumed(&asked, &world.log);
    again.run(&[4]);
    assert_eq!(again.outcome(), "a succeeded, b succeeded, c succeeded");
}

#[test]
fn what_does_not_fit_waits_and_what_can_never_fit_is_refused() {
    let wants = |id: &str, gpus: u32| {
        let resources = Resources { gpus, ..Default::default() };
        PlanStep { resources, ..plan_step(id, &[]) }
    };
    let steps = vec![wants("a", 1), wants("both", 2), wants("b", 1), wants("none", 0)];
    let mut world = World::new(&created(steps, 0));
    assert_eq!(world.begun, ["a", "b", "none"], "what needs less is not held up");
    let gpus = |world: &World, step: usize| world.state.steps()[step].gpus().join(",");
    assert_eq!(
        (gpus(&world, 0), gpus(&world, 2), gpus(&world, 3)),
        ("3".into(), "GPU-x".into(), String::new())
    );
    world.act(0, Act::Succeed);
    assert_eq!(world.begun.len(), 3);
    world.act(0, Act::Fail);
    assert_eq!((world.begun.last().map(String::as_str), gpus(&world, 1)), (Some("both"), "3,GPU-x".into()));

    let asked = created(vec![wants("a", 3)], 0);
    let refused = begin(&asked).unwrap_err().to_string();
    assert_eq!(refused, "step a wants 3 GPUs: this run has 2");
    let anywhere = Created { capacity: None, ..asked };
    assert_eq!(World::new(&anywhere).begun, ["a"], "whoever launches it counts");

    let mut less = World::new(&created(vec![wants("a", 2), plan_step("b", &["a"])], 0));
    let one = Capacity { gpus: vec!["0".to_owned()], ..Capacity::default() };
    less.report(Event::Resumed { max_parallel: 0, capacity: Some(one), kept: Vec::new() });
    let expected = "a failed (it wants 2 GPUs: this run has 1), b skipped (dependency a did not succeed)";
    assert_eq!((less.outcome().as_str(), less.finished), (expected, 1));
}

#[test]
fn a_step_that_handles_failures_runs_for_nothing_else() {
    let run =
        |id: &str| PlanStep { on_failure: Some(OnFailure::Run("mend".to_owned())), ..plan_step(id, &[]) };
    let steps = vec![run("a"), run("b"), plan_step("mend", &["a", "b"])];
    let asked = created(steps, 0);
    let expected = "a failed (no), b succeeded, mend succeeded";
    check(&asked, &[("a", Act::FailForGood)], Status::Failed, expected);
    let expected = "a succeeded, b succeeded, mend skipped (when condition not met: a or b is failure)";
    check(&asked, &[], Status::Succeeded, expected);
}

#[test]
fn late_news_changes_nothing() {
    let mut world = World::new(&created(vec![plan_step("a", &[])], 0));
    world.act(0, Act::Succeed);
    let before = world.state.clone();
    let failure = Failure { message: "late".to_owned(), hint: None, exit: 1, retryable: true, code: None };
    for event in [
        Event::Failed { step: "a".to_owned(), attempt: 1, failure },
        Event::Started { step: "a".to_owned(), attempt: 1, key: String::new() },
        Event::Cached { step: "gone".to_owned(), attempt: 1, key: String::new() },
        Event::RetryDue { step: "a".to_owned() },
        Event::CancelRequested,
    ] {
        world.report(event);
        assert_eq!(world.state.steps(), before.steps());
    }
    assert_eq!(world.finished, 1);
}

/// Plans of up to nine steps; each may depend on earlier ones, have a condition, retries, an allowed failure, want GPUs and
/// of a pool. The last may be what the failures of some others run.
fn plans() -> impl Strategy<Value = Created> {
    let wants = (0u32..3, 0u32..5, 0u32..3);
    let one = (proptest::collection::vec(any::<bool>(), 9), 0u8..8, any::<bool>(), 1u32..4, wants);
    let some = (proptest::collection::vec(one, 1..9), 0usize..4, any::<bool>());
    some.prop_map(|(drawn, max_parallel, is_handled)| {
        let id = |i: usize| format!("s{i}");
        let steps =
            drawn.iter().enumerate().map(|(i, (edges, condition, allow_failure, max_attempts, wants))| {
                let depends_on: Vec<String> = (0..i).filter(|j| edges[*j]).map(id).collect();
                let status = [WhenStatus::Success, WhenStatus::Failure, WhenStatus::Finished];
                let status = status.get(usize::from(*condition)).copied();
                let when =
                    depends_on.first().cloned().zip(status).map(|(step, status)| When { step, status });
                let retries = Retries { max_attempts: *max_attempts, ..Retries::default() };
                let (gpus, cpus, disk) = *wants;
                let resources =
                    Resources { gpus, cpus, memory_mb: Some(u64::from(disk) * 512), ..Default::default() };
                let pools = (disk > 0).then(|| ("disk".to_owned(), disk)).into_iter().collect();
                let allow_failure = *allow_failure;
                let step = plan_step(&id(i), &[]);
                PlanStep { depends_on, when, allow_failure, retries, resources, pools, ..step }
            });
        let mut steps: Vec<PlanStep> = steps.collect();
        if let Some((last, before)) = steps.split_last_mut().filter(|_| is_handled) {
            last.when = None;
            for step in before.iter_mut().filter(|step| last.depends_on.contains(&step.id)) {
                step.on_failure = Some(OnFailure::Run(last.id.clone()));
            }
        }
        created(steps, max_parallel)
    })
}

/// What runs at once has its GPUs for itself, and no more of anything than there is.
fn check_shares(asked: &Created, state: &State) {
    let capacity = asked.capacity.as_ref().unwrap();
    let (mut gpus, mut cpus, mut memory, mut disk) = (BTreeSet::new(), 0, 0, 0);
    for (step, plan) in state.steps().iter().zip(&asked.plan.steps) {
        if !matches!(step.state, StepState::Starting | StepState::Running) {
            assert!(step.gpus().is_empty(), "{} is not running and has GPUs", plan.id);
            continue;
        }
        assert_eq!(step.gpus().len(), plan.resources.gpus as usize, "{}", plan.id);
        assert!(step.gpus().iter().all(|gpu| capacity.gpus.contains(gpu) && gpus.insert(gpu.clone())));
        cpus += plan.resources.cpus;
        memory += plan.resources.memory_mb.unwrap_or_default();
        disk += plan.pools.get("disk").copied().unwrap_or_default();
    }
    let (all, pool) = ((capacity.cpus, capacity.memory_mb), asked.plan.pools["disk"]);
    assert!(cpus <= all.0 && memory <= all.1 && disk <= pool, "{cpus} cores, {memory} MiB, {disk} of disk");
}

/// The laws that hold at every event of a log.
fn check_log(asked: &Created, log: &[Record]) -> State {
    let dependencies: BTreeMap<&str, &[String]> =
        asked.plan.steps.iter().map(|s| (s.id.as_str(), s.depends_on.as_slice())).collect();
    let (mut state, commands) = begin(asked).unwrap();
    let mut succeeded: BTreeSet<String> = BTreeSet::new();
    let mut open = commands;
    for record in &log[1..] {
        for command in &open {
            if let Command::Start { step, .. } = command {
                let id = state.graph().id(*step);
                assert!(!succeeded.contains(id), "{id} has succeeded and starts again");
                for dependency in dependencies[id] {
                    let position = state.graph().position(dependency).unwrap();
                    assert!(state.steps()[position].is_over(), "{id} starts before {dependency} is over");
                }
            }
        }
        let active =
            state.steps().iter().filter(|s| matches!(s.state, StepState::Starting | StepState::Running));
        assert!(asked.max_parallel == 0 || active.count() <= asked.max_parallel, "too many at once");
        check_shares(asked, &state);
        if let Event::Succeeded { step, .. } | Event::Cached { step, .. } = &record.event {
            succeeded.insert(step.clone());
        }
        (state, open) = step(state, record);
    }
    state
}

proptest! {
    #[test]
    fn every_run_ends_and_its_log_is_the_state(
        asked in plans(), choices in proptest::collection::vec(any::<u8>(), 64),
    ) {
        let mut world = World::new(&asked);
        world.run(&choices);
        prop_assert!(world.state.is_over());
        prop_assert_eq!(world.finished, 1);
        prop_assert_eq!(check_log(&asked, &world.log), world.state);
    }

    #[test]
    fn every_prefix_of_a_log_can_be_resumed(
        asked in plans(), choices in proptest::collection::vec(any::<u8>(), 64), cancel in 0usize..40,
    ) {
        let mut world = World::new(&asked);
        world.run(&choices);
        for length in 1..=world.log.len() {
            let mut prefix = world.log[..length].to_vec();
            if length == cancel {
                prefix.push(Record { seq: length as u64, at_ms: 0, event: Event::CancelRequested });
            }
            let mut again = World::resumed(&asked, &prefix);
            again.run(&choices);
            prop_assert!(again.state.is_over(), "{}", again.outcome());
            prop_assert_eq!(check_log(&asked, &again.log), again.state);
        }
    }

    #[test]
    fn with_a_kind_world_an_interrupted_run_ends_like_an_undisturbed_one(asked in plans(), cut in any::<usize>()) {
        let mut world = World::new(&asked);
        world.run(&[4]);
        for is_kept in [false, true] {
            let mut again = World::resumed_with(&asked, &world.log[..1 + cut % world.log.len()], is_kept);
            again.run(&[4]);
            prop_assert_eq!(again.outcome(), world.outcome());
        }
    }
}
