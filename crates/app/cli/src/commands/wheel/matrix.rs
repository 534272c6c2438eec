//! Which wheels are to be built, and which of them there are.

use crate::outcome::{Failure, Outcome};
use crate::render;
use serde_json::json;
use std::path::{Path, PathBuf};
use wootz_schema::ExitCode;
use wootz_wheels::matrix::{Asked, Cell, Matrix};
use wootz_wheels::{Variants, catalogue, config};

/// Print the builds of a configuration as a matrix for GitHub's workflows, on one line.
///
/// What cannot be built is left out, each with its reason on stderr: what the configuration excludes, and CUDA, Python or torch for which
/// there is no torch. An unknown package gives an empty matrix.
#[derive(clap::Args)]
pub struct MatrixArgs {
    #[command(flatten)]
    which: Which,
    /// Also say on stderr what is built.
    #[arg(long)]
    explain: bool,
}

/// Say which of a configuration's builds are in a catalogue, and which are missing; exits with 1 where one is.
#[derive(clap::Args)]
pub struct Coverage {
    #[command(flatten)]
    which: Which,
    /// The catalogue.
    #[arg(long, value_name = "FILE")]
    catalogue: PathBuf,
}

/// Which cells.
#[derive(clap::Args)]
pub(super) struct Which {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "config/packages.yml")]
    config: PathBuf,
    /// Only this package, by its exact name.
    #[arg(long, value_name = "NAME")]
    package: Option<String>,
    /// Versions of Python, separated by commas; default 3.12,3.13.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    python_versions: String,
    /// Versions of CUDA, separated by commas; default 12.9.1,13.0.2.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    cuda_versions: String,
    /// Versions of torch, separated by commas; without them torch is no part of a build.
    #[arg(long, value_name = "LIST", default_value = "", hide_default_value = true)]
    torch_versions: String,
}

impl Which {
    pub(super) fn matrix(&self) -> Result<Matrix, Failure> {
        let text = std::fs::read_to_string(&self.config)
            .map_err(|error| Failure::io("read", &self.config, &error))?;
        let (packages, warnings) = config::read(&shown(&self.config), &text)?;
        for warning in warnings {
            render::say(&format!("warning: {}:{warning}\n", self.config.display()));
        }
        let list = |text: &str| {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        // A form that is sent empty asks for all.
        let package = self.package.clone().filter(|package| !package.is_empty());
        let asked = Asked {
            package,
            python: list(&self.python_versions),
            cuda: list(&self.cuda_versions),
            torch: list(&self.torch_versions),
        };
        Ok(wootz_wheels::matrix::matrix(&packages, &asked))
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Prints the matrix; the reasons go to stderr.
pub fn matrix(args: &MatrixArgs) -> Result<Outcome, Failure> {
    let matrix = args.which.matrix()?;
    for (cell, reason) in &matrix.dropped {
        render::say(&format!("dropped: {}: {reason}\n", cell.told()));
    }
    if args.explain {
        matrix.cells.iter().for_each(|cell| render::say(&format!("built: {}\n", cell.told())));
    }
    let json = json!({ "include": matrix.cells.iter().map(Cell::json).collect::<Vec<_>>() });
    Ok(Outcome::ok(format!("{json}\n"), json))
}

/// Compares the matrix with what there is.
pub fn coverage(args: &Coverage) -> Result<Outcome, Failure> {
    let matrix = args.which.matrix()?;
    let entries = catalogue::read(&args.catalogue, Variants::Allowed)?.files;
    let is_there =
        |cell: &&Cell| entries.iter().any(|entry| entry.line.yanked.is_no() && cell.is_built(entry));
    let (there, missing): (Vec<&Cell>, Vec<&Cell>) = matrix.cells.iter().partition(is_there);
    let all = matrix.cells.len();
    let percent = if all == 0 { 100.0 } else { there.len() as f64 * 100.0 / all as f64 };
    let mut text = format!("{} of {all} builds are there ({percent:.1}%)\n", there.len());
    missing.iter().for_each(|cell| text.push_str(&format!("missing: {}\n", cell.told())));
    let json = json!({
        "expected": all, "present": there.len(), "percent": percent, "missing": missing.iter().map(|cell| cell.json()).collect::<Vec<_>>(),
    });
    let exit = if missing.is_empty() { ExitCode::Ok } else { ExitCode::Failed };
    Ok(Outcome { text: text.into(), json, exit })
}
