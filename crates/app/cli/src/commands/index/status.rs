//! What the users of a project should know of it.

use super::Said;
use super::build::{read, write};
use crate::outcome::Outcome;
use serde_json::json;
use std::path::PathBuf;
use wootz_schema::wheel_index::Marker;
use wootz_wheels::project;

/// Say what a project is like (PEP 792); clients show it.
///
/// `archived` projects take no new files, `quarantined` ones offer none either, `deprecated` says that something else has taken the place;
/// `active` takes any of these back.
#[derive(clap::Args)]
pub struct Status {
    /// The project.
    #[arg(value_name = "PROJECT")]
    project: String,
    /// What it is like.
    #[arg(value_name = "STATUS", value_parser = ["active", "archived", "quarantined", "deprecated"])]
    status: String,
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

pub fn status(args: &Status) -> Said {
    let name = project(&args.project);
    let mut catalogue = read(&args.catalogue)?;
    let marker = Marker::ALL.iter().find(|(name, _)| *name == args.status);
    let marker = marker.map_or(Marker::Active, |(_, marker)| *marker);
    if !catalogue.files.iter().any(|entry| entry.name.project == name) {
        return Err(wootz_wheels::CatalogueError::NoMatch(args.project.clone()).into());
    }
    catalogue.set(&name, marker, args.reason.clone());
    write(&args.catalogue, &catalogue)?;
    let json = json!({ "project": name, "status": args.status, "reason": args.reason });
    Ok((Outcome::ok(format!("{name} is {}\n", args.status), json), Vec::new()))
}
