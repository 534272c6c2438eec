//! What an issue says: made, changed, labelled, commented on, deleted.

use super::edges::{self, Kind};
use super::show::shown;
use super::{Desk, Told};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;
use wootz_tracker::actions::{self, Draft};
use wootz_tracker::import::{self, Options, Role};
use wootz_tracker::time::{given, stored};
use wootz_tracker::{Record, TrackerError};

/// Types that are known without being declared.
const TYPES: [&str; 7] = ["task", "epic", "refactor", "spike", "bug", "feature", "chore"];

/// Make an issue.
#[derive(clap::Args)]
pub struct Create {
    /// What it is about, in one line.
    title: String,
    #[command(flatten)]
    description: Description,
    /// Its type: task, epic, refactor, spike, bug, feature or chore.
    #[arg(
        long = "type",
        short = 't',
        visible_alias = "issue-type",
        value_name = "TYPE",
        default_value = "task"
    )]
    kind: String,
    /// From 0, the most urgent, to 4.
    #[arg(long, short, value_name = "0-4", default_value_t = 2)]
    priority: u8,
    /// A label; may be given several times.
    #[arg(long, short, value_name = "LABEL")]
    label: Vec<String>,
    /// What it is a part of.
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// What it depends on, as `blocks:ID` or `discovered-from:ID`; an ID alone blocks. May be given several times.
    #[arg(long = "dep", value_name = "TYPE:ID")]
    deps: Vec<String>,
    #[command(flatten)]
    fields: Fields,
    /// Print the ID and nothing else.
    #[arg(long)]
    silent: bool,
}

#[derive(clap::Args)]
struct Description {
    /// The rest.
    #[arg(long = "description", short = 'd', value_name = "TEXT")]
    text: Option<String>,
    /// The rest, from a file; `-` reads standard input.
    #[arg(long = "description-file", value_name = "FILE", conflicts_with = "text")]
    file: Option<PathBuf>,
}

/// Change what an issue says.
#[derive(clap::Args)]
pub struct Edit {
    /// Its ID, or the beginning of one.
    id: String,
    /// What it is about, in one line.
    #[arg(long)]
    title: Option<String>,
    #[command(flatten)]
    description: Description,
    /// Its type: task, epic, refactor, spike, bug, feature or chore.
    #[arg(long = "type", short = 't', value_name = "TYPE")]
    kind: Option<String>,
    /// From 0, the most urgent, to 4.
    #[arg(long, short, value_name = "0-4")]
    priority: Option<u8>,
    /// A label to add; may be given several times.
    #[arg(long, value_name = "LABEL")]
    add_label: Vec<String>,
    /// A label to remove; may be given several times.
    #[arg(long, value_name = "LABEL")]
    remove_label: Vec<String>,
    /// Drop what a merge kept of the other side: what the issue shows now is right.
    #[arg(long)]
    settle: bool,
    #[command(flatten)]
    fields: Fields,
}

#[derive(clap::Args)]
struct Fields {
    /// Who is to do it; empty for nobody.
    #[arg(long, value_name = "NAME")]
    assignee: Option<String>,
    /// Before when nobody should work on it, as 2026-01-31, with a time, or as 3d from now; empty for no longer.
    #[arg(long, value_name = "TIME")]
    defer: Option<String>,
    /// By when it should be done; empty for no longer.
    #[arg(long, value_name = "TIME")]
    due: Option<String>,
}

/// Add or remove a label.
#[derive(clap::Args)]
pub struct Label {
    /// The issue.
    id: String,
    /// What to do.
    #[arg(value_parser = ["add", "remove"])]
    action: String,
    /// The label.
    label: String,
}

/// Comment on an issue.
#[derive(clap::Args)]
pub struct Comment {
    /// The issue.
    id: String,
    /// The comment.
    text: String,
    /// Who says it.
    #[arg(long, value_name = "NAME", default_value = "anonymous")]
    author: String,
}

/// Delete issues, and every mention of them in the lists of others.
#[derive(clap::Args)]
pub struct Delete {
    /// Their IDs, or the beginnings of them.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Also those that are not closed.
    #[arg(long)]
    force: bool,
}

