//! The folder of a project's jobs: what may be a name, and which runs there are.

use crate::run::Run;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::{Diagnose, ExitCode};

/// Why a job could not be started, looked at or stopped.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// A name that could not be part of a file's name or of a status line.
    #[error("use {name:?} as the name of a {what}")]
    Name {
        /// `job` or `project`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Nothing to run.
    #[error("run the job {job}: no command was given")]
    Command {
        /// Its name.
        job: String,
    },
    /// It runs already.
    #[error("run the job {job}: it runs already, pid {pid}")]
    Running {
        /// Its name.
        job: String,
        /// The process of its command, 0 before there is one.
        pid: u32,
    },
    /// The command cannot be started.
    #[error("start {program}: the end of {} says why", log.display())]
    Start {
        /// The program.
        program: String,
        /// What it, or its keeper, said.
        log: PathBuf,
    },
    /// There never was one.
    #[error("find the job {job} in {}", folder.display())]
    Missing {
        /// Its name.
        job: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// It has ended.
    #[error("stop the job {job}: it is not running")]
    NotRunning {
        /// Its name.
        job: String,
    },
    /// The system said no.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Diagnose for JobError {
    fn exit(&self) -> ExitCode {
        match self {
            JobError::Name { .. } | JobError::Command { .. } => ExitCode::Usage,
            JobError::Io { source, .. } if exit_of_io(source) != ExitCode::Usage => ExitCode::Environment,
            _ => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            JobError::Name { .. } => {
                "use letters, digits, `.`, `_` and `-`, at most 100, the first one a letter or a digit"
                    .to_owned()
            }
            JobError::Command { .. } => "write it behind `--`".to_owned(),
            JobError::Running { .. } => {
                "stop it with `wootz job stop`, or run it beside itself with --again".to_owned()
            }
            JobError::Start { .. } => return None,
            JobError::Missing { .. } => "see `wootz job list`, or name the folder with --root".to_owned(),
            JobError::NotRunning { .. } => "see how it ended with `wootz job status`".to_owned(),
            JobError::Io { source, .. } => return hint_of_io(source),
        })
    }
}

/// An error of the system, with what was tried.
pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JobError {
    move |source| JobError::Io { what, path: path.to_owned(), source }
}

/// The jobs of one project.
#[derive(Debug, Clone)]
pub struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    /// The jobs of a project under a root. Nothing need be there yet.
    pub fn new(root: &Path, project: &str) -> Result<Folder, JobError> {
        check("project", project)?;
        Ok(Folder { path: root.join(project) })
    }

    /// The jobs in a folder, which a keeper is given as a whole.
    pub fn at(path: &Path) -> Folder {
        Folder { path: path.to_owned() }
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    pub(crate) fn jobs(&self) -> PathBuf {
        self.path.join("bazel_cache/zephyr_jobs")
    }

    /// The file with the newest run's status.
    pub fn status_path(&self, job: &str) -> PathBuf {
        self.jobs().join(format!("{job}.status"))
    }

    /// The runs of a job, oldest first.
    pub fn runs(&self, job: &str) -> Result<Vec<Run>, JobError> {
        check("job", job)?;
        let stamps = self.names()?.into_iter().filter(|(name, _)| name == job);
        let mut stamps: Vec<Stamp> = stamps.map(|(_, stamp)| stamp).collect();
        stamps.sort();
        Ok(stamps.into_iter().map(|stamp| Run::new(self, job, &stamp.text())).collect())
    }

    /// The newest run of a job, if there is one.
    pub fn newest(&self, job: &str) -> Result<Option<Run>, JobError> {
        Ok(self.runs(job)?.pop())
    }

    /// The names of all jobs, in order.
    pub fn all(&self) -> Result<Vec<String>, JobError> {
        let mut names: Vec<String> = self.names()?.into_iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Every run there is: each has a pid file from its beginning.
    fn names(&self) -> Result<Vec<(String, Stamp)>, JobError> {
        let logs = self.logs();
        let entries = match fs::read_dir(&logs) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(io_error("look into", &logs))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(io_error("look into", &logs))?.file_name();
            names.extend(name.to_str().and_then(|name| Stamp::split(name.strip_suffix(".pid")?)));
        }
        Ok(names)
    }

    /// Waits until nobody else starts runs of a job or writes what is its newest run's.
    pub(crate) fn lock(&self, job: &str) -> Result<File, JobError> {
        let path = self.jobs().join(format!("{job}.lock"));
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened.map_err(io_error("write", &path))?;
        file.lock().map_err(io_error("lock", &path))?;
        Ok(file)
    }
}

