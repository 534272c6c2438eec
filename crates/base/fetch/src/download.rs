//! One file from an address to a path.
//!
//! The bytes go to a partial file beside the path, which becomes the file when they are all there and their SHA-256 is the wanted one.
//! A broken connection, 429 and 5xx are tried again, as `Retry-After` says or after waits that double; what is there is not asked for
//! again (`Range`), unless the source has changed since (`If-Range`) or does not know ranges. Attempts are counted anew whenever more
//! bytes are there than ever before. No message holds credentials, queries or the token. A part belongs to the address as it was given:
//! that of an object in a store stays the same, however often it is signed.
//!
//! Source: RFC 9110, sections 13.1.5 and 14.

use crate::address;
use crate::client::{Came, Fetcher, refusal, text};
use crate::part::{BUFFER_BYTES, Part, git};
use crate::stores::{Object, Request};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use ureq::Body;
use ureq::http::{HeaderMap, Response};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::progress::Progress;
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest::sha256_file;

/// What is to be there in the end.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `http://`, `https://`, `s3://`, `gs://` or `file://`.
    pub url: &'a str,
    /// Where it goes; its folder is made.
    pub path: &'a Path,
    /// What its bytes have to be.
    pub check: Option<Check<'a>>,
    /// A token for the address's own host.
    pub bearer: Option<&'a str>,
}

/// A digest that the bytes have to have, in hex of either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check<'a> {
    /// SHA-256.
    Sha256(&'a str),
    /// The SHA-1 by which git knows a file's bytes.
    Git(&'a str),
}

impl Check<'_> {
    fn digest(&self) -> &str {
        match self {
            Check::Sha256(digest) | Check::Git(digest) => digest,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Check::Sha256(_) => "SHA-256",
            Check::Git(_) => "git SHA-1",
        }
    }
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// SHA-256 in lower-case hex.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// It was there before, with the wanted digest; nothing was asked for.
    pub was_there: bool,
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The disk, or the file of a `file://` address.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing that can be fetched.
    #[error("fetch {url}: its scheme is none of http, https, s3, gs and file")]
    Scheme {
        /// From where, without secrets.
        url: String,
    },
    /// No address of an object in a store.
    #[error("fetch {url}: {why}")]
    Address {
        /// From where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store will not give it.
    #[error("fetch {url}: the store answered {status}{code}")]
    Store {
        /// From where, as it was given.
        url: String,
        /// Its status.
        status: u16,
        /// What it calls the reason, in brackets; empty if it does not.
        code: String,
        /// What to do about it.
        advice: Option<String>,
    },
    /// The server will not give it.
    #[error("fetch {url}: the server answered {status}")]
    Refused {
        /// From where, without secrets.
        url: String,
        /// Its status.
        status: u16,
        /// Its header `X-Error-Code`, by which some say why.
        code: Option<String>,
    },
    /// The server, or the way to it, is broken.
    #[error("fetch {url}: {why} ({attempts} attempts)")]
    Lost {
        /// From where, without secrets.
        url: String,
        /// What went wrong last.
        why: String,
        /// Attempts since the last new byte.
        attempts: u32,
    },
    /// Other bytes than wanted.
    #[error("fetch {url}: it has the {kind} {found}, not {wanted}")]
    Mismatch {
        /// Of which digest.
        kind: &'static str,
        /// From where, without secrets.
        url: String,
        /// What came.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// It was asked to stop.
    #[error("finish: stopped on request")]
    Cancelled,
}

impl FetchError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> FetchError {
        FetchError::Io { what, path: path.to_owned(), source }
    }
}

impl Diagnose for FetchError {
    fn exit(&self) -> ExitCode {
        match self {
            FetchError::Io { source, .. } => exit_of_io(source),
            FetchError::Scheme { .. }
            | FetchError::Address { .. }
            | FetchError::Store { .. }
            | FetchError::Refused { .. } => ExitCode::Usage,
            FetchError::Lost { .. } => ExitCode::Environment,
            FetchError::Mismatch { .. } | FetchError::Cancelled => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FetchError::Io { source, .. } => hint_of_io(source),
            FetchError::Refused { status: 401 | 403, .. } => Some("it may want credentials".to_owned()),
            FetchError::Store { advice, .. } => advice.clone(),
            FetchError::Lost { .. } => Some("run it again later: what is there is kept".to_owned()),
            FetchError::Mismatch { .. } => {
                Some("look whether the address or the digest is out of date".to_owned())
            }
            FetchError::Scheme { .. }
            | FetchError::Address { .. }
            | FetchError::Refused { .. }
            | FetchError::Cancelled => None,
        }
    }
}

impl Fetcher<'_> {
    /// Fetches a file, unless it is there with the wanted digest. On an error the path holds what it held before.
    pub fn fetch(&self, wanted: &Wanted<'_>) -> Result<Fetched, FetchError> {
        if let Some(there) = there(wanted)? {
            return Ok(there);
        }
        let mut part = Part::open(wanted.path, self.cancel)?;
        // Another process may have finished it while this one waited.
        if let Some(there) = there(wanted)? {
            part.discard();
            return Ok(there);
        }
        let shown = address::shown(wanted.url);
        let mut is_resumed = part.length > 0;
        loop {
            self.fill(wanted, &shown, &mut part)?;
            self.observe.observe(Progress::End);
            let found = match wanted.check {
                Some(Check::Git(_)) => part.git()?,
                _ => part.sha256(),
            };
            match wanted.check {
                Some(check) if !check.digest().eq_ignore_ascii_case(&found) => {
                    if !is_resumed {
                        part.discard();
                        let (kind, wanted) = (check.kind(), check.digest().to_owned());
                        return Err(FetchError::Mismatch { kind, url: shown, found, wanted });
                    }
                    // What was there before may be at fault.
                    part.restart(wanted.url, None)?;
                    is_resumed = false;
                }
                _ => {
                    let (sha256, bytes) = (part.sha256(), part.length);
                    part.finish()?;
                    return Ok(Fetched { sha256, bytes, was_there: false });
                }
            }
        }
    }

    /// Makes the part whole.
    fn fill(&self, wanted: &Wanted<'_>, shown: &str, part: &mut Part) -> Result<(), FetchError> {
        if let Some(source) = address::local(wanted.url) {
            let fault = |error| FetchError::io("read", &source, error);
            let mut file = File::open(&source).map_err(fault)?;
            part.restart(wanted.url, None)?;
            self.begin(shown, file.metadata().ok().map(|data| data.len()));
            return self.pour(&mut file, part)?.map_err(fault);
        }
        let object = Object::of(wanted.url)?;
        if object.is_none() && !["http://", "https://"].iter().any(|scheme| wanted.url.starts_with(scheme)) {
            return Err(FetchError::Scheme { url: shown.to_owned() });
        }
        self.persist(shown, &mut || {
            let came = self.once(wanted, object.as_ref(), shown, part)?;
            Ok((came, part.length))
        })
    }

    /// Makes one request and takes what it brings.
    fn once(
        &self,
        wanted: &Wanted<'_>,
        object: Option<&Object<'_>>,
        shown: &str,
        part: &mut Part,
    ) -> Result<Came<()>, FetchError> {
        let url = wanted.url;
        let request = match object {
            Some(object) => self.stores.request(object, shown)?,
            None => Request { url: url.into(), bearer: wanted.bearer },
        };
        let validator = part.validator(url).filter(|_| part.length > 0);
        let range = validator.as_deref().map(|validator| (part.length, validator));
        let mut answer = match self.ask(&request, shown, range) {
            Ok(answer) => answer,
            Err(why) => return Ok(Came::Less(why, None)),
        };
        let status = answer.status().as_u16();
        let range = text(answer.headers(), "Content-Range");
        match status {
            206 if starts_at(range, part.length) && is_same(answer.headers(), validator.as_deref()) => {}
            200 => part.restart(url, validator_of(answer.headers()).as_deref())?,
            416 if range == Some(&format!("bytes */{}", part.length)) => return Ok(Came::All(())),
            206 | 416 => {
                part.restart(url, None)?;
                return Ok(Came::Less("the server sent another part than was asked for".to_owned(), None));
            }
            _ => {
                return refusal(&answer, shown).map_err(|error| match object {
                    Some(object) => self.stores.refused(object, shown, &mut answer),
                    None => error,
                });
            }
        }
        self.take(&mut answer, shown, part)
    }

    fn take(
        &self,
        answer: &mut Response<Body>,
        shown: &str,
        part: &mut Part,
    ) -> Result<Came<()>, FetchError> {
        let length = text(answer.headers(), "Content-Length").and_then(|text| text.parse::<u64>().ok());
        let total = length.map(|length| part.length + length);
        self.begin(shown, total);
        let poured = self.pour(&mut answer.body_mut().as_reader(), part)?;
        Ok(match (poured, total) {
            (Err(error), _) => Came::Less(format!("the connection broke: {error}"), None),
            (Ok(()), Some(total)) if part.length != total => {
                Came::Less(format!("{} of {total} bytes came", part.length), None)
            }
            (Ok(()), _) => Came::All(()),
        })
    }

    /// Adds all that a source has. The inner error is the source's.
    fn pour(&self, source: &mut dyn Read, part: &mut Part) -> Result<io::Result<()>, FetchError> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            self.check()?;
            match source.read(&mut buffer) {
                Ok(0) => return Ok(Ok(())),
                Ok(read) => part.write(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Err(error)),
            }
            self.observe.observe(Progress::Advance { done: part.length });
        }
    }

    fn begin(&self, shown: &str, total: Option<u64>) {
        self.observe.observe(Progress::Begin { task: shown, total, unit: "bytes" });
    }
}

