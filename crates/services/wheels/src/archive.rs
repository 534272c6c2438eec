//! A wheel as a zip file: its name, its entries, their bytes.
//!
//! A zip file says twice what it holds, before each file and in a list at its end. Installers read the list, others the files;
//! an archive that says two things is one that a scanner passes and an installer is fooled by, so it is a finding.
//!
//! Archives can hold far more than they weigh: files of metadata are read up to a limit, all others in pieces.
//!
//! Not covered: wheels that are signed; `RECORD.jws` and `RECORD.p7s` are carried along and not looked into.

use crate::name::{NameError, Variants, WheelName};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use thiserror::Error;
use wootz_schema::exit::{exit_of_io, hint_of_io};
use wootz_schema::wheel::{WheelFinding, WheelRule};
use wootz_schema::{Diagnose, ExitCode};
use zip::ZipArchive;

/// More than this is no metadata; the longest lists of files are some megabytes.
const METADATA_BYTES_MAX: u64 = 64 << 20;

/// Why a wheel cannot be read or written at all. What is merely wrong with one is a [`WheelFinding`].
#[derive(Debug, Error)]
pub enum WheelError {
    /// The file's name is not a wheel's.
    #[error("{0}")]
    Name(#[from] NameError),
    /// A file operation.
    #[error("{what} {}: {error}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file is no zip archive, or one that cannot be copied.
    #[error("read {}: {error}", path.display())]
    Archive {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: zip::result::ZipError,
    },
    /// A label that no version can have.
    #[error("read the label `{label}`: it must be letters and digits, with `.` between")]
    Label {
        /// The label.
        label: String,
    },
    /// The wheel has a label already.
    #[error("relabel {}: its version {version} has a label already", path.display())]
    Labelled {
        /// The wheel.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The wheel says of itself what is not so, and would go on saying it.
    #[error("relabel {}: {}{}", path.display(), told(first), more(*count))]
    Lying {
        /// The wheel.
        path: PathBuf,
        /// The first finding.
        first: WheelFinding,
        /// Findings in all.
        count: usize,
    },
    /// The result would take the place of a file with other bytes.
    #[error("write {}: a file with other bytes is there", path.display())]
    Exists {
        /// The file that is there.
        path: PathBuf,
    },
}

impl Diagnose for WheelError {
    fn exit(&self) -> ExitCode {
        match self {
            WheelError::Io { error, .. } => exit_of_io(error),
            WheelError::Archive { error: zip::result::ZipError::Io(error), .. } => exit_of_io(error),
            _ => ExitCode::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            WheelError::Io { error, .. } => return hint_of_io(error),
            WheelError::Name(_) => "a wheel is named PROJECT-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl",
            WheelError::Archive { .. } => "download or build the wheel again: it is cut off or damaged",
            WheelError::Label { .. } => "write a label such as `cu128torch2.9`",
            WheelError::Labelled { .. } => "give `--replace` to put the new label in its place",
            WheelError::Lying { .. } => {
                "`wootz wheel inspect` lists all that is wrong; build the wheel again"
            }
            WheelError::Exists { .. } => "published bytes must not change: choose another label or folder",
        };
        Some(hint.to_owned())
    }
}

/// A finding in one line.
fn told(finding: &WheelFinding) -> String {
    let entry = finding.entry.as_ref().map(|entry| format!("{entry}: ")).unwrap_or_default();
    format!("{entry}{} (rule {})", finding.message, finding.rule.name())
}

fn more(count: usize) -> String {
    if count > 1 { format!(", and {} more", count - 1) } else { String::new() }
}

/// A wheel that can be read.
pub(crate) struct Archive {
    pub path: PathBuf,
    pub name: WheelName,
    /// The paths of its files, in its order; folders are left out.
    pub entries: Vec<Entry>,
    pub zip: ZipArchive<BufReader<File>>,
}

/// One file of a wheel.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Its place in the archive.
    pub index: usize,
    pub path: String,
    /// The size that the archive claims.
    pub bytes: u64,
}

impl Archive {
    /// Opens a wheel; an error where its name is not one or it is no archive.
    pub fn open(path: &Path, variants: Variants) -> Result<Archive, WheelError> {
        let file_name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = WheelName::parse(&file_name, variants)?;
        let file = File::open(path).map_err(|error| WheelError::Io {
            what: "open",
            path: path.to_owned(),
            error,
        })?;
        let failed = |error| WheelError::Archive { path: path.to_owned(), error };
        let zip = ZipArchive::new(BufReader::new(file)).map_err(failed)?;
        let mut entries = Vec::with_capacity(zip.len());
        for index in 0..zip.len() {
            let entry = zip.by_index_data(index).map_err(failed)?;
            let path = entry.name().map_err(failed)?.into_owned();
            if !path.ends_with('/') {
                entries.push(Entry { index, path, bytes: entry.size() });
            }
        }
        Ok(Archive { path: path.to_owned(), name, entries, zip })
    }

    /// What is wrong with the archive and the paths in it.
    pub fn findings(&mut self) -> Vec<WheelFinding> {
        let mut findings = Vec::new();
        if let Err(error) = self.zip.validate_header_consistency() {
            findings.push(WheelFinding { rule: WheelRule::Archive, entry: None, message: error.to_string() });
        }
        for entry in &self.entries {
            let finding = |rule, message: &str| WheelFinding {
                rule,
                entry: Some(entry.path.clone()),
                message: message.to_owned(),
            };
            if !stays_inside(&entry.path) {
                findings.push(finding(WheelRule::Path, "the path leads out of the folder of the wheel"));
            }
            match self.zip.by_index_data(entry.index) {
                Ok(data) if data.is_symlink() => {
                    findings.push(finding(WheelRule::Path, "it is a link, which wheels cannot hold"));
                }
                Ok(data) if data.encrypted() => {
                    findings.push(finding(WheelRule::Archive, "it is encrypted"));
                }
                _ => {}
            }
        }
        findings
    }

    /// The file at a path.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// The bytes of a file of metadata, decompressed and checked against the archive's own sum.
    pub fn read(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.zip.by_index(index)?.take(METADATA_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > METADATA_BYTES_MAX {
            return Err(io::Error::other(format!("it has more than {METADATA_BYTES_MAX} bytes")));
        }
        Ok(bytes)
    }

    /// Gives a file's bytes in pieces.
    pub fn pass(&mut self, index: usize, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut file = self.zip.by_index(index)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                read => take(&buffer[..read]),
            }
        }
    }
}

/// Whether a path means the same below any folder, on any system.
fn stays_inside(path: &str) -> bool {
    let odd = path.contains(['\\', '\0']) || path.starts_with('/') || path.as_bytes().get(1) == Some(&b':');
    !odd && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}
