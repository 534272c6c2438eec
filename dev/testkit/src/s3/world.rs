//! What the store knows, and who may ask it for what.

use super::signature::{Account, signer};
use super::uploads::Upload;
use super::xml::{Refusal, document, element};
use super::{GUEST, OWNER, STRANGER};
use crate::loopback::{Answer, Asked, Fault, Line, Listing, Request, escaped, page, unescaped, whole};
use axum::http::{Method, Response};
use jiff::Timestamp;
use md5::{Digest, Md5};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use wootz_stdx::digest::hex;

const PAGE: usize = 1000;
/// Words of a query that change nothing here.
const IDLE: [&str; 8] = [
    "x-id",
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
    "X-Amz-Security-Token",
];
const OF_A_LIST: [&str; 8] = [
    "list-type",
    "prefix",
    "delimiter",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
];

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it holds.
    pub bytes: Arc<[u8]>,
    /// Its entity tag, with quotation marks.
    pub tag: String,
    /// When it was put.
    pub modified: Timestamp,
    /// `content-type` and `x-amz-meta-...`, as they were sent.
    pub headers: BTreeMap<String, String>,
}

/// A bucket.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// By key.
    pub objects: BTreeMap<String, Object>,
    /// Everybody may read it.
    pub is_public: bool,
}

/// What the server knows and does.
#[derive(Debug)]
pub struct World {
    /// By name.
    pub buckets: BTreeMap<String, Bucket>,
    /// All requests.
    pub log: Vec<Asked>,
    /// What happens to the next requests that it fits.
    pub faults: VecDeque<Fault>,
    /// Lines in a page of a list, at most.
    pub page: usize,
    /// For which signatures have to be.
    pub region: String,
    /// How far its clock is ahead.
    pub ahead_seconds: i64,
    /// `If-Range` is not looked at, as by some stores that speak this language.
    pub is_blind: bool,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) made: i64,
}

impl Default for World {
    fn default() -> World {
        World {
            buckets: BTreeMap::new(),
            log: Vec::new(),
            faults: VecDeque::new(),
            page: PAGE,
            region: "us-east-1".to_owned(),
            ahead_seconds: 0,
            is_blind: false,
            uploads: BTreeMap::new(),
            made: 0,
        }
    }
}

impl World {
    /// Puts an object in, and its bucket where there is none.
    pub fn put(&mut self, bucket: &str, key: &str, bytes: &[u8]) -> &mut Object {
        let tag = format!("\"{}\"", hex(&Md5::digest(bytes)));
        let object = Object { bytes: bytes.into(), tag, modified: self.tick(), headers: BTreeMap::new() };
        let objects = &mut self.buckets.entry(bucket.to_owned()).or_default().objects;
        objects.insert(key.to_owned(), object);
        objects.get_mut(key).expect("it was just put in")
    }

    /// The requests for bytes of objects: path and range.
    pub fn fetched(&self) -> Vec<(String, Option<String>)> {
        let gets =
            self.log.iter().filter(|asked| asked.method == "GET" && asked.path.matches('/').count() > 1);
        gets.map(|asked| (asked.path.clone(), asked.range.clone())).collect()
    }

    /// Each change is a second after the one before.
    pub(super) fn tick(&mut self) -> Timestamp {
        self.made += 1;
        Timestamp::from_second(1_700_000_000 + self.made).expect("a test makes few objects")
    }

    pub(super) fn answer(&mut self, request: &Request, now: Timestamp) -> Answer {
        let is_head = request.method == Method::HEAD;
        let answer = self.decide(request, now).unwrap_or_else(|refusal| refusal.answer(is_head));
        self.log.push(request.asked(answer.status().as_u16()));
        answer
    }

    fn decide(&mut self, request: &Request, now: Timestamp) -> Result<Answer, Refusal> {
        match self.faults.front() {
            Some(Fault::SlowDown) => {
                self.faults.pop_front();
                return Err(Refusal::new(503, "SlowDown", "Please reduce your request rate."));
            }
            Some(Fault::Broken) => {
                self.faults.pop_front();
                return Err(Refusal::new(500, "InternalError", "We encountered an internal error."));
            }
            _ => {}
        }
        let now = Timestamp::from_second(now.as_second() + self.ahead_seconds).unwrap_or(now);
        let who = signer(request, now, &self.region, &[OWNER, GUEST, STRANGER])?;
        let path = request.path.trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = (unescaped(bucket), unescaped(key));
        if key.is_empty() {
            self.of_bucket(request, who, &bucket)
        } else {
            self.of_object(request, who, &bucket, &key)
        }
    }

