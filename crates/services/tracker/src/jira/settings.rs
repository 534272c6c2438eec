//! What a synchronisation needs to know: from the store's `config.json`, over which the environment goes.
//!
//! Keys stand in `config.json` flat (`"jira.url"`, `"jira.status_map.open"`) or nested (`"jira": {"url": …}`); the file is only read here.
//! The caller hands the environment in; nothing in this library reads it. The token is shown by nothing.

use super::maps::{Maps, Names};
use crate::record::Record;
use crate::store::TrackerError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The variables of the environment that are asked for.
pub const VARIABLES: [&str; 7] = [
    "JIRA_URL",
    "JIRA_PROJECT",
    "JIRA_PROJECTS",
    "JIRA_USERNAME",
    "JIRA_API_TOKEN",
    "JIRA_API_VERSION",
    "JIRA_PULL_JQL",
];

/// Text that does not show itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "set" })
    }
}

/// Which of Jira's two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Text is text; pages by number. What Jira on one's own servers speaks.
    V2,
    /// Text is a document; pages by token.
    V3,
}

/// How long to wait for an answer, and how often to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Of one request.
    pub timeout: Duration,
    /// Of one request, the first included.
    pub attempts: u32,
    /// Before the second attempt; doubled before each further one.
    pub first: Duration,
    /// Between two attempts; where Jira asks for a longer wait, the request is given up.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        let seconds = Duration::from_secs;
        Pace { timeout: seconds(30), attempts: 5, first: Duration::from_millis(500), longest: seconds(60) }
    }
}

/// Where Jira is, who asks, and what things are called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where issues are found under `/browse/KEY`, without a slash at its end.
    pub url: String,
    /// Keys of projects; new issues go to the first.
    pub projects: Vec<String>,
    /// With a name the token is sent as its password, else by itself.
    pub username: String,
    /// The token.
    pub token: Secret,
    /// Which interface.
    pub api: Api,
    /// What else a pulled issue must fulfil.
    pub pull_jql: Option<String>,
    /// IDs that new issues of ours must begin with, if any are given.
    pub push_prefixes: Vec<String>,
    /// Names.
    pub maps: Maps,
    /// Waiting.
    pub pace: Pace,
}

impl Settings {
    /// Reads them; `variable` is the environment.
    pub fn read(
        config: &Record,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Settings, TrackerError> {
        let keys = keys(config);
        let of_file =
            |key: &str| keys.get(key).map(|values| values.join(",")).filter(|text| !text.is_empty());
        let value = |name: &str, key: &str| {
            variable(name).filter(|text| !text.trim().is_empty()).or_else(|| of_file(key))
        };
        let list = |text: Option<String>| -> Vec<String> {
            let text = text.unwrap_or_default();
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        };
        let missing = |what: &str, name: &str, key: &str| TrackerError::Invalid {
            message: format!("No {what} of Jira is known"),
            hint: Some(format!("set {name}, or \"{key}\" in .ba/config.json")),
        };
        let url = value("JIRA_URL", "url").ok_or_else(|| missing("address", "JIRA_URL", "jira.url"))?;
        let mut projects = list(value("JIRA_PROJECTS", "projects"));
        if projects.is_empty() {
            projects = list(value("JIRA_PROJECT", "project"));
        }
        if projects.is_empty() {
            return Err(missing("project", "JIRA_PROJECT", "jira.project"));
        }
        let token = value("JIRA_API_TOKEN", "api_token");
        let token = token.ok_or_else(|| missing("token", "JIRA_API_TOKEN", "jira.api_token"))?;
        let api = match value("JIRA_API_VERSION", "api_version").as_deref().map(str::trim) {
            None | Some("3") => Api::V3,
            Some("2") => Api::V2,
            Some(other) => {
                return Err(TrackerError::Invalid {
                    message: format!("Unknown version of Jira's API: {other}"),
                    hint: Some("JIRA_API_VERSION is 2 or 3".to_owned()),
                });
            }
        };
        let mut maps = Maps::default();
        for (names, map) in [
            (&mut maps.status, "status_map."),
            (&mut maps.kind, "type_map."),
            (&mut maps.priority, "priority_map."),
        ] {
            set(names, map, &keys);
        }
        Ok(Settings {
            url: address(&url)?,
            projects,
            username: value("JIRA_USERNAME", "username").unwrap_or_default(),
            token: Secret(token.trim().to_owned()),
            api,
            pull_jql: value("JIRA_PULL_JQL", "pull_jql"),
            push_prefixes: list(of_file("push_prefix")),
            maps,
            pace: Pace::default(),
        })
    }

    /// Where an issue is looked at.
    pub fn browse(&self, key: &str) -> String {
        format!("{}/browse/{key}", self.url)
    }

    /// The key in such an address, or a key by itself.
    pub fn key_of(&self, reference: &str) -> Option<String> {
        let key = match reference.strip_prefix(&self.url) {
            Some(rest) => rest.strip_prefix("/browse/")?,
            None => reference,
        };
        let (project, number) = key.split_once('-')?;
        let is_project = project.starts_with(|letter: char| letter.is_ascii_uppercase())
            && project.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_project && is_number).then(|| key.to_owned())
    }
}