/// The file, where it is there with the wanted digest.
fn there(wanted: &Wanted<'_>) -> Result<Option<Fetched>, FetchError> {
    let Some(check) = wanted.check else { return Ok(None) };
    let found = sha256_file(wanted.path).and_then(|(sha256, bytes)| {
        let found = match check {
            Check::Sha256(_) => sha256.clone(),
            Check::Git(_) => git(&mut File::open(wanted.path)?, bytes)?,
        };
        Ok((found, Fetched { sha256, bytes, was_there: true }))
    });
    match found {
        Ok((found, there)) if found.eq_ignore_ascii_case(check.digest()) => Ok(Some(there)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FetchError::io("read", wanted.path, error)),
    }
}

/// A strong entity tag, or the date of the last change; a weak tag does not vouch for bytes.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "ETag").filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(headers, "Last-Modified")).map(str::to_owned)
}

/// Whether an answer has what the validator was of: not every server looks at `If-Range`.
fn is_same(headers: &HeaderMap, validator: Option<&str>) -> bool {
    let Some(validator) = validator else { return false };
    let name = if validator.starts_with('"') { "ETag" } else { "Last-Modified" };
    text(headers, name).is_none_or(|found| found == validator)
}

fn starts_at(range: Option<&str>, at: u64) -> bool {
    range.is_some_and(|range| range.starts_with(&format!("bytes {at}-")))
}
