//! A repository at one commit: asked for, downloaded, linked.
//!
//! Not covered: the hub's newer store (Xet), whose files it serves over plain HTTP too; a snapshot outside the cache.

use crate::cache::Cache;
use crate::listing::{Entry, Listing, is_hex, is_inside, plural};
use crate::patterns::Patterns;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use wootz_fetch::{FetchError, Fetcher, Pace};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::hub::{HubFile, HubKind, HubSnapshot, VERSION};
use wootz_schema::progress::{Observe, Progress, Silent};
use wootz_schema::{Diagnose, ExitCode};

const OFFICIAL: &str = "https://huggingface.co";

/// Where a hub is, and who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Its address; none: the official one.
    pub endpoint: Option<String>,
    /// Sent to this address alone, and never shown.
    pub token: Option<String>,
    /// Nothing is asked for: what the cache has is all there is.
    pub is_offline: bool,
}

impl Place {
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(OFFICIAL).trim_end_matches('/')
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({}, token: {})", self.endpoint(), self.token.is_some())
    }
}

/// What is to be in the cache.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What the repository holds.
    pub kind: HubKind,
    /// Its name, mostly `owner/name`.
    pub repo: &'a str,
    /// A branch, a tag or a commit.
    pub revision: &'a str,
    /// Which of its files.
    pub patterns: &'a Patterns,
    /// The cache, which has a folder for each repository.
    pub cache: &'a Path,
}

/// What is in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// All that was wanted.
    pub snapshot: HubSnapshot,
    /// Bytes of files that were not there before.
    pub fetched_bytes: u64,
}

/// Why a snapshot is not there.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// No name of a repository or revision.
    #[error("use the {what} {name:?}: it is no name on a hub")]
    Name {
        /// `repository` or `revision`.
        what: &'static str,
        /// As it was given.
        name: String,
    },
    /// Not there, or hidden from who asks.
    #[error("download {repo}: it is no {} on {endpoint}, or is private", plural(*.kind).trim_end_matches('s'))]
    Missing {
        /// What was asked for.
        kind: HubKind,
        /// Its name.
        repo: String,
        /// Where.
        endpoint: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("download {repo}: it has no revision {revision:?}")]
    Revision {
        /// Its name.
        repo: String,
        /// As it was given.
        revision: String,
    },
    /// No file fits, or one that was named is not there.
    #[error("download {repo}: it has no file {pattern:?}")]
    NoFile {
        /// Its name.
        repo: String,
        /// As it was given.
        pattern: String,
    },
    /// Its owner asks people to accept terms first.
    #[error("download {repo}: it is gated, and {}", if *.has_token { "the token's owner has not been let in" } else { "it wants a token" })]
    Gated {
        /// Its name.
        repo: String,
        /// Its page.
        page: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// The token is not accepted.
    #[error("ask {endpoint}: it does not accept {}", if *.has_token { "the token" } else { "a request without a token" })]
    Unauthorised {
        /// Which hub.
        endpoint: String,
        /// Whether a token was sent.
        has_token: bool,
    },
    /// An answer that makes no sense, or whose files would lie elsewhere.
    #[error("download {repo}: what the hub says of it makes no sense: {what}")]
    Odd {
        /// Its name.
        repo: String,
        /// What.
        what: String,
    },
    /// Nothing may be asked for, and it is not in the cache.
    #[error("use {repo} at {revision:?}: it is not whole in {}, {what}", cache.display())]
    NotCached {
        /// Its name.
        repo: String,
        /// As it was given.
        revision: String,
        /// The cache.
        cache: PathBuf,
        /// What is missing.
        what: String,
    },
    /// The disk.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl HubError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> HubError {
        HubError::Io { what, path: path.to_owned(), source }
    }

    /// Whether the same call may do better later.
    pub fn is_passing(&self) -> bool {
        match self {
            HubError::Io { .. } => true,
            HubError::Fetch(error) => !matches!(error, FetchError::Refused { .. } | FetchError::Cancelled),
            _ => false,
        }
    }
}

