//! Jira: what both sides have changed is brought to the other, or said.
//!
//! Where Jira is and who asks comes from the environment and the store's `config.json`; the token is never printed.

use super::{Desk, failed};
use crate::environment;
use crate::outcome::Reply;
use wootz_schema::Diagnose;
use wootz_tracker::TrackerError;
use wootz_tracker::jira::{self, Options, Policy, Report, Settings, Stats, Status, Which};

/// Synchronise with Jira.
#[derive(clap::Subcommand)]
pub enum Jira {
    Sync(Sync),
    Pull(Pull),
    Push(Push),
    Status(Told),
}

/// Bring both sides together: pull, then push; the later change wins where both sides changed the same.
#[derive(clap::Args)]
pub struct Sync {
    /// Only bring Jira's changes here.
    #[arg(long)]
    pull: bool,
    /// Only bring changes from here to Jira.
    #[arg(long)]
    push: bool,
    #[command(flatten)]
    how: How,
    /// Only these issues, separated by commas: IDs, Jira's keys, or addresses.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    issues: Vec<String>,
    /// Only what is part of this issue, and it.
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
}

/// Bring Jira's changes here; all, or those of some issues.
#[derive(clap::Args)]
pub struct Pull {
    /// IDs, Jira's keys, or addresses.
    issues: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Bring changes from here to Jira; all, or those of some issues.
#[derive(clap::Args)]
pub struct Push {
    /// IDs, Jira's keys, or addresses.
    issues: Vec<String>,
    #[command(flatten)]
    how: How,
}

/// Tell what is known of both sides, without asking Jira.
#[derive(clap::Args)]
pub struct Told {}

#[derive(clap::Args)]
struct How {
    /// Say what would be done, and write nothing anywhere.
    #[arg(long)]
    dry_run: bool,
    /// Where both sides have changed the same, ours stands.
    #[arg(long)]
    prefer_local: bool,
    /// Where both sides have changed the same, Jira's stands.
    #[arg(long, conflicts_with = "prefer_local")]
    prefer_jira: bool,
    /// Make issues, and change none that are on both sides.
    #[arg(long)]
    create_only: bool,
    /// Only issues of this state.
    #[arg(long, default_value = "all", value_parser = ["open", "closed", "all"])]
    state: String,
    /// Jira's project, instead of those of the settings; several times for several. New issues go to the first.
    #[arg(long, value_name = "KEY")]
    project: Vec<String>,
}

impl How {
    fn options(&self, pull: bool, push: bool, issues: &[String], parent: Option<&String>) -> Options {
        Options {
            pull,
            push,
            dry_run: self.dry_run,
            policy: match (self.prefer_local, self.prefer_jira) {
                (true, _) => Policy::PreferLocal,
                (_, true) => Policy::PreferJira,
                _ => Policy::Newest,
            },
            create_only: self.create_only,
            state: match self.state.as_str() {
                "open" => Which::Open,
                "closed" => Which::Closed,
                _ => Which::All,
            },
            projects: self.project.clone(),
            issues: issues.to_vec(),
            parent: parent.cloned(),
        }
    }
}

/// Runs one of them; exits with 1 where an issue could not be brought over, with the others done.
pub fn run(command: &Jira, desk: &Desk) -> Reply {
    match told(command, desk) {
        Ok(reply) => reply,
        Err(error) => {
            failed(error.code(), &error.to_string(), error.hint().as_deref(), error.status(), desk.json)
        }
    }
}

fn told(command: &Jira, desk: &Desk) -> Result<Reply, TrackerError> {
    let options = match command {
        Jira::Sync(args) => {
            let both = args.pull == args.push;
            args.how.options(both || args.pull, both || args.push, &args.issues, args.parent.as_ref())
        }
        Jira::Pull(args) => args.how.options(true, false, &args.issues, None),
        Jira::Push(args) => args.how.options(false, true, &args.issues, None),
        Jira::Status(_) => {
            let status = jira::status(&desk.store()?, &settings(desk)?)?;
            let json = serde_json::to_string(&status);
            return Ok(reply(desk, json, status_text(&status), String::new(), 0));
        }
    };
    let store = desk.store()?;
    let options = Options { issues: named(desk, &options.issues)?, ..options };
    let report = jira::sync(&store, &settings(desk)?, &options, desk.now)?;
    let warnings = match desk.json {
        true => String::new(),
        false => report.warnings.iter().map(|warning| format!("warning: {warning}\n")).collect(),
    };
    let text = report_text(&report, options.dry_run);
    Ok(reply(desk, serde_json::to_string(&report), text, warnings, u8::from(!report.success)))
}

fn settings(desk: &Desk) -> Result<Settings, TrackerError> {
    Settings::read(&desk.store()?.settings()?, &environment::text)
}

/// IDs in full, where they are ours; an exact one goes before a key of Jira's that looks the same.
fn named(desk: &Desk, asked: &[String]) -> Result<Vec<String>, TrackerError> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let (issues, settings) = (desk.read()?, settings(desk)?);
    let name = |asked: &String| match issues.has(asked) {
        false if settings.key_of(asked).is_some() => Ok(asked.clone()),
        _ => issues.resolve(asked),
    };
    asked.iter().map(name).collect()
}

fn reply(desk: &Desk, json: serde_json::Result<String>, text: String, stderr: String, exit: u8) -> Reply {
    let json = json.expect("the keys of a report are text") + "\n";
    Reply { stdout: if desk.json { json } else { text }.into_bytes(), stderr, exit }
}

fn report_text(report: &Report, dry_run: bool) -> String {
    let Stats { pulled, pushed, created, updated, skipped, errors, conflicts } = report.stats;
    let mut parts = vec![
        format!("{pulled} pulled"),
        format!("{pushed} pushed"),
        format!("{created} created"),
        format!("{updated} updated"),
        format!("{skipped} unchanged"),
    ];
    if conflicts > 0 {
        parts.push(format!("{conflicts} changed on both sides"));
    }
    if errors > 0 {
        parts.push(format!("{errors} failed"));
    }
    let before = if dry_run { "It would be: " } else { "" };
    format!("{before}{}\n", parts.join(", "))
}

fn status_text(status: &Status) -> String {
    let Status { url, projects, last_sync, issues, linked, changed, gone } = status;
    let mut text = format!("Jira:       {url} ({})\n", projects.join(", "));
    text += &format!("Last sync:  {}\n", last_sync.as_deref().unwrap_or("never"));
    text += &format!("Issues:     {issues}, of which {linked} are in Jira\n");
    for (name, ids) in [("Changed:    ", changed), ("Gone there: ", gone)] {
        if !ids.is_empty() {
            text += &format!("{name}{}\n", ids.join(", "));
        }
    }
    text
}
