//! What an op's code sees of its node, and the launches it makes of it.

use crate::compiler::Macros;
use crate::driver::{Arguments, CudaError, Function, Memory, Pointer, Stream};
use crate::gpu::Gpu;
use wootz_program::Cost;
use wootz_tensor::{DType, Shape};

/// An op's code for the device.
pub(crate) trait Code {
    /// Scratch memory of a node, bytes. Pointers of the operands are null here.
    fn scratch_bytes(&self, _node: &NodeView<'_>) -> Result<usize, CudaError> {
        Ok(0)
    }
    /// Everything that can be done ahead: kernels compiled, algorithms chosen, arguments bound. The launches run in this
    /// order, any number of times, also inside a graph.
    fn compile(&self, node: &NodeView<'_>) -> Result<Vec<Launch>, CudaError>;
}

/// A node with the places of its operands.
pub(crate) struct NodeView<'a> {
    /// The device.
    pub gpu: &'a Gpu,
    /// Name of the op.
    pub op: &'static str,
    /// What it reads, and for some ops changes.
    pub inputs: Vec<Operand>,
    /// What it writes.
    pub outputs: Vec<Operand>,
    /// Memory of its own while it runs.
    pub scratch: Scratch,
    /// Work of the node.
    pub cost: Cost,
    /// Where the largest numbers of the first output are handed in, if they are wanted.
    pub largest: Option<Pointer>,
}

/// A value in device memory.
#[derive(Debug, Clone)]
pub(crate) struct Operand {
    /// Where it begins; 256-byte aligned, except inside a group of packed weights.
    pub pointer: Pointer,
    /// Its dims.
    pub shape: Shape,
    /// Its element type.
    pub dtype: DType,
    /// Whether anything reads it: an output that nothing reads need not be written.
    pub read: bool,
}

/// Scratch memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scratch {
    /// Where it begins, 256-byte aligned.
    pub pointer: Pointer,
    /// Its size.
    pub bytes: usize,
}

impl Operand {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.len()
    }
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.len() * self.dtype.bytes()
    }
    /// Where an output is written: null where nothing reads it.
    pub fn target(&self) -> Pointer {
        if self.read { self.pointer } else { 0 }
    }
    /// Where element `i` lies.
    pub fn element(&self, i: usize) -> Pointer {
        self.pointer + (i * self.dtype.bytes()) as Pointer
    }
    /// Its element type in CUDA C++.
    pub fn c_type(&self) -> String {
        match self.dtype {
            DType::BF16 => "bf16".to_owned(),
            DType::F32 => "float".to_owned(),
            DType::F64 => "double".to_owned(),
            DType::I32 => "int".to_owned(),
        }
    }
}

impl NodeView<'_> {
    /// Input `i`.
    pub fn input(&self, i: usize) -> &Operand {
        &self.inputs[i]
    }
    /// Output `i`.
    pub fn output(&self, i: usize) -> &Operand {
        &self.outputs[i]
    }
    /// A function of a kernel's source.
    pub fn function(
        &self,
        source: &'static str,
        function: &'static str,
        macros: &Macros,
    ) -> Result<Function, CudaError> {
        self.gpu.function(source, function, macros)
    }
    /// The op cannot be run at these operands.
    pub fn unsupported(&self, reason: impl Into<String>) -> CudaError {
        CudaError::unsupported(self.op, reason)
    }
    /// An error unless the condition on shapes and types holds.
    pub fn require(&self, holds: bool, reason: impl FnOnce() -> String) -> Result<(), CudaError> {
        if holds { Ok(()) } else { Err(self.unsupported(reason())) }
    }
    /// A launch of a kernel that does the whole of this node's work.
    pub fn kernel(
        &self,
        name: &'static str,
        function: Function,
        grid: [u32; 3],
        block: u32,
        arguments: Arguments,
    ) -> Launch {
        Launch::kernel(name, function, grid, [block, 1, 1], 0, arguments).costs(self.cost)
    }
}

/// Something that is queued on a stream: a kernel, a product, a copy.
pub struct Launch {
    /// What a profile calls it.
    pub name: String,
    /// Its work.
    pub cost: Cost,
    run: Work,
    /// Device memory that only the kernel's arguments name: it must not be freed before the last launch.
    held: Vec<Memory>,
}

/// What queues a launch's work.
type Work = Box<dyn Fn(&Stream) -> Result<(), CudaError> + Send>;

impl Launch {
    /// Anything that queues work and holds what it needs.
    pub fn new(
        name: impl Into<String>,
        run: impl Fn(&Stream) -> Result<(), CudaError> + Send + 'static,
    ) -> Launch {
        Launch { name: name.into(), cost: Cost::default(), run: Box::new(run), held: Vec::new() }
    }
    /// A kernel.
    pub fn kernel(
        name: impl Into<String>,
        function: Function,
        grid: [u32; 3],
        block: [u32; 3],
        shared_bytes: u32,
        arguments: Arguments,
    ) -> Launch {
        Launch::new(name, move |stream| function.launch(stream, grid, block, shared_bytes, &arguments))
    }
    /// Zeros.
    pub fn clear(pointer: Pointer, bytes: usize) -> Launch {
        let launch = Launch::new("memset", move |stream| stream.fill(pointer, 0, bytes));
        launch.costs(Cost { flops: 0, bytes: bytes as u64 })
    }
    /// A copy on the device.
    pub fn copy(to: Pointer, from: Pointer, bytes: usize) -> Launch {
        let launch = Launch::new("memcpy", move |stream| stream.copy(to, from, bytes));
        launch.costs(Cost { flops: 0, bytes: 2 * bytes as u64 })
    }
    /// The same, which now owns memory that its kernel uses.
    pub fn holding(mut self, memory: Vec<Memory>) -> Launch {
        self.held.extend(memory);
        self
    }
    /// The same with its work, for rooflines.
    pub fn costs(self, cost: Cost) -> Launch {
        Launch { cost, ..self }
    }
    /// Queues it.
    pub fn run(&self, stream: &Stream) -> Result<(), CudaError> {
        (self.run)(stream)
    }
}
