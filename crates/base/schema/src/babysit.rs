//! What a babysitter knows of a training run between two looks, and the lines that it writes of each.

use serde::{Deserialize, Serialize};

/// Version of the state.
pub const VERSION: u32 = 1;

/// What survives a babysitter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watch {
    /// Format version.
    pub version: u32,
    /// Name of the profile.
    pub profile: String,
    /// How far it is.
    pub phase: Phase,
    /// Failures without a success between them.
    pub failures: u32,
    /// Launches that ended badly since the run last got further.
    pub crashes: u32,
    /// How many launches were begun.
    pub launches: u32,
    /// The step that the last launch went on from; none: from the beginning.
    pub resumed_from: Option<u64>,
}

impl Watch {
    /// What is known of a run that nobody watched yet.
    pub fn new(profile: &str) -> Watch {
        Watch {
            version: VERSION,
            profile: profile.to_owned(),
            phase: Phase::Look,
            failures: 0,
            crashes: 0,
            launches: 0,
            resumed_from: None,
        }
    }
}

/// How far a babysitter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing is known of the run.
    Look,
    /// The machine was asked for.
    Creating,
    /// A launch was begun; whether the run runs is not known yet.
    Launching,
    /// The run was seen running.
    Watching,
    /// The run is finished; nothing is started any more.
    Finished,
    /// Too many failures; a person has to look.
    GaveUp,
}

/// A line of a babysitter's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchLine {
    /// When, RFC 3339 in UTC.
    pub ts: String,
    /// Name of the profile.
    pub profile: String,
    /// What was seen, or came of what was done.
    pub saw: String,
    /// How far it is now.
    pub phase: Phase,
    /// What is done next.
    pub action: String,
    /// Failures, or crashes, in a row.
    pub failures: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_and_lines_of_version_1_are_read_as_they_were_written() {
        let text = r#"{"version":1,"profile":"p","phase":"gave_up","failures":5,"crashes":1,"launches":2,"resumed_from":1200}"#;
        let watch: Watch = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&watch).unwrap(), text);
        let text =
            r#"{"ts":"t","profile":"p","saw":"preempted","phase":"look","action":"remove","failures":0}"#;
        let line: WatchLine = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
    }
}
