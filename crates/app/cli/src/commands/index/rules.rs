//! What a static host must be told.

use super::Said;
use super::build::{JSON, sub_indexes};
use crate::outcome::Outcome;
use serde_json::json;
use std::path::PathBuf;
use wootz_wheels::rules::{Host, rules};

/// Print the rules by which a static host serves an index as clients want it.
///
/// nginx and Apache then give JSON to whom accepts it and HTML to others. Cloudflare and Netlify (`headers`) cannot choose: they give the tree of
/// `build --json-tree` its type, and its address is what pip and uv are given.
#[derive(clap::Args)]
pub struct Rules {
    /// The host: the rules go into a server of nginx, into `.htaccess`, or into `_headers`.
    #[arg(value_name = "HOST", value_parser = ["nginx", "apache", "headers"])]
    host: String,
    /// The folder of the index; the site is the folder around it.
    #[arg(long, value_name = "DIR", default_value = "index/simple")]
    dir: PathBuf,
}

pub fn of_host(args: &Rules) -> Said {
    let host = match args.host.as_str() {
        "nginx" => Host::Nginx,
        "apache" => Host::Apache,
        _ => Host::Headers,
    };
    let index = args.dir.file_name().map_or("simple".into(), |name| name.to_string_lossy());
    let text = rules(host, &index, JSON, &sub_indexes(&args.dir));
    let json = json!({ "host": args.host, "rules": text });
    Ok((Outcome::ok(text, json), Vec::new()))
}
