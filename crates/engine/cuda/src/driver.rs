//! The driver API: device, stream, memory, modules, events, graphs.
//!
//! Every call's status is checked. One context and one stream carry all work of a process; a second stream exists for
//! collectives only.

use crate::function::LaunchConfig;
pub(crate) use crate::function::{Arguments, Function};
use crate::library::{Library, LibraryError, Name, Search, functions};
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wootz_program::BackendError;

pub(crate) type Status = i32;
/// An address in device memory.
pub type Pointer = u64;

functions! {
    /// The driver's functions that are used.
    Api {
        fn cuInit(flags: u32) -> Status;
        fn cuDriverGetVersion(version: *mut i32) -> Status;
        fn cuDeviceGetCount(count: *mut i32) -> Status;
        fn cuDeviceGet(device: *mut i32, ordinal: i32) -> Status;
        fn cuDeviceGetPCIBusId(id: *mut c_char, len: i32, device: i32) -> Status;
        fn cuDeviceGetName(name: *mut c_char, len: i32, device: i32) -> Status;
        fn cuDeviceGetAttribute(value: *mut i32, attribute: i32, device: i32) -> Status;
        fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: i32) -> Status;
        fn cuDevicePrimaryCtxRelease_v2(device: i32) -> Status;
        fn cuCtxSetCurrent(context: *mut c_void) -> Status;
        fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> Status;
        fn cuMemAlloc_v2(pointer: *mut Pointer, bytes: usize) -> Status;
        fn cuMemFree_v2(pointer: Pointer) -> Status;
        fn cuMemAllocHost_v2(pointer: *mut *mut c_void, bytes: usize) -> Status;
        fn cuMemFreeHost(pointer: *mut c_void) -> Status;
        fn cuMemcpyHtoDAsync_v2(to: Pointer, from: *const c_void, bytes: usize, stream: *mut c_void) -> Status;
        fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: Pointer, bytes: usize, stream: *mut c_void) -> Status;
        fn cuMemcpyDtoDAsync_v2(to: Pointer, from: Pointer, bytes: usize, stream: *mut c_void) -> Status;
        fn cuMemsetD8Async(to: Pointer, value: u8, bytes: usize, stream: *mut c_void) -> Status;
        fn cuStreamCreate(stream: *mut *mut c_void, flags: u32) -> Status;
        fn cuStreamDestroy_v2(stream: *mut c_void) -> Status;
        fn cuStreamSynchronize(stream: *mut c_void) -> Status;
        fn cuStreamWaitEvent(stream: *mut c_void, event: *mut c_void, flags: u32) -> Status;
        fn cuStreamBeginCapture_v2(stream: *mut c_void, mode: u32) -> Status;
        fn cuStreamEndCapture(stream: *mut c_void, graph: *mut *mut c_void) -> Status;
        fn cuGraphInstantiateWithFlags(exec: *mut *mut c_void, graph: *mut c_void, flags: u64) -> Status;
        fn cuGraphLaunch(exec: *mut c_void, stream: *mut c_void) -> Status;
        fn cuGraphExecDestroy(exec: *mut c_void) -> Status;
        fn cuGraphDestroy(graph: *mut c_void) -> Status;
        fn cuEventCreate(event: *mut *mut c_void, flags: u32) -> Status;
        fn cuEventRecord(event: *mut c_void, stream: *mut c_void) -> Status;
        fn cuEventRecordWithFlags(event: *mut c_void, stream: *mut c_void, flags: u32) -> Status;
        fn cuEventSynchronize(event: *mut c_void) -> Status;
        fn cuEventElapsedTime(milliseconds: *mut f32, start: *mut c_void, end: *mut c_void) -> Status;
        fn cuEventDestroy_v2(event: *mut c_void) -> Status;
        fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_void) -> Status;
        fn cuModuleGetFunction(function: *mut *mut c_void, module: *mut c_void, name: *const c_char) -> Status;
        fn cuFuncSetAttribute(function: *mut c_void, attribute: i32, value: i32) -> Status;
        fn cuLaunchKernelEx(
            config: *const LaunchConfig, function: *mut c_void, arguments: *mut *mut c_void, extra: *mut *mut c_void,
        ) -> Status;
        fn cuOccupancyMaxActiveClusters(
            clusters: *mut i32, function: *mut c_void, config: *const LaunchConfig,
        ) -> Status;
        fn cuTensorMapEncodeTiled(
            map: *mut c_void, dtype: u32, rank: u32, address: *mut c_void, dims: *const u64, strides: *const u64,
            boxes: *const u32, element_strides: *const u32, interleave: u32, swizzle: u32, promotion: u32, fill: u32,
        ) -> Status;
        fn cuGetErrorName(status: Status, name: *mut *const c_char) -> Status;
        fn cuGetErrorString(status: Status, text: *mut *const c_char) -> Status;
    }
}

