//! The role `ba`: commands, texts, JSON and exit codes as scripts know them from the program of that name.
//!
//! What is different on purpose stands in `docs/tracker-compat.md`. Errors are one line on stderr, also with `--json`.

use super::{Desk, Told, layout, shape};
use crate::outcome::Reply;
use crate::render;
use clap::Parser;
use serde_json::json;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use wootz_tracker::actions::{self, BA_TYPES, Draft};
use wootz_tracker::import::{self, Options, Role};
use wootz_tracker::ownership::{Move, Status};
use wootz_tracker::ready::{Ready, Rules};
use wootz_tracker::{FOLDER, Index, Record, TrackerError, View, graph};

/// A task tracker for sessions: issues in one file, claimed by one session at a time.
#[derive(Parser)]
#[command(name = "ba", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// The store; `.ba` is looked for here and in the folders above
    #[arg(long, global = true, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Make a store in the working folder
    Init,
    /// Make an issue
    #[command(visible_aliases = ["add", "new"])]
    Create {
        /// What it is about
        title: String,
        /// task, epic, refactor or spike
        #[arg(short = 't', long, value_name = "TYPE", default_value = "task")]
        issue_type: String,
        /// From 0, the most urgent, to 4
        #[arg(short, long, default_value_t = 2)]
        priority: u8,
        /// The rest
        #[arg(short, long, default_value = "")]
        description: String,
    },
    /// List issues, without the closed ones unless asked
    List {
        /// Only those of this status: open, in_progress or closed
        #[arg(long)]
        status: Option<String>,
        /// The closed ones too
        #[arg(long)]
        all: bool,
    },
    /// Show an issue
    Show {
        /// Its ID
        id: String,
    },
    /// Close an issue that nobody has claimed
    Close {
        /// Its ID
        id: String,
        /// Why; kept as `close_reason`
        #[arg(long)]
        reason: Option<String>,
    },
    /// Delete issues by their label
    Delete {
        /// Those with this label
        #[arg(long)]
        label: Option<String>,
        /// Those with a label that begins so
        #[arg(long)]
        label_prefix: Option<String>,
        /// Those too that are not closed
        #[arg(long)]
        force: bool,
    },
    /// Make an issue wait for another
    Block {
        /// The issue
        id: String,
        /// What it waits for
        blocker: String,
    },
    /// Make an issue wait for another no more
    Unblock {
        /// The issue
        id: String,
        /// What it waited for
        blocker: String,
    },
    /// Show what an issue waits for
    Tree {
        /// Its ID
        id: String,
    },
    /// Find issues that wait for themselves
    Cycles,
    /// List the open issues that wait for nothing
    Ready,
    /// Take an issue to work on it
    Claim {
        /// Its ID
        id: String,
        /// Who takes it
        #[arg(long)]
        session: String,
    },
    /// Give a claimed issue back
    Release {
        /// Its ID
        id: String,
    },
    /// Close a claimed issue
    Finish {
        /// Its ID
        id: String,
    },
    /// List the issues that a session has claimed
    Mine {
        /// The session
        #[arg(long)]
        session: String,
    },
    /// Add or remove a label
    Label {
        /// The issue
        id: String,
        /// add or remove
        action: String,
        /// The label
        label: String,
    },
    /// Set the priority of an issue
    Priority {
        /// The issue
        id: String,
        /// From 0, the most urgent, to 4
        priority: u8,
    },
    /// Comment on an issue
    Comment {
        /// The issue
        id: String,
        /// The comment
        text: String,
        /// Who says it
        #[arg(long, default_value = "anonymous")]
        author: String,
    },
    /// Import issues of beads
    Import {
        /// A file of JSON lines
        file: PathBuf,
        /// Keep their IDs
        #[arg(long)]
        keep_ids: bool,
    },
    /// Explain how to work with issues
    Quickstart,
}

/// Runs the binary in this role.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return render::usage(&error, false),
    };
    let reply = match run(&cli.command, &Desk::new(&cli.dir, cli.json)) {
        Ok(told) if cli.json => Reply::ok(told.json + "\n"),
        Ok(told) => Reply::ok(told.text),
        Err(error) => Reply { stdout: Vec::new(), stderr: format!("Error: {error}\n"), exit: 1 },
    };
    render::reply(&reply)
}

