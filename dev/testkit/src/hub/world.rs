//! What the hub knows, and how it answers.

use super::content::{Content, End, Sent};
use super::{STRANGER, TOKEN};
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Who may read a repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    #[default]
    Open,
    /// Its list everybody, its files whom its owner let in.
    Gated,
    /// Its owner; to others it is not there.
    Private,
}

/// A repository.
#[derive(Debug, Clone, Default)]
pub struct Repo {
    /// The commit of `main`, 40 hex digits.
    pub sha: String,
    /// Its files.
    pub files: BTreeMap<String, Content>,
    /// Branches and tags beside `main`, which all have the same files.
    pub names: BTreeMap<String, String>,
    /// Who may read it.
    pub access: Access,
}

/// What happens to one request for the bytes of a file, or, if it is a status, to any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after this many bytes.
    Cut(u64),
    /// Nothing comes after this many bytes.
    Silent(u64),
    /// Other bytes come.
    Wrong,
    /// This status, and nothing is done.
    Status(u16),
    /// Status 429, with this many seconds to wait.
    TooMany(u32),
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// The name under which the server was asked, with the port.
    pub host: String,
    /// Its path, unescaped.
    pub path: String,
    /// Its `Range`.
    pub range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
}

/// What the server knows and does.
#[derive(Debug, Default)]
pub struct World {
    /// By `models` or `datasets`, and `owner/name`.
    pub repos: BTreeMap<(String, String), Repo>,
    /// Plain files under `/files/`.
    pub files: BTreeMap<String, Content>,
    /// All requests.
    pub log: Vec<Asked>,
    /// What happens to the next requests that it fits.
    pub faults: VecDeque<Fault>,
    /// Address of the host that has the files which are apart from git, if it is another.
    pub elsewhere: Option<String>,
    /// Entries in a page of a list, at most; 0: 1000.
    pub page: usize,
    /// Digests of large files that were asked for before.
    tags: BTreeMap<u64, String>,
}

type Answer = Response<Body>;

impl World {
    /// Puts a repository in; `kind` is `models` or `datasets`.
    pub fn add(&mut self, kind: &str, name: &str, files: &[(&str, Content)]) -> &mut Repo {
        let repo = Repo {
            sha: "0123456789abcdef0123456789abcdef01234567".to_owned(),
            files: files.iter().map(|(path, content)| ((*path).to_owned(), content.clone())).collect(),
            ..Repo::default()
        };
        let key = (kind.to_owned(), name.to_owned());
        self.repos.insert(key.clone(), repo);
        self.repos.get_mut(&key).expect("it was just put in")
    }

    /// The requests for bytes of files: path and range.
    pub fn fetched(&self) -> Vec<(String, Option<String>)> {
        let gets = self.log.iter().filter(|asked| {
            let is_file = ["/resolve/", "/files/", "/apart/"].iter().any(|part| asked.path.contains(part));
            asked.method == "GET" && is_file
        });
        gets.map(|asked| (asked.path.clone(), asked.range.clone())).collect()
    }

    pub(super) fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Answer {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let asked = Asked {
            method: method.to_string(),
            host: header("Host").unwrap_or_default(),
            path: unescaped(uri.path()),
            range: header("Range"),
            authorization: header("Authorization"),
        };
        self.log.push(asked.clone());
        if !matches!(method.as_str(), "GET" | "HEAD") {
            return refusal(405, "MethodNotAllowed", "only GET and HEAD");
        }
        match self.faults.front().copied() {
            Some(Fault::Status(status)) => {
                self.faults.pop_front();
                return refusal(status, "Fault", "on request");
            }
            Some(Fault::TooMany(seconds)) => {
                self.faults.pop_front();
                let mut answer = refusal(429, "Fault", "slowly");
                answer.headers_mut().insert("Retry-After", seconds.into());
                return answer;
            }
            _ => {}
        }
        let token = asked.authorization.as_deref().map(|text| text.trim_start_matches("Bearer "));
        if token.is_some_and(|token| token != TOKEN && token != STRANGER) {
            let mut answer = refusal(401, "", "Invalid credentials in Authorization header");
            answer.headers_mut().remove("X-Error-Code");
            return answer;
        }
        // Split before it is unescaped: a revision may hold an escaped slash.
        let parts: Vec<String> = uri.path().trim_start_matches('/').split('/').map(unescaped).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let if_range = header("If-Range");
        match parts.as_slice() {
            ["files", rest @ ..] => match self.files.get(&rest.join("/")).cloned() {
                Some(content) => self.send(&asked, &content, if_range.as_deref()),
                None => refusal(404, "EntryNotFound", "no such file"),
            },
            ["apart", tag] => match self.apart(tag) {
                Some(content) => self.send(&asked, &content, if_range.as_deref()),
                None => refusal(404, "EntryNotFound", "no such file"),
            },
            ["api", kind @ ("models" | "datasets"), rest @ ..] => self.list(kind, rest, uri, token),
            ["datasets", rest @ ..] => self.file("datasets", rest, &asked, token, if_range.as_deref()),
            rest => self.file("models", rest, &asked, token, if_range.as_deref()),
        }
    }

