//! Collectives between GPUs: NCCL, one communicator per process.
//!
//! NVLink multicast stays off: a program that uses it can put GPUs that a host's tenants share out of service. NCCL reads
//! that from its environment when it is loaded, so the variable must be there before, and a process without it is refused.
//!
//! Source of the signatures: nccl.h 2.28. Statuses are plain integers, since a newer library may return ones that this
//! table does not know.

use crate::driver::{CudaError, Device, Pointer, Stream};
use crate::library::{Library, LibraryError, Name, Search, functions};
use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use wootz_tensor::DType;

type Status = i32;
const SUCCESS: Status = 0;
/// `ncclSum`.
const SUM: i32 = 0;
/// 2.20: the oldest whose grouped collectives share one launch over all their channels.
const LEAST_VERSION: i32 = 22_000;

/// The variable that turns NVLink multicast off, and its value.
pub const MULTICAST_OFF: (&str, &str) = ("NCCL_NVLS_ENABLE", "0");

/// What rank 0 makes and all ranks need to form one communicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct UniqueId(pub [u8; 128]);

functions! {
    /// NCCL's functions that are used.
    Api {
        fn ncclGetVersion(version: *mut i32) -> Status;
        fn ncclGetUniqueId(id: *mut UniqueId) -> Status;
        fn ncclCommInitRank(comm: *mut *mut c_void, ranks: i32, id: UniqueId, rank: i32) -> Status;
        fn ncclCommFinalize(comm: *mut c_void) -> Status;
        fn ncclCommDestroy(comm: *mut c_void) -> Status;
        fn ncclCommAbort(comm: *mut c_void) -> Status;
        fn ncclCommGetAsyncError(comm: *mut c_void, error: *mut Status) -> Status;
        fn ncclGetErrorString(status: Status) -> *const c_char;
        fn ncclGetLastError(comm: *mut c_void) -> *const c_char;
        fn ncclReduce(
            from: *const c_void, to: *mut c_void, count: usize, dtype: i32, op: i32, root: i32, comm: *mut c_void,
            stream: *mut c_void,
        ) -> Status;
        fn ncclBroadcast(
            from: *const c_void, to: *mut c_void, count: usize, dtype: i32, root: i32, comm: *mut c_void,
            stream: *mut c_void,
        ) -> Status;
        fn ncclAllReduce(
            from: *const c_void, to: *mut c_void, count: usize, dtype: i32, op: i32, comm: *mut c_void,
            stream: *mut c_void,
        ) -> Status;
        fn ncclAllGather(
            from: *const c_void, to: *mut c_void, count: usize, dtype: i32, comm: *mut c_void, stream: *mut c_void,
        ) -> Status;
        fn ncclGroupStart() -> Status;
        fn ncclGroupEnd() -> Status;
    }
}

/// The library, open.
pub struct Nccl {
    api: Api,
    /// Its version, e.g. 22809 for 2.28.9.
    pub version: i32,
}

impl Nccl {
    /// Opens the library.
    pub fn open(search: &Search) -> Result<Nccl, CudaError> {
        let (variable, value) = MULTICAST_OFF;
        if std::env::var_os(variable).is_none_or(|set| set != value) {
            return Err(CudaError::NoDevice {
                reason: format!("{variable} is not {value}, and multicast over NVLink must stay off"),
                hint: format!("set {variable}={value} in the environment of every rank"),
            });
        }
        let mut nccl = Nccl { api: Api::load(Library::open(Name::Nccl, search)?)?, version: 0 };
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (nccl.api.ncclGetVersion)(&mut nccl.version) };
        nccl.check("ncclGetVersion", status)?;
        if nccl.version < LEAST_VERSION {
            return Err(CudaError::Library(LibraryError::Function {
                name: Name::Nccl,
                path: nccl.api.library.path.clone(),
                function: "ncclCommInitRank of version 2.20 or newer",
            }));
        }
        Ok(nccl)
    }
    /// What rank 0 gives to the others.
    pub fn unique_id(&self) -> Result<UniqueId, CudaError> {
        let mut id = UniqueId([0; 128]);
        // SAFETY: the pointer is valid for the call.
        self.check("ncclGetUniqueId", unsafe { (self.api.ncclGetUniqueId)(&mut id) })?;
        Ok(id)
    }
    fn check(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        if status == SUCCESS {
            return Ok(());
        }
        let text = |start: *const c_char| match start.is_null() {
            true => String::new(),
            // SAFETY: the library returns strings that live until its next call on this thread.
            false => unsafe { CStr::from_ptr(start) }.to_string_lossy().trim().to_owned(),
        };
        // SAFETY: both take any status; a null communicator asks for the last error of the process.
        let (name, last) = unsafe {
            (
                text((self.api.ncclGetErrorString)(status)),
                text((self.api.ncclGetLastError)(std::ptr::null_mut())),
            )
        };
        let more = if last.is_empty() { String::new() } else { format!(": {last}") };
        Err(CudaError::Call { call, reason: format!("{name} ({status}){more}") })
    }
}

/// This process's place among those that form a communicator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranks {
    /// Number of this process.
    pub rank: usize,
    /// Number of processes.
    pub size: usize,
    /// What rank 0 made.
    pub id: UniqueId,
}

/// One rank's end of a communicator.
pub struct Communicator {
    nccl: Nccl,
    device: Arc<Device>,
    handle: *mut c_void,
    stream: Stream,
    /// This process and its peers.
    pub ranks: Ranks,
}