fn run(command: &Command, desk: &Desk) -> Result<Told, TrackerError> {
    match command {
        Command::Init => {
            let prefix = desk.init()?;
            Ok(plain(format!("Initialized {} with prefix '{prefix}'", desk.dir.display())))
        }
        Command::Create { title, issue_type, priority, description } => {
            let store = desk.store()?;
            if !BA_TYPES.contains(&issue_type.as_str()) {
                let valid = BA_TYPES.join(", ");
                return Err(TrackerError::invalid(format!(
                    "Unknown issue type: {issue_type} (valid: {valid})"
                )));
            }
            let draft = Draft { title, description, kind: issue_type, priority: *priority };
            let record = store.add(&draft, desk.now, None)?;
            Ok(changed(format!("Created {}", record.text("id").unwrap_or_default()), &record))
        }
        Command::List { status, all } => list(desk, status.as_deref(), *all),
        Command::Show { id } => {
            let record = desk.read()?.get(id)?;
            let json = shape::pretty(&shape::of_ba(&record).line());
            Ok(Told { text: layout::show(&record), json })
        }
        Command::Delete { label, label_prefix, force } => {
            delete(desk, label.as_deref(), label_prefix.as_deref(), *force)
        }
        Command::Tree { id } => tree(desk, id),
        Command::Cycles => cycles(desk),
        Command::Ready => ready(desk),
        Command::Mine { session } => mine(desk, session),
        Command::Block { id, blocker } => {
            desk.change("block", None, |issues| actions::block(issues, id, blocker, false, desk.now))?;
            let text = format!("{id} now blocked by {blocker}\n");
            Ok(Told { text, json: json!({ "blocked": id, "blocker": blocker }).to_string() })
        }
        Command::Unblock { id, blocker } => {
            desk.change("unblock", None, |issues| actions::unblock(issues, id, blocker, desk.now))?;
            let text = format!("{id} no longer blocked by {blocker}\n");
            Ok(Told { text, json: json!({ "unblocked": id, "was_blocker": blocker }).to_string() })
        }
        Command::Import { file, keep_ids } => {
            let options = Options { role: Role::Ba, keep_ids: *keep_ids, strict: false };
            let report = import::import(&desk.store()?, file, options, desk.now)?;
            Ok(Told { text: report.text(), json: report.counts().line() })
        }
        Command::Quickstart => Ok(plain(QUICKSTART.trim_end().to_owned())),
        change => change_one(change, desk),
    }
}

/// Commands that change one issue and print it.
fn change_one(command: &Command, desk: &Desk) -> Result<Told, TrackerError> {
    let now = desk.now;
    match command {
        Command::Claim { id, session } => {
            let (record, _) = advance(desk, "claim", id, Move::Claim(session))?;
            Ok(changed(format!("Claimed {id} for session {session}"), &record))
        }
        Command::Release { id } => {
            let (record, was) = advance(desk, "release", id, Move::Release)?;
            Ok(changed(format!("Released {id} (was claimed by {})", was.unwrap_or_default()), &record))
        }
        Command::Finish { id } => {
            let (record, was) = advance(desk, "finish", id, Move::Finish)?;
            Ok(changed(format!("Finished {id} (was claimed by {})", was.unwrap_or_default()), &record))
        }
        Command::Close { id, reason } => {
            let record = desk.change("close", None, |issues| {
                let (mut record, _) = actions::advance(issues, id, Move::Close, now)?;
                if let Some(reason) = reason {
                    record.set("close_reason", reason);
                    issues.put(id, Some(record.clone()));
                }
                Ok(record)
            })?;
            Ok(changed(format!("Closed {id}"), &record))
        }
        Command::Label { id, action, label } => {
            let (text, record) = desk.change("label", None, |issues| match action.as_str() {
                "add" => Ok((
                    format!("Added label '{label}' to {id}"),
                    actions::add_label(issues, id, label, now)?,
                )),
                "remove" => {
                    let record = actions::remove_label(issues, id, label, now)?;
                    Ok((format!("Removed label '{label}' from {id}"), record))
                }
                _ => {
                    issues.get(id)?;
                    let message = format!("Unknown action: {action} (use 'add' or 'remove')");
                    Err(TrackerError::invalid(message))
                }
            })?;
            Ok(changed(text, &record))
        }
        Command::Priority { id, priority } => {
            let (record, before) = desk.change("priority", None, |issues| {
                actions::prioritize(issues, id, i64::from(*priority), now)
            })?;
            Ok(changed(format!("Priority {before} -> {priority} for {id}"), &record))
        }
        Command::Comment { id, text, author } => {
            let (comment, count) =
                desk.change("comment", None, |issues| actions::comment(issues, id, author, text, now))?;
            let text = format!("Added comment to {id} ({count} comments total)\n");
            Ok(Told { text, json: comment.line() })
        }
        _ => Err(TrackerError::invalid("this command changes no issue")),
    }
}

fn advance(
    desk: &Desk,
    command: &str,
    id: &str,
    what: Move<'_>,
) -> Result<(Record, Option<String>), TrackerError> {
    let by = if let Move::Claim(session) = what { Some(session) } else { None };
    desk.change(command, by, |issues| actions::advance(issues, id, what, desk.now))
}

fn list(desk: &Desk, status: Option<&str>, all: bool) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let wanted = match status {
        None => None,
        Some(name) => {
            let unknown = || TrackerError::invalid(format!("Unknown status: {name}"));
            Some(Status::named(name).ok_or_else(unknown)?.name())
        }
    };
    let views = issues.views()?;
    let is_shown = |view: &&View<'_>| {
        let told = view.line_status();
        let status = shape::ba_status(&told);
        wanted.map_or(all || status != "closed", |wanted| status == wanted)
    };
    let shown = sorted(views.iter().filter(is_shown).collect());
    let text = || if shown.is_empty() { "No issues found.\n".to_owned() } else { layout::list(&shown) };
    Told::either(desk, text, || array(&shown))
}

