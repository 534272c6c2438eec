//! The report page: whole, escaped, self-contained, and the same bytes for the same report.

use wootz_schema::metrics::{EvalPoint, TrainStep};
use wootz_schema::model::ModelConfig;
use wootz_schema::report::*;
use wootz_stations::report::page;

#[test]
fn a_full_report_shows_every_part() {
    let html = page(&full());
    let wanted = [
        "promoted",
        "val_bpb",
        "at most 3.2",
        "Training loss",
        "bits per byte",
        "By licence",
        "MIT OR Apache-2.0",
        "Samples",
        "fn main",
        "Time of each step",
        "wootz run recipes/tiny.yaml",
        "cached",
        "11,534,592",
    ];
    for text in wanted {
        assert!(html.contains(text), "{text} is missing");
    }
}

#[test]
fn the_page_loads_nothing() {
    let html = page(&full());
    for text in ["http:", "https:", "<script", "src=", "@import", "url(", "<link"] {
        assert!(!html.contains(text), "{text} would reach out of the page");
    }
}

#[test]
fn text_from_data_is_escaped() {
    let mut report = full();
    report.run.plan = "<script>alert(1)</script>".into();
    report.samples[0].completion = "</code><img onerror=x>".into();
    let html = page(&report);
    assert!(!html.contains("<script>") && !html.contains("<img"));
    assert!(html.contains("&lt;img onerror=x&gt;"));
}

#[test]
fn an_empty_report_and_figures_that_are_not_finite_still_give_a_page() {
    let mut report = full();
    report.train.iter_mut().for_each(|step| step.loss = f64::NAN);
    report.evals.iter_mut().for_each(|point| point.bpb = f64::INFINITY);
    assert!(page(&report).contains("No points were recorded"));
    let empty = Report {
        gate: None,
        corpus: None,
        tokenizer: None,
        dataset: None,
        model: None,
        hardware: None,
        train: vec![],
        evals: vec![],
        samples: vec![],
        steps: vec![],
        commands: vec![],
        ..report
    };
    let html = page(&empty);
    assert!(html.contains("not gated") && !html.contains("<section"), "{html}");
}

