//! Amazon S3, and what speaks its language elsewhere.

use super::Refusal;
use rusty_s3::actions::GetObject;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use std::fmt;
use std::time::Duration;

const REGION: &str = "us-east-1";
/// An attempt that has begun may last longer.
const HOLDS: Duration = Duration::from_secs(3600);

/// Where it is, and who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3 {
    /// Region of the buckets; none: us-east-1.
    pub region: Option<String>,
    /// Another address than Amazon's own; buckets are then a part of the path.
    pub endpoint: Option<String>,
    /// What requests are signed with; none: they are not.
    pub keys: Option<Keys>,
}

/// What requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The public one.
    pub id: String,
    /// Never sent, and never shown.
    pub secret: String,
    /// What belongs to keys that hold for a while; never shown.
    pub session_token: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

impl S3 {
    pub(super) fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(REGION)
    }

    /// The address of an object, signed as of now. The error is a sentence.
    pub(super) fn url(&self, bucket: &str, key: &str) -> Result<String, String> {
        let region = self.region();
        let endpoint = self.endpoint.clone().unwrap_or_else(|| official(region));
        // No certificate holds for a dot in a bucket's name.
        let is_path = self.endpoint.is_some() || bucket.contains('.');
        let style = if is_path { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint =
            endpoint.parse().map_err(|error| format!("the endpoint of S3 is no address: {error}"))?;
        let bucket = Bucket::new(endpoint, style, bucket.to_owned(), region.to_owned())
            .map_err(|error| format!("there can be no such bucket: {error}"))?;
        let keys = self.keys.as_ref().map(|keys| match &keys.session_token {
            Some(token) => Credentials::new_with_token(&keys.id, &keys.secret, token),
            None => Credentials::new(&keys.id, &keys.secret),
        });
        Ok(GetObject::new(&bucket, keys.as_ref(), key).sign(HOLDS).into())
    }

    /// What to do about a refusal.
    pub(super) fn advice(&self, refusal: &Refusal) -> Option<String> {
        let advice = match (refusal.status, refusal.code.as_deref()) {
            (301 | 400, _) if refusal.region.is_some() => {
                let region = refusal.region.as_deref().unwrap_or_default();
                return Some(format!("the bucket is in another region: set AWS_REGION={region}"));
            }
            (_, Some("InvalidAccessKeyId")) => {
                "AWS_ACCESS_KEY_ID is not known there: look at it, at AWS_PROFILE and at AWS_ENDPOINT_URL_S3"
            }
            (_, Some("SignatureDoesNotMatch")) => {
                "AWS_SECRET_ACCESS_KEY is not the one that belongs to AWS_ACCESS_KEY_ID"
            }
            (_, Some("ExpiredToken" | "InvalidToken")) => {
                "AWS_SESSION_TOKEN is over, or is not the one that belongs to AWS_ACCESS_KEY_ID"
            }
            (_, Some("RequestTimeTooSkewed")) => "the clock of this machine is wrong",
            (404, Some("NoSuchBucket")) => {
                "look at the name of the bucket; a store that is not Amazon's is named by AWS_ENDPOINT_URL_S3"
            }
            (404, _) => "look at the key: there is no such object in the bucket",
            (401 | 403, _) if self.keys.is_none() => {
                "the bucket is not public, or has no such object: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            }
            (401 | 403, _) => {
                "the account of AWS_ACCESS_KEY_ID may not read it, or the bucket has no such object"
            }
            (301, _) => "the bucket is in another region: set AWS_REGION",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

fn official(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://s3.{region}.{domain}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_by_host_or_by_path() {
        let url = |region: Option<&str>, endpoint: Option<&str>, bucket: &str| {
            let (region, endpoint) = (region.map(str::to_owned), endpoint.map(str::to_owned));
            S3 { region, endpoint, keys: None }.url(bucket, "a b/ü?x=1#y+z").unwrap()
        };
        let key = "a%20b/%C3%BC%3Fx%3D1%23y%2Bz";
        assert_eq!(url(None, None, "b"), format!("https://b.s3.us-east-1.amazonaws.com/{key}"));
        assert_eq!(
            url(Some("cn-north-1"), None, "b"),
            format!("https://b.s3.cn-north-1.amazonaws.com.cn/{key}")
        );
        assert_eq!(url(None, None, "b.c"), format!("https://s3.us-east-1.amazonaws.com/b.c/{key}"));
        assert_eq!(url(None, Some("http://h:9/s"), "b"), format!("http://h:9/s/b/{key}"));
        assert!(S3 { endpoint: Some("h:9".into()), ..S3::default() }.url("b", "k").is_err());
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        let token = Some("t0ken".to_owned());
        let keys = Keys { id: "AKIA".to_owned(), secret: "s3cret".to_owned(), session_token: token };
        let s3 = S3 { keys: Some(keys), ..S3::default() };
        let text = format!("{s3:?}");
        assert!(text.contains("AKIA") && !text.contains("s3cret") && !text.contains("t0ken"), "{text}");
        let url = s3.url("b", "k").unwrap();
        assert!(url.contains("X-Amz-Security-Token=t0ken") && !url.contains("s3cret"), "{url}");
    }
}
