//! The program that has containers: podman or docker.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use wootz_schema::{Diagnose, ExitCode};

/// Which program it is; they differ in a few words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Podman.
    Podman,
    /// Docker, or what calls itself so.
    Docker,
}

impl Kind {
    /// Its name, which is that of its program.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Podman => "podman",
            Kind::Docker => "docker",
        }
    }
}

/// A program that has containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Which it is.
    pub kind: Kind,
    /// Where it is.
    pub program: PathBuf,
}

/// Why a container could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// No program.
    #[error("find {asked}: it is not installed")]
    Missing {
        /// What was looked for.
        asked: String,
    },
    /// The program could not be started, or its log not be written.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The program refused.
    #[error("{action}: {said}")]
    Refused {
        /// What was tried.
        action: String,
        /// What it said.
        said: String,
    },
    /// A container of the name is somebody else's.
    #[error("create the container {name}: there is another one of that name")]
    Taken {
        /// The name.
        name: String,
    },
    /// It was asked to stop, and has.
    #[error("stopped on request")]
    Cancelled,
}

impl Diagnose for ContainerError {
    fn exit(&self) -> ExitCode {
        match self {
            ContainerError::Cancelled => ExitCode::Failed,
            _ => ExitCode::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            ContainerError::Missing { asked } if asked == "docker" => {
                Some("install docker (Debian: apt-get install docker.io), or use podman".to_owned())
            }
            ContainerError::Missing { .. } => {
                Some("install podman (Debian: apt-get install podman crun netavark) or docker".to_owned())
            }
            ContainerError::Taken { name } => Some(format!("look at it and remove it: podman rm {name}")),
            _ => None,
        }
    }
}

impl Runtime {
    /// The program of this kind on `path` (the value of `PATH`); without a kind podman, else docker.
    pub fn find(kind: Option<Kind>, path: &OsStr) -> Result<Runtime, ContainerError> {
        let kinds = kind.map_or(vec![Kind::Podman, Kind::Docker], |kind| vec![kind]);
        let found = kinds.iter().find_map(|kind| Some((*kind, on_path(kind.name(), path)?)));
        match found {
            Some((kind, program)) => Ok(Runtime { kind, program }),
            None => {
                let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                Err(ContainerError::Missing { asked: names.join(" or ") })
            }
        }
    }

    /// Whether the image is on this machine.
    pub fn has_image(&self, image: &str) -> Result<bool, ContainerError> {
        Ok(self.ask(["image", "inspect", image])?.status.success())
    }

    /// What a label of an image on this machine says.
    pub fn image_label(&self, image: &str, label: &str) -> Result<Option<String>, ContainerError> {
        let words = ["image", "inspect", "--format", "{{json .Config.Labels}}", image];
        let said = self.text(&format!("look at the image {image}"), words)?;
        let labels: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
        Ok(labels[label].as_str().map(str::to_owned))
    }

    /// Runs a command of the program that people watch: all that it says goes to standard error.
    pub fn watched(&self, action: &str, words: &[String]) -> Result<(), ContainerError> {
        let io = |source| ContainerError::Io { action: self.action(), source };
        let stderr = std::io::stderr().as_fd().try_clone_to_owned().map_err(io)?;
        let status = self.command().args(words).stdin(Stdio::null()).stdout(stderr).status().map_err(io)?;
        match status.success() {
            true => Ok(()),
            false => Err(ContainerError::Refused { action: action.to_owned(), said: status.to_string() }),
        }
    }

    /// The digest by which a registry knows an image that was pushed to it or pulled from it; none for one that was not.
    pub fn digest(&self, image: &str) -> Result<Option<String>, ContainerError> {
        let words = ["image", "inspect", "--format", "{{range .RepoDigests}}{{.}} {{end}}", image];
        let said = self.text(&format!("look at the image {image}"), words)?;
        let digest = said.split_whitespace().find_map(|name| name.split_once('@'));
        Ok(digest.map(|(_, digest)| digest.to_owned()))
    }

    /// The words that push an image; podman leaves its digest in the file, docker says it.
    pub fn push(&self, image: &str, digest: &Path) -> Vec<String> {
        let file = format!("--digestfile={}", digest.display());
        let flag = (self.kind == Kind::Podman).then_some(file);
        ["push".to_owned()].into_iter().chain(flag).chain([image.to_owned()]).collect()
    }

    /// Asks the registry for the image of this digest, and gives the name under which it has it.
    pub fn verify(&self, image: &str, digest: &str) -> Result<String, ContainerError> {
        let name = format!("{}@{digest}", untagged(image));
        self.text(&format!("pull {name}"), ["pull", "--quiet", &name])?;
        Ok(name)
    }

    /// What a command of the program prints that succeeds.
    pub(crate) fn text<'a>(
        &self,
        action: &str,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<String, ContainerError> {
        let output = self.ask(words)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        Err(ContainerError::Refused { action: action.to_owned(), said: said(&output) })
    }

    pub(crate) fn ask<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Output, ContainerError> {
        let output = self.command().args(words).stdin(Stdio::null()).output();
        output.map_err(|source| ContainerError::Io { action: self.action(), source })
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    pub(crate) fn action(&self) -> String {
        format!("run {}", self.program.display())
    }
}

/// The name of an image without its tag; a port before the first slash is none.
fn untagged(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    }
}

/// What a program complained of, on one line.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    match last {
        Some(line) => line.trim().to_owned(),
        None => format!("{} without a word", output.status),
    }
}

fn on_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file: &PathBuf| is_program(file))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_no_port() {
        for (image, name) in [
            ("a", "a"),
            ("a:1", "a"),
            ("localhost:5000/a", "localhost:5000/a"),
            ("localhost:5000/a/b:1.2", "localhost:5000/a/b"),
        ] {
            assert_eq!(untagged(image), name);
        }
    }
}
