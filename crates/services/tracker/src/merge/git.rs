//! Telling git to merge a file of issues with this program: a line of `.gitattributes`, which belongs to the project, and two settings of
//! the clone, which all its worktrees share.

use crate::store::{TrackerError, replace};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_stdx::process::{Limits, run};

/// What the driver is called in both places.
const NAME: &str = "wootz-issue";

/// What git has been told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The file of attributes.
    pub attributes: PathBuf,
    /// Its line.
    pub line: String,
    /// The command that git runs.
    pub command: String,
    /// Whether anything was not so before.
    pub is_new: bool,
}

/// Registers the driver for a file of issues; `program` is called with `issue merge-driver`. Whatever else is set stays.
pub fn install(issues: &Path, program: &Path) -> Result<Installed, TrackerError> {
    let (top, line) = place(issues)?;
    let command = driver_command(program)?;
    let mut is_new = false;
    for (key, value) in [("name", "issues, field by field"), ("driver", command.as_str())] {
        let key = format!("merge.{NAME}.{key}");
        let known = git(&top, &["config", "--local", "--get", &key])?;
        if known.as_deref() != Some(value) {
            is_new = true;
            told(&top, &["config", "--local", "--replace-all", &key, value])?;
        }
    }
    let attributes = top.join(".gitattributes");
    let text = read(&attributes)?;
    // The last line about a path counts.
    let counts = text.lines().rfind(|known| path_of(known) == path_of(&line));
    if counts != Some(line.as_str()) {
        is_new = true;
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { end };
        write(&attributes, &format!("{text}{gap}{line}{end}"))?;
    }
    Ok(Installed { attributes, line, command, is_new })
}

/// Takes all of that back; says whether there was anything.
pub fn uninstall(issues: &Path) -> Result<bool, TrackerError> {
    let (top, line) = place(issues)?;
    let mut was_there = false;
    let section = format!("merge.{NAME}");
    if git(&top, &["config", "--local", "--get", &format!("{section}.driver")])?.is_some() {
        was_there = true;
        told(&top, &["config", "--local", "--remove-section", &section])?;
    }
    let attributes = top.join(".gitattributes");
    let text = read(&attributes)?;
    let rest: String = text.split_inclusive('\n').filter(|known| known.trim_end() != line).collect();
    if rest != text {
        was_there = true;
        match rest.is_empty() {
            true => fs::remove_file(&attributes)
                .map_err(|error| TrackerError::io("remove", &attributes, error))?,
            false => write(&attributes, &rest)?,
        }
    }
    Ok(was_there)
}

/// The command for git's `driver`: in a shell, with `%O`, `%A` and `%B` for base, own and other file.
pub fn driver_command(program: &Path) -> Result<String, TrackerError> {
    let program = program.to_str().filter(|program| !program.contains('\n')).ok_or_else(|| {
        TrackerError::invalid(format!("git cannot be told to run {}: its path is no text", program.display()))
    })?;
    let quoted = program.replace('\'', "'\\''").replace('%', "%%");
    Ok(format!("'{quoted}' issue merge-driver %O %A %B %A"))
}

/// The worktree's root, and the line for its attributes.
fn place(issues: &Path) -> Result<(PathBuf, String), TrackerError> {
    let failed = |error| TrackerError::io("find", issues, error);
    let folder = issues.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(failed)?;
    let name = issues.file_name().unwrap_or_default();
    let top = told(&folder, &["rev-parse", "--show-toplevel"])?;
    let top = fs::canonicalize(PathBuf::from(top)).map_err(failed)?;
    let path = folder.join(name);
    let within = path.strip_prefix(&top).ok().and_then(Path::to_str).ok_or_else(|| {
        TrackerError::invalid(format!(
            "{} cannot be named in the repository {}",
            path.display(),
            top.display()
        ))
    })?;
    Ok((top, format!("{} merge={NAME}", pattern(within))))
}

/// A path as a pattern that nothing else fits: anchored, and in C's quotes where it has to be.
fn pattern(path: &str) -> String {
    let mut pattern = String::from("/");
    for letter in path.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    let is_plain = !pattern.contains(|letter: char| letter.is_whitespace() || letter == '"');
    if is_plain {
        return pattern;
    }
    let quoted = pattern.replace('\\', "\\\\").replace('"', "\\\"").replace('\t', "\\t").replace('\n', "\\n");
    format!("\"{quoted}\"")
}

/// The pattern of a line of attributes.
fn path_of(line: &str) -> &str {
    let line = line.trim();
    match line.strip_prefix('"') {
        None => line.split_ascii_whitespace().next().unwrap_or_default(),
        Some(rest) => {
            let mut is_escaped = false;
            let end = rest.find(|letter| {
                let ends = letter == '"' && !is_escaped;
                is_escaped = letter == '\\' && !is_escaped;
                ends
            });
            end.map_or(line, |end| &line[..end + 2])
        }
    }
}

fn read(path: &Path) -> Result<String, TrackerError> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        text => text.map_err(|error| TrackerError::io("read", path, error)),
    }
}

fn write(path: &Path, text: &str) -> Result<(), TrackerError> {
    replace(path, &[text.as_bytes()]).map_err(|error| TrackerError::io("write", path, error))
}

/// What git prints; an error where it fails.
fn told(folder: &Path, arguments: &[&str]) -> Result<String, TrackerError> {
    match asked(folder, arguments)? {
        Ok(text) => Ok(text),
        Err(message) => {
            let what = arguments.join(" ");
            Err(TrackerError::invalid(format!("`git {what}` failed in {}: {message}", folder.display())))
        }
    }
}

/// What git prints, where it has anything to say.
fn git(folder: &Path, arguments: &[&str]) -> Result<Option<String>, TrackerError> {
    Ok(asked(folder, arguments)?.ok())
}

fn asked(folder: &Path, arguments: &[&str]) -> Result<Result<String, String>, TrackerError> {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(arguments);
    let limits = Limits { time: Duration::from_secs(30), output_bytes: 1 << 20 };
    let finished = run(&mut command, b"", limits, &AtomicBool::new(false))
        .map_err(|error| TrackerError::io("run", Path::new("git"), error))?;
    let text = |bytes: &[u8]| {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        std::ffi::OsStr::from_bytes(bytes).to_string_lossy().into_owned()
    };
    Ok(match finished.status.success() {
        true => Ok(text(&finished.stdout)),
        false => Err(text(&finished.stderr)),
    })
}
