//! Who works on an issue: the only way in which its status changes.
//!
//! | from | claim S | release | finish | close |
//! |---|---|---|---|---|
//! | open, nobody's | in progress, S's | refused | refused | closed |
//! | in progress, S's | refused | open | closed | refused |
//! | in progress, another's | refused | open | closed | refused |
//! | closed | in progress, S's | refused | refused | refused |
//! | in progress, nobody's | S's | refused | refused | closed |
//! | open, somebody's | refused | refused | refused | refused |
//!
//! The fifth and sixth come from imports and from other programs. Whether the one who releases or finishes must be the owner is for
//! the caller to ask: `ba` does not, `wootz issue` does.

use std::fmt;

/// What an issue's line can say of its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    InProgress,
    /// It is done, or will not be.
    Closed,
}

impl Status {
    /// All, in the order of an issue's life.
    pub const ALL: [Status; 3] = [Status::Open, Status::InProgress, Status::Closed];

    /// The status of a name.
    pub fn named(name: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::InProgress => "in_progress",
            Status::Closed => "closed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is done to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move<'a> {
    /// To work on it, as a session.
    Claim(&'a str),
    /// To work on it no more.
    Release,
    /// To have done it.
    Finish,
    /// To have it done without anybody's work.
    Close,
}

/// What an issue is after a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// Its status.
    pub status: Status,
    /// Whose it is.
    pub owner: Option<String>,
    /// Whose it was.
    pub was: Option<String>,
}

/// The state after a move, or why there is none.
pub fn step(id: &str, status: Status, owner: Option<&str>, what: Move<'_>) -> Result<After, Refused> {
    use Status::{Closed, InProgress, Open};
    let refused = |why| {
        Err(Refused { id: id.to_owned(), owner: owner.map(str::to_owned), why, since: None, until: None })
    };
    let after = |status, new: Option<&str>| {
        Ok(After { status, owner: new.map(str::to_owned), was: owner.map(str::to_owned) })
    };
    match (what, status, owner) {
        (Move::Claim(session), Closed, _) | (Move::Claim(session), Open | InProgress, None) => {
            after(InProgress, Some(session))
        }
        (Move::Claim(session), _, Some(owner)) if owner == session => refused(Why::ClaimedByThis),
        (Move::Claim(_), _, Some(_)) => refused(Why::ClaimedBy),
        (Move::Release, _, None) | (Move::Release, Closed, _) => refused(Why::NotClaimed),
        (Move::Release, InProgress, Some(_)) => after(Open, None),
        (Move::Release, Open, Some(_)) => refused(Why::NotInProgress),
        (Move::Finish, _, None) | (Move::Finish, Closed, _) => refused(Why::NothingToFinish),
        (Move::Finish, InProgress, Some(_)) => after(Closed, None),
        (Move::Finish, Open, Some(_)) => refused(Why::OpenNotInProgress),
        (Move::Close, Closed, _) => refused(Why::Closed),
        (Move::Close, _, None) => after(Closed, None),
        (Move::Close, _, Some(_)) => refused(Why::StillClaimed),
    }
}

/// Why an issue stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The issue.
    pub id: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// The reason.
    pub why: Why,
    /// Since when the owner has it, where that is known.
    pub since: Option<String>,
    /// Until when.
    pub until: Option<String>,
}

impl Refused {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let Refused { id, since, until, .. } = self;
        let taken = match self.why {
            Why::ClaimedBy | Why::StillClaimed => "claimed",
            _ => return None,
        };
        let since = since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
        Some(match until {
            Some(until) => format!("{taken}{since}, until {until}: then `wootz issue steal {id}` takes it"),
            None => format!("{taken}{since}, without an end; `wootz issue steal {id} --force` takes it"),
        })
    }
}

