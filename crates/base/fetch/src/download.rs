//! One file from an address to a path.
//!
//! The bytes go to a partial file beside the path, which becomes the file when they are all there and their SHA-256 is the wanted one.
//! A broken connection, 429 and 5xx are tried again, as `Retry-After` says or after waits that double; what is there is not asked for
//! again (`Range`), unless the source has changed since (`If-Range`) or does not know ranges. Attempts are counted anew whenever more
//! bytes are there than ever before. No message holds credentials, queries or the token.
//!
//! Source: RFC 9110, sections 13.1.5 and 14. Not covered: `Retry-After` with a date; a server that falls silent in the middle is noticed
//! only when [`Pace::longest_answer`] is over, as is a request to stop in such a silence.

use crate::address;
use crate::part::{BUFFER_BYTES, Part};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::progress::{Observe, Progress};
use wootz_schema::{Diagnose, ExitCode};
use wootz_stdx::digest::sha256_file;

const SLICE: Duration = Duration::from_millis(50);

/// What is to be there in the end.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// `http://`, `https://` or `file://`.
    pub url: &'a str,
    /// Where it goes; its folder is made.
    pub path: &'a Path,
    /// SHA-256 in hex, of either case.
    pub sha256: Option<&'a str>,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// SHA-256 in lower-case hex.
    pub sha256: String,
    /// Size.
    pub bytes: u64,
    /// It was there before, with the wanted SHA-256; nothing was asked for.
    pub was_there: bool,
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Attempts without a new byte before it is given up.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles from there.
    pub first_wait: Duration,
    /// Longest wait; a server that asks for more gets an error instead.
    pub longest_wait: Duration,
    /// Limit of a connection, and of the time until an answer begins.
    pub patience: Duration,
    /// Limit of one answer; what is there by then is kept, and the rest asked for.
    pub longest_answer: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
            patience: Duration::from_secs(60),
            longest_answer: Duration::from_secs(3600),
        }
    }
}

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The disk, or the file of a `file://` address.
    #[error("Failed to {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Nothing that can be fetched.
    #[error("Cannot fetch {url}: its scheme is none of http, https and file")]
    Scheme {
        /// From where, without secrets.
        url: String,
    },
    /// The server will not give it.
    #[error("Failed to fetch {url}: the server answered {status}")]
    Refused {
        /// From where, without secrets.
        url: String,
        /// Its status.
        status: u16,
    },
    /// The server, or the way to it, is broken.
    #[error("Failed to fetch {url}: {why} ({attempts} attempts)")]
    Lost {
        /// From where, without secrets.
        url: String,
        /// What went wrong last.
        why: String,
        /// Attempts since the last new byte.
        attempts: u32,
    },
    /// Other bytes than wanted.
    #[error("{url} has the SHA-256 {found}, not {wanted}")]
    Mismatch {
        /// From where, without secrets.
        url: String,
        /// What came.
        found: String,
        /// What was wanted.
        wanted: String,
    },
    /// It was asked to stop.
    #[error("stopped on request")]
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
            FetchError::Scheme { .. } | FetchError::Refused { .. } => ExitCode::Usage,
            FetchError::Lost { .. } => ExitCode::Environment,
            FetchError::Mismatch { .. } | FetchError::Cancelled => ExitCode::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            FetchError::Io { source, .. } => hint_of_io(source),
            FetchError::Refused { status: 401 | 403, .. } => Some("it may want credentials".to_owned()),
            FetchError::Lost { .. } => Some("run it again later: what is there is kept".to_owned()),
            FetchError::Mismatch { .. } => {
                Some("look whether the address or the SHA-256 is out of date".to_owned())
            }
            FetchError::Scheme { .. } | FetchError::Refused { .. } | FetchError::Cancelled => None,
        }
    }
}

/// Fetches files.
pub struct Fetcher<'a> {
    agent: Agent,
    pace: Pace,
    observe: &'a dyn Observe,
    cancel: &'a AtomicBool,
}

/// What came of one request.
enum Came {
    All,
    /// Another may do better, after this wait if the server said so.
    Less(String, Option<Duration>),
}

