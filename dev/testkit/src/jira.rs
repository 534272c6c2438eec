//! A fake Jira on the loopback: enough of versions 2 and 3 of its interface to synchronise with, and what goes wrong with the real one.
//!
//! All state is behind one lock, and every request is answered by one function of it. Time goes on by a second with each change. It is
//! stricter than the real one: what it does not know in a request is refused, so that a test sees it.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// The name and the token that it accepts.
pub const CREDENTIALS: (&str, &str) = ("me@example.test", "s3cret");
const AUTHORIZATION: &str = "Basic bWVAZXhhbXBsZS50ZXN0OnMzY3JldA==";
const STATUSES: [&str; 4] = ["To Do", "In Progress", "Blocked", "Done"];

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Status 429, with this many seconds to wait.
    TooMany(u32),
    /// Status 503; nothing was done.
    Broken,
    /// To an issue being made: it is made, and the answer is 500.
    MadeThenBroken,
    /// To an issue being made: it is made, and nothing is answered but 401 until the world is calm: as if the asking program had died.
    MadeThenDead,
    /// To an issue being made: it is made, and nothing is answered for ever.
    MadeThenSilent,
    /// To an issue being made: a rule of the project's own refuses it.
    Refused,
    /// To an issue being looked at by itself: somebody gives it another summary just before.
    EditedBefore,
}

/// An issue.
#[derive(Debug, Clone)]
pub struct Issue {
    /// What stays when it moves.
    pub number: u64,
    /// Its key.
    pub key: String,
    /// Its fields as they are sent.
    pub fields: Map<String, Value>,
}

/// What the server knows and does.
#[derive(Debug, Default)]
pub struct World {
    /// In the order in which they were made.
    pub issues: Vec<Issue>,
    /// Seconds.
    clock: u64,
    made: u64,
    /// Requests that changed something, or would have.
    pub writes: usize,
    /// All requests, as method and path.
    pub log: Vec<String>,
    /// What happens to the next requests that it fits.
    pub faults: VecDeque<Fault>,
    dead: bool,
    /// Fields that nobody may set.
    pub refused: BTreeSet<String>,
    /// Fields without which a status is not reached.
    pub required: BTreeMap<String, Vec<String>>,
    /// Issues in a page, at most.
    pub page: usize,
    /// Names of people who may be given work.
    pub people: Vec<String>,
}

impl World {
    /// Makes an issue of some fields over the usual ones; its key.
    pub fn add(&mut self, project: &str, fields: Value) -> String {
        self.made += 1;
        let now = self.tick();
        let key = format!("{project}-{}", self.made);
        let mut all = json!({
            "summary": "t", "description": null, "status": status("To Do"), "priority": {"name": "Medium"},
            "issuetype": {"name": "Task"}, "labels": [], "assignee": null, "created": now, "updated": now, "resolutiondate": null,
        });
        merge(&mut all, fields);
        let Value::Object(fields) = all else { unreachable!("it was made as an object") };
        self.issues.push(Issue { number: 10_000 + self.made, key: key.clone(), fields });
        key
    }

    /// Changes fields of an issue, as somebody would in a browser.
    pub fn edit(&mut self, key: &str, fields: Value) {
        let now = self.tick();
        let issue = self.issue_mut(key).expect("the issue is there");
        let mut all = Value::Object(std::mem::take(&mut issue.fields));
        merge(&mut all, fields);
        all["updated"] = json!(now);
        issue.fields = all.as_object().cloned().unwrap_or_default();
    }

    /// An issue.
    pub fn issue(&self, key: &str) -> Option<&Issue> {
        self.issues.iter().find(|issue| issue.key == key)
    }

    /// A field of an issue.
    pub fn field(&self, key: &str, field: &str) -> Value {
        self.issue(key).and_then(|issue| issue.fields.get(field).cloned()).unwrap_or_default()
    }

    /// No faults any more.
    pub fn calm(&mut self) {
        self.dead = false;
        self.faults.clear();
    }

    fn issue_mut(&mut self, key: &str) -> Option<&mut Issue> {
        self.issues.iter_mut().find(|issue| issue.key == key)
    }

