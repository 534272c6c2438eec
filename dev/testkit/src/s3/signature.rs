//! Whether a request is signed by whom it says: Signature Version 4, in the header `Authorization` or in the query.

use super::xml::Refusal;
use crate::loopback::{Request, escaped, unescaped};
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use sha2::Sha256;
use wootz_stdx::digest::{hex, sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const SKEW_SECONDS: i64 = 15 * 60;
const LONGEST_SECONDS: i64 = 7 * 24 * 3600;

/// Who may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its public name.
    pub key: &'static str,
    /// What it signs with.
    pub secret: &'static str,
    /// What it has to send along, where it is one for a while.
    pub token: Option<&'static str>,
}

/// What a request says of itself.
struct Claim {
    /// `KEY/DATE/REGION/s3/aws4_request`.
    credential: String,
    /// Names of headers, as they are joined.
    signed: String,
    signature: String,
    /// As `20130524T000000Z`.
    time: String,
    /// Seconds for which a signature in the query holds; a header's holds for the skew.
    lasts: Option<i64>,
    token: Option<String>,
    payload: String,
}

/// Who signed a request; nobody where it is not signed.
pub(super) fn signer(
    request: &Request,
    now: Timestamp,
    region: &str,
    accounts: &[Account],
) -> Result<Option<Account>, Refusal> {
    let claim = match (request.header("Authorization"), request.word("X-Amz-Algorithm")) {
        (None, None) => return Ok(None),
        (Some(header), None) => of_header(request, header)?,
        (None, Some(algorithm)) => of_query(request, &algorithm)?,
        (Some(_), Some(_)) => return Err(malformed("Only one auth mechanism allowed")),
    };
    let scope: Vec<&str> = claim.credential.splitn(2, '/').collect();
    let &[key, scope] = scope.as_slice() else { return Err(malformed("the credential has no scope")) };
    in_time(&claim, now)?;
    let Some(account) = accounts.iter().find(|account| account.key == key) else {
        let message = "The AWS Access Key Id you provided does not exist in our records.";
        return Err(Refusal::new(403, "InvalidAccessKeyId", message));
    };
    if account.token != claim.token.as_deref() {
        return Err(Refusal::new(
            400,
            "InvalidToken",
            "The provided token is malformed or otherwise invalid.",
        ));
    }
    let wanted = format!("{}/{region}/s3/aws4_request", claim.time.get(..8).unwrap_or_default());
    if scope != wanted {
        let message = format!("the scope is wrong; expecting '{wanted}'");
        let of_query = claim.lasts.map(|_| "AuthorizationQueryParametersError");
        let refusal = Refusal::new(400, of_query.unwrap_or("AuthorizationHeaderMalformed"), message);
        return Err(refusal.with_header("x-amz-bucket-region", region));
    }
    all_signed(request, &claim.signed)?;
    let canonical = canonical(request, &claim);
    let text = format!("{ALGORITHM}\n{}\n{scope}\n{}", claim.time, sha256(canonical.as_bytes()));
    let first = format!("AWS4{}", account.secret).into_bytes();
    let key = scope.split('/').fold(first, |key, part| mac(&key, part));
    if hex(&mac(&key, &text)) != claim.signature {
        let message =
            "The request signature we calculated does not match the signature you provided. Check your key.";
        return Err(Refusal::new(403, "SignatureDoesNotMatch", message));
    }
    Ok(Some(*account))
}

