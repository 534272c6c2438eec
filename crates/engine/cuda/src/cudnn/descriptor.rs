//! The open library, its handle, and descriptors that destroy themselves.

use super::api::{Api, RawDescriptor, RawHandle, RawStream, Status, attr, kind, ty};
use super::graph::{Describe, Value};
use super::sdpa::ShapeError;
use crate::library::{Library, LibraryError};
use std::ffi::{CStr, c_char, c_void};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex, PoisonError};

/// The oldest version that computes these graphs rightly, as cuDNN counts: 10000·major + 100·minor + patch.
const OLDEST: usize = 91600;

/// Why cuDNN does not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudnnError {
    /// A function is missing.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// The library is too old.
    #[error("use cuDNN {}: attention needs {} or newer", version(*found), version(OLDEST))]
    TooOld {
        /// The version that was found.
        found: usize,
    },
    /// The shape is one that no plan is made for.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A call failed.
    #[error("{what} in cuDNN: {status} {reason}")]
    Call {
        /// What it was to do.
        what: &'static str,
        /// cuDNN's number.
        status: Status,
        /// cuDNN's words.
        reason: String,
    },
    /// No engine takes the graph.
    #[error("plan {graph}: cuDNN has no engine for it{reason}")]
    NoEngine {
        /// What the graph is.
        graph: String,
        /// What the last refusal said.
        reason: String,
    },
    /// A pointer is not where kernels may read.
    #[error("launch attention: the pointer of {operand} is not a multiple of 16 bytes")]
    Misaligned {
        /// Which one.
        operand: &'static str,
    },
    /// A launch lacks an operand that its graph has.
    #[error("launch attention: {operand} is missing")]
    Unbound {
        /// Which one.
        operand: &'static str,
    },
}

/// A version in people's form.
fn version(number: usize) -> String {
    format!("{}.{}.{}", number / 10000, number / 100 % 100, number % 100)
}

/// The open library.
pub struct Cudnn {
    api: Api,
    /// Its version, 10000·major + 100·minor + patch.
    pub version: usize,
}

impl Cudnn {
    /// Reads the functions of an open library.
    pub fn load(library: Library) -> Result<Arc<Cudnn>, CudnnError> {
        let api = Api::load(library)?;
        // SAFETY: it takes nothing and only returns a number.
        let version = unsafe { (api.cudnnGetVersion)() };
        if version < OLDEST {
            return Err(CudnnError::TooOld { found: version });
        }
        Ok(Arc::new(Cudnn { api, version }))
    }
    /// The version in people's form, and the file.
    pub fn describe(&self) -> String {
        format!("cuDNN {} ({})", version(self.version), self.api.library.path.display())
    }
    /// A status as a result.
    pub(super) fn check(&self, status: Status, what: &'static str) -> Result<(), CudnnError> {
        if status == 0 { Ok(()) } else { Err(CudnnError::Call { what, status, reason: self.reason(status) }) }
    }

    /// The status by name, and what cuDNN has to say about the last failure of this thread.
    fn reason(&self, status: Status) -> String {
        let mut message = [0 as c_char; 1024];
        // SAFETY: the function returns a string that lives as long as the library, for any number; the other one writes
        // at most the given number of bytes and ends them with zero, as does the last element, which it never gets.
        let (name, message) = unsafe {
            let name = CStr::from_ptr((self.api.cudnnGetErrorString)(status));
            (self.api.cudnnGetLastErrorString)(message.as_mut_ptr(), message.len() - 1);
            (name.to_string_lossy(), CStr::from_ptr(message.as_ptr()).to_string_lossy())
        };
        if message.is_empty() { name.into_owned() } else { format!("{name}: {}", message.trim()) }
    }
}

/// The library's state on one device. Calls through it are made one at a time.
pub struct Handle {
    cudnn: Arc<Cudnn>,
    raw: Mutex<RawHandle>,
}

