//! `records.jsonl`: what an import brought that is no issue, such as beads' memories.
//!
//! It stands beside the issues, of which every line must be one that `ba` can read. Records are told apart by their whole content.

use super::{Store, TrackerError, save};
use crate::record::Record;
use crate::scan;
use std::fs;
use std::io;
use std::path::PathBuf;

impl Store {
    /// The file of records that are no issues.
    pub fn records_file(&self) -> PathBuf {
        self.folder().join("records.jsonl")
    }

    /// The records that are no issues, in the order in which they came.
    pub fn records(&self) -> Result<Vec<Record>, TrackerError> {
        let file = self.records_file();
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            bytes => bytes.map_err(|error| TrackerError::io("read", &file, error))?,
        };
        let mut records = Vec::new();
        for (at, line) in scan::lines(&bytes).enumerate().filter(|(_, line)| !line.trim_ascii().is_empty()) {
            records.push(Record::read(line).map_err(|error| TrackerError::Corrupt {
                file: file.clone(),
                line: at + 1,
                why: error.to_string(),
            })?);
        }
        Ok(records)
    }

    /// Adds those that are not there, for a caller that holds the lock; how many they were comes back.
    pub(crate) fn add_records(&self, new: &[Record]) -> Result<usize, TrackerError> {
        if new.is_empty() {
            return Ok(0);
        }
        let mut records = self.records()?;
        let before = records.len();
        for record in new {
            if !records.contains(record) {
                records.push(record.clone());
            }
        }
        if records.len() > before {
            let text: String = records.iter().map(|record| record.line() + "\n").collect();
            let file = self.records_file();
            save::replace(&file, &[text.as_bytes()])
                .map_err(|error| TrackerError::io("write", &file, error))?;
        }
        Ok(records.len() - before)
    }
}