    fn of_bucket(&mut self, request: &Request, who: Option<Account>, name: &str) -> Result<Answer, Refusal> {
        if request.method == Method::PUT {
            known(request, &[])?;
            if who.is_none_or(|who| who == STRANGER) {
                return Err(denied());
            }
            if self.buckets.contains_key(name) {
                return Err(Refusal::new(409, "BucketAlreadyOwnedByYou", "it is there, and yours"));
            }
            self.buckets.insert(name.to_owned(), Bucket::default());
            return Ok(whole(Response::builder(), ""));
        }
        self.may(request, who, name)?;
        match request.method.as_str() {
            "HEAD" => Ok(whole(Response::builder().header("x-amz-bucket-region", &self.region), "")),
            "GET" if request.word("list-type").as_deref() == Some("2") => self.list(request, name),
            _ => {
                Err(Refusal::new(501, "NotImplemented", "of buckets, it knows HEAD, PUT and lists of type 2"))
            }
        }
    }

    fn of_object(
        &mut self,
        request: &Request,
        who: Option<Account>,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        self.may(request, who, bucket)?;
        if request.header("x-amz-copy-source").is_some() {
            return Err(Refusal::new(501, "NotImplemented", "it knows no copies"));
        }
        let has = |name: &str| request.word(name).is_some();
        match request.method.as_str() {
            "POST" if has("uploads") => self.begin_upload(request, bucket, key),
            "PUT" if has("uploadId") => self.put_part(request, bucket, key),
            "POST" if has("uploadId") => self.complete_upload(request, bucket, key),
            "DELETE" if has("uploadId") => self.abort_upload(request, bucket, key),
            "GET" | "HEAD" => self.get_object(request, bucket, key),
            "PUT" => self.put_object(request, bucket, key),
            "DELETE" => self.delete_object(request, bucket, key),
            _ => Err(Refusal::new(405, "MethodNotAllowed", "The specified method is not allowed.")),
        }
    }

    /// That the bucket is there, and may be read or written by who asks.
    fn may(&self, request: &Request, who: Option<Account>, bucket: &str) -> Result<(), Refusal> {
        let found = self.buckets.get(bucket);
        let found =
            found.ok_or_else(|| Refusal::new(404, "NoSuchBucket", "The specified bucket does not exist"))?;
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        match who {
            _ if found.is_public && is_read => Ok(()),
            Some(account) if account != STRANGER => Ok(()),
            _ => Err(denied()),
        }
    }

    fn list(&self, request: &Request, name: &str) -> Result<Answer, Refusal> {
        known(request, &OF_A_LIST)?;
        let word = |name: &str| request.word(name).unwrap_or_default();
        let limit = request.word("max-keys").and_then(|text| text.parse().ok()).unwrap_or(self.page);
        let token = word("continuation-token");
        let after = match token.strip_prefix("after.") {
            Some(after) => unescaped(after),
            None if token.is_empty() => word("start-after"),
            None => {
                return Err(Refusal::new(
                    400,
                    "InvalidArgument",
                    "The continuation token provided is incorrect",
                ));
            }
        };
        let (prefix, delimiter) = (word("prefix"), word("delimiter"));
        let asked = Listing { prefix, delimiter, after, limit: limit.min(self.page) };
        let objects = &self.buckets[name].objects;
        let (lines, next) = page(objects.keys(), &asked);
        let is_escaped = word("encoding-type") == "url";
        let shown = |text: &str| if is_escaped { escaped(text, "/") } else { text.to_owned() };
        let inner = lines.iter().map(|line| match line {
            Line::Key(key) => of_list(&shown(key), &objects[key]),
            Line::Prefix(prefix) => {
                format!("<CommonPrefixes>{}</CommonPrefixes>", element("Prefix", &shown(prefix)))
            }
        });
        let mut inner = inner.collect::<String>();
        inner += &element("Name", name);
        inner += &element("Prefix", &shown(&asked.prefix));
        inner += &element("KeyCount", &lines.len().to_string());
        inner += &element("MaxKeys", &limit.to_string());
        inner += &element("IsTruncated", if next.is_some() { "true" } else { "false" });
        if !asked.delimiter.is_empty() {
            inner += &element("Delimiter", &shown(&asked.delimiter));
        }
        if is_escaped {
            inner += &element("EncodingType", "url");
        }
        if let Some(next) = next {
            inner += &element("NextContinuationToken", &format!("after.{}", escaped(&next, "")));
        }
        Ok(document("ListBucketResult", &inner))
    }
}

fn of_list(key: &str, object: &Object) -> String {
    let inner = [
        element("Key", key),
        element("LastModified", &object.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()),
        element("ETag", &object.tag),
        element("Size", &object.bytes.len().to_string()),
        element("StorageClass", "STANDARD"),
    ];
    format!("<Contents>{}</Contents>", inner.concat())
}

/// That a request has no words in its query but these.
pub(super) fn known(request: &Request, words: &[&str]) -> Result<(), Refusal> {
    let mut all = request.words().map(|(name, _)| name);
    match all.find(|name| !words.contains(&name.as_str()) && !IDLE.contains(&name.as_str())) {
        Some(name) => Err(Refusal::new(501, "NotImplemented", format!("it does not know `{name}` here"))),
        None => Ok(()),
    }
}

fn denied() -> Refusal {
    Refusal::new(403, "AccessDenied", "Access Denied")
}