// SAFETY: cuDNN allows a handle to be used from any thread, one at a time, which the mutex sees to.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// A handle on the device whose context is current on this thread.
    pub fn new(cudnn: &Arc<Cudnn>) -> Result<Arc<Handle>, CudnnError> {
        let mut raw = null_mut();
        // SAFETY: the pointer is valid for the call, which writes it.
        let status = unsafe { (cudnn.api.cudnnCreate)(&mut raw) };
        cudnn.check(status, "create a handle")?;
        Ok(Arc::new(Handle { cudnn: cudnn.clone(), raw: Mutex::new(raw) }))
    }
    /// The library.
    pub fn cudnn(&self) -> &Arc<Cudnn> {
        &self.cudnn
    }
    /// The pointer, to be stored in a descriptor.
    pub(super) fn raw(&self) -> RawHandle {
        *self.raw.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Queues the execution of a plan on a stream.
    ///
    /// # Safety
    /// The descriptors are a finalized plan of this handle and a finalized variant pack for it, whose device pointers
    /// stay valid until the stream has passed this work; the stream is one of the handle's device.
    pub(super) unsafe fn execute(
        &self,
        stream: RawStream,
        plan: RawDescriptor,
        pack: RawDescriptor,
    ) -> Result<(), CudnnError> {
        let raw = self.raw.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the handle is live, and the stream is the caller's promise.
        let status = unsafe { (self.cudnn.api.cudnnSetStream)(*raw, stream) };
        self.cudnn.check(status, "set the stream")?;
        // SAFETY: by this function's contract.
        let status = unsafe { (self.cudnn.api.cudnnBackendExecute)(*raw, plan, pack) };
        self.cudnn.check(status, "execute a plan")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let raw = *self.raw.get_mut().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: made by cudnnCreate, and destroyed nowhere else; plans hold the handle, so none is left.
        unsafe { (self.cudnn.api.cudnnDestroy)(raw) };
    }
}

/// A device by its properties, for making plans where it is not; in the form of cuDNN's own JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceProperties {
    /// The JSON text.
    pub json: String,
}

/// A descriptor of the backend API.
pub struct Descriptor {
    cudnn: Arc<Cudnn>,
    raw: RawDescriptor,
}

// SAFETY: a descriptor is memory of the library that belongs to no thread; it is changed only through `&mut` here, and
// the library reads finalized descriptors from several threads.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Descriptor {
    /// An empty one of a [`kind`].
    pub fn new(cudnn: &Arc<Cudnn>, kind: i32) -> Result<Descriptor, CudnnError> {
        let mut raw = null_mut();
        // SAFETY: the pointer is valid for the call, which writes it.
        let status = unsafe { (cudnn.api.cudnnBackendCreateDescriptor)(kind, &mut raw) };
        cudnn.check(status, "create a descriptor")?;
        Ok(Descriptor { cudnn: cudnn.clone(), raw })
    }
    pub(super) fn raw(&self) -> RawDescriptor {
        self.raw
    }

    /// Sets an attribute to a list of elements.
    ///
    /// # Safety
    /// `T` is the C type that cuDNN has for `ty`, and pointers among the elements are what the attribute asks for.
    pub(super) unsafe fn set<T>(
        &mut self,
        attribute: i32,
        ty: i32,
        elements: &[T],
    ) -> Result<(), CudnnError> {
        let (count, elements) = (elements.len() as i64, elements.as_ptr().cast::<c_void>());
        // SAFETY: the elements are valid for the call, which copies them.
        let status =
            unsafe { (self.cudnn.api.cudnnBackendSetAttribute)(self.raw, attribute, ty, count, elements) };
        self.cudnn.check(status, "set an attribute")
    }
    /// Sets an attribute to other descriptors.
    pub(super) fn set_descriptors(
        &mut self,
        attribute: i32,
        descriptors: &[RawDescriptor],
    ) -> Result<(), CudnnError> {
        // SAFETY: a backend descriptor is a pointer.
        unsafe { self.set(attribute, ty::BACKEND_DESCRIPTOR, descriptors) }
    }
    /// Ends the description.
    pub(super) fn finalize(&mut self, what: &'static str) -> Result<(), CudnnError> {
        // SAFETY: the descriptor is live.
        let status = unsafe { (self.cudnn.api.cudnnBackendFinalize)(self.raw) };
        self.cudnn.check(status, what)
    }

    /// How many elements an attribute has.
    pub(super) fn count(&self, attribute: i32, ty: i32) -> Result<usize, CudnnError> {
        let mut count = 0;
        // SAFETY: a capacity of zero writes no elements.
        let status = unsafe {
            (self.cudnn.api.cudnnBackendGetAttribute)(self.raw, attribute, ty, 0, &mut count, null_mut())
        };
        self.cudnn.check(status, "count an attribute")?;
        Ok(count.max(0) as usize)
    }
    /// Reads up to as many elements as there are; descriptors among them must be made before, and are filled.
    ///
    /// # Safety
    /// `T` is the C type that cuDNN has for `ty`.
    pub(super) unsafe fn read<T>(
        &self,
        attribute: i32,
        ty: i32,
        elements: &mut [T],
    ) -> Result<usize, CudnnError> {
        let (mut count, capacity) = (0, elements.len() as i64);
        let into = elements.as_mut_ptr().cast::<c_void>();
        // SAFETY: the call writes at most `capacity` elements.
        let status = unsafe {
            (self.cudnn.api.cudnnBackendGetAttribute)(self.raw, attribute, ty, capacity, &mut count, into)
        };
        self.cudnn.check(status, "read an attribute")?;
        Ok((count.max(0) as usize).min(elements.len()))
    }
    /// Reads an attribute that is one whole number.
    pub(super) fn number(&self, attribute: i32) -> Result<i64, CudnnError> {
        let mut number = [0_i64];
        // SAFETY: INT64 is int64_t.
        unsafe { self.read(attribute, ty::INT64, &mut number) }?;
        Ok(number[0])
    }
    /// Reads an attribute that is a list of at most `most` descriptors of one kind.
    pub(super) fn descriptors(
        &self,
        attribute: i32,
        kind: i32,
        most: usize,
    ) -> Result<Vec<Descriptor>, CudnnError> {
        let made: Result<Vec<Descriptor>, CudnnError> =
            (0..most).map(|_| Descriptor::new(&self.cudnn, kind)).collect();
        let mut made = made?;
        let mut raw: Vec<RawDescriptor> = made.iter().map(Descriptor::raw).collect();
        // SAFETY: a backend descriptor is a pointer, and cuDNN fills the descriptors that it finds here.
        let filled = unsafe { self.read(attribute, ty::BACKEND_DESCRIPTOR, &mut raw) }?;
        made.truncate(filled);
        Ok(made)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: made by cudnnBackendCreateDescriptor, and destroyed nowhere else.
        unsafe { (self.cudnn.api.cudnnBackendDestroyDescriptor)(self.raw) };
    }
}

