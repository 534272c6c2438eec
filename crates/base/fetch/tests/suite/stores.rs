//! Objects of stores arrive as other files do; who may not have them is told why, and what to set.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use wootz_fetch::{Check, FetchError, Fetched, Fetcher, Gs, Keys, Pace, S3, Stores, Wanted};
use wootz_schema::Diagnose;
use wootz_schema::progress::Silent;
use wootz_stdx::digest::sha256;
use wootz_testkit::s3::{Account, Fault, GUEST, OWNER, STRANGER};
use wootz_testkit::{gcs, s3};

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

fn fetch(stores: &Stores, url: &str, path: &Path, attempts: u32) -> Result<Fetched, FetchError> {
    paced(stores, url, path, attempts, Duration::from_millis(1))
}

fn paced(
    stores: &Stores,
    url: &str,
    path: &Path,
    attempts: u32,
    wait: Duration,
) -> Result<Fetched, FetchError> {
    let pace = Pace { attempts, first_wait: wait, longest_wait: wait * 4, ..Pace::default() };
    let wanted = Wanted { url, path, check: None, bearer: None };
    Fetcher::new(pace, &Silent, &AtomicBool::new(false)).with_stores(stores).fetch(&wanted)
}

/// An error's message and hint, neither of which says what is secret.
fn complaint(stores: &Stores, url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = fetch(stores, url, &folder.path().join("file"), 1).unwrap_err();
    let text = format!("{error}; {}", error.hint().unwrap_or_default());
    for secret in ["s3cret", "wr0ng", "ya29", "X-Amz", "127.0.0.1"] {
        assert!(!text.contains(secret), "{text}");
    }
    text
}

fn amazon(s3: &s3::S3, who: Option<Account>) -> Stores {
    let keys = who.map(|who| Keys {
        id: who.key.to_owned(),
        secret: who.secret.to_owned(),
        session_token: who.token.map(str::to_owned),
    });
    let s3 = S3 { region: None, endpoint: Some(s3.url.clone()), keys };
    Stores { s3, ..Stores::default() }
}

fn google(gcs: &gcs::Gcs, token: Option<&str>) -> Stores {
    let gs = Gs { endpoint: Some(gcs.url.clone()), token: token.map(str::to_owned) };
    Stores { gs, ..Stores::default() }
}

