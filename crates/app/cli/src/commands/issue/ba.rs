//! The role `ba`: the commands, texts, layouts and exit codes that its users' scripts know. What differs on purpose
//! stands in docs/tracker-compat.md.

use super::{Role, Said, graph, layout, project, store, tell};
use clap::{Parser, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use wootz_tracker::actions::{self, BA_TYPES, Draft};
use wootz_tracker::ownership::{Move, Status};
use wootz_tracker::ready::{Ready, Rules};
use wootz_tracker::{FOLDER, Index, Issues, Record, Store, TrackerError, View};

/// Tasks in a file of JSON lines, with owners.
#[derive(Parser)]
#[command(name = "ba", version)]
struct Ba {
    /// The folder of the store.
    #[arg(long, global = true, default_value = FOLDER)]
    dir: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a store here.
    Init,
    /// Make an issue.
    #[command(visible_aliases = ["add", "new"])]
    Create {
        title: String,
        /// task, epic, refactor or spike.
        #[arg(long, short = 't', default_value = "task")]
        issue_type: String,
        /// From 0, the most urgent, to 4.
        #[arg(long, short, default_value_t = 2)]
        priority: u8,
        #[arg(long, short, default_value = "")]
        description: String,
    },
    /// List issues that are not closed.
    List {
        /// Only those of this status: open, in_progress, closed.
        #[arg(long)]
        status: Option<String>,
        /// Closed ones too.
        #[arg(long)]
        all: bool,
    },
    /// Show an issue.
    Show { id: String },
    /// Close an issue that nobody works on.
    Close {
        id: String,
        #[arg(long)]
        reason: Option<String>,
    },
    /// Delete issues by label.
    Delete {
        #[arg(long)]
        label: Option<String>,
        #[arg(long)]
        label_prefix: Option<String>,
        /// Those too that are not closed.
        #[arg(long)]
        force: bool,
    },
    /// Make an issue wait for another.
    Block { id: String, blocker: String },
    /// Make it wait no more.
    Unblock { id: String, blocker: String },
    /// Show what an issue waits for.
    Tree { id: String },
    /// Find issues that wait for themselves.
    Cycles,
    /// List what can be worked on.
    Ready,
    /// Take an issue.
    Claim {
        id: String,
        #[arg(long)]
        session: String,
    },
    /// Give an issue back.
    Release { id: String },
    /// Have done an issue.
    Finish { id: String },
    /// List a session's issues.
    Mine {
        #[arg(long)]
        session: String,
    },
    /// Add or remove a label.
    Label { id: String, action: String, label: String },
    /// Set the priority.
    Priority { id: String, priority: u8 },
    /// Add a comment.
    Comment {
        id: String,
        text: String,
        #[arg(long, default_value = "anonymous")]
        author: String,
    },
    /// What to do first.
    Quickstart,
}

/// Runs the binary in this role.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ba = match Ba::try_parse_from(args) {
        Ok(ba) => ba,
        Err(error) => return crate::render::usage(&error, false),
    };
    tell(ba.run(), Role::Ba)
}

impl Ba {
    fn run(&self) -> Result<Said, TrackerError> {
        let store = store(&self.dir);
        let now = Timestamp::now();
        match &self.command {
            Command::Init => self.init(&store),
            Command::Create { title, issue_type, priority, description } => {
                check_type(issue_type)?;
                actions::check_priority(i64::from(*priority))?;
                let draft = Draft { title, description, kind: issue_type, priority: *priority };
                let record = store.add(&draft, now, None)?;
                let id = record.text("id").unwrap_or_default();
                Ok(self.issue(&record, format!("Created {id}")))
            }
            Command::List { status, all } => self.list(&store, status.as_deref(), *all),
            Command::Show { id } => {
                let record = store.read()?.get(id)?;
                let shown = match self.json {
                    true => pretty(&record),
                    false => layout::show(&record),
                };
                Ok(Said { text: shown, status: 0 })
            }
            Command::Close { id, reason } => {
                let record = store.change(|issues| close(issues, id, reason.as_deref(), now))?;
                Ok(self.issue(&record, format!("Closed {id}")))
            }
            Command::Delete { label, label_prefix, force } => {
                self.delete(&store, label.as_deref(), label_prefix.as_deref(), *force, now)
            }
            Command::Block { id, blocker } => {
                store.change(|issues| actions::block(issues, id, blocker, false, now))?;
                let told = json!({ "blocked": id, "blocker": blocker });
                Ok(self.either(told, format!("{id} now blocked by {blocker}")))
            }
            Command::Unblock { id, blocker } => {
                store.change(|issues| actions::unblock(issues, id, blocker, now))?;
                let told = json!({ "unblocked": id, "was_blocker": blocker });
                Ok(self.either(told, format!("{id} no longer blocked by {blocker}")))
            }
            Command::Tree { id } => self.tree(&store, id),
            Command::Cycles => self.cycles(&store),
            Command::Ready => self.ready(&store, now),
            Command::Claim { id, session } => {
                let told = format!("Claimed {id} for session {session}");
                self.advance(&store, id, Move::Claim(session), now, |_| told)
            }
            Command::Release { id } => self.advance(&store, id, Move::Release, now, |was| {
                format!("Released {id} (was claimed by {was})")
            }),
            Command::Finish { id } => self.advance(&store, id, Move::Finish, now, |was| {
                format!("Finished {id} (was claimed by {was})")
            }),
            Command::Mine { session } => self.mine(&store, session),
            Command::Label { id, action, label } => self.label(&store, id, action, label, now),
            Command::Priority { id, priority } => {
                let set = |issues: &mut Issues| actions::prioritize(issues, id, i64::from(*priority), now);
                let (record, before) = store.change(set)?;
                Ok(self.issue(&record, format!("Priority {before} -> {priority} for {id}")))
            }
            Command::Comment { id, text, author } => {
                let add = |issues: &mut Issues| actions::comment(issues, id, author, text, now);
                let (comment, count) = store.change(add)?;
                let told = format!("Added comment to {id} ({count} comments total)");
                Ok(Said::line(if self.json { comment.line() } else { told }))
            }
            Command::Quickstart => Ok(Said { text: QUICKSTART.to_owned(), status: 0 }),
        }
    }

