//! What GitHub's releases API tells of published wheels, as lines of a catalogue.

use crate::catalogue::{CatalogueError, Entry};
use crate::name::{Variants, WheelName};
use serde_json::Value;
use std::path::Path;
use wootz_schema::wheel_index::{CatalogueLine, Yanked};

/// What a dump of releases has, and what somebody should know of the rest.
#[derive(Debug, Default)]
pub struct Found {
    /// In the order of the dump.
    pub entries: Vec<Entry>,
    /// Sentences.
    pub warnings: Vec<String>,
}

/// Reads a dump: a list of releases, each with its assets. `<wheel>.metadata` beside a wheel is taken as its metadata.
/// Variants are left out: what they say stands in them.
pub fn read(file: &Path, text: &str) -> Result<Found, CatalogueError> {
    let wrong = |why: String| CatalogueError::Line { file: file.to_owned(), line: 1, why };
    let dump: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let releases = dump.as_array().ok_or_else(|| wrong("it is no list of releases".to_owned()))?;
    let mut found = Found::default();
    for release in releases {
        let assets = release["assets"].as_array().map(Vec::as_slice).unwrap_or_default();
        let hash_of = |name: &str| {
            let asset = assets.iter().find(|asset| asset["name"] == name)?;
            asset["digest"].as_str()?.strip_prefix("sha256:").map(str::to_owned)
        };
        for asset in assets {
            let name = asset["name"].as_str().unwrap_or_default();
            if !name.ends_with(".whl") {
                continue;
            }
            let time = [&asset["updated_at"], &asset["created_at"], &release["published_at"]];
            let time = time.into_iter().find_map(Value::as_str);
            match (
                WheelName::parse(name, Variants::Refused),
                hash_of(name),
                asset["browser_download_url"].as_str(),
                time,
            ) {
                (Err(_), ..) => found.warnings.push(format!("Invalid wheel filename: {name}")),
                (Ok(parsed), Some(sha256), Some(url), Some(time)) => {
                    let line = CatalogueLine {
                        url: url.to_owned(),
                        filename: name.to_owned(),
                        sha256,
                        size: asset["size"].as_u64().unwrap_or_default(),
                        upload_time: time.to_owned(),
                        requires_python: None,
                        metadata_sha256: hash_of(&format!("{name}.metadata")),
                        yanked: Yanked::No,
                        release: release["tag_name"].as_str().map(str::to_owned),
                        variant: None,
                    };
                    found.entries.push(Entry { name: parsed, line });
                }
                _ => {
                    found.warnings.push(format!("{name}: the release says no SHA-256, address or time of it"))
                }
            }
        }
    }
    Ok(found)
}