#[test]
fn an_object_of_s3_comes_whole_and_is_checked() {
    let (s3, folder, content) = (s3::S3::start(), tempfile::tempdir().unwrap(), bytes(300_000));
    let (url, path) = ("s3://b/deep/a b+ü=?#.bin", folder.path().join("file"));
    s3.world().put("b", "deep/a b+ü=?#.bin", &content);
    for who in [OWNER, GUEST] {
        let fetched = fetch(&amazon(&s3, Some(who)), url, &path, 1).unwrap();
        assert_eq!(fetched, Fetched { sha256: sha256(&content), bytes: 300_000, was_there: false });
        assert_eq!(fs::read(&path).unwrap(), content);
    }
    let wrong = sha256(b"other");
    let wanted = Wanted { url, path: &path, check: Some(Check::Sha256(&wrong)), bearer: None };
    let (stop, stores) = (AtomicBool::new(false), amazon(&s3, Some(OWNER)));
    let error =
        Fetcher::new(Pace::default(), &Silent, &stop).with_stores(&stores).fetch(&wanted).unwrap_err();
    assert!(matches!(error, FetchError::Mismatch { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn each_attempt_is_signed_anew_and_asks_for_missing_bytes_alone() {
    let (s3, folder, content) = (s3::S3::start(), tempfile::tempdir().unwrap(), bytes(300_000));
    s3.world().put("b", "k", &content);
    s3.world().faults = [Fault::Cut(100_000), Fault::SlowDown, Fault::Cut(50_000)].into();
    let (stores, path) = (amazon(&s3, Some(OWNER)), folder.path().join("file"));
    let second = Duration::from_millis(1100);
    paced(&stores, "s3://b/k", &path, 2, second).unwrap_err();
    // Another process goes on, with the same keys or others.
    paced(&amazon(&s3, Some(GUEST)), "s3://b/k", &path, 2, second).unwrap();
    assert_eq!(fs::read(&path).unwrap(), content);
    let world = s3.world();
    let asked: Vec<_> = world.log.iter().map(|asked| (asked.status, asked.range.as_deref())).collect();
    let (first, later) = (Some("bytes=100000-"), Some("bytes=150000-"));
    assert_eq!(asked, [(200, None), (503, first), (206, first), (206, later)]);
    let tag = world.buckets["b"].objects["k"].tag.clone();
    assert!(world.log[1..].iter().all(|asked| asked.if_range == Some(tag.clone())));
    let mut signed: Vec<&str> = world.log.iter().map(|asked| asked.query.as_str()).collect();
    signed.dedup();
    assert_eq!(signed.len(), 4);
}

#[test]
fn an_object_of_s3_that_changed_is_fetched_anew() {
    for is_blind in [false, true] {
        let (s3, folder, content) = (s3::S3::start(), tempfile::tempdir().unwrap(), bytes(5000));
        let (stores, path) = (amazon(&s3, Some(OWNER)), folder.path().join("file"));
        s3.world().put("b", "k", &bytes(9000)[3000..]);
        s3.world().is_blind = is_blind;
        s3.world().faults.push_back(Fault::Cut(1000));
        fetch(&stores, "s3://b/k", &path, 1).unwrap_err();
        s3.world().put("b", "k", &content);
        fetch(&stores, "s3://b/k", &path, 2).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
        assert_eq!(s3.world().fetched().len(), if is_blind { 3 } else { 2 });
    }
}

#[test]
fn a_public_bucket_of_s3_is_asked_without_a_signature() {
    let (s3, folder) = (s3::S3::start(), tempfile::tempdir().unwrap());
    s3.world().put("open", "k", b"free");
    s3.world().buckets.get_mut("open").unwrap().is_public = true;
    fetch(&amazon(&s3, None), "s3://open/k", &folder.path().join("file"), 1).unwrap();
    assert_eq!(s3.world().log[0].query, "");
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"free");
}

#[test]
fn s3_says_why_not_and_the_hint_says_what_to_set() {
    let s3 = s3::S3::start();
    s3.world().put("b", "k", b"x");
    let said = |who, url| complaint(&amazon(&s3, who), url);
    assert_eq!(
        said(None, "s3://b/k"),
        "fetch s3://b/k: the store answered 403 (AccessDenied); the bucket is not public, or has no such object: \
         set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    );
    assert_eq!(
        said(Some(Account { secret: "wr0ng", ..OWNER }), "s3://b/k"),
        "fetch s3://b/k: the store answered 403 (SignatureDoesNotMatch); AWS_SECRET_ACCESS_KEY is not the one that belongs to \
         AWS_ACCESS_KEY_ID"
    );
    for (who, url, words) in [
        (Some(STRANGER), "s3://b/k", ["(AccessDenied)", "may not read it"]),
        (Some(Account { key: "AKIANOBODY", ..OWNER }), "s3://b/k", ["(InvalidAccessKeyId)", "AWS_PROFILE"]),
        (Some(Account { token: None, ..GUEST }), "s3://b/k", ["400 (InvalidToken)", "AWS_SESSION_TOKEN"]),
        (Some(OWNER), "s3://b/none", ["404 (NoSuchKey)", "look at the key"]),
        (Some(OWNER), "s3://none/k", ["404 (NoSuchBucket)", "AWS_ENDPOINT_URL_S3"]),
        (Some(OWNER), "s3://b", ["name a bucket and an object", "fetch s3://b"]),
        (Some(OWNER), "s3://b/x/../k", ["`..` cannot be asked for", "s3://b/x/../k"]),
        (Some(OWNER), "s3://me:pw@b/k", ["a bucket's name has", "`-`"]),
    ] {
        let text = said(who, url);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
    s3.world().region = "eu-north-1".to_owned();
    let text = said(Some(OWNER), "s3://b/k");
    assert!(text.ends_with("another region: set AWS_REGION=eu-north-1"), "{text}");
    s3.world().region = "us-east-1".to_owned();
    s3.world().ahead_seconds = -3600;
    assert!(said(Some(OWNER), "s3://b/k").ends_with("the clock of this machine is wrong"));
    // Nobody is there.
    let nowhere = S3 { endpoint: Some("http://127.0.0.1:1".to_owned()), ..amazon(&s3, Some(OWNER)).s3 };
    let text = complaint(&Stores { s3: nowhere, ..Stores::default() }, "s3://b/k");
    assert!(text.starts_with("fetch s3://b/k: ") && text.contains("1 attempts"), "{text}");
}

#[test]
fn an_object_of_google_comes_with_a_token_and_is_gone_on_with() {
    let (gcs, folder, content) = (gcs::Gcs::start(), tempfile::tempdir().unwrap(), bytes(300_000));
    let path = folder.path().join("file");
    gcs.world().put("b", "deep/a b?#ü", &content);
    gcs.world().faults = [Fault::Cut(100_000), Fault::SlowDown].into();
    let stores = google(&gcs, Some(gcs::TOKEN));
    fetch(&stores, "gs://b/deep/a b?#ü", &path, 1).unwrap_err();
    let fetched = fetch(&stores, "gs://b/deep/a b?#ü", &path, 2).unwrap();
    assert_eq!(fetched.sha256, sha256(&content));
    let asked: Vec<_> = gcs.world().log.iter().map(|asked| (asked.status, asked.range.clone())).collect();
    let rest = Some("bytes=100000-".to_owned());
    assert_eq!(asked, [(200, None), (503, rest.clone()), (206, rest)]);
    for is_blind in [false, true] {
        let path = folder.path().join("changed");
        gcs.world().put("b", "k", &bytes(9000)[3000..]);
        gcs.world().is_blind = is_blind;
        gcs.world().faults.push_back(Fault::Cut(1000));
        fetch(&stores, "gs://b/k", &path, 1).unwrap_err();
        gcs.world().put("b", "k", &content);
        fetch(&stores, "gs://b/k", &path, 2).unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn google_says_why_not_and_a_public_bucket_needs_no_token() {
    let (gcs, folder) = (gcs::Gcs::start(), tempfile::tempdir().unwrap());
    gcs.world().put("b", "k", b"x");
    gcs.world().put("open", "k", b"free");
    gcs.world().buckets.get_mut("open").unwrap().is_public = true;
    fetch(&google(&gcs, None), "gs://open/k", &folder.path().join("file"), 1).unwrap();
    assert_eq!(gcs.world().log[0].authorization, None);
    for (token, url, words) in [
        (None, "gs://b/k", ["403 (AccessDenied)", "set GOOGLE_OAUTH_ACCESS_TOKEN"]),
        (Some("wr0ng"), "gs://b/k", ["401 (AuthenticationRequired)", "gcloud auth print-access-token"]),
        (Some(gcs::STRANGER), "gs://b/k", ["403 (AccessDenied)", "may not read it"]),
        (Some(gcs::TOKEN), "gs://b/none", ["404 (NoSuchKey)", "no such object"]),
        (Some(gcs::TOKEN), "gs://none/k", ["404 (NoSuchBucket)", "name of the bucket"]),
        (Some(gcs::TOKEN), "gs:///k", ["name a bucket", "gs:///k"]),
    ] {
        let text = complaint(&google(&gcs, token), url);
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    }
}
