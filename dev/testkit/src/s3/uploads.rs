//! Uploads in parts: begun, filled, and made an object of, or given up.

use super::world::{World, known};
use super::xml::{Refusal, document, element, texts};
use crate::loopback::{Answer, Request, whole};
use axum::http::Response;
use md5::{Digest, Md5};
use std::collections::BTreeMap;
use wootz_stdx::digest::hex;

/// Every part but the last is at least as large.
const PART_BYTES: usize = 5 << 20;
const PARTS: u64 = 10_000;

/// An upload that is not complete.
#[derive(Debug)]
pub(super) struct Upload {
    bucket: String,
    key: String,
    parts: BTreeMap<u64, Vec<u8>>,
}

impl World {
    /// Uploads that were neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.uploads.len()
    }

    pub(super) fn begin_upload(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &["uploads"])?;
        self.tick();
        let id = format!("upload-{}", self.made);
        let upload = Upload { bucket: bucket.to_owned(), key: key.to_owned(), parts: BTreeMap::new() };
        self.uploads.insert(id.clone(), upload);
        let inner = element("Bucket", bucket) + &element("Key", key) + &element("UploadId", &id);
        Ok(document("InitiateMultipartUploadResult", &inner))
    }

    pub(super) fn put_part(&mut self, request: &Request, bucket: &str, key: &str) -> Result<Answer, Refusal> {
        known(request, &["uploadId", "partNumber"])?;
        let number = request.word("partNumber").and_then(|text| text.parse().ok());
        let number = number.filter(|number| (1..=PARTS).contains(number));
        let number =
            number.ok_or_else(|| Refusal::new(400, "InvalidArgument", "a part's number is 1 to 10000"))?;
        let upload = self.upload(request, bucket, key)?;
        upload.parts.insert(number, request.body.to_vec());
        Ok(whole(Response::builder().header("ETag", tag(&request.body)), ""))
    }

    pub(super) fn complete_upload(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &["uploadId"])?;
        self.may_replace(request, bucket, key)?;
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let (bytes, tag) = joined(self.upload(request, bucket, key)?, &texts(&body, "Part"))?;
        self.uploads.remove(&request.word("uploadId").unwrap_or_default());
        self.put(bucket, key, &bytes).tag = tag.clone();
        let inner = element("Bucket", bucket) + &element("Key", key) + &element("ETag", &tag);
        Ok(document("CompleteMultipartUploadResult", &inner))
    }

    pub(super) fn abort_upload(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &["uploadId"])?;
        self.upload(request, bucket, key)?;
        self.uploads.remove(&request.word("uploadId").unwrap_or_default());
        Ok(whole(Response::builder().status(204), ""))
    }

    fn upload(&mut self, request: &Request, bucket: &str, key: &str) -> Result<&mut Upload, Refusal> {
        let found = self.uploads.get_mut(&request.word("uploadId").unwrap_or_default());
        let found = found.filter(|upload| upload.bucket == bucket && upload.key == key);
        found.ok_or_else(|| Refusal::new(404, "NoSuchUpload", "The specified upload does not exist."))
    }
}

/// The bytes of the parts that a client lists, and the tag of the whole: a digest of digests, and how many they are.
fn joined(upload: &Upload, listed: &[&str]) -> Result<(Vec<u8>, String), Refusal> {
    let first = |part: &str, name: &str| texts(part, name).first().map(|text| text.replace("&quot;", ""));
    let number = |part: &&str| first(part, "PartNumber").and_then(|text| text.parse().ok()).unwrap_or(0);
    let numbers: Vec<u64> = listed.iter().map(number).collect();
    if listed.is_empty() {
        return Err(Refusal::new(400, "MalformedXML", "no parts are listed"));
    }
    if !numbers.is_sorted_by(|one, next| one < next) {
        return Err(Refusal::new(400, "InvalidPartOrder", "The list of parts was not in ascending order."));
    }
    let (mut bytes, mut digests) = (Vec::new(), Vec::new());
    for (at, (number, part)) in numbers.iter().zip(listed).enumerate() {
        let claimed = first(part, "ETag").unwrap_or_default();
        let is_it = |held: &&Vec<u8>| tag(held).trim_matches('"') == claimed.trim_matches('"');
        let held = upload.parts.get(number).filter(is_it);
        let held = held.ok_or_else(|| Refusal::new(400, "InvalidPart", "a part is not there, or another"))?;
        if at + 1 < listed.len() && held.len() < PART_BYTES {
            return Err(Refusal::new(
                400,
                "EntityTooSmall",
                "a part is smaller than the minimum allowed size",
            ));
        }
        digests.extend_from_slice(&Md5::digest(held));
        bytes.extend_from_slice(held);
    }
    Ok((bytes, format!("\"{}-{}\"", hex(&Md5::digest(&digests)), listed.len())))
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex(&Md5::digest(bytes)))
}
