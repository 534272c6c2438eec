//! Plans read from text: what is accepted, and every mistake with its place.

use expect_test::{Expect, expect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use wootz_pipeline::{Registry, Source, Step, StepContext, StepError, StepOutcome, load, settings};
use wootz_schema::plan::{OnFailure, Plan, WhenStatus};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrainSettings {
    data: String,
    #[serde(default)]
    depth: u64,
}

/// A kind with settings under its own key.
struct Train;

impl Step for Train {
    fn kind(&self) -> &'static str {
        "train"
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, config: &Value) -> Result<(), StepError> {
        let settings: TrainSettings = settings(config)?;
        match (settings.depth, settings.data.is_empty()) {
            (99.., _) => Err(StepError::usage("depth is too great").at_key("depth")),
            (_, true) => Err(StepError::usage("data is empty").at_key("data")),
            _ => Ok(()),
        }
    }
    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }
    fn run(&self, _: &StepContext<'_>, _: &Value) -> Result<StepOutcome, StepError> {
        Err(StepError::failed("this kind is for plans only"))
    }
}

/// A kind whose settings stand in the step itself.
struct Command;

impl Step for Command {
    fn kind(&self) -> &'static str {
        "command"
    }
    fn version(&self) -> u32 {
        1
    }
    fn validate(&self, config: &Value) -> Result<(), StepError> {
        config.get("command").map(drop).ok_or_else(|| StepError::usage("command is required"))
    }
    fn sources(&self, _: &Value) -> Result<Vec<PathBuf>, StepError> {
        Ok(Vec::new())
    }
    fn run(&self, _: &StepContext<'_>, _: &Value) -> Result<StepOutcome, StepError> {
        Err(StepError::failed("this kind is for plans only"))
    }
    fn inline_keys(&self) -> &'static [&'static str] {
        &["command", "args"]
    }
    fn is_launched(&self) -> bool {
        true
    }
}

fn read(text: &str, given: &[(&str, &str)]) -> Result<Plan, String> {
    let mut registry = Registry::new();
    registry.register(Train).register(Command);
    let params = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let env = BTreeMap::from([("HOME".to_owned(), "/home/x".to_owned())]);
    load(Source { text, file: "recipes/tiny.yaml", params: &params, env: &env }, &registry)
        .map_err(|e| e.to_string())
}

fn check(text: &str, given: &[(&str, &str)], expected: &Expect) {
    expected.assert_eq(&read(text, given).expect_err("the plan has mistakes"));
}

#[test]
fn a_plan_is_read_with_its_defaults() {
    let text = "
params:
  root: ${env.HOME}/src
  depth: 4
steps:
  - id: corpus
    type: command
    command: ls
    args: ['${params.root}', '${HOME}']
  - id: train
    name: The model
    type: train
    timeout_seconds: 1.5
    allow_failure: true
    retries: {max_attempts: 3}
    train: {data: '${steps.corpus}/x', depth: '${params.depth}'}
  - id: after
    type: command
    depends_on: [train]
    when: {step: corpus, status: finished}
    command: ls
";
    let plan = read(text, &[("depth", "7")]).unwrap();
    assert_eq!((plan.name.as_str(), plan.version), ("tiny", 1));
    assert_eq!(
        plan.params,
        BTreeMap::from([("root".into(), json!("/home/x/src")), ("depth".into(), json!(7))])
    );
    let [corpus, train, after] = plan.steps.as_slice() else { panic!("three steps") };
    assert_eq!(corpus.config, json!({"command": "ls", "args": ["/home/x/src", "${HOME}"]}));
    assert_eq!(
        (corpus.name.as_str(), corpus.retries.max_attempts, corpus.timeout_seconds),
        ("corpus", 1, None)
    );
    assert_eq!(train.config, json!({"data": "${steps.corpus}/x", "depth": 7}));
    assert_eq!(train.depends_on, ["corpus"]);
    assert_eq!(
        (train.name.as_str(), train.retries.max_attempts, train.timeout_seconds),
        ("The model", 3, Some(1.5))
    );
    assert_eq!(after.when.as_ref().map(|w| w.status), Some(WhenStatus::Finished));
    let stored = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&stored).unwrap(), plan);
}

