//! The tracker's command line, in two roles: `wootz issue ...`, and what the binary does under the name `ba`.
//!
//! It ends in another way than the other commands, as scripts that know `ba` expect: a list is a JSON array, an error goes to stderr
//! also with `--json`, and the exit code is 1 for what cannot be done, 2 for usage, 3 for a lock and 4 for a store that cannot be read.

pub mod ba;
mod edges;
mod edit;
mod find;
mod graph;
mod group;
mod guide;
mod jira;
mod layout;
mod life;
mod mcp;
mod shape;
mod show;
mod upkeep;
mod when;

use crate::outcome::Reply;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use wootz_schema::Diagnose;
use wootz_tracker::{FOLDER, Issues, Record, Store, TrackerError};

/// Track issues: what there is to do, who does it, what waits for what.
#[derive(clap::Args)]
pub struct Args {
    /// The store; `.ba` is looked for here and in the folders above.
    #[arg(long, global = true, value_name = "DIR", default_value = FOLDER)]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Init(life::Init),
    Create(edit::Create),
    Show(show::Show),
    List(find::List),
    Search(find::Search),
    Ready(find::ReadyArgs),
    Blocked(find::Blocked),
    Claim(life::Claim),
    Renew(life::Renew),
    Steal(life::Steal),
    Release(life::Release),
    Finish(life::Finish),
    Close(life::Close),
    Reopen(life::Reopen),
    Edit(edit::Edit),
    Defer(when::Defer),
    Due(when::Due),
    Label(edit::Label),
    Labels(group::Labels),
    Comment(edit::Comment),
    Delete(edit::Delete),
    Block(edges::Block),
    Unblock(edges::Unblock),
    #[command(subcommand)]
    Dep(edges::Dep),
    Tree(edges::Tree),
    Cycles(edges::Cycles),
    Graph(graph::Graph),
    Epics(group::Epics),
    Stale(when::Stale),
    Duplicates(group::Duplicates),
    Stats(show::Stats),
    Import(edit::Import),
    Export(upkeep::Export),
    History(upkeep::History),
    Undo(upkeep::Undo),
    Doctor(upkeep::Doctor),
    MergeDriver(upkeep::MergeDriver),
    InstallGit(upkeep::InstallGit),
    #[command(subcommand)]
    Jira(jira::Jira),
    Prime(guide::Prime),
    Onboard(guide::Onboard),
    Quickstart(guide::Quickstart),
    Mcp(mcp::Mcp),
}

/// What a command has to say, for people and for programs.
struct Told {
    text: String,
    json: String,
}

impl Told {
    /// What takes long to write is written for one of the two.
    fn either(
        desk: &Desk,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> Result<String, TrackerError>,
    ) -> Result<Told, TrackerError> {
        match desk.json {
            true => Ok(Told { text: String::new(), json: json()? }),
            false => Ok(Told { text: text(), json: String::new() }),
        }
    }
}

/// What every command is given beside its arguments.
struct Desk {
    dir: PathBuf,
    json: bool,
    now: Timestamp,
}

impl Desk {
    fn new(dir: &Path, json: bool) -> Desk {
        Desk { dir: dir.to_owned(), json, now: Timestamp::now() }
    }

    /// The store, which must be there.
    fn store(&self) -> Result<Store, TrackerError> {
        let found = if self.dir == Path::new(FOLDER) {
            std::env::current_dir().ok().and_then(|folder| Store::find(&folder))
        } else {
            None
        };
        let store = found.unwrap_or_else(|| Store::at(self.dir.clone()));
        if store.folder().is_dir() {
            Ok(store)
        } else {
            Err(TrackerError::NoStore { lock: store.folder().join("issues.lock") })
        }
    }

    /// Makes a store; what the prefix is made of is the working folder.
    fn init(&self) -> Result<String, TrackerError> {
        if let Ok(store) = self.store()
            && store.is_complete()
        {
            let folder = std::path::absolute(store.folder()).unwrap_or_else(|_| store.folder().to_owned());
            return Err(TrackerError::Exists { folder });
        }
        let folder = std::env::current_dir().unwrap_or_default();
        let config = Store::create(&self.dir, &folder.to_string_lossy())?;
        Ok(config.prefix)
    }

    /// Reads the issues.
    fn read(&self) -> Result<Issues, TrackerError> {
        self.store()?.read()
    }

