//! `cargo xtask bench corpus`: builds what is measured, and hands over to the script that measures.
//!
//! The claims and how each is measured stand in `dev/bench/corpus.py`; docs/corpus.md has the figures.

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
    /// The example plain_parse of wootz-chunk; without it, it is built in release mode.
    #[arg(long)]
    plain_parse: Option<PathBuf>,
    /// A Python with tree_sitter, which `dev/setup.sh corpus` makes; a relative path begins at the repository.
    #[arg(long, default_value = ".venv/bin/python")]
    python: PathBuf,
    /// Further arguments of dev/bench/corpus.py, after `--`; see its --help.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let python = root.join(&arguments.python);
    if !python.is_file() {
        let message = format!("no Python at {}; run `dev/setup.sh corpus` first", python.display());
        bail!(Refusal::Tool(message));
    }
    let given = |path: &PathBuf| path.canonicalize().with_context(|| format!("find {}", path.display()));
    let wootz = match &arguments.wootz {
        Some(path) => given(path)?,
        None => built(&root, &["--package", "wootz-cli"], "wootz")?,
    };
    let plain_parse = match &arguments.plain_parse {
        Some(path) => given(path)?,
        None => {
            built(&root, &["--package", "wootz-chunk", "--example", "plain_parse"], "examples/plain_parse")?
        }
    };
    let mut command = Command::new(&python);
    command.current_dir(&root).arg(root.join("dev/bench/corpus.py"));
    command.arg("--wootz").arg(wootz).arg("--plain-parse").arg(plain_parse);
    let status = command.args(&arguments.rest).status().context("start the script")?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(2) => bail!(Refusal::Input("dev/bench/corpus.py does not take these arguments".to_owned())),
        Some(3) => bail!(Refusal::Tool("this machine lacks what the line above names".to_owned())),
        _ => bail!("dev/bench/corpus.py ended with {status}"),
    }
}