    fn init(&self, store: &Store) -> Result<Said, TrackerError> {
        let config = Store::create(store.folder(), &project()?)?;
        Ok(Said::line(format!("Initialized {} with prefix '{}'", store.folder().display(), config.prefix)))
    }

    fn issue(&self, record: &Record, told: String) -> Said {
        Said::line(if self.json { layout::json(record) } else { told })
    }

    fn either(&self, json: serde_json::Value, told: String) -> Said {
        Said::line(if self.json { json.to_string() } else { told })
    }

    fn advance(
        &self,
        store: &Store,
        id: &str,
        what: Move<'_>,
        now: Timestamp,
        told: impl FnOnce(&str) -> String,
    ) -> Result<Said, TrackerError> {
        let (record, was) = store.change(|issues| {
            let (command, by) = match what {
                Move::Claim(session) => ("claim", Some(session)),
                Move::Release => ("release", None),
                Move::Finish => ("finish", None),
                Move::Close => ("close", None),
            };
            issues.describe(command, by);
            actions::advance(issues, id, what, now)
        })?;
        Ok(self.issue(&record, told(was.as_deref().unwrap_or_default())))
    }

    fn list(&self, store: &Store, status: Option<&str>, all: bool) -> Result<Said, TrackerError> {
        if let Some(status) = status.filter(|status| Status::named(status).is_none()) {
            return Err(TrackerError::invalid(format!("Unknown status: {status}")));
        }
        let issues = store.read()?;
        let views = issues.views()?;
        let wanted = |view: &&View<'_>| match status {
            Some(status) => view.line_status() == status,
            None => all || view.line_status() != "closed",
        };
        let listed = sorted(views.iter().filter(wanted));
        Ok(self.table(&listed, layout::list))
    }

    fn ready(&self, store: &Store, now: Timestamp) -> Result<Said, TrackerError> {
        let issues = store.read()?;
        let views = issues.views()?;
        let ready = Ready::new(&views, Rules::Ba, now).all(None);
        Ok(self.table(&ready, |ready| match ready {
            [] => "No issues ready to work on.\n".to_owned(),
            ready => layout::short_list(ready, "ready"),
        }))
    }

    fn mine(&self, store: &Store, session: &str) -> Result<Said, TrackerError> {
        let issues = store.read()?;
        let views = issues.views()?;
        let mine = sorted(views.iter().filter(|view| view.session().as_deref() == Some(session)));
        Ok(self.table(&mine, |mine| match mine {
            [] => format!("No issues claimed by session {session}\n"),
            mine => layout::short_list(mine, &format!("claimed by session {session}")),
        }))
    }

    fn table(&self, views: &[&View<'_>], layout: impl FnOnce(&[&View<'_>]) -> String) -> Said {
        let text = if self.json { layout::json_list(views) } else { layout(views) };
        Said { text, status: 0 }
    }

    fn tree(&self, store: &Store, id: &str) -> Result<Said, TrackerError> {
        let issues = store.read()?;
        issues.get(id)?;
        let views = issues.views()?;
        let index = Index::new(&views);
        let not_found = || TrackerError::NotFound { id: id.to_owned(), nearest: None };
        let root = index.get(id).ok_or_else(not_found)?;
        let text = match self.json {
            true => graph::tree_json(&index, root),
            false => graph::tree(&index, root),
        };
        Ok(Said { text, status: 0 })
    }

    fn cycles(&self, store: &Store) -> Result<Said, TrackerError> {
        let issues = store.read()?;
        let views = issues.views()?;
        let rings = graph::rings(&Index::new(&views));
        if self.json {
            return Ok(Said::line(json!(rings).to_string()));
        }
        if rings.is_empty() {
            return Ok(Said::line("No cycles detected."));
        }
        let mut text = format!("Found {} cycle(s):\n", rings.len());
        for (at, ring) in rings.iter().enumerate() {
            text.push_str(&format!("  {}. {}\n", at + 1, ring.join(" -> ")));
        }
        Ok(Said { text, status: 0 })
    }

    fn label(
        &self,
        store: &Store,
        id: &str,
        action: &str,
        label: &str,
        now: Timestamp,
    ) -> Result<Said, TrackerError> {
        let (record, told) = store.change(|issues| match action {
            "add" => {
                let record = actions::add_label(issues, id, label, now)?;
                Ok((record, format!("Added label '{label}' to {id}")))
            }
            "remove" => {
                let record = actions::remove_label(issues, id, label, now)?;
                Ok((record, format!("Removed label '{label}' from {id}")))
            }
            other => Err(TrackerError::invalid(format!("Unknown action: {other} (use 'add' or 'remove')"))),
        })?;
        Ok(self.issue(&record, told))
    }

    fn delete(
        &self,
        store: &Store,
        label: Option<&str>,
        prefix: Option<&str>,
        force: bool,
        now: Timestamp,
    ) -> Result<Said, TrackerError> {
        let (selector, fits): (String, Box<dyn Fn(&str) -> bool>) = match (label, prefix) {
            (Some(label), None) => (format!("label '{label}'"), Box::new(move |one| one == label)),
            (None, Some(prefix)) => {
                (format!("label prefix '{prefix}'"), Box::new(move |one| one.starts_with(prefix)))
            }
            _ => {
                let message = "Provide exactly one selector: --label <label> or --label-prefix <prefix>";
                return Err(TrackerError::invalid(message));
            }
        };
        let ids = store.change(|issues| {
            let views = issues.views()?;
            let chosen: Vec<&View<'_>> =
                views.iter().filter(|view| view.labels().any(|label| fits(&label))).collect();
            if chosen.is_empty() {
                return Err(TrackerError::invalid(format!("No issues matched {selector}")));
            }
            let open: Vec<&str> =
                chosen.iter().filter(|view| view.line_status() != "closed").map(|view| view.id()).collect();
            if !force && !open.is_empty() {
                let message =
                    format!("Refusing to delete non-closed issues without --force: {}", open.join(", "));
                return Err(TrackerError::invalid(message));
            }
            let ids: Vec<String> = chosen.iter().map(|view| view.id().to_owned()).collect();
            let all: HashSet<String> = ids.iter().cloned().collect();
            drop(views);
            actions::delete(issues, &all, now)?;
            issues.describe("delete", None);
            Ok(ids)
        })?;
        let told = json!({ "count": ids.len(), "deleted": ids, "force": force, "selector": selector });
        Ok(self.either(told, format!("Deleted {} issue(s) matching {selector}", ids.len())))
    }
}