fn ready(desk: &Desk) -> Result<Told, TrackerError> {
    desk.store()?.ask_work(desk.json, |views| {
        let shown = Ready::new(views, Rules::Ba, desk.now).all(None);
        let text = || match shown.is_empty() {
            true => "No issues ready to work on.\n".to_owned(),
            false => layout::work(&shown, "ready"),
        };
        Told::either(desk, text, || array(&shown))
    })?
}

fn mine(desk: &Desk, session: &str) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let is_mine = |view: &&View<'_>| {
        view.session().as_deref() == Some(session) && shape::ba_status(&view.line_status()) == "in_progress"
    };
    let shown = sorted(views.iter().filter(is_mine).collect());
    let text = || match shown.is_empty() {
        true => format!("No issues claimed by session {session}\n"),
        false => layout::work(&shown, &format!("claimed by session {session}")),
    };
    Told::either(desk, text, || array(&shown))
}

fn tree(desk: &Desk, id: &str) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    issues.get(id)?;
    let views = issues.views()?;
    let index = Index::new(&views);
    let places = graph::tree(id, |id| {
        index.get(id).map(|view| view.blockers().map(|blocker| blocker.into_owned()).collect())
    });
    let told = |id: &str| match index.get(id) {
        Some(view) => (view.title().into_owned(), shape::ba_status(&view.line_status()).to_owned()),
        None => Default::default(),
    };
    let json = || Ok(shape::pretty(&layout::tree_json(&places, "blocked_by", told)));
    Told::either(desk, || layout::tree(&places, told), json)
}

fn cycles(desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let edges = |view: &View<'_>| view.blockers().map(|blocker| blocker.into_owned()).collect();
    let graph: Vec<(String, Vec<String>)> =
        views.iter().map(|view| (view.id().to_owned(), edges(view))).collect();
    let rings = graph::rings(&graph);
    let mut text = match rings.len() {
        0 => "No cycles detected.\n".to_owned(),
        count => format!("Found {count} cycle(s):\n"),
    };
    for (at, ring) in rings.iter().enumerate() {
        text.push_str(&format!("  {}. {}\n", at + 1, ring.join(" -> ")));
    }
    Ok(Told { text, json: json!(rings).to_string() })
}

fn delete(desk: &Desk, label: Option<&str>, prefix: Option<&str>, force: bool) -> Result<Told, TrackerError> {
    let store = desk.store()?;
    let selector = match (label, prefix) {
        (Some(label), None) => format!("label '{label}'"),
        (None, Some(prefix)) => format!("label prefix '{prefix}'"),
        _ => {
            let message = "Provide exactly one selector: --label <label> or --label-prefix <prefix>";
            return Err(TrackerError::invalid(message));
        }
    };
    let is_meant =
        |known: &str| label == Some(known) || prefix.is_some_and(|prefix| known.starts_with(prefix));
    let deleted = store.change(|issues| {
        issues.describe("delete", None);
        let views = issues.views()?;
        let meant: Vec<&View<'_>> =
            views.iter().filter(|view| view.labels().any(|label| is_meant(&label))).collect();
        if meant.is_empty() {
            return Err(TrackerError::invalid(format!("No issues matched {selector}")));
        }
        let alive: Vec<&str> =
            meant.iter().filter(|view| view.line_status() != "closed").map(|view| view.id()).collect();
        if !force && !alive.is_empty() {
            let ids = alive.join(", ");
            let message = format!("Refusing to delete non-closed issues without --force: {ids}");
            return Err(TrackerError::invalid(message));
        }
        let ids: Vec<String> = meant.iter().map(|view| view.id().to_owned()).collect();
        let all: HashSet<String> = ids.iter().cloned().collect();
        actions::delete(issues, &all, desk.now)?;
        Ok(ids)
    })?;
    let count = deleted.len();
    let json = json!({ "count": count, "deleted": deleted, "force": force, "selector": selector });
    Ok(Told { text: format!("Deleted {count} issue(s) matching {selector}\n"), json: json.to_string() })
}

fn sorted<'v, 'a>(mut views: Vec<&'v View<'a>>) -> Vec<&'v View<'a>> {
    views.sort_by_key(|view| (view.priority(), view.age()));
    views
}

fn array(views: &[&View<'_>]) -> Result<String, TrackerError> {
    let line = |view: &&View<'_>| {
        let record = Record::read(view.line());
        record.map(|record| shape::of_ba(&record).line())
    };
    let lines: Result<Vec<String>, _> = views.iter().map(line).collect();
    lines.map(shape::list).map_err(|error| TrackerError::invalid(error.to_string()))
}

fn changed(text: String, record: &Record) -> Told {
    Told { text: text + "\n", json: shape::of_ba(record).line() }
}

/// The same for people and for programs.
fn plain(text: String) -> Told {
    Told { json: text.clone(), text: text + "\n" }
}

const QUICKSTART: &str = include_str!("quickstart.txt");