// SAFETY: calls are made by one thread at a time, but for `abort`, which NCCL allows from any.
unsafe impl Send for Communicator {}
// SAFETY: as above.
unsafe impl Sync for Communicator {}

/// Tensors of one collective: where each begins, its elements, its type, and the rank that owns it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owned {
    pub pointer: Pointer,
    pub elements: usize,
    pub dtype: DType,
    pub owner: usize,
}

impl Communicator {
    /// Meets the other ranks; every one of them must call this.
    pub fn meet(nccl: Nccl, device: &Arc<Device>, ranks: Ranks) -> Result<Communicator, CudaError> {
        device.bind()?;
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call, and the device's context is current.
        let status = unsafe {
            (nccl.api.ncclCommInitRank)(&mut handle, ranks.size as i32, ranks.id, ranks.rank as i32)
        };
        nccl.check("ncclCommInitRank", status)?;
        Ok(Communicator { nccl, device: device.clone(), handle, stream: Stream::new(device)?, ranks })
    }
    /// The queue of collectives that run beside other work.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }
    /// Sums each tensor onto its owner, in place, as one group.
    pub(crate) fn reduce_to_owner(&self, tensors: &[Owned], stream: &Stream) -> Result<(), CudaError> {
        self.group(tensors, |t| {
            let (address, dtype) = (t.pointer as *mut c_void, data_type(t.dtype));
            // SAFETY: addresses come from `Memory`; the work is ordered by the stream.
            let status = unsafe {
                (self.nccl.api.ncclReduce)(
                    address,
                    address,
                    t.elements,
                    dtype,
                    SUM,
                    t.owner as i32,
                    self.handle,
                    stream.raw(),
                )
            };
            self.nccl.check("ncclReduce", status)
        })
    }
    /// Copies each tensor from its owner to all ranks, in place, as one group.
    pub(crate) fn broadcast_from_owner(&self, tensors: &[Owned], stream: &Stream) -> Result<(), CudaError> {
        self.group(tensors, |t| {
            let (address, dtype) = (t.pointer as *mut c_void, data_type(t.dtype));
            // SAFETY: as in `reduce_to_owner`.
            let status = unsafe {
                (self.nccl.api.ncclBroadcast)(
                    address,
                    address,
                    t.elements,
                    dtype,
                    t.owner as i32,
                    self.handle,
                    stream.raw(),
                )
            };
            self.nccl.check("ncclBroadcast", status)
        })
    }
    /// Sums over all ranks.
    pub(crate) fn all_reduce(
        &self,
        to: Pointer,
        from: Pointer,
        elements: usize,
        dtype: DType,
        stream: &Stream,
    ) -> Result<(), CudaError> {
        let (from, to, dtype) = (from as *const c_void, to as *mut c_void, data_type(dtype));
        // SAFETY: as in `reduce_to_owner`.
        let status = unsafe {
            (self.nccl.api.ncclAllReduce)(from, to, elements, dtype, SUM, self.handle, stream.raw())
        };
        self.nccl.check("ncclAllReduce", status)
    }
    /// Puts the same number of elements of every rank side by side.
    pub(crate) fn all_gather(
        &self,
        to: Pointer,
        from: Pointer,
        elements: usize,
        dtype: DType,
        stream: &Stream,
    ) -> Result<(), CudaError> {
        let (from, to, dtype) = (from as *const c_void, to as *mut c_void, data_type(dtype));
        // SAFETY: as in `reduce_to_owner`.
        let status =
            unsafe { (self.nccl.api.ncclAllGather)(from, to, elements, dtype, self.handle, stream.raw()) };
        self.nccl.check("ncclAllGather", status)
    }
    /// What went wrong since the last call on NCCL's own threads: a peer that is gone, a link that broke.
    pub fn check(&self) -> Result<(), CudaError> {
        let mut error = SUCCESS;
        // SAFETY: the pointer is valid for the call, the communicator is alive.
        let status = unsafe { (self.nccl.api.ncclCommGetAsyncError)(self.handle, &mut error) };
        self.nccl.check("ncclCommGetAsyncError", status)?;
        self.nccl.check("a collective", error)
    }
    fn group(
        &self,
        tensors: &[Owned],
        each: impl Fn(&Owned) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        // SAFETY: no arguments; ended below, also after an error.
        self.nccl.check("ncclGroupStart", unsafe { (self.nccl.api.ncclGroupStart)() })?;
        let queued = tensors.iter().filter(|t| t.elements > 0).try_for_each(each);
        // SAFETY: ends the group begun above.
        let ended = unsafe { (self.nccl.api.ncclGroupEnd)() };
        queued?;
        self.nccl.check("ncclGroupEnd", ended)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // Nothing is left to be done with an error here. A rank that is gone would be waited for, hence the look first.
        let whole = self.device.bind().is_ok() && self.check().is_ok();
        // SAFETY: made in `meet`, ended once; after an error its work is given up instead of waited for.
        unsafe {
            if whole && (self.nccl.api.ncclCommFinalize)(self.handle) == SUCCESS {
                (self.nccl.api.ncclCommDestroy)(self.handle);
            } else {
                (self.nccl.api.ncclCommAbort)(self.handle);
            }
        }
    }
}

/// `ncclDataType_t`.
fn data_type(dtype: DType) -> i32 {
    match dtype {
        DType::I32 => 2,
        DType::F32 => 7,
        DType::F64 => 8,
        DType::BF16 => 9,
    }
}
