//! `cargo xtask bench tracker` and `wheels`: builds the binary, and hands over to the script that measures.
//!
//! The claims and how each is measured stand in `dev/bench/tracker.py` and `wheels.py`; docs/tracker.md and docs/wheels.md have the figures.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::{Refusal, built};

#[derive(Args)]
pub struct Arguments {
    /// The binary; without it, it is built in release mode.
    #[arg(long)]
    wootz: Option<PathBuf>,
    /// A Python of 3.10 or later.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// Further arguments of the script in dev/bench, after `--`; see its --help.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(script: &str, arguments: &Arguments) -> Result<bool> {
    let script = Path::new("dev/bench").join(script);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let wootz = match &arguments.wootz {
        Some(path) => path.canonicalize().with_context(|| format!("find {}", path.display()))?,
        None => built(&root, &["--package", "wootz-cli"], "wootz")?,
    };
    let mut command = Command::new(&arguments.python);
    command.current_dir(&root).arg(root.join(&script)).arg("--wootz").arg(wootz);
    let status = command.args(&arguments.rest).status().context("start the script")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(2) => bail!(Refusal::Input(format!("{} does not take these arguments", script.display()))),
        _ => bail!("{} ended with {status}", script.display()),
    }
}