/// Import issues: beads' or another store's JSON lines, tk's folder of tickets, GitHub's issues as JSON.
#[derive(clap::Args)]
pub struct Import {
    /// The file or folder.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// Keep the IDs that the issues have.
    #[arg(long)]
    keep_ids: bool,
    /// Import nothing where a line is refused.
    #[arg(long)]
    strict: bool,
}

impl Description {
    fn read(&self) -> Result<Option<String>, TrackerError> {
        let Some(path) = &self.file else { return Ok(self.text.clone()) };
        let text = match path.as_os_str() == "-" {
            true => std::io::read_to_string(std::io::stdin()),
            false => std::fs::read_to_string(path),
        };
        let failed = |source| TrackerError::Io { action: "read", path: path.clone(), source };
        text.map(Some).map_err(failed)
    }
}

impl Fields {
    fn is_empty(&self) -> bool {
        self.assignee.is_none() && self.defer.is_none() && self.due.is_none()
    }

    fn apply(&self, record: &mut Record, now: Timestamp) -> Result<(), TrackerError> {
        for (key, value) in
            [("assignee", &self.assignee), ("defer_until", &self.defer), ("due_at", &self.due)]
        {
            match value.as_deref() {
                None => {}
                Some("") => record.remove(key),
                Some(name) if key == "assignee" => record.set(key, name),
                Some(text) => record.set(key, &time(text, now)?),
            }
        }
        Ok(())
    }
}

/// A day, a time, or how long from now, as it is stored.
pub fn time(text: &str, now: Timestamp) -> Result<String, TrackerError> {
    given(text, now).map(stored).ok_or_else(|| TrackerError::Invalid {
        message: format!("{text} is no time"),
        hint: Some("write 2026-01-31, 2026-01-31T12:00:00Z, or how long from now as 3d".to_owned()),
    })
}

fn check_title(title: &str) -> Result<(), TrackerError> {
    if title.trim().is_empty() {
        return Err(TrackerError::invalid("A title needs at least one letter"));
    }
    Ok(())
}

fn check_type(kind: &str) -> Result<(), TrackerError> {
    if TYPES.contains(&kind) {
        return Ok(());
    }
    Err(TrackerError::Invalid {
        message: format!("Unknown issue type: {kind}"),
        hint: Some(format!("types are {}", TYPES.join(", "))),
    })
}

/// `TYPE:ID`, or an ID alone.
fn dep_of(text: &str) -> Result<(Kind, &str), TrackerError> {
    let Some((kind, on)) = text.split_once(':') else { return Ok((Kind::Blocks, text)) };
    let names = || Kind::value_variants().iter().filter_map(Kind::to_possible_value);
    let kind = Kind::from_str(kind, false).map_err(|_| TrackerError::Invalid {
        message: format!("Unknown type of dependency: {kind}"),
        hint: Some(format!(
            "types are {}",
            names().map(|value| value.get_name().to_owned()).collect::<Vec<_>>().join(", ")
        )),
    })?;
    Ok((kind, on))
}

/// Makes an issue.
pub fn create(args: &Create, desk: &Desk) -> Result<Told, TrackerError> {
    let store = desk.store()?;
    check_title(&args.title)?;
    check_type(&args.kind)?;
    let mut deps = args.deps.iter().map(|dep| dep_of(dep)).collect::<Result<Vec<_>, _>>()?;
    deps.extend(args.parent.as_deref().map(|parent| (Kind::ParentChild, parent)));
    let description = args.description.read()?.unwrap_or_default();
    let draft =
        Draft { title: &args.title, description: &description, kind: &args.kind, priority: args.priority };
    let record = if args.label.is_empty() && args.fields.is_empty() && deps.is_empty() {
        store.add(&draft, desk.now, None)?
    } else {
        let config = store.config()?;
        desk.change("create", None, |issues| {
            let mut record = actions::create(issues, &config, &draft, desk.now)?;
            let mut labels = args.label.clone();
            labels.sort();
            labels.dedup();
            record.set("labels", &labels);
            args.fields.apply(&mut record, desk.now)?;
            let id = record.text("id").unwrap_or_default();
            issues.put(&id, Some(record));
            for (kind, on) in deps {
                edges::link(issues, &id, on, kind, desk.now)?;
            }
            issues.get(&id)
        })?
    };
    if args.silent {
        let id = record.text("id").unwrap_or_default();
        return Ok(Told { text: format!("{id}\n"), json: record.line() });
    }
    Ok(shown(&format!("Created {}", record.text("id").unwrap_or_default()), &record))
}