impl Diagnose for HubError {
    fn exit(&self) -> ExitCode {
        match self {
            HubError::Fetch(error) => error.exit(),
            HubError::Io { source, .. } => exit_of_io(source),
            HubError::Odd { .. } => ExitCode::Failed,
            HubError::Unauthorised { .. } => ExitCode::Environment,
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            HubError::Fetch(error) => return error.hint(),
            HubError::Io { source, .. } => return hint_of_io(source),
            HubError::Name { .. } => "a name is OWNER/NAME",
            HubError::Missing { .. } => "look at its name and kind; a private one wants HF_TOKEN",
            HubError::Gated { page, has_token, .. } => {
                let then = if *has_token { "" } else { ", then set HF_TOKEN to a token of yours" };
                return Some(format!("ask for access at {page}{then}"));
            }
            HubError::Unauthorised { .. } => "set HF_TOKEN to a token that is valid",
            HubError::NotCached { .. } => "download it while HF_HUB_OFFLINE is not set",
            HubError::Revision { .. } | HubError::NoFile { .. } | HubError::Odd { .. } => return None,
        };
        Some(hint.to_owned())
    }
}

/// Downloads from a hub.
pub struct Hub<'a> {
    pub(crate) place: &'a Place,
    pub(crate) pace: Pace,
    pub(crate) observe: &'a dyn Observe,
    pub(crate) cancel: &'a AtomicBool,
}

impl<'a> Hub<'a> {
    /// Connects at the first request.
    pub fn new(place: &'a Place, pace: Pace, observe: &'a dyn Observe, cancel: &'a AtomicBool) -> Hub<'a> {
        Hub { place, pace, observe, cancel }
    }

    /// Brings the wanted files of a repository into the cache.
    pub fn snapshot(&self, wanted: &Wanted<'_>) -> Result<Downloaded, HubError> {
        check_names(wanted)?;
        let cache = Cache::of(wanted);
        if self.place.is_offline {
            return cached(wanted, &cache);
        }
        let (sha, listing) = self.listed(wanted, &cache)?;
        let meant = meant(wanted, &listing)?;
        cache.prepare(&sha)?;
        // Files of the same bytes are one blob.
        let missing = meant.iter().filter(|(_, entry)| !cache.has(entry));
        let missing: BTreeMap<&str, (&String, &Entry)> =
            missing.map(|(path, entry)| (entry.tag(), (*path, *entry))).collect();
        let missing: Vec<(&String, &Entry)> = missing.into_values().collect();
        let fetched_bytes = missing.iter().map(|(_, entry)| entry.bytes).sum();
        if !missing.is_empty() {
            self.observe.observe(Progress::Begin {
                task: wanted.repo,
                total: Some(fetched_bytes),
                unit: "bytes",
            });
            self.fetch(wanted, &cache, &sha, &missing)?;
            self.observe.observe(Progress::End);
        }
        for (path, entry) in &meant {
            cache.link(&sha, path, entry)?;
        }
        cache.note(wanted.revision, &sha)?;
        Ok(Downloaded { snapshot: told(wanted, &cache, sha, files(&meant)), fetched_bytes })
    }

    /// The paths of all files of a repository.
    pub fn paths(&self, wanted: &Wanted<'_>) -> Result<Vec<String>, HubError> {
        check_names(wanted)?;
        let cache = Cache::of(wanted);
        if self.place.is_offline {
            let (sha, all) = commit_of(wanted, &cache)?;
            return Ok(match all {
                Some(listing) => listing.into_keys().collect(),
                None => cache.walk(&sha)?.into_iter().map(|(path, _)| path).collect(),
            });
        }
        Ok(self.listed(wanted, &cache)?.1.into_keys().collect())
    }

    /// The commit of the revision, and its files.
    fn listed(&self, wanted: &Wanted<'_>, cache: &Cache) -> Result<(String, Listing), HubError> {
        let sha = match is_hex(wanted.revision, 40) {
            true => wanted.revision.to_owned(),
            false => self.commit(wanted)?,
        };
        if let Some(listing) = cache.listing(&sha) {
            return Ok((sha, listing));
        }
        let listing = self.list(wanted, &sha)?;
        cache.keep(&sha, &listing)?;
        Ok((sha, listing))
    }

    pub(crate) fn fetcher(&self) -> Fetcher<'a> {
        Fetcher::new(self.pace, &Silent, self.cancel)
    }
}

