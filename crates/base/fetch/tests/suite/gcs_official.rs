//! The official client works with the fake Google Cloud Storage, so that the fake one is right.

use super::python::said;
use wootz_testkit::gcs::{Fault, Gcs, STRANGER, TOKEN};

/// What each script begins with: a client of who has the token, one of nobody, and what an error is called.
const HEAD: &str = r#"
import sys, hashlib, base64, io, urllib.request, urllib.error
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2.credentials import Credentials
url, token, stranger = sys.argv[1:]
def client(credentials):
    return storage.Client(project="p", credentials=credentials, client_options={"api_endpoint": url})
def refused(what, *args, **more):
    try:
        what(*args, **more)
    except GoogleAPICallError as error:
        return error.code.value if hasattr(error.code, "value") else error.code
    except GoogleAuthError:
        return "who are you?"
    return "done"
def get(path, **headers):
    try:
        answer = urllib.request.urlopen(urllib.request.Request(url + path, headers=headers))
        return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().split("<Code>")[1].split("<")[0], None
gcs, nobody = client(Credentials(token)), client(AnonymousCredentials())
"#;

fn run(gcs: &Gcs, script: &str) -> String {
    said(&format!("{HEAD}{script}"), &[&gcs.url, TOKEN, STRANGER])
}

#[test]
fn it_puts_gets_ranges_and_deletes() {
    let gcs = Gcs::start();
    let told = run(
        &gcs,
        r#"
bucket = gcs.create_bucket("b")
blob = bucket.blob("deep/a b+ü=?.bin")
blob.metadata = {"who": "me"}
blob.upload_from_string(b"0123456789", content_type="text/x", if_generation_match=0)
print(blob.download_as_bytes(), blob.download_as_bytes(start=2, end=4), blob.download_as_bytes(start=7))
there = gcs.get_bucket("b").get_blob("deep/a b+ü=?.bin")
print(there.size, there.content_type, there.metadata, there.generation == blob.generation > 10**15)
print(there.md5_hash == base64.b64encode(hashlib.md5(b"0123456789").digest()).decode(), blob.exists())
print(refused(blob.upload_from_string, b"x", if_generation_match=0))
print(refused(blob.upload_from_string, b"x", if_generation_match=blob.generation), blob.download_as_bytes())
print(refused(blob.delete, if_generation_match=1), refused(blob.download_as_bytes, if_generation_match=1))
print(refused(bucket.blob("none").download_as_bytes), refused(gcs.get_bucket, "none"), bucket.get_blob("none"))
blob.delete()
print(blob.exists(), refused(blob.delete))
"#,
    );
    let wanted = "b'0123456789' b'234' b'789'
10 text/x {'who': 'me'} True
True True
412
done b'x'
412 412
404 404 None
False 404
";
    assert_eq!(told, wanted);
}

#[test]
fn it_lists_pages_and_folders() {
    let gcs = Gcs::start();
    for at in 0..2500 {
        gcs.world().put("b", &format!("many/{at:04}"), b"x");
    }
    for name in ["a&b", "deep/1", "deep/2", "deep/er/3", "deep0"] {
        gcs.world().put("b", name, b"xy");
    }
    let told = run(
        &gcs,
        r#"
pages = [[blob.name for blob in page] for page in gcs.list_blobs("b", prefix="many/").pages]
print([len(page) for page in pages], sum(pages, []) == ["many/%04d" % at for at in range(2500)])
def folders(**more):
    found = gcs.list_blobs("b", delimiter="/", page_size=2, **more)
    print([[blob.name for blob in page] for page in found.pages], sorted(found.prefixes))
folders()
folders(prefix="deep/")
folders(prefix="none")
print(refused(lambda: list(gcs.list_blobs("b", page_token="made up"))), refused(lambda: list(gcs.list_blobs("none"))))
"#,
    );
    let wanted = "[1000, 1000, 500] True
[['a&b'], ['deep0']] ['deep/', 'many/']
[['deep/1', 'deep/2'], []] ['deep/er/']
[[]] []
400 404
";
    assert_eq!(told, wanted);
}