impl<'a> Fetcher<'a> {
    /// Connects at the first request.
    pub fn new(pace: Pace, observe: &'a dyn Observe, cancel: &'a AtomicBool) -> Fetcher<'a> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_connect(Some(pace.patience))
            .timeout_recv_response(Some(pace.patience))
            .timeout_recv_body(Some(pace.longest_answer))
            .user_agent("wootz")
            .build();
        Fetcher { agent: config.into(), pace, observe, cancel }
    }

    /// Fetches a file, unless it is there with the wanted SHA-256. On an error the path holds what it held before.
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
            let found = part.sha256();
            match wanted.sha256 {
                Some(sha256) if !sha256.eq_ignore_ascii_case(&found) => {
                    if !is_resumed {
                        part.discard();
                        return Err(FetchError::Mismatch { url: shown, found, wanted: sha256.to_owned() });
                    }
                    // What was there before may be at fault.
                    part.restart(wanted.url, None)?;
                    is_resumed = false;
                }
                _ => {
                    let bytes = part.length;
                    part.finish()?;
                    return Ok(Fetched { sha256: found, bytes, was_there: false });
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
        if !["http://", "https://"].iter().any(|scheme| wanted.url.starts_with(scheme)) {
            return Err(FetchError::Scheme { url: shown.to_owned() });
        }
        let (mut attempts, mut wait, mut farthest) = (1, self.pace.first_wait, part.length);
        loop {
            self.check()?;
            let (why, asked) = match self.once(wanted.url, shown, part)? {
                Came::All => return Ok(()),
                Came::Less(why, asked) => (why, asked),
            };
            if part.length > farthest {
                (attempts, wait, farthest) = (1, self.pace.first_wait, part.length);
            }
            let next = asked.unwrap_or(wait);
            if attempts >= self.pace.attempts || next > self.pace.longest_wait {
                return Err(FetchError::Lost { url: shown.to_owned(), why, attempts });
            }
            self.sleep(next)?;
            wait = (wait * 2).min(self.pace.longest_wait);
            attempts += 1;
        }
    }

    /// Makes one request and takes what it brings.
    fn once(&self, url: &str, shown: &str, part: &mut Part) -> Result<Came, FetchError> {
        let validator = part.validator(url).filter(|_| part.length > 0);
        let mut request = self.agent.get(url).header("Accept-Encoding", "identity");
        if let Some(validator) = &validator {
            request =
                request.header("Range", format!("bytes={}-", part.length)).header("If-Range", validator);
        }
        let mut answer = match request.call() {
            Ok(answer) => answer,
            Err(error) => return Ok(Came::Less(error.to_string().replace(url, shown), None)),
        };
        let status = answer.status().as_u16();
        let range = text(answer.headers(), "Content-Range");
        match status {
            206 if validator.is_some() && starts_at(range, part.length) => {}
            200 => part.restart(url, validator_of(answer.headers()).as_deref())?,
            416 if range == Some(&format!("bytes */{}", part.length)) => return Ok(Came::All),
            206 | 416 => {
                part.restart(url, None)?;
                return Ok(Came::Less("the server sent another part than was asked for".to_owned(), None));
            }
            408 | 429 | 500..=599 => {
                let seconds = text(answer.headers(), "Retry-After").and_then(|text| text.trim().parse().ok());
                let why = format!("the server answered {status}");
                return Ok(Came::Less(why, seconds.map(Duration::from_secs)));
            }
            status => return Err(FetchError::Refused { url: shown.to_owned(), status }),
        }
        self.take(&mut answer, shown, part)
    }

    fn take(&self, answer: &mut Response<Body>, shown: &str, part: &mut Part) -> Result<Came, FetchError> {
        let length = text(answer.headers(), "Content-Length").and_then(|text| text.parse::<u64>().ok());
        let total = length.map(|length| part.length + length);
        self.begin(shown, total);
        let poured = self.pour(&mut answer.body_mut().as_reader(), part)?;
        Ok(match (poured, total) {
            (Err(error), _) => Came::Less(format!("the connection broke: {error}"), None),
            (Ok(()), Some(total)) if part.length != total => {
                Came::Less(format!("{} of {total} bytes came", part.length), None)
            }
            (Ok(()), _) => Came::All,
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

    fn check(&self) -> Result<(), FetchError> {
        if self.cancel.load(Ordering::Relaxed) { Err(FetchError::Cancelled) } else { Ok(()) }
    }

    fn sleep(&self, mut left: Duration) -> Result<(), FetchError> {
        while !left.is_zero() {
            self.check()?;
            let slice = left.min(SLICE);
            thread::sleep(slice);
            left -= slice;
        }
        Ok(())
    }
}

/// The file, where it is there with the wanted SHA-256.
fn there(wanted: &Wanted<'_>) -> Result<Option<Fetched>, FetchError> {
    let Some(sha256) = wanted.sha256 else { return Ok(None) };
    match sha256_file(wanted.path) {
        Ok((found, bytes)) if found.eq_ignore_ascii_case(sha256) => {
            Ok(Some(Fetched { sha256: found, bytes, was_there: true }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FetchError::io("read", wanted.path, error)),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// A strong entity tag, or the date of the last change; a weak tag does not vouch for bytes.
fn validator_of(headers: &HeaderMap) -> Option<String> {
    let tag = text(headers, "ETag").filter(|tag| tag.starts_with('"'));
    tag.or_else(|| text(headers, "Last-Modified")).map(str::to_owned)
}

fn starts_at(range: Option<&str>, at: u64) -> bool {
    range.is_some_and(|range| range.starts_with(&format!("bytes {at}-")))
}
