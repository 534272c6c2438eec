//! How to work with the tracker, in words. Every indented line of these texts is a command that a test runs as it stands.

use super::{Desk, Told};
use serde_json::json;
use wootz_tracker::TrackerError;
use wootz_tracker::ready::{Ready, Rules};

/// Tell an agent how to work with this store, and how things stand in it.
#[derive(clap::Args)]
pub struct Prime {
    /// The agent's session: what it has claimed is listed.
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
}

/// Print what to add to AGENTS.md, so that agents find the tracker.
#[derive(clap::Args)]
pub struct Onboard {}

/// Show the first steps, from an empty folder to a finished issue.
#[derive(clap::Args)]
pub struct Quickstart {}

const PRIME: &str = r#"# Work is tracked with `wootz issue`

Issues live in `.ba/issues.jsonl`, which belongs into version control. An issue belongs to the session that claimed it; two sessions never
get the same one. Every command has `--json`; a failure is then `{"error":{"code","message","hint"}}` on stderr, with exit code 1 for what
cannot be done, 2 for usage, 3 for a lock that was held too long, 4 for a store that cannot be read.

Take the next thing to do, for two hours at most, and look at it:

    id=$(wootz issue ready --claim --session agent-1 --lease 2h --silent)
    wootz issue show "$id"

Write down what comes up, as issues of their own:

    found=$(wootz issue create "The parser drops the last line" --type bug -p 1 --dep "discovered-from:$id" --silent)
    wootz issue comment "$id" "The cause is $found" --author agent-1

What must be done first blocks it; `ready` shows it again when that is closed:

    wootz issue block "$id" "$found"
    wootz issue ready --explain

While work goes on, make the lease last; when it is done, finish; what cannot go on, give back:

    wootz issue renew "$id" --session agent-1 --lease 2h
    wootz issue finish "$id" --session agent-1 --reason "the reader keeps the last line"
    wootz issue close "$found" --reason "fixed with it"

What another session left lying may be taken when its lease is over:

    wootz issue stale
    wootz issue list --status in_progress
"#;

const ONBOARD: &str = r#"## Issues

Work is tracked with `wootz issue`. Before you start, read what this prints:

    wootz issue prime

Claim what you work on, finish what is done, and make an issue of everything that you find and do not do now:

    wootz issue ready
"#;

const QUICKSTART: &str = r#"Make a store in the project's folder, once; commit `.ba` with the code. With the second line git merges issues field by field:

    wootz issue init
    git rev-parse --git-dir >/dev/null 2>&1 && wootz issue install-git || true

Make issues. Types are task, bug, feature, epic, chore, refactor and spike; priorities go from 0, the most urgent, to 4:

    epic=$(wootz issue create "Read tables" --type epic --silent)
    reader=$(wootz issue create "Read one table" --parent "$epic" -p 1 --label reader --silent)
    docs=$(wootz issue create "Document tables" --parent "$epic" --dep "$reader" --silent)

See what can be worked on, and why the rest cannot:

    wootz issue ready
    wootz issue blocked

Work: claim, finish. Nobody else can claim it meanwhile:

    wootz issue claim "$reader" --session "$USER"
    wootz issue finish "$reader" --session "$USER" --reason "done"
    wootz issue ready

Put things off, give them a date, find them again:

    wootz issue defer "$docs" 3d
    wootz issue due "$docs" 2w
    wootz issue search document
    wootz issue list --deferred

Look at the whole:

    wootz issue tree "$docs"
    wootz issue graph --all --format mermaid
    wootz issue epics
    wootz issue stats

See what was done, take the last of it back, check the store:

    wootz issue history
    wootz issue undo
    wootz issue doctor

Bring issues from elsewhere: beads' JSON lines of any version, a folder of tickets, GitHub's issues as JSON; and take them out again:

    wootz issue export > issues.beads.jsonl
    wootz issue import issues.beads.jsonl --keep-ids
"#;

fn text(text: &str) -> Told {
    Told { text: text.to_owned(), json: json!({ "text": text }).to_string() }
}

/// Tells an agent.
pub fn prime(args: &Prime, desk: &Desk) -> Result<Told, TrackerError> {
    let issues = desk.read()?;
    let views = issues.views()?;
    let ready = Ready::new(&views, Rules::Wootz, desk.now).all(None).len();
    let claimed = views.iter().filter(|view| view.session().is_some() && !view.is_done()).count();
    let mut told =
        format!("{PRIME}\nNow: {ready} ready, {claimed} claimed, {} issues in all.\n", views.len());
    for view in views
        .iter()
        .filter(|view| args.session.is_some() && view.session() == args.session.as_deref().map(Into::into))
    {
        told.push_str(&format!("Claimed by this session: {} {}\n", view.id(), view.title()));
    }
    Ok(text(&told))
}

/// Tells where agents are told things.
pub fn onboard(_: &Onboard, _: &Desk) -> Result<Told, TrackerError> {
    Ok(text(ONBOARD))
}

/// Shows the first steps.
pub fn quickstart(_: &Quickstart, _: &Desk) -> Result<Told, TrackerError> {
    Ok(text(QUICKSTART))
}
