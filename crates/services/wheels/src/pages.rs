//! The pages of an index, as a function of its files: HTML (PEP 503 with what came later) and JSON (PEP 691) of version 1.4.
//!
//! Pages begin at the root of an index: `index.html`, `index.json`, `flash-attn/index.html`, `flash-attn/index.json`.

use crate::catalogue::Entry;
use crate::label::{Cuda, Label};
use std::collections::BTreeMap;
use wootz_schema::wheel_index::{
    API_VERSION, Metadata, PageFile, PageMeta, ProjectPage, RootPage, RootProject, Sha256, Yanked,
};

/// Who wrote a page, as pages say it.
pub const GENERATOR: &str = "wootz";
/// The files that pages stand in.
pub const PAGES: [&str; 2] = ["index.html", "index.json"];
const META: PageMeta = PageMeta { api_version: API_VERSION, generator: GENERATOR };

/// The pages of an index, each made when it is asked for.
#[derive(Debug, Default)]
pub struct Pages<'a> {
    /// By project.
    files: BTreeMap<&'a str, &'a [&'a Entry]>,
    is_empty: bool,
}

impl<'a> Pages<'a> {
    /// Of files that are sorted, as [`crate::catalogue::unite`] gives them.
    pub fn new(entries: &'a [&'a Entry]) -> Pages<'a> {
        let by_project = entries.chunk_by(|one, next| one.name.project == next.name.project);
        let files = by_project.map(|files| (files[0].name.project.as_str(), files)).collect();
        Pages { files, is_empty: false }
    }

    /// No page at all.
    pub fn none() -> Pages<'a> {
        Pages { files: BTreeMap::new(), is_empty: true }
    }

    /// The paths of all.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let of_projects = self.files.keys().flat_map(|project| PAGES.map(|page| format!("{project}/{page}")));
        let root = PAGES.iter().filter(|_| !self.is_empty).map(|page| (*page).to_owned());
        of_projects.chain(root)
    }

    /// The page of a path.
    pub fn page(&self, name: &str) -> Option<Vec<u8>> {
        if self.is_empty {
            return None;
        }
        let projects = || self.files.keys().copied();
        match name.split_once('/') {
            None if name == PAGES[0] => Some(root_html(projects()).into_bytes()),
            None if name == PAGES[1] => {
                let projects = projects().map(|name| RootProject { name }).collect();
                Some(json(&RootPage { meta: META, projects }))
            }
            Some((project, page)) => {
                let files = self.files.get(project)?;
                match page {
                    "index.html" => Some(project_html(project, files).into_bytes()),
                    "index.json" => Some(project_json(project, files)),
                    _ => None,
                }
            }
            None => None,
        }
    }
}

/// The files of each sub-index: one for each CUDA (`cu128`), and one for each CUDA with each torch (`cu128-torch2.9`).
pub fn sub_indexes(entries: &[Entry]) -> BTreeMap<String, Vec<&Entry>> {
    let mut indexes: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let label = label_of(entry);
        let Some(cuda) = label.cuda.map(cuda_name) else { continue };
        if let Some(torch) = label.torch {
            indexes.entry(format!("{cuda}-torch{torch}")).or_default().push(entry);
        }
        indexes.entry(cuda).or_default().push(entry);
    }
    indexes
}

fn cuda_name(cuda: Cuda) -> String {
    format!("cu{}{}", cuda.major, cuda.minor.map(|minor| minor.to_string()).unwrap_or_default())
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

fn project_html(project: &str, files: &[&Entry]) -> String {
    let mut page = head(&format!("Links for {project}"));
    for entry in files {
        let line = &entry.line;
        page.push_str("<a href=\"");
        push_escaped(&mut page, &href(&line.url));
        page.push_str("#sha256=");
        page.push_str(&line.sha256);
        page.push('"');
        let metadata = line.metadata_sha256.as_ref().map(|hash| format!("sha256={hash}"));
        let yanked = match &line.yanked {
            Yanked::No => None,
            Yanked::Yes => Some(""),
            Yanked::Because(reason) => Some(reason.as_str()),
        };
        for (name, value) in [
            (" data-requires-python=\"", line.requires_python.as_deref()),
            (" data-core-metadata=\"", metadata.as_deref()),
            (" data-dist-info-metadata=\"", metadata.as_deref()),
            (" data-yanked=\"", yanked),
        ] {
            if let Some(value) = value {
                page.push_str(name);
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

fn root_html<'a>(projects: impl Iterator<Item = &'a str>) -> String {
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
    if !text.contains(['&', '<', '>', '"']) {
        return page.push_str(text);
    }
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

fn project_json(project: &str, files: &[&Entry]) -> Vec<u8> {
    let urls: Vec<String> = files.iter().map(|entry| href(&entry.line.url)).collect();
    let mut versions: Vec<String> = files.iter().map(|entry| entry.name.version.to_string()).collect();
    versions.dedup();
    let files = files.iter().zip(&urls).map(|(entry, url)| page_file(entry, url)).collect();
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
