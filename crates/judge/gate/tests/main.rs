//! The truth table of a gate, its configuration errors, and its algebra.

#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use wootz_gate::{GateError, judge, parse};
use wootz_schema::gate::{Decision, GateConfig, Outcome, Threshold, VERSION};
use wootz_schema::metrics::{Metric, Metrics};

fn bound(at_least: Option<f64>, at_most: Option<f64>, equals: Option<bool>) -> Threshold {
    Threshold { at_least, at_most, equals, required: true }
}

fn least(x: f64) -> Threshold {
    bound(Some(x), None, None)
}

fn most(x: f64) -> Threshold {
    bound(None, Some(x), None)
}

fn truth(b: bool) -> Threshold {
    bound(None, None, Some(b))
}

fn gate(metrics: impl IntoIterator<Item = (&'static str, Threshold)>) -> GateConfig {
    let metrics = metrics.into_iter().map(|(name, t)| (name.to_owned(), t)).collect();
    GateConfig { version: VERSION, stage: "sft".to_owned(), metrics }
}

/// One metric against one threshold: the outcome, and that the verdict follows from it.
fn check(name: &'static str, threshold: Threshold, value: Option<Metric>, expected: Outcome) {
    let metrics: Metrics = value.into_iter().map(|v| (name.to_owned(), v)).collect();
    let verdict = judge(&gate([(name, threshold)]), &metrics).unwrap();
    assert_eq!(verdict.checks[0].outcome, expected, "{name}: {}", verdict.checks[0].reason);
    let promoted = expected == Outcome::Pass;
    assert_eq!(verdict.verdict, if promoted { Decision::Promote } else { Decision::Hold }, "{name}");
    assert_eq!(verdict.reasons.is_empty(), promoted, "{name}: {:?}", verdict.reasons);
}

#[test]
fn a_metrics_name_never_decides_the_direction() {
    let number = |x| Some(Metric::Number(x));
    for (name, threshold, value, expected) in [
        ("function_call_success", least(0.60), number(0.95), Outcome::Pass),
        ("function_call_format_valid", least(0.70), number(0.10), Outcome::Fail),
        ("safety_baseline", least(0.70), number(0.10), Outcome::Fail),
        ("domain_performance", least(0.70), number(0.90), Outcome::Pass),
        ("rust_code_completion", least(0.35), number(0.10), Outcome::Fail),
        ("general_performance", least(-0.05), number(-0.20), Outcome::Fail),
        ("hallucinated_api_rate", most(0.05), number(0.50), Outcome::Fail),
        ("loss_convergence", truth(true), Some(Metric::Bool(false)), Outcome::Fail),
        ("perplexity", most(15.0), None, Outcome::Missing),
        ("perplexity", most(15.0), number(f64::NAN), Outcome::NotFinite),
        ("perplexity", least(15.0), number(f64::NAN), Outcome::NotFinite),
        ("perplexity", most(15.0), number(f64::NEG_INFINITY), Outcome::NotFinite),
        ("accuracy", least(0.5), number(f64::INFINITY), Outcome::NotFinite),
        ("accuracy", least(0.5), Some(Metric::Bool(true)), Outcome::WrongType),
        ("checkpoint_valid", truth(true), number(1.0), Outcome::WrongType),
        ("regressed", truth(false), Some(Metric::Bool(false)), Outcome::Pass),
        ("exactly", least(0.5), number(0.5), Outcome::Pass),
        ("exactly", most(0.5), number(0.5), Outcome::Pass),
    ] {
        check(name, threshold, value, expected);
    }
}

#[test]
fn reasons_are_rounded_and_values_are_not() {
    for (value, expected) in [
        (1.611_483_120_515_384_6, "1.6115 is at most 3"),
        (3.000_000_1, "3.0000001 is not at most 3"),
        (3.25, "3.25 is not at most 3"),
    ] {
        let metrics = Metrics::from([("bpb".to_owned(), Metric::Number(value))]);
        let verdict = judge(&gate([("bpb", most(3.0))]), &metrics).unwrap();
        assert_eq!(verdict.checks[0].reason, expected);
        assert_eq!(verdict.checks[0].value, Some(Metric::Number(value)));
    }
}

#[test]
fn a_stage_whose_metrics_nobody_produced_holds() {
    let produced: Metrics = ["perplexity", "humaneval", "mmlu", "safety_refusal"]
        .into_iter()
        .map(|name| (name.to_owned(), Metric::Number(1.0)))
        .collect();
    let names =
        ["gsm8k_accuracy", "instruction_following_score", "function_call_format_valid", "safety_baseline"];
    let config = gate(names.map(|name| (name, least(0.2))));
    let verdict = judge(&config, &produced).unwrap();
    assert_eq!(verdict.verdict, Decision::Hold);
    assert_eq!(verdict.reasons.len(), names.len());

    let optional = gate(names.map(|name| (name, Threshold { required: false, ..least(0.2) })));
    let verdict = judge(&optional, &produced).unwrap();
    assert_eq!(verdict.verdict, Decision::Hold, "optional metrics alone promote nothing when none is there");
}

#[test]
fn an_optional_metric_may_be_absent_but_not_bad() {
    let config = gate([("bpb", most(2.0)), ("extra", Threshold { required: false, ..least(0.5) })]);
    let with = |extra: Option<f64>| {
        let mut metrics = Metrics::from([("bpb".to_owned(), Metric::Number(1.0))]);
        metrics.extend(extra.map(|x| ("extra".to_owned(), Metric::Number(x))));
        judge(&config, &metrics).unwrap().verdict
    };
    assert_eq!(with(None), Decision::Promote);
    assert_eq!(with(Some(0.6)), Decision::Promote);
    assert_eq!(with(Some(0.4)), Decision::Hold);
    assert_eq!(with(Some(f64::NAN)), Decision::Hold);
}

#[test]
fn a_gate_that_could_promote_anything_is_an_error() {
    for (text, message) in [
        ("stage: s\nmetrics: {}", "gate `s` has no metrics: it would promote anything"),
        (
            "stage: s\nmetrics:\n  a: {}",
            "metric `a` needs exactly one of at_least, at_most, equals, but has 0",
        ),
        (
            "stage: s\nmetrics:\n  a: {at_least: 1, at_most: 2}",
            "metric `a` needs exactly one of at_least, at_most, equals, but has 2",
        ),
        ("stage: s\nmetrics:\n  a: {at_most: .inf}", "metric `a`: the threshold inf is not a finite number"),
        (
            "version: 2\nstage: s\nmetrics: {a: {at_most: 1}}",
            "gate `s` has version 2; this build reads version 1",
        ),
    ] {
        assert_eq!(parse(text, "gate.yaml").unwrap_err().to_string(), message);
    }
}

#[test]
fn a_typing_mistake_is_named_with_its_line() {
    let error = parse("stage: s\nmetrics:\n  a:\n    at_leest: 1\n", "gates/sft.yaml").unwrap_err();
    let GateError::Syntax { line, message, .. } = &error else { panic!("{error}") };
    assert_eq!(*line, Some(4));
    assert!(message.contains("unknown field `at_leest`"), "{message}");
    assert!(error.to_string().starts_with("gates/sft.yaml:4: "), "{error}");
}

#[test]
fn json_and_yaml_say_the_same_and_a_verdict_survives_its_file() {
    let yaml =
        parse("stage: s\nmetrics:\n  bpb: {at_most: 2.5}\n  ok: {equals: true, required: false}\n", "g")
            .unwrap();
    let json = r#"{"stage":"s","metrics":{"bpb":{"at_most":2.5},"ok":{"equals":true,"required":false}}}"#;
    assert_eq!(parse(json, "g").unwrap(), yaml);
    let verdict = judge(&yaml, &Metrics::from([("bpb".to_owned(), Metric::Number(f64::INFINITY))])).unwrap();
    let stored = serde_json::to_string(&verdict).unwrap();
    assert_eq!(serde_json::from_str::<wootz_schema::gate::Verdict>(&stored).unwrap(), verdict);
}

proptest! {
    #[test]
    fn improving_a_metric_never_turns_promote_into_hold(
        limit in -10.0..10.0f64, value in -10.0..10.0f64, better in 0.0..10.0f64, up: bool,
    ) {
        let (threshold, improved) = if up { (least(limit), value + better) } else { (most(limit), value - better) };
        let config = gate([("m", threshold)]);
        let decide = |x| judge(&config, &Metrics::from([("m".to_owned(), Metric::Number(x))])).unwrap().verdict;
        prop_assert!(decide(value) == Decision::Hold || decide(improved) == Decision::Promote);
    }

    #[test]
    fn taking_a_required_metric_away_always_holds(
        values in proptest::collection::btree_map("[a-e]", -1.0..1.0f64, 1..5), gone in 0usize..5,
    ) {
        let config = GateConfig {
            version: VERSION,
            stage: "s".to_owned(),
            metrics: values.keys().map(|name| (name.clone(), least(-1.0))).collect(),
        };
        let mut metrics: Metrics = values.iter().map(|(n, x)| (n.clone(), Metric::Number(*x))).collect();
        prop_assert_eq!(judge(&config, &metrics).unwrap().verdict, Decision::Promote);
        let name = values.keys().nth(gone % values.len()).unwrap();
        metrics.remove(name);
        let verdict = judge(&config, &metrics).unwrap();
        prop_assert_eq!(verdict.verdict, Decision::Hold);
        prop_assert!(verdict.reasons[0].starts_with(name.as_str()));
    }
}