#[test]
fn an_empty_plan_says_so() {
    for text in ["", "steps: []", "steps:\n", "{}"] {
        assert!(read(text, &[]).unwrap_err().contains("plan must have at least one step"), "{text:?}");
    }
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    check(
        "version: 2
nmae: x
steps:
  - type: train
  - id: a
    type: trian
  - id: a
    type: train
    train: {data: d, depht: 3}
    timout_seconds: 3
  - id: b/c
    type: command
    timeout_seconds: -1
    allow_failure: yes please
    retries: {max_attempts: 0, factor: -2}
  - id: d
    type: train
    depends_on: [d, aa, gone]
    when: {step: a, status: pending}
    train: {data: '', depth: 2}
  - id: A
    when: {step: d, status: success}
    type: train
    train: {data: x, depth: 100}
  - just text
",
        &[],
        &expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:1: plan version 2: this build reads version 1
              recipes/tiny.yaml:2:1: unknown key `nmae`; valid keys: version, name, log_dir, params, pools, steps (did you mean `name`?)
              recipes/tiny.yaml:4:5: step 0 is missing id
              recipes/tiny.yaml:4:5: step 0: the setting `data` is missing
              recipes/tiny.yaml:6:5: step a has unsupported type trian (did you mean `train`? types: command, train)
              recipes/tiny.yaml:7:5: duplicate step id: a
              recipes/tiny.yaml:9:22: step a: unknown key `depht`; valid keys: data, depth (did you mean `depth`?)
              recipes/tiny.yaml:10:5: step a: unknown key `timout_seconds`; valid keys: id, name, type, depends_on, when, matrix, timeout_seconds, allow_failure, on_failure, retries, resources, train (did you mean `timeout_seconds`?)
              recipes/tiny.yaml:11:5: step id `b/c` has characters other than letters, digits, `-` and `_` (e.g. `b-c`)
              recipes/tiny.yaml:11:5: step b/c command is required
              recipes/tiny.yaml:13:5: step b/c: timeout_seconds must be a number above 0, not -1
              recipes/tiny.yaml:14:5: step b/c: allow_failure must be true or false
              recipes/tiny.yaml:15:15: step b/c: retries: max_attempts must be a whole number from 1 to 1000, not 0
              recipes/tiny.yaml:15:32: step b/c: retries: factor must be a number above 0, not -2
              recipes/tiny.yaml:18:5: step d depends on itself
              recipes/tiny.yaml:18:5: step d depends on unknown step aa (did you mean `A`?)
              recipes/tiny.yaml:18:5: step d depends on unknown step gone
              recipes/tiny.yaml:19:5: step d has invalid when condition (write when: { step: ID, status: success }; status is success, failure or finished)
              recipes/tiny.yaml:20:13: step d: data is empty
              recipes/tiny.yaml:21:5: step ids `a` and `A` differ in case only (their files would collide on some file systems)
              recipes/tiny.yaml:24:22: step A: depth is too great
              recipes/tiny.yaml:25:5: step 6 is not a mapping"#]],
    );
}

