//! `wootz attend`: one job of a cluster, from its submission to its end. Nobody types it; the keeper of a run starts it.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Reply};
use crate::render;
use std::path::{Path, PathBuf};
use std::process::ExitCode as Code;
use wootz_slurm::{Job, attend};

/// Submit a process as a job of Slurm, hand on what it says, and end as it ends.
#[derive(clap::Args)]
pub struct Args {
    /// Whose it is: run, step and attempt.
    #[arg(long)]
    mark: String,
    /// Folder of the job's own files.
    #[arg(long)]
    files: PathBuf,
    #[arg(long, default_value_t = 0)]
    nodes: u32,
    #[arg(long, default_value_t = 0)]
    cpus: u32,
    #[arg(long, default_value_t = 0)]
    gpus: u32,
    #[arg(long)]
    memory_mb: Option<u64>,
    /// Further words for `sbatch`.
    #[arg(long = "sbatch", value_name = "ARG", allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// The process.
    #[arg(last = true, required = true)]
    argv: Vec<String>,
}

/// Runs the command; its exit code is the process's.
pub fn run(args: &Args, context: &Context, json: bool) -> Code {
    match followed(args, context) {
        Ok(exit) => render::reply(&Reply { stdout: Vec::new(), stderr: String::new(), exit }),
        Err(failure) => render::failure(&failure, json),
    }
}

fn followed(args: &Args, context: &Context) -> Result<u8, Failure> {
    let cancel = context.cancel()?;
    let folder = std::env::current_dir().map_err(|error| Failure::io("find", Path::new("."), &error))?;
    let job = Job {
        mark: args.mark.clone(),
        files: args.files.clone(),
        folder,
        argv: args.argv.clone(),
        nodes: args.nodes,
        cpus: args.cpus,
        gpus: args.gpus,
        memory_mb: args.memory_mb,
        arguments: args.arguments.clone(),
    };
    let attended = attend(&job, &mut std::io::stdout().lock(), &mut std::io::stderr().lock(), &cancel);
    let attended = attended.map_err(|error| Failure::io("attend to a job by", &args.files, &error))?;
    Ok(u8::try_from(attended.code).unwrap_or(u8::MAX))
}

/// The command of an attendant, to which the job is added.
pub fn command() -> Vec<String> {
    environment::program().map_or_else(Vec::new, |program| vec![program, "attend".to_owned()])
}