fn set(names: &mut Names, map: &str, keys: &BTreeMap<String, Vec<String>>) {
    for (key, values) in keys {
        if let Some(name) = key.strip_prefix(map) {
            names.set(name, values);
        }
    }
}

/// An address that may be written into issues: with a scheme, without a name, a password, or a query.
fn address(text: &str) -> Result<String, TrackerError> {
    let text = text.trim().trim_end_matches('/');
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['@', '?', '#', ' ', '\n']) => Ok(text.to_owned()),
        // The address is not repeated: it may hold a password.
        _ => Err(TrackerError::Invalid {
            message: "The address of Jira is not one that can be used".to_owned(),
            hint: Some(
                "it looks like https://example.atlassian.net, without a name or a password".to_owned(),
            ),
        }),
    }
}

/// All keys below `jira`, flat, with their texts.
fn keys(config: &Record) -> BTreeMap<String, Vec<String>> {
    let mut keys = BTreeMap::new();
    for (key, value) in config.fields() {
        let value: Value = serde_json::from_str(value.get()).unwrap_or_default();
        if key == "jira" {
            collect("", &value, &mut keys);
        } else if let Some(key) = key.strip_prefix("jira.") {
            collect(key, &value, &mut keys);
        }
    }
    keys
}

fn collect(key: &str, value: &Value, keys: &mut BTreeMap<String, Vec<String>>) {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                collect(&key, value, keys);
            }
        }
        Value::Array(values) => {
            keys.insert(key.to_owned(), values.iter().filter_map(text).collect());
        }
        value => {
            keys.extend(text(value).map(|text| (key.to_owned(), vec![text])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str, variables: &[(&str, &str)]) -> Result<Settings, TrackerError> {
        let config = Record::read(config.as_bytes()).unwrap();
        let find = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(&config, &find)
    }

    #[test]
    fn the_environment_goes_over_the_file() {
        let file = r#"{"version":1,"prefix":"aa","jira.url":"https://a.test/","jira":{"project":"AB","status_map":{"open":["Ready","To Do"]}},
            "jira.api_version":2,"jira.type_map.Research":"epic","jira.api_token":"file","jira.push_prefix":"aa, bb"}"#;
        let settings = read(file, &[]).unwrap();
        assert_eq!((settings.url.as_str(), settings.api), ("https://a.test", Api::V2));
        assert_eq!(settings.projects, ["AB"]);
        assert_eq!(settings.push_prefixes, ["aa", "bb"]);
        assert_eq!(settings.maps.status.to_jira("open"), "Ready");
        assert_eq!(settings.maps.kind.from_jira("research"), "epic");
        let variables = [
            ("JIRA_URL", "https://b.test/jira"),
            ("JIRA_PROJECTS", "X,Y"),
            ("JIRA_API_TOKEN", "s3cret"),
            ("JIRA_API_VERSION", "3"),
        ];
        let settings = read(file, &variables).unwrap();
        assert_eq!((settings.url.as_str(), settings.api), ("https://b.test/jira", Api::V3));
        assert_eq!(settings.projects, ["X", "Y"]);
        assert_eq!(settings.token.0, "s3cret");
        assert!(!format!("{settings:?}").contains("s3cret"));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (variables, name) in [
            (&[][..], "JIRA_URL"),
            (&[("JIRA_URL", "https://a.test")], "JIRA_PROJECT"),
            (&[("JIRA_URL", "https://a.test"), ("JIRA_PROJECT", "A")], "JIRA_API_TOKEN"),
            (
                &[("JIRA_URL", "https://me:pass@a.test"), ("JIRA_PROJECT", "A"), ("JIRA_API_TOKEN", "t")],
                "https://",
            ),
        ] {
            match read("{}", variables).unwrap_err() {
                TrackerError::Invalid { hint: Some(hint), message } => {
                    assert!(hint.contains(name), "{hint}");
                    assert!(!message.contains("pass@") && !hint.contains("pass@"));
                }
                other => panic!("{other}"),
            }
        }
    }

    #[test]
    fn references_are_keys_or_their_addresses() {
        let settings =
            read(r#"{"jira.url":"https://a.test","jira.project":"A","jira.api_token":"t"}"#, &[]).unwrap();
        assert_eq!(settings.key_of(&settings.browse("AB1-7")).as_deref(), Some("AB1-7"));
        assert_eq!(settings.key_of("AB-7").as_deref(), Some("AB-7"));
        for other in ["aa-7", "AB-", "AB-x1", "-7", "https://b.test/browse/AB-7", "gh-9"] {
            assert_eq!(settings.key_of(other), None, "{other}");
        }
    }
}
