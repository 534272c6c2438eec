//! What is wrong with an index, page by page, beside the Simple Repository API and what pip and uv do with it.

mod html;

use crate::name::{Variants, WheelName, project as normalize};
use crate::scan::sha256;
use crate::variants;
use html::{Link, links};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use ureq::tls::{RootCerts, TlsConfig};
use wootz_schema::wheel_index::{Marker, VariantMetadata};

/// Something that a client would stumble over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Of the index.
    pub page: String,
    /// What is wrong.
    pub what: String,
}

/// Looks at the pages of an index in a folder; with `fetch`, also at the files that they lead to.
pub fn folder(root: &Path, fetch: bool, variants: Variants) -> io::Result<Vec<Finding>> {
    let mut projects = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            projects.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    projects.sort();
    let text = |page: &str| fs::read_to_string(root.join(page)).ok();
    Ok(look(Some(projects), &text, fetch.then(|| Web::new("")).as_ref(), variants))
}

/// Looks at the pages of an index at an address; an error where there is none.
pub fn address(url: &str, fetch: bool, variants: Variants) -> io::Result<Vec<Finding>> {
    let web = Web::new(url);
    web.page("index.html")?;
    let text = |page: &str| web.page(page).ok();
    Ok(look(None, &text, fetch.then_some(&web), variants))
}

/// Looks at all pages; `projects` are those that there are, where that can be told without the page that lists them.
fn look(
    projects: Option<Vec<String>>,
    text: &dyn Fn(&str) -> Option<String>,
    web: Option<&Web>,
    variants: Variants,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listed = listed(text, &mut findings);
    let projects = projects.unwrap_or_else(|| listed.clone());
    let mut found = |page: &str, what: String| findings.push(Finding { page: page.to_owned(), what });
    for project in &listed {
        if normalize(project) != *project {
            found("index.html", format!("{project:?} is not the normalised name {:?}", normalize(project)));
        }
        if !projects.contains(project) {
            found("index.html", format!("{project:?} has no page"));
        }
    }
    for project in &projects {
        if !listed.contains(project) {
            found(&format!("{project}/"), "the page of all projects does not list it".to_owned());
        }
        let page = format!("{project}/index.html");
        let html = text(&page).map(|html| html_page(&html, variants));
        let html = html.unwrap_or_else(|| HtmlPage {
            wrong: vec!["there is no page".to_owned()],
            ..HtmlPage::default()
        });
        html.wrong.into_iter().for_each(|what| found(&page, what));
        variants_wrong(&html.files, |file| text(&format!("{project}/{file}")))
            .into_iter()
            .for_each(|what| found(&page, what));
        if let Some(web) = web {
            html.targets
                .iter()
                .filter_map(|target| web.differs(project, target))
                .for_each(|what| found(&page, what));
        }
        let page = format!("{project}/index.json");
        if let Some(json) = text(&page) {
            let (files, wrong) = json_page(project, &json);
            wrong.into_iter().for_each(|what| found(&page, what));
            if files != html.files {
                found(&page, "it does not have the files of the page in HTML".to_owned());
            }
        }
    }
    findings.sort();
    findings
}

/// The projects of the page that lists them.
fn listed(text: &dyn Fn(&str) -> Option<String>, findings: &mut Vec<Finding>) -> Vec<String> {
    let mut found = |what: String| findings.push(Finding { page: "index.html".to_owned(), what });
    let Some(html) = text("index.html") else {
        found("there is no page of all projects".to_owned());
        return Vec::new();
    };
    let (links, wrong) = links(&html);
    wrong.into_iter().for_each(&mut found);
    for link in links.iter().filter(|link| !link.href.ends_with('/')) {
        found(format!("the link {:?} does not end in /", link.href));
    }
    let name = |link: &Link| link.href.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    links.iter().filter_map(name).collect()
}

