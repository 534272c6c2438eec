//! The state machine: what was seen goes in, what to do comes out.
//!
//! ```text
//! event                      then
//! (finished, gave up)        End, whatever comes
//! seen: running              watching; Wait
//! seen: finished             finished; End
//! seen: idle, or crashed     Ask for the newest whole checkpoint; one crash more where a run was launched
//! seen: pending              Wait
//! seen: preempted            Remove
//! seen: no machine           creating; Create
//! seen: unknown              one failure more; Wait: nothing is started
//! newest (a step, or none)   launching; Launch from there; no crashes any more where it is a later step than that of the last launch
//! asked in vain              one failure more; Wait: a run is not begun again because its checkpoints could not be listed
//! done                       Wait; the next look tells what came of it
//! failed                     one failure more; Wait; the next look tells whether it happened all the same
//! too many failures          gave up; End
//! ```
//!
//! A look that is not `unknown` ends a row of failures, so that a machine that nobody has to lend is asked for until somebody has. Crashes are counted apart: only a run that gets further ends their row, since one that
//! crashes again and again is seen running in between.

use std::fmt;
use wootz_schema::babysit::{Phase, Watch};

/// What a look at the machine told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// The run runs.
    Running,
    /// It has ended well, or got to its last step.
    Finished,
    /// The machine is ready, and no run runs: that was seen, not guessed.
    Idle,
    /// As idle; the last run ended with this exit code.
    Crashed(i32),
    /// The machine comes or goes.
    Pending,
    /// It was taken away, and stands in the way of a new one.
    Preempted,
    /// There is none.
    NoMachine,
    /// The look failed: anything may be.
    Unknown(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A look.
    Seen(Sight),
    /// The newest whole checkpoint.
    Newest(Option<u64>),
    /// The checkpoints could not be listed.
    AskedInVain(String),
    /// What was asked for was done, as far as one knows.
    Done,
    /// It was not, as far as one knows.
    Failed(String),
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Look again after a while.
    Wait,
    /// List the checkpoints.
    Ask,
    /// Remove the machine.
    Remove,
    /// Create it, and make it ready.
    Create,
    /// Start the run from this step.
    Launch {
        /// None: from the beginning.
        from: Option<u64>,
    },
    /// Nothing any more.
    End,
}

/// The next state, and what to do.
pub fn next(watch: &Watch, event: &Event, failures_most: u32) -> (Watch, Action) {
    let mut next = watch.clone();
    if matches!(watch.phase, Phase::Finished | Phase::GaveUp) {
        return (next, Action::End);
    }
    if matches!(event, Event::Seen(sight) if !matches!(sight, Sight::Unknown(_))) {
        next.failures = 0;
    }
    let mut go = |phase, action| {
        next.phase = phase;
        action
    };
    let action = match event {
        Event::Seen(Sight::Running) => go(Phase::Watching, Action::Wait),
        Event::Seen(Sight::Finished) => go(Phase::Finished, Action::End),
        Event::Seen(Sight::Idle | Sight::Crashed(_)) => go(Phase::Look, Action::Ask),
        Event::Seen(Sight::Preempted) => go(Phase::Look, Action::Remove),
        Event::Seen(Sight::NoMachine) => go(Phase::Creating, Action::Create),
        Event::Newest(from) => go(Phase::Launching, Action::Launch { from: *from }),
        Event::Seen(Sight::Pending | Sight::Unknown(_))
        | Event::AskedInVain(_)
        | Event::Done
        | Event::Failed(_) => Action::Wait,
    };
    match event {
        // Counted once for each launch: where it is seen first.
        Event::Seen(Sight::Idle | Sight::Crashed(_))
            if matches!(watch.phase, Phase::Launching | Phase::Watching) =>
        {
            next.crashes += 1;
        }
        Event::Seen(Sight::Unknown(_)) | Event::AskedInVain(_) | Event::Failed(_) => next.failures += 1,
        Event::Newest(from) => {
            next.launches += 1;
            if *from > watch.resumed_from {
                next.crashes = 0;
            }
            next.resumed_from = *from;
        }
        _ => {}
    }
    if next.failures.max(next.crashes) >= failures_most {
        next.phase = Phase::GaveUp;
        return (next, Action::End);
    }
    (next, action)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Seen(sight) => sight.fmt(f),
            Event::Newest(Some(step)) => write!(f, "newest checkpoint {step}"),
            Event::Newest(None) => f.write_str("no checkpoint"),
            Event::AskedInVain(why) => write!(f, "checkpoints not listed: {why}"),
            Event::Done => f.write_str("done"),
            Event::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl fmt::Display for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sight::Running => f.write_str("running"),
            Sight::Finished => f.write_str("finished"),
            Sight::Idle => f.write_str("idle"),
            Sight::Crashed(rc) => write!(f, "crashed rc={rc}"),
            Sight::Pending => f.write_str("pending"),
            Sight::Preempted => f.write_str("preempted"),
            Sight::NoMachine => f.write_str("no machine"),
            Sight::Unknown(why) => write!(f, "unknown: {why}"),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Wait => f.write_str("wait"),
            Action::Ask => f.write_str("ask for checkpoints"),
            Action::Remove => f.write_str("remove"),
            Action::Create => f.write_str("create"),
            Action::Launch { from: Some(step) } => write!(f, "launch from {step}"),
            Action::Launch { from: None } => f.write_str("launch"),
            Action::End => f.write_str("end"),
        }
    }
}