fn of_header(request: &Request, header: &str) -> Result<Claim, Refusal> {
    let rest = header.strip_prefix(ALGORITHM).ok_or_else(|| malformed("another algorithm"))?;
    let field = |name: &str| {
        let mut fields = rest.split(',').filter_map(|field| field.trim().split_once('='));
        let found = fields.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned());
        found.ok_or_else(|| malformed(&format!("{name} is missing")))
    };
    let header = |name: &str| {
        let found = request.header(name).map(str::to_owned);
        found.ok_or_else(|| malformed(&format!("the header {name} is missing")))
    };
    let payload = header("x-amz-content-sha256")?;
    if payload.starts_with("STREAMING-") {
        return Err(Refusal::new(501, "NotImplemented", "bodies in signed chunks are not known here"));
    }
    if payload != UNSIGNED && payload != sha256(&request.body) {
        let message = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        return Err(Refusal::new(400, "XAmzContentSHA256Mismatch", message));
    }
    Ok(Claim {
        credential: field("Credential")?,
        signed: field("SignedHeaders")?,
        signature: field("Signature")?,
        time: header("x-amz-date")?,
        lasts: None,
        token: header("x-amz-security-token").ok(),
        payload,
    })
}

fn of_query(request: &Request, algorithm: &str) -> Result<Claim, Refusal> {
    if algorithm != ALGORITHM {
        return Err(malformed("another algorithm"));
    }
    let word = |name: &str| request.word(name).ok_or_else(|| malformed(&format!("{name} is missing")));
    let lasts = word("X-Amz-Expires")?.parse().ok().filter(|lasts| (1..=LONGEST_SECONDS).contains(lasts));
    Ok(Claim {
        credential: word("X-Amz-Credential")?,
        signed: word("X-Amz-SignedHeaders")?,
        signature: word("X-Amz-Signature")?,
        time: word("X-Amz-Date")?,
        lasts: Some(lasts.ok_or_else(|| malformed("X-Amz-Expires is less than 1 or more than 604800"))?),
        token: request.word("X-Amz-Security-Token"),
        payload: UNSIGNED.to_owned(),
    })
}

fn in_time(claim: &Claim, now: Timestamp) -> Result<(), Refusal> {
    let civil = DateTime::strptime("%Y%m%dT%H%M%SZ", &claim.time);
    let signed = civil.and_then(|civil| TimeZone::UTC.to_timestamp(civil));
    let signed = signed.map_err(|_| malformed("the date is none"))?;
    let age = now.as_second() - signed.as_second();
    match claim.lasts {
        Some(lasts) if age > lasts => Err(Refusal::new(403, "AccessDenied", "Request has expired")),
        None if age > SKEW_SECONDS => Err(skewed()),
        _ if age < -SKEW_SECONDS => Err(skewed()),
        _ => Ok(()),
    }
}

/// The host and every header of Amazon's own have to be signed.
fn all_signed(request: &Request, signed: &str) -> Result<(), Refusal> {
    let names = request.headers.keys().map(|name| name.as_str());
    let mut wanted = names.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    match wanted.find(|name| !signed.split(';').any(|signed| signed == *name)) {
        Some(name) => {
            let message = format!("There were headers present in the request which were not signed: {name}");
            Err(Refusal::new(403, "AccessDenied", message))
        }
        None => Ok(()),
    }
}

fn canonical(request: &Request, claim: &Claim) -> String {
    let path = escaped(&unescaped(&request.path), "/");
    let mut words: Vec<(String, String)> = request
        .query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (escaped(&unescaped(name), ""), escaped(&unescaped(value), "")))
        .filter(|(name, _)| name != "X-Amz-Signature")
        .collect();
    words.sort();
    let words: Vec<String> = words.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let headers = claim.signed.split(';').fold(String::new(), |out, name| {
        let values = request.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let values: Vec<String> =
            values.map(|value| value.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        format!("{out}{name}:{}\n", values.join(","))
    });
    let (method, query, signed, payload) = (&request.method, words.join("&"), &claim.signed, &claim.payload);
    format!("{method}\n{path}\n{query}\n{headers}\n{signed}\n{payload}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(400, "AuthorizationHeaderMalformed", message)
}

fn skewed() -> Refusal {
    let message = "The difference between the request time and the current time is too large.";
    Refusal::new(403, "RequestTimeTooSkewed", message)
}
