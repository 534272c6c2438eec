//! The sections of a report, each empty where the report has nothing for it.

use super::bars::{Bar, Span, bars, timeline};
use super::chart::{LineChart, Series, line_chart};
use maud::{Markup, html};
use wootz_schema::report::{Report, Share, StepResult, StepTime};
use wootz_stdx::human;

/// Loss and bits per byte over the steps.
pub fn curves(report: &Report) -> Markup {
    let raw: Vec<(f64, f64)> = report.train.iter().map(|step| (step.step as f64, step.loss)).collect();
    let bpb: Vec<(f64, f64)> = report.evals.iter().map(|point| (point.step as f64, point.bpb)).collect();
    let loss = LineChart {
        x_label: "step",
        y_label: "loss (nats per token)",
        series: vec![
            Series { name: "each step", class: "raw", points: raw.clone(), dots: false },
            Series { name: "smoothed", class: "main", points: smooth(&raw), dots: false },
        ],
    };
    let bpb = LineChart {
        x_label: "step",
        y_label: "bits per byte",
        series: vec![Series { name: "bpb", class: "second", points: bpb, dots: true }],
    };
    html! {
        @if !report.train.is_empty() || !report.evals.is_empty() {
            section.pair {
                @if !report.train.is_empty() { div { h2 { "Training loss" } (line_chart(&loss)) } }
                @if !report.evals.is_empty() { div { h2 { "Validation, bits per byte" } (line_chart(&bpb)) } }
            }
        }
    }
}

