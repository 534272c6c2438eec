//! The device with everything that compiles a program for it: kernels, matrix products, attention.

use crate::compiler::{Compiler, Macros};
use crate::cudnn::{Attention, Cudnn};
use crate::driver::{CudaError, Device, Function, Memory, Pointer, Stream};
use crate::gemm::Products;
use crate::library::{Library, Name, Search};
use crate::nccl::{Communicator, Nccl, Ranks};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// Least compute capability on which a launch can begin before the kernel before it has ended.
const LEAST_CAPABILITY_AHEAD: u32 = 90;

/// What a run asks of the device.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Number of the device among those visible.
    pub ordinal: usize,
    /// Where NVIDIA's libraries may lie.
    pub search: Search,
    /// Folder of compiled kernels and timed choices; none: nothing is kept.
    pub cache: Option<PathBuf>,
    /// The same bits in every run, at some cost in speed.
    pub deterministic: bool,
    /// Multiprocessors that hand-written products leave to what runs beside them on another stream, e.g. collectives: blocks
    /// that find no place hold up the others.
    pub spare_multiprocessors: u32,
    /// Attention by the library, also where the hand-written kernels apply.
    pub library_attention: bool,
    /// Tokens of a sequence from which on attention takes what is faster for long ones; none: as was measured.
    pub long_sequences: Option<usize>,
    /// Barriers that every lane of a warp arrives at, where else one arrives for all: a race checker follows what a lane has read only
    /// to its own arrivals.
    pub for_race_checkers: bool,
    /// When the launch of a kernel may begin.
    pub launches: Launches,
    /// Number formats.
    pub precision: Precision,
    /// The place of this process among those that compute together; none: it is alone.
    pub ranks: Option<Ranks>,
    /// Sum gradients beside the backward pass of the last micro-step, on a stream of their own.
    pub overlap_collectives: bool,
}

/// When the launch of a kernel may begin. The results are the same; devices before Hopper know the first way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Launches {
    /// When all before it is done.
    Separate,
    /// When the blocks of the kernel before it have ended: its set-up is hidden.
    #[default]
    Ahead,
    /// When the blocks of the kernel before it are all running: its blocks wait in what room there is.
    Early,
}

impl Launches {
    /// All of them, in the order of what they hide.
    pub const ALL: [Launches; 3] = [Launches::Separate, Launches::Ahead, Launches::Early];
}

/// Number formats of what persists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// Accumulated gradients in bf16 rather than binary32.
    pub bf16_gradients: bool,
    /// Embedding tables, their gradients and moments in bf16 with stochastic rounding, without a binary32 master.
    pub bf16_tables: bool,
    /// Products of large linears in 8 bits.
    pub fp8: bool,
}

impl Default for Precision {
    fn default() -> Precision {
        Precision { bf16_gradients: false, bf16_tables: true, fp8: false }
    }
}

/// The device and its tools, shared by all that compile for it.
pub struct Gpu {
    // Its handle ends before the device does.
    attention: OnceLock<Attention>,
    /// What connects the ranks, where there are several.
    pub(crate) communicator: Option<Arc<Communicator>>,
    /// The device.
    pub device: Arc<Device>,
    /// What the run asks for.
    pub options: Options,
    compiler: Compiler,
    functions: Mutex<BTreeMap<(&'static str, &'static str, Macros), Function>>,
    constants: Mutex<BTreeMap<String, Weak<Memory>>>,
    products: OnceLock<Products>,
}

impl Gpu {
    /// Opens the device and the libraries.
    pub fn open(options: Options) -> Result<Gpu, CudaError> {
        let device = Device::open(&options.search, options.ordinal)?;
        let kernels = options.cache.as_ref().map(|folder| folder.join("kernels"));
        let compiler = Compiler::open(&options.search, kernels)?;
        let meet = |ranks| Communicator::meet(Nccl::open(&options.search)?, &device, ranks).map(Arc::new);
        let communicator = options.ranks.map(meet).transpose()?;
        Ok(Gpu {
            constants: Mutex::default(),
            attention: OnceLock::new(),
            communicator,
            products: OnceLock::new(),
            device,
            options,
            compiler,
            functions: Mutex::default(),
        })
    }
    /// Matrix products; the library is opened when it is first asked for.
    pub(crate) fn products(&self) -> Result<&Products, CudaError> {
        if self.products.get().is_none() {
            // Of two threads that come here at once, one opens it in vain.
            self.products.set(Products::open(&self.device, &self.options)?).ok();
        }
        Ok(self.products.get().expect("set, because it was set above"))
    }
    /// Fused attention; its library is opened when it is first asked for.
    pub(crate) fn attention(&self) -> Result<&Attention, CudaError> {
        if self.attention.get().is_none() {
            self.device.bind()?;
            let library = Library::open(Name::Cudnn, &self.options.search)?;
            // Of two threads that come here at once, one opens it in vain.
            self.attention.set(Attention::new(&Cudnn::load(library)?)?).ok();
        }
        Ok(self.attention.get().expect("set, because it was set above"))
    }
    /// A function of a kernel's source, compiled with these macros for this device; compiled once.
    pub fn function(
        &self,
        source: &'static str,
        function: &'static str,
        macros: &Macros,
    ) -> Result<Function, CudaError> {
        let mut macros = macros.clone();
        let ahead = self.options.launches != Launches::Separate
            && self.device.properties.capability >= LEAST_CAPABILITY_AHEAD;
        if ahead && self.options.launches == Launches::Early {
            macros.push(("EARLY_DEPENDENTS", "1".to_owned()));
        }
        let key = (source, function, macros);
        let mut known = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&key) {
            return Ok(found.clone());
        }
        let kernel = wootz_kernels::find(source).ok_or_else(|| CudaError::Compile {
            kernel: source.to_owned(),
            log: "there is no such source".to_owned(),
        })?;
        let properties = &self.device.properties;
        if !kernel.runs_on(properties.capability) {
            return Err(CudaError::unsupported(
                source,
                format!(
                    "it needs compute capability {}{}, {} has {}",
                    kernel.least_capability,
                    if kernel.exact { " exactly" } else { "" },
                    properties.name,
                    properties.capability
                ),
            ));
        }
        let cubin = self.compiler.cubin(kernel, &key.2, &properties.architecture())?;
        let made = Function::of(&self.device, &cubin, function, ahead && kernel.waits())?;
        known.insert(key, made.clone());
        Ok(made)
    }
    /// Memory that holds zeros.
    pub(crate) fn zeros(&self, bytes: usize) -> Result<Memory, CudaError> {
        let memory = Memory::allocate(&self.device, bytes)?;
        let stream = Stream::new(&self.device)?;
        if bytes > 0 {
            stream.fill(memory.pointer, 0, bytes)?;
        }
        stream.synchronize()?;
        Ok(memory)
    }
    /// Memory whose contents depend on `key` alone, filled once and shared by all launches that hold it.
    pub(crate) fn constant(
        &self,
        key: String,
        bytes: usize,
        fill: impl FnOnce(Pointer, &Stream) -> Result<(), CudaError>,
    ) -> Result<Arc<Memory>, CudaError> {
        let mut known = self.constants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let memory = Arc::new(Memory::allocate(&self.device, bytes)?);
        let stream = Stream::new(&self.device)?;
        fill(memory.pointer, &stream)?;
        stream.synchronize()?;
        known.insert(key, Arc::downgrade(&memory));
        Ok(memory)
    }
}