/// Oldest driver that is supported: CUDA 13.0, driver 580.
const LEAST_DRIVER: i32 = 13000;
/// Oldest compute capability that has bf16 matrix units.
const LEAST_CAPABILITY: u32 = 80;

/// What went wrong on the device side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// A library or a function of it is missing.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// A call of the driver or of a library returned an error.
    #[error("{call}: {reason}")]
    Call {
        /// The function.
        call: &'static str,
        /// Name and text of the status.
        reason: String,
    },
    /// The machine has no device that fits.
    #[error("use a GPU: {reason}")]
    NoDevice {
        /// What was found.
        reason: String,
        /// The fix.
        hint: String,
    },
    /// The device's memory is taken.
    #[error("allocate {} on the GPU: {} of {} are free", human(*.needed), human(*.free), human(*.total))]
    Memory {
        /// Bytes asked for.
        needed: usize,
        /// Bytes free.
        free: usize,
        /// Bytes of the device.
        total: usize,
    },
    /// A kernel does not compile for this device.
    #[error("compile the kernel {kernel}: {log}")]
    Compile {
        /// The kernel.
        kernel: String,
        /// What the compiler said.
        log: String,
    },
    /// The device cannot run this op at this shape.
    #[error("compile {op}: {reason}")]
    Unsupported {
        /// The op.
        op: String,
        /// What does not fit.
        reason: String,
    },
}

fn human(bytes: usize) -> String {
    wootz_stdx::human::bytes(bytes as u64)
}

impl CudaError {
    /// An op whose operands the device's code does not take.
    pub fn unsupported(op: impl Into<String>, reason: impl Into<String>) -> CudaError {
        CudaError::Unsupported { op: op.into(), reason: reason.into() }
    }
    fn hint(&self) -> String {
        match self {
            CudaError::Library(error) => error.hint(),
            CudaError::NoDevice { hint, .. } => hint.clone(),
            CudaError::Memory { .. } => {
                "end the other process on the GPU, lower device_batch_size, or set recompute to cheap or block".to_owned()
            }
            CudaError::Call { .. } | CudaError::Compile { .. } => {
                "run `wootz doctor`; an error that stays after the program is started again is a bug".to_owned()
            }
            CudaError::Unsupported { .. } => "choose a shape that fits, or device: cpu".to_owned(),
        }
    }
}

impl From<CudaError> for BackendError {
    fn from(error: CudaError) -> BackendError {
        match error {
            CudaError::Unsupported { op, reason } => BackendError::Unsupported { op, reason },
            error => BackendError::Device { what: error.to_string(), hint: error.hint() },
        }
    }
}

/// The driver, initialised.
pub struct Driver {
    pub(crate) api: Api,
    /// Its version, e.g. 13000 for CUDA 13.0.
    pub version: i32,
}

