//! Uploads: in one request with what is said of the object, or in pieces, which can be taken up again.

use super::world::{Refusal, World, known, may_write, resource, told};
use crate::loopback::{Answer, Request, whole};
use axum::http::Response;
use serde_json::{Map, Value};

/// Every piece but the last is a multiple of this.
const PIECE_BYTES: usize = 256 << 10;
const WORDS: [&str; 5] = ["uploadType", "upload_id", "name", "ifGenerationMatch", "ifGenerationNotMatch"];

/// An upload in pieces that is not complete.
#[derive(Debug)]
pub(super) struct Upload {
    bucket: String,
    name: String,
    fields: Map<String, Value>,
    /// The request that began it, for its conditions.
    query: String,
    bytes: Vec<u8>,
}

impl World {
    /// Uploads in pieces that are not complete.
    pub fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    pub(super) fn upload(&mut self, request: &Request, bucket: &str) -> Result<Answer, Refusal> {
        known(request, &WORDS)?;
        may_write(request)?;
        self.may(request, bucket)?;
        match (request.method.as_str(), request.word("uploadType").as_deref()) {
            ("POST", Some("multipart")) => {
                let (fields, bytes) = parts(request).ok_or_else(|| bad("the body is not two parts"))?;
                let name = name(request, &fields)?;
                self.fits(request, bucket, &name)?;
                self.store(request, bucket, &name, &fields, bytes)
            }
            ("POST", Some("resumable")) => self.begin(request, bucket),
            ("PUT", _) => self.piece(request, bucket),
            _ => Err(Refusal::new(501, "NotImplemented", "it knows uploads of type multipart and resumable")),
        }
    }

    fn begin(&mut self, request: &Request, bucket: &str) -> Result<Answer, Refusal> {
        let mut fields: Map<String, Value> = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(kind) = request.header("X-Upload-Content-Type") {
            fields.entry("contentType").or_insert_with(|| kind.into());
        }
        let name = name(request, &fields)?;
        self.fits(request, bucket, &name)?;
        self.made += 1;
        let id = format!("upload-{}", self.made);
        let host = request.header("Host").unwrap_or_default();
        let place = format!("http://{host}{}?uploadType=resumable&upload_id={id}", request.path);
        let (bucket, query) = (bucket.to_owned(), request.query.clone());
        self.uploads.insert(id, Upload { bucket, name, fields, query, bytes: Vec::new() });
        Ok(whole(Response::builder().header("Location", place), ""))
    }

    /// Takes a piece, or says with 308 how far the upload is.
    fn piece(&mut self, request: &Request, bucket: &str) -> Result<Answer, Refusal> {
        let id = request.word("upload_id").unwrap_or_default();
        let upload = self.uploads.get_mut(&id).filter(|upload| upload.bucket == bucket);
        let upload = upload.ok_or_else(|| Refusal::new(404, "notFound", "no such upload"))?;
        let range = request.header("Content-Range").and_then(|range| range.strip_prefix("bytes "));
        let (range, total) =
            range.and_then(|range| range.split_once('/')).ok_or_else(|| bad("no Content-Range"))?;
        let total: Option<usize> = total.parse().ok();
        if let Some((from, _)) = range.split_once('-') {
            let from: usize = from.parse().map_err(|_| bad("a piece begins at a number"))?;
            if from != upload.bytes.len() {
                return Err(Refusal::new(503, "backendError", "a piece is missing before this one"));
            }
            upload.bytes.extend_from_slice(&request.body);
        }
        if total != Some(upload.bytes.len()) {
            if !upload.bytes.len().is_multiple_of(PIECE_BYTES) {
                return Err(bad("a piece that is not the last is no multiple of 256 KiB"));
            }
            let head = Response::builder().status(308);
            return Ok(match upload.bytes.len() {
                0 => whole(head, ""),
                length => whole(head.header("Range", format!("bytes=0-{}", length - 1)), ""),
            });
        }
        let upload = self.uploads.remove(&id).expect("it was just found");
        let begun = Request {
            method: request.method.clone(),
            path: request.path.clone(),
            query: upload.query,
            headers: request.headers.clone(),
            body: Default::default(),
        };
        self.fits(&begun, bucket, &upload.name)?;
        self.store(request, bucket, &upload.name, &upload.fields, upload.bytes)
    }

    fn store(
        &mut self,
        request: &Request,
        bucket: &str,
        name: &str,
        fields: &Map<String, Value>,
        bytes: Vec<u8>,
    ) -> Result<Answer, Refusal> {
        let before = self.buckets.get(bucket).and_then(|bucket| bucket.objects.get(name).cloned());
        let object = self.put(bucket, name, &bytes);
        let claims = [("md5Hash", object.md5()), ("crc32c", object.crc32c())];
        let wrong =
            claims.iter().find(|(field, found)| fields.get(*field).is_some_and(|claim| claim != found));
        let kept = fields.iter().filter(|(name, _)| matches!(name.as_str(), "contentType" | "metadata"));
        object.fields = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        let all = resource(request, bucket, name, object);
        if let Some((field, _)) = wrong {
            let objects = &mut self.buckets.get_mut(bucket).expect("it was just put into").objects;
            match before {
                Some(before) => objects.insert(name.to_owned(), before),
                None => objects.remove(name),
            };
            return Err(bad(&format!("Provided {field} doesn't match the calculated one.")));
        }
        Ok(told(&all))
    }
}

fn name(request: &Request, fields: &Map<String, Value>) -> Result<String, Refusal> {
    let field = fields.get("name").and_then(|name| name.as_str().map(str::to_owned));
    request.word("name").or(field).ok_or_else(|| Refusal::new(400, "required", "Required"))
}

/// What is said of an object, and its bytes: the two parts of a `multipart/related`.
fn parts(request: &Request) -> Option<(Map<String, Value>, Vec<u8>)> {
    let kind = request.header("Content-Type")?.strip_prefix("multipart/related")?;
    let boundary = kind.split_once("boundary=")?.1.trim_matches('"').as_bytes();
    let mark = [b"--", boundary].concat();
    let (_, rest) = split(&request.body, &mark)?;
    let (first, rest) = split(rest, &[b"\r\n", mark.as_slice()].concat())?;
    let (second, _) = split(rest, &[b"\r\n", mark.as_slice(), b"--"].concat())?;
    let (_, json) = split(first, b"\r\n\r\n")?;
    let (head, bytes) = split(second, b"\r\n\r\n")?;
    let mut fields: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if let Some((_, kind)) = head.split_once("content-type:") {
        fields.entry("contentType").or_insert_with(|| kind.trim().into());
    }
    Some((fields, bytes.to_vec()))
}

fn split<'b>(bytes: &'b [u8], mark: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    let at = bytes.windows(mark.len()).position(|window| window == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

fn bad(message: &str) -> Refusal {
    Refusal::new(400, "invalid", message)
}