fn check_type(kind: &str) -> Result<(), TrackerError> {
    match BA_TYPES.contains(&kind) {
        true => Ok(()),
        false => {
            let message = format!("Unknown issue type: {kind} (valid: {})", BA_TYPES.join(", "));
            Err(TrackerError::invalid(message))
        }
    }
}

fn close(
    issues: &mut Issues,
    id: &str,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    issues.describe("close", None);
    let (mut record, _) = actions::advance(issues, id, Move::Close, now)?;
    if let Some(reason) = reason {
        record.set("close_reason", reason);
        issues.put(id, Some(record.clone()));
    }
    Ok(record)
}

/// By priority, then oldest first.
fn sorted<'v, 'a>(views: impl Iterator<Item = &'v View<'a>>) -> Vec<&'v View<'a>> {
    let mut sorted: Vec<&View<'_>> = views.collect();
    sorted.sort_by_key(|view| (view.priority(), view.age()));
    sorted
}

fn pretty(record: &Record) -> String {
    let value: serde_json::Value = serde_json::from_str(&layout::json(record)).unwrap_or_default();
    format!("{value:#}\n")
}

const QUICKSTART: &str = "\
ba keeps tasks in .ba/issues.jsonl, one a line.

  ba init                                   make a store in this folder
  ba create \"Fix the parser\" -t task -p 1   make an issue (types: task, epic, refactor, spike)
  ba ready                                  what can be worked on
  ba claim ID --session NAME                take it
  ba finish ID                              have done it
  ba release ID                             give it back
  ba block ID BLOCKER                       it waits for another
  ba list --all                             everything

Every command takes --json.
";
