//! What of CUDA is on the machine: each library, where it was found and which version, and each device.

use crate::compiler::Compiler;
use crate::driver::{CudaError, Device, Driver, Properties, properties, version};
use crate::library::{Library, LibraryError, Name, Search};
use crate::power::Meters;
use std::path::PathBuf;
use wootz_program::BackendError;
use wootz_schema::Diagnose;

/// Everything that was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Each library, in the order of [`Name::ALL`].
    pub libraries: Vec<(Name, Result<Found, Missing>)>,
    /// Each device that the driver shows.
    pub devices: Vec<DeviceFound>,
}

/// A library that opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, or the bare name that the system's loader resolved.
    pub path: PathBuf,
    /// Its own version.
    pub version: String,
}

/// What cannot be used, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What was tried, and what came back; a fragment that fits "failed to …".
    pub what: String,
    /// The fix.
    pub fix: String,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFound {
    /// What it is.
    pub properties: Properties,
    /// Bytes free and of all; or why it cannot be used.
    pub memory: Result<(usize, usize), Missing>,
}

/// The libraries that a program on one device needs.
const NEEDED: [Name; 4] = [Name::Cuda, Name::Nvrtc, Name::CublasLt, Name::Cudnn];

/// Looks for every library and every device. Each device is opened for a moment, to see that it can be.
pub fn survey(search: &Search) -> Survey {
    let libraries =
        Name::ALL.into_iter().map(|name| (name, look(name, search).map_err(Missing::from))).collect();
    Survey { libraries, devices: devices(search).unwrap_or_default() }
}

/// An error unless the device and the libraries that training needs can be opened.
pub fn ready(search: &Search, ordinal: usize) -> Result<(), BackendError> {
    for name in NEEDED {
        look(name, search)?;
    }
    Device::open(search, ordinal)?;
    Ok(())
}

fn look(name: Name, search: &Search) -> Result<Found, CudaError> {
    type Plain = unsafe extern "C" fn() -> usize;
    type Into = unsafe extern "C" fn(*mut i32) -> i32;
    let plain = |function| -> Result<Found, CudaError> {
        let library = Library::open(name, search)?;
        // SAFETY: the libraries' public headers declare it so; it only returns a constant.
        let number = unsafe { library.function::<Plain>(function)?() };
        Ok(Found { path: library.path, version: dotted(number) })
    };
    match name {
        Name::Cuda => {
            let driver = Driver::open(search)?;
            Ok(Found { path: driver.path().to_owned(), version: version(driver.version) })
        }
        Name::Nvrtc => {
            let compiler = Compiler::open(search, None)?;
            Ok(Found { path: compiler.path().to_owned(), version: compiler.version() })
        }
        Name::CublasLt => plain("cublasLtGetVersion"),
        Name::Cudnn => plain("cudnnGetVersion"),
        Name::Nvml => {
            let meters = Meters::open(search)?;
            Ok(Found { path: meters.path().to_owned(), version: meters.driver_version() })
        }
        Name::Nccl => {
            let library = Library::open(name, search)?;
            let mut number = 0;
            // SAFETY: the library's public header declares it so; the pointer is valid for the call.
            unsafe { library.function::<Into>("ncclGetVersion")?(&mut number) };
            Ok(Found { path: library.path, version: dotted(number as usize) })
        }
    }
}

/// `13.1.0` for 130100.
fn dotted(number: usize) -> String {
    format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100)
}

fn devices(search: &Search) -> Result<Vec<DeviceFound>, CudaError> {
    let driver = Driver::open(search)?;
    let mut found = Vec::new();
    for ordinal in 0..driver.count()? {
        let properties = properties(&driver, driver.device(ordinal)?, ordinal)?;
        let memory = Device::open(search, ordinal).and_then(|device| device.memory()).map_err(Missing::from);
        found.push(DeviceFound { properties, memory });
    }
    Ok(found)
}

impl From<CudaError> for Missing {
    fn from(error: CudaError) -> Missing {
        let error = BackendError::from(error);
        Missing { what: error.to_string(), fix: error.hint().unwrap_or_default() }
    }
}

impl From<LibraryError> for BackendError {
    fn from(error: LibraryError) -> BackendError {
        BackendError::from(CudaError::from(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_dots() {
        for (number, text) in [(91_900, "9.19.0"), (130_100, "13.1.0"), (22_707, "2.27.7")] {
            assert_eq!(dotted(number), text);
        }
    }

    #[test]
    fn every_library_is_found_or_missing_with_a_fix() {
        let survey = survey(&Search::default());
        assert_eq!(survey.libraries.len(), Name::ALL.len());
        for (name, found) in &survey.libraries {
            if let Err(missing) = found {
                assert!(!missing.fix.is_empty() && !missing.what.is_empty(), "{name:?}: {missing:?}");
            }
        }
    }
}
