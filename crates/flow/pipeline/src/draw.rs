//! A plan as a picture: for Graphviz, for Mermaid, and as text.
//!
//! An arrow goes from a step to one that waits for it; what starts on an outcome says so on the arrow, and what a failure runs has a
//! dashed one.

use crate::graph::{Graph, GraphError};
use std::fmt::Write;
use wootz_schema::plan::{OnFailure, Plan, PlanStep};

/// How an arrow is meant.
enum Arrow<'a> {
    /// The step before has to succeed.
    Success,
    /// It has to end so.
    When(&'a str),
    /// It has to fail.
    Handles,
}

/// For Graphviz's `dot`.
pub fn dot(plan: &Plan) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n  node [shape=box];\n", quoted(&plan.name));
    for step in &plan.steps {
        let label = format!("{}\\n{}", escaped(&step.name), escaped(&step.kind));
        let _ = writeln!(text, "  {} [label=\"{label}\"];", quoted(&step.id));
    }
    for (before, arrow, step) in arrows(plan) {
        let style = match arrow {
            Arrow::Success => String::new(),
            Arrow::When(word) => format!(" [label=\"{word}\"]"),
            Arrow::Handles => " [label=\"failure\", style=dashed]".to_owned(),
        };
        let _ = writeln!(text, "  {} -> {}{style};", quoted(before), quoted(&step.id));
    }
    text + "}\n"
}

/// For Mermaid, as pages of text have it.
pub fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    let at = |id: &str| plan.steps.iter().position(|step| step.id == id).unwrap_or_default();
    for (position, step) in plan.steps.iter().enumerate() {
        // Mermaid has characters of its own in texts; its own escapes are numbers.
        let name = step.name.replace('#', "#35;").replace('"', "#quot;");
        let _ = writeln!(text, "  s{position}[\"{name}<br/><i>{}</i>\"]", step.kind);
    }
    for (before, arrow, step) in arrows(plan) {
        let arrow = match arrow {
            Arrow::Success => "-->".to_owned(),
            Arrow::When(word) => format!("-->|{word}|"),
            Arrow::Handles => "-.->|failure|".to_owned(),
        };
        let _ = writeln!(text, "  s{} {arrow} s{}", at(before), at(&step.id));
    }
    text
}

/// As lines: what may begin at once stands on one level.
pub fn text(plan: &Plan) -> Result<String, GraphError> {
    let graph = Graph::new(plan)?;
    let mut levels: Vec<Option<usize>> = vec![None; graph.len()];
    let mut left = graph.len();
    while left > 0 {
        for position in 0..graph.len() {
            let before: Option<Vec<usize>> =
                graph.dependencies(position).iter().map(|d| levels[*d]).collect();
            if let (None, Some(before)) = (levels[position], before) {
                levels[position] = Some(before.into_iter().max().map_or(0, |level| level + 1));
                left -= 1;
            }
        }
    }
    let mut order: Vec<usize> = (0..graph.len()).collect();
    order.sort_by_key(|position| levels[*position]);
    let width = plan.steps.iter().map(|step| step.id.len()).max().unwrap_or_default();
    let mut text = String::new();
    for position in order {
        let step = &plan.steps[position];
        let before: Vec<String> = arrows_to(plan, step)
            .map(|(before, arrow)| match arrow {
                Arrow::Success => before.to_owned(),
                Arrow::When(word) => format!("{before} ({word})"),
                Arrow::Handles => format!("{before} (failure)"),
            })
            .collect();
        let level = levels[position].unwrap_or_default() + 1;
        let after = if before.is_empty() { String::new() } else { format!("  after {}", before.join(", ")) };
        let _ =
            writeln!(text, "{}", format!("{level:>3}  {:width$}  {}{after}", step.id, step.kind).trim_end());
    }
    Ok(text)
}

fn arrows(plan: &Plan) -> impl Iterator<Item = (&str, Arrow<'_>, &PlanStep)> {
    let to = |step| arrows_to(plan, step).map(move |(before, arrow)| (before, arrow, step));
    plan.steps.iter().flat_map(to)
}

fn arrows_to<'a>(plan: &'a Plan, step: &'a PlanStep) -> impl Iterator<Item = (&'a str, Arrow<'a>)> {
    step.depends_on.iter().map(move |before| {
        let runs = |other: &PlanStep| other.on_failure == Some(OnFailure::Run(step.id.clone()));
        let is_handled = plan.steps.iter().any(|other| other.id == *before && runs(other));
        let arrow = match &step.when {
            _ if is_handled => Arrow::Handles,
            Some(when) if when.step == *before => Arrow::When(when.status.word()),
            _ => Arrow::Success,
        };
        (before.as_str(), arrow)
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
