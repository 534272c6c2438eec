//! Choices that were timed on a machine and are kept between runs: the algorithm of every matrix product.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the file of choices; version 1 held the fastest in short bursts, which are not what is fast in training.
pub const VERSION: u32 = 2;

/// Name of the file in the cache folder.
pub const PRODUCTS_FILE_NAME: &str = "gemm.json";

/// `gemm.json`: holds for one kind of machine only; elsewhere it is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductChoices {
    /// Format version.
    pub version: u32,
    /// Where the choices hold.
    pub machine: Machine,
    /// By the product's shape, element types, layouts and alignments, in their text form.
    pub choices: BTreeMap<String, ProductChoice>,
}

/// What timings depend on beside the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The vendor's name of the device.
    pub device: String,
    /// The driver's version as it reports it: 13000 is CUDA 13.0.
    pub driver: i32,
    /// The library's version as it reports it: 130100 is 13.1.0.
    pub library: u64,
}

/// One product's algorithm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductChoice {
    /// The library's opaque description, 64 bytes as hexadecimal digits.
    pub algorithm: String,
    /// Scratch memory it needs.
    pub workspace_bytes: u64,
    /// Time of one run, of many behind one another, when it was chosen; none: it was taken untimed.
    pub microseconds: Option<f64>,
}

impl ProductChoices {
    /// No choices yet.
    pub fn new(machine: Machine) -> ProductChoices {
        ProductChoices { version: VERSION, machine, choices: BTreeMap::new() }
    }
    /// The choices of a file that holds for this machine; none if it is damaged or from elsewhere.
    pub fn read(bytes: &[u8], machine: &Machine) -> Option<ProductChoices> {
        let read: ProductChoices = serde_json::from_slice(bytes).ok()?;
        (read.version == VERSION && read.machine == *machine).then_some(read)
    }
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, integers and finite numbers: nothing that JSON cannot hold.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YESTERDAY: &str = r#"{"version":2,"machine":{"device":"NVIDIA H200","driver":13000,"library":130100},
        "choices":{"64x32x16 a=bf16:n:16:256":{"algorithm":"00ff","workspace_bytes":1024,"microseconds":7.25},
                   "64x32x16 a=f32:n:16:256":{"algorithm":"01","workspace_bytes":0,"microseconds":null}}}"#;

    fn machine() -> Machine {
        Machine { device: "NVIDIA H200".to_owned(), driver: 13000, library: 130_100 }
    }

    #[test]
    fn a_file_of_version_2_is_read_as_it_was_written() {
        let read = ProductChoices::read(YESTERDAY.as_bytes(), &machine()).expect("a file of version 2");
        assert_eq!(read.choices["64x32x16 a=bf16:n:16:256"].microseconds, Some(7.25));
        let written: serde_json::Value = serde_json::from_slice(&read.to_bytes()).expect("JSON");
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(YESTERDAY).expect("JSON"));
    }

    #[test]
    fn damaged_and_foreign_files_are_no_choices() {
        let none = |bytes: &str, machine: &Machine| {
            assert_eq!(ProductChoices::read(bytes.as_bytes(), machine), None)
        };
        none("", &machine());
        none(&YESTERDAY[..200], &machine());
        none(&YESTERDAY.replace("\"version\":2", "\"version\":1"), &machine());
        none(YESTERDAY, &Machine { driver: 13010, ..machine() });
        none(YESTERDAY, &Machine { library: 130_400, ..machine() });
        none(YESTERDAY, &Machine { device: "NVIDIA H100".to_owned(), ..machine() });
    }
}
