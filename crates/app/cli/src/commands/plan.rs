//! `wootz plan`: look at a plan without running it.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::{Align, table};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use wootz_pipeline::{Source, load};
use wootz_schema::plan::Plan;

/// Look at a plan without running it.
#[derive(clap::Subcommand)]
pub enum Command {
    Validate(Validate),
}

/// Check a plan: its keys, parameters, graph and every step's settings.
///
/// Every mistake is named with its line and its fix, all at once; exits with 2 if there is one. Nothing is run and
/// nothing is written.
#[derive(clap::Args)]
pub struct Validate {
    /// The plan, YAML.
    plan: PathBuf,
    #[command(flatten)]
    params: Params,
}

/// Values of a plan's parameters.
#[derive(clap::Args)]
pub struct Params {
    /// Value of a parameter of the plan, in place of its default; may be given more than once.
    #[arg(long = "param", short, value_name = "NAME=VALUE", value_parser = name_and_value)]
    params: Vec<(String, String)>,
}

impl Params {
    /// Values that come from elsewhere.
    pub fn of(params: BTreeMap<String, String>) -> Params {
        Params { params: params.into_iter().collect() }
    }

    /// By name; of two values for one name the later counts.
    pub fn by_name(&self) -> BTreeMap<String, String> {
        self.params.iter().cloned().collect()
    }
}

/// Runs the command.
pub fn run(command: &Command, _: &Context) -> Result<Outcome, Failure> {
    let Command::Validate(args) = command;
    let (plan, _) = read(&args.plan, &args.params)?;
    let header = [("step", Align::Left), ("type", Align::Left), ("after", Align::Left)];
    let rows: Vec<Vec<String>> = plan
        .steps
        .iter()
        .map(|step| vec![step.id.clone(), step.kind.clone(), step.depends_on.join(", ")])
        .collect();
    let text = format!("{}\n{}: valid, {} steps\n", table(&header, &rows), plan.name, plan.steps.len());
    Ok(Outcome::ok(text, json!({ "valid": true, "plan": plan })))
}

/// Reads a plan with its parameters filled in; the second value is its text.
pub fn read(path: &Path, params: &Params) -> Result<(Plan, String), Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io("read the plan", path, &error))?;
    let env = environment::all();
    let file = path.display().to_string();
    let source = Source { text: &text, file: &file, params: &params.by_name(), env: &env };
    let plan = load(source, &wootz_stations::registry(&environment::machine())).map_err(|error| Failure {
        message: error.to_string().replacen("plan validation failed", "validate the plan", 1),
        ..Failure::from(error)
    })?;
    Ok((plan, text))
}

/// Splits `NAME=VALUE`.
pub fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}
