//! The backend: which kernels run, in which element type, on how many threads.

use crate::session::CpuSession;
use crate::{ops, simd};
use std::sync::Arc;
use wootz_mesh::World;
use wootz_program::{Backend, BackendError, Node, Planned, Program, Session};
use wootz_tensor::DType;

/// Which code runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Fast kernels, binary32.
    Fast,
    /// The definition of every op, binary32, one thread.
    Reference,
    /// The definition of every op, binary64, one thread: gradient checks.
    Reference64,
}

/// The CPU as a device.
#[derive(Clone)]
pub struct CpuBackend {
    mode: Mode,
    poison: bool,
    world: World,
    overlaps: bool,
    pool: Arc<rayon::ThreadPool>,
}

impl CpuBackend {
    /// The fast path on this many threads; 0 means all cores.
    pub fn fast(threads: usize) -> CpuBackend {
        CpuBackend::with(Mode::Fast, threads)
    }
    /// The definition of every op.
    pub fn reference(mode: Mode) -> CpuBackend {
        CpuBackend::with(mode, 1)
    }
    /// Fills the arena with NaN before every run, so that a kernel which reads what it should have written is found out.
    pub fn poisoned(self) -> CpuBackend {
        CpuBackend { poison: true, ..self }
    }
    /// Runs collectives among these ranks.
    pub fn in_world(self, world: World) -> CpuBackend {
        CpuBackend { world, ..self }
    }
    /// Asks for the programs of devices that run collectives beside other work. Here they run in their place.
    pub fn overlapping(self) -> CpuBackend {
        CpuBackend { overlaps: true, ..self }
    }
    fn with(mode: Mode, threads: usize) -> CpuBackend {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("wootz-cpu-{i}"))
            .build()
            .expect("threads start, because the process may create them");
        CpuBackend { mode, poison: false, world: World::single(), overlaps: false, pool: Arc::new(pool) }
    }
}

impl Backend for CpuBackend {
    fn describe(&self) -> String {
        match self.mode {
            Mode::Fast => {
                format!("cpu ({} threads, {})", self.pool.current_num_threads(), simd::instruction_set())
            }
            Mode::Reference => "cpu reference (f32)".to_owned(),
            Mode::Reference64 => "cpu reference (f64)".to_owned(),
        }
    }
    fn overlaps(&self) -> bool {
        self.overlaps
    }
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize {
        match self.mode {
            Mode::Fast => {
                let shapes: Vec<&wootz_tensor::Shape> =
                    program.input_types(node).into_iter().map(|ty| &ty.shape).collect();
                4 * ops::scratch_elements(&*node.op, &shapes, self.pool.current_num_threads())
            }
            _ => 0,
        }
    }
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError> {
        refuse_half_precision(&programs)?;
        for planned in &programs {
            for (node, (_, bytes)) in planned.program.nodes.iter().zip(&planned.plan.scratch) {
                let needed = self.scratch_bytes(&planned.program, node);
                if *bytes < needed {
                    return Err(BackendError::Scratch { op: node.op.name(), planned: *bytes, needed });
                }
            }
        }
        let (fast, poison, pool, world) =
            (self.mode == Mode::Fast, self.poison, self.pool.clone(), self.world.clone());
        Ok(match self.mode {
            Mode::Reference64 => {
                Box::new(CpuSession::<f64>::load(programs, fast, poison, pool, world, self.describe())?)
            }
            _ => Box::new(CpuSession::<f32>::load(programs, fast, poison, pool, world, self.describe())?),
        })
    }
}

/// Values are stored in the element type of the session, whatever the program says; a plan for smaller ones would let them
/// overlap.
fn refuse_half_precision(programs: &[Planned]) -> Result<(), BackendError> {
    let nodes = programs.iter().flat_map(|p| p.program.nodes.iter().map(|node| (&p.program, node)));
    for (program, node) in nodes {
        let types = program.input_types(node).into_iter().chain(program.output_types(node));
        if types.into_iter().any(|ty| ty.dtype == DType::BF16) {
            let reason = "the CPU computes in binary32, an operand is bf16".to_owned();
            return Err(BackendError::Unsupported { op: node.op.name().to_owned(), reason });
        }
    }
    Ok(())
}
