//! Objects of stores: what `s3://BUCKET/KEY` and `gs://BUCKET/OBJECT` mean as requests, and what a refusal asks of who reads it.
//!
//! An address is made anew for each attempt, since a signature holds for a while only. What follows the bucket is the key as it is:
//! nothing in it is an escape, a query or a fragment.
//!
//! Not covered: keys with a part `.` or `..`, which addresses cannot hold; S3's redirects to another region, which are named instead.

mod gs;
mod profile;
mod s3;

pub use gs::Gs;
pub use profile::profile;
pub use s3::{Keys, S3};

use crate::address;
use crate::client::text;
use crate::download::FetchError;
use std::borrow::Cow;
use std::io::Read;
use ureq::Body;
use ureq::http::Response;

/// A refusal says what it has to say in so many bytes.
const REFUSAL_BYTES: u64 = 16 << 10;

/// Where stores are, and who asks them. The default asks the public ones, unsigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stores {
    /// For `s3://`.
    pub s3: S3,
    /// For `gs://`.
    pub gs: Gs,
}

/// A request for one file.
pub(crate) struct Request<'r> {
    pub url: Cow<'r, str>,
    /// A token for the address's own host.
    pub bearer: Option<&'r str>,
}

/// An object's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Object<'u> {
    kind: Kind,
    bucket: &'u str,
    key: &'u str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    S3,
    Gs,
}

/// What a store says when it refuses.
struct Refusal {
    status: u16,
    code: Option<String>,
    /// Where the bucket is, if that is the reason.
    region: Option<String>,
}

impl<'u> Object<'u> {
    /// Reads an address; none where it is not of a store.
    pub fn of(url: &'u str) -> Result<Option<Object<'u>>, FetchError> {
        let (kind, rest) = match url.split_once("://") {
            Some(("s3", rest)) => (Kind::S3, rest),
            Some(("gs", rest)) => (Kind::Gs, rest),
            _ => return Ok(None),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let fault = |why: &str| Err(FetchError::Address { url: address::shown(url), why: why.to_owned() });
        if bucket.is_empty() || key.is_empty() || key.ends_with('/') {
            return fault("it has to name a bucket and an object in it");
        }
        if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return fault("a bucket's name has letters, digits, `-`, `.` and `_` only");
        }
        if key.split('/').any(|part| part == "." || part == "..") {
            return fault("an object whose name has a part `.` or `..` cannot be asked for");
        }
        Ok(Some(Object { kind, bucket, key }))
    }
}

impl Stores {
    /// The request for an object, as of now.
    pub(crate) fn request(&self, object: &Object<'_>, shown: &str) -> Result<Request<'_>, FetchError> {
        let fault = |why| FetchError::Address { url: shown.to_owned(), why };
        Ok(match object.kind {
            Kind::S3 => {
                let url = self.s3.url(object.bucket, object.key).map_err(fault)?;
                Request { url: url.into(), bearer: None }
            }
            Kind::Gs => {
                let url = self.gs.url(object.bucket, object.key);
                Request { url: url.into(), bearer: self.gs.token.as_deref() }
            }
        })
    }

    /// What a store's final answer means.
    pub(crate) fn refused(
        &self,
        object: &Object<'_>,
        shown: &str,
        answer: &mut Response<Body>,
    ) -> FetchError {
        let mut body = Vec::new();
        // What cannot be read says nothing more.
        let _ = answer.body_mut().as_reader().take(REFUSAL_BYTES).read_to_end(&mut body);
        let body = String::from_utf8_lossy(&body);
        let element = |name: &str| {
            let (_, rest) = body.split_once(&format!("<{name}>"))?;
            let (inner, _) = rest.split_once(&format!("</{name}>"))?;
            inner.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-').then(|| inner.to_owned())
        };
        let header = text(answer.headers(), "x-amz-bucket-region").map(str::to_owned);
        let region = header.or_else(|| element("Region")).filter(|region| region != self.s3.region());
        let refusal = Refusal { status: answer.status().as_u16(), code: element("Code"), region };
        let advice = match object.kind {
            Kind::S3 => self.s3.advice(&refusal),
            Kind::Gs => self.gs.advice(&refusal),
        };
        let Refusal { status, code, .. } = refusal;
        let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
        FetchError::Store { url: shown.to_owned(), status, code, advice }
    }
}
