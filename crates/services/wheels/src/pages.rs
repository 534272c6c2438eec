//! The pages of an index, as a function of its files: HTML (PEP 503 with what came later) and JSON (PEP 691) of version 1.4.
//!
//! Pages begin at the root of an index: `index.html`, `index.json`, `flash-attn/index.html`, `flash-attn/index.json`.

use crate::catalogue::Entry;
use crate::label::Label;
use std::collections::BTreeMap;
use wootz_schema::wheels::{
    API_VERSION, Metadata, PageFile, PageMeta, ProjectPage, RootPage, RootProject, Sha256, Yanked,
};

/// Who wrote a page, as pages say it.
pub const GENERATOR: &str = "wootz";
const META: PageMeta = PageMeta { api_version: API_VERSION, generator: GENERATOR };

/// Pages by their path.
pub type Pages = BTreeMap<String, Vec<u8>>;

/// The pages of files that are sorted, as [`crate::catalogue::unite`] gives them.
pub fn pages(entries: &[&Entry]) -> Pages {
    let mut pages = Pages::new();
    let mut projects = Vec::new();
    for files in entries.chunk_by(|one, next| one.name.project == next.name.project) {
        let project = files[0].name.project.as_str();
        projects.push(project);
        let urls: Vec<String> = files.iter().map(|entry| href(&entry.line.url)).collect();
        pages.insert(format!("{project}/index.html"), project_html(project, files, &urls).into_bytes());
        pages.insert(format!("{project}/index.json"), project_json(project, files, &urls));
    }
    pages.insert("index.html".to_owned(), root_html(&projects).into_bytes());
    let root = projects.iter().map(|name| RootProject { name }).collect();
    pages.insert("index.json".to_owned(), json(&RootPage { meta: META, projects: root }));
    pages
}

/// The files of each sub-index: one for each CUDA (`cu128`), and one for each CUDA with each torch (`cu128-torch2.9`).
pub fn sub_indexes(entries: &[Entry]) -> BTreeMap<String, Vec<&Entry>> {
    let mut indexes: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let label = label_of(entry);
        let Some(cuda) = label.cuda_name() else { continue };
        if let Some(torch) = label.torch_name() {
            indexes.entry(format!("{cuda}-torch{torch}")).or_default().push(entry);
        }
        indexes.entry(cuda).or_default().push(entry);
    }
    indexes
}

/// What the local part of a file's version says.
pub fn label_of(entry: &Entry) -> Label {
    let local: Vec<String> = entry.name.version.local().iter().map(ToString::to_string).collect();
    Label::read(&local.join("."))
}

/// An address as pages have it: in its last part, what is not plain is encoded, above all the `+` of a local version.
pub fn href(url: &str) -> String {
    let (folder, file) = url.rsplit_once('/').unwrap_or(("", url));
    format!("{folder}/{}", encoded(file))
}

/// A file's name within an address; what is encoded already stays.
pub fn encoded(file: &str) -> String {
    let mut out = String::with_capacity(file.len() + 8);
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'!' | b'%' => {
                out.push(char::from(byte))
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn project_html(project: &str, files: &[&Entry], urls: &[String]) -> String {
    let mut page = head(&format!("Links for {project}"));
    for (entry, url) in files.iter().zip(urls) {
        let line = &entry.line;
        page.push_str("<a href=\"");
        push_escaped(&mut page, url);
        page.push_str("#sha256=");
        page.push_str(&line.sha256);
        page.push('"');
        let metadata = line.metadata_sha256.as_ref().map(|hash| format!("sha256={hash}"));
        let yanked = match &line.yanked {
            Yanked::No => None,
            Yanked::Yes => Some(String::new()),
            Yanked::Because(reason) => Some(reason.clone()),
        };
        for (name, value) in [
            ("data-requires-python", &line.requires_python),
            ("data-core-metadata", &metadata),
            ("data-dist-info-metadata", &metadata),
            ("data-yanked", &yanked),
        ] {
            if let Some(value) = value {
                page.push_str(&format!(" {name}=\""));
                push_escaped(&mut page, value);
                page.push('"');
            }
        }
        page.push('>');
        push_escaped(&mut page, &line.filename);
        page.push_str("</a><br/>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn root_html(projects: &[&str]) -> String {
    let mut page = head("Simple index");
    for project in projects {
        page.push_str(&format!("<a href=\"{project}/\">{project}</a><br/>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n\
         <meta name=\"generator\" content=\"{GENERATOR}\">\n<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

fn push_escaped(page: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            letter => page.push(letter),
        }
    }
}

fn project_json(project: &str, files: &[&Entry], urls: &[String]) -> Vec<u8> {
    let mut versions: Vec<String> = files.iter().map(|entry| entry.name.version.to_string()).collect();
    versions.dedup();
    let files = files.iter().zip(urls).map(|(entry, url)| page_file(entry, url)).collect();
    json(&ProjectPage { meta: META, name: project, versions, files })
}

fn page_file<'a>(entry: &'a Entry, url: &'a str) -> PageFile<'a> {
    let line = &entry.line;
    let metadata = Metadata(line.metadata_sha256.as_deref());
    PageFile {
        filename: &line.filename,
        url,
        hashes: Sha256 { sha256: &line.sha256 },
        requires_python: line.requires_python.as_deref(),
        core_metadata: metadata,
        dist_info_metadata: metadata,
        size: line.size,
        upload_time: &line.upload_time,
        yanked: &line.yanked,
    }
}

fn json(page: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(page).expect("the keys of a page are text");
    bytes.push(b'\n');
    bytes
}
