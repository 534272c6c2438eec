//! The library's C interface: the functions and the numbers of its enums that are used, as in cublasLt.h of 13.1.

use crate::driver::{CudaError, Device, Status};
use crate::library::{Library, Name, Search, functions};
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;

pub(super) type Handle = *mut c_void;

functions! {
    /// The library's functions that are used.
    Api {
        fn cublasLtCreate(handle: *mut Handle) -> Status;
        fn cublasLtDestroy(handle: Handle) -> Status;
        fn cublasLtGetVersion() -> usize;
        fn cublasLtGetStatusName(status: Status) -> *const c_char;
        fn cublasLtMatmulDescCreate(desc: *mut Handle, compute: i32, scale: i32) -> Status;
        fn cublasLtMatmulDescDestroy(desc: Handle) -> Status;
        fn cublasLtMatmulDescSetAttribute(desc: Handle, attribute: i32, value: *const c_void, bytes: usize) -> Status;
        fn cublasLtMatrixLayoutCreate(layout: *mut Handle, dtype: i32, rows: u64, cols: u64, leading: i64) -> Status;
        fn cublasLtMatrixLayoutDestroy(layout: Handle) -> Status;
        fn cublasLtMatrixLayoutSetAttribute(layout: Handle, attribute: i32, value: *const c_void, bytes: usize) -> Status;
        fn cublasLtMatmulPreferenceCreate(preference: *mut Handle) -> Status;
        fn cublasLtMatmulPreferenceDestroy(preference: Handle) -> Status;
        fn cublasLtMatmulPreferenceSetAttribute(
            preference: Handle, attribute: i32, value: *const c_void, bytes: usize,
        ) -> Status;
        fn cublasLtMatmulAlgoGetHeuristic(
            handle: Handle, desc: Handle, a: Handle, b: Handle, c: Handle, d: Handle, preference: Handle,
            requested: i32, results: *mut Heuristic, returned: *mut i32,
        ) -> Status;
        fn cublasLtMatmulAlgoCheck(
            handle: Handle, desc: Handle, a: Handle, b: Handle, c: Handle, d: Handle, algorithm: *const Algorithm,
            result: *mut Heuristic,
        ) -> Status;
        fn cublasLtMatmulAlgoCapGetAttribute(
            algorithm: *const Algorithm, attribute: i32, value: *mut c_void, bytes: usize, written: *mut usize,
        ) -> Status;
        fn cublasLtMatmulAlgoConfigSetAttribute(
            algorithm: *mut Algorithm, attribute: i32, value: *const c_void, bytes: usize,
        ) -> Status;
        fn cublasLtMatmulAlgoConfigGetAttribute(
            algorithm: *const Algorithm, attribute: i32, value: *mut c_void, bytes: usize, written: *mut usize,
        ) -> Status;
        fn cublasLtMatmul(
            handle: Handle, desc: Handle, alpha: *const c_void, a: *const c_void, a_layout: Handle, b: *const c_void,
            b_layout: Handle, beta: *const c_void, c: *const c_void, c_layout: Handle, d: *mut c_void,
            d_layout: Handle, algorithm: *const Algorithm, workspace: *mut c_void, workspace_bytes: usize,
            stream: *mut c_void,
        ) -> Status;
    }
}

/// The library's opaque description of how a product is computed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Algorithm(pub [u64; 8]);

/// What the library says of an algorithm.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Heuristic {
    pub algorithm: Algorithm,
    pub workspace_bytes: usize,
    pub state: Status,
    pub waves: f32,
    reserved: [i32; 4],
}

impl Heuristic {
    pub(super) const NONE: Heuristic = Heuristic {
        algorithm: Algorithm([0; 8]),
        workspace_bytes: 0,
        state: -1,
        waves: 0.0,
        reserved: [0; 4],
    };
}

/// Element types: `cudaDataType`.
pub(super) mod dtype {
    pub const F32: i32 = 0;
    pub const BF16: i32 = 14;
    pub const E4M3: i32 = 28;
    pub const E5M2: i32 = 29;
}

/// `cublasComputeType_t`: products and sums in binary32.
pub(super) const COMPUTE_32F: i32 = 68;

/// `cublasLtMatmulDescAttributes_t`.
pub(super) mod desc {
    pub const TRANSPOSE_A: i32 = 3;
    pub const TRANSPOSE_B: i32 = 4;
    pub const A_SCALE_POINTER: i32 = 17;
    pub const B_SCALE_POINTER: i32 = 18;
    pub const FAST_ACCUMULATION: i32 = 25;
}

/// `cublasLtMatrixLayoutAttribute_t`.
pub(super) mod layout {
    pub const BATCH_COUNT: i32 = 5;
    pub const BATCH_STRIDE: i32 = 6;
}

