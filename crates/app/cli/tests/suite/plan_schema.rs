//! `wootz plan schema` by an independent validator: what plans are read, it accepts; what they are refused for, where a schema can say
//! it, it refuses.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

use std::path::Path;
use std::process::Command;

const CHECK: &str = r#"
import json, sys, yaml
from jsonschema import Draft202012Validator
schema = json.loads(sys.argv[1])
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema)
for path in sys.argv[2:]:
    for error in validator.iter_errors(yaml.safe_load(open(path))):
        sys.exit(f"{path}: {error.message[:500]}")
step = lambda **more: {"steps": [{"id": "a", "type": "command", "command": "x", **more}]}
good = [
    step(), step(args=["${steps.b.stdout}"], retries={"max_attempts": "${params.n}", "jitter": 0.5}),
    step(matrix={"n": [1, "b"]}, resources={"gpus": "${matrix.n}", "memory": "1GiB", "pools": {"disk": 1}}),
    step(matrix=[{"n": 1}], on_failure="run b", when={"step": "b", "status": "finished"}),
]
bad = [
    {}, {"steps": []}, {"steps": [{"id": "a"}]}, {"steps": [{"id": "a", "type": "none"}]}, step(commando="x"), step(id="a/b"),
    step(matrix={}), step(matrix={"n": []}), step(on_failure="page"), step(retries={"max_attempts": 0}), step(resources={"gpu": 1}),
    step(timeout_seconds=-1), step(when={"step": "b"}), {**step(), "stepz": 1},
    {"steps": [{"id": "a", "type": "train", "trian": {}}]},
]
for plan in good:
    validator.validate(plan)
for plan in bad:
    assert not validator.is_valid(plan), plan
print(len(good) + len(bad))
"#;

#[test]
fn an_independent_validator_accepts_and_refuses_as_it_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let wootz = Command::new(env!("CARGO_BIN_EXE_wootz")).args(["plan", "schema"]).output().unwrap();
    assert!(wootz.status.success());
    let schema = String::from_utf8(wootz.stdout).unwrap();
    let mut plans: Vec<_> =
        std::fs::read_dir(root.join("recipes")).unwrap().map(|file| file.unwrap().path()).collect();
    plans.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    plans.push(root.join("crates/app/cli/tests/plans/e2e_test.yaml"));
    assert!(plans.len() > 1);
    let mut python = Command::new(root.join(".venv/bin/python"));
    let output = python.args(["-c", CHECK, &schema]).args(&plans).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "19");
}
