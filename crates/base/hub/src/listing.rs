//! What the hub says of a repository: which commit a revision is, and which files it has.
//!
//! Answers are read laxly, since a hub adds to them when it likes. What becomes a path on this machine is looked at first: a list with
//! `../` in it is refused. Of the address of a next page only the query is taken, so that a token goes nowhere else.

use crate::snapshot::{Hub, HubError, Wanted};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path};
use wootz_schema::hub::HubKind;

/// A file of a repository, by the path within it.
pub type Listing = BTreeMap<String, Entry>;

/// What is known of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Size.
    pub bytes: u64,
    /// The SHA-1 of the blob in git, which may be a pointer.
    pub git: String,
    /// The SHA-256 of a file that is apart from git.
    pub sha256: Option<String>,
    /// Its name in another store of the hub, which the official client uses.
    pub xet: Option<String>,
}

impl Entry {
    /// The name of its bytes in the cache.
    pub fn tag(&self) -> &str {
        self.sha256.as_deref().unwrap_or(&self.git)
    }
}

/// `models` or `datasets`.
pub fn plural(kind: HubKind) -> &'static str {
    match kind {
        HubKind::Model => "models",
        HubKind::Dataset => "datasets",
    }
}

/// Whether something is hex digits, so many.
pub fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path stays where it is put.
pub fn is_inside(path: &str) -> bool {
    let is_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    is_plain && !path.is_empty() && !path.contains(['\0', '\\']) && !path.ends_with('/')
}

impl Hub<'_> {
    /// The commit of a revision.
    pub(crate) fn commit(&self, wanted: &Wanted<'_>) -> Result<String, HubError> {
        let url = format!("{}/revision/{}", self.api(wanted), escaped(wanted.revision, ""));
        let (answer, _) = self.ask(wanted, &url)?;
        match answer["sha"].as_str().filter(|sha| is_hex(sha, 40)) {
            Some(sha) => Ok(sha.to_owned()),
            None => Err(odd(wanted, "no commit")),
        }
    }

    /// The files of a commit.
    pub(crate) fn list(&self, wanted: &Wanted<'_>, sha: &str) -> Result<Listing, HubError> {
        let page = format!("{}/tree/{sha}", self.api(wanted));
        let mut url = format!("{page}?recursive=true&expand=false");
        let mut all = Listing::new();
        loop {
            let (answer, link) = self.ask(wanted, &url)?;
            let entries = answer.as_array().ok_or_else(|| odd(wanted, "no list of files"))?;
            for entry in entries.iter().filter(|entry| entry["type"] == "file") {
                let path = entry["path"].as_str().unwrap_or_default();
                let read = read(entry).filter(|_| is_inside(path));
                let read = read.ok_or_else(|| odd(wanted, &format!("the file {path:?}")))?;
                all.insert(path.to_owned(), read);
            }
            match link.as_deref().and_then(next) {
                Some(query) if !entries.is_empty() => url = format!("{page}?{query}"),
                _ => return Ok(all),
            }
        }
    }

    /// Where a file's bytes are.
    pub(crate) fn address(&self, wanted: &Wanted<'_>, sha: &str, path: &str) -> String {
        let folder = match wanted.kind {
            HubKind::Model => "",
            HubKind::Dataset => "datasets/",
        };
        format!("{}/{folder}{}/resolve/{sha}/{}", self.place.endpoint(), wanted.repo, escaped(path, "/"))
    }

    fn api(&self, wanted: &Wanted<'_>) -> String {
        format!("{}/api/{}/{}", self.place.endpoint(), plural(wanted.kind), wanted.repo)
    }

    fn ask(&self, wanted: &Wanted<'_>, url: &str) -> Result<(Value, Option<String>), HubError> {
        let page = self.fetcher().page(url, self.place.token.as_deref());
        let page = page.map_err(|error| self.explained(wanted, error))?;
        let answer = serde_json::from_slice(&page.body).map_err(|_| odd(wanted, "no JSON"))?;
        Ok((answer, page.link))
    }
}

fn read(entry: &Value) -> Option<Entry> {
    let lfs = &entry["lfs"];
    let sha256 = lfs["oid"].as_str().map(|oid| oid.trim_start_matches("sha256:").to_owned());
    let read = Entry {
        bytes: lfs["size"].as_u64().or_else(|| entry["size"].as_u64())?,
        git: entry["oid"].as_str()?.to_owned(),
        sha256,
        xet: entry["xetHash"].as_str().map(str::to_owned),
    };
    is_right(&read).then_some(read)
}

/// Whether its digests are such, and so can be names of files.
pub fn is_right(entry: &Entry) -> bool {
    is_hex(&entry.git, 40) && entry.sha256.as_ref().is_none_or(|sha256| is_hex(sha256, 64))
}

/// The query of the next page's address.
fn next(link: &str) -> Option<&str> {
    let link = link.split(',').find(|link| link.contains("rel=\"next\""))?;
    let (_, rest) = link.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    Some(address.split_once('?')?.1)
}

fn odd(wanted: &Wanted<'_>, what: &str) -> HubError {
    HubError::Odd { repo: wanted.repo.to_owned(), what: what.to_owned() }
}

/// A text within an address; letters of `kept` stay as they are.
fn escaped(text: &str, kept: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            _ if kept.as_bytes().contains(&byte) => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
