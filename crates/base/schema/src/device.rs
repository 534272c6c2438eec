//! Which device runs, and in which number formats, as configurations and flags write it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a program runs: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Device {
    /// A GPU where one is usable with all its libraries, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number among those visible.
    Cuda(usize),
}

/// A device's name that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no device {0:?}: write auto, cpu, cuda or cuda:N")]
pub struct NoSuchDevice(String);

impl FromStr for Device {
    type Err = NoSuchDevice;
    fn from_str(text: &str) -> Result<Device, NoSuchDevice> {
        match text {
            "auto" => Ok(Device::Auto),
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            _ => {
                let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
                number.map(Device::Cuda).ok_or_else(|| NoSuchDevice(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(0) => f.write_str("cuda"),
            Device::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl From<Device> for String {
    fn from(device: Device) -> String {
        device.to_string()
    }
}

impl TryFrom<String> for Device {
    type Error = NoSuchDevice;
    fn try_from(text: String) -> Result<Device, NoSuchDevice> {
        text.parse()
    }
}

/// Number format of something that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoredDType {
    /// IEEE binary32.
    #[default]
    F32,
    /// bfloat16.
    Bf16,
}

/// What a training run does with a step whose loss or gradient is not a finite number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnNan {
    /// Stops, with the last checkpoint as it was.
    #[default]
    Stop,
    /// Leaves the weights as they are and goes on with the next step.
    Skip,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_and_written() {
        for (text, device) in [
            ("auto", Device::Auto),
            ("cpu", Device::Cpu),
            ("cuda", Device::Cuda(0)),
            ("cuda:3", Device::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(serde_json::to_string(&device).unwrap(), format!("{text:?}"));
        }
        for wrong in ["", "gpu", "cuda:", "cuda:x", "CPU"] {
            assert!(wrong.parse::<Device>().is_err(), "{wrong}");
        }
    }
}