#[test]
fn mistakes_in_references_and_parameters_are_reported() {
    check(
        "params: {source: , depth: 4, ok: true, home: '${env.NONE}', list: [1]}
steps:
  - id: a
    type: train
    train:
      data: ${params.sorce}
      depth: ${params.depth}
  - id: b
    type: command
    command: ${stepps.a}
    args: ['${steps.gone}', '${env.HOME}', '${params.x']
",
        &[("depth", "four"), ("ok", "perhaps"), ("deep", "1")],
        &expect![[r#"
            plan validation failed:
              recipes/tiny.yaml: --param deep: the plan has no such parameter (the plan's parameters: depth, home, list, ok, source)
              recipes/tiny.yaml:1:10: parameter `source` has no default and no value (pass --param source=VALUE)
              recipes/tiny.yaml:1:20: a value given for this parameter is `four`, which is not a whole number (its default is 4)
              recipes/tiny.yaml:1:30: a value given for this parameter is `perhaps`, which is not true or false (its default is true)
              recipes/tiny.yaml:1:40: the environment variable NONE is not set (set it, pass --param, or write a default: ${env.NONE:-default})
              recipes/tiny.yaml:1:61: the default of parameter `list` must be text, a number, true or false
              recipes/tiny.yaml:6:7: step a: unknown parameter `sorce` (did you mean `source`?)
              recipes/tiny.yaml:8:5: step b depends on unknown step gone
              recipes/tiny.yaml:10:5: step b: `${stepps.a}` is no reference (did you mean `${steps.a}`?)
              recipes/tiny.yaml:11:29: step b: ${env.HOME} stands outside the defaults of params (declare a parameter with the default ${env.HOME} and refer to that)
              recipes/tiny.yaml:11:44: step b: `${params.x` has no closing brace (write ${params.NAME} or ${steps.ID})"#]],
    );
}

#[test]
fn cycles_are_named() {
    check(
        "steps:
  - {id: a, type: command, command: x, depends_on: [c]}
  - {id: b, type: command, command: x, depends_on: [a]}
  - {id: c, type: command, command: x, depends_on: [b]}
  - {id: d, type: command, command: x, depends_on: [c]}
  - {id: e, type: command, command: x, args: ['${steps.f}']}
  - {id: f, type: command, command: x, depends_on: [e]}
",
        &[],
        &expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:2:5: dependency cycle: a -> c -> b -> a
              recipes/tiny.yaml:6:5: dependency cycle: e -> f -> e"#]],
    );
}

#[test]
fn text_that_is_no_plan_is_named_with_its_line() {
    for (text, expected) in [
        (
            "steps:\n  - id: a\n   type: b\n",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:3:4: not readable as YAML: did not find expected '-' indicator at line 3 column 4, while parsing a block collection"#]],
        ),
        (
            "steps: 3",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:1: steps must be a list"#]],
        ),
        (
            "- a\n- b\n",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:1: a plan is a mapping with the key `steps`"#]],
        ),
        (
            "steps:\n  - id: a\n    id: b\n",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:2:5: not readable as YAML: steps[0]: duplicate entry with key "id""#]],
        ),
        (
            "steps: [{id: a, type: train, train: {data: d, depth: .nan}}]",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:47: .nan is not a finite number"#]],
        ),
        (
            "steps: [{id: a, type: train, train: 3}]",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:30: step a: the settings under `train` must be a mapping"#]],
        ),
        (
            "steps: [{id: 7, type: train, train: {data: d}}]",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:10: step 0: id must be text, not 7 (put it in quotes)"#]],
        ),
        (
            "steps: [{id: a, type: train, corpus: {data: d}}]",
            expect![[r#"
                plan validation failed:
                  recipes/tiny.yaml:1:9: step a: the setting `data` is missing
                  recipes/tiny.yaml:1:30: step a: unknown key `corpus`; valid keys: id, name, type, depends_on, when, matrix, timeout_seconds, allow_failure, on_failure, retries, resources, train"#]],
        ),
        (
            "steps: [{id: a, type: !x train}]",
            expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:1:17: the tag !x has no meaning in a plan"#]],
        ),
    ] {
        check(text, &[], &expected);
    }
}

#[test]
fn a_matrix_is_many_steps_and_names_find_the_ones_that_agree() {
    let text = "
params: {seeds: 2}
steps:
  - {id: data, type: command, command: ls}
  - id: prep
    type: command
    matrix: {size: [small, '1.5B']}
    depends_on: [data]
    command: prep
    args: ['${matrix.size}']
  - id: train
    name: 'train ${matrix.size}, seed ${matrix.seed}'
    type: train
    matrix: {seed: [1, 2], size: [small, '1.5B']}
    resources: {gpus: '${matrix.seed}', memory: 1.5GiB}
    timeout_seconds: '${params.seeds}'
    train: {data: '${steps.prep}/x-${matrix.size}', depth: '${matrix.seed}'}
  - {id: report, type: command, command: report, depends_on: [train]}
  - id: odd
    type: command
    matrix: [{a: x}, {a: y, b: 1}, {a: x}]
    command: echo
    args: ['${steps.data.stdout}']
";
    let plan = read(text, &[]).unwrap();
    let line = |id: &str| {
        let step = plan.steps.iter().find(|step| step.id == id).unwrap_or_else(|| panic!("no step {id}"));
        format!("{} <- {} {}", step.name, step.depends_on.join(" "), step.config)
    };
    assert_eq!(line("prep-1_5B"), r#"prep-1_5B <- data {"command":"prep","args":["1.5B"]}"#);
    assert_eq!(
        line("train-2-1_5B"),
        r#"train 1.5B, seed 2 <- prep-1_5B {"data":"${steps.prep-1_5B}/x-1.5B","depth":2}"#
    );
    let trains = "train-1-small train-1-1_5B train-2-small train-2-1_5B";
    assert_eq!(line("report"), format!(r#"report <- {trains} {{"command":"report"}}"#));
    let train = &plan.steps.iter().find(|step| step.id == "train-2-small").unwrap();
    assert_eq!((train.resources.gpus, train.resources.memory_mb), (2, Some(1536)));
    assert_eq!(train.timeout_seconds, Some(2.0));
    let odd: Vec<&str> =
        plan.steps.iter().map(|s| s.id.as_str()).filter(|id| id.starts_with("odd")).collect();
    assert_eq!(odd, ["odd-x", "odd-y-1", "odd-x-3"]);
    assert!(plan.steps[0].captures, "its words are read");
}

#[test]
fn a_failure_can_run_a_step() {
    let text = "
pools: {disk: 2}
steps:
  - {id: a, type: command, command: a, on_failure: run mend, resources: {pools: {disk: 1}}}
  - {id: b, type: command, command: b, on_failure: issue}
  - {id: mend, type: command, command: mend}
";
    let plan = read(text, &[]).unwrap();
    assert_eq!(plan.steps[0].on_failure, Some(OnFailure::Run("mend".to_owned())));
    assert_eq!(plan.steps[1].on_failure, Some(OnFailure::Issue));
    assert_eq!(plan.steps[2].depends_on, ["a"]);
    assert_eq!(plan.steps[0].pools["disk"], 1);
}

#[test]
fn mistakes_in_matrices_handlers_and_resources_are_told_once_and_in_place() {
    let text = "
pools: {disk: 0}
steps:
  - id: a
    type: command
    matrix: {n: [1, 2, 3]}
    command: '${matrix.m}'
    args: ['${steps.a.stderr}']
  - {id: b, type: command, command: '${matrix.n}', matrix: {n: []}}
  - {id: c, type: command, command: '${steps.d}', when: {step: d, status: success}}
  - {id: d, type: command, command: d, matrix: {n: [1, 2]}, on_failure: run gone}
  - {id: e, type: command, command: e, on_failure: run f, resources: {gpu: 1, cpus: -1, memory: lots}}
  - {id: f, type: command, command: '${steps.g.stdout}', when: {step: e, status: failure}}
  - {id: g, type: train, train: {data: x}, resources: {pools: {disc: 1}}, on_failure: page}
  - {id: h, type: command, command: h, retries: {max_attempts: '${steps.g}'}}
";
    check(
        text,
        &[],
        &expect![[r#"
            plan validation failed:
              recipes/tiny.yaml:2:9: pools: disk must be a whole number above 0, not 0
              recipes/tiny.yaml:4:5: step a: unknown axis `m` of the matrix (its axes: n)
              recipes/tiny.yaml:9:61: step b: matrix: n must be a list of values (write matrix: { depth: [4, 8] }, or a list of mappings)
              recipes/tiny.yaml:10:28: step c: d is 2 steps here, and one is to be named (its steps: d-1, d-2)
              recipes/tiny.yaml:10:51: step c: d is 2 steps here, and one is to be named (its steps: d-1, d-2)
              recipes/tiny.yaml:11:61: step d runs an unknown step gone on failure
              recipes/tiny.yaml:12:40: step e runs f on failure, which has a condition of its own (leave out `when` of f)
              recipes/tiny.yaml:12:71: step e: resources: unknown key `gpu`; valid keys: cpus, gpus, nodes, memory, pools (did you mean `gpus`?)
              recipes/tiny.yaml:12:79: step e: resources: cpus must be a whole number, not -1
              recipes/tiny.yaml:12:89: step e: resources: memory must be a size like 512MiB or 16GiB, not "lots"
              recipes/tiny.yaml:14:5: step g has no stdout: a step of type train runs no process
              recipes/tiny.yaml:14:64: step g takes of an unknown pool disc (declare it at the top: pools: { disc: 1 })
              recipes/tiny.yaml:14:75: step g: on_failure must be issue or run STEP
              recipes/tiny.yaml:15:40: step h: retries names the output of g, which is not known in time"#]],
    );
}
