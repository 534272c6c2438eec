//! A server on the loopback that is one function of a request, and what the fake object stores share: faults, ranges of bytes, bodies
//! that end too early, escaped words.
//!
//! Not covered: several ranges in one request.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, Response, Uri, response};
use http_body::{Frame, SizeHint};
use std::io;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use tokio::sync::oneshot;

/// What goes back.
pub(crate) type Answer = Response<Body>;

/// What happens to one request for the bytes of an object, or, if it is a status, to any request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection ends after this many bytes.
    Cut(u64),
    /// The store is asked too much: status 503, and nothing is done.
    SlowDown,
    /// Status 500, and nothing is done.
    Broken,
}

/// A request as a test looks at it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, as it was sent.
    pub path: String,
    /// Its query, as it was sent.
    pub query: String,
    /// Its `Range`.
    pub range: Option<String>,
    /// Its `If-Range`.
    pub if_range: Option<String>,
    /// Its `Authorization`.
    pub authorization: Option<String>,
    /// The status that was answered.
    pub status: u16,
}

/// A request.
pub(crate) struct Request {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A header, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The words of the query, unescaped, in the order in which they were sent.
    pub fn words(&self) -> impl Iterator<Item = (String, String)> + '_ {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(name, value)| {
            // A form's plus is a space.
            (unescaped(name), unescaped(&value.replace('+', " ")))
        })
    }

    /// The value of a word of the query.
    pub fn word(&self, name: &str) -> Option<String> {
        self.words().find(|(word, _)| word == name).map(|(_, value)| value)
    }

    /// For the log.
    pub fn asked(&self, status: u16) -> Asked {
        Asked {
            method: self.method.to_string(),
            path: self.path.clone(),
            query: self.query.clone(),
            range: self.header("Range").map(str::to_owned),
            if_range: self.header("If-Range").map(str::to_owned),
            authorization: self.header("Authorization").map(str::to_owned),
            status,
        }
    }
}

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port.
    pub fn start(answer: impl Fn(&Request) -> Answer + Clone + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has a free port");
        listener.set_nonblocking(true).expect("a socket can be told not to block");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (stop, stopped) = oneshot::channel::<()>();
        let app = Router::new()
            .fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
                let answer = answer(&Request { method, path, query, headers, body });
                async move { answer }
            })
            .layer(DefaultBodyLimit::disable());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
            runtime.expect("a thread may have a runtime").block_on(async move {
                let listener =
                    tokio::net::TcpListener::from_std(listener).expect("the socket does not block");
                tokio::select! {
                    _ = async { axum::serve(listener, app).await } => {}
                    _ = stopped => {}
                }
            });
        });
        Server { port, stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in it has failed a request, which the test saw.
            let _ = thread.join();
        }
    }
}

/// The bytes of an object, or the part of them that was asked for; without `range` all. Its end is a cut where that is wanted.
pub(crate) fn sent(
    head: response::Builder,
    request: &Request,
    range: Option<&str>,
    bytes: &Arc<[u8]>,
    cut: Option<u64>,
) -> Answer {
    let total = bytes.len() as u64;
    let part = range.and_then(|range| part(range, total));
    let head = head.header("Accept-Ranges", "bytes");
    let (head, from, to) = match part {
        Some((from, to)) if from >= to => {
            let head = head.status(416).header("Content-Range", format!("bytes */{total}"));
            return whole(head, Vec::new());
        }
        Some((from, to)) => {
            let range = format!("bytes {from}-{}/{total}", to - 1);
            (head.status(206).header("Content-Range", range), from, to)
        }
        None => (head, 0, total),
    };
    let head = head.header("Content-Length", to - from);
    if request.method == Method::HEAD {
        return head.body(Body::empty()).expect("its head is made of numbers");
    }
    let rest = Bytes::copy_from_slice(&bytes[from as usize..to as usize]);
    let left = cut.unwrap_or(u64::MAX);
    let body = Sent { rest, left, is_flushed: false };
    head.body(Body::new(body)).expect("its head is made of numbers")
}

/// An answer that is there at once.
pub(crate) fn whole(head: response::Builder, body: impl Into<Bytes>) -> Answer {
    head.body(Body::from(body.into())).expect("a head is made of plain text")
}

/// The first byte of a `Range` and the one behind its last; none where it is not one that is understood.
fn part(range: &str, total: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end =
        |to: &str| if to.is_empty() { Some(total) } else { Some(total.min(to.parse::<u64>().ok()? + 1)) };
    match from {
        "" => Some((total.saturating_sub(to.parse().ok()?), total)),
        _ => Some((from.parse().ok()?, end(to)?)),
    }
}

/// A body that may end before it should.
struct Sent {
    rest: Bytes,
    left: u64,
    is_flushed: bool,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.left == 0 {
            // What was sent before is given time to leave.
            if !std::mem::replace(&mut self.is_flushed, true) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err(io::Error::other("cut"))));
        }
        let next = self.left.min(self.rest.len() as u64).min(64 << 10);
        if next == 0 {
            return Poll::Ready(None);
        }
        self.left -= next;
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(next as usize)))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// A line of a list of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    Key(String),
    /// Stands for all keys that begin with it.
    Prefix(String),
}

/// What a list of keys is asked for.
pub(crate) struct Listing {
    pub prefix: String,
    /// Empty: keys are not put together.
    pub delimiter: String,
    /// Lines up to this one, itself too, are left out.
    pub after: String,
    pub limit: usize,
}

/// A page of a list of keys in their order, and its last line where others follow.
pub(crate) fn page<'k>(
    keys: impl Iterator<Item = &'k String>,
    asked: &Listing,
) -> (Vec<Line>, Option<String>) {
    let mut lines: Vec<Line> = Vec::new();
    let mut last = asked.after.clone();
    for key in keys.filter(|key| key.starts_with(&asked.prefix)) {
        let rest = &key[asked.prefix.len()..];
        let cut = rest.find(&asked.delimiter).filter(|_| !asked.delimiter.is_empty());
        let name = cut.map_or(key.as_str(), |at| &key[..asked.prefix.len() + at + asked.delimiter.len()]);
        // A prefix of sorted keys is sorted too, so that each comes once.
        if name <= last.as_str() {
            continue;
        }
        if lines.len() == asked.limit {
            return (lines, Some(last));
        }
        last = name.to_owned();
        lines.push(if cut.is_some() { Line::Prefix(last.clone()) } else { Line::Key(last.clone()) });
    }
    (lines, None)
}

/// Text in which `%` and two digits stand for a byte.
pub(crate) fn unescaped(text: &str) -> String {
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

/// All but letters, digits and `-._~`, and what is in `kept`, as `%` and two digits.
pub(crate) fn escaped(text: &str, kept: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if kept.as_bytes().contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}
