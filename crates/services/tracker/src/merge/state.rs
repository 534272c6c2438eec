//! Status, owner and time of closing, which are one thing: an issue that is closed has no owner, and one that is not was not closed.
//!
//! Where only one side moved an issue, that is where it is. Where both did, the one that is further wins:
//!
//! | | why |
//! |---|---|
//! | closed | the work is done or will not be; a claim beside it is told as a conflict |
//! | in progress, with an owner | of two owners, the one who came earlier |
//! | in progress, with none | |
//! | a status of imports (blocked, deferred, …) | somebody had a reason to set it |
//! | open | a release says nothing of what others did |
//! | tombstone | a deletion gives way to what was done meanwhile |
//!
//! The line's keys are taken from the side that wins; the statuses and claims of both stay as conflicts.

use super::conflict::{CONFLICTS, Found, entries};
use super::field::{by_time, decided, of_two};
use super::value::{Fields, Value};
use crate::lease::{CLAIMED_AT, LEASE_UNTIL};
use crate::ownership::Status;
use crate::time;
use crate::view::ORIGINAL_STATUS;
use jiff::Timestamp;
use std::cmp::{Ordering, Reverse};

/// The keys that say where an issue stands: the state itself, and the times of its moves.
pub(super) const KEYS: [&str; 6] =
    ["status", ORIGINAL_STATUS, "session_id", "closed_at", CLAIMED_AT, LEASE_UNTIL];

/// Merges them.
pub(super) fn merge(
    base: Option<&Fields>,
    left: &Fields,
    right: &Fields,
    found: &mut Found,
    merged: &mut Fields,
) {
    let empty = Fields::default();
    let base = base.unwrap_or(&empty);
    let moved = |side: &Fields| KEYS[..3].iter().any(|key| side.get(key) != base.get(key));
    let differ = KEYS[..3].iter().any(|key| left.get(key) != right.get(key));
    let (winner, other) = match (moved(left), moved(right)) {
        (true, true) if differ => {
            tell(base, left, right, found);
            if order(left, right).is_ge() { (left, right) } else { (right, left) }
        }
        (true, _) => (left, right),
        (false, _) => (right, left),
    };
    for key in &KEYS[..3] {
        let value = match differ {
            true => winner.get(key),
            false => decided(base.get(key), left.get(key), right.get(key)).flatten(),
        };
        merged.values.extend(value.map(|value| ((*key).to_owned(), value.clone())));
    }
    let closed_at = |side: &Fields| side.get("closed_at").filter(|value| !value.is_null()).cloned();
    let (own, others) = (closed_at(winner), closed_at(other));
    let closed_at = match decided(base.get("closed_at"), left.get("closed_at"), right.get("closed_at")) {
        // Whoever did not move the issue may still have mended the time.
        Some(value) if !differ || value.is_some() == winner.get("closed_at").is_some() => value.cloned(),
        _ => match (own, others) {
            (Some(own), Some(others)) => Some(of_two(&own, &others, Ordering::Greater, by_time).clone()),
            _ => winner.get("closed_at").cloned(),
        },
    };
    merged.values.extend(closed_at.map(|value| ("closed_at".to_owned(), value)));
    // One session claimed twice: from the earlier time, and until the later.
    for (key, wins) in [(CLAIMED_AT, Ordering::Less), (LEASE_UNTIL, Ordering::Greater)] {
        let [base, one, other] = [base, left, right].map(|side| side.get(key));
        let value = match (decided(base, one, other), one, other) {
            _ if differ => winner.get(key),
            (Some(value), ..) => value,
            (None, Some(one), Some(other)) => Some(of_two(one, other, wins, by_time)),
            (None, one, other) => one.or(other),
        };
        merged.values.extend(value.map(|value| (key.to_owned(), value.clone())));
    }
}

/// Keeps what both sides say.
fn tell(base: &Fields, left: &Fields, right: &Fields, found: &mut Found) {
    let statuses = [left, right].map(status);
    if statuses[0] != statuses[1] {
        for status in &statuses {
            found.add("status", &Value::of(status), None);
        }
    }
    let (one, other) = (left.get("session_id"), right.get("session_id"));
    if one != other {
        for side in [left, right] {
            if let Some(session) =
                side.get("session_id").filter(|session| Some(*session) != base.get("session_id"))
            {
                found.add("session_id", session, claimed_at(side).as_deref());
            }
        }
    }
}

/// The status that an issue has, be it one that the line's own key cannot say.
fn status(side: &Fields) -> String {
    let told = side.text(ORIGINAL_STATUS).or_else(|| side.text("status"));
    told.unwrap_or_else(|| Status::Open.name().to_owned())
}

fn order(one: &Fields, other: &Fields) -> Ordering {
    let rank = |side: &Fields| match status(side).as_str() {
        "closed" => 5,
        "in_progress" if side.text("session_id").is_some() => 4,
        "in_progress" => 3,
        "open" => 1,
        "tombstone" => 0,
        _ => 2,
    };
    let claim = |side: &Fields| {
        let at = claimed_at(side).and_then(|at| time::read(&at)).unwrap_or(Timestamp::MAX);
        (Reverse(at), Reverse(side.text("session_id")))
    };
    let rest = |side: &Fields| KEYS.map(|key| side.get(key).map(|value| value.canon().to_owned()));
    rank(one)
        .cmp(&rank(other))
        .then_with(|| if rank(one) == 4 { claim(one).cmp(&claim(other)) } else { Ordering::Equal })
        .then_with(|| rest(one).cmp(&rest(other)))
}

/// When a side claimed the issue: as an earlier merge found out, else when it was changed last.
fn claimed_at(side: &Fields) -> Option<String> {
    let session = side.get("session_id")?;
    let known = side.get(CONFLICTS).map(entries).unwrap_or_default().into_iter().find_map(|entry| {
        let entry = entry.object()?;
        let is_claim =
            entry.text("field").as_deref() == Some("session_id") && entry.get("value") == Some(session);
        is_claim.then(|| entry.text("at")).flatten()
    });
    known.or_else(|| side.text(CLAIMED_AT)).or_else(|| side.text("updated_at"))
}
