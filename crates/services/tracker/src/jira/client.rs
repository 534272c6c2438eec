//! Requests to Jira's REST interface, versions 2 and 3.
//!
//! A request that may be made twice is made again after 429, 5xx and broken connections, as `Retry-After` says or after waits that double;
//! one that may not is only made again after 429, which says that nothing was done. Redirects are not followed, so that credentials go
//! nowhere else. Messages never hold the token.
//!
//! Source: the public reference of the Jira Cloud platform's REST API (search by JQL, issues, transitions, users). Version 3 pages by
//! `nextPageToken`, which the last page lacks; version 2 by `startAt`. Not covered: OAuth, cookies.

use super::maps::Maps;
use super::settings::{Api, Settings};
use super::sides::Remote;
use crate::store::TrackerError;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Method, Request, Response};
use ureq::tls::{RootCerts, TlsConfig};

/// What is asked of an issue.
const FIELDS: &str =
    "summary,description,status,priority,issuetype,labels,assignee,created,updated,resolutiondate";
/// Issues in a page.
const PAGE: usize = 100;
/// No answer is longer.
const ANSWER_BYTES: u64 = 64 << 20;

/// Why a request did not do what it was for.
#[derive(Debug)]
pub enum Failure {
    /// Nothing will work: the credentials, the network, Jira as a whole.
    Fatal(TrackerError),
    /// Jira does not have it, or does not show it.
    Gone,
    /// This request will not be taken as it is.
    Refused {
        /// What Jira says.
        why: String,
        /// What it says of fields, by their names.
        fields: BTreeMap<String, String>,
    },
    /// It may have been done or not.
    Uncertain(String),
}

impl Failure {
    /// As an error, with what was tried.
    pub fn error(self, what: &str) -> TrackerError {
        match self {
            Failure::Fatal(error) => error,
            Failure::Gone => failed(format!("Failed to {what}: Jira does not have it"), None),
            Failure::Refused { why, .. } => failed(format!("Failed to {what}: {why}"), None),
            Failure::Uncertain(why) => failed(format!("Failed to {what}: {why}"), None),
        }
    }
}

/// A way from one status to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// What it is asked for by.
    pub id: String,
    /// Jira's name of the status behind it.
    pub to: String,
    /// Names of the fields without which it is refused.
    pub required: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    Yes,
    /// Only after an answer that says that nothing was done.
    No,
}

/// A connection.
#[derive(Debug)]
pub struct Client<'a> {
    agent: Agent,
    settings: &'a Settings,
}

impl<'a> Client<'a> {
    /// Connects at the first request.
    pub fn new(settings: &'a Settings) -> Client<'a> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_global(Some(settings.pace.timeout))
            .user_agent("wootz")
            .build();
        Client { agent: config.into(), settings }
    }

    fn maps(&self) -> &Maps {
        &self.settings.maps
    }

    /// All issues that fulfil a condition, by key.
    pub fn search(&self, jql: &str) -> Result<BTreeMap<String, Remote>, Failure> {
        let mut found = BTreeMap::new();
        let mut token: Option<String> = None;
        let mut seen = BTreeSet::new();
        let mut at = 0;
        loop {
            let size = PAGE.to_string();
            let start = at.to_string();
            let mut query = vec![("jql", jql), ("fields", FIELDS), ("maxResults", &size)];
            let path = match self.settings.api {
                Api::V2 => {
                    query.push(("startAt", &start));
                    "search"
                }
                Api::V3 => {
                    query.extend(token.as_deref().map(|token| ("nextPageToken", token)));
                    "search/jql"
                }
            };
            let page = self.get(path, &query)?;
            let Some(issues) = page["issues"].as_array() else {
                return Err(Failure::Fatal(failed(
                    "Jira answered a search with no list of issues".to_owned(),
                    None,
                )));
            };
            let remotes = issues.iter().filter_map(|issue| Remote::of(issue, self.maps()));
            found.extend(remotes.map(|remote| (remote.key.clone(), remote)));
            at += issues.len();
            match self.settings.api {
                Api::V2 => {
                    let total = page["total"].as_u64().and_then(|total| usize::try_from(total).ok());
                    if issues.is_empty() || total.is_none_or(|total| at >= total) {
                        return Ok(found);
                    }
                }
                Api::V3 => {
                    token = page["nextPageToken"].as_str().map(str::to_owned);
                    match &token {
                        Some(token) if page["isLast"] != true => {
                            if !seen.insert(token.clone()) {
                                let why = "Jira sends the same page of a search again and again".to_owned();
                                return Err(Failure::Fatal(failed(why, None)));
                            }
                        }
                        _ => return Ok(found),
                    }
                }
            }
        }
    }