/// The thresholds and why each held or did not.
pub fn gate(report: &Report) -> Markup {
    html! {
        @if let Some(gate) = &report.gate {
            section {
                h2 { "Gate" small { (gate.stage) } }
                div.scroll {
                    table {
                        thead { tr { th { "" } th { "Metric" } th.number { "Found" } th { "Wanted" } th { "Reason" } } }
                        tbody {
                            @for check in &gate.checks {
                                @let (class, sign) = match (check.passed, check.required) {
                                    (true, _) => ("good", "pass"), (false, true) => ("bad", "hold"), (false, false) => ("none", "note"),
                                };
                                tr {
                                    td { span.pill.(class) { (sign) } }
                                    td { code { (check.metric) } @if !check.required { small { " optional" } } }
                                    td.number { (check.value) }
                                    td { (check.wanted) }
                                    td { (check.reason) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What the model writes.
pub fn samples(report: &Report) -> Markup {
    html! {
        @if !report.samples.is_empty() {
            section {
                h2 { "Samples" }
                p.muted { "The prompt is dimmed; what follows is the model's." }
                div.samples {
                    @for sample in &report.samples {
                        figure {
                            figcaption { (sample.method) }
                            pre { code { span.prompt { (sample.prompt) } (sample.completion) } }
                        }
                    }
                }
            }
        }
    }
}

/// Where the text came from.
pub fn corpus(report: &Report) -> Markup {
    html! {
        @if let Some(corpus) = &report.corpus {
            section {
                h2 { "Corpus" small { (human::count(corpus.documents)) " documents from " (human::count(corpus.files)) " files" } }
                div.pair {
                    div { h3 { "By language" } (shares(&corpus.languages)) }
                    div { h3 { "By licence" } (shares(&corpus.licenses)) }
                }
                @if !corpus.skipped.is_empty() {
                    h3 { "Left out" }
                    p.chips {
                        @for skipped in &corpus.skipped { span { (skipped.reason) " " b { (skipped.count) } } }
                    }
                }
            }
        }
    }
}

/// The model, its data and the machine, as a list of facts.
pub fn model(report: &Report) -> Markup {
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(model) = &report.model {
        let config = &model.config;
        facts.push(("Layers × width", format!("{} × {}", config.n_layer, config.n_embd)));
        facts.push((
            "Heads",
            format!("{} query, {} key/value, {} each", config.n_head, config.n_kv_head, config.head_dim()),
        ));
        facts.push(("Context", format!("{} tokens, windows {}", config.sequence_len, config.window_pattern)));
        facts.push(("Vocabulary", format!("{} ({} with padding)", config.vocab_size, config.padded_vocab())));
        facts.extend(model.parameters.map(|n| ("Parameters", separated(n))));
        facts.extend(model.peak_bytes.map(|n| ("Peak of the plan", human::bytes(n))));
        facts.extend(model.total_batch_size.map(|n| ("Tokens per step", separated(n))));
    }
    if let Some(tokenizer) = &report.tokenizer {
        let density =
            tokenizer.bytes_per_token.map_or_else(String::new, |x| format!(", {x:.2} bytes per token"));
        facts.push(("Tokenizer", format!("{} entries{density}", separated(tokenizer.vocab_size))));
    }
    if let Some(data) = &report.dataset {
        let part = |documents, bytes| format!("{} documents, {}", separated(documents), human::bytes(bytes));
        facts.push(("Training data", part(data.train_documents, data.train_bytes)));
        facts.push(("Validation data", part(data.validation_documents, data.validation_bytes)));
    }
    if let Some(machine) = &report.hardware {
        facts.push(("Processor", format!("{}, {} threads", machine.cpu, machine.threads)));
        facts.push(("Vector extensions", machine.features.join(", ")));
        facts.push(("Memory", human::bytes(machine.memory_bytes)));
        facts.push(("System", machine.os.clone()));
    }
    html! {
        @if !facts.is_empty() {
            section {
                h2 { "Model, data, machine" }
                dl { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } }
                @if let Some(sha256) = report.model.as_ref().and_then(|model| model.checkpoint_sha256.as_ref()) {
                    p.muted { "Weights " code.long { "sha256:" (sha256) } }
                }
            }
        }
    }
}

/// How long each step took, one after the other in the order of the plan.
pub fn steps(report: &Report) -> Markup {
    let mut before = 0.0;
    let rows: Vec<Span> = report
        .steps
        .iter()
        .map(|step| {
            let span = span(step, before);
            before += step.seconds;
            span
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Time of each step" }
                (timeline(&rows))
                @if report.steps.iter().any(|step| step.state == StepResult::Cached) {
                    p.muted { "Hatched steps came from the cache; their time is that of the run that made them." }
                }
            }
        }
    }
}

/// The commands that give the same result again.
pub fn reproduce(report: &Report) -> Markup {
    html! {
        @if !report.commands.is_empty() {
            section {
                h2 { "Reproduce" }
                @for command in &report.commands {
                    p.purpose { (command.purpose) }
                    pre.command { code { (command.line) } }
                }
            }
        }
    }
}

fn shares(shares: &[Share]) -> Markup {
    let rows: Vec<Bar> = shares
        .iter()
        .map(|share| Bar {
            name: share.name.clone(),
            amount: share.bytes as f64,
            figures: human::bytes(share.bytes),
        })
        .collect();
    bars(&rows, 12)
}

fn span(step: &StepTime, begin: f64) -> Span {
    let (class, word) = match step.state {
        StepResult::Done => ("done", ""),
        StepResult::Cached => ("cached", "cached, "),
        StepResult::Failed => ("failed", "failed, "),
        StepResult::Skipped => ("skipped", "skipped, "),
    };
    let figures = format!("{word}{}", human::seconds(step.seconds));
    Span {
        name: step.id.clone(),
        kind: if step.kind == step.id { String::new() } else { step.kind.clone() },
        begin,
        seconds: step.seconds,
        title: format!("{}: {figures}. {}", step.id, step.summary),
        figures,
        class,
    }
}

/// Exponential moving average with a horizon of an eightieth of the run, its start corrected for the missing past.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let decay = 1.0 - 1.0 / (points.len() as f64 / 80.0).clamp(1.0, 100.0);
    let (mut mean, mut weight) = (0.0, 0.0);
    let mut smoothed = Vec::with_capacity(points.len());
    for &(x, y) in points.iter().filter(|(_, y)| y.is_finite()) {
        mean = decay * mean + (1.0 - decay) * y;
        weight = decay * weight + (1.0 - decay);
        smoothed.push((x, mean / weight));
    }
    smoothed
}

/// `1234567` as `1,234,567`.
fn separated(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_separated() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(separated), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn smoothing_starts_at_the_first_point_and_keeps_a_constant() {
        let points: Vec<(f64, f64)> = (0..300).map(|i| (f64::from(i), 2.5)).collect();
        assert!(smooth(&points).iter().all(|(_, y)| (y - 2.5).abs() < 1e-12));
        assert_eq!(smooth(&[(0.0, 8.0), (1.0, 4.0)])[0], (0.0, 8.0));
    }
}
