//! The official client works with the fake S3, so that the fake one is right.

use super::python::said;
use wootz_testkit::s3::{Account, Fault, GUEST, OWNER, S3, STRANGER};

/// What each script begins with: a client, and what an error is called.
const HEAD: &str = r#"
import sys, hashlib, urllib.request, urllib.error
import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
url, key, secret, token = sys.argv[1:]
def client(key=key, secret=secret, token=token or None, attempts=1, **more):
    settings = dict(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": attempts})
    return boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=key,
        aws_secret_access_key=secret, aws_session_token=token, config=Config(**(settings | more)))
def refused(what, *args, **more):
    try:
        what(*args, **more)
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return "done"
s3 = client()
"#;

fn run(s3: &S3, who: Account, script: &str) -> String {
    let script = format!("{HEAD}{script}");
    said(&script, &[&s3.url, who.key, who.secret, who.token.unwrap_or_default()])
}

#[test]
fn it_puts_gets_ranges_and_deletes() {
    let s3 = S3::start();
    let told = run(
        &s3,
        OWNER,
        r#"
s3.create_bucket(Bucket="b")
put = s3.put_object(Bucket="b", Key="deep/a b+ü=?.bin", Body=b"0123456789", ContentType="text/x", Metadata={"who": "me  too"})
assert put["ETag"] == '"%s"' % hashlib.md5(b"0123456789").hexdigest(), put
got = s3.get_object(Bucket="b", Key="deep/a b+ü=?.bin")
print(got["Body"].read(), got["ContentType"], got["Metadata"], got["ETag"] == put["ETag"], got["LastModified"].isoformat())
def part(range): return s3.get_object(Bucket="b", Key="deep/a b+ü=?.bin", Range=range)
for range in ["bytes=2-4", "bytes=7-", "bytes=-2", "bytes=8-100"]:
    print(part(range)["Body"].read(), part(range)["ContentRange"])
print(refused(part, "bytes=10-"))
print(s3.head_object(Bucket="b", Key="deep/a b+ü=?.bin", IfMatch=put["ETag"])["ContentLength"])
print(refused(s3.get_object, Bucket="b", Key="deep/a b+ü=?.bin", IfMatch='"other"'))
print(refused(s3.get_object, Bucket="b", Key="deep/a b+ü=?.bin", IfNoneMatch=put["ETag"]))
print(refused(s3.put_object, Bucket="b", Key="deep/a b+ü=?.bin", Body=b"x", IfNoneMatch="*"))
print(refused(s3.put_object, Bucket="b", Key="new", Body=b"x", IfNoneMatch="*"))
print(refused(s3.get_object, Bucket="b", Key="none"), refused(s3.get_object, Bucket="none", Key="x"))
print(refused(s3.head_object, Bucket="b", Key="none"), refused(s3.get_object_acl, Bucket="b", Key="new"))
s3.delete_object(Bucket="b", Key="new")
print(refused(s3.get_object, Bucket="b", Key="new"))
"#,
    );
    let wanted = "b'0123456789' text/x {'who': 'me  too'} True 2023-11-14T22:13:21+00:00
b'234' bytes 2-4/10
b'789' bytes 7-9/10
b'89' bytes 8-9/10
b'89' bytes 8-9/10
('InvalidRange', 416)
10
('PreconditionFailed', 412)
('304', 304)
('PreconditionFailed', 412)
done
('NoSuchKey', 404) ('NoSuchBucket', 404)
('404', 404) ('NotImplemented', 501)
('NoSuchKey', 404)
";
    assert_eq!(told, wanted);
}

#[test]
fn it_lists_pages_and_folders() {
    let s3 = S3::start();
    for at in 0..2500 {
        s3.world().put("b", &format!("many/{at:04}"), b"x");
    }
    for key in ["a&b", "deep/1", "deep/2", "deep/er/3", "deep0"] {
        s3.world().put("b", key, b"xy");
    }
    let told = run(
        &s3,
        OWNER,
        r#"
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="b", Prefix="many/"))
keys = [line["Key"] for page in pages for line in page["Contents"]]
print([page["KeyCount"] for page in pages], keys == ["many/%04d" % at for at in range(2500)], pages[0]["Contents"][0]["Size"])
def folders(**more):
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="b", Delimiter="/", PaginationConfig={"PageSize": 2}, **more))
    print([[line["Key"] for line in page.get("Contents", [])] + [line["Prefix"] for line in page.get("CommonPrefixes", [])] for page in pages])
folders()
folders(Prefix="deep/")
folders(Prefix="none")
folders(StartAfter="deep/1", Prefix="deep/")
print(refused(s3.list_objects_v2, Bucket="b", ContinuationToken="made up"), refused(s3.list_objects_v2, Bucket="none"))
"#,
    );
    let wanted = "[1000, 1000, 500] True 1
[['a&b', 'deep/'], ['deep0', 'many/']]
[['deep/1', 'deep/2'], ['deep/er/']]
[[]]
[['deep/2', 'deep/er/']]
('InvalidArgument', 400) ('NoSuchBucket', 404)
";
    assert_eq!(told, wanted);
}