#[test]
fn a_held_gate_says_why_on_top() {
    let mut report = full();
    let gate = report.gate.as_mut().expect("because the full report has a gate");
    gate.promoted = false;
    gate.checks[0].passed = false;
    gate.checks[0].reason = "val_bpb is NaN".into();
    let html = page(&report);
    assert!(html.contains(r#"<span class="badge bad">held</span>"#));
    assert!(html.find("val_bpb: val_bpb is NaN") < html.find("<main>"), "the reason stands in the header");
}

#[test]
fn a_long_run_makes_a_small_page() {
    let mut report = full();
    report.train = steps(100_000);
    let html = page(&report);
    assert!(html.len() < 400_000, "{} bytes", html.len());
    assert_eq!(html, page(&report));
}

fn steps(count: u64) -> Vec<TrainStep> {
    (0..count)
        .map(|step| {
            let x = step as f64 / count as f64;
            let wobble = ((step * 7919 % 101) as f64 / 101.0 - 0.5) * 0.35;
            TrainStep {
                step,
                steps: count,
                loss: 3.1 + 5.2 * (-6.0 * x).exp() + wobble,
                lr_multiplier: 1.0,
                grad_norm: 0.5,
                tokens: (step + 1) * 4096,
                tokens_per_second: 6_400.0 + wobble * 500.0,
                gflops: 92.4,
                elapsed_seconds: step as f64 * 0.64,
            }
        })
        .collect()
}

fn full() -> Report {
    let share = |name: &str, documents, bytes| Share { name: name.into(), documents, bytes };
    let check = |metric: &str, value: &str, wanted: &str, reason: &str, required| CheckSummary {
        metric: metric.into(),
        value: value.into(),
        wanted: wanted.into(),
        passed: true,
        required,
        reason: reason.into(),
    };
    let time = |id: &str, state, seconds, summary: &str| StepTime {
        id: id.into(),
        kind: id.into(),
        state,
        seconds,
        summary: summary.into(),
    };
    let prompt = "fn main() {\n    let x: Vec<u8> = ";
    Report {
        version: VERSION,
        run: RunSummary { plan: "tiny".into(), id: "20260714-093012-7f3a".into(), wootz: "0.1.0".into() },
        gate: Some(GateSummary {
            stage: "pretrain".into(),
            promoted: true,
            checks: vec![
                check("val_bpb", "2.431", "at most 3.2", "2.431 is at most 3.2", true),
                check("val_bpb_drop", "0.554", "at least 0.4", "0.554 is at least 0.4", true),
                check("loss_finite", "true", "true", "every loss was a number", true),
                check("tokens_per_second", "6412", "at least 1000", "6412 is at least 1000", false),
            ],
        }),
        corpus: Some(CorpusSummary {
            documents: 4_812,
            bytes: 23_400_000,
            files: 5_230,
            languages: vec![
                share("rust", 4_301, 20_100_000),
                share("cpp", 411, 3_000_000),
                share("c", 100, 300_000),
            ],
            licenses: vec![
                share("MIT OR Apache-2.0", 3_900, 18_000_000),
                share("GPL-3.0-only WITH GCC-exception-3.1", 411, 3_000_000),
                share("MIT", 420, 2_000_000),
                share("NOASSERTION", 81, 400_000),
            ],
            skipped: vec![
                Skipped { reason: "duplicate".into(), count: 322 },
                Skipped { reason: "too large".into(), count: 12 },
                Skipped { reason: "not UTF-8".into(), count: 3 },
            ],
        }),
        tokenizer: Some(TokenizerSummary { vocab_size: 4_096, bytes_per_token: Some(3.21) }),
        dataset: Some(DatasetSummary {
            train_documents: 4_600,
            validation_documents: 212,
            train_bytes: 22_900_000,
            validation_bytes: 500_000,
            shards: 5,
        }),
        model: Some(ModelSummary {
            config: ModelConfig {
                sequence_len: 256,
                vocab_size: 4_096,
                n_layer: 4,
                n_head: 2,
                n_kv_head: 2,
                n_embd: 256,
                window_pattern: "SSSL".into(),
                window_short: None,
            },
            parameters: Some(11_534_592),
            peak_bytes: Some(412_000_000),
            total_batch_size: Some(4_096),
            checkpoint_sha256: Some(
                "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            ),
        }),
        train: steps(366),
        evals: (0..=6)
            .map(|i| EvalPoint { step: i * 61, bpb: 2.43 + 3.0 * (-0.9 * i as f64).exp(), loss: 3.0 })
            .collect(),
        samples: vec![
            Sample {
                method: "greedy".into(),
                prompt: prompt.into(),
                completion: "Vec::new();\n    for i in 0..10 {\n        x.push(i);\n    }\n}".into(),
            },
            Sample {
                method: "top-k 50, temperature 0.8, seed 1".into(),
                prompt: "impl<T> Iterator for ".into(),
                completion: "Iter<'_, T> {\n    type Item = &T;\n".into(),
            },
        ],
        steps: vec![
            time("corpus", StepResult::Cached, 3.2, "4,812 documents"),
            time("tokenizer", StepResult::Done, 6.1, "4,096 entries"),
            time("dataset", StepResult::Done, 2.0, "5 shards"),
            time("train", StepResult::Done, 236.0, "366 steps, loss 3.12"),
            time("eval", StepResult::Done, 9.1, "bpb 2.431"),
            time("gate", StepResult::Done, 0.01, "promoted"),
        ],
        hardware: Some(Hardware {
            cpu: "A Processor @ 2.7 GHz".into(),
            threads: 2,
            memory_bytes: 24 << 30,
            features: vec!["avx512f".into(), "avx2".into(), "fma".into()],
            os: "Linux (x86_64)".into(),
        }),
        commands: vec![
            ReportCommand {
                purpose: "The whole line".into(),
                line: "wootz run recipes/tiny.yaml --param source=/src".into(),
            },
            ReportCommand {
                purpose: "One sample from the checkpoint".into(),
                line: "wootz generate --checkpoint out/step-00000366 --prompt 'fn main'".into(),
            },
        ],
    }
}
