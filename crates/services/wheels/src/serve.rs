//! An index over HTTP: what a static host cannot do, it does: it answers in the form that a client asks for, and sends clients from other
//! spellings of a name to the right one.
//!
//! `/simple/` is the index, `/cu128/simple/` a sub-index beside it, `/wheels/` a folder of wheels, if one is given, with the metadata of
//! each as `<wheel>.metadata`; `/` is a page for people, and `/files.json` what it shows.

use crate::catalogue::{self, Entry};
use crate::lint::decoded;
use crate::name::project as normalize;
use crate::pages::label_of;
use crate::scan::metadata;
use crate::variants;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LOCATION, VARY};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// What is served.
#[derive(Debug, Clone)]
pub struct Site {
    /// The index.
    pub index: PathBuf,
    /// Wheels.
    pub wheels: Option<PathBuf>,
}

/// What was asked for and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// `GET` or `HEAD`.
    pub method: String,
    /// With its query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
}

const JSON: &str = "application/vnd.pypi.simple.v1+json";
const HTML: &str = "application/vnd.pypi.simple.v1+html";
const TEXT: &str = "text/html";
const PAGE: &str = include_str!("serve/page.html");

/// Answers until the process ends; each answer is told to `log`.
pub fn serve(
    listener: TcpListener,
    site: Site,
    log: impl Fn(Visit) + Send + Sync + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (site, log) = (Arc::new(site), Arc::new(log));
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let app = Router::new().fallback(move |request: Request| {
            let (site, log) = (Arc::clone(&site), Arc::clone(&log));
            async move {
                let (method, path) = (request.method().to_string(), request.uri().to_string());
                let answer = answer(&site, request).await;
                log(Visit { method, path, status: answer.status().as_u16() });
                answer
            }
        });
        axum::serve(listener, app).await
    })
}

async fn answer(site: &Site, request: Request) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "an index is only read\n");
    }
    let path = decoded(request.uri().path());
    let is_safe =
        Path::new(&path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !is_safe {
        return plain(StatusCode::BAD_REQUEST, "that is no path of an index\n");
    }
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts.as_slice() {
        [""] => entity(request.headers(), "text/html; charset=utf-8", PAGE.as_bytes().to_vec()),
        ["files.json"] => match files(&site.index) {
            Ok(files) => entity(request.headers(), "application/json", files),
            Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
        },
        ["wheels", file] => match &site.wheels {
            Some(folder) => wheel(folder, file, request).await,
            None => missing(),
        },
        ["simple", rest @ ..] => page(&site.index, &path, rest, request.headers()),
        [sub, "simple", rest @ ..] => match site.index.parent() {
            Some(parent) => page(&parent.join(sub).join("simple"), &path, rest, request.headers()),
            None => missing(),
        },
        _ => missing(),
    }
}

/// A page of an index, in the form that is asked for.
fn page(index: &Path, path: &str, rest: &[&str], headers: &HeaderMap) -> Response<Body> {
    let folder = match rest {
        [] => return moved(&format!("{path}/")),
        [""] => index.to_owned(),
        [project] | [project, ""] => {
            let name = normalize(project);
            let before = path.trim_end_matches('/').strip_suffix(project).unwrap_or("/simple/");
            if rest.len() == 1 || name != *project {
                return moved(&format!("{before}{name}/"));
            }
            index.join(name)
        }
        [project, file] if file.ends_with(variants::ENDING) => {
            return match fs::read(index.join(project).join(file)) {
                Ok(bytes) => entity(headers, "application/json", bytes),
                Err(_) => missing(),
            };
        }
        _ => return missing(),
    };
    let Some(form) = chosen(headers) else {
        return plain(StatusCode::NOT_ACCEPTABLE, "there are JSON and HTML of the simple API, version 1\n");
    };
    let file = if form == JSON { "index.json" } else { "index.html" };
    match fs::read(folder.join(file)) {
        Ok(bytes) => {
            let form = if form == TEXT { "text/html; charset=utf-8" } else { form };
            let mut response = entity(headers, form, bytes);
            response.headers_mut().insert(VARY, ACCEPT.into());
            response
        }
        Err(_) => missing(),
    }
}

/// The form that a client likes best; without a wish HTML for people.
fn chosen(headers: &HeaderMap) -> Option<&'static str> {
    let wishes: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    if wishes.is_empty() {
        return Some(TEXT);
    }
    let mut best: Option<(&'static str, f32)> = None;
    for wish in wishes.iter().flat_map(|wishes| wishes.split(',')) {
        let mut parts = wish.split(';').map(str::trim);
        let form = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
            JSON | "application/vnd.pypi.simple.latest+json" => JSON,
            HTML | "application/vnd.pypi.simple.latest+html" => HTML,
            "text/html" | "text/*" | "*/*" => TEXT,
            _ => continue,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .and_then(|weight| weight.parse().ok())
            .unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(_, known)| weight > known) {
            best = Some((form, weight));
        }
    }
    best.map(|(form, _)| form)
}

async fn wheel(folder: &Path, file: &str, request: Request) -> Response<Body> {
    let path = folder.join(file);
    if let Some(wheel) = file.strip_suffix(".metadata").filter(|_| !path.is_file()) {
        return match metadata(&folder.join(wheel)) {
            Ok(text) => entity(request.headers(), "text/plain; charset=utf-8", text),
            Err(_) => missing(),
        };
    }
    if !path.is_file() {
        return missing();
    }
    let mut response = match ServeFile::new(path).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, "application/octet-stream".parse().expect("it is a media type"));
    response
}

/// What the page for people shows of each file.
fn files(index: &Path) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut folders: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(index)? {
        folders.push(entry?.path());
    }
    folders.sort();
    for folder in folders {
        let file = folder.join("index.json");
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let entries =
            catalogue::of_page(&file, &text).map_err(|error| io::Error::other(error.to_string()))?;
        all.extend(entries.iter().map(told));
    }
    Ok(json!(all).to_string().into_bytes())
}

fn told(entry: &Entry) -> serde_json::Value {
    let label = label_of(entry);
    json!({
        "project": entry.name.project, "version": entry.name.version.to_string(), "file": entry.line.filename, "url": entry.line.url,
        "cuda": label.cuda.map(|cuda| cuda.to_string()), "torch": label.torch.map(|torch| torch.to_string()), "python": entry.name.python.join("."),
        "platform": entry.name.platform.join("."), "size": entry.line.size, "yanked": !entry.line.yanked.is_no(),
    })
}

/// Bytes with their hash as a tag, or, where the client has them, nothing.
fn entity(headers: &HeaderMap, form: &str, bytes: Vec<u8>) -> Response<Body> {
    let tag = format!("\"{}\"", &crate::scan::hex(&Sha256::digest(&bytes))[..32]);
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let has_it = known.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let response = Response::builder().header(ETAG, tag).header(CONTENT_TYPE, form);
    let made = match has_it {
        true => response.status(StatusCode::NOT_MODIFIED).body(Body::empty()),
        false => response.body(Body::from(bytes)),
    };
    made.expect("its head is plain text")
}

fn moved(to: &str) -> Response<Body> {
    let response = Response::builder().status(StatusCode::MOVED_PERMANENTLY).header(LOCATION, to);
    response.body(Body::empty()).unwrap_or_else(|_| missing())
}

fn missing() -> Response<Body> {
    plain(StatusCode::NOT_FOUND, "there is nothing here\n")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; charset=utf-8");
    response.body(Body::from(text.to_owned())).expect("its head is plain text")
}
