//! The bytes of a repository's files on their way to the cache, and what it means when the hub refuses.
//!
//! They are resumed and checked as [`wootz_fetch`] does, a few files at a time. A file that is apart from git is checked against its
//! SHA-256, another against its name in git. The first error ends all; what came is kept, and the next call goes on.

use crate::cache::Cache;
use crate::listing::Entry;
use crate::share::{Share, Sum};
use crate::snapshot::{Hub, HubError, Wanted};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;
use wootz_fetch::{Check, FetchError, Fetcher};
use wootz_schema::hub::HubKind;

const THREADS: usize = 4;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Hub<'_> {
    /// Downloads files, a few at a time.
    pub(crate) fn fetch(
        &self,
        wanted: &Wanted<'_>,
        cache: &Cache,
        sha: &str,
        files: &[(&String, &Entry)],
    ) -> Result<(), HubError> {
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let sum = Sum { observe: self.observe, done: AtomicU64::new(0) };
        thread::scope(|scope| {
            let (send, results) = channel();
            for _ in 0..THREADS.min(files.len()) {
                let send = send.clone();
                let (next, stop, sum) = (&next, &stop, &sum);
                scope.spawn(move || {
                    let share = Share::of(sum);
                    let fetcher = Fetcher::new(self.pace, &share, stop);
                    while let Some((path, entry)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let fetched = self.fetch_one(&fetcher, wanted, cache, (sha, path, entry));
                        share.finish(entry.bytes);
                        // Nobody listens when another file has failed.
                        if send.send(fetched).is_err() || stop.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                });
            }
            drop(send);
            loop {
                match results.recv_timeout(LOOK_AGAIN) {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => {
                        stop.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    Err(RecvTimeoutError::Timeout) => {
                        stop.fetch_or(self.cancel.load(Ordering::Relaxed), Ordering::Relaxed);
                    }
                }
            }
        })
    }

    fn fetch_one(
        &self,
        fetcher: &Fetcher<'_>,
        wanted: &Wanted<'_>,
        cache: &Cache,
        (sha, path, entry): (&str, &str, &Entry),
    ) -> Result<(), HubError> {
        let check = match &entry.sha256 {
            Some(sha256) => Check::Sha256(sha256),
            None => Check::Git(&entry.git),
        };
        let fetched = fetcher.fetch(&wootz_fetch::Wanted {
            url: &self.address(wanted, sha, path),
            path: &cache.blob(entry),
            check: Some(check),
            bearer: self.place.token.as_deref(),
        });
        match fetched {
            Ok(_) => Ok(()),
            Err(FetchError::Refused { status: 404, code: Some(code), .. }) if code == "EntryNotFound" => {
                Err(HubError::NoFile { repo: wanted.repo.to_owned(), pattern: path.to_owned() })
            }
            Err(error) => Err(self.explained(wanted, error)),
        }
    }

    /// What a refusal of the hub means.
    pub(crate) fn explained(&self, wanted: &Wanted<'_>, error: FetchError) -> HubError {
        let FetchError::Refused { status, code, .. } = &error else { return error.into() };
        let (repo, endpoint) = (wanted.repo.to_owned(), self.place.endpoint().to_owned());
        let has_token = self.place.token.is_some();
        match (status, code.as_deref().unwrap_or_default()) {
            (_, "GatedRepo") => {
                let folder = if wanted.kind == HubKind::Dataset { "datasets/" } else { "" };
                HubError::Gated { page: format!("{endpoint}/{folder}{repo}"), repo, has_token }
            }
            (_, "RevisionNotFound") => HubError::Revision { repo, revision: wanted.revision.to_owned() },
            (_, "RepoNotFound") | (404, _) => HubError::Missing { kind: wanted.kind, repo, endpoint },
            (401 | 403, _) => HubError::Unauthorised { endpoint, has_token },
            _ => error.into(),
        }
    }
}