    fn tick(&mut self) -> String {
        self.clock += 1;
        let (hours, minutes, seconds) = (self.clock / 3600 % 24, self.clock / 60 % 60, self.clock % 60);
        format!("2026-02-01T{hours:02}:{minutes:02}:{seconds:02}.000+0000")
    }

    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &str) -> Answer {
        let path = uri.path().to_owned();
        self.log.push(format!("{method} {path}"));
        let is_create = *method == Method::POST && path.ends_with("/issue");
        if *method != Method::GET {
            self.writes += 1;
        }
        if self.dead || headers.get("Authorization").is_none_or(|value| value != AUTHORIZATION) {
            return refusal(401, "who are you? s3cret is no good");
        }
        let looked_at = path.rsplit_once("/issue/").map(|(_, key)| key.to_owned());
        let fits = |fault: &Fault| match fault {
            Fault::TooMany(_) | Fault::Broken => true,
            Fault::EditedBefore => *method == Method::GET && looked_at.is_some(),
            _ => is_create,
        };
        let fault = self.faults.front().copied().filter(fits);
        if fault.is_some() {
            self.faults.pop_front();
        }
        match fault {
            Some(Fault::TooMany(seconds)) => return Answer { wait: Some(seconds), ..refusal(429, "slowly") },
            Some(Fault::Broken) => return refusal(503, "later"),
            Some(Fault::Refused) => {
                return Answer::of(400, json!({"errors": {"summary": "A rule of the project refuses it."}}));
            }
            Some(Fault::EditedBefore) => {
                let key = looked_at.unwrap_or_default();
                self.edit(&key, json!({"summary": "edited meanwhile"}));
            }
            _ => {}
        }
        let Some((version, path)) = path.strip_prefix("/rest/api/").and_then(|rest| rest.split_once('/'))
        else {
            return refusal(404, "no such page");
        };
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let query = query(uri);
        let answer = self.route(method, version, path, &query, &body);
        match fault {
            Some(Fault::MadeThenBroken) => refusal(500, "something broke"),
            Some(Fault::MadeThenSilent) => Answer { is_silent: true, ..answer },
            Some(Fault::MadeThenDead) => {
                self.dead = true;
                refusal(401, "gone")
            }
            _ => answer,
        }
    }

    fn route(
        &mut self,
        method: &Method,
        version: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> Answer {
        let parts: Vec<&str> = path.split('/').collect();
        match (method.as_str(), version, parts.as_slice()) {
            ("GET", "2", ["search"]) | ("GET", "3", ["search", "jql"]) => self.search(version, query),
            (_, "3", ["search"]) => refusal(410, "this page has gone, use search/jql"),
            ("GET", _, ["user", "assignable", "search"]) => self.person(version, query),
            ("POST", _, ["issue"]) => self.create(version, body),
            ("GET", _, ["issue", key]) => match self.issue(key) {
                Some(issue) => Answer::of(200, shown(issue)),
                None => refusal(404, "Issue does not exist or you do not have permission to see it."),
            },
            ("PUT", _, ["issue", key]) => self.set(version, key, body),
            ("GET", _, ["issue", key, "transitions"]) if self.issue(key).is_some() => {
                let all: Vec<Value> =
                    STATUSES.iter().enumerate().map(|(at, name)| self.way(at, name)).collect();
                Answer::of(200, json!({"transitions": all}))
            }
            ("POST", _, ["issue", key, "transitions"]) => self.transit(key, body),
            _ => refusal(404, "no such page"),
        }
    }

    fn search(&self, version: &str, query: &BTreeMap<String, String>) -> Answer {
        let jql = query.get("jql").map_or("", String::as_str);
        let mut found = Vec::new();
        for issue in &self.issues {
            match fulfils(issue, jql) {
                Some(true) => found.push(issue),
                Some(false) => {}
                None => return refusal(400, &format!("Error in the JQL query: {jql}")),
            }
        }
        let number =
            |name: &str| query.get(name).and_then(|text| text.trim_start_matches("page").parse().ok());
        let size = number("maxResults").unwrap_or(50).min(if self.page == 0 { 100 } else { self.page });
        let start: usize = number(if version == "2" { "startAt" } else { "nextPageToken" }).unwrap_or(0);
        let page: Vec<Value> = found.iter().skip(start).take(size).map(|issue| shown(issue)).collect();
        let end = start + page.len();
        if version == "2" {
            let total = found.len();
            return Answer::of(
                200,
                json!({"startAt": start, "maxResults": size, "total": total, "issues": page}),
            );
        }
        // The last page has no token at all.
        match end < found.len() {
            true => Answer::of(
                200,
                json!({"issues": page, "isLast": false, "nextPageToken": format!("page{end}")}),
            ),
            false => Answer::of(200, json!({"issues": page, "isLast": true})),
        }
    }

    fn person(&self, version: &str, query: &BTreeMap<String, String>) -> Answer {
        let Some(name) = query.get(if version == "2" { "username" } else { "query" }) else {
            return refusal(400, "nobody was asked for");
        };
        let people = self.people.iter().filter(|person| person.contains(name.as_str()));
        let shown = |person: &String| match version {
            "2" => json!({"name": format!("u-{person}"), "displayName": person}),
            _ => json!({"accountId": format!("id-{person}"), "displayName": person}),
        };
        Answer::of(200, people.map(shown).collect())
    }

    fn create(&mut self, version: &str, body: &Value) -> Answer {
        let Some(project) = body["fields"]["project"]["key"].as_str().map(str::to_owned) else {
            return Answer::of(400, json!({"errors": {"project": "project is required"}}));
        };
        let mut fields = body["fields"].clone();
        fields.as_object_mut().map(|fields| fields.remove("project"));
        if fields["summary"].as_str().is_none() || fields["issuetype"]["name"].as_str().is_none() {
            return Answer::of(400, json!({"errors": {"summary": "You must specify a summary and a type."}}));
        }
        if let Some(answer) = self.wrong(version, &fields) {
            return answer;
        }
        let key = self.add(&project, fields);
        Answer::of(201, json!({"id": self.made.to_string(), "key": key}))
    }

    fn set(&mut self, version: &str, key: &str, body: &Value) -> Answer {
        if self.issue(key).is_none() {
            return refusal(404, "Issue does not exist or you do not have permission to see it.");
        }
        let mut fields = body["fields"].clone();
        if let Some(answer) = self.wrong(version, &fields) {
            return answer;
        }
        let id = if version == "2" { "name" } else { "accountId" };
        if let Some(person) = fields["assignee"][id].as_str().map(str::to_owned) {
            let (_, name) = person.split_once('-').unwrap_or_default();
            fields["assignee"] = json!({"displayName": name, id: person});
        } else if fields["assignee"].is_null()
            && !body["fields"].as_object().is_some_and(|all| all.contains_key("assignee"))
        {
            fields.as_object_mut().map(|fields| fields.remove("assignee"));
        }
        self.edit(key, fields);
        Answer::of(204, Value::Null)
    }

    /// What Jira would not take.
    fn wrong(&self, version: &str, fields: &Value) -> Option<Answer> {
        let mut errors = Map::new();
        for (name, value) in fields.as_object()? {
            let name_of = value["name"].as_str().unwrap_or_default();
            let is_right = match name.as_str() {
                "summary" => value
                    .as_str()
                    .is_some_and(|text| !text.is_empty() && text.len() < 1021 && !text.contains('\n')),
                "description" if version == "2" => value.is_string(),
                "description" => value["type"] == "doc" && value["version"] == 1,
                "priority" => ["Highest", "High", "Medium", "Low", "Lowest"].contains(&name_of),
                "issuetype" => ["Bug", "Story", "Epic", "Task"].contains(&name_of),
                "labels" => value.as_array().is_some_and(|labels| {
                    labels.iter().all(|label| label.as_str().is_some_and(|label| !label.contains(' ')))
                }),
                "assignee" => true,
                _ => false,
            };
            if !is_right || self.refused.contains(name) {
                let why =
                    format!("Field '{name}' cannot be set. It is not on the appropriate screen, or unknown.");
                errors.insert(name.clone(), json!(why));
            }
        }
        (!errors.is_empty()).then(|| Answer::of(400, json!({"errorMessages": [], "errors": errors})))
    }

    fn way(&self, at: usize, name: &str) -> Value {
        let required = self.required.get(name).into_iter().flatten();
        let fields: Map<String, Value> = required
            .map(|field| (field.clone(), json!({"required": true, "hasDefaultValue": false})))
            .collect();
        json!({"id": at.to_string(), "name": format!("Go to {name}"), "to": {"name": name}, "fields": fields})
    }

    fn transit(&mut self, key: &str, body: &Value) -> Answer {
        let at = body["transition"]["id"].as_str().and_then(|id| id.parse::<usize>().ok());
        let (Some(name), Some(_)) = (at.and_then(|at| STATUSES.get(at)), self.issue(key)) else {
            return refusal(400, "It seems that you have tried to perform an invalid workflow operation.");
        };
        if self.required.contains_key(*name) {
            return refusal(400, "A field is required.");
        }
        self.edit(key, json!({"status": status(name)}));
        Answer::of(204, Value::Null)
    }
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Jira {
    world: Arc<Mutex<World>>,
    /// Its address.
    pub url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Jira {
    /// Starts one on a free port.
    pub fn start() -> Jira {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            let runtime = runtime.expect("a thread may have a runtime");
            runtime.block_on(async move {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("the socket does not block");
                let app = Router::new().fallback(
                    move |method: Method, uri: Uri, headers: HeaderMap, body: String| {
                        let answer = lock(&shared).answer(&method, &uri, &headers, &body);
                        async move {
                            if answer.is_silent {
                                std::future::pending::<()>().await;
                            }
                            answer.response()
                        }
                    },
                );
                tokio::select! {
                    _ = async { axum::serve(listener, app).await } => {}
                    _ = stopped => {}
                }
            });
        });
        Jira { world, url, stop: Some(stop), thread: Some(thread) }
    }

    /// What it knows; requests wait while it is looked at.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }
}