/// Changes one.
pub fn edit(args: &Edit, desk: &Desk) -> Result<Told, TrackerError> {
    let description = args.description.read()?;
    let record = desk.change("edit", None, |issues| {
        let id = issues.resolve(&args.id)?;
        let mut record = issues.get(&id)?;
        let before = record.clone();
        if let Some(title) = &args.title {
            check_title(title)?;
            record.set("title", title);
        }
        if let Some(description) = &description {
            record.set("description", description);
        }
        if let Some(kind) = &args.kind {
            check_type(kind)?;
            record.set("issue_type", kind);
        }
        if let Some(priority) = args.priority {
            actions::check_priority(i64::from(priority))?;
            record.set("priority", &priority);
        }
        if !args.add_label.is_empty() || !args.remove_label.is_empty() {
            let mut labels = record.texts("labels");
            labels.extend(args.add_label.iter().cloned());
            labels.retain(|label| !args.remove_label.contains(label));
            labels.sort();
            labels.dedup();
            record.set("labels", &labels);
        }
        if args.settle {
            record.remove(wootz_tracker::merge::CONFLICTS);
        }
        args.fields.apply(&mut record, desk.now)?;
        if record != before {
            record.set("updated_at", &stored(desk.now));
            issues.put(&id, Some(record.clone()));
        }
        Ok(record)
    })?;
    Ok(shown(&format!("Changed {}", record.text("id").unwrap_or_default()), &record))
}

/// Imports.
pub fn import(args: &Import, desk: &Desk) -> Result<Told, TrackerError> {
    let options = Options { role: Role::Wootz, keep_ids: args.keep_ids, strict: args.strict };
    let report = import::import(&desk.store()?, &args.path, options, desk.now)?;
    Ok(Told { text: report.text(), json: report.counts().line() })
}

/// Adds or removes a label.
pub fn label(args: &Label, desk: &Desk) -> Result<Told, TrackerError> {
    let record = desk.change("label", None, |issues| {
        let id = issues.resolve(&args.id)?;
        match args.action.as_str() {
            "add" => actions::add_label(issues, &id, &args.label, desk.now),
            _ => actions::remove_label(issues, &id, &args.label, desk.now),
        }
    })?;
    let labels = record.texts("labels").join(", ");
    let id = record.text("id").unwrap_or_default();
    Ok(shown(&format!("Labels of {id}: {labels}"), &record))
}

/// Adds a comment.
pub fn comment(args: &Comment, desk: &Desk) -> Result<Told, TrackerError> {
    let (id, comment, count) = desk.change("comment", Some(&args.author), |issues| {
        let id = issues.resolve(&args.id)?;
        let (comment, count) = actions::comment(issues, &id, &args.author, &args.text, desk.now)?;
        Ok((id, comment, count))
    })?;
    Ok(shown(&format!("Added comment {count} to {id}"), &comment))
}

/// Deletes some, all or none.
pub fn delete(args: &Delete, desk: &Desk) -> Result<Told, TrackerError> {
    let ids = desk.change("delete", None, |issues| {
        let ids: Result<HashSet<String>, _> = args.ids.iter().map(|id| issues.resolve(id)).collect();
        let ids = ids?;
        let mut sorted: Vec<String> = ids.iter().cloned().collect();
        sorted.sort();
        for id in sorted.iter().filter(|_| !args.force) {
            let status = issues.get(id)?.text("status").unwrap_or_default();
            if status != "closed" {
                return Err(TrackerError::Invalid {
                    message: format!("Issue {id} is {status}"),
                    hint: Some("close it first, or say `--force`".to_owned()),
                });
            }
        }
        actions::delete(issues, &ids, desk.now)?;
        Ok(sorted)
    })?;
    let text = ids.iter().map(|id| format!("Deleted {id}\n")).collect();
    Ok(Told { text, json: json!({ "deleted": ids }).to_string() })
}