/// `cublasLtMatmulPreferenceAttributes_t`.
pub(super) mod preference {
    pub const WORKSPACE_BYTES: i32 = 1;
    pub const REDUCTION_SCHEMES: i32 = 3;
    pub const ALIGNMENT_A: i32 = 5;
    pub const ALIGNMENT_B: i32 = 6;
    pub const ALIGNMENT_C: i32 = 7;
    pub const ALIGNMENT_D: i32 = 8;
}

/// `cublasLtMatmulAlgoCapAttributes_t`.
pub(super) mod capability {
    pub const SPLIT_K: i32 = 0;
    pub const REDUCTION_SCHEMES: i32 = 1;
    pub const SWIZZLING: i32 = 2;
    pub const TILES: i32 = 6;
    pub const CUSTOM_MAX: i32 = 7;
    pub const STAGES: i32 = 13;
}

/// `cublasLtMatmulAlgoConfigAttributes_t`, with the size of each value in bytes.
pub(super) mod config {
    pub const ID: (i32, usize) = (0, 4);
    pub const TILE: (i32, usize) = (1, 4);
    pub const SPLIT_K: (i32, usize) = (2, 4);
    pub const REDUCTION_SCHEME: (i32, usize) = (3, 4);
    pub const SWIZZLING: (i32, usize) = (4, 4);
    pub const CUSTOM: (i32, usize) = (5, 4);
    pub const STAGES: (i32, usize) = (6, 4);
    pub const CLUSTER: (i32, usize) = (8, 2);
}

/// `cublasLtReductionScheme_t`: how the parts of a sum that was split come together.
pub(super) mod reduction {
    /// Not split.
    pub const NONE: u32 = 0;
    /// Added to the output one after another, in the output's type.
    pub const IN_PLACE: u32 = 1;
    /// Kept in binary32, and added in a second step.
    pub const COMPUTE_TYPE: u32 = 2;
    /// Kept in the output's type, and added in a second step.
    pub const OUTPUT_TYPE: u32 = 4;
}

/// The open library with its handle.
pub(super) struct Lt {
    pub api: Api,
    pub handle: Handle,
    /// 130100 for 13.1.0.
    pub version: u64,
    // The handle lives in its context.
    _device: Arc<Device>,
}

// SAFETY: the library's calls may come from any thread.
unsafe impl Send for Lt {}
// SAFETY: as above, also at the same time.
unsafe impl Sync for Lt {}

impl Lt {
    pub(super) fn open(device: &Arc<Device>, search: &Search) -> Result<Lt, CudaError> {
        device.bind()?;
        let api = Api::load(Library::open(Name::CublasLt, search)?)?;
        // SAFETY: it has no preconditions.
        let version = unsafe { (api.cublasLtGetVersion)() } as u64;
        let mut lt = Lt { api, handle: std::ptr::null_mut(), version, _device: device.clone() };
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (lt.api.cublasLtCreate)(&mut lt.handle) };
        lt.check("cublasLtCreate", status)?;
        Ok(lt)
    }
    pub(super) fn check(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        if status == 0 {
            return Ok(());
        }
        // SAFETY: the library returns a static string, for numbers it does not know too.
        let name = unsafe {
            let name = (self.api.cublasLtGetStatusName)(status);
            if name.is_null() { String::new() } else { CStr::from_ptr(name).to_string_lossy().into_owned() }
        };
        Err(CudaError::Call { call, reason: format!("{name} ({status})") })
    }
}

impl Drop for Lt {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: created in `open`, destroyed once; the device is alive.
            unsafe { (self.api.cublasLtDestroy)(self.handle) };
        }
    }
}

impl Algorithm {
    /// The 64 bytes as hexadecimal digits.
    pub(super) fn to_hex(self) -> String {
        self.0.iter().map(|word| format!("{:016x}", word.swap_bytes())).collect()
    }
    /// None: not 64 bytes of hexadecimal digits.
    pub(super) fn of_hex(text: &str) -> Option<Algorithm> {
        if text.len() != 128 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut words = [0; 8];
        for (word, digits) in words.iter_mut().zip(text.as_bytes().chunks_exact(16)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *word = u64::from_str_radix(digits, 16).ok()?.swap_bytes();
        }
        Some(Algorithm(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_large_as_the_header_says() {
        assert_eq!(size_of::<Algorithm>(), 64);
        assert_eq!(size_of::<Heuristic>(), 96);
        assert_eq!(std::mem::offset_of!(Heuristic, state), 72);
    }

    #[test]
    fn an_algorithm_survives_its_text() {
        let algorithm = Algorithm([1, 2, u64::MAX, 0, 0x0123_4567_89ab_cdef, 5, 6, 7]);
        let text = algorithm.to_hex();
        assert_eq!(&text[..16], "0100000000000000", "bytes in the order of memory");
        assert_eq!(Algorithm::of_hex(&text), Some(algorithm));
        assert_eq!(Algorithm::of_hex(&text[1..]), None);
        assert_eq!(Algorithm::of_hex(&text.replace('f', "g")), None);
        assert_eq!(Algorithm::of_hex(&"é".repeat(64)), None);
    }
}
