//! A cell of the matrix becomes a wheel: compiled, named, labelled, and imported where only the runtime is.
//!
//! What is run is a script for `sh`, the same on this machine and in a container; [`recipe`] says it without running it. A wheel
//! is put in its place only when it was imported: what stands in the folder of wheels works.

mod launch;
mod recipe;

pub use launch::{Launcher, Stage};
pub use recipe::{Recipe, Settings, recipe, smoke_alone};

use crate::matrix::Cell;
use crate::{Variants, WheelName, inspect, project, relabel};
use launch::Ended;
use pep440_rs::Version;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use wootz_schema::wheel::{VERSION, WheelBuild, WheelBuildStatus};

/// How much of the end of a log is looked at for a line.
const TAIL_BYTES: u64 = 4096;

/// Why a cell has no wheel.
enum Problem {
    Build(String),
    Smoke(String),
}

impl From<String> for Problem {
    fn from(why: String) -> Problem {
        Problem::Build(why)
    }
}

/// Builds a cell. What goes wrong with it is told in the result: other cells are built all the same.
pub fn build(cell: &Cell, settings: &Settings, launcher: &Launcher, cancel: &AtomicBool) -> WheelBuild {
    let start = Instant::now();
    let recipe = recipe(cell, settings, launcher);
    let mut result = WheelBuild {
        version: VERSION,
        package: cell.package.clone(),
        package_version: cell.version.clone(),
        python: cell.python.clone(),
        cuda: cell.cuda.clone(),
        torch: recipe.as_ref().ok().and_then(|recipe| recipe.torch.clone()),
        status: WheelBuildStatus::Failed,
        wheel: None,
        sha256: None,
        seconds: 0.0,
        log: String::new(),
        error: None,
    };
    let outcome = recipe.map_err(Problem::Build).and_then(|recipe| {
        result.log = recipe.log.display().to_string();
        if let Some(wheel) = there(cell, &recipe, &settings.out).filter(|_| !settings.is_forced) {
            return Ok((WheelBuildStatus::Skipped, wheel));
        }
        let made = make(cell, &recipe, settings, launcher, cancel);
        // What is left is in nobody's way; the next attempt starts with a fresh folder.
        let work = settings.out.join(".work");
        let _ = fs::remove_dir_all(work.join(&recipe.build.name)).and_then(|()| fs::remove_dir(work));
        made.map(|wheel| (WheelBuildStatus::Built, wheel))
    });
    match outcome {
        Ok((status, wheel)) => {
            result.status = status;
            result.sha256 = inspect(&wheel, Variants::Allowed).ok().map(|told| told.sha256);
            result.wheel = Some(wheel.display().to_string());
        }
        Err(Problem::Build(why)) => result.error = Some(why),
        Err(Problem::Smoke(why)) => {
            result.status = WheelBuildStatus::SmokeFailed;
            result.error = Some(why);
        }
    }
    result.seconds = start.elapsed().as_secs_f64();
    result
}

/// Imports a wheel where only the runtime is; an error says what went wrong.
pub fn smoke(
    wheel: &Path,
    settings: &Settings,
    stage: &Stage,
    launcher: &Launcher,
    log: &Path,
    cancel: &AtomicBool,
) -> Result<(), String> {
    let work = fresh(&settings.out, &stage.name)?;
    let file = wheel.file_name().unwrap_or_default();
    fs::copy(wheel, work.join(file)).map_err(|error| told("copy", wheel, &error))?;
    let ended = run(stage, &work, log, launcher, cancel);
    // What is left is in nobody's way; the next attempt starts with a fresh folder.
    let _ = fs::remove_dir_all(&work);
    ended
}

/// The wheel of a cell, if it was built before.
fn there(cell: &Cell, recipe: &Recipe, out: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(out).ok()?.flatten();
    let is_it = |path: &PathBuf| {
        let name = WheelName::parse(&path.file_name()?.to_string_lossy(), Variants::Allowed).ok()?;
        let local = name.version.local().iter().map(ToString::to_string).collect::<Vec<_>>().join(".");
        (expected(cell, &name).is_ok() && recipe.label.as_ref().is_none_or(|label| *label == local))
            .then_some(())
    };
    let mut found: Vec<PathBuf> =
        files.map(|file| file.path()).filter(|path| is_it(path).is_some()).collect();
    found.sort();
    // One that is not whole is no wheel of ours.
    found.into_iter().find(|wheel| inspect(wheel, Variants::Allowed).is_ok())
}