impl Driver {
    /// Opens and initialises the driver.
    pub fn open(search: &Search) -> Result<Driver, CudaError> {
        let mut driver = Driver { api: Api::load(Library::open(Name::Cuda, search)?)?, version: 0 };
        // SAFETY: the first call of the API.
        let status = unsafe { (driver.api.cuInit)(0) };
        if status != 0 {
            return Err(CudaError::NoDevice {
                reason: format!("the driver does not start: {}", driver.describe(status)),
                hint: "check that the GPU is visible (nvidia-smi) and the driver matches the kernel module"
                    .to_owned(),
            });
        }
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (driver.api.cuDriverGetVersion)(&mut driver.version) };
        driver.check("cuDriverGetVersion", status)?;
        Ok(driver)
    }
    /// Number of devices.
    pub fn count(&self) -> Result<usize, CudaError> {
        let mut count = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGetCount", unsafe { (self.api.cuDeviceGetCount)(&mut count) })?;
        Ok(count as usize)
    }
    /// Where it was found.
    pub fn path(&self) -> &std::path::Path {
        &self.api.library.path
    }
    /// Handle of a device by its number.
    pub(crate) fn device(&self, ordinal: usize) -> Result<i32, CudaError> {
        let mut handle = 0;
        // SAFETY: the pointer is valid for the call.
        self.check("cuDeviceGet", unsafe { (self.api.cuDeviceGet)(&mut handle, ordinal as i32) })?;
        Ok(handle)
    }
    pub(crate) fn check(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        if status == 0 { Ok(()) } else { Err(CudaError::Call { call, reason: self.describe(status) }) }
    }
    fn describe(&self, status: Status) -> String {
        let text = |f: unsafe extern "C" fn(Status, *mut *const c_char) -> Status| {
            let mut text = std::ptr::null();
            // SAFETY: the pointer is valid; the driver returns a static string or leaves it null.
            unsafe {
                f(status, &mut text);
                if text.is_null() {
                    String::new()
                } else {
                    CStr::from_ptr(text).to_string_lossy().into_owned()
                }
            }
        };
        format!("{} ({status}): {}", text(self.api.cuGetErrorName), text(self.api.cuGetErrorString))
    }
}

/// What a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// Its number among those visible.
    pub ordinal: usize,
    /// The vendor's name.
    pub name: String,
    /// Compute capability, as 10·major + minor.
    pub capability: u32,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Largest shared memory of a block, bytes.
    pub shared_bytes: u32,
    /// Memory, bytes.
    pub memory_bytes: usize,
}

impl Properties {
    /// Architecture that kernels are compiled for; from Hopper on with the features of that architecture alone.
    pub fn architecture(&self) -> String {
        let suffix = if self.capability >= 90 { "a" } else { "" };
        format!("sm_{}{suffix}", self.capability)
    }
}

/// A device with its primary context, which lives as long as this.
pub struct Device {
    pub(crate) driver: Driver,
    /// What it is.
    pub properties: Properties,
    context: *mut c_void,
    handle: i32,
}

// SAFETY: a context may be used from any thread that has made it current, which `bind` does.
unsafe impl Send for Device {}
// SAFETY: as above; the driver serialises its calls.
unsafe impl Sync for Device {}

