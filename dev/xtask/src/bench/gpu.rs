//! `cargo xtask bench gpu`: finds the script that measures, the binary and the peers, and hands over.
//!
//! The script is all there is to it, so that a machine with a GPU and no toolchain can run it: copy `dev/bench/gpu.py`, the
//! binary and the peers' script there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use super::{Refusal, cargo};

#[derive(Args)]
pub struct Arguments {
    /// The binary; without it, it is built in release mode.
    #[arg(long)]
    wootz: Option<PathBuf>,
    /// The peers' script; a relative path begins at the repository.
    #[arg(long, default_value = "../shared/peers/torch_pretrain.py")]
    peer: PathBuf,
    /// A Python with torch.
    #[arg(long, default_value = "python3")]
    python: String,
    /// Folder of the results.
    #[arg(long, default_value = "target/bench-gpu")]
    out: PathBuf,
    /// Further arguments of dev/bench/gpu.py, after `--`; see its --help.
    #[arg(last = true)]
    rest: Vec<String>,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let peer = root.join(&arguments.peer);
    if !peer.is_file() {
        bail!(Refusal::Input(format!("no peer script at {}; give its path with --peer", peer.display())));
    }
    let wootz = match &arguments.wootz {
        Some(path) => path.clone(),
        None => built(&root)?,
    };
    let script = root.join("dev/bench/gpu.py");
    let mut command = Command::new(&arguments.python);
    command.arg(&script).arg("--wootz").arg(&wootz).arg("--peer").arg(&peer).arg("--out").arg(&arguments.out);
    let status = command.args(&arguments.rest).status().map_err(|error| {
        Refusal::Tool(format!("{} does not start: {error}; name a Python 3 with --python", arguments.python))
    })?;
    match status.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(2) => bail!(Refusal::Input("dev/bench/gpu.py does not take these arguments".to_owned())),
        _ => bail!("dev/bench/gpu.py ended with {status}"),
    }
}

fn built(root: &Path) -> Result<PathBuf> {
    let arguments = ["build", "--release", "--quiet", "--package", "wootz-cli"];
    let status = cargo().current_dir(root).args(arguments).status().context("start cargo")?;
    ensure!(status.success(), "wootz-cli does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/wootz"))
}
