//! `wootz container`: programs of a project in an image, with its folders, its user and its GPUs.

mod wanted;

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome, Reply};
use crate::render;
use serde_json::json;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode as Code;
use std::time::Duration;
use wanted::{Place, Ready, Wanted};
use wootz_container::{ContainerError, Exit, Outputs, Runtime, Talk};
use wootz_devbox::Mark;
use wootz_stations::report::quote;

/// How long a container that is asked to end has for it; less than a keeper gives its attendant.
const GRACE: Duration = Duration::from_secs(5);
/// What a command ends with that was asked to.
const STOPPED: u8 = 130;

/// Run programs of a project in an image: with its folders, its user and its GPUs.
#[derive(clap::Subcommand)]
pub enum Command {
    Shell(Shell),
    Run(Run),
    Build(Build),
}

/// A shell in the project's container, at this terminal.
///
/// The container is removed at the end; what is under the workspace, the home folder and the shared folders stays. Ends as the shell ends.
#[derive(clap::Args)]
pub struct Shell {
    #[command(flatten)]
    wanted: Wanted,
}

/// A command in the project's container.
///
/// What it says goes to the outputs of this command, which ends as it does. Its standard input is empty. SIGINT and SIGTERM ask it to end.
#[derive(clap::Args)]
pub struct Run {
    #[command(flatten)]
    wanted: Wanted,
    /// The attempt at a step for which this runs: a container of the same attempt is waited for, others of the step are removed.
    #[arg(long, hide = true)]
    mark: Option<String>,
    /// The command and its arguments; without one the entry point decides.
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    argv: Vec<String>,
}

/// Build the project's image, if it is not there or its Dockerfile or arguments have changed.
#[derive(clap::Args)]
pub struct Build {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    recipe: wanted::Recipe,
    /// Build it in any case.
    #[arg(long)]
    force: bool,
    /// Print the command in place of running it.
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub fn run(command: &Command, context: &Context, json: bool) -> Code {
    let ended = match command {
        Command::Shell(args) => {
            let stdin = std::io::stdin().is_terminal();
            let talk = if stdin { Talk::Terminal } else { Talk::Pipe };
            started(&args.wanted, &[], talk, None, context)
        }
        Command::Run(args) => started(&args.wanted, &args.argv, Talk::None, args.mark.as_ref(), context),
        Command::Build(args) => build(args, context).map(Ended::Told),
    };
    match ended {
        Ok(Ended::Told(outcome)) => render::outcome(&outcome, json),
        Ok(Ended::With(exit)) => render::reply(&Reply { stdout: Vec::new(), stderr: String::new(), exit }),
        Err(failure) => render::failure(&failure, json),
    }
}

enum Ended {
    /// As the container did.
    With(u8),
    /// With something to say.
    Told(Outcome),
}

fn started(
    wanted: &Wanted,
    argv: &[String],
    talk: Talk,
    mark: Option<&String>,
    context: &Context,
) -> Result<Ended, Failure> {
    let mut ready = Ready::new(wanted, argv, talk, context)?;
    let mark = mark.map(|mark| Mark(mark.clone()));
    if let Some(mark) = &mark {
        ready.spec.name = mark.name();
        ready.spec.labels.extend(mark.labels());
    }
    if wanted.dry_run {
        let create = ready.spec.create(ready.runtime.kind);
        return Ok(Ended::Told(dry(&ready.runtime, vec![create])));
    }
    ready.prepare(context)?;
    let Ready { runtime, spec, .. } = ready;
    if talk != Talk::None {
        return Ok(Ended::With(code(&runtime.interact(&spec)?, spec.memory.is_some())));
    }
    let cancel = context.cancel()?;
    if let Some(mark) = mark {
        runtime.supersede(&format!("wootz.step={}", mark.step()), &spec.name)?;
    }
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let outputs = own(std::io::stdout().as_fd())
        .and_then(|stdout| Ok(Outputs { stdout, stderr: own(std::io::stderr().as_fd())? }));
    let outputs = outputs.map_err(|error| Failure::io("write to", Path::new("standard output"), &error))?;
    match runtime.run(&spec, outputs, &cancel, GRACE) {
        Ok(exit) => Ok(Ended::With(code(&exit, spec.memory.is_some()))),
        Err(ContainerError::Cancelled) => Ok(Ended::With(STOPPED)),
        Err(error) => Err(error.into()),
    }
}

/// The exit code; `is_limited`: its memory was.
fn code(exit: &Exit, is_limited: bool) -> u8 {
    // Runtimes that do not say so still end it so.
    if exit.out_of_memory || (exit.code == 137 && is_limited) {
        render::say("the container was killed: it needs more than --memory\n");
    }
    u8::try_from(exit.code).unwrap_or(u8::MAX)
}

fn build(args: &Build, context: &Context) -> Result<Outcome, Failure> {
    let project = args.place.project()?;
    let runtime = args.place.runtime(args.dry_run)?;
    let image = args.place.image(&project);
    let recipe = args.recipe.read(&project);
    let words = recipe.words(&image)?;
    if args.dry_run {
        return Ok(dry(&runtime, vec![words]));
    }
    let state = recipe.state(&runtime, &image)?;
    let is_current = state == wootz_devbox::ImageState::Current && !args.force;
    if !is_current {
        wanted::build(&runtime, &image, &words, context)?;
    }
    let told = if is_current { "is what its Dockerfile says" } else { "was built" };
    Ok(Outcome::ok(format!("{image} {told}\n"), json!({ "image": image, "built": !is_current })))
}

/// What would be run.
fn dry(runtime: &Runtime, commands: Vec<Vec<String>>) -> Outcome {
    let program = runtime.program.display().to_string();
    let commands: Vec<Vec<String>> =
        commands.into_iter().map(|words| [vec![program.clone()], words].concat()).collect();
    let line =
        |words: &Vec<String>| words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ") + "\n";
    let text: String = commands.iter().map(line).collect();
    Outcome::ok(text, json!({ "commands": commands }))
}

/// The command that runs a container, to which flags and the process are added.
pub fn attendant() -> Vec<String> {
    environment::program()
        .map_or_else(Vec::new, |program| [&program, "container", "run"].map(str::to_owned).to_vec())
}
