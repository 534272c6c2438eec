//! The page: header with the verdict and the key figures, then one section per part of the line.

use super::sections;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use wootz_schema::report::{Report, StepResult};
use wootz_stdx::human;

/// Draws the page. The same report gives the same bytes.
pub fn page(report: &Report) -> String {
    let (verdict, _) = verdict(report);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.run.plan) " · " (verdict) " · wootz" }
                style { (PreEscaped(include_str!("style.css"))) }
            }
            body {
                (header(report))
                main {
                    (figures(report))
                    (sections::curves(report))
                    (sections::gate(report))
                    (sections::samples(report))
                    (sections::corpus(report))
                    (sections::model(report))
                    (sections::steps(report))
                    (sections::reproduce(report))
                }
                footer { "wootz " (report.run.wootz) " · run " (report.run.id) }
            }
        }
    }
    .into_string()
}

fn header(report: &Report) -> Markup {
    let (verdict, class) = verdict(report);
    let held: Vec<(&str, &str)> = report
        .gate
        .iter()
        .flat_map(|gate| &gate.checks)
        .filter(|c| !c.passed && c.required)
        .map(|c| (c.metric.as_str(), c.reason.as_str()))
        .collect();
    html! {
        header {
            div.inner {
                p.eyebrow { "wootz · training report" }
                h1 { (report.run.plan) span.badge.(class) { (verdict) } }
                p.meta {
                    "run " code { (report.run.id) }
                    @if let Some(machine) = &report.hardware { " · " (machine.cpu) ", " (machine.threads) " threads" }
                }
                @for (metric, reason) in held { p.reason { (metric) ": " (reason) } }
            }
        }
    }
}

fn verdict(report: &Report) -> (&'static str, &'static str) {
    match &report.gate {
        Some(gate) if gate.promoted => ("promoted", "good"),
        Some(_) => ("held", "bad"),
        None => ("not gated", "none"),
    }
}

/// The figures a reader came for.
fn figures(report: &Report) -> Markup {
    let mut cards: Vec<(String, String, String)> = Vec::new();
    if let (Some(first), Some(last)) = (report.evals.first(), report.evals.last()) {
        let note = match 100.0 * (1.0 - last.bpb / first.bpb) {
            drop if drop.is_finite() && report.evals.len() > 1 => {
                format!("{drop:.1}% below step {}", first.step)
            }
            _ => format!("at step {}", last.step),
        };
        cards.push(("bits per byte".into(), format!("{:.3}", last.bpb), note));
    }
    if let Some(last) = report.train.last() {
        cards.push((
            "training loss".into(),
            format!("{:.3}", tail_loss(report)),
            "nats per token, last steps".into(),
        ));
        cards.push(("tokens seen".into(), human::count(last.tokens), format!("{} steps", last.step + 1)));
        let speed = median(report.train.iter().map(|step| step.tokens_per_second).collect());
        let gflops = median(report.train.iter().map(|step| step.gflops).collect());
        cards.push((
            "tokens per second".into(),
            human::count(speed as u64),
            format!("{gflops:.1} GFLOP/s, median"),
        ));
    }
    if let Some(model) = &report.model {
        let note = format!("depth {}, {} wide", model.config.n_layer, model.config.n_embd);
        let parameters = model.parameters.map_or_else(|| "—".to_owned(), human::count);
        cards.push(("parameters".into(), parameters, note));
        if let Some(peak) = model.peak_bytes {
            cards.push(("peak memory".into(), human::bytes(peak), "planned before step 1".into()));
        }
    }
    if let Some(corpus) = &report.corpus {
        let note = format!("{} documents", human::count(corpus.documents));
        cards.push(("corpus".into(), human::bytes(corpus.bytes), note));
    }
    let ran = report.steps.iter().filter(|step| step.state != StepResult::Skipped);
    let seconds: f64 = ran.map(|step| step.seconds).sum();
    if seconds > 0.0 {
        cards.push(("work".into(), human::seconds(seconds), format!("in {} steps", report.steps.len())));
    }
    html! {
        div.cards {
            @for (name, value, note) in cards {
                div.card { span.name { (name) } strong { (value) } span.note { (note) } }
            }
        }
    }
}

/// Mean loss of the last twentieth of the steps: one step alone is noise.
fn tail_loss(report: &Report) -> f64 {
    let count = (report.train.len() / 20).max(1);
    let tail = &report.train[report.train.len() - count..];
    tail.iter().map(|step| step.loss).sum::<f64>() / count as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