impl Drop for Jira {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has failed a request, which the test saw.
            let _ = thread.join();
        }
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Answer {
    status: u16,
    wait: Option<u32>,
    is_silent: bool,
    body: Value,
}

impl Answer {
    fn of(status: u16, body: Value) -> Answer {
        Answer { status, wait: None, is_silent: false, body }
    }

    fn response(self) -> Response<Body> {
        let mut response = Response::builder().status(self.status);
        if let Some(seconds) = self.wait {
            response = response.header("Retry-After", seconds.to_string());
        }
        let body = if self.body.is_null() { String::new() } else { self.body.to_string() };
        response.body(Body::from(body)).expect("its head is made of numbers")
    }
}

fn refusal(status: u16, why: &str) -> Answer {
    Answer::of(status, json!({"errorMessages": [why], "errors": {}}))
}

/// A status as it is sent.
pub fn status(name: &str) -> Value {
    let category = match name {
        "Done" | "Closed" | "Resolved" => "done",
        "To Do" => "new",
        _ => "indeterminate",
    };
    json!({"name": name, "statusCategory": {"key": category}})
}

fn shown(issue: &Issue) -> Value {
    json!({"id": issue.number.to_string(), "key": issue.key, "fields": issue.fields})
}

fn merge(into: &mut Value, from: Value) {
    if let Value::Object(fields) = from {
        for (name, value) in fields {
            into[name] = value;
        }
    }
}

