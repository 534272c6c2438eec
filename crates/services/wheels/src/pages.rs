//! The pages of an index, as a function of its files: HTML (PEP 503 with what came later) and JSON (PEP 691) of version 1.4.
//!
//! Pages begin at the root of an index: `index.html`, `index.json`, `flash-attn/index.html`, `flash-attn/index.json`; where a version has
//! variants, `flash-attn/flash_attn-2.8.3-variants.json`.

use crate::catalogue::{CatalogueError, Entry, Projects};
use crate::label::{Cuda, Label};
use crate::name::WheelName;
use crate::scan::hex;
use crate::variants;
use sha2::Digest;
use std::collections::BTreeMap;
use wootz_schema::wheel_index::{
    API_VERSION, Marker, Metadata, PageFile, PageMeta, ProjectPage, ProjectStatus, RootPage, RootProject,
    Sha256, Yanked,
};

/// Who wrote a page, as pages say it.
pub const GENERATOR: &str = "wootz";
/// The files that pages stand in.
pub const PAGES: [&str; 2] = ["index.html", "index.json"];
/// About as long is a link, with its hashes; in JSON it is twice that.
const LINK_BYTES: usize = 512;
const META: PageMeta = PageMeta { api_version: API_VERSION, generator: GENERATOR };

/// The pages of an index, each made when it is asked for.
#[derive(Debug, Default)]
pub struct Pages<'a> {
    /// By name.
    projects: BTreeMap<&'a str, Project<'a>>,
    form: Form,
}

/// In which forms pages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    #[default]
    None,
    Both,
    /// JSON under the name that static hosts give for a folder.
    JsonAlone,
}

/// What the page of a project is made from.
#[derive(Debug)]
struct Project<'a> {
    name: &'a str,
    status: Option<&'a ProjectStatus>,
    files: &'a [&'a Entry],
    variants: Vec<VariantsFile<'a>>,
}

/// The file that tells the variants of a version.
#[derive(Debug)]
struct VariantsFile<'a> {
    name: String,
    bytes: Vec<u8>,
    sha256: String,
    upload_time: &'a str,
}

impl<'a> Pages<'a> {
    /// Of files that are sorted, as [`crate::catalogue::unite`] gives them; an error where the variants of a version do not go together.
    pub fn new(entries: &'a [&'a Entry], projects: &'a Projects) -> Result<Pages<'a>, CatalogueError> {
        let mut pages = Pages { projects: BTreeMap::new(), form: Form::Both };
        for files in entries.chunk_by(|one, next| one.name.project == next.name.project) {
            let name = files[0].name.project.as_str();
            let by_version = files.chunk_by(|one, next| one.name.version == next.name.version);
            let variants = by_version.map(variants_file).filter_map(Result::transpose);
            let variants = variants.collect::<Result<Vec<VariantsFile<'a>>, CatalogueError>>()?;
            pages.projects.insert(name, Project { name, status: projects.get(name), files, variants });
        }
        Ok(pages)
    }

    /// No page at all.
    pub fn none() -> Pages<'a> {
        Pages::default()
    }

    /// The same in JSON alone, as `index.html`: for hosts that give that file for a folder, and can be told which type it has.
    pub fn json_alone(self) -> Pages<'a> {
        Pages { form: Form::JsonAlone, ..self }
    }

    fn files(&self) -> &'static [&'static str] {
        match self.form {
            Form::None => &[],
            Form::Both => &PAGES,
            Form::JsonAlone => &PAGES[..1],
        }
    }

    /// The paths of all.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let of_projects = self.projects.values().flat_map(|project| {
            let variants = project.offered().1.iter().map(|file| file.name.as_str());
            let pages = self.files().iter().copied();
            pages.chain(variants).map(|page| format!("{}/{page}", project.name))
        });
        let root = self.files().iter().map(|page| (*page).to_owned());
        of_projects.chain(root)
    }

    /// The page of a path.
    pub fn page(&self, name: &str) -> Option<Vec<u8>> {
        let (project, page) =
            name.split_once('/').map_or((None, name), |(project, page)| (Some(project), page));
        let is_json = self.form == Form::JsonAlone || page == PAGES[1];
        let project = project.map(|name| self.projects.get(name).ok_or(())).transpose().ok()?;
        let names = self.projects.keys().copied();
        match project {
            Some(project) if self.files().contains(&page) => {
                Some(if is_json { project.json() } else { project.html().into_bytes() })
            }
            Some(project) => {
                let file = project.offered().1.iter().find(|file| file.name == page)?;
                Some(file.bytes.clone())
            }
            None if !self.files().contains(&page) => None,
            None if is_json => {
                let projects = names.map(|name| RootProject { name }).collect();
                Some(json(&RootPage { meta: META, projects }))
            }
            None => Some(root_html(names).into_bytes()),
        }
    }
}