/// What the cache has, where that is all that was wanted.
fn cached(wanted: &Wanted<'_>, cache: &Cache) -> Result<Downloaded, HubError> {
    let (sha, listing) = commit_of(wanted, cache)?;
    let Some(listing) = listing else {
        // Who cannot know what is missing takes what is there.
        let files = cache.walk(&sha)?.into_iter().filter(|(path, _)| wanted.patterns.mean(path));
        let files = files.map(|(path, bytes)| HubFile { path, bytes, digest: String::new() }).collect();
        return Ok(Downloaded { snapshot: told(wanted, cache, sha, files), fetched_bytes: 0 });
    };
    let meant = meant(wanted, &listing)?;
    if let Some((path, _)) = meant.iter().find(|(path, _)| !cache.snapshot(&sha).join(path).is_file()) {
        return Err(not_cached(wanted, &format!("{path} is missing")));
    }
    Ok(Downloaded { snapshot: told(wanted, cache, sha, files(&meant)), fetched_bytes: 0 })
}

/// The commit that the cache has for a revision, and the list of its files where that is kept.
fn commit_of(wanted: &Wanted<'_>, cache: &Cache) -> Result<(String, Option<Listing>), HubError> {
    let sha = cache.commit(wanted.revision).filter(|sha| cache.snapshot(sha).is_dir());
    let sha = sha.ok_or_else(|| not_cached(wanted, "it was never downloaded"))?;
    let listing = cache.listing(&sha);
    Ok((sha, listing))
}

fn not_cached(wanted: &Wanted<'_>, what: &str) -> HubError {
    HubError::NotCached {
        repo: wanted.repo.to_owned(),
        revision: wanted.revision.to_owned(),
        cache: wanted.cache.to_owned(),
        what: what.to_owned(),
    }
}

fn files(meant: &[(&String, &Entry)]) -> Vec<HubFile> {
    let file = |(path, entry): &(&String, &Entry)| HubFile {
        path: (*path).clone(),
        bytes: entry.bytes,
        digest: entry.tag().to_owned(),
    };
    meant.iter().map(file).collect()
}

/// The files that are wanted. A pattern that names a file, without anything that stands for other letters, must find it.
fn meant<'l>(wanted: &Wanted<'_>, listing: &'l Listing) -> Result<Vec<(&'l String, &'l Entry)>, HubError> {
    let no_file =
        |pattern: &String| HubError::NoFile { repo: wanted.repo.to_owned(), pattern: pattern.clone() };
    let is_name = |pattern: &&String| !pattern.contains(['*', '?', '[']) && !pattern.ends_with('/');
    let include = &wanted.patterns.include;
    if let Some(name) = include.iter().filter(is_name).find(|name| !listing.contains_key(*name)) {
        return Err(no_file(name));
    }
    let meant: Vec<_> = listing.iter().filter(|(path, _)| wanted.patterns.mean(path)).collect();
    match include.first() {
        Some(pattern) if meant.is_empty() => Err(no_file(pattern)),
        _ => Ok(meant),
    }
}

fn told(wanted: &Wanted<'_>, cache: &Cache, sha: String, files: Vec<HubFile>) -> HubSnapshot {
    HubSnapshot {
        version: VERSION,
        kind: wanted.kind,
        repo: wanted.repo.to_owned(),
        revision: wanted.revision.to_owned(),
        folder: cache.snapshot(&sha).display().to_string(),
        sha,
        files,
        split: None,
    }
}

/// Names become parts of addresses and paths.
fn check_names(wanted: &Wanted<'_>) -> Result<(), HubError> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let is_part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(is_letter)
            && !part.contains("--")
    };
    let parts: Vec<&str> = wanted.repo.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_part(part)) {
        return Err(HubError::Name { what: "repository", name: wanted.repo.to_owned() });
    }
    if !is_inside(wanted.revision) {
        return Err(HubError::Name { what: "revision", name: wanted.revision.to_owned() });
    }
    Ok(())
}
