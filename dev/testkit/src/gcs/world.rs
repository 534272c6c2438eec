//! What the store knows, who may ask it for what, and what is no bytes: buckets, metadata, lists.

use super::uploads::Upload;
use super::{STRANGER, TOKEN};
use crate::loopback::{Answer, Asked, Fault, Line, Listing, Request, escaped, page, unescaped, whole};
use axum::http::{Method, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

const PAGE: usize = 1000;
/// Words of a query that change nothing here.
const IDLE: [&str; 6] = ["alt", "fields", "prettyPrint", "projection", "project", "userProject"];
const CONDITIONS: [&str; 4] =
    ["generation", "ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch"];

/// An object.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it holds.
    pub bytes: Arc<[u8]>,
    /// Larger than that of every object before.
    pub generation: u64,
    /// `contentType` and `metadata`, as they were sent.
    pub fields: Map<String, Value>,
}

impl Object {
    /// MD5 in base 64.
    pub(super) fn md5(&self) -> String {
        STANDARD.encode(Md5::digest(&self.bytes))
    }

    /// CRC32C in base 64.
    pub(super) fn crc32c(&self) -> String {
        STANDARD.encode(crc32c::crc32c(&self.bytes).to_be_bytes())
    }
}

/// A bucket.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// By name.
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
    /// `If-Range` is not looked at.
    pub is_blind: bool,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) made: u64,
}

impl Default for World {
    fn default() -> World {
        World {
            buckets: BTreeMap::new(),
            log: Vec::new(),
            faults: VecDeque::new(),
            page: PAGE,
            is_blind: false,
            uploads: BTreeMap::new(),
            made: 0,
        }
    }
}

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: u16,
    /// As the XML interface has it.
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { status, code, message: message.into() }
    }

    fn answer(&self, is_json: bool) -> Answer {
        let head = Response::builder().status(self.status);
        let message = self.message.replace('&', "&amp;").replace('<', "&lt;");
        if !is_json {
            let code = self.code;
            let body = format!(
                "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
            );
            return whole(head.header("Content-Type", "application/xml"), body);
        }
        let error = json!({"message": self.message, "domain": "global", "reason": self.code});
        let body = json!({"error": {"code": self.status, "message": self.message, "errors": [error]}});
        whole(head.header("Content-Type", "application/json"), body.to_string())
    }
}

impl World {
    /// Puts an object in, and its bucket where there is none.
    pub fn put(&mut self, bucket: &str, name: &str, bytes: &[u8]) -> &mut Object {
        self.made += 1;
        let generation = 1_700_000_000_000_000 + self.made;
        let object = Object { bytes: bytes.into(), generation, fields: Map::new() };
        let objects = &mut self.buckets.entry(bucket.to_owned()).or_default().objects;
        objects.insert(name.to_owned(), object);
        objects.get_mut(name).expect("it was just put in")
    }

    pub(super) fn answer(&mut self, request: &Request) -> Answer {
        let is_json =
            ["/storage/", "/upload/", "/download/"].iter().any(|head| request.path.starts_with(head));
        let answer = self.decide(request).unwrap_or_else(|refusal| refusal.answer(is_json));
        self.log.push(request.asked(answer.status().as_u16()));
        answer
    }

