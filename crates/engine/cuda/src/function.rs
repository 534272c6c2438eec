//! Kernels and their launches.
//!
//! From Hopper on a launch may begin while the kernel before it runs (programmatic dependent launch; the CUDA programming guide has
//! a section of that name): the kernel itself waits, as its first statement, for what came before. In a graph that hides one to
//! two microseconds a kernel. Only a kernel right behind a kernel is launched so: behind a copy, a memset, an event or whatever a
//! library has queued beside products, a launch waits for the end as usual.

use crate::driver::{CudaError, Device, Pointer, Stream};
use std::ffi::{CString, c_void};
use std::sync::Arc;

/// A kernel, ready to launch. Its module stays loaded as long as the context.
#[derive(Clone)]
pub struct Function {
    device: Arc<Device>,
    handle: *mut c_void,
    /// Whether it waits for the kernels before it, so that its launch need not.
    waits: bool,
}

// SAFETY: a function may be launched from any thread.
unsafe impl Send for Function {}
// SAFETY: it is immutable.
unsafe impl Sync for Function {}

impl Function {
    /// A function of a compiled module; `waits`: its first statement waits for all work before it, so that its launch may begin
    /// while the kernel before it runs.
    pub(crate) fn of(
        device: &Arc<Device>,
        cubin: &[u8],
        name: &str,
        waits: bool,
    ) -> Result<Function, CudaError> {
        device.bind()?;
        let (mut module, mut handle) = (std::ptr::null_mut(), std::ptr::null_mut());
        let name = CString::new(name)
            .map_err(|_| CudaError::Compile { kernel: name.to_owned(), log: "no name".to_owned() })?;
        // SAFETY: the image is a whole cubin, which the driver copies.
        let status = unsafe { (device.api().cuModuleLoadData)(&mut module, cubin.as_ptr().cast()) };
        device.call("cuModuleLoadData", status)?;
        // SAFETY: the module is loaded, and the name ends with a zero.
        let status = unsafe { (device.api().cuModuleGetFunction)(&mut handle, module, name.as_ptr()) };
        device.call("cuModuleGetFunction", status)?;
        Ok(Function { device: device.clone(), handle, waits })
    }
    /// Allows this much dynamic shared memory.
    pub(crate) fn allow_shared(&self, bytes: u32) -> Result<(), CudaError> {
        const MAX_DYNAMIC_SHARED_SIZE_BYTES: i32 = 8;
        // SAFETY: the function is loaded.
        self.device.call("cuFuncSetAttribute", unsafe {
            (self.device.api().cuFuncSetAttribute)(self.handle, MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes as i32)
        })
    }
    /// Gives shared memory all of the cache that can be, so that as many blocks fit as it allows.
    pub(crate) fn prefer_shared(&self) -> Result<(), CudaError> {
        const PREFERRED_SHARED_MEMORY_CARVEOUT: i32 = 9;
        const PERCENT: i32 = 100;
        // SAFETY: the function is loaded.
        self.device.call("cuFuncSetAttribute", unsafe {
            (self.device.api().cuFuncSetAttribute)(self.handle, PREFERRED_SHARED_MEMORY_CARVEOUT, PERCENT)
        })
    }
    /// Allows clusters of more blocks than every device has, up to 16 on Hopper.
    pub(crate) fn allow_large_clusters(&self) -> Result<(), CudaError> {
        const NON_PORTABLE_CLUSTER_SIZE_ALLOWED: i32 = 14;
        // SAFETY: the function is loaded.
        self.device.call("cuFuncSetAttribute", unsafe {
            (self.device.api().cuFuncSetAttribute)(self.handle, NON_PORTABLE_CLUSTER_SIZE_ALLOWED, 1)
        })
    }
    /// Clusters of `cluster` blocks that the whole device holds at once.
    pub(crate) fn resident_clusters(
        &self,
        cluster: u32,
        block: u32,
        shared_bytes: u32,
    ) -> Result<u32, CudaError> {
        const CLUSTER_DIMENSION: u32 = 4;
        let sizes = u64::from(cluster) | 1 << 32;
        let attribute =
            LaunchAttribute { id: CLUSTER_DIMENSION, padding: 0, value: [sizes, 1, 0, 0, 0, 0, 0, 0] };
        let config = LaunchConfig {
            grid: [self.device.properties.multiprocessors / cluster * cluster, 1, 1],
            block: [block, 1, 1],
            shared_bytes,
            stream: std::ptr::null_mut(),
            attributes: &attribute,
            count: 1,
        };
        let mut clusters = 0;
        // SAFETY: the function is loaded, and the pointers are valid for the call.
        self.device.call("cuOccupancyMaxActiveClusters", unsafe {
            (self.device.api().cuOccupancyMaxActiveClusters)(&mut clusters, self.handle, &config)
        })?;
        Ok(clusters.max(0) as u32)
    }
    /// Queues a launch. `arguments` must be what the kernel's signature says. Where the kernel waits by itself and follows
    /// another, its launch begins while that one ends.
    pub(crate) fn launch(
        &self,
        stream: &Stream,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: &Arguments,
    ) -> Result<(), CudaError> {
        let mut addresses: Vec<*mut c_void> =
            arguments.places.iter().map(|at| arguments.addresses(*at)).collect();
        const PROGRAMMATIC_STREAM_SERIALIZATION: u32 = 6;
        let early = LaunchAttribute {
            id: PROGRAMMATIC_STREAM_SERIALIZATION,
            padding: 0,
            value: [1, 0, 0, 0, 0, 0, 0, 0],
        };
        let begins_early = self.waits && stream.is_after_kernel();
        let config = LaunchConfig {
            grid,
            block,
            shared_bytes,
            stream: stream.raw(),
            attributes: &early,
            count: u32::from(begins_early),
        };
        // SAFETY: the addresses point at copies of the arguments, which the driver copies before it returns; that they are
        // of the types of the kernel's parameters is held by the op that wrote both. A kernel that waits touches no memory
        // before what was queued earlier is done.
        let status = unsafe {
            (self.device.api().cuLaunchKernelEx)(
                &config,
                self.handle,
                addresses.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        stream.queued_kernel();
        self.device.call("cuLaunchKernelEx", status)
    }
}

/// `CUlaunchConfig` of cuda.h.
#[repr(C)]
pub(crate) struct LaunchConfig {
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    stream: *mut c_void,
    attributes: *const LaunchAttribute,
    count: u32,
}

/// `CUlaunchAttribute`; a cluster's sizes are its first three words of 32 bits.
#[repr(C)]
pub(crate) struct LaunchAttribute {
    id: u32,
    padding: u32,
    value: [u64; 8],
}

/// Arguments of a kernel, in the order of its parameters.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    words: Vec<u64>,
    places: Vec<usize>,
}

impl Arguments {
    /// None yet.
    pub fn new() -> Arguments {
        Arguments::default()
    }
    /// A pointer; 0 is null.
    pub fn pointer(self, pointer: Pointer) -> Arguments {
        self.word(pointer)
    }
    /// A 32-bit integer.
    pub fn i32(self, value: usize) -> Arguments {
        self.word(value as u64)
    }
    /// A 64-bit integer.
    pub fn i64(self, value: usize) -> Arguments {
        self.word(value as u64)
    }
    /// A binary32 number.
    pub fn f32(self, value: f64) -> Arguments {
        self.word(u64::from((value as f32).to_bits()))
    }
    /// A parameter passed by value that is larger than a word, e.g. a tensor map of 128 bytes.
    pub fn block(mut self, words: &[u64]) -> Arguments {
        self.places.push(self.words.len());
        self.words.extend_from_slice(words);
        self
    }
    fn word(mut self, word: u64) -> Arguments {
        self.places.push(self.words.len());
        self.words.push(word);
        self
    }
    fn addresses(&self, at: usize) -> *mut c_void {
        self.words[at..].as_ptr().cast_mut().cast()
    }
}
