//! What keeps a store well: its history, what is wrong with it, and how git merges it.

use super::{Desk, Told};
use serde_json::{Value, json};
use std::path::PathBuf;
use wootz_tracker::events::Event;
use wootz_tracker::{TrackerError, doctor, events, export, merge};

/// Tell what was done, to all issues or to one.
#[derive(clap::Args)]
pub struct History {
    /// Its ID, or the beginning of one.
    id: Option<String>,
}

/// Take back what was done last, if nothing has changed since.
#[derive(clap::Args)]
pub struct Undo {}

/// Print all issues for another tracker.
#[derive(clap::Args)]
pub struct Export {
    /// Whose format.
    #[arg(long, default_value = "beads", value_parser = ["beads"])]
    format: String,
}

/// Find what is wrong with the store; exits with 1 where something is that can be repaired.
#[derive(clap::Args)]
pub struct Doctor {
    /// Repair it; lines that cannot be read are kept in a file beside.
    #[arg(long)]
    fix: bool,
}

/// Merge three versions of a file of issues field by field; git calls this. Exits with 1 where values were changed on both sides.
#[derive(clap::Args)]
pub struct MergeDriver {
    base: PathBuf,
    left: PathBuf,
    right: PathBuf,
    /// Written; may be LEFT.
    out: PathBuf,
}

/// Make git merge this store's issues field by field.
#[derive(clap::Args)]
pub struct InstallGit {
    /// Undo it.
    #[arg(long)]
    remove: bool,
}

fn ids(event: &Event) -> Vec<&str> {
    event.changes.iter().map(|change| change.id.as_str()).collect()
}

pub fn history(args: &History, desk: &Desk) -> Result<Told, TrackerError> {
    let store = desk.store()?;
    let id = args.id.as_deref().map(|id| store.read()?.resolve(id)).transpose()?;
    let events = events::events(&store, id.as_deref())?;
    let line = |event: &Event| {
        let by = event.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
        format!("{} {}{by}: {}\n", event.at, event.command, ids(event).join(", "))
    };
    let object = |event: &Event| json!({ "at": event.at, "command": event.command, "by": event.by, "issues": ids(event) });
    let json = Value::Array(events.iter().map(object).collect()).to_string();
    Ok(Told { text: events.iter().map(line).collect(), json })
}

pub fn undo(_: &Undo, desk: &Desk) -> Result<Told, TrackerError> {
    let event = events::undo(&desk.store()?)?;
    let ids = ids(&event);
    let json = json!({ "command": event.command, "at": event.at, "issues": ids }).to_string();
    Ok(Told { text: format!("Took back `{}` of {}: {}\n", event.command, event.at, ids.join(", ")), json })
}

pub fn export(args: &Export, desk: &Desk) -> Result<Told, TrackerError> {
    let Export { format: _ } = args;
    let lines = export::beads(&desk.store()?)?;
    let json = lines.trim_end().to_owned();
    Ok(Told { text: lines, json })
}

/// What was found, and whether that is to be said by the exit code.
pub fn doctor(args: &Doctor, desk: &Desk) -> Result<(Told, u8), TrackerError> {
    let store = desk.store()?;
    let mut repaired: Vec<String> = Vec::new();
    if args.fix {
        let repair = doctor::fix(&store, desk.now)?;
        repaired.extend(repair.repaired.iter().map(ToString::to_string));
        let kept =
            repair.moved_to.map(|path| format!("{}: has the lines that cannot be read", path.display()));
        repaired.extend(kept);
    }
    let left = doctor::examine(&store, desk.now)?;
    let is_ill = left.iter().any(|finding| finding.kind.is_fatal() || finding.kind.is_repairable());
    let object = |finding: &doctor::Finding| {
        json!({
            "kind": finding.kind.name(),
            "file": finding.file,
            "line": finding.line,
            "id": finding.id,
            "message": finding.message,
        })
    };
    let found: Vec<Value> = left.iter().map(object).collect();
    let mut text: String = repaired.iter().map(|line| format!("repaired: {line}\n")).collect();
    text.extend(left.iter().map(|finding| format!("{finding}\n")));
    if left.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    let json = json!({ "repaired": repaired, "findings": found }).to_string();
    Ok((Told { text, json }, u8::from(is_ill)))
}

/// What is to be said on stderr, and the exit code.
pub fn merge_driver(args: &MergeDriver) -> (String, u8) {
    match merge::drive(&args.base, &args.left, &args.right, &args.out) {
        Ok(conflicts) => {
            let line = |conflict: &merge::Conflict| {
                let merge::Conflict { id, field, value } = conflict;
                format!("{id}: {field} was changed on both sides; also kept: {value}\n")
            };
            (conflicts.iter().map(line).collect(), u8::from(!conflicts.is_empty()))
        }
        Err(error) => (format!("error: {error}\n"), merge::exit_status(&error)),
    }
}

pub fn install_git(args: &InstallGit, desk: &Desk) -> Result<Told, TrackerError> {
    let file = desk.store()?.file();
    if args.remove {
        let was = merge::uninstall(&file)?;
        let text = if was { "git merges issues like any text again\n" } else { "nothing was installed\n" };
        return Ok(Told { text: text.to_owned(), json: json!({ "removed": was }).to_string() });
    }
    let program = std::env::current_exe().map_err(|source| TrackerError::Io {
        action: "find",
        path: PathBuf::from("the program"),
        source,
    })?;
    let installed = merge::install(&file, &program)?;
    let json = json!({
        "attributes": installed.attributes,
        "line": installed.line,
        "command": installed.command,
        "new": installed.is_new,
    });
    let text = format!("{}: {}\n", installed.attributes.display(), installed.line);
    Ok(Told { text, json: json.to_string() })
}
