//! `wootz wheel relabel`: the same wheel under another local label.

use super::inspect::label_text;
use crate::outcome::{Failure, Outcome};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Write a wheel again under another local label.
///
/// Builds for different CUDA and torch versions have one file name, and one takes the other's place in an index; a label such
/// as cu128torch2.9 tells them apart. The version changes in the file's name, METADATA, RECORD and the names of the folders that
/// carry it; everything else is copied. The bytes depend on the wheel and the label only.
///
/// A wheel that says of itself what is not so is refused: `wootz wheel inspect` tells what.
#[derive(clap::Args)]
pub struct Relabel {
    /// The wheel; it is not changed.
    wheel: PathBuf,
    /// The label, as PEP 440 allows it: letters and digits, with dots between.
    #[arg(long)]
    label: String,
    /// Put the label in the place of one that is there.
    #[arg(long)]
    replace: bool,
    /// Folder to write into [default: that of the wheel].
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Relabel) -> Result<Outcome, Failure> {
    let beside = args.wheel.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = args.out_dir.as_deref().or(beside).unwrap_or(Path::new("."));
    let made = wootz_wheels::relabel(&args.wheel, &args.label, args.replace, folder)?;
    Ok(Outcome::ok(format!("{}\nfor {}\n", made.path, label_text(&made.label)), json!(made)))
}
