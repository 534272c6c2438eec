//! `wootz runs cancel` and `wootz runs retry`: a run stopped from outside, and taken up again.

use super::Home;
use crate::commands::{Context, keep, run};
use crate::environment;
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::sync::atomic::AtomicBool;
use wootz_runner::{Cancellation, Options};

/// Ask a run to stop, whichever process works on it.
///
/// What runs is asked to end, nothing new begins. Of a run whose process has died, what is left of its steps is ended. Exits with 0
/// when the request was heard, and for a run that was over already. The run goes on with `wootz runs retry`.
#[derive(clap::Args)]
pub struct Cancel {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    /// Wait until the run is over, not only until the request is heard.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    home: Home,
}

/// Take a run up again: what failed, what was stopped, and what waited for either.
///
/// The same as `wootz run --resume RUN`, and exits alike.
#[derive(clap::Args)]
pub struct Retry {
    /// Id of the run, or `latest`.
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    share: run::Share,
    #[command(flatten)]
    home: Home,
}

/// `wootz runs cancel`.
pub fn cancel(args: &Cancel, context: &Context) -> Result<Outcome, Failure> {
    let runner = args.home.open()?;
    let registry = wootz_stations::registry(&environment::machine());
    let is_wanted = AtomicBool::new(true);
    let options =
        Options { keeper: keep::command(), ..Options::new(environment::command_line(), &is_wanted) };
    let ended = runner.cancel(&args.run, args.wait, &options, &registry, context.observe.as_ref())?;
    let (summary, said) = match &ended {
        Cancellation::Late(run) => (run, format!("was over already: {}", run.status.word())),
        Cancellation::Heard(run) => (run, "is asked to stop".to_owned()),
        Cancellation::Over(run) => (run, format!("is over: {}", run.status.word())),
    };
    let text = format!("run {} {said}\n", summary.run);
    Ok(Outcome::ok(text, json!({ "run": summary.run, "status": summary.status })))
}

/// `wootz runs retry`.
pub fn retry(args: &Retry, context: &Context) -> Result<Outcome, Failure> {
    run::resume(&args.home.open()?, &args.run, None, &args.share, context)
}