    fn decide(&mut self, request: &Request) -> Result<Answer, Refusal> {
        match self.faults.front() {
            Some(Fault::SlowDown) => {
                self.faults.pop_front();
                return Err(Refusal::new(503, "SlowDown", "We encountered too many requests."));
            }
            Some(Fault::Broken) => {
                self.faults.pop_front();
                return Err(Refusal::new(500, "InternalError", "We encountered an internal error."));
            }
            _ => {}
        }
        // Split before it is unescaped: the name of an object may hold an escaped slash.
        let parts: Vec<String> = request.path.trim_start_matches('/').split('/').map(unescaped).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let method = request.method.as_str();
        match (method, parts.as_slice()) {
            ("POST", ["storage", "v1", "b"]) => self.make_bucket(request),
            ("GET", ["storage", "v1", "b", bucket]) => {
                self.may(request, bucket)?;
                Ok(told(&json!({"kind": "storage#bucket", "id": bucket, "name": bucket})))
            }
            ("GET", ["storage", "v1", "b", bucket, "o"]) => self.list(request, bucket),
            ("GET", ["storage", "v1", "b", bucket, "o", name])
                if request.word("alt").as_deref() == Some("media") =>
            {
                self.media(request, bucket, name)
            }
            ("GET", ["download", "storage", "v1", "b", bucket, "o", name]) => {
                self.media(request, bucket, name)
            }
            ("GET", ["storage", "v1", "b", bucket, "o", name]) => {
                let object = self.wanted(request, bucket, name)?;
                Ok(told(&resource(request, bucket, name, object)))
            }
            ("DELETE", ["storage", "v1", "b", bucket, "o", name]) => self.delete(request, bucket, name),
            ("POST" | "PUT", ["upload", "storage", "v1", "b", bucket, "o"]) => self.upload(request, bucket),
            ("GET" | "HEAD", [bucket, name @ ..]) if !name.is_empty() => {
                self.plain(request, bucket, &name.join("/"))
            }
            _ => Err(Refusal::new(501, "NotImplemented", format!("it knows no {method} {}", request.path))),
        }
    }

    fn make_bucket(&mut self, request: &Request) -> Result<Answer, Refusal> {
        may_write(request)?;
        let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let name = asked["name"].as_str().unwrap_or_default();
        if self.buckets.contains_key(name) {
            return Err(Refusal::new(
                409,
                "conflict",
                "Your previous request to create the bucket succeeded.",
            ));
        }
        self.buckets.insert(name.to_owned(), Bucket::default());
        Ok(told(&json!({"kind": "storage#bucket", "id": name, "name": name})))
    }

    fn list(&self, request: &Request, name: &str) -> Result<Answer, Refusal> {
        self.may(request, name)?;
        known(request, &["prefix", "delimiter", "pageToken", "maxResults"])?;
        let word = |name: &str| request.word(name).unwrap_or_default();
        let after = match (word("pageToken"), word("pageToken").strip_prefix("after.")) {
            (_, Some(after)) => unescaped(after),
            (token, None) if token.is_empty() => String::new(),
            _ => return Err(Refusal::new(400, "invalid", "Invalid page token.")),
        };
        let limit = request.word("maxResults").and_then(|text| text.parse().ok()).unwrap_or(self.page);
        let asked = Listing {
            prefix: word("prefix"),
            delimiter: word("delimiter"),
            after,
            limit: limit.min(self.page),
        };
        let objects = &self.buckets[name].objects;
        let (lines, next) = page(objects.keys(), &asked);
        let (mut items, mut prefixes) = (Vec::new(), Vec::new());
        for line in lines {
            match line {
                Line::Key(key) => items.push(resource(request, name, &key, &objects[&key])),
                Line::Prefix(prefix) => prefixes.push(prefix),
            }
        }
        let mut list = json!({"kind": "storage#objects", "items": items, "prefixes": prefixes});
        if let Some(next) = next {
            list["nextPageToken"] = json!(format!("after.{}", escaped(&next, "")));
        }
        Ok(told(&list))
    }

