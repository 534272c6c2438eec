//! From a store that is made to an issue that is done: who works on it, and whether that is theirs to say.

use super::show::shown;
use super::{Desk, Told};
use serde_json::json;
use wootz_tracker::actions;
use wootz_tracker::ownership::{Move, Refused, Why};
use wootz_tracker::time::stored;
use wootz_tracker::{Issues, Record, TrackerError};

/// Make a store in the working folder.
#[derive(clap::Args)]
pub struct Init {}

/// Take an issue to work on it.
#[derive(clap::Args)]
pub struct Claim {
    /// Its ID, or the beginning of one.
    id: String,
    /// Who takes it.
    #[arg(long, value_name = "NAME")]
    session: String,
}

/// Give a claimed issue back, so that others can take it.
#[derive(clap::Args)]
pub struct Release {
    #[command(flatten)]
    of: Of,
}

/// Close an issue that one has worked on.
#[derive(clap::Args)]
pub struct Finish {
    #[command(flatten)]
    of: Of,
    /// What was done.
    #[arg(long)]
    reason: Option<String>,
}

#[derive(clap::Args)]
struct Of {
    /// Its ID, or the beginning of one.
    id: String,
    /// Who has it; needed unless forced.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Whoever has it.
    #[arg(long)]
    force: bool,
}

/// Close issues that nobody works on.
#[derive(clap::Args)]
pub struct Close {
    /// Their IDs, or the beginnings of them.
    #[arg(required = true)]
    ids: Vec<String>,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// Who closes; an issue that this session has claimed is finished.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Also those that somebody has claimed.
    #[arg(long)]
    force: bool,
}

/// Open a closed issue again, for nobody.
#[derive(clap::Args)]
pub struct Reopen {
    /// Its ID, or the beginning of one.
    id: String,
}

/// Makes a store.
pub fn init(_: &Init, desk: &Desk) -> Result<Told, TrackerError> {
    let prefix = desk.init()?;
    let dir = desk.dir.display().to_string();
    Ok(Told {
        text: format!("Initialized {dir} with prefix '{prefix}'\n"),
        json: json!({ "dir": dir, "prefix": prefix }).to_string(),
    })
}

/// Claims an issue.
pub fn claim(args: &Claim, desk: &Desk) -> Result<Told, TrackerError> {
    let session = &args.session;
    let record = desk.change("claim", Some(session), |issues| {
        let id = issues.resolve(&args.id)?;
        Ok(actions::advance(issues, &id, Move::Claim(session), desk.now)?.0)
    })?;
    Ok(shown(&format!("Claimed {} for session {session}", id_of(&record)), &record))
}

/// Gives one back.
pub fn release(args: &Release, desk: &Desk) -> Result<Told, TrackerError> {
    let (record, was) = desk.change("release", args.of.session.as_deref(), |issues| {
        let id = args.of.check(issues)?;
        actions::advance(issues, &id, Move::Release, desk.now)
    })?;
    let text = format!("Released {} (was claimed by {})", id_of(&record), was.unwrap_or_default());
    Ok(shown(&text, &record))
}

/// Closes a claimed one.
pub fn finish(args: &Finish, desk: &Desk) -> Result<Told, TrackerError> {
    let (record, was) = desk.change("finish", args.of.session.as_deref(), |issues| {
        let id = args.of.check(issues)?;
        let (record, was) = actions::advance(issues, &id, Move::Finish, desk.now)?;
        Ok((with_reason(issues, record, args.reason.as_deref()), was))
    })?;
    let text = format!("Finished {} (was claimed by {})", id_of(&record), was.unwrap_or_default());
    Ok(shown(&text, &record))
}

/// Closes unclaimed ones, all or none.
pub fn close(args: &Close, desk: &Desk) -> Result<Told, TrackerError> {
    let session = args.session.as_deref();
    let closed = desk.change("close", session, |issues| {
        let mut closed = Vec::new();
        for id in &args.ids {
            let id = issues.resolve(id)?;
            let owner = issues.get(&id)?.text("session_id");
            let is_own = owner.is_some() && (args.force || owner.as_deref() == session);
            let what = if is_own { Move::Finish } else { Move::Close };
            let (record, _) = actions::advance(issues, &id, what, desk.now)?;
            closed.push(with_reason(issues, record, args.reason.as_deref()));
        }
        Ok(closed)
    })?;
    let text = closed.iter().map(|record| format!("Closed {}\n", id_of(record))).collect();
    let json = super::shape::list(closed.iter().map(Record::line));
    Ok(Told { text, json })
}

/// Opens a closed one.
pub fn reopen(args: &Reopen, desk: &Desk) -> Result<Told, TrackerError> {
    let record = desk.change("reopen", None, |issues| {
        let id = issues.resolve(&args.id)?;
        let mut record = issues.get(&id)?;
        let status = record.text("status").unwrap_or_default();
        if status != "closed" {
            return Err(TrackerError::invalid(format!("Issue {id} is {status}, not closed")));
        }
        record.set("status", "open");
        for key in ["session_id", "closed_at", "close_reason", wootz_tracker::ORIGINAL_STATUS] {
            record.remove(key);
        }
        record.set("updated_at", &stored(desk.now));
        issues.put(&id, Some(record.clone()));
        Ok(record)
    })?;
    Ok(shown(&format!("Reopened {}", id_of(&record)), &record))
}

impl Of {
    /// The issue's ID, where the session that has it asks.
    fn check(&self, issues: &Issues) -> Result<String, TrackerError> {
        let id = issues.resolve(&self.id)?;
        let Some(owner) = issues.get(&id)?.text("session_id").filter(|_| !self.force) else { return Ok(id) };
        if self.session.as_ref() == Some(&owner) {
            return Ok(id);
        }
        let status = actions::status_of(&issues.get(&id)?)?;
        Err(Refused { id, owner: Some(owner), status, why: Why::ClaimedBy }.into())
    }
}

fn with_reason(issues: &mut Issues, mut record: Record, reason: Option<&str>) -> Record {
    if let Some(reason) = reason {
        record.set("close_reason", reason);
        issues.put(&id_of(&record), Some(record.clone()));
    }
    record
}

fn id_of(record: &Record) -> String {
    record.text("id").unwrap_or_default()
}