    /// What is known of a revision, and the list of its files.
    fn list(&mut self, kind: &str, parts: &[&str], uri: &Uri, token: Option<&str>) -> Answer {
        let Some((name, what, rest)) = split(parts, &["revision", "tree"]) else {
            return refusal(404, "RepoNotFound", "Repository not found");
        };
        let repo = match self.repo(kind, &name, token) {
            Ok(repo) => repo,
            Err(status) => return refusal(status, "RepoNotFound", "Repository not found"),
        };
        let Some(sha) = rest.first().and_then(|revision| commit(&repo, revision)) else {
            return refusal(404, "RevisionNotFound", "Invalid rev id");
        };
        if what == "revision" {
            let siblings: Vec<Value> = repo.files.keys().map(|path| json!({"rfilename": path})).collect();
            let gated = if repo.access == Access::Gated { json!("auto") } else { json!(false) };
            let private = repo.access == Access::Private;
            let all =
                json!({"id": name, "sha": sha, "private": private, "gated": gated, "siblings": siblings});
            return told(&all);
        }
        let query = uri.query().unwrap_or_default();
        let number = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.parse().ok());
        let start: usize = number("cursor=").unwrap_or(0);
        let size = if self.page == 0 { 1000 } else { self.page };
        let entries: Vec<Value> = repo
            .files
            .iter()
            .skip(start)
            .take(size)
            .map(|(path, content)| self.entry(path, content))
            .collect();
        let end = start + entries.len();
        let mut answer = told(&Value::Array(entries));
        if end < repo.files.len() {
            let next = format!("{}/api/{kind}/{name}/tree/{sha}?recursive=true&cursor={end}", self.own(uri));
            let link = format!("<{next}>; rel=\"next\"").parse().expect("an address is a header's value");
            answer.headers_mut().insert("Link", link);
        }
        answer
    }

    /// The bytes of a file of a repository, or where they are.
    fn file(
        &mut self,
        kind: &str,
        parts: &[&str],
        asked: &Asked,
        token: Option<&str>,
        if_range: Option<&str>,
    ) -> Answer {
        let Some((name, _, rest)) = split(parts, &["resolve"]) else {
            return refusal(404, "RepoNotFound", "no such page");
        };
        let repo = match self.repo(kind, &name, token) {
            Ok(repo) => repo,
            Err(status) => return refusal(status, "RepoNotFound", "Repository not found"),
        };
        let Some((sha, path)) =
            rest.split_first().and_then(|(revision, path)| Some((commit(&repo, revision)?, path.join("/"))))
        else {
            return refusal(404, "RevisionNotFound", "Invalid rev id");
        };
        if repo.access == Access::Gated && token != Some(TOKEN) {
            let status = if token.is_none() { 401 } else { 403 };
            return refusal(status, "GatedRepo", "Access to this repository is restricted");
        }
        let Some(content) = repo.files.get(&path) else {
            return refusal(404, "EntryNotFound", "Entry not found");
        };
        let mut answer = match self.elsewhere.clone().filter(|_| content.is_apart()) {
            Some(host) => {
                let mut answer = refusal(302, "", "");
                let address = format!("{host}/apart/{}", self.tag(content));
                answer.headers_mut().remove("X-Error-Code");
                answer.headers_mut().remove("X-Error-Message");
                answer.headers_mut().insert("Location", address.parse().expect("an address is a value"));
                answer
            }
            None => self.send(asked, content, if_range),
        };
        let headers = answer.headers_mut();
        headers.insert("X-Repo-Commit", sha.parse().expect("a commit is a header's value"));
        if content.is_apart() {
            let tag = format!("\"{}\"", self.tag(content));
            headers.insert("X-Linked-Etag", tag.parse().expect("a digest is a header's value"));
            headers.insert("X-Linked-Size", content.length().into());
        }
        answer
    }

    /// A content, or the part of it that was asked for.
    fn send(&mut self, asked: &Asked, content: &Content, if_range: Option<&str>) -> Answer {
        let tag = format!("\"{}\"", self.tag(content));
        let total = content.length();
        let range = asked.range.as_deref().filter(|_| if_range.is_none_or(|wanted| wanted == tag));
        let from =
            range.and_then(|range| range.strip_prefix("bytes=")?.split('-').next()?.parse::<u64>().ok());
        let mut answer = Response::builder().header("ETag", tag).header("Accept-Ranges", "bytes");
        answer = match from {
            Some(from) if from >= total => {
                let answer = answer.status(416).header("Content-Range", format!("bytes */{total}"));
                return answer.body(Body::empty()).expect("its head is made of numbers");
            }
            Some(from) => {
                let range = format!("bytes {from}-{}/{total}", total - 1);
                answer.status(206).header("Content-Range", range)
            }
            None => answer,
        };
        let at = from.unwrap_or(0);
        answer = answer.header("Content-Length", total - at);
        if asked.method == "HEAD" {
            return answer.body(Body::empty()).expect("its head is made of numbers");
        }
        let (end, is_wrong) = match self.faults.pop_front() {
            Some(Fault::Cut(limit)) => (End::Cut(limit), false),
            Some(Fault::Silent(limit)) => (End::Silent(limit), false),
            Some(Fault::Wrong) => (End::Whole, true),
            _ => (End::Whole, false),
        };
        let sent = Sent { content: content.clone(), at, sent: 0, end, is_flushed: false, is_wrong };
        answer.body(Body::new(sent)).expect("its head is made of numbers")
    }

    /// A repository that may be seen with a token, or the status of the refusal.
    fn repo(&self, kind: &str, name: &str, token: Option<&str>) -> Result<Repo, u16> {
        let repo = self.repos.get(&(kind.to_owned(), name.to_owned()));
        match repo.filter(|repo| repo.access != Access::Private || token == Some(TOKEN)) {
            Some(repo) => Ok(repo.clone()),
            // As the real one has it, so that nobody learns what there is.
            None => Err(if token.is_none() { 401 } else { 404 }),
        }
    }

    fn entry(&mut self, path: &str, content: &Content) -> Value {
        let size = content.length();
        if !content.is_apart() {
            return json!({"type": "file", "path": path, "size": size, "oid": content.git_name()});
        }
        let lfs = json!({"oid": self.tag(content), "size": size, "pointerSize": 134});
        json!({"type": "file", "path": path, "size": size, "oid": "b".repeat(40), "lfs": lfs})
    }

    fn apart(&mut self, tag: &str) -> Option<Content> {
        let all: Vec<Content> = self.repos.values().flat_map(|repo| repo.files.values()).cloned().collect();
        all.into_iter().find(|content| content.is_apart() && self.tag(content) == tag)
    }

    /// The entity tag; a generated content's is worked out once.
    fn tag(&mut self, content: &Content) -> String {
        match content {
            Content::Generated(length) => self.tags.entry(*length).or_insert_with(|| content.tag()).clone(),
            _ => content.tag(),
        }
    }

    fn own(&self, uri: &Uri) -> String {
        let host = self.log.last().map(|asked| asked.host.clone()).or_else(|| uri.host().map(str::to_owned));
        format!("http://{}", host.unwrap_or_default())
    }
}

/// The commit that a revision names.
fn commit(repo: &Repo, revision: &str) -> Option<String> {
    match revision {
        "main" => Some(repo.sha.clone()),
        _ if revision == repo.sha => Some(repo.sha.clone()),
        _ => repo.names.get(revision).cloned(),
    }
}

/// The name of a repository, with or without an owner, the word after it, and the rest.
fn split<'p>(parts: &[&'p str], words: &[&str]) -> Option<(String, &'p str, Vec<&'p str>)> {
    let at = (1..=2).find(|at| parts.get(*at).is_some_and(|part| words.contains(part)))?;
    Some((parts[..at].join("/"), parts[at], parts[at + 1..].to_vec()))
}

fn told(value: &Value) -> Answer {
    let answer = Response::builder().header("Content-Type", "application/json");
    answer.body(Body::from(value.to_string())).expect("its head is constant")
}

fn refusal(status: u16, code: &str, message: &str) -> Answer {
    let answer = Response::builder().status(status).header("X-Error-Code", code);
    let body = json!({"error": message}).to_string();
    answer.header("X-Error-Message", message).body(Body::from(body)).expect("its head is plain text")
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
