//! The GPU as a backend.

use crate::driver::CudaError;
use crate::fuse::Pairs;
use crate::gemm::hopper;
use crate::gpu::{Gpu, Options, Precision};
use crate::launch::{NodeView, Operand, Scratch};
use crate::session::CudaSession;
use crate::{fuse, largest, lower, ops, peaks};
use std::sync::Arc;
use wootz_program::{Backend, BackendError, Node, Peaks, Planned, Program, Session, Value};
use wootz_stdx::human;

/// One GPU.
pub struct CudaBackend {
    gpu: Arc<Gpu>,
}

impl CudaBackend {
    /// Opens the device and the libraries that every program needs.
    pub fn open(options: Options) -> Result<CudaBackend, CudaError> {
        Ok(CudaBackend { gpu: Arc::new(Gpu::open(options)?) })
    }
    /// The device and its tools.
    pub fn gpu(&self) -> &Arc<Gpu> {
        &self.gpu
    }
}

impl Backend for CudaBackend {
    fn describe(&self) -> String {
        let properties = &self.gpu.device.properties;
        format!("{} ({})", properties.name, human::bytes(properties.memory_bytes as u64))
    }
    fn numerics(&self) -> String {
        let Precision { bf16_gradients, bf16_tables, fp8 } = self.gpu.options.precision;
        let parts =
            [(bf16_gradients, ", bf16 gradients"), (bf16_tables, ", bf16 tables"), (fp8, ", fp8 products")];
        let named: String = parts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        format!("bf16{named}")
    }
    fn preparation(&self) -> Option<&'static str> {
        // The products of a model race for about two seconds a shape.
        let raced = !self.gpu.options.deterministic;
        raced.then_some("the first run of a model on this kind of GPU lets the algorithms of its products race, about a minute")
    }
    fn peaks(&self) -> Option<Peaks> {
        peaks::of(&self.gpu.device.properties.name)
    }
    fn lower(&self, programs: Vec<Program>) -> Result<Vec<Program>, BackendError> {
        let mut programs = lower::lower(programs, self.gpu.options.precision)?;
        let hopper = self.gpu.device.properties.capability == hopper::CAPABILITY;
        if hopper {
            let Options { deterministic, library_attention, .. } = self.gpu.options;
            // Ordered sums are rounded where they are summed.
            let pairs = Pairs { attention: !deterministic && !library_attention };
            programs.iter_mut().for_each(|program| fuse::fuse(program, pairs));
        }
        let attention = hopper && !self.gpu.options.library_attention;
        programs.iter_mut().for_each(|program| largest::find_early(program, attention));
        Ok(programs)
    }
    fn overlaps(&self) -> bool {
        self.gpu.options.overlap_collectives
    }
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize {
        let operand = |value: &Value| {
            let ty = &program.info(*value).ty;
            Operand { pointer: 0, shape: ty.shape.clone(), dtype: ty.dtype, read: true }
        };
        let view = NodeView {
            gpu: &self.gpu,
            op: node.op.name(),
            inputs: node.inputs.iter().map(operand).collect(),
            outputs: node.outputs.iter().map(operand).collect(),
            scratch: Scratch::default(),
            cost: node.op.cost(&program.input_types(node), &program.output_types(node)),
            largest: None,
        };
        // What fails here fails again, with its message, when the program is loaded.
        ops::code(&*node.op).and_then(|code| code.scratch_bytes(&view).ok()).unwrap_or(0)
    }
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError> {
        Ok(Box::new(CudaSession::load(self.gpu.clone(), programs)?))
    }
}