    /// Changes the issues, by a command of this name.
    fn change<T>(
        &self,
        command: &str,
        by: Option<&str>,
        change: impl FnOnce(&mut Issues) -> Result<T, TrackerError>,
    ) -> Result<T, TrackerError> {
        self.store()?.change(|issues| {
            issues.describe(command, by);
            change(issues)
        })
    }
}

/// Runs a command of `wootz issue`.
pub fn run(args: &Args, json: bool) -> Reply {
    let desk = Desk::new(&args.dir, json);
    let told = match &args.command {
        Command::MergeDriver(args) => {
            let (stderr, exit) = upkeep::merge_driver(args);
            return Reply { stdout: Vec::new(), stderr, exit };
        }
        Command::Mcp(args) => return mcp::serve(args, &desk.dir),
        Command::Jira(command) => return jira::run(command, &desk),
        Command::Doctor(args) => upkeep::doctor(args, &desk),
        command => told(command, &desk).map(|told| (told, 0)),
    };
    match told {
        Ok((told, exit)) => {
            let stdout = if json { told.json + "\n" } else { told.text };
            Reply { stdout: stdout.into_bytes(), stderr: String::new(), exit }
        }
        Err(error) => failed(error.code(), &error.to_string(), error.hint().as_deref(), error.status(), json),
    }
}

/// What a command does that answers, and ends well or with an error.
fn told(command: &Command, desk: &Desk) -> Result<Told, TrackerError> {
    match command {
        Command::Init(args) => life::init(args, desk),
        Command::Create(args) => edit::create(args, desk),
        Command::Show(args) => show::show(args, desk),
        Command::List(args) => find::list(args, desk),
        Command::Search(args) => find::search(args, desk),
        Command::Ready(args) => find::ready(args, desk),
        Command::Blocked(args) => find::blocked(args, desk),
        Command::Claim(args) => life::claim(args, desk),
        Command::Renew(args) => life::renew(args, desk),
        Command::Steal(args) => life::steal(args, desk),
        Command::Release(args) => life::release(args, desk),
        Command::Finish(args) => life::finish(args, desk),
        Command::Close(args) => life::close(args, desk),
        Command::Reopen(args) => life::reopen(args, desk),
        Command::Edit(args) => edit::edit(args, desk),
        Command::Defer(args) => when::defer(args, desk),
        Command::Due(args) => when::due(args, desk),
        Command::Label(args) => edit::label(args, desk),
        Command::Labels(args) => group::labels(args, desk),
        Command::Comment(args) => edit::comment(args, desk),
        Command::Delete(args) => edit::delete(args, desk),
        Command::Block(args) => edges::block(args, desk),
        Command::Unblock(args) => edges::unblock(args, desk),
        Command::Dep(command) => edges::dep(command, desk),
        Command::Tree(args) => edges::tree(args, desk),
        Command::Cycles(args) => edges::cycles(args, desk),
        Command::Graph(args) => graph::graph(args, desk),
        Command::Epics(args) => group::epics(args, desk),
        Command::Stale(args) => when::stale(args, desk),
        Command::Duplicates(args) => group::duplicates(args, desk),
        Command::Stats(args) => show::stats(args, desk),
        Command::Import(args) => edit::import(args, desk),
        Command::Export(args) => upkeep::export(args, desk),
        Command::History(args) => upkeep::history(args, desk),
        Command::Undo(args) => upkeep::undo(args, desk),
        Command::InstallGit(args) => upkeep::install_git(args, desk),
        Command::Prime(args) => guide::prime(args, desk),
        Command::Onboard(args) => guide::onboard(args, desk),
        Command::Quickstart(args) => guide::quickstart(args, desk),
        Command::Doctor(_) | Command::MergeDriver(_) | Command::Jira(_) | Command::Mcp(_) => {
            unreachable!("run has done these")
        }
    }
}

/// What the parser of the command line refused.
pub fn usage(error: &clap::Error) -> Reply {
    let plain = error.render().to_string();
    let message = plain.split("\n\nUsage:").next().unwrap_or_default().trim_start_matches("error: ").trim();
    failed("usage", message, Some("see `wootz issue --help`"), 2, true)
}

fn failed(code: &str, message: &str, hint: Option<&str>, exit: u8, json: bool) -> Reply {
    let stderr = if json {
        let mut error = Record::default();
        error.push("code", code);
        error.push("message", message);
        error.push("hint", &hint);
        format!("{{\"error\":{}}}\n", error.line())
    } else {
        let hint = hint.map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
        format!("error: {message}\n{hint}")
    };
    Reply { stdout: Vec::new(), stderr, exit }
}