/// What is wrong with the files that tell a project's variants.
fn variants_wrong(files: &Files, text: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in files.keys().filter_map(|file| WheelName::parse(file, Variants::Allowed).ok()) {
        if let Some(label) = &name.variant {
            labels.entry(variants::file_name(&name)).or_default().insert(label.clone());
        }
    }
    let wrong = |(file, labels): (String, BTreeSet<String>)| {
        if !files.contains_key(&file) {
            return Some(format!("there are variants, and no link to {file}"));
        }
        // Where it is no page beside this one its hash is all that is looked at.
        let text = text(&file)?;
        let told: VariantMetadata = match serde_json::from_str(&text) {
            Ok(told) => told,
            Err(error) => return Some(format!("{file}: {error}")),
        };
        let lacking = labels.iter().find(|label| !told.variants.contains_key(*label))?;
        Some(format!("{file}: it lacks the variant {lacking}"))
    };
    labels.into_iter().filter_map(wrong).collect()
}

/// What an index and its files are read from.
struct Web {
    agent: ureq::Agent,
    /// The index, with a slash at its end.
    root: String,
}

impl Web {
    fn new(url: &str) -> Web {
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = ureq::Agent::config_builder().tls_config(tls).user_agent("wootz").build();
        Web { agent: config.into(), root: format!("{}/", url.trim_end_matches('/')) }
    }

    /// A page as its address gives it, in the form that its name tells.
    fn page(&self, page: &str) -> io::Result<String> {
        let (folder, file) = page.rsplit_once('/').map_or(("", page), |(folder, file)| (folder, file));
        let (form, file) = match file {
            "index.json" => ("application/vnd.pypi.simple.v1+json", ""),
            "index.html" => ("text/html", ""),
            file => ("application/json", file),
        };
        let url = format!("{}{folder}{}{file}", self.root, if folder.is_empty() { "" } else { "/" });
        let failed = |error: ureq::Error| io::Error::other(format!("{url}: {error}"));
        let mut answer = self.agent.get(&url).header("Accept", form).call().map_err(failed)?;
        let given =
            answer.headers().get("Content-Type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !given.starts_with(form) {
            return Err(io::Error::other(format!("{url}: it is {given}, not {form}")));
        }
        answer.body_mut().with_config().limit(1 << 30).read_to_string().map_err(failed)
    }

    /// What is wrong with a file that a page leads to, if anything is.
    fn differs(&self, project: &str, target: &Target) -> Option<String> {
        let url = match target.url.contains("://") {
            true => target.url.clone(),
            false => format!("{}{project}/{}", self.root, target.url),
        };
        let wrong = |url: &str, wanted: &str| match self.hash(url) {
            Ok(hash) if hash == wanted => None,
            Ok(hash) => Some(format!("{}: {url} has the SHA-256 {hash}, not {wanted}", target.file)),
            Err(error) => Some(format!("{}: {error}", target.file)),
        };
        let metadata = |hash: &String| wrong(&format!("{url}.metadata"), hash);
        wrong(&url, &target.sha256).or_else(|| target.metadata.as_ref().and_then(metadata))
    }

    fn hash(&self, url: &str) -> io::Result<String> {
        let failed = |error: ureq::Error| io::Error::other(format!("{url}: {error}"));
        let mut answer = self.agent.get(url).call().map_err(failed)?;
        sha256(&mut answer.body_mut().with_config().limit(u64::MAX).reader())
    }
}

/// A file that a page leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub file: String,
    /// Its address, which may begin at the page.
    pub url: String,
    /// The hash that the page tells.
    pub sha256: String,
    /// That of its metadata.
    pub metadata: Option<String>,
}

/// A project's page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HtmlPage {
    /// Its files.
    pub files: Files,
    /// Where they are.
    pub targets: Vec<Target>,
    /// What is wrong with it.
    pub wrong: Vec<String>,
}

/// Files with their hashes.
pub type Files = BTreeMap<String, String>;

