//! `wootz fetch`: a file from an address.

use super::Context;
use crate::environment;
use crate::outcome::{Failure, Outcome};
use crate::render::table::facts;
use serde_json::json;
use std::path::PathBuf;
use wootz_fetch::{Check, Fetcher, Pace, Wanted};
use wootz_stdx::human;

/// Download a file, whole or not at all.
///
/// Bytes go to a partial file beside the target. After a broken connection, a kill or a full disk, the same command goes on where it
/// was, unless the source has changed. A file that is there with the SHA-256 that is asked for is not fetched again. Objects of stores,
/// s3://BUCKET/KEY and gs://BUCKET/OBJECT, are asked for with the keys that the environment has, and without any if it has none.
#[derive(clap::Args)]
pub struct Args {
    /// Address: http, https, s3, gs, or file.
    url: String,
    /// File to write [default: the last name in the address].
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// SHA-256 that the file must have, 64 hex digits.
    #[arg(long, value_name = "HEX", value_parser = digest)]
    sha256: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args, context: &Context) -> Result<Outcome, Failure> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => name(&args.url).ok_or_else(|| {
            Failure::usage("name the file: the address ends with no name".to_owned(), "add --out FILE")
        })?,
    };
    let cancel = context.cancel()?;
    let fetcher = Fetcher::new(Pace::default(), context.observe.as_ref(), &cancel);
    let fetcher = fetcher.with_stores(&environment::stores());
    let check = args.sha256.as_deref().map(Check::Sha256);
    let fetched = fetcher.fetch(&Wanted { url: &args.url, path: &out, check, bearer: None })?;
    let bytes = human::bytes(fetched.bytes);
    let text = facts(&[
        ("file", out.display().to_string()),
        ("size", if fetched.was_there { format!("{bytes}, there before") } else { bytes }),
        ("sha256", fetched.sha256.clone()),
    ]);
    let json = json!({
        "file": out,
        "bytes": fetched.bytes,
        "sha256": fetched.sha256,
        "was_there": fetched.was_there,
    });
    Ok(Outcome::ok(text, json))
}

/// The last name in an address.
fn name(url: &str) -> Option<PathBuf> {
    let (_, rest) = url.split_once("://")?;
    let is_object = ["s3://", "gs://"].iter().any(|scheme| url.starts_with(scheme));
    let path = if is_object { rest } else { rest.split(['?', '#']).next()? };
    let (_, name) = path.rsplit_once('/')?;
    (!matches!(name, "" | "." | "..")).then(|| PathBuf::from(name))
}

fn digest(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_owned()),
        false => Err("a SHA-256 has 64 hex digits".to_owned()),
    }
}
