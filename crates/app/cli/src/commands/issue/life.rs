//! From a store that is made to an issue that is done: who works on it, and whether that is theirs to say.

use super::show::shown;
use super::{Desk, Told};
use jiff::SignedDuration;
use serde_json::json;
use wootz_tracker::ownership::Move;
use wootz_tracker::time::duration;
use wootz_tracker::{Issues, Record, TrackerError, actions, lease};

/// Make a store in the working folder.
#[derive(clap::Args)]
pub struct Init {}

/// Take an issue to work on it.
#[derive(clap::Args)]
pub struct Claim {
    /// Its ID, or the beginning of one.
    id: String,
    #[command(flatten)]
    who: Who,
}

/// Make one's lease last from now, as a sign that work goes on.
#[derive(clap::Args)]
pub struct Renew {
    /// Its ID, or the beginning of one.
    id: String,
    #[command(flatten)]
    who: Who,
}

/// Take an issue whose owner's lease is over.
#[derive(clap::Args)]
pub struct Steal {
    /// Its ID, or the beginning of one.
    id: String,
    #[command(flatten)]
    who: Who,
    /// Also where the owner's claim is not over.
    #[arg(long)]
    force: bool,
}

/// Who claims, and for how long.
#[derive(clap::Args)]
pub struct Who {
    /// Who takes it.
    #[arg(long, value_name = "NAME")]
    pub session: String,
    /// Until when it is theirs, as `2h` or `1d`: from then on others may steal it. Without one it is theirs until they give it back.
    #[arg(long, value_name = "DURATION", value_parser = lease)]
    pub lease: Option<SignedDuration>,
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

impl Who {
    /// As the library asks for it.
    pub fn claim(&self) -> lease::Claim<'_> {
        lease::Claim { session: &self.session, lease: self.lease }
    }
}

/// Reads how long a lease is.
pub fn lease(text: &str) -> Result<SignedDuration, String> {
    let lease = duration(text).filter(|lease| *lease > SignedDuration::ZERO);
    lease.ok_or_else(|| "write how long, as 2h, 90m or 1d".to_owned())
}

/// Claims an issue.
pub fn claim(args: &Claim, desk: &Desk) -> Result<Told, TrackerError> {
    let session = &args.who.session;
    let record = desk.change("claim", Some(session), |issues| {
        let id = issues.resolve(&args.id)?;
        lease::claim(issues, &id, args.who.claim(), desk.now)
    })?;
    Ok(shown(&format!("Claimed {} for session {session}{}", id_of(&record), until(&record)), &record))
}

/// Makes a claim last.
pub fn renew(args: &Renew, desk: &Desk) -> Result<Told, TrackerError> {
    let record = desk.change("renew", Some(&args.who.session), |issues| {
        let id = issues.resolve(&args.id)?;
        lease::renew(issues, &id, args.who.claim(), desk.now)
    })?;
    Ok(shown(&format!("Renewed {}{}", id_of(&record), until(&record)), &record))
}

/// Claims what was another's.
pub fn steal(args: &Steal, desk: &Desk) -> Result<Told, TrackerError> {
    let session = &args.who.session;
    let (record, was) = desk.change("steal", Some(session), |issues| {
        let id = issues.resolve(&args.id)?;
        lease::steal(issues, &id, args.who.claim(), args.force, desk.now)
    })?;
    let was = was.map(|was| format!(" (was claimed by {was})")).unwrap_or_default();
    Ok(shown(&format!("Claimed {} for session {session}{was}{}", id_of(&record), until(&record)), &record))
}

/// The end of a claim, as a part of a sentence.
pub fn until(record: &Record) -> String {
    record.text(lease::LEASE_UNTIL).map(|until| format!(", until {until}")).unwrap_or_default()
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
        actions::reopen(issues, &id, desk.now)
    })?;
    Ok(shown(&format!("Reopened {}", id_of(&record)), &record))
}

impl Of {
    /// The issue's ID, where the session that has it asks.
    fn check(&self, issues: &Issues) -> Result<String, TrackerError> {
        let id = issues.resolve(&self.id)?;
        lease::check_owner(&issues.get(&id)?, self.session.as_deref(), self.force)?;
        Ok(id)
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