#[test]
fn it_uploads_in_parts() {
    let s3 = S3::start();
    let told = run(
        &s3,
        OWNER,
        r#"
s3.create_bucket(Bucket="b")
at = dict(Bucket="b", Key="large")
def begin(): return s3.create_multipart_upload(**at)["UploadId"]
def put(id, number, body): return {"PartNumber": number, "ETag": s3.upload_part(**at, UploadId=id, PartNumber=number, Body=body)["ETag"]}
def complete(id, parts, **more): return s3.complete_multipart_upload(**at, UploadId=id, MultipartUpload={"Parts": parts}, **more)
bodies = [b"a" * (5 << 20), b"b" * (5 << 20), b"c" * 7]
id = begin()
parts = [put(id, number + 1, body) for number, body in enumerate(bodies)]
print(refused(complete, id, parts[::-1]), refused(complete, id, parts[:1] + [{"PartNumber": 2, "ETag": '"0"'}]))
tag = complete(id, parts)["ETag"]
print(tag == '"%s-3"' % hashlib.md5(b"".join(hashlib.md5(body).digest() for body in bodies)).hexdigest())
print(s3.get_object(**at)["Body"].read() == b"".join(bodies), refused(complete, id, parts))
id = begin()
print(refused(complete, id, [put(id, 1, b"small"), put(id, 2, b"last")]))
print(refused(complete, id, [put(id, 1, b"only")], IfNoneMatch="*"))
s3.abort_multipart_upload(**at, UploadId=id)
print(refused(put, id, 1, b"late"))
import io
s3.upload_fileobj(io.BytesIO(b"d" * (20 << 20)), "b", "by/itself")
print(s3.head_object(Bucket="b", Key="by/itself")["ETag"][-3:])
"#,
    );
    let wanted = "('InvalidPartOrder', 400) ('InvalidPart', 400)
True
True ('NoSuchUpload', 404)
('EntityTooSmall', 400)
('PreconditionFailed', 412)
('NoSuchUpload', 404)
-3\"
";
    assert_eq!(told, wanted);
    assert_eq!(s3.world().open_uploads(), 0);
}

#[test]
fn it_signs_and_whoever_does_not_is_refused() {
    let s3 = S3::start();
    s3.world().put("b", "a b", b"text");
    s3.world().put("open", "x", b"free");
    s3.world().buckets.get_mut("open").unwrap().is_public = true;
    let script = r#"
at = dict(Bucket="b", Key="a b")
print(s3.get_object(**at)["Body"].read())
print(refused(client(secret="wrong").get_object, **at), refused(client(key="AKIANOBODY").get_object, **at))
signed = s3.generate_presigned_url("get_object", at, ExpiresIn=60)
def get(url):
    try:
        return urllib.request.urlopen(url).read()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().split("<Code>")[1].split("<")[0]
print(get(signed), get(signed.replace("a%20b", "a%20c")), get(signed.replace("Expires=60", "Expires=90")), get(signed.split("?")[0]))
nobody = client(signature_version=UNSIGNED)
print(nobody.get_object(Bucket="open", Key="x")["Body"].read(), refused(nobody.get_object, **at))
print(refused(nobody.put_object, Bucket="open", Key="y", Body=b""), nobody.list_objects_v2(Bucket="open")["KeyCount"])
"#;
    let wanted = "b'text'
('SignatureDoesNotMatch', 403) ('InvalidAccessKeyId', 403)
b'text' (403, 'SignatureDoesNotMatch') (403, 'SignatureDoesNotMatch') (403, 'AccessDenied')
b'free' ('AccessDenied', 403)
('AccessDenied', 403) 1
";
    assert_eq!(run(&s3, OWNER, script), wanted);
    assert_eq!(run(&s3, GUEST, script), wanted);
    let of_stranger = "print(refused(s3.get_object, Bucket='b', Key='a b'), refused(client(token='t').get_object, Bucket='b', Key='a b'))\n\
        print(s3.get_object(Bucket='open', Key='x')['Body'].read(), refused(s3.put_object, Bucket='open', Key='y', Body=b''))";
    let told = run(&s3, STRANGER, of_stranger);
    assert_eq!(told, "('AccessDenied', 403) ('InvalidToken', 400)\nb'free' ('AccessDenied', 403)\n");
    // A clock that is wrong, an address that is too old, another region.
    let late = "print(refused(s3.get_object, Bucket='b', Key='a b'))\n\
        try: urllib.request.urlopen(s3.generate_presigned_url('get_object', dict(Bucket='b', Key='a b'), ExpiresIn=60))\n\
        except urllib.error.HTTPError as error: print('expired' in error.read().decode())";
    s3.world().ahead_seconds = 16 * 60;
    assert_eq!(run(&s3, OWNER, late), "('RequestTimeTooSkewed', 403)\nTrue\n");
    s3.world().ahead_seconds = 0;
    s3.world().region = "eu-north-1".to_owned();
    let told = run(&s3, OWNER, "print(refused(s3.list_objects_v2, Bucket='b'))");
    assert_eq!(told, "('AuthorizationHeaderMalformed', 400)\n");
}

#[test]
fn it_goes_on_after_faults() {
    let s3 = S3::start();
    s3.world().put("b", "k", &[7; 300_000]);
    s3.world().faults = [Fault::SlowDown, Fault::Broken].into();
    let script = "print(len(client(attempts=3).get_object(Bucket='b', Key='k')['Body'].read()))";
    assert_eq!(run(&s3, OWNER, script), "300000\n");
    let statuses: Vec<u16> = s3.world().log.iter().map(|asked| asked.status).collect();
    assert_eq!(statuses, [503, 500, 200]);
    s3.world().faults = [Fault::SlowDown, Fault::Cut(1000)].into();
    let script = r#"
print(refused(s3.get_object, Bucket='b', Key='k'))
body = s3.get_object(Bucket='b', Key='k')["Body"]
try:
    while True: print(len(body.read(1000)))
except Exception as error:
    print(type(error).__name__)
"#;
    assert_eq!(run(&s3, OWNER, script), "('SlowDown', 503)\n1000\nIncompleteReadError\n");
    let fetched = s3.world().fetched();
    assert_eq!(fetched.len(), 5);
    assert!(fetched.iter().all(|(path, range)| path == "/b/k" && range.is_none()));
}