/// Whether an issue fulfils a query of the few forms that are understood.
fn fulfils(issue: &Issue, jql: &str) -> Option<bool> {
    let jql = jql.split(" ORDER BY ").next().unwrap_or_default();
    let mut all = true;
    for part in jql.split(" AND ") {
        let part = part.trim_matches(|letter| letter == ' ');
        let list = |prefix: &str| -> Option<Vec<String>> {
            let inside = part.strip_prefix(prefix)?.strip_suffix(')')?;
            Some(inside.split(", ").map(|name| name.trim_matches('"').to_owned()).collect())
        };
        let has_label = |label: &String| {
            issue.fields["labels"].as_array().is_some_and(|labels| labels.iter().any(|own| own == label))
        };
        let is_done = issue.fields["status"]["statusCategory"]["key"] == "done";
        all &= if let Some(projects) = list("project in (") {
            projects.iter().any(|project| issue.key.starts_with(&format!("{project}-")))
        } else if let Some(labels) = list("labels in (") {
            labels.iter().any(has_label)
        } else if let Some(labels) = list("(labels = ") {
            labels.iter().all(has_label)
        } else {
            match part {
                "statusCategory != Done" => !is_done,
                "statusCategory = Done" => is_done,
                _ => return None,
            }
        };
    }
    Some(all)
}

/// The parameters of an address.
fn query(uri: &Uri) -> BTreeMap<String, String> {
    let pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), unescaped(value))).collect()
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