    fn delete(&mut self, request: &Request, bucket: &str, name: &str) -> Result<Answer, Refusal> {
        self.wanted(request, bucket, name)?;
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.objects.remove(name);
        }
        Ok(whole(Response::builder().status(204), ""))
    }

    /// An object that is there, may be seen, and fits the conditions.
    pub(super) fn wanted(&self, request: &Request, bucket: &str, name: &str) -> Result<&Object, Refusal> {
        known(request, &CONDITIONS)?;
        self.may(request, bucket)?;
        self.fits(request, bucket, name)?;
        let generation = request.word("generation").and_then(|text| text.parse().ok());
        let found = self.object(bucket, name);
        let found =
            found.filter(|object| generation.is_none_or(|generation: u64| generation == object.generation));
        found.ok_or_else(|| Refusal::new(404, "NoSuchKey", format!("No such object: {bucket}/{name}")))
    }

    /// That the conditions hold which a request makes; none is there at generation 0.
    pub(super) fn fits(&self, request: &Request, bucket: &str, name: &str) -> Result<(), Refusal> {
        let there = self.object(bucket, name).map_or(0, |object| object.generation);
        let number = |name: &str| request.word(name).and_then(|text| text.parse::<u64>().ok());
        let is_met = number("ifGenerationMatch").is_none_or(|wanted| wanted == there)
            && number("ifGenerationNotMatch").is_none_or(|other| other != there)
            && number("ifMetagenerationMatch").is_none_or(|wanted| wanted == 1);
        match is_met {
            true => Ok(()),
            false => {
                let message = "At least one of the pre-conditions you specified did not hold.";
                Err(Refusal::new(412, "conditionNotMet", message))
            }
        }
    }

    /// That a bucket is there, and may be read or written by who asks.
    pub(super) fn may(&self, request: &Request, bucket: &str) -> Result<(), Refusal> {
        let found = self.buckets.get(bucket);
        let is_read = matches!(request.method, Method::GET | Method::HEAD);
        if is_read && found.is_some_and(|bucket| bucket.is_public) {
            bearer(request).map(drop)
        } else {
            may_write(request)?;
            let message = "The specified bucket does not exist.";
            found.map(drop).ok_or_else(|| Refusal::new(404, "NoSuchBucket", message))
        }
    }

    fn object(&self, bucket: &str, name: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.objects.get(name)
    }
}

/// What is known of an object.
pub(super) fn resource(request: &Request, bucket: &str, name: &str, object: &Object) -> Value {
    let host = request.header("Host").unwrap_or_default();
    let path = format!("storage/v1/b/{bucket}/o/{}", escaped(name, ""));
    let generation = object.generation;
    let time = "2023-11-14T22:13:20.000Z";
    let mut all = json!({
        "kind": "storage#object",
        "id": format!("{bucket}/{name}/{generation}"),
        "name": name,
        "bucket": bucket,
        "generation": generation.to_string(),
        "metageneration": "1",
        "size": object.bytes.len().to_string(),
        "md5Hash": object.md5(),
        "crc32c": object.crc32c(),
        "etag": format!("e{generation}"),
        "timeCreated": time,
        "updated": time,
        "storageClass": "STANDARD",
        "selfLink": format!("http://{host}/{path}"),
        "mediaLink": format!("http://{host}/download/{path}?generation={generation}&alt=media"),
    });
    for (name, value) in &object.fields {
        all[name] = value.clone();
    }
    all
}

/// That a request has no words in its query but these.
pub(super) fn known(request: &Request, words: &[&str]) -> Result<(), Refusal> {
    let mut all = request.words().map(|(name, _)| name);
    match all.find(|name| !words.contains(&name.as_str()) && !IDLE.contains(&name.as_str())) {
        Some(name) => Err(Refusal::new(501, "NotImplemented", format!("it does not know `{name}` here"))),
        None => Ok(()),
    }
}

pub(super) fn told(value: &Value) -> Answer {
    whole(Response::builder().header("Content-Type", "application/json"), value.to_string())
}

pub(super) fn may_write(request: &Request) -> Result<(), Refusal> {
    match bearer(request)? {
        Some(TOKEN) => Ok(()),
        Some(_) => Err(Refusal::new(403, "AccessDenied", "the caller does not have storage.objects access")),
        None => {
            // The two interfaces differ in this.
            let is_json =
                ["/storage/", "/upload/", "/download/"].iter().any(|head| request.path.starts_with(head));
            let status = if is_json { 401 } else { 403 };
            Err(Refusal::new(status, "AccessDenied", "Anonymous caller does not have storage.objects access"))
        }
    }
}

/// Who asks; none: nobody says.
fn bearer(request: &Request) -> Result<Option<&str>, Refusal> {
    match request.header("Authorization").map(|text| text.strip_prefix("Bearer ")) {
        None => Ok(None),
        Some(Some(token)) if token == TOKEN || token == STRANGER => Ok(Some(token)),
        Some(_) => Err(Refusal::new(401, "AuthenticationRequired", "Invalid Credentials")),
    }
}
