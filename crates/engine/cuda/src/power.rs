//! Power of a board, as the driver's management library tells it.
//!
//! From Ampere on the reading is a mean over the last second, so whoever asks lets the work run for longer than that first.
//! Source of the signatures: nvml.h 13.

use crate::driver::{CudaError, Device};
use crate::library::{Library, Name, Search, functions};
use std::ffi::{CStr, c_char, c_void};

type Status = i32;
const SUCCESS: Status = 0;

functions! {
    /// NVML's functions that are used.
    Api {
        fn nvmlInit_v2() -> Status;
        fn nvmlSystemGetDriverVersion(version: *mut c_char, len: u32) -> Status;
        fn nvmlDeviceGetHandleByPciBusId_v2(id: *const c_char, device: *mut *mut c_void) -> Status;
        fn nvmlDeviceGetPowerUsage(device: *mut c_void, milliwatts: *mut u32) -> Status;
        fn nvmlErrorString(status: Status) -> *const c_char;
    }
}

/// The library, ready to be asked.
pub(crate) struct Meters {
    api: Api,
}

impl Meters {
    pub fn open(search: &Search) -> Result<Meters, CudaError> {
        let meters = Meters { api: Api::load(Library::open(Name::Nvml, search)?)? };
        // SAFETY: takes nothing; may be called as often as one likes.
        meters.check("nvmlInit", unsafe { (meters.api.nvmlInit_v2)() })?;
        Ok(meters)
    }
    pub fn path(&self) -> &std::path::Path {
        &self.api.library.path
    }
    /// The driver's own version, such as 580.65.06; empty where it does not tell.
    pub fn driver_version(&self) -> String {
        let mut text = [0; 96];
        // SAFETY: the buffer has the length that is passed.
        let status = unsafe { (self.api.nvmlSystemGetDriverVersion)(text.as_mut_ptr(), text.len() as u32) };
        if status != SUCCESS {
            return String::new();
        }
        // SAFETY: the library ends the text with a zero.
        unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
    }
    /// Watts of a device, a mean over the last second.
    pub fn watts(&self, device: &Device) -> Result<f64, CudaError> {
        let id = device.bus_id()?;
        let (mut handle, mut milliwatts) = (std::ptr::null_mut(), 0);
        // SAFETY: the text ends with a zero, and the pointer is valid for the call.
        let status = unsafe { (self.api.nvmlDeviceGetHandleByPciBusId_v2)(id.as_ptr(), &mut handle) };
        self.check("nvmlDeviceGetHandleByPciBusId", status)?;
        // SAFETY: the handle is the one that was returned, and the pointer is valid for the call.
        let status = unsafe { (self.api.nvmlDeviceGetPowerUsage)(handle, &mut milliwatts) };
        self.check("nvmlDeviceGetPowerUsage", status)?;
        Ok(f64::from(milliwatts) / 1e3)
    }
    fn check(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        if status == SUCCESS {
            return Ok(());
        }
        // SAFETY: returns a constant for every status, also for an unknown one.
        let text = unsafe { CStr::from_ptr((self.api.nvmlErrorString)(status)) };
        Err(CudaError::Call { call, reason: text.to_string_lossy().into_owned() })
    }
}
