//! Objects: got, put and deleted, on conditions.

use super::world::{Object, World, known};
use super::xml::Refusal;
use crate::loopback::{Answer, Fault, Request, sent, whole};
use axum::http::{Method, Response};

impl World {
    pub(super) fn get_object(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &[])?;
        let object = self.object(bucket, key).cloned();
        let object =
            object.ok_or_else(|| Refusal::new(404, "NoSuchKey", "The specified key does not exist."))?;
        let date = object.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        if request.header("If-Match").is_some_and(|tags| !fits(tags, &object)) {
            return Err(failed());
        }
        let head = Response::builder().header("ETag", &object.tag).header("Last-Modified", &date);
        if request.header("If-None-Match").is_some_and(|tags| fits(tags, &object)) {
            return Ok(whole(head.status(304), ""));
        }
        let head = object.headers.iter().fold(head, |head, (name, value)| head.header(name, value));
        let is_same = |wanted: &str| self.is_blind || wanted == object.tag || wanted == date;
        let range = request.header("Range").filter(|_| request.header("If-Range").is_none_or(is_same));
        let cut = match self.faults.front() {
            Some(Fault::Cut(limit)) if request.method == Method::GET => Some(*limit),
            _ => None,
        };
        if cut.is_some() {
            self.faults.pop_front();
        }
        match sent(head, request, range, &object.bytes, cut) {
            answer if answer.status() == 416 => {
                Err(Refusal::new(416, "InvalidRange", "The requested range is not satisfiable"))
            }
            answer => Ok(answer),
        }
    }

    pub(super) fn put_object(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &[])?;
        self.may_replace(request, bucket, key)?;
        let object = self.put(bucket, key, &request.body);
        let kept = request.headers.iter().filter(|(name, _)| is_kept(name.as_str()));
        let kept = kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
        object.headers = kept.collect();
        Ok(whole(Response::builder().header("ETag", &object.tag), ""))
    }

    pub(super) fn delete_object(
        &mut self,
        request: &Request,
        bucket: &str,
        key: &str,
    ) -> Result<Answer, Refusal> {
        known(request, &[])?;
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.objects.remove(key);
        }
        Ok(whole(Response::builder().status(204), ""))
    }

    /// That the conditions hold on which an object may be put.
    pub(super) fn may_replace(&self, request: &Request, bucket: &str, key: &str) -> Result<(), Refusal> {
        let there = self.object(bucket, key);
        match (request.header("If-None-Match"), request.header("If-Match")) {
            (Some("*"), None) if there.is_some() => Err(failed()),
            (Some("*") | None, None) => Ok(()),
            (None, Some(tags)) if there.is_some_and(|object| fits(tags, object)) => Ok(()),
            (None, Some(_)) if there.is_none() => {
                Err(Refusal::new(404, "NoSuchKey", "there is none to match"))
            }
            (None, Some(_)) => Err(failed()),
            (Some(_), _) => Err(Refusal::new(501, "NotImplemented", "If-None-Match is `*` here")),
        }
    }

    pub(super) fn object(&self, bucket: &str, key: &str) -> Option<&Object> {
        self.buckets.get(bucket)?.objects.get(key)
    }
}

fn is_kept(header: &str) -> bool {
    header == "content-type" || header.starts_with("x-amz-meta-")
}

fn fits(tags: &str, object: &Object) -> bool {
    let bare = object.tag.trim_matches('"');
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_matches('"') == bare)
}

fn failed() -> Refusal {
    let message = "At least one of the pre-conditions you specified did not hold";
    Refusal::new(412, "PreconditionFailed", message)
}