    /// One issue, with its labels as they are.
    pub fn issue(&self, key: &str) -> Result<(Remote, Vec<String>), Failure> {
        let issue = self.get(&format!("issue/{key}"), &[("fields", FIELDS)])?;
        let labels = issue["fields"]["labels"].as_array().into_iter().flatten();
        let labels = labels.filter_map(|label| label.as_str().map(str::to_owned)).collect();
        Ok((Remote::of(&issue, self.maps()).ok_or(Failure::Gone)?, labels))
    }

    /// Makes an issue; its key. Made once: where that is not known, the failure says so.
    pub fn create(&self, fields: &Value) -> Result<String, Failure> {
        let made = self.send(Method::POST, "issue", &json!({"fields": fields}), Again::No)?;
        let key = made["key"].as_str().map(str::to_owned);
        key.ok_or_else(|| Failure::Uncertain("Jira did not say which issue it made".to_owned()))
    }

    /// Sets fields of an issue.
    pub fn edit(&self, key: &str, fields: &Value) -> Result<(), Failure> {
        let body = json!({"fields": fields});
        self.send(Method::PUT, &format!("issue/{key}"), &body, Again::Yes).map(drop)
    }

    /// The ways on from an issue's status.
    pub fn transitions(&self, key: &str) -> Result<Vec<Transition>, Failure> {
        let path = format!("issue/{key}/transitions");
        let answer = self.get(&path, &[("expand", "transitions.fields")])?;
        let all = answer["transitions"].as_array().into_iter().flatten();
        let transition = |value: &Value| {
            let fields = value["fields"].as_object().into_iter().flatten();
            let required =
                fields.filter(|(_, field)| field["required"] == true && field["hasDefaultValue"] != true);
            Some(Transition {
                id: value["id"].as_str()?.to_owned(),
                to: value["to"]["name"].as_str().or(value["name"].as_str())?.to_owned(),
                required: required.map(|(name, _)| name.clone()).collect(),
            })
        };
        Ok(all.filter_map(transition).collect())
    }

    /// Goes such a way.
    pub fn transit(&self, key: &str, id: &str) -> Result<(), Failure> {
        let body = json!({"transition": {"id": id}});
        self.send(Method::POST, &format!("issue/{key}/transitions"), &body, Again::No).map(drop)
    }

    /// What Jira knows a person by who may work on an issue; `None` where no one, or more than one, has this name.
    pub fn person(&self, key: &str, name: &str) -> Result<Option<Value>, Failure> {
        let by = match self.settings.api {
            Api::V2 => "username",
            Api::V3 => "query",
        };
        let found = self.get("user/assignable/search", &[("issueKey", key), (by, name)])?;
        let found = found.as_array().into_iter().flatten();
        let mut same = found.filter(|person| person["displayName"] == name);
        let (Some(person), None) = (same.next(), same.next()) else { return Ok(None) };
        Ok(match (&person["accountId"], &person["name"]) {
            (Value::String(id), _) => Some(json!({"accountId": id})),
            (_, Value::String(name)) => Some(json!({"name": name})),
            _ => None,
        })
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        let query: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        self.request(Method::GET, &format!("{path}?{}", query.join("&")), String::new(), Again::Yes)
    }

    fn send(&self, method: Method, path: &str, body: &Value, again: Again) -> Result<Value, Failure> {
        self.request(method, path, body.to_string(), again)
    }