/// Reads a project's page.
pub fn html_page(html: &str, variants: Variants) -> HtmlPage {
    let (links, mut wrong) = links(html);
    let (mut files, mut targets) = (Files::new(), Vec::new());
    for link in links {
        let (url, fragment) = link.href.split_once('#').unwrap_or((&link.href, ""));
        let last = url.rsplit('/').next().unwrap_or_default();
        let file = decoded(last);
        if last.contains('+') {
            wrong.push(format!("{last}: a raw + in the link, which some servers read as a blank; write %2B"));
        }
        if file != link.text {
            wrong.push(format!("{}: the link leads to {file}", link.text));
        }
        if file.ends_with(".whl") {
            wrong.extend(WheelName::parse(&file, variants).err().map(|error| error.to_string()));
        }
        let hash = match fragment.split_once('=') {
            Some(("sha256", hash)) if is_sha256(hash) => hash.to_ascii_lowercase(),
            _ => {
                wrong.push(format!("{file}: no SHA-256 in the link"));
                String::new()
            }
        };
        let core = link.attributes.get("data-core-metadata");
        if core != link.attributes.get("data-dist-info-metadata") {
            wrong.push(format!("{file}: data-core-metadata and data-dist-info-metadata differ"));
        }
        if core.is_some_and(|value| value != "true" && !value.strip_prefix("sha256=").is_some_and(is_sha256))
        {
            wrong.push(format!("{file}: data-core-metadata is neither true nor sha256=<hash>"));
        }
        if let Some(python) = link.attributes.get("data-requires-python")
            && python.parse::<pep440_rs::VersionSpecifiers>().is_err()
        {
            wrong.push(format!("{file}: data-requires-python {python:?} is no specifier of versions"));
        }
        let metadata = core.and_then(|value| value.strip_prefix("sha256=")).map(str::to_ascii_lowercase);
        targets.push(Target { file: file.clone(), url: url.to_owned(), sha256: hash.clone(), metadata });
        if files.insert(file.clone(), hash).is_some() {
            wrong.push(format!("{file}: it is there twice"));
        }
    }
    HtmlPage { files, targets, wrong }
}

/// The files of a project's page as JSON, and what is wrong with it.
pub fn json_page(project: &str, json: &str) -> (Files, Vec<String>) {
    let mut wrong = Vec::new();
    let mut files = Files::new();
    let page: Value = match serde_json::from_str(json) {
        Ok(page) => page,
        Err(error) => return (files, vec![error.to_string()]),
    };
    if !page["meta"]["api-version"].as_str().is_some_and(|version| version.starts_with("1.")) {
        wrong.push("meta.api-version is not 1.x".to_owned());
    }
    if page["name"] != project {
        wrong.push(format!("name is {}, not {project:?}", page["name"]));
    }
    if !page["versions"].is_array() {
        wrong.push("versions is missing".to_owned());
    }
    let status = &page["project-status"];
    if !status.is_null() && !Marker::ALL.iter().any(|(name, _)| status["status"] == *name) {
        wrong.push(format!("project-status is not what it must be: {status}"));
    }
    let Some(list) = page["files"].as_array() else {
        wrong.push("files is missing".to_owned());
        return (files, wrong);
    };
    for file in list {
        let name = file["filename"].as_str().unwrap_or_default();
        let hash = file["hashes"]["sha256"].as_str().unwrap_or_default();
        let is_bool_or = |key: &str, is: fn(&Value) -> bool| {
            file[key].is_null() || file[key].is_boolean() || is(&file[key])
        };
        for (key, is_right) in [
            ("filename", !name.is_empty()),
            ("url", file["url"].is_string()),
            ("hashes", file["hashes"].is_object() && is_sha256(hash)),
            ("size", file["size"].is_u64()),
            (
                "upload-time",
                file["upload-time"].is_null() || file["upload-time"].as_str().is_some_and(is_time),
            ),
            ("requires-python", file["requires-python"].is_null() || file["requires-python"].is_string()),
            ("yanked", is_bool_or("yanked", |value| value.as_str().is_some_and(|reason| !reason.is_empty()))),
            ("core-metadata", is_bool_or("core-metadata", Value::is_object)),
        ] {
            if !is_right {
                wrong.push(format!("{name}: {key} is missing or not what it must be: {}", file[key]));
            }
        }
        files.insert(name.to_owned(), hash.to_ascii_lowercase());
    }
    (files, wrong)
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_time(text: &str) -> bool {
    text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// The text of a percent-encoded part of an address.
pub fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
