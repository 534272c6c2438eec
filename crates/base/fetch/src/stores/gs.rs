//! Google Cloud Storage, by its XML interface.

use super::Refusal;
use std::fmt;

const OFFICIAL: &str = "https://storage.googleapis.com";

/// Where it is, and who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Gs {
    /// Another address than Google's own.
    pub endpoint: Option<String>,
    /// An access token; none: requests say nothing of who asks. Never shown.
    pub token: Option<String>,
}

impl fmt::Debug for Gs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gs").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl Gs {
    pub(super) fn url(&self, bucket: &str, name: &str) -> String {
        let endpoint = self.endpoint.as_deref().unwrap_or(OFFICIAL).trim_end_matches('/');
        let scheme = if endpoint.contains("://") { "" } else { "http://" };
        format!("{scheme}{endpoint}/{bucket}/{}", escaped(name))
    }

    /// What to do about a refusal.
    pub(super) fn advice(&self, refusal: &Refusal) -> Option<String> {
        let advice = match (refusal.status, refusal.code.as_deref()) {
            (401, _) if self.token.is_some() => {
                "GOOGLE_OAUTH_ACCESS_TOKEN is over, or is none: set it to what `gcloud auth print-access-token` prints"
            }
            (401 | 403, _) if self.token.is_none() => {
                "the bucket is not public: set GOOGLE_OAUTH_ACCESS_TOKEN to what `gcloud auth print-access-token` prints"
            }
            (401 | 403, _) => "the account of GOOGLE_OAUTH_ACCESS_TOKEN may not read it",
            (404, Some("NoSuchBucket")) => "look at the name of the bucket",
            (404, _) => "look at the name: there is no such object in the bucket",
            _ => return None,
        };
        Some(advice.to_owned())
    }
}

/// All but letters, digits, `-._~` and `/` as `%` and two digits.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_escaped_and_the_token_is_not_shown() {
        let gs = Gs { endpoint: None, token: Some("s3cret".to_owned()) };
        assert_eq!(gs.url("b", "a b/ü?x"), "https://storage.googleapis.com/b/a%20b/%C3%BC%3Fx");
        assert!(!format!("{gs:?}").contains("s3cret"));
        let gs = Gs { endpoint: Some("localhost:9023/".to_owned()), token: None };
        assert_eq!(gs.url("b", "x"), "http://localhost:9023/b/x");
    }
}