/// For which device plans are made.
#[derive(Clone)]
pub enum Target {
    /// The device of a handle: plans can be executed.
    Handle(Arc<Handle>),
    /// A device that is described: plans can only be made.
    Described {
        /// The library.
        cudnn: Arc<Cudnn>,
        /// The device.
        properties: Arc<Descriptor>,
    },
}

impl Target {
    /// A device that need not be here.
    pub fn described(cudnn: &Arc<Cudnn>, device: &DeviceProperties) -> Result<Target, CudnnError> {
        let mut properties = Descriptor::new(cudnn, kind::DEVICEPROP)?;
        let mut text = device.json.clone().into_bytes();
        text.push(0);
        // SAFETY: CHAR is char, of which the text is an array that ends with zero.
        unsafe { properties.set(attr::DEVICEPROP_JSON_REPRESENTATION, ty::CHAR, &text) }?;
        properties.finalize("describe a device")?;
        Ok(Target::Described { cudnn: cudnn.clone(), properties: Arc::new(properties) })
    }
    /// The library.
    pub fn cudnn(&self) -> &Arc<Cudnn> {
        match self {
            Target::Handle(handle) => handle.cudnn(),
            Target::Described { cudnn, .. } => cudnn,
        }
    }
}

/// The sink that makes descriptors, and keeps them: later ones point to earlier ones.
pub struct Descriptors<'a> {
    target: &'a Target,
    made: Vec<Descriptor>,
}

impl<'a> Descriptors<'a> {
    /// None yet.
    pub fn new(target: &'a Target) -> Descriptors<'a> {
        Descriptors { target, made: Vec::new() }
    }
    /// All of them, in the order in which they were made.
    pub fn into_inner(self) -> Vec<Descriptor> {
        self.made
    }
}

impl Describe for Descriptors<'_> {
    type Id = usize;
    type Error = CudnnError;

    fn create(&mut self, kind: i32) -> Result<usize, CudnnError> {
        self.made.push(Descriptor::new(self.target.cudnn(), kind)?);
        Ok(self.made.len() - 1)
    }
    fn set(&mut self, id: usize, attribute: i32, value: Value<'_, usize>) -> Result<(), CudnnError> {
        let ty = value.ty();
        let others: Vec<RawDescriptor> = match value {
            Value::Descriptors(ids) => ids.iter().map(|id| self.made[*id].raw()).collect(),
            _ => Vec::new(),
        };
        let descriptor = &mut self.made[id];
        // SAFETY: each type is cuDNN's for `ty`: enums are int, BOOLEAN is bool, HANDLE and descriptors are pointers.
        unsafe {
            match value {
                Value::Handle => match self.target {
                    Target::Handle(handle) => descriptor.set(attribute, ty, &[handle.raw()]),
                    Target::Described { .. } => Ok(()),
                },
                Value::DataType(n) | Value::PointwiseMode(n) | Value::Reduction(n) => {
                    descriptor.set(attribute, ty, &[n])
                }
                Value::Bool(truth) => descriptor.set(attribute, ty, &[truth]),
                Value::Int64(numbers) => descriptor.set(attribute, ty, numbers),
                Value::Float(n) => descriptor.set(attribute, ty, &[n]),
                Value::Descriptors(_) => descriptor.set(attribute, ty, &others),
            }
        }
    }
    fn finalize(&mut self, id: usize) -> Result<(), CudnnError> {
        self.made[id].finalize("describe a graph")
    }
}
