//! The bytes of objects, by either interface.

use super::world::{Object, Refusal, World};
use crate::loopback::{Answer, Fault, Request, sent};
use axum::http::response::Builder;
use axum::http::{Method, Response};
use md5::{Digest, Md5};
use wootz_stdx::digest::hex;

impl World {
    /// By the JSON interface.
    pub(super) fn media(&mut self, request: &Request, bucket: &str, name: &str) -> Result<Answer, Refusal> {
        let object = self.wanted(request, bucket, name)?.clone();
        let head = head(&object).header("ETag", format!("e{}", object.generation));
        let cut = self.cut(request);
        Ok(sent(head, request, request.header("Range"), &object.bytes, cut))
    }

    /// By the XML interface.
    pub(super) fn plain(&mut self, request: &Request, bucket: &str, name: &str) -> Result<Answer, Refusal> {
        let object = self.wanted(request, bucket, name)?.clone();
        let tag = format!("\"{}\"", hex(&Md5::digest(&object.bytes)));
        let head =
            head(&object).header("ETag", &tag).header("Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT");
        let is_same = |wanted: &str| self.is_blind || wanted == tag;
        let range = request.header("Range").filter(|_| request.header("If-Range").is_none_or(is_same));
        let cut = self.cut(request);
        Ok(sent(head, request, range, &object.bytes, cut))
    }

    fn cut(&mut self, request: &Request) -> Option<u64> {
        match self.faults.front() {
            Some(Fault::Cut(limit)) if request.method == Method::GET => {
                let limit = *limit;
                self.faults.pop_front();
                Some(limit)
            }
            _ => None,
        }
    }
}

fn head(object: &Object) -> Builder {
    let kind = object.fields.get("contentType").and_then(|kind| kind.as_str());
    Response::builder()
        .header("Content-Type", kind.unwrap_or("application/octet-stream"))
        .header("x-goog-generation", object.generation)
        .header("x-goog-metageneration", 1)
        .header("x-goog-stored-content-encoding", "identity")
        .header("x-goog-stored-content-length", object.bytes.len())
        .header("x-goog-hash", format!("crc32c={}", object.crc32c()))
        .header("x-goog-hash", format!("md5={}", object.md5()))
}
