//! `wootz hub`: models and data sets of the Hugging Face hub.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::facts;
use serde_json::json;
use std::path::PathBuf;
use wootz_fetch::Pace;
use wootz_hub::{Hub, Patterns, Wanted};
use wootz_schema::hub::HubKind;
use wootz_stdx::human;

/// Models and data sets of the Hugging Face hub.
#[derive(clap::Subcommand)]
pub enum Command {
    Download(Download),
}

/// Download a model or a data set into the cache that the hub's own client uses.
///
/// What is there is not fetched again, and what came of a file before a kill is kept. Each file is checked: against its SHA-256, or, if
/// it is in git itself, against its name there. Python's `huggingface_hub` uses the cache as it is, also offline.
#[derive(clap::Args)]
pub struct Download {
    /// Name of the repository: OWNER/NAME.
    repo: String,
    /// It is a data set, not a model.
    #[arg(long)]
    dataset: bool,
    /// Branch, tag or commit.
    #[arg(long, value_name = "REV", default_value = "main")]
    revision: String,
    /// Only files that fit: `*` stands for any letters, `/` too. May be given several times.
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// No files that fit. May be given several times.
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// The cache [default: $HF_HUB_CACHE, or the folder `hub` in $HF_HOME].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context) -> Result<Outcome, Failure> {
    let Command::Download(args) = command;
    download(args, context)
}

fn download(args: &Download, context: &Context) -> Result<Outcome, Failure> {
    let cache = args.cache.clone().or_else(environment::hub_cache).ok_or_else(|| {
        Failure::usage("find the cache: this user has no home".to_owned(), "add --cache DIR")
    })?;
    let cache = std::path::absolute(&cache)
        .map_err(|error| Failure::usage(format!("find {}: {error}", cache.display()), "check --cache"))?;
    let patterns = Patterns { include: args.include.clone(), exclude: args.exclude.clone() };
    let wanted = Wanted {
        kind: if args.dataset { HubKind::Dataset } else { HubKind::Model },
        repo: &args.repo,
        revision: &args.revision,
        patterns: &patterns,
        cache: &cache,
    };
    let (place, cancel) = (environment::hub(), context.cancel()?);
    let hub = Hub::new(&place, Pace::default(), context.observe.as_ref(), &cancel);
    let downloaded = hub.snapshot(&wanted)?;
    let snapshot = &downloaded.snapshot;
    let bytes = snapshot.files.iter().map(|file| file.bytes).sum();
    let text = facts(&[
        ("folder", snapshot.folder.clone()),
        ("commit", snapshot.sha.clone()),
        ("files", format!("{}, {}", snapshot.files.len(), human::bytes(bytes))),
        ("fetched", human::bytes(downloaded.fetched_bytes)),
    ]);
    Ok(Outcome::ok(text, json!({"snapshot": snapshot, "fetched_bytes": downloaded.fetched_bytes})))
}