impl Device {
    /// Opens a device by its number among those visible.
    pub fn open(search: &Search, ordinal: usize) -> Result<Arc<Device>, CudaError> {
        let driver = Driver::open(search)?;
        if driver.version < LEAST_DRIVER {
            return Err(CudaError::NoDevice {
                reason: format!("the driver speaks CUDA {}, 13.0 is needed", version(driver.version)),
                hint: "install driver 580 or newer".to_owned(),
            });
        }
        let count = driver.count()?;
        if ordinal >= count {
            return Err(CudaError::NoDevice {
                reason: format!("number {ordinal} was asked for, {count} are visible"),
                hint: "check nvidia-smi and CUDA_VISIBLE_DEVICES, or choose device: cpu".to_owned(),
            });
        }
        let handle = driver.device(ordinal)?;
        let mut context = std::ptr::null_mut();
        let status =
            // SAFETY: the pointer is valid for the call.
            unsafe { (driver.api.cuDevicePrimaryCtxRetain)(&mut context, handle) };
        driver.check("cuDevicePrimaryCtxRetain", status)?;
        let properties = properties(&driver, handle, ordinal)?;
        let mut device = Device { driver, properties, context, handle };
        device.bind()?;
        device.properties.memory_bytes = device.memory()?.1;
        if device.properties.capability < LEAST_CAPABILITY {
            return Err(CudaError::NoDevice {
                reason: format!("{} has no bf16 matrix units", device.properties.name),
                hint: "use an Ampere GPU or newer, or choose device: cpu".to_owned(),
            });
        }
        Ok(Arc::new(device))
    }
    /// Makes the context current on this thread.
    pub(crate) fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context is alive.
        self.call("cuCtxSetCurrent", unsafe { (self.api().cuCtxSetCurrent)(self.context) })
    }
    /// Free and total memory, bytes.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the pointers are valid for the call.
        self.call("cuMemGetInfo", unsafe { (self.api().cuMemGetInfo_v2)(&mut free, &mut total) })?;
        Ok((free, total))
    }
    /// Its place on the bus: what it is called by whoever does not see CUDA's order.
    pub(crate) fn bus_id(&self) -> Result<CString, CudaError> {
        let mut id = [0; 32];
        // SAFETY: the buffer has the length that is passed.
        let status = unsafe { (self.api().cuDeviceGetPCIBusId)(id.as_mut_ptr(), 32, self.handle) };
        self.call("cuDeviceGetPCIBusId", status)?;
        // SAFETY: the driver ends the text with a zero.
        Ok(unsafe { CStr::from_ptr(id.as_ptr()) }.to_owned())
    }
    pub(crate) fn api(&self) -> &Api {
        &self.driver.api
    }
    pub(crate) fn call(&self, call: &'static str, status: Status) -> Result<(), CudaError> {
        self.driver.check(call, status)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: retained once in `open`.
        unsafe { (self.api().cuDevicePrimaryCtxRelease_v2)(self.handle) };
    }
}

/// `13.0` for 13000.
pub fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

pub(crate) fn properties(driver: &Driver, handle: i32, ordinal: usize) -> Result<Properties, CudaError> {
    let attribute = |attribute: i32| {
        let mut value = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (driver.api.cuDeviceGetAttribute)(&mut value, attribute, handle) };
        driver.check("cuDeviceGetAttribute", status).map(|()| value as u32)
    };
    let mut name = [0 as c_char; 256];
    // SAFETY: the buffer is as long as stated.
    let status = unsafe { (driver.api.cuDeviceGetName)(name.as_mut_ptr(), 256, handle) };
    driver.check("cuDeviceGetName", status)?;
    Ok(Properties {
        ordinal,
        // SAFETY: the driver ends the name with a zero.
        name: unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned(),
        capability: 10 * attribute(75)? + attribute(76)?,
        multiprocessors: attribute(16)?,
        shared_bytes: attribute(97)?,
        memory_bytes: 0,
    })
}

/// A stretch of device memory that is freed with this value.
pub struct Memory {
    device: Arc<Device>,
    /// Where it begins.
    pub pointer: Pointer,
    /// Its size.
    pub bytes: usize,
}

