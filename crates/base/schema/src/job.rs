//! A job's files: the line in its status file, and the lines of its events, one JSON object each.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The line in a status file, which programs poll until it begins with a word that ends.
///
/// ```text
/// START job=J ts=ISO
/// PROGRESS job=J ts=ISO msg=running
/// DONE job=J ts=ISO rc=0
/// FAILED job=J ts=ISO rc=N
/// STOPPED job=J ts=ISO rc=N
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Name of the job, without spaces.
    pub job: String,
    /// When, RFC 3339 in UTC.
    pub ts: String,
    /// How far it is.
    pub state: JobState,
}

/// How far a job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It begins.
    Start,
    /// It runs.
    Progress,
    /// It ended with exit code 0.
    Done,
    /// It ended with another one.
    Failed(i32),
    /// Somebody stopped it.
    Stopped(i32),
}

impl JobState {
    /// Whether nothing follows.
    pub fn is_over(self) -> bool {
        self.rc().is_some()
    }

    /// The exit code, where it has ended.
    pub fn rc(self) -> Option<i32> {
        match self {
            JobState::Start | JobState::Progress => None,
            JobState::Done => Some(0),
            JobState::Failed(rc) | JobState::Stopped(rc) => Some(rc),
        }
    }

    /// The word of events; that of the status line is the same in capitals.
    pub fn word(self) -> &'static str {
        match self {
            JobState::Start => "start",
            JobState::Progress => "progress",
            JobState::Done => "done",
            JobState::Failed(_) => "failed",
            JobState::Stopped(_) => "stopped",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} job={} ts={}", self.state.word().to_uppercase(), self.job, self.ts)?;
        match (self.state, self.state.rc()) {
            (JobState::Progress, _) => f.write_str(" msg=running"),
            (_, Some(rc)) => write!(f, " rc={rc}"),
            _ => Ok(()),
        }
    }
}

impl FromStr for JobStatus {
    type Err = ();

    fn from_str(line: &str) -> Result<JobStatus, ()> {
        let words: Vec<&str> = line.split(' ').collect();
        let [word, job, ts, rest @ ..] = words.as_slice() else { return Err(()) };
        let rc = |rest: &[&str]| match rest {
            [rc] => rc.strip_prefix("rc=").and_then(|rc| rc.parse().ok()).ok_or(()),
            _ => Err(()),
        };
        let state = match (*word, rest) {
            ("START", []) => JobState::Start,
            ("PROGRESS", ["msg=running"]) => JobState::Progress,
            ("DONE", ["rc=0"]) => JobState::Done,
            ("FAILED", rest) => JobState::Failed(rc(rest)?),
            ("STOPPED", rest) => JobState::Stopped(rc(rest)?),
            _ => return Err(()),
        };
        let value = |word: &str, key: &str| word.strip_prefix(key).map(str::to_owned).ok_or(());
        Ok(JobStatus { job: value(job, "job=")?, ts: value(ts, "ts=")?, state })
    }
}

/// A line of a job's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobEvent {
    /// When, RFC 3339 in UTC.
    pub ts: String,
    /// `start`, `progress`, `done`, `failed`, or `stopped`.
    pub event: String,
    /// Name of the job.
    pub job: String,
    /// For people.
    pub msg: String,
    /// The program and its arguments, where it begins; what is no UTF-8 is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// The exit code, where it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rc: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_read_as_they_were_written() {
        for line in [
            "START job=a ts=2026-01-01T00:00:00Z",
            "PROGRESS job=a ts=2026-01-01T00:00:00Z msg=running",
            "DONE job=a ts=2026-01-01T00:00:00Z rc=0",
            "FAILED job=a ts=2026-01-01T00:00:00Z rc=3",
            "STOPPED job=a ts=2026-01-01T00:00:00Z rc=143",
        ] {
            assert_eq!(line.parse::<JobStatus>().unwrap().to_string(), line);
        }
        for line in [
            "",
            "DONE job=a ts=x rc=1",
            "DONE job=a ts=x",
            "START job=a",
            "FAILED job=a ts=x rc=",
            "START a x",
        ] {
            assert!(line.parse::<JobStatus>().is_err(), "{line}");
        }
    }

    #[test]
    fn events_are_read_as_they_were_written() {
        for line in [
            r#"{"ts":"t","event":"start","job":"a","msg":"running","argv":["echo","a \"b\"\n"]}"#,
            r#"{"ts":"t","event":"progress","job":"a","msg":"running"}"#,
            r#"{"ts":"t","event":"failed","job":"a","msg":"rc=3","rc":3}"#,
        ] {
            let event: JobEvent = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&event).unwrap(), line);
        }
    }
}
