//! The seam between planned programs and the device that runs them.

use crate::{Node, Peaks, Plan, Program, Span, op_times};
use wootz_schema::{Diagnose, ExitCode};
use wootz_tensor::HostTensor;

/// A program with its memory plan.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The nodes.
    pub program: Program,
    /// Where their values live.
    pub plan: Plan,
}

/// A kind of device.
pub trait Backend: Send + Sync {
    /// What runs the programs, for people: `cpu (2 threads, avx512)`.
    fn describe(&self) -> String;
    /// Number formats that the results depend on, for people who compare runs, e.g. `bf16, fp8 products`.
    fn numerics(&self) -> String {
        "f32".to_owned()
    }
    /// What loading programs may take time for, said before; none: it takes none.
    fn preparation(&self) -> Option<&'static str> {
        None
    }
    /// What the device can do at best, where its data sheet is known.
    fn peaks(&self) -> Option<Peaks> {
        None
    }
    /// Rewrites programs that share persistent values into the precision and the fused ops that the device runs. Called with
    /// all programs of a session together, before they are planned.
    fn lower(&self, programs: Vec<Program>) -> Result<Vec<Program>, BackendError> {
        Ok(programs)
    }
    /// Whether collectives that may run beside the nodes that follow them are worth a program of their own.
    fn overlaps(&self) -> bool {
        false
    }
    /// Scratch memory a node needs on this device, bytes.
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize;
    /// Makes programs ready to run. Persistent values are shared between them by name and start as zeros; the arena is
    /// as large as the largest plan, since programs run one after the other.
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError>;
}

/// Loaded programs and their memory.
pub trait Session: Send {
    /// Copies a host tensor into a persistent value.
    fn write(&mut self, name: &str, tensor: &HostTensor) -> Result<(), BackendError>;
    /// Copies a persistent value to the host.
    fn read(&self, name: &str) -> Result<HostTensor, BackendError>;
    /// Runs program `index` of those loaded.
    fn run(&mut self, index: usize) -> Result<(), BackendError>;
    /// Waits until every run so far is done; a device may work behind the host.
    fn synchronize(&mut self) -> Result<(), BackendError> {
        Ok(())
    }
    /// Runs program `index` once and tells when each launch began and how long it took.
    fn trace(&mut self, index: usize) -> Result<Vec<Span>, BackendError>;
    /// Runs program `index` once and tells where its time went, most expensive op first.
    fn profile(&mut self, index: usize) -> Result<Vec<OpTime>, BackendError> {
        Ok(op_times(&self.trace(index)?))
    }
    /// Time and power of program `index` whole and in two parts; none where the device cannot tell. Takes some seconds and
    /// spoils activations and gradients.
    fn time_parts(&mut self, _index: usize) -> Result<Option<Parts>, BackendError> {
        Ok(None)
    }
    /// What the session holds.
    fn memory(&self) -> MemoryUse;
}

/// A program's launches in two parts: what bounds it from below, however the two are arranged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parts {
    /// Seconds of the launches that count floating-point operations, products and attention, one behind the other with nothing
    /// between them, right behind whole runs: what a run would take if all else were free, at the same power and temperature.
    pub products_seconds: f64,
    /// Seconds of all other launches, measured likewise.
    pub rest_seconds: f64,
    /// Power, where the driver tells it.
    pub watts: Option<Watts>,
}

/// Mean power of the board in steady state, watts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watts {
    /// Whole runs, one behind the other.
    pub whole: f64,
    /// Products and attention only.
    pub products: f64,
    /// The other launches only.
    pub rest: f64,
    /// Nothing, right after work.
    pub idle: f64,
}

/// Time of all nodes of one op in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct OpTime {
    /// The op.
    pub op: String,
    /// Number of nodes.
    pub calls: usize,
    /// Seconds of all of them.
    pub seconds: f64,
    /// Floating-point operations of all of them.
    pub flops: u64,
    /// Bytes that all of them read and wrote at least once.
    pub bytes: u64,
}

/// Bytes a session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Parameters, gradients, states, inputs and outputs.
    pub persistent_bytes: usize,
    /// Activations and scratch.
    pub arena_bytes: usize,
}

/// Why a backend cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The device has no code for an op.
    #[error("compile {op}: {backend} has no kernel for it")]
    MissingKernel {
        /// The op.
        op: String,
        /// The device.
        backend: String,
    },
    /// The device has code for an op, but not for these sizes or types.
    #[error("run {op} on this device: {reason}")]
    Unsupported {
        /// The op.
        op: String,
        /// What it cannot take.
        reason: String,
    },
    /// The device, its driver or one of its libraries is missing or failed.
    #[error("{what}")]
    Device {
        /// What was tried, and what came back; a fragment that fits "failed to …".
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A program was planned for another device.
    #[error("load {op}: it needs {needed} bytes of scratch memory, the plan gives it {planned}")]
    Scratch {
        /// The op.
        op: &'static str,
        /// Bytes in the plan.
        planned: usize,
        /// Bytes it needs on this device.
        needed: usize,
    },
    /// No persistent value of that name.
    #[error("find the value {name:?} in the loaded programs")]
    UnknownValue {
        /// The name asked for.
        name: String,
    },
    /// A tensor does not fit the value it is written to.
    #[error("write {name:?}: it holds {expected}, got {actual}")]
    Mismatch {
        /// The value.
        name: String,
        /// Its type.
        expected: String,
        /// The tensor's type.
        actual: String,
    },
    /// An input held something no op can use, e.g. a token outside the vocabulary.
    #[error("run {op}: {reason}")]
    BadInput {
        /// The op.
        op: String,
        /// What is wrong.
        reason: String,
    },
}

impl Diagnose for BackendError {
    fn exit(&self) -> ExitCode {
        match self {
            BackendError::BadInput { .. } | BackendError::Unsupported { .. } => ExitCode::Usage,
            BackendError::Device { .. } => ExitCode::Environment,
            _ => ExitCode::Bug,
        }
    }
    fn hint(&self) -> Option<String> {
        match self {
            BackendError::Unsupported { .. } => {
                Some("choose sizes that the device has code for, or train on the CPU".to_owned())
            }
            BackendError::Device { hint, .. } => Some(hint.clone()),
            _ => None,
        }
    }
}
