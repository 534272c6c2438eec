//! The task tracker and Jira: `.ba/jira.json`, which says which issue is which and what both sides agreed on, and what a run reports.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the file.
pub const VERSION: u32 = 1;

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JiraState {
    /// [`VERSION`].
    pub version: u32,
    /// When both sides were last brought together.
    pub last_sync: Option<String>,
    /// By the ID of ours.
    pub issues: BTreeMap<String, JiraLink>,
}

/// What is known of an issue on both sides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JiraLink {
    /// What stays when an issue is moved to another project.
    pub number: String,
    /// Jira's key.
    pub key: String,
    /// When Jira's was changed, as Jira wrote it.
    pub updated: String,
    /// A number of Jira's values.
    pub hash: String,
    /// What both sides agreed on; of the description a number.
    pub base: JiraFields,
    /// What Jira refused: our value and Jira's at that time.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stuck: BTreeMap<JiraField, (String, String)>,
    /// Whether Jira has it no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gone: bool,
}

/// What both sides have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JiraField {
    /// The summary.
    Title,
    /// The description's text.
    Description,
    /// One of the four that the maps know.
    Status,
    /// From `0` to `4`.
    Priority,
    /// The type.
    Kind,
    /// Sorted, a space between two.
    Labels,
    /// A display name, or nothing.
    Assignee,
}

impl JiraField {
    /// What Jira calls it.
    pub fn in_jira(self) -> &'static str {
        match self {
            JiraField::Title => "summary",
            JiraField::Description => "description",
            JiraField::Status => "status",
            JiraField::Priority => "priority",
            JiraField::Kind => "issuetype",
            JiraField::Labels => "labels",
            JiraField::Assignee => "assignee",
        }
    }
}

/// Values by field.
pub type JiraFields = BTreeMap<JiraField, String>;

/// How many issues each thing happened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JiraStats {
    /// Made or changed here.
    pub pulled: usize,
    /// Made or changed in Jira.
    pub pushed: usize,
    /// Made, on either side.
    pub created: usize,
    /// Changed, on either side.
    pub updated: usize,
    /// On both sides, and nothing to be done.
    pub skipped: usize,
    /// Those for which something failed.
    pub errors: usize,
    /// Those of which both sides had changed a field.
    pub conflicts: usize,
}

/// What a synchronisation did, or under `dry_run` would have done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JiraReport {
    /// Whether nothing failed.
    pub success: bool,
    /// Counts.
    pub stats: JiraStats,
    /// When this was.
    pub last_sync: Option<String>,
    /// What somebody should know.
    pub warnings: Vec<String>,
}

/// What is known without asking Jira.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JiraStatus {
    /// Where Jira is.
    pub url: String,
    /// Its projects.
    pub projects: Vec<String>,
    /// When both sides were last brought together.
    pub last_sync: Option<String>,
    /// Issues of the store.
    pub issues: usize,
    /// Those that are in Jira as well.
    pub linked: usize,
    /// Those of them that have been changed here since.
    pub changed: Vec<String>,
    /// Those that Jira has no more.
    pub gone: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_can_be_read() {
        let text = r#"{"version":1,"last_sync":"2026-01-01T00:00:00Z","issues":{"aa-1":{"number":"10001","key":"AB-1",
            "updated":"2026-02-01T00:00:01.000+0000","hash":"00ff","base":{"title":"t","labels":"a b","assignee":""},
            "stuck":{"status":["closed","open"]},"gone":true}}}"#;
        let state: JiraState = serde_json::from_str(text).unwrap();
        let link = &state.issues["aa-1"];
        assert_eq!((state.version, link.key.as_str(), link.gone), (VERSION, "AB-1", true));
        assert_eq!(link.base[&JiraField::Labels], "a b");
        assert_eq!(link.stuck[&JiraField::Status], ("closed".to_owned(), "open".to_owned()));
        let again = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<JiraState>(&again).unwrap(), state);
        assert!(serde_json::from_str::<JiraState>(&text.replacen("gone", "went", 1)).is_err());
    }
}
