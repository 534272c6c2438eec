//! Requests: what every one of them has, when one is made again, and answers that are read at once.
//!
//! A token goes to the host of the address alone: a redirect to another one does not have it.
//!
//! Not covered: `Retry-After` with a date; a request to stop is seen between reads, so in a silence only when [`Pace::silence`] is over.

use crate::address;
use crate::download::FetchError;
use crate::stores::{Request, Stores};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};
use wootz_schema::progress::Observe;

const SLICE: Duration = Duration::from_millis(50);
/// A page that is longer is no page.
const PAGE_BYTES: u64 = 64 << 20;

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
    /// Limit of a silence within an answer; what is there by then is kept, and the rest asked for.
    pub silence: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            attempts: 6,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
            patience: Duration::from_secs(60),
            silence: Duration::from_secs(60),
        }
    }
}

/// Fetches files and pages.
pub struct Fetcher<'a> {
    agent: Agent,
    pace: Pace,
    pub(crate) stores: Stores,
    pub(crate) observe: &'a dyn Observe,
    pub(crate) cancel: &'a AtomicBool,
}

/// An answer that was read at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it says.
    pub body: Vec<u8>,
    /// Its header `Link`.
    pub link: Option<String>,
}

/// What came of one request.
pub(crate) enum Came<T> {
    All(T),
    /// Another may do better, after this wait if the server said so.
    Less(String, Option<Duration>),
}

impl<'a> Fetcher<'a> {
    /// Connects at the first request.
    pub fn new(pace: Pace, observe: &'a dyn Observe, cancel: &'a AtomicBool) -> Fetcher<'a> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .tls_config(TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build())
            .timeout_connect(Some(pace.patience))
            .timeout_recv_response(Some(pace.patience))
            .timeout_per_read(Some(pace.silence))
            .user_agent("wootz")
            .build();
        Fetcher { agent: config.into(), pace, stores: Stores::default(), observe, cancel }
    }

    /// With these stores for `s3://` and `gs://`.
    pub fn with_stores(self, stores: &Stores) -> Fetcher<'a> {
        Fetcher { stores: stores.clone(), ..self }
    }

    /// Reads a short answer at once; `bearer` is a token for the address's own host.
    pub fn page(&self, url: &str, bearer: Option<&str>) -> Result<Page, FetchError> {
        let shown = address::shown(url);
        self.persist(&shown, &mut || Ok((self.page_once(url, &shown, bearer)?, 0)))
    }

    fn page_once(&self, url: &str, shown: &str, bearer: Option<&str>) -> Result<Came<Page>, FetchError> {
        let mut answer = match self.ask(&Request { url: url.into(), bearer }, shown, None) {
            Ok(answer) => answer,
            Err(why) => return Ok(Came::Less(why, None)),
        };
        if answer.status().as_u16() != 200 {
            return refusal(&answer, shown);
        }
        let link = text(answer.headers(), "Link").map(str::to_owned);
        let mut body = Vec::new();
        Ok(match answer.body_mut().as_reader().take(PAGE_BYTES).read_to_end(&mut body) {
            Ok(_) => Came::All(Page { body, link }),
            Err(error) => Came::Less(format!("the connection broke: {error}"), None),
        })
    }

    /// Sends a request; for the bytes from an offset on, should the source still have what the validator says. The error is a sentence.
    pub(crate) fn ask(
        &self,
        asked: &Request<'_>,
        shown: &str,
        range: Option<(u64, &str)>,
    ) -> Result<Response<Body>, String> {
        let mut request = self.agent.get(&*asked.url).header("Accept-Encoding", "identity");
        if let Some(token) = asked.bearer {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if let Some((from, validator)) = range {
            request = request.header("Range", format!("bytes={from}-")).header("If-Range", validator);
        }
        request.call().map_err(|error| {
            let text = error.to_string().replace(&*asked.url, shown);
            // A query may hold a signature.
            asked.url.split_once('?').map_or(text.clone(), |(_, query)| text.replace(query, "..."))
        })
    }

    /// Makes requests until one brings all. Each says how far it came, and attempts are counted anew when it is farther than ever.
    pub(crate) fn persist<T>(
        &self,
        shown: &str,
        once: &mut dyn FnMut() -> Result<(Came<T>, u64), FetchError>,
    ) -> Result<T, FetchError> {
        let (mut attempts, mut wait, mut farthest) = (1, self.pace.first_wait, None);
        loop {
            self.check()?;
            let (came, length) = once()?;
            let (why, asked) = match came {
                Came::All(all) => return Ok(all),
                Came::Less(why, asked) => (why, asked),
            };
            if farthest.is_some_and(|farthest| length > farthest) {
                (attempts, wait) = (1, self.pace.first_wait);
            }
            farthest = farthest.max(Some(length));
            let next = asked.unwrap_or(wait);
            if attempts >= self.pace.attempts || next > self.pace.longest_wait {
                return Err(FetchError::Lost { url: shown.to_owned(), why, attempts });
            }
            self.sleep(next)?;
            wait = (wait * 2).min(self.pace.longest_wait);
            attempts += 1;
        }
    }

    pub(crate) fn check(&self) -> Result<(), FetchError> {
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

/// What a status that is no success means: that it may be tried again, or that it is final.
pub(crate) fn refusal<T>(answer: &Response<Body>, shown: &str) -> Result<Came<T>, FetchError> {
    let status = answer.status().as_u16();
    if !matches!(status, 408 | 429 | 500..=599) {
        let code = text(answer.headers(), "X-Error-Code").map(str::to_owned);
        return Err(FetchError::Refused { url: shown.to_owned(), status, code });
    }
    let seconds = text(answer.headers(), "Retry-After").and_then(|text| text.trim().parse().ok());
    Ok(Came::Less(format!("the server answered {status}"), seconds.map(Duration::from_secs)))
}

pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
