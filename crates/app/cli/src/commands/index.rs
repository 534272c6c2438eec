//! `wootz index`: the package index of wheels, made, served, looked at and asked.

mod build;
mod choose;
mod rules;
mod serve;
mod status;

use super::Context;
use crate::outcome::{Failure, Outcome, Reply};
use crate::render;
use crate::render::table::{Align, table};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode as Code;
use wootz_schema::ExitCode;
use wootz_schema::wheel_index::Marker;
use wootz_wheels::{CatalogueError, Entry, Variants, catalogue, lint, project};

/// Make, serve and ask a package index of wheels.
///
/// The catalogue, a line of JSON for each published file, is the truth; pages are made from it and may be made again at any time.
#[derive(clap::Subcommand)]
pub enum Command {
    Build(build::Build),
    Add(build::Add),
    Yank(build::Yank),
    Unyank(build::Unyank),
    Status(status::Status),
    Serve(serve::Serve),
    Rules(rules::Rules),
    Lint(Lint),
    Which(choose::Which),
}

/// Find what pip and uv would stumble over in the pages of an index; exits with 1 where something is found.
#[derive(clap::Args)]
pub struct Lint {
    /// The folder of the index, or its address.
    #[arg(value_name = "DIR|URL")]
    index: String,
    /// Also fetch every file that it leads to, and compare hashes.
    #[arg(long)]
    fetch: bool,
    /// Take variants (PEP 825, a draft), and look whether what they are is told.
    #[arg(long)]
    variants: bool,
}

/// Runs the command. What `build` says where there are no wheels is what scripts know of its predecessor.
pub fn run(command: &Command, context: &Context, json: bool) -> Code {
    let ended: Said = match command {
        Command::Build(args) => build::build(args),
        Command::Add(args) => build::add(args),
        Command::Yank(args) => build::yank(args),
        Command::Unyank(args) => build::unyank(args),
        Command::Status(args) => status::status(args),
        Command::Rules(args) => rules::of_host(args),
        Command::Serve(args) => serve::serve(args, context).map_err(Ended::Failure),
        Command::Lint(args) => look(args).map_err(Ended::Failure).map(|outcome| (outcome, Vec::new())),
        Command::Which(args) => choose::which(args).map(|outcome| (outcome, Vec::new())),
    };
    match ended {
        Ok((outcome, warnings)) => {
            let stderr: String = warnings.iter().map(|warning| format!("Warning: {warning}\n")).collect();
            render::say(&stderr);
            render::outcome(&outcome, json)
        }
        Err(Ended::Catalogue(error @ CatalogueError::NoFolder(_))) if !json => {
            render::reply(&Reply { stdout: Vec::new(), stderr: format!("Error: {error}\n"), exit: 1 })
        }
        Err(Ended::Catalogue(error)) => render::failure(&Failure::from(error), json),
        Err(Ended::Failure(failure)) => render::failure(&failure, json),
    }
}

/// How a command ended that did not do its work.
enum Ended {
    Catalogue(CatalogueError),
    Failure(Failure),
}

impl From<CatalogueError> for Ended {
    fn from(error: CatalogueError) -> Ended {
        Ended::Catalogue(error)
    }
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failure(failure)
    }
}

/// What a command says, and its warnings.
type Said = Result<(Outcome, Vec<String>), Ended>;

fn look(args: &Lint) -> Result<Outcome, Failure> {
    let variants = if args.variants { Variants::Allowed } else { Variants::Refused };
    let findings = match catalogue::is_address(&args.index) {
        true => lint::address(&args.index, args.fetch, variants),
        false => lint::folder(Path::new(&args.index), args.fetch, variants),
    };
    let findings = findings.map_err(|error| Failure::io("read", Path::new(&args.index), &error))?;
    let rows: Vec<[&str; 2]> =
        findings.iter().map(|finding| [finding.page.as_str(), finding.what.as_str()]).collect();
    let text = match findings.len() {
        0 => "nothing is wrong\n".to_owned(),
        count => {
            format!(
                "{}\n{count} finding(s)\n",
                table(&[("page", Align::Left), ("finding", Align::Left)], &rows)
            )
        }
    };
    let list: Vec<_> =
        findings.iter().map(|finding| json!({ "page": finding.page, "finding": finding.what })).collect();
    let exit = if findings.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Outcome { text: text.into(), json: json!({ "findings": list }), exit })
}

/// The files of a project, from a catalogue or from a folder's pages.
fn files_of(package: &str, catalogue: Option<&PathBuf>, index: &Path) -> Result<Vec<Entry>, CatalogueError> {
    let project = project(package);
    let entries = match catalogue {
        Some(file) => {
            let read = build::read(file)?;
            if let Some(status) =
                read.projects.get(&project).filter(|said| said.status == Marker::Quarantined)
            {
                return Err(CatalogueError::Status { action: "offer", project, status: status.clone() });
            }
            read.files
        }
        None => {
            let file = index.join(&project).join("index.json");
            let text = std::fs::read_to_string(&file).map_err(|source| CatalogueError::Io {
                action: "read",
                file: file.clone(),
                source,
            })?;
            catalogue::of_page(&file, &text)?
        }
    };
    catalogue::unite(entries.into_iter().filter(|entry| entry.name.project == project), None)
}
