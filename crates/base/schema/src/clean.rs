//! What cleaning a corpus is asked for, and what it counts.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a corpus is cleaned: the `clean:` block of a corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanOptions {
    /// Kinds of files that stay although they are left out by default.
    pub keep: Vec<FileFilter>,
    /// Leave tests out as well.
    pub drop_tests: bool,
    /// Put placeholders in the place of secrets and personal data.
    pub redact: bool,
    /// Leave out documents that are nearly the same as an earlier one.
    pub near_duplicates: bool,
    /// Files whose items no document may share text with: JSON, JSONL or plain text.
    pub benchmarks: Vec<PathBuf>,
    /// SPDX ids that no document may be under; `NOASSERTION` stands for files without a known license.
    pub denied_licenses: Vec<String>,
}

impl Default for CleanOptions {
    fn default() -> CleanOptions {
        CleanOptions {
            keep: Vec::new(),
            drop_tests: false,
            redact: true,
            near_duplicates: true,
            benchmarks: Vec::new(),
            denied_licenses: Vec::new(),
        }
    }
}

/// A kind of file that teaches little, left out by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFilter {
    /// Written by a program.
    Generated,
    /// Another project's files, kept in this one's tree.
    Vendored,
    /// Code squeezed into few lines.
    Minified,
    /// Tables and blobs in the form of code.
    Data,
}

/// What was replaced by a placeholder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// The lines of a private key block.
    PrivateKey,
    /// An AWS access key id.
    AwsKey,
    /// A Google Cloud API key, OAuth token or client secret.
    GcpKey,
    /// A GitHub token.
    GithubToken,
    /// A GitLab token.
    GitlabToken,
    /// A Slack token or web hook.
    SlackToken,
    /// A Stripe key.
    StripeKey,
    /// An npm token.
    NpmToken,
    /// A PyPI token.
    PypiToken,
    /// A JSON web token.
    JsonWebToken,
    /// A token of another service.
    ServiceToken,
    /// The password in a URL.
    UrlPassword,
    /// A random text given to a name such as `api_key` or `password`.
    Secret,
    /// An e-mail address.
    Email,
    /// A public IPv4 address.
    IpAddress,
    /// A phone number.
    PhoneNumber,
}

/// From what a file was converted to UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// UTF-8 with a byte order mark.
    Utf8Mark,
    /// UTF-16 with a byte order mark.
    Utf16,
    /// Windows-1252, of which Latin-1's letters are a part.
    Windows1252,
}

/// What cleaning changed in the files that were kept, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CleanCounts {
    /// Files that were converted.
    pub converted: BTreeMap<Encoding, u64>,
    /// Places that were replaced.
    pub redacted: BTreeMap<Redaction, u64>,
    /// Documents dropped because they share text with a benchmark, by item.
    pub contaminated: BTreeMap<String, u64>,
}
