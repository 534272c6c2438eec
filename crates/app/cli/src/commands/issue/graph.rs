//! Issues and what they depend on, as a picture: for Graphviz, or as Mermaid for pages that draw it.

use super::{Desk, Told, edges};
use clap::ValueEnum;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use wootz_tracker::{Index, TrackerError, View};

/// Draw what depends on what: issues that are not done, or all around one.
#[derive(clap::Args)]
pub struct Graph {
    /// Only what this issue is connected with, the closed ones too.
    id: Option<String>,
    /// For which program: `dot` is Graphviz, `mermaid` is drawn by many pages.
    #[arg(long, value_enum, default_value_t = Format::Dot)]
    format: Format,
    /// The closed ones too.
    #[arg(long)]
    all: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Dot,
    Mermaid,
}

/// From an issue to one that depends on it.
struct Arrow {
    from: String,
    to: String,
    kind: String,
}

/// Draws.
pub fn graph(args: &Graph, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let index = Index::new(&views);
    let mut arrows: Vec<Arrow> = Vec::new();
    for view in views.iter().filter(|view| view.has_edges()) {
        arrows.extend(view.edges().filter(|edge| index.get(&edge.on).is_some()).map(|edge| Arrow {
            from: edge.on.to_string(),
            to: view.id().to_owned(),
            kind: edge.kind.to_string(),
        }));
    }
    let shown: BTreeSet<&str> = match &args.id {
        Some(id) => {
            let id = issues.resolve(id)?;
            let around = around(&id, &arrows);
            views.iter().map(View::id).filter(|id| around.contains(*id)).collect()
        }
        None => views.iter().filter(|view| args.all || !view.is_done()).map(View::id).collect(),
    };
    arrows.retain(|arrow| shown.contains(arrow.from.as_str()) && shown.contains(arrow.to.as_str()));
    // A picture of everything leaves out what is connected with nothing.
    let ends: BTreeSet<&str> =
        arrows.iter().flat_map(|arrow| [arrow.from.as_str(), arrow.to.as_str()]).collect();
    let is_drawn = |id: &&str| args.id.is_some() || ends.contains(*id);
    let drawn: Vec<&View<'_>> =
        shown.iter().copied().filter(is_drawn).filter_map(|id| index.get(id)).collect();
    let text = match args.format {
        Format::Dot => dot(&drawn, &arrows),
        Format::Mermaid => mermaid(&drawn, &arrows),
    };
    let nodes: Vec<_> = drawn
        .iter()
        .map(|view| json!({ "id": view.id(), "title": view.title(), "status": view.status() }))
        .collect();
    let lines: Vec<_> = arrows
        .iter()
        .map(|arrow| json!({ "id": arrow.to, "depends_on": arrow.from, "type": arrow.kind }))
        .collect();
    Ok(Told { text, json: json!({ "issues": nodes, "dependencies": lines }).to_string() })
}

/// All that is connected with an issue, in either direction.
fn around(id: &str, arrows: &[Arrow]) -> BTreeSet<String> {
    let mut near: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for Arrow { from, to, .. } in arrows {
        near.entry(from).or_default().push(to);
        near.entry(to).or_default().push(from);
    }
    let (mut seen, mut waiting) = (BTreeSet::from([id.to_owned()]), vec![id]);
    while let Some(at) = waiting.pop() {
        for other in near.get(at).into_iter().flatten() {
            if seen.insert((*other).to_owned()) {
                waiting.push(other);
            }
        }
    }
    seen
}

/// What a node says, with what its language cannot hold replaced.
fn label(view: &View<'_>) -> String {
    let title: String =
        view.title().chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    super::layout::cut(&title, 40)
}

fn colour(view: &View<'_>) -> &'static str {
    match view.status().as_ref() {
        "open" => "#ffffff",
        "in_progress" => "#fff3bf",
        "closed" | "tombstone" => "#d3f9d8",
        _ => "#ffe3e3",
    }
}

fn dot(views: &[&View<'_>], arrows: &[Arrow]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = |text: &str| format!("\"{}\"", escaped(text));
    let mut text = String::from("digraph issues {\n  rankdir=LR\n  node [shape=box, style=filled]\n");
    for view in views {
        let told = format!("{}\\n{}", escaped(view.id()), escaped(&label(view)));
        text.push_str(&format!(
            "  {} [label=\"{told}\", fillcolor=\"{}\"]\n",
            quoted(view.id()),
            colour(view)
        ));
    }
    for Arrow { from, to, kind } in arrows {
        let style = match kind.as_str() {
            "blocks" => String::new(),
            kind if edges::waits(kind) => format!(" [label={}]", quoted(kind)),
            kind => format!(" [label={}, style=dashed]", quoted(kind)),
        };
        text.push_str(&format!("  {} -> {}{style}\n", quoted(from), quoted(to)));
    }
    text + "}\n"
}

fn mermaid(views: &[&View<'_>], arrows: &[Arrow]) -> String {
    // IDs of nodes may hold no more than letters and digits; what they say may hold anything as a number of its letter.
    let numbers: BTreeMap<&str, usize> = views.iter().map(|view| view.id()).zip(0..).collect();
    let escaped = |text: &str| -> String {
        let plain = |letter: char| letter.is_alphanumeric() || " .,:;-_()/+*'!?=".contains(letter);
        let escape = |letter: char| match plain(letter) && letter != ';' {
            true => letter.to_string(),
            false => format!("#{};", u32::from(letter)),
        };
        text.chars().map(escape).collect()
    };
    let mut text = String::from("graph LR\n");
    for (at, view) in views.iter().enumerate() {
        text.push_str(&format!("  n{at}[\"{}<br/>{}\"]\n", escaped(view.id()), escaped(&label(view))));
        text.push_str(&format!("  style n{at} fill:{}\n", colour(view)));
    }
    for Arrow { from, to, kind } in arrows {
        let arrow = match kind.as_str() {
            "blocks" => "-->".to_owned(),
            kind if edges::waits(kind) => format!("-->|{}|", escaped(kind)),
            kind => format!("-.->|{}|", escaped(kind)),
        };
        text.push_str(&format!("  n{} {arrow} n{}\n", numbers[from.as_str()], numbers[to.as_str()]));
    }
    text
}
