//! Issues and time: put off, due, and left lying.

use super::edit::time;
use super::find::{sorted, told};
use super::show::shown;
use super::{Desk, Told};
use jiff::SignedDuration;
use wootz_tracker::lease::is_expired;
use wootz_tracker::time::{duration, minute, read, stored};
use wootz_tracker::{TrackerError, View};

/// Put an issue off: until then it is not ready.
#[derive(clap::Args)]
pub struct Defer {
    /// Its ID, or the beginning of one.
    id: String,
    /// Until when, as 2026-01-31, with a time, or as 3d from now; without it, no longer.
    until: Option<String>,
}

/// Say by when an issue should be done.
#[derive(clap::Args)]
pub struct Due {
    /// Its ID, or the beginning of one.
    id: String,
    /// By when, as 2026-01-31, with a time, or as 3d from now; without it, at any time.
    by: Option<String>,
}

/// List what nobody has touched for long, and what somebody claimed whose lease is over.
#[derive(clap::Args)]
pub struct Stale {
    /// For how long.
    #[arg(long, value_name = "DURATION", default_value = "14d", value_parser = long)]
    older: SignedDuration,
}

/// Reads for how long nothing happened.
fn long(text: &str) -> Result<SignedDuration, String> {
    duration(text).ok_or_else(|| "write how long, as 14d or 12h".to_owned())
}

pub fn defer(args: &Defer, desk: &Desk) -> Result<Told, TrackerError> {
    set(
        "defer",
        &args.id,
        "defer_until",
        args.until.as_deref(),
        ["is put off until", "is put off no more"],
        desk,
    )
}

pub fn due(args: &Due, desk: &Desk) -> Result<Told, TrackerError> {
    set("due", &args.id, "due_at", args.by.as_deref(), ["is due by", "is due at no time"], desk)
}

fn set(
    command: &str,
    id: &str,
    key: &str,
    text: Option<&str>,
    says: [&str; 2],
    desk: &Desk,
) -> Result<Told, TrackerError> {
    let at = text.filter(|text| !text.is_empty()).map(|text| time(text, desk.now)).transpose()?;
    let record = desk.change(command, None, |issues| {
        let id = issues.resolve(id)?;
        let mut record = issues.get(&id)?;
        match &at {
            Some(at) => record.set(key, at),
            None => record.remove(key),
        }
        record.set("updated_at", &stored(desk.now));
        issues.put(&id, Some(record.clone()));
        Ok(record)
    })?;
    let id = record.text("id").unwrap_or_default();
    let text = match at {
        Some(at) => format!("{id} {} {}", says[0], minute(&at)),
        None => format!("{id} {}", says[1]),
    };
    Ok(shown(&text, &record))
}

/// Lists what lies.
pub fn stale(args: &Stale, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let is_old = |view: &View<'_>| {
        let age = read(&view.updated_at()).map(|at| desk.now.duration_since(at));
        age.is_some_and(|age| age >= args.older)
    };
    let stale = |view: &&View<'_>| !view.is_done() && (is_old(view) || is_expired(view, desk.now));
    told(desk, &sorted(views.iter().filter(stale).collect()), "nothing is stale")
}