/// A reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The session has it.
    ClaimedByThis,
    /// Another session has it.
    ClaimedBy,
    /// Nobody has it.
    NotClaimed,
    /// It has an owner, and is open.
    NotInProgress,
    /// Nobody works on it.
    NothingToFinish,
    /// It has an owner, and is open: nothing to finish.
    OpenNotInProgress,
    /// It is closed.
    Closed,
    /// Somebody works on it.
    StillClaimed,
}

impl Why {
    /// One stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Why::ClaimedByThis | Why::ClaimedBy | Why::StillClaimed => "claimed",
            Why::NotClaimed | Why::NothingToFinish => "not_claimed",
            Why::NotInProgress | Why::OpenNotInProgress => "not_in_progress",
            Why::Closed => "closed",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refused { id, owner, why, .. } = self;
        let owner = owner.as_deref().unwrap_or_default();
        match why {
            Why::ClaimedByThis => write!(f, "Issue {id} is already claimed by this session"),
            Why::ClaimedBy => write!(f, "Issue {id} is already claimed by session {owner}"),
            Why::NotClaimed => write!(f, "Issue {id} is not claimed"),
            Why::NotInProgress => write!(f, "Issue {id} is not in progress"),
            Why::NothingToFinish => write!(f, "Issue {id} is not claimed. Use 'close' for unclaimed issues."),
            Why::OpenNotInProgress => write!(f, "Issue {id} is open, not in progress"),
            Why::Closed => write!(f, "Issue {id} is already closed"),
            Why::StillClaimed => write!(
                f,
                "Issue {id} is claimed by session {owner}. Use 'release' first, or 'finish' to complete."
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_from_every_state() {
        let moves = [Move::Claim("S"), Move::Release, Move::Finish, Move::Close];
        let mut table = String::new();
        for (status, owner) in [
            (Status::Open, None),
            (Status::InProgress, Some("S")),
            (Status::InProgress, Some("T")),
            (Status::Closed, None),
            (Status::Closed, Some("T")),
            (Status::InProgress, None),
            (Status::Open, Some("T")),
        ] {
            table.push_str(&format!("{status}, {}:\n", owner.unwrap_or("nobody")));
            for what in moves {
                let told = match step("x", status, owner, what) {
                    Ok(After { status, owner, .. }) => {
                        format!("{status}, {}", owner.as_deref().unwrap_or("nobody"))
                    }
                    Err(refused) => refused.to_string(),
                };
                table.push_str(&format!("  {what:?}: {told}\n"));
            }
        }
        expect_test::expect![[r#"
            open, nobody:
              Claim("S"): in_progress, S
              Release: Issue x is not claimed
              Finish: Issue x is not claimed. Use 'close' for unclaimed issues.
              Close: closed, nobody
            in_progress, S:
              Claim("S"): Issue x is already claimed by this session
              Release: open, nobody
              Finish: closed, nobody
              Close: Issue x is claimed by session S. Use 'release' first, or 'finish' to complete.
            in_progress, T:
              Claim("S"): Issue x is already claimed by session T
              Release: open, nobody
              Finish: closed, nobody
              Close: Issue x is claimed by session T. Use 'release' first, or 'finish' to complete.
            closed, nobody:
              Claim("S"): in_progress, S
              Release: Issue x is not claimed
              Finish: Issue x is not claimed. Use 'close' for unclaimed issues.
              Close: Issue x is already closed
            closed, T:
              Claim("S"): in_progress, S
              Release: Issue x is not claimed
              Finish: Issue x is not claimed. Use 'close' for unclaimed issues.
              Close: Issue x is already closed
            in_progress, nobody:
              Claim("S"): in_progress, S
              Release: Issue x is not claimed
              Finish: Issue x is not claimed. Use 'close' for unclaimed issues.
              Close: closed, nobody
            open, T:
              Claim("S"): Issue x is already claimed by session T
              Release: Issue x is not in progress
              Finish: Issue x is open, not in progress
              Close: Issue x is claimed by session T. Use 'release' first, or 'finish' to complete.
        "#]]
        .assert_eq(&table);
    }
}