fn make(
    cell: &Cell,
    recipe: &Recipe,
    settings: &Settings,
    launcher: &Launcher,
    cancel: &AtomicBool,
) -> Result<PathBuf, Problem> {
    let logs = recipe.log.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(logs).map_err(|error| told("create", logs, &error))?;
    File::create(&recipe.log).map_err(|error| told("create", &recipe.log, &error))?;
    let work = fresh(&settings.out, &recipe.build.name)?;
    run(&recipe.build, &work, &recipe.log, launcher, cancel)?;
    let built = one_wheel(cell, &work.join("wheels"))?;
    let built = match &recipe.label {
        Some(label) if !is_labelled(&built) => {
            let labelled = relabel(&built, label, false, &work).map_err(|error| error.to_string())?;
            PathBuf::from(labelled.path)
        }
        _ => built,
    };
    let name = built.file_name().unwrap_or_default().to_owned();
    if let Some(stage) = &recipe.smoke
        && let Err(why) = smoke(&built, settings, stage, launcher, &recipe.log, cancel)
    {
        // Whoever wants to know why it cannot be imported needs it.
        let kept = logs.join(&name);
        let kept = fs::rename(&built, &kept).map(|()| format!("; the wheel is {}", kept.display()));
        return Err(Problem::Smoke(format!("{why}{}", kept.unwrap_or_default())));
    }
    let target = settings.out.join(&name);
    let synced = File::open(&built).and_then(|file| file.sync_all());
    let kept = synced
        .and_then(|()| fs::rename(&built, &target))
        .and_then(|()| File::open(&settings.out)?.sync_all());
    kept.map_err(|error| told("write", &target, &error))?;
    Ok(target)
}

/// An empty folder for a stage.
fn fresh(out: &Path, name: &str) -> Result<PathBuf, String> {
    let work = out.join(".work").join(name);
    match fs::remove_dir_all(&work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(told("remove", &work, &error)),
        _ => {}
    }
    fs::create_dir_all(&work).map_err(|error| told("create", &work, &error))?;
    // A container has no other name for it.
    work.canonicalize().map_err(|error| told("find", &work, &error))
}

fn run(
    stage: &Stage,
    work: &Path,
    log: &Path,
    launcher: &Launcher,
    cancel: &AtomicBool,
) -> Result<(), String> {
    match launcher.run(stage, work, log, cancel)? {
        Ended { .. } if cancel.load(Ordering::Relaxed) => Err("stopped on request".to_owned()),
        Ended { code: 0, .. } => Ok(()),
        Ended { out_of_memory: true, .. } => Err(format!(
            "the {} ran out of memory; give it more (--memory) or fewer jobs (--jobs)",
            stage.what
        )),
        Ended { code, .. } => Err(format!("the {} ended with {code}: {}", stage.what, last_line(log))),
    }
}

/// The one wheel that a build has left.
fn one_wheel(cell: &Cell, folder: &Path) -> Result<PathBuf, String> {
    let files = fs::read_dir(folder).map_err(|error| told("read", folder, &error))?;
    let mut wheels: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    wheels.retain(|path| path.extension().is_some_and(|ending| ending == "whl"));
    let [wheel] = wheels.as_slice() else {
        return Err(format!("it left {} wheels, and not the one that was wanted", wheels.len()));
    };
    let file = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = WheelName::parse(&file, Variants::Allowed).map_err(|error| error.to_string())?;
    expected(cell, &name).map_err(|why| format!("it left {file}, {why}"))?;
    Ok(wheel.clone())
}

/// Whether a wheel is what a cell is to become; why not.
fn expected(cell: &Cell, name: &WheelName) -> Result<(), String> {
    if name.project != project(&cell.package) {
        return Err(format!("which is no wheel of {}", cell.package));
    }
    let version = name.version.clone().without_local();
    if Version::from_str(&cell.version).is_ok_and(|wanted| wanted.without_local() != version) {
        return Err(format!("which is not version {}", cell.version));
    }
    let python = format!("cp{}", cell.python.trim_end_matches('t').replace('.', ""));
    let abi = format!("{python}{}", if cell.python.ends_with('t') { "t" } else { "" });
    let is_abi = |known: &String| *known == abi || *known == "abi3" || *known == "none";
    if name.abi.iter().any(is_abi) { Ok(()) } else { Err(format!("which is not for Python {}", cell.python)) }
}

fn is_labelled(wheel: &Path) -> bool {
    let file = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
    WheelName::parse(&file, Variants::Allowed).is_ok_and(|name| name.version.is_local())
}

/// The last line of a log that says something.
fn last_line(log: &Path) -> String {
    let end = || -> io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = end().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| "without a word".to_owned(), |line| line.trim().to_owned())
}

fn told(action: &str, path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{action} {}: {error}", path.display())
}