pub(crate) fn check(what: &'static str, name: &str) -> Result<(), JobError> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    let begins = name.starts_with(|letter: char| letter.is_ascii_alphanumeric());
    if begins && name.len() <= 100 && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(JobError::Name { what, name: name.to_owned() })
}

/// When a run began, to the second, and which one of that second it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp {
    second: String,
    number: u32,
}

impl Stamp {
    /// The stamp of a run that begins now, later than that of the last one whatever the clock says.
    pub fn behind(last: Option<Stamp>, second: String) -> Stamp {
        match last {
            Some(last) if last.second >= second => Stamp { second: last.second, number: last.number + 1 },
            _ => Stamp { second, number: 1 },
        }
    }

    /// `20260131-235959`, and `20260131-235959-2` for the second one of that second.
    pub fn text(&self) -> String {
        match self.number {
            1 => self.second.clone(),
            number => format!("{}-{number}", self.second),
        }
    }

    pub fn read(text: &str) -> Option<Stamp> {
        let is_digits =
            |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let (second, number) = match text.split_at_checked(15)? {
            (second, "") => (second, 1),
            (second, rest) => (second, rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1)?),
        };
        let (day, time) = second.split_once('-')?;
        let stamp = Stamp { second: second.to_owned(), number };
        // Only what is written the one way: no job's file is taken for another's.
        (is_digits(day, 8) && is_digits(time, 6) && stamp.text() == text).then_some(stamp)
    }

    /// The job and the stamp of `<job>-<stamp>`. The job may itself end like a stamp: its own stamp is the last.
    fn split(name: &str) -> Option<(String, Stamp)> {
        let dashes = name.match_indices('-').map(|(at, _)| at).rev();
        let mut found = dashes.filter_map(|at| Some((name[..at].to_owned(), Stamp::read(&name[at + 1..])?)));
        found.next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ends_like_a_stamp_is_a_name() {
        let split = |name: &str| Stamp::split(name).map(|(job, stamp)| (job, stamp.text()));
        let is = |job: &str, stamp: &str| Some((job.to_owned(), stamp.to_owned()));
        assert_eq!(split("a-20260131-235959"), is("a", "20260131-235959"));
        assert_eq!(split("a-20260131-235959-2"), is("a", "20260131-235959-2"));
        assert_eq!(split("a-b-20260131-235959-12"), is("a-b", "20260131-235959-12"));
        assert_eq!(split("a-20260131-235959-20260201-000000"), is("a-20260131-235959", "20260201-000000"));
        assert_eq!(split("a-20260131-235959-02"), None);
        assert_eq!(split("a-20260131"), None);
        assert_eq!(split("a"), None);
    }

    #[test]
    fn stamps_go_up_whatever_the_clock_says() {
        let mut last = None;
        let mut texts = Vec::new();
        for second in ["20260131-235959", "20260131-235959", "20260101-000000", "20260201-000000"] {
            let next = Stamp::behind(last.clone(), second.to_owned());
            assert!(last.is_none_or(|last| last < next));
            assert_eq!(Stamp::read(&next.text()), Some(next.clone()));
            texts.push(next.text());
            last = Some(next);
        }
        assert_eq!(texts, ["20260131-235959", "20260131-235959-2", "20260131-235959-3", "20260201-000000"]);
    }

    #[test]
    fn names_that_would_leave_the_folder_or_break_a_line_are_refused() {
        for name in ["", ".", "..", "a/b", "-a", "a b", "a\nb", "ä", &"a".repeat(101)] {
            assert!(check("job", name).is_err(), "{name}");
        }
        for name in ["a", "spack-autobuild", "v1.2_x"] {
            assert!(check("job", name).is_ok(), "{name}");
        }
    }
}