fn variants_file<'a>(version: &[&'a Entry]) -> Result<Option<VariantsFile<'a>>, CatalogueError> {
    let Some(metadata) = variants::combine(version)? else { return Ok(None) };
    let bytes = json(&metadata);
    let of_variants = version.iter().filter(|entry| entry.line.variant.is_some());
    let times = of_variants.map(|entry| entry.line.upload_time.as_str());
    let upload_time = times.max_by_key(|time| time.parse::<jiff::Timestamp>().ok()).unwrap_or_default();
    let sha256 = hex(&sha2::Sha256::digest(&bytes));
    Ok(Some(VariantsFile { name: variants::file_name(&version[0].name), bytes, sha256, upload_time }))
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
    let mut out = String::with_capacity(url.len() + 8);
    out.push_str(folder);
    out.push('/');
    push_encoded(&mut out, file);
    out
}

/// A file's name within an address; what is encoded already stays.
pub fn encoded(file: &str) -> String {
    let mut out = String::with_capacity(file.len() + 8);
    push_encoded(&mut out, file);
    out
}

fn push_encoded(out: &mut String, file: &str) {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'%');
    let mut rest = file;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        out.push_str(&rest[..at]);
        let odd = rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..at + odd].bytes() {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
        rest = &rest[at + odd..];
    }
    out.push_str(rest);
}

impl Project<'_> {
    /// What it offers: of a project that is quarantined nothing.
    fn offered(&self) -> (&[&Entry], &[VariantsFile<'_>]) {
        match self.status.is_some_and(|status| status.status == Marker::Quarantined) {
            true => (&[], &[]),
            false => (self.files, &self.variants),
        }
    }

    fn html(&self) -> String {
        let mut page = head(&format!("Links for {}", self.name), self.status);
        let (files, variants) = self.offered();
        page.reserve(files.len() * LINK_BYTES);
        files.iter().for_each(|entry| push_link(&mut page, entry));
        for file in variants {
            let VariantsFile { name, sha256, .. } = file;
            page.push_str(&format!("<a href=\"{}#sha256={sha256}\">{name}</a><br/>\n", encoded(name)));
        }
        page.push_str("</body>\n</html>\n");
        page
    }

    fn json(&self) -> Vec<u8> {
        let (offered, variants) = self.offered();
        let urls: Vec<String> = offered.iter().map(|entry| href(&entry.line.url)).collect();
        let of_variants: Vec<String> = variants.iter().map(|file| encoded(&file.name)).collect();
        let mut versions: Vec<&WheelName> = self.files.iter().map(|entry| &entry.name).collect();
        versions
            .dedup_by(|next, last| next.version_text == last.version_text || next.version == last.version);
        let versions = versions.iter().map(|name| name.version.to_string()).collect();
        let files = offered.iter().zip(&urls).map(|(entry, url)| page_file(entry, url));
        let variants = variants.iter().zip(&of_variants).map(|(file, url)| PageFile {
            filename: &file.name,
            url,
            hashes: Sha256 { sha256: &file.sha256 },
            requires_python: None,
            core_metadata: Metadata(None),
            dist_info_metadata: Metadata(None),
            size: file.bytes.len() as u64,
            upload_time: file.upload_time,
            yanked: &Yanked::No,
        });
        let files: Vec<PageFile<'_>> = files.chain(variants).collect();
        let room = files.len() * 2 * LINK_BYTES;
        json_within(room, &ProjectPage { meta: META, name: self.name, status: self.status, versions, files })
    }
}

fn push_link(page: &mut String, entry: &Entry) {
    let line = &entry.line;
    page.push_str("<a href=\"");
    push_escaped(page, &href(&line.url));
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
            push_escaped(page, value);
            page.push('"');
        }
    }
    page.push('>');
    push_escaped(page, &line.filename);
    page.push_str("</a><br/>\n");
}

fn root_html<'a>(projects: impl Iterator<Item = &'a str>) -> String {
    let mut page = head("Simple index", None);
    for project in projects {
        page.push_str(&format!("<a href=\"{project}/\">{project}</a><br/>\n"));
    }
    page.push_str("</body>\n</html>\n");
    page
}

fn head(title: &str, status: Option<&ProjectStatus>) -> String {
    let mut page = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n\
         <meta name=\"generator\" content=\"{GENERATOR}\">\n"
    );
    let reason = status.and_then(|status| status.reason.as_deref());
    for (name, value) in [("", status.map(|status| status.status.name())), ("-reason", reason)] {
        if let Some(value) = value {
            page.push_str(&format!("<meta name=\"pypi:project-status{name}\" content=\""));
            push_escaped(&mut page, value);
            page.push_str("\">\n");
        }
    }
    page.push_str(&format!("<title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"));
    page
}

fn push_escaped(page: &mut String, text: &str) {
    let bytes = text.as_bytes();
    if memchr::memchr3(b'&', b'<', b'>', bytes).or_else(|| memchr::memchr(b'"', bytes)).is_none() {
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
    json_within(0, page)
}

/// JSON in a buffer that has room for as many bytes.
fn json_within(room: usize, page: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room);
    serde_json::to_writer(&mut bytes, page).expect("the keys of a page are text");
    bytes.push(b'\n');
    bytes
}
