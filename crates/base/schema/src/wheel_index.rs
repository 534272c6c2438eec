//! The index of wheels: a line of the catalogue, and the pages of the Simple Repository API (version 1.4) as JSON.
//!
//! The catalogue has no version number of its own: its lines are what other tools write too, and a key that is not known is refused.

use serde::de::{self, Deserializer, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The version of the API whose pages these are.
pub const API_VERSION: &str = "1.4";

/// A published file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogueLine {
    /// Where it is.
    pub url: String,
    /// Its name.
    pub filename: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// When it was published, in UTC.
    pub upload_time: String,
    /// Which versions of Python it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<String>,
    /// Of the metadata that stand beside it as `<url>.metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_sha256: Option<String>,
    /// Whether nobody should take it any more.
    #[serde(default, skip_serializing_if = "Yanked::is_no")]
    pub yanked: Yanked,
    /// The release that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// What its `variant.json` says, if it is a variant (PEP 825, a draft).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Box<VariantMetadata>>,
}

/// A line of the catalogue about a project instead of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectLine {
    /// Which, normalised.
    pub project: String,
    /// The marker.
    pub status: Marker,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the users of a project should know of it (PEP 792).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectStatus {
    /// The marker.
    pub status: Marker,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The status of a project. One that is quarantined offers no file; it and one that is archived take no new files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Marker {
    /// As every project of which nothing is said.
    Active,
    /// It will not change any more.
    Archived,
    /// It is not safe.
    Quarantined,
    /// Something else has taken its place.
    Deprecated,
}

impl Marker {
    /// All of them, as they are written.
    pub const ALL: [(&'static str, Marker); 4] = [
        ("active", Marker::Active),
        ("archived", Marker::Archived),
        ("quarantined", Marker::Quarantined),
        ("deprecated", Marker::Deprecated),
    ];

    /// The marker as it is written.
    pub fn name(self) -> &'static str {
        Marker::ALL.iter().find(|(_, marker)| *marker == self).map_or("active", |(name, _)| name)
    }
}

/// What a label of variants stands for: by namespace and feature the values, one of which a machine must have.
pub type VariantProperties = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// `variant.json` in a wheel, or `<name>-<version>-variants.json` of all wheels of a version (PEP 825, a draft; format 0.1.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VariantMetadata {
    /// Which format it has.
    #[serde(rename = "$schema")]
    pub schema: String,
    /// What orders variants.
    pub default_priorities: VariantPriorities,
    /// By label.
    pub variants: BTreeMap<String, VariantProperties>,
}

/// What orders variants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariantPriorities {
    /// All namespaces, the most important first.
    pub namespace: Vec<String>,
}

/// Whether a file was taken back; as JSON `false`, `true`, or the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Yanked {
    /// It is offered.
    #[default]
    No,
    /// Nobody said why.
    Yes,
    /// Somebody did.
    Because(String),
}

impl Yanked {
    /// Whether it is offered.
    pub fn is_no(&self) -> bool {
        *self == Yanked::No
    }
}

impl Serialize for Yanked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Yanked::No => serializer.serialize_bool(false),
            Yanked::Yes => serializer.serialize_bool(true),
            Yanked::Because(reason) => serializer.serialize_str(reason),
        }
    }
}

impl<'de> Deserialize<'de> for Yanked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yanked, D::Error> {
        deserializer.deserialize_any(YankedVisitor)
    }
}

struct YankedVisitor;

impl Visitor<'_> for YankedVisitor {
    type Value = Yanked;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("false, true, or a reason")
    }

    fn visit_bool<E: de::Error>(self, yanked: bool) -> Result<Yanked, E> {
        Ok(if yanked { Yanked::Yes } else { Yanked::No })
    }

    fn visit_str<E: de::Error>(self, reason: &str) -> Result<Yanked, E> {
        Ok(if reason.is_empty() { Yanked::Yes } else { Yanked::Because(reason.to_owned()) })
    }

    fn visit_unit<E: de::Error>(self) -> Result<Yanked, E> {
        Ok(Yanked::No)
    }
}

/// What every page says of itself.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PageMeta {
    /// [`API_VERSION`].
    #[serde(rename = "api-version")]
    pub api_version: &'static str,
    /// Which program wrote it.
    #[serde(rename = "_generator")]
    pub generator: &'static str,
}

/// The page of all projects.
#[derive(Debug, Clone, Serialize)]
pub struct RootPage<'a> {
    /// Of the page.
    pub meta: PageMeta,
    /// Sorted by name.
    pub projects: Vec<RootProject<'a>>,
}

/// A project on that page.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct RootProject<'a> {
    /// Normalised.
    pub name: &'a str,
}

/// The page of a project.
#[derive(Debug, Clone, Serialize)]
pub struct ProjectPage<'a> {
    /// Of the page.
    pub meta: PageMeta,
    /// Normalised.
    pub name: &'a str,
    /// What its users should know.
    #[serde(rename = "project-status", skip_serializing_if = "Option::is_none")]
    pub status: Option<&'a ProjectStatus>,
    /// All versions of its files, the oldest first.
    pub versions: Vec<String>,
    /// Its files.
    pub files: Vec<PageFile<'a>>,
}

/// A file on that page.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PageFile<'a> {
    /// Its name.
    pub filename: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// Of its bytes.
    pub hashes: Sha256<'a>,
    /// Which versions of Python it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<&'a str>,
    /// Whether its metadata stand beside it, and their hash.
    pub core_metadata: Metadata<'a>,
    /// The same under the name that the key had first.
    pub dist_info_metadata: Metadata<'a>,
    /// Bytes.
    pub size: u64,
    /// In UTC.
    pub upload_time: &'a str,
    /// Whether nobody should take it any more.
    pub yanked: &'a Yanked,
}

/// The hash of a file.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sha256<'a> {
    /// In hexadecimal digits.
    pub sha256: &'a str,
}

/// Metadata beside a file: its hash, or `false`.
#[derive(Debug, Clone, Copy)]
pub struct Metadata<'a>(pub Option<&'a str>);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(sha256) = self.0 else { return serializer.serialize_bool(false) };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("sha256", sha256)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_yesterday_are_read() {
        let line = r#"{"url":"https://a.test/x-1.0-py3-none-any.whl","filename":"x-1.0-py3-none-any.whl","sha256":"00","size":7,"upload_time":"2026-01-01T00:00:00Z"}"#;
        let read: CatalogueLine = serde_json::from_str(line).unwrap();
        assert_eq!(read.yanked, Yanked::No);
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
        for (yanked, expected) in
            [("null", Yanked::No), ("true", Yanked::Yes), ("\"bad\"", Yanked::Because("bad".to_owned()))]
        {
            let with = format!("{},\"yanked\":{yanked},\"requires_python\":null}}", &line[..line.len() - 1]);
            assert_eq!(serde_json::from_str::<CatalogueLine>(&with).unwrap().yanked, expected);
        }
        let status = r#"{"project":"x","status":"archived","reason":"done"}"#;
        let read: ProjectLine = serde_json::from_str(status).unwrap();
        assert_eq!(read.status, Marker::Archived);
        assert_eq!(serde_json::to_string(&read).unwrap(), status);
        let unknown = line.replace("\"size\"", "\"bytes\"");
        assert!(serde_json::from_str::<CatalogueLine>(&unknown).unwrap_err().to_string().contains("bytes"));
    }
}