impl Memory {
    /// Allocates memory; its contents are undefined.
    pub fn allocate(device: &Arc<Device>, bytes: usize) -> Result<Memory, CudaError> {
        device.bind()?;
        let mut pointer = 0;
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (device.api().cuMemAlloc_v2)(&mut pointer, bytes.max(1)) };
        const OUT_OF_MEMORY: Status = 2;
        if status == OUT_OF_MEMORY {
            let (free, total) = device.memory()?;
            return Err(CudaError::Memory { needed: bytes, free, total });
        }
        device.call("cuMemAlloc", status)?;
        Ok(Memory { device: device.clone(), pointer, bytes })
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate`, freed once; the driver waits for work in flight.
        unsafe { (self.device.api().cuMemFree_v2)(self.pointer) };
    }
}

/// Host memory that copies to and from the device need no staging for.
pub(crate) struct Pinned {
    device: Arc<Device>,
    start: *mut c_void,
    bytes: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl Send for Pinned {}

impl Pinned {
    pub(crate) fn allocate(device: &Arc<Device>, bytes: usize) -> Result<Pinned, CudaError> {
        let mut start = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        let status = unsafe { (device.api().cuMemAllocHost_v2)(&mut start, bytes.max(1)) };
        device.call("cuMemAllocHost", status)?;
        Ok(Pinned { device: device.clone(), start, bytes })
    }
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `bytes` bytes that belong to this value.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast(), self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: allocated in `allocate`, freed once.
        unsafe { (self.device.api().cuMemFreeHost)(self.start) };
    }
}

/// A queue of work on the device.
pub struct Stream {
    pub(crate) device: Arc<Device>,
    handle: *mut c_void,
    /// Whether what was queued last is a kernel: only then may the launch of the next one begin before it ends.
    after_kernel: AtomicBool,
}

// SAFETY: a stream may be used from any thread.
unsafe impl Send for Stream {}
// SAFETY: the driver serialises its calls.
unsafe impl Sync for Stream {}

impl Stream {
    /// A new queue that does not wait for the default one.
    pub fn new(device: &Arc<Device>) -> Result<Stream, CudaError> {
        device.bind()?;
        let mut handle = std::ptr::null_mut();
        const NON_BLOCKING: u32 = 1;
        // SAFETY: the pointer is valid for the call.
        device.call("cuStreamCreate", unsafe { (device.api().cuStreamCreate)(&mut handle, NON_BLOCKING) })?;
        Ok(Stream { device: device.clone(), handle, after_kernel: AtomicBool::new(false) })
    }
    /// The handle, for whoever queues something other than a kernel of ours, or does not know what it queues.
    pub(crate) fn raw(&self) -> *mut c_void {
        self.after_kernel.store(false, Ordering::Relaxed);
        self.handle
    }
    /// Says that what was queued last is a kernel.
    pub(crate) fn queued_kernel(&self) {
        self.after_kernel.store(true, Ordering::Relaxed);
    }
    /// Whether what was queued last is a kernel, and in the same capture as what is queued next.
    pub(crate) fn is_after_kernel(&self) -> bool {
        self.after_kernel.load(Ordering::Relaxed)
    }
    /// Waits until all work in the queue is done.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.device.bind()?;
        // SAFETY: the stream is alive.
        self.device
            .call("cuStreamSynchronize", unsafe { (self.device.api().cuStreamSynchronize)(self.handle) })
    }
    /// Sets bytes.
    pub(crate) fn fill(&self, to: Pointer, value: u8, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: the caller owns the stretch; all addresses come from `Memory`.
        self.device.call("cuMemsetD8Async", unsafe {
            (self.device.api().cuMemsetD8Async)(to, value, bytes, self.raw())
        })
    }
    /// Copies between two places on the device.
    pub(crate) fn copy(&self, to: Pointer, from: Pointer, bytes: usize) -> Result<(), CudaError> {
        // SAFETY: both stretches come from `Memory` and do not overlap.
        self.device.call("cuMemcpyDtoDAsync", unsafe {
            (self.device.api().cuMemcpyDtoDAsync_v2)(to, from, bytes, self.raw())
        })
    }
    /// Copies to the device. The bytes must stay as they are until the copy is done where they are pinned.
    pub fn upload(&self, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        let from = bytes.as_ptr().cast();
        // SAFETY: the destination comes from `Memory` and is as long.
        self.device.call("cuMemcpyHtoDAsync", unsafe {
            (self.device.api().cuMemcpyHtoDAsync_v2)(to, from, bytes.len(), self.raw())
        })
    }
    /// Copies from the device and waits.
    pub fn download(&self, bytes: &mut [u8], from: Pointer) -> Result<(), CudaError> {
        self.device.bind()?;
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: the source comes from `Memory` and is as long; the copy is waited for.
        self.device.call("cuMemcpyDtoHAsync", unsafe {
            (self.device.api().cuMemcpyDtoHAsync_v2)(to, from, bytes.len(), self.raw())
        })?;
        self.synchronize()
    }
    /// Records what `work` queues as a graph, which does not run it.
    pub(crate) fn capture(&self, work: impl FnOnce() -> Result<(), CudaError>) -> Result<Graph, CudaError> {
        let (device, api) = (&self.device, self.device.api());
        const THREAD_LOCAL: u32 = 1;
        // SAFETY: the stream is alive and captures nothing yet.
        device.call("cuStreamBeginCapture", unsafe {
            (api.cuStreamBeginCapture_v2)(self.raw(), THREAD_LOCAL)
        })?;
        let outcome = work();
        let mut graph = std::ptr::null_mut();
        // SAFETY: ends the capture begun above, also after an error.
        let ended = unsafe { (api.cuStreamEndCapture)(self.raw(), &mut graph) };
        outcome?;
        device.call("cuStreamEndCapture", ended)?;
        let mut exec = std::ptr::null_mut();
        // SAFETY: the graph was just captured.
        let made = unsafe { (api.cuGraphInstantiateWithFlags)(&mut exec, graph, 0) };
        // SAFETY: the executable graph does not need it any more.
        unsafe { (api.cuGraphDestroy)(graph) };
        device.call("cuGraphInstantiate", made)?;
        Ok(Graph { device: device.clone(), exec })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        unsafe { (self.device.api().cuStreamDestroy_v2)(self.handle) };
    }
}

/// Recorded work that is launched as one.
pub(crate) struct Graph {
    device: Arc<Device>,
    exec: *mut c_void,
}

// SAFETY: a graph may be launched from any thread, one at a time.
unsafe impl Send for Graph {}

impl Graph {
    pub(crate) fn launch(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        self.device
            .call("cuGraphLaunch", unsafe { (self.device.api().cuGraphLaunch)(self.exec, stream.raw()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: instantiated once, destroyed once.
        unsafe { (self.device.api().cuGraphExecDestroy)(self.exec) };
    }
}

/// A point in a stream's time.
pub(crate) struct Event {
    device: Arc<Device>,
    pub(crate) handle: *mut c_void,
}

// SAFETY: an event may be used from any thread.
unsafe impl Send for Event {}

impl Event {
    pub(crate) fn new(device: &Arc<Device>) -> Result<Event, CudaError> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: the pointer is valid for the call.
        device.call("cuEventCreate", unsafe { (device.api().cuEventCreate)(&mut handle, 0) })?;
        Ok(Event { device: device.clone(), handle })
    }
    pub(crate) fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        self.device
            .call("cuEventRecord", unsafe { (self.device.api().cuEventRecord)(self.handle, stream.raw()) })
    }
    /// The same while a graph is captured: the event passes anew in each launch of the graph.
    pub(crate) fn record_in_graph(&self, stream: &Stream) -> Result<(), CudaError> {
        const EXTERNAL: u32 = 1;
        // SAFETY: both are alive.
        self.device.call("cuEventRecordWithFlags", unsafe {
            (self.device.api().cuEventRecordWithFlags)(self.handle, stream.raw(), EXTERNAL)
        })
    }
    pub(crate) fn synchronize(&self) -> Result<(), CudaError> {
        // SAFETY: alive.
        self.device.call("cuEventSynchronize", unsafe { (self.device.api().cuEventSynchronize)(self.handle) })
    }
    /// Makes work queued behind this call wait for the event.
    pub(crate) fn hold(&self, stream: &Stream) -> Result<(), CudaError> {
        // SAFETY: both are alive.
        let status = unsafe { (self.device.api().cuStreamWaitEvent)(stream.raw(), self.handle, 0) };
        self.device.call("cuStreamWaitEvent", status)
    }
    /// Seconds from an earlier event to this one; both must have passed.
    pub(crate) fn seconds_since(&self, start: &Event) -> Result<f64, CudaError> {
        let mut milliseconds = 0.0;
        // SAFETY: the pointer is valid for the call.
        let status =
            unsafe { (self.device.api().cuEventElapsedTime)(&mut milliseconds, start.handle, self.handle) };
        self.device.call("cuEventElapsedTime", status)?;
        Ok(f64::from(milliseconds) * 1e-3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: created in `new`, destroyed once.
        unsafe { (self.device.api().cuEventDestroy_v2)(self.handle) };
    }
}