#[test]
fn it_uploads_in_pieces() {
    let gcs = Gcs::start();
    gcs.world().put("b", "there", b"x");
    let script = r#"
body = bytes(range(256)) * 3000
blob = gcs.bucket("b").blob("large", chunk_size=256 << 10)
blob.upload_from_file(io.BytesIO(body), content_type="text/x")
blob.reload()
print(blob.size, blob.content_type, blob.download_as_bytes() == body)
there = gcs.bucket("b").blob("there", chunk_size=256 << 10)
print(refused(there.upload_from_file, io.BytesIO(body), if_generation_match=0))
"#;
    assert_eq!(run(&gcs, script), "768000 text/x True\n412\n");
    assert_eq!(gcs.world().open_uploads(), 0);
    let world = gcs.world();
    let uploads = world.log.iter().filter(|asked| asked.path.starts_with("/upload/"));
    let statuses: Vec<u16> = uploads.map(|asked| asked.status).collect();
    assert_eq!(statuses[..4], [200, 308, 308, 200]);
}

#[test]
fn it_reads_by_the_other_interface_and_whoever_may_not_is_refused() {
    let gcs = Gcs::start();
    let generation = gcs.world().put("b", "a b/c", b"0123456789").generation;
    gcs.world().put("open", "x", b"free");
    gcs.world().buckets.get_mut("open").unwrap().is_public = true;
    let script = r#"
who = {"Authorization": "Bearer " + token}
status, body, headers = get("/b/a%20b/c", **who)
print(status, body, headers["x-goog-generation"], headers.get_all("x-goog-hash"))
tag = headers["ETag"]
part = get("/b/a%20b/c", Range="bytes=4-", **who | {"If-Range": tag})
print(part[:2], part[2]["Content-Range"], get("/b/a%20b/c", Range="bytes=4-", **who | {"If-Range": '"other"'})[:2])
print(get("/b/a%20b/c")[:2], get("/b/a%20b/c", Authorization="Bearer wrong")[:2], get("/b/none", **who)[:2], get("/none/x", **who)[:2])
print(get("/open/x")[:2], get("/b/a%20b/c", Authorization="Bearer " + stranger)[:2])
print(nobody.bucket("open").blob("x").download_as_bytes(), refused(nobody.bucket("b").blob("a b/c").download_as_bytes))
print(refused(client(Credentials(stranger)).bucket("b").blob("a b/c").download_as_bytes), refused(nobody.bucket("open").blob("y").upload_from_string, "x"))
"#;
    let wanted = format!(
        "200 b'0123456789' {generation} ['crc32c=KAwGng==', 'md5=eB5eJF1ptWaXm4bijSPyxw==']
(206, b'456789') bytes 4-9/10 (200, b'0123456789')
(403, 'AccessDenied') (401, 'AuthenticationRequired') (404, 'NoSuchKey') (404, 'NoSuchBucket')
(200, b'free') (403, 'AccessDenied')
b'free' who are you?
403 who are you?
"
    );
    assert_eq!(run(&gcs, script), wanted);
}

#[test]
fn it_goes_on_after_faults() {
    let gcs = Gcs::start();
    gcs.world().put("b", "k", &[7; 300_000]);
    gcs.world().faults = [Fault::SlowDown, Fault::Cut(100_000)].into();
    let script = "print(len(gcs.bucket('b').blob('k').download_as_bytes()))";
    assert_eq!(run(&gcs, script), "300000\n");
    let world = gcs.world();
    let (first, last) = (&world.log[0], world.log.last().unwrap());
    assert_eq!((first.status, last.status), (503, 206));
    // It keeps whole pieces of some size.
    let from = last.range.as_deref().unwrap().trim_start_matches("bytes=").trim_end_matches('-');
    assert!((1..=100_000).contains(&from.parse::<u32>().unwrap()), "{from}");
}
