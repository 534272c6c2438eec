//! Issues in groups: by label, as parts of an epic, as said twice.

use super::{Desk, Told, shape};
use crate::render::table::{Align, table};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use wootz_tracker::ownership::Move;
use wootz_tracker::{Index, TrackerError, View, actions, similar};

/// List the labels, with how many issues have each.
#[derive(clap::Args)]
pub struct Labels {
    /// Count the closed ones too.
    #[arg(long)]
    all: bool,
}

/// List epics with how many of their parts are done.
#[derive(clap::Args)]
pub struct Epics {
    /// Close those whose parts are all done and that nobody has claimed.
    #[arg(long)]
    close: bool,
}

/// List open issues whose titles say the same, the oldest of each group first.
#[derive(clap::Args)]
pub struct Duplicates {}

/// Counts labels.
pub fn labels(args: &Labels, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for view in views.iter().filter(|view| args.all || !view.is_done()) {
        let labels: BTreeSet<_> = view.labels().collect();
        labels.into_iter().for_each(|label| *counts.entry(label.into_owned()).or_default() += 1);
    }
    let rows: Vec<Vec<String>> =
        counts.iter().map(|(label, count)| vec![label.clone(), count.to_string()]).collect();
    let text = match rows.is_empty() {
        true => "no labels\n".to_owned(),
        false => table(&[("label", Align::Left), ("issues", Align::Right)], &rows),
    };
    Ok(Told { text, json: json!(counts).to_string() })
}

/// An epic, and how many of its parts are done.
struct Epic<'v, 'a> {
    view: &'v View<'a>,
    done: usize,
    parts: usize,
}

impl Epic<'_, '_> {
    fn can_close(&self) -> bool {
        self.parts > 0 && self.done == self.parts && self.view.session().is_none()
    }
}

/// Epics that are not done.
fn open_epics<'v, 'a>(views: &'v [View<'a>]) -> Vec<Epic<'v, 'a>> {
    let index = Index::new(views);
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for view in views {
        // An edge and the ID may both say it.
        let by_edge = view.dependencies().filter(|edge| edge.kind == "parent-child").map(|edge| edge.on);
        let by_id = view.id().rsplit_once('.').map(|(parent, _)| parent.into());
        let parents: BTreeSet<_> = by_edge.chain(by_id).collect();
        for parent in parents.iter().filter_map(|parent| index.get(parent)) {
            let (done, parts) = counts.entry(parent.id()).or_default();
            (*done, *parts) = (*done + usize::from(view.is_done()), *parts + 1);
        }
    }
    let epic = |view: &'v View<'a>| {
        let (done, parts) = counts.get(view.id()).copied().unwrap_or_default();
        Epic { view, done, parts }
    };
    let open = views.iter().filter(|view| view.kind() == "epic" && !view.is_done());
    let mut epics: Vec<Epic<'v, 'a>> = open.map(epic).collect();
    epics.sort_by_key(|epic| (epic.view.priority(), epic.view.age()));
    epics
}

/// Lists epics, or closes the finished.
pub fn epics(args: &Epics, desk: &Desk) -> Result<Told, TrackerError> {
    if args.close {
        return close_finished(desk);
    }
    let issues = desk.read()?;
    let views = issues.views()?;
    let epics = open_epics(&views);
    let header = [
        ("id", Align::Left),
        ("p", Align::Right),
        ("status", Align::Left),
        ("done", Align::Right),
        ("parts", Align::Right),
        ("title", Align::Left),
    ];
    let row = |Epic { view, done, parts }: &Epic<'_, '_>| {
        let (title, status) = (view.title().replace(['\n', '\r', '\t'], " "), view.status().into_owned());
        vec![
            view.id().to_owned(),
            view.priority().to_string(),
            status,
            done.to_string(),
            parts.to_string(),
            title,
        ]
    };
    let object = |epic: &Epic<'_, '_>| {
        json!({
            "id": epic.view.id(), "title": epic.view.title(), "status": epic.view.status(),
            "priority": epic.view.priority(), "done": epic.done, "parts": epic.parts,
            "can_close": epic.can_close(),
        })
    };
    let text = match epics.is_empty() {
        true => "no open epics\n".to_owned(),
        false => table(&header, &epics.iter().map(row).collect::<Vec<_>>()),
    };
    Ok(Told { text, json: json!(epics.iter().map(object).collect::<Vec<_>>()).to_string() })
}

fn close_finished(desk: &Desk) -> Result<Told, TrackerError> {
    let closed = desk.change("close", None, |issues| {
        let mut closed = Vec::new();
        let finished: Vec<String> = {
            let views = issues.views()?;
            let epics = open_epics(&views);
            epics.iter().filter(|epic| epic.can_close()).map(|epic| epic.view.id().to_owned()).collect()
        };
        for id in finished {
            let (mut record, _) = actions::advance(issues, &id, Move::Close, desk.now)?;
            record.set("close_reason", "all parts are done");
            closed.push(record.line());
            issues.put(&id, Some(record));
        }
        Ok(closed)
    })?;
    let text = match closed.len() {
        0 => "no epic has all its parts done\n".to_owned(),
        count => format!("Closed {count} epic(s)\n"),
    };
    Ok(Told { text, json: shape::list(closed) })
}

/// Lists what is said twice.
pub fn duplicates(_: &Duplicates, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let open: Vec<&View<'_>> = views.iter().filter(|view| !view.is_done()).collect();
    let groups = similar::groups(&open);
    let mut text = String::new();
    for (at, group) in groups.iter().enumerate() {
        text.push_str(if at > 0 { "\n" } else { "" });
        group.iter().for_each(|view| text.push_str(&format!("{}  {}\n", view.id(), view.title())));
    }
    if groups.is_empty() {
        text.push_str("no two titles are alike\n");
    }
    let ids = |group: &Vec<&View<'_>>| group.iter().map(|view| view.id().to_owned()).collect::<Vec<_>>();
    Ok(Told { text, json: json!(groups.iter().map(ids).collect::<Vec<_>>()).to_string() })
}
