//! The task tracker on the command line, in two roles: `wootz issue`, and `ba`, when the binary is invoked under that name.
//!
//! What both promise to scripts is other than what the rest of wootz does: results of `--json` are arrays where they are lists, errors are
//! on stderr and nothing is on stdout, and the exit codes are 0, 1 what was asked cannot be done, 2 usage, 3 the lock was not had in
//! time, 4 the store cannot be read. So this module prints for itself.

pub mod ba;
mod graph;
mod layout;

use crate::render;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wootz_schema::Diagnose;
use wootz_tracker::{FOLDER, Store, TrackerError};

/// The store that is meant: of `--dir` the one there, else the nearest from here upwards.
fn store(dir: &Path) -> Store {
    let above = || std::env::current_dir().ok().and_then(|here| Store::find(&here));
    match dir == Path::new(FOLDER) && !dir.is_dir() {
        true => above().unwrap_or_else(|| Store::at(dir.to_owned())),
        false => Store::at(dir.to_owned()),
    }
}

/// What a command has to say.
struct Said {
    text: String,
    status: u8,
}

impl Said {
    fn line(text: impl Into<String>) -> Said {
        Said { text: text.into() + "\n", status: 0 }
    }
}

/// How errors are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// `Error: …`, also with `--json`.
    Ba,
    /// With `--json` one object.
    Issue { json: bool },
}

fn tell(result: Result<Said, TrackerError>, role: Role) -> ExitCode {
    match result {
        Ok(said) => render::print(said.text.as_bytes(), said.status),
        Err(error) => {
            let status = match role {
                Role::Ba => 1,
                Role::Issue { .. } => error.status(),
            };
            match role {
                Role::Issue { json: true } => {
                    let told =
                        json!({ "code": error.code(), "message": error.to_string(), "hint": error.hint() });
                    render::say(&format!("{}\n", json!({ "error": told })));
                }
                Role::Ba => render::say(&format!("Error: {error}\n")),
                Role::Issue { json: false } => {
                    let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
                    render::say(&format!("error: {error}\n{hint}"));
                }
            }
            ExitCode::from(status)
        }
    }
}

/// The project's path, from which the prefix of its IDs is made.
fn project() -> Result<String, TrackerError> {
    let here: PathBuf = std::env::current_dir().map_err(|source| TrackerError::Io {
        action: "find",
        path: PathBuf::from("."),
        source,
    })?;
    Ok(here.display().to_string())
}