    /// Makes a request until it is answered.
    fn request(&self, method: Method, path: &str, body: String, again: Again) -> Result<Value, Failure> {
        let pace = self.settings.pace;
        let mut wait = pace.first;
        let mut attempt = 1;
        loop {
            let (problem, asked, nothing_done) = match self.once(&method, path, &body) {
                Ok(answer) if matches!(answer.status, 429 | 500 | 502 | 503 | 504) => {
                    let problem = format!("Jira answered {}", answer.status);
                    (problem, answer.retry_after, answer.status == 429)
                }
                Ok(answer) => return self.judge(answer),
                Err(problem) => (problem, None, false),
            };
            if again == Again::No && !nothing_done {
                // What comes next asks Jira again, and does so when Jira wants it to.
                thread::sleep(asked.filter(|asked| *asked <= pace.longest).unwrap_or_default());
                return Err(Failure::Uncertain(problem));
            }
            let next = asked.unwrap_or(wait);
            if attempt >= pace.attempts.max(1) || next > pace.longest {
                let hint = match asked {
                    Some(asked) => format!("Jira asks to wait {} s; try again then", asked.as_secs()),
                    None => "try again later; what was done stays done".to_owned(),
                };
                let message = format!("{problem} ({attempt} attempts)");
                return Err(Failure::Fatal(failed(message, Some(hint))));
            }
            thread::sleep(next);
            wait = (wait * 2).min(pace.longest);
            attempt += 1;
        }
    }

    fn once(&self, method: &Method, path: &str, body: &str) -> Result<Answer, String> {
        let version = match self.settings.api {
            Api::V2 => 2,
            Api::V3 => 3,
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/rest/api/{version}/{path}", self.settings.url))
            .header("Authorization", self.authorization())
            .header("Accept", "application/json");
        let problem = |error: &dyn std::fmt::Display| {
            self.without_token(&format!("Failed to reach Jira at {}: {error}", self.settings.url))
        };
        let answer: Result<Response<ureq::Body>, ureq::Error> = match body {
            "" => {
                let request = request.body(()).map_err(|error| problem(&error))?;
                self.agent.run(request)
            }
            body => {
                let request = request.header("Content-Type", "application/json").body(body.to_owned());
                self.agent.run(request.map_err(|error| problem(&error))?)
            }
        };
        let mut answer = answer.map_err(|error| problem(&error))?;
        let seconds =
            answer.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES).read_to_vec();
        Ok(Answer {
            status: answer.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
            body: body.map_err(|error| problem(&error))?,
        })
    }

    fn judge(&self, answer: Answer) -> Result<Value, Failure> {
        let hint = |text: &str| Some(text.to_owned());
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        match answer.status {
            200..=299 if answer.body.is_empty() || !body.is_null() => Ok(body),
            200..=299 => Err(Failure::Fatal(failed(
                "Jira answered with something that is not JSON".to_owned(),
                hint("look whether the address is that of Jira itself"),
            ))),
            300..=399 => Err(Failure::Fatal(failed(
                format!("Jira is somewhere else (status {})", answer.status),
                hint("give the address that a browser shows in the end"),
            ))),
            401 => Err(Failure::Fatal(failed(
                "Jira did not accept the credentials (status 401)".to_owned(),
                hint("look at JIRA_USERNAME and JIRA_API_TOKEN"),
            ))),
            404 => Err(Failure::Gone),
            status => {
                let text = |value: &Value| value.as_str().map(|text| self.without_token(text));
                let messages = body["errorMessages"].as_array().into_iter().flatten().filter_map(text);
                let fields = body["errors"].as_object().into_iter().flatten();
                let fields: BTreeMap<String, String> =
                    fields.filter_map(|(name, why)| Some((name.clone(), text(why)?))).collect();
                let of_fields = fields.iter().map(|(name, why)| format!("{name}: {why}"));
                let mut why: Vec<String> = messages.chain(of_fields).collect();
                if why.is_empty() {
                    why.push("without saying why".to_owned());
                }
                let why = format!("Jira refused it (status {status}): {}", why.join("; "));
                Err(Failure::Refused { why, fields })
            }
        }
    }

    fn authorization(&self) -> String {
        let Settings { username, token, .. } = self.settings;
        match username.as_str() {
            "" => format!("Bearer {}", token.0),
            name => format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{}", token.0))),
        }
    }

    /// Whatever others say, the token is not repeated.
    fn without_token(&self, text: &str) -> String {
        match self.settings.token.0.as_str() {
            "" => text.to_owned(),
            token => text.replace(token, "***"),
        }
    }
}

struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

/// An error that Jira, or the way to it, gave.
pub fn failed(message: String, hint: Option<String>) -> TrackerError {
    TrackerError::Remote { message, hint }
}

/// A value in an address.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
