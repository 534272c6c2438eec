//! Patterns mean what they mean to Python.

use super::python::{official, printed};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wootz_hub::Patterns;
use wootz_testkit::hub::Hub;

const ASK: &str = "
import json, sys
from huggingface_hub.utils import filter_repo_objects
for include, exclude, path in json.load(open(sys.argv[1])):
    print(len(list(filter_repo_objects([path], allow_patterns=include or None, ignore_patterns=exclude or None))))
";

#[test]
fn patterns_mean_what_they_mean_to_the_official_client() {
    let pattern = "[ab/.*?\\[\\]!-]{0,6}";
    let all = (
        proptest::collection::vec(pattern, 0..3),
        proptest::collection::vec(pattern, 0..2),
        "[ab/.\\[!-]{1,6}",
    );
    let mut runner = TestRunner::deterministic();
    let cases: Vec<_> =
        (0..4000).map(|_| all.new_tree(&mut runner).map(|tree| tree.current()).unwrap()).collect();
    let (hub, folder) = (Hub::start(), tempfile::tempdir().unwrap());
    let file = folder.path().join("cases.json");
    std::fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
    let output = official("python", &hub, folder.path(), None).args(["-c", ASK]).arg(&file).output().unwrap();
    let expected = printed(&output);
    assert_eq!(expected.lines().count(), cases.len());
    let mut meant = 0;
    for ((include, exclude, path), expected) in cases.into_iter().zip(expected.lines()) {
        let patterns = Patterns { include, exclude };
        assert_eq!(patterns.mean(&path), expected == "1", "{patterns:?} {path:?}");
        meant += usize::from(expected == "1");
    }
    assert!(meant > 500, "{meant}");
}
