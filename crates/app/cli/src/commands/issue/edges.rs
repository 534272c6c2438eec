//! What waits for what: edges of several types, trees along them, rings among them.

use super::{Desk, Told, layout};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use wootz_tracker::time::stored;
use wootz_tracker::{Index, Issues, Record, TrackerError, View, actions, graph};

/// Make an issue wait for another.
#[derive(clap::Args)]
pub struct Block {
    /// The issue.
    id: String,
    /// What it waits for.
    blocker: String,
}

/// Make an issue wait for another no more.
#[derive(clap::Args)]
pub struct Unblock {
    /// The issue.
    id: String,
    /// What it waited for.
    blocker: String,
}

/// Work with dependencies of every type.
#[derive(clap::Subcommand)]
pub enum Dep {
    Add(Add),
    Remove(Remove),
    List(ListArgs),
}

/// Make an issue depend on another; an edge that would close a ring of waiting issues is refused.
#[derive(clap::Args)]
pub struct Add {
    /// The issue.
    id: String,
    /// What it depends on.
    on: String,
    /// In which way.
    #[arg(long = "type", short = 't', value_enum, default_value_t = Kind::Blocks)]
    kind: Kind,
}

/// Take a dependency away.
#[derive(clap::Args)]
pub struct Remove {
    /// The issue.
    id: String,
    /// What it depends on.
    on: String,
    /// Only the dependency of this type.
    #[arg(long = "type", short = 't', value_enum)]
    kind: Option<Kind>,
}

/// List what an issue depends on, and what depends on it.
#[derive(clap::Args)]
pub struct ListArgs {
    /// The issue.
    id: String,
}

/// Show what an issue waits for, as a tree.
#[derive(clap::Args)]
pub struct Tree {
    /// The issue.
    id: String,
    /// Show what waits for it instead.
    #[arg(long)]
    reverse: bool,
}

/// Find issues that wait for themselves.
#[derive(clap::Args)]
pub struct Cycles {}

/// Types of dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// It waits until the other is done.
    Blocks,
    /// It is part of the other.
    ParentChild,
    /// The other is worth a look.
    Related,
    /// It was found while the other was worked on.
    DiscoveredFrom,
    /// It is work only where the other failed.
    ConditionalBlocks,
    /// It waits until the parts of the other are done.
    WaitsFor,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Blocks => "blocks",
            Kind::ParentChild => "parent-child",
            Kind::Related => "related",
            Kind::DiscoveredFrom => "discovered-from",
            Kind::ConditionalBlocks => "conditional-blocks",
            Kind::WaitsFor => "waits-for",
        }
    }
}

/// Whether an issue waits along an edge of this type.
pub fn waits(kind: &str) -> bool {
    matches!(kind, "blocks" | "parent-child" | "conditional-blocks" | "waits-for")
}

/// Adds a blocker.
pub fn block(args: &Block, desk: &Desk) -> Result<Told, TrackerError> {
    connect(&args.id, &args.blocker, Kind::Blocks, desk)
}

/// Removes one.
pub fn unblock(args: &Unblock, desk: &Desk) -> Result<Told, TrackerError> {
    disconnect(&args.id, &args.blocker, Some(Kind::Blocks), desk)
}

/// Adds, removes or lists dependencies.
pub fn dep(command: &Dep, desk: &Desk) -> Result<Told, TrackerError> {
    match command {
        Dep::Add(args) => connect(&args.id, &args.on, args.kind, desk),
        Dep::Remove(args) => disconnect(&args.id, &args.on, args.kind, desk),
        Dep::List(args) => list(args, desk),
    }
}

fn connect(id: &str, on: &str, kind: Kind, desk: &Desk) -> Result<Told, TrackerError> {
    let (id, on) = desk.change("dep", None, |issues| {
        let id = issues.resolve(id)?;
        let on = link(issues, &id, on, kind, desk.now)?;
        Ok((id, on))
    })?;
    let kind = kind.name();
    Ok(Told {
        text: format!("{id} depends on {on} ({kind})\n"),
        json: json!({ "id": id, "depends_on": on, "type": kind }).to_string(),
    })
}

/// Makes an issue depend on another, whose ID comes back.
pub fn link(
    issues: &mut Issues,
    id: &str,
    on: &str,
    kind: Kind,
    now: Timestamp,
) -> Result<String, TrackerError> {
    let on = issues.resolve(on)?;
    if id == on {
        return Err(TrackerError::invalid(format!("{id} cannot depend on itself")));
    }
    if waits(kind.name())
        && let Some(ring) = ring(issues, id, &on)?
    {
        return Err(TrackerError::Cycle { ring });
    }
    if kind == Kind::Blocks {
        actions::block(issues, id, &on, false, now)?;
        return Ok(on);
    }
    let mut record = issues.get(id)?;
    let mut edges: Vec<Box<RawValue>> = record.read_as("dependencies").unwrap_or_default();
    if edges.iter().any(|edge| is_edge(edge, &on, Some(kind.name()))) {
        return Err(TrackerError::invalid(format!("{id} depends on {on} already ({})", kind.name())));
    }
    let now = stored(now);
    let mut edge = Record::default();
    edge.push("issue_id", id);
    edge.push("depends_on_id", &on);
    edge.push("type", kind.name());
    edge.push("created_at", &now);
    edges.push(edge.to_raw());
    record.set("dependencies", &edges);
    record.set("updated_at", &now);
    issues.put(id, Some(record));
    Ok(on)
}

