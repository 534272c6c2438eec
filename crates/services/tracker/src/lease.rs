//! Claims with an end: who claims may say for how long, and when that is over whoever comes may steal the issue.
//!
//! An agent that died cannot release what it had. A lease is a promise to come back: it is renewed while work goes on, and nobody has to
//! guess whether the owner is gone. A claim without a lease has no end and is stolen only by force.
//!
//! | key of the record | |
//! |---|---|
//! | `claimed_at` | when the owner took it; of two clones that both claimed, the earlier wins a merge |
//! | `lease_until` | until when it is the owner's; absent where the claim has no end |
//!
//! Not covered: clocks that disagree. A lease is compared with the clock of whoever looks, so it should be much longer than clocks differ.

use crate::actions;
use crate::ownership::{Move, Refused, Status, Why};
use crate::record::Record;
use crate::store::{Issues, TrackerError};
use crate::time::{read, stored};
use crate::view::View;
use jiff::{SignedDuration, Timestamp};

/// When the owner took an issue.
pub const CLAIMED_AT: &str = "claimed_at";
/// Until when it is the owner's.
pub const LEASE_UNTIL: &str = "lease_until";

/// Who claims, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The session.
    pub session: &'a str,
    /// How long it is theirs; without one, until they give it back.
    pub lease: Option<SignedDuration>,
}

/// Claims an issue that is nobody's.
pub fn claim(
    issues: &mut Issues,
    id: &str,
    claim: Claim<'_>,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    let (mut record, _) = actions::advance(issues, id, Move::Claim(claim.session), now)?;
    record.set(CLAIMED_AT, &stored(now));
    lend(issues, id, record, claim.lease, now)
}

/// Makes the owner's lease last from now.
pub fn renew(
    issues: &mut Issues,
    id: &str,
    claim: Claim<'_>,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    let record = issues.get(id)?;
    let owner = record.text("session_id");
    let why = match (actions::status_of(&record)?, owner.as_deref()) {
        (Status::InProgress, Some(owner)) if owner == claim.session => None,
        (Status::InProgress, Some(_)) => Some(Why::ClaimedBy),
        _ => Some(Why::NotClaimed),
    };
    match why {
        None => lend(issues, id, record, claim.lease, now),
        Some(why) => Err(refused(id, &record, why).into()),
    }
}

/// Claims an issue whose lease is over, or with `force` anybody's; whose it was comes back with it.
pub fn steal(
    issues: &mut Issues,
    id: &str,
    by: Claim<'_>,
    force: bool,
    now: Timestamp,
) -> Result<(Record, Option<String>), TrackerError> {
    let record = issues.get(id)?;
    let owner = record.text("session_id");
    let is_held = owner.as_deref().is_some_and(|owner| owner != by.session);
    if is_held && actions::status_of(&record)? == Status::InProgress {
        if !force && !is_over(record.text(LEASE_UNTIL).as_deref(), now) {
            return Err(refused(id, &record, Why::ClaimedBy).into());
        }
        actions::advance(issues, id, Move::Release, now)?;
    }
    Ok((claim(issues, id, by, now)?, owner))
}

/// Refuses what only the owner of an issue may do, unless it is forced.
pub fn check_owner(record: &Record, session: Option<&str>, force: bool) -> Result<(), TrackerError> {
    let owner = record.text("session_id");
    if force || owner.is_none() || owner.as_deref() == session {
        return Ok(());
    }
    Err(refused(&record.text("id").unwrap_or_default(), record, Why::ClaimedBy).into())
}

/// Whether an issue is somebody's whose time is over.
pub fn is_expired(view: &View<'_>, now: Timestamp) -> bool {
    view.status() == Status::InProgress.name()
        && view.session().is_some()
        && is_over(view.text_of(LEASE_UNTIL).as_deref(), now)
}

/// A refusal that says since when and until when the owner has the issue.
pub(crate) fn told(refused: Refused, record: &Record) -> Refused {
    let since = record.text(CLAIMED_AT).or_else(|| record.text("updated_at"));
    Refused { since, until: record.text(LEASE_UNTIL), ..refused }
}

fn refused(id: &str, record: &Record, why: Why) -> Refused {
    let owner = record.text("session_id");
    told(Refused { id: id.to_owned(), owner, why, since: None, until: None }, record)
}

fn is_over(until: Option<&str>, now: Timestamp) -> bool {
    until.and_then(read).is_some_and(|until| until <= now)
}

fn lend(
    issues: &mut Issues,
    id: &str,
    mut record: Record,
    lease: Option<SignedDuration>,
    now: Timestamp,
) -> Result<Record, TrackerError> {
    match lease.map(|lease| now.checked_add(lease)) {
        None => record.remove(LEASE_UNTIL),
        Some(Ok(until)) => record.set(LEASE_UNTIL, &stored(until)),
        Some(Err(_)) => return Err(TrackerError::invalid("a lease cannot last that long")),
    }
    record.set("updated_at", &stored(now));
    issues.put(id, Some(record.clone()));
    Ok(record)
}
