//! Which GPUs a container gets: none where the machine's driver is too old for its CUDA, and an error where they were asked for by name.

use std::ffi::OsStr;
use std::fmt;
use std::process::{Command, Stdio};
use wootz_container::Gpus;
use wootz_schema::{Diagnose, ExitCode};

/// A version of CUDA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 12 of 12.9.
    pub major: u32,
    /// 9 of 12.9.
    pub minor: u32,
}

impl Version {
    /// Reads `12.9`, and `13` as 13.0.
    pub fn read(text: &str) -> Option<Version> {
        let (major, minor) = text.trim().split_once('.').unwrap_or((text.trim(), "0"));
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which GPUs are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// What the machine has, or none.
    Auto,
    /// None.
    None,
    /// All; it is an error if they cannot be had.
    All,
    /// These, likewise.
    Only(Vec<String>),
}

impl Choice {
    /// Reads `auto`, `all`, `none`, or names as `CUDA_VISIBLE_DEVICES` has them.
    pub fn read(text: &str) -> Choice {
        match text.trim() {
            "auto" => Choice::Auto,
            "all" => Choice::All,
            "none" | "" => Choice::None,
            names => Choice::Only(names.split(',').map(|name| name.trim().to_owned()).collect()),
        }
    }
}

/// Why GPUs that were asked for cannot be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// No driver.
    #[error("give the container GPUs: nvidia-smi is not there, or finds none")]
    Missing,
    /// An old driver.
    #[error("give the container GPUs: the driver goes up to CUDA {has}, and {needs} is needed")]
    Old {
        /// What the driver can do.
        has: Version,
        /// What is needed.
        needs: Version,
    },
}

impl Diagnose for GpuError {
    fn exit(&self) -> ExitCode {
        ExitCode::Environment
    }

    fn hint(&self) -> Option<String> {
        Some("run without them: --gpus none; or say what is needed: --cuda VERSION".to_owned())
    }
}

/// The GPUs that the container gets, and what is to be told of it. `visible` is the machine's `CUDA_VISIBLE_DEVICES`, `driver` the newest
/// CUDA that its driver can do.
pub fn choose(
    choice: &Choice,
    visible: Option<&str>,
    needs: Version,
    driver: Option<Version>,
) -> Result<(Gpus, Option<String>), GpuError> {
    let trouble = match driver {
        None => Some(GpuError::Missing),
        Some(has) if has < needs => Some(GpuError::Old { has, needs }),
        Some(_) => None,
    };
    let all = || match visible.map(Choice::read) {
        Some(Choice::Only(names)) => Gpus::Only(names),
        Some(Choice::None) => Gpus::None,
        _ => Gpus::All,
    };
    match (choice, trouble) {
        (Choice::None, _) => Ok((Gpus::None, None)),
        (Choice::Auto, Some(GpuError::Missing)) => Ok((Gpus::None, None)),
        (Choice::Auto, Some(error)) => Ok((Gpus::None, Some(format!("without GPUs: {error}")))),
        (Choice::Auto | Choice::All, None) => Ok((all(), None)),
        (Choice::Only(names), None) => Ok((Gpus::Only(names.clone()), None)),
        (Choice::All | Choice::Only(_), Some(error)) => Err(error),
    }
}

/// The newest CUDA that the machine's driver can do, as `nvidia-smi` on `path` (the value of `PATH`) says.
pub fn driver(path: &OsStr) -> Option<Version> {
    let program =
        std::env::split_paths(path).map(|folder| folder.join("nvidia-smi")).find(|file| file.is_file())?;
    let output =
        Command::new(program).stdin(Stdio::null()).output().ok().filter(|output| output.status.success())?;
    of_banner(&String::from_utf8_lossy(&output.stdout))
}

fn of_banner(text: &str) -> Option<Version> {
    let (_, rest) = text.split_once("CUDA Version:")?;
    Version::read(rest.split_whitespace().next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_tells_the_version() {
        let banner = "| NVIDIA-SMI 575.57.08    Driver Version: 575.57.08    CUDA Version: 12.9     |";
        assert_eq!(of_banner(banner), Some(Version { major: 12, minor: 9 }));
        assert_eq!(of_banner("| CUDA Version: N/A |"), None);
        assert!(
            Version::read("12.10") > Version::read("12.9") && Version::read("13") > Version::read("12.10")
        );
    }

    #[test]
    fn an_old_driver_means_no_gpus_or_an_error() {
        let (old, new) = (Version { major: 12, minor: 2 }, Version { major: 13, minor: 0 });
        let needs = Version { major: 12, minor: 9 };
        let only = |names: &[&str]| Gpus::Only(names.iter().map(|name| (*name).to_owned()).collect());
        let gpus = |choice: &str, visible, driver| {
            choose(&Choice::read(choice), visible, needs, driver).map(|(gpus, told)| (gpus, told.is_some()))
        };
        let aged = GpuError::Old { has: old, needs };
        for (choice, visible, driver, wanted) in [
            ("auto", None, Some(new), Ok((Gpus::All, false))),
            ("auto", Some("1,3"), Some(new), Ok((only(&["1", "3"]), false))),
            ("auto", Some(""), Some(new), Ok((Gpus::None, false))),
            ("auto", None, Some(old), Ok((Gpus::None, true))),
            ("auto", None, None, Ok((Gpus::None, false))),
            ("none", Some("1"), Some(new), Ok((Gpus::None, false))),
            ("0, 2", None, Some(new), Ok((only(&["0", "2"]), false))),
            ("all", None, None, Err(GpuError::Missing)),
            ("0", None, Some(old), Err(aged)),
        ] {
            assert_eq!(gpus(choice, visible, driver), wanted, "{choice} {visible:?} {driver:?}");
        }
    }
}