fn disconnect(id: &str, on: &str, kind: Option<Kind>, desk: &Desk) -> Result<Told, TrackerError> {
    let (id, on) = desk.change("dep", None, |issues| {
        let id = issues.resolve(id)?;
        // The other issue may be gone.
        let on = issues.resolve(on).unwrap_or_else(|_| on.to_owned());
        let mut is_found = false;
        if kind.is_none_or(|kind| kind == Kind::Blocks) {
            let is_blocked = issues.get(&id)?.texts("blocked_by").contains(&on);
            if is_blocked {
                actions::unblock(issues, &id, &on, desk.now)?;
                is_found = true;
            }
        }
        let mut record = issues.get(&id)?;
        let mut edges: Vec<Box<RawValue>> = record.read_as("dependencies").unwrap_or_default();
        let before = edges.len();
        edges.retain(|edge| !is_edge(edge, &on, kind.map(Kind::name)));
        if edges.len() < before {
            is_found = true;
            record.set("dependencies", &edges);
            record.set("updated_at", &stored(desk.now));
            issues.put(&id, Some(record));
        }
        if !is_found {
            return Err(TrackerError::invalid(format!("{id} does not depend on {on}")));
        }
        Ok((id, on))
    })?;
    Ok(Told {
        text: format!("{id} no longer depends on {on}\n"),
        json: json!({ "id": id, "depended_on": on }).to_string(),
    })
}

fn is_edge(edge: &RawValue, on: &str, kind: Option<&str>) -> bool {
    let Ok(edge) = Record::read(edge.get().as_bytes()) else { return false };
    let is_kind = |kind: &str| edge.text("type").is_none_or(|known| known == kind);
    edge.text("depends_on_id").as_deref() == Some(on) && kind.is_none_or(is_kind)
}

/// The ring that an edge from `id` to `on` would close, along all that issues wait for.
fn ring(issues: &Issues, id: &str, on: &str) -> Result<Option<Vec<String>>, TrackerError> {
    let views = issues.views()?;
    let index = Index::new(&views);
    let mut came: BTreeMap<String, Option<String>> = BTreeMap::from([(on.to_owned(), None)]);
    let mut waiting = vec![on.to_owned()];
    while let Some(at) = waiting.pop() {
        if at == id {
            let mut ring = vec![id.to_owned()];
            let mut next = came.get(&at).cloned().flatten();
            while let Some(step) = next {
                next = came.get(&step).cloned().flatten();
                ring.push(step);
            }
            ring.push(id.to_owned());
            ring.reverse();
            return Ok(Some(ring));
        }
        for edge in index.get(&at).map(waiting_edges).unwrap_or_default() {
            if !came.contains_key(&edge) {
                came.insert(edge.clone(), Some(at.clone()));
                waiting.push(edge);
            }
        }
    }
    Ok(None)
}

fn waiting_edges(view: &View<'_>) -> Vec<String> {
    let edges = view.edges().filter(|edge| waits(&edge.kind));
    let mut edges: Vec<String> = edges.map(|edge| edge.on.into_owned()).collect();
    let mut seen = std::collections::HashSet::new();
    edges.retain(|edge| seen.insert(edge.clone()));
    edges
}

fn list(args: &ListArgs, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let id = issues.resolve(&args.id)?;
    let views = issues.views()?;
    let (mut depends, mut dependents) = (Vec::new(), Vec::new());
    for view in views.iter().filter(|view| view.has_edges()) {
        for edge in view.edges() {
            if view.id() == id {
                depends.push(json!({ "id": edge.on, "type": edge.kind }));
            } else if edge.on == id.as_str() {
                dependents.push(json!({ "id": view.id(), "type": edge.kind }));
            }
        }
    }
    let of = |edge: &serde_json::Value, key: &str| edge[key].as_str().unwrap_or_default().to_owned();
    let mut text = String::new();
    for edge in &depends {
        text.push_str(&format!("{id} depends on {} ({})\n", of(edge, "id"), of(edge, "type")));
    }
    for edge in &dependents {
        text.push_str(&format!("{} depends on {id} ({})\n", of(edge, "id"), of(edge, "type")));
    }
    if text.is_empty() {
        text.push_str("no dependencies\n");
    }
    let json = json!({ "id": id, "depends_on": depends, "dependents": dependents });
    Ok(Told { text, json: json.to_string() })
}

/// Shows a tree.
pub fn tree(args: &Tree, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let id = issues.resolve(&args.id)?;
    let views = issues.views()?;
    let index = Index::new(&views);
    let mut dependents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for view in views.iter().filter(|view| args.reverse && view.has_edges()) {
        for edge in waiting_edges(view) {
            dependents.entry(edge).or_default().push(view.id().to_owned());
        }
    }
    let places = graph::tree(&id, |id| {
        let view = index.get(id)?;
        Some(match args.reverse {
            true => dependents.get(id).cloned().unwrap_or_default(),
            false => waiting_edges(view),
        })
    });
    let told = |id: &str| match index.get(id) {
        Some(view) => (view.title().into_owned(), view.status().into_owned()),
        None => Default::default(),
    };
    let under = if args.reverse { "blocks" } else { "blocked_by" };
    let json = || Ok(layout::tree_json(&places, under, told));
    Told::either(desk, || layout::tree(&places, told).trim_start().to_owned(), json)
}

/// Finds rings.
pub fn cycles(_: &Cycles, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let graph: Vec<(String, Vec<String>)> =
        views.iter().map(|view| (view.id().to_owned(), waiting_edges(view))).collect();
    let rings = graph::rings(&graph);
    let lines: String = rings.iter().map(|ring| ring.join(" -> ") + "\n").collect();
    let text = if rings.is_empty() { "no cycles\n".to_owned() } else { lines };
    Ok(Told { text, json: json!(rings).to_string() })
}
