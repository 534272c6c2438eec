//! Loaded programs: every node a kernel with its operands' addresses, resolved once.

use crate::io::{Io, Slot};
use crate::memory::Block;
use crate::ops::{self, AngleTables, Kernel};
use crate::real::Real;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;
use wootz_mesh::World;
use wootz_program::{BackendError, Cost, MemoryUse, Node, Planned, Role, Session, Span, Type, Value};
use wootz_tensor::{DType, HostTensor};

pub(crate) struct CpuSession<T> {
    persistent: BTreeMap<String, Persistent>,
    arena: Block,
    arena_bytes: usize,
    programs: Vec<Vec<Launch<T>>>,
    pool: Arc<rayon::ThreadPool>,
    tables: AngleTables,
    world: World,
    poison: bool,
}

struct Persistent {
    ty: Type,
    block: Block,
}

struct Launch<T> {
    op: &'static str,
    cost: Cost,
    kernel: Kernel<T>,
    io: Io<T>,
}

impl<T> Launch<T> {
    fn run(&self) -> Result<(), BackendError> {
        (self.kernel)(&self.io).map_err(|reason| BackendError::BadInput { op: self.op.to_owned(), reason })
    }
}

impl<T: Real> CpuSession<T> {
    pub(crate) fn load(
        programs: Vec<Planned>,
        fast: bool,
        poison: bool,
        pool: Arc<rayon::ThreadPool>,
        world: World,
        backend: String,
    ) -> Result<CpuSession<T>, BackendError> {
        let planned = programs.iter().map(|p| p.plan.arena_bytes).max().unwrap_or(0);
        let arena_bytes = planned * width::<T>();
        let mut session = CpuSession {
            persistent: BTreeMap::new(),
            arena: Block::zeroed(arena_bytes),
            arena_bytes,
            programs: Vec::new(),
            pool,
            tables: AngleTables::default(),
            world,
            poison,
        };
        for planned in &programs {
            session.allocate(planned)?;
            let launches = planned.program.nodes.iter().enumerate();
            let launches = launches.map(|(i, node)| session.launch(planned, i, node, fast, &backend));
            let launches = launches.collect::<Result<_, _>>()?;
            session.programs.push(launches);
        }
        Ok(session)
    }

    fn allocate(&mut self, planned: &Planned) -> Result<(), BackendError> {
        for (_, info) in planned.program.iter_values().filter(|(_, i)| i.role != Role::Activation) {
            match self.persistent.get(&info.name) {
                Some(known) if known.ty != info.ty => return Err(mismatch(&info.name, &known.ty, &info.ty)),
                Some(_) => {}
                None => {
                    let block = Block::zeroed(info.ty.shape.len() * element_bytes::<T>(info.ty.dtype));
                    self.persistent.insert(info.name.clone(), Persistent { ty: info.ty.clone(), block });
                }
            }
        }
        Ok(())
    }

    fn launch(
        &self,
        planned: &Planned,
        i: usize,
        node: &Node,
        fast: bool,
        backend: &str,
    ) -> Result<Launch<T>, BackendError> {
        let fast_kernel = if fast { T::fast(&*node.op, &self.tables) } else { None };
        let kernel = fast_kernel.or_else(|| ops::reference::<T>(&*node.op));
        let kernel = kernel.or_else(|| ops::collective::<T>(&*node.op, &self.world)).ok_or_else(|| {
            BackendError::MissingKernel { op: node.op.name().to_owned(), backend: backend.to_owned() }
        })?;
        let (offset, bytes) = planned.plan.scratch[i];
        let io = Io {
            inputs: node.inputs.iter().map(|v| self.slot(planned, *v)).collect(),
            outputs: node.outputs.iter().map(|v| self.slot(planned, *v)).collect(),
            scratch: Slot {
                start: self.place(offset, bytes),
                len: bytes / 4,
                shape: wootz_tensor::Shape::scalar(),
                dtype: DType::F32,
            },
            elements: PhantomData,
        };
        let program = &planned.program;
        let cost = node.op.cost(&program.input_types(node), &program.output_types(node));
        Ok(Launch { op: node.op.name(), cost, kernel, io })
    }

    fn slot(&self, planned: &Planned, value: Value) -> Slot {
        let info = planned.program.info(value);
        let start = match planned.plan.offsets[value.index()] {
            Some(offset) => self.place(offset, info.ty.bytes()),
            None => self.persistent[&info.name].block.at(0),
        };
        Slot { start, len: info.ty.shape.len(), shape: info.ty.shape.clone(), dtype: info.ty.dtype }
    }

    /// Where a planned stretch of the arena begins.
    fn place(&self, offset: usize, bytes: usize) -> *mut u8 {
        let end = (offset + bytes) * width::<T>();
        assert!(end <= self.arena_bytes, "the plan places {end} bytes in an arena of {}", self.arena_bytes);
        self.arena.at(offset * width::<T>())
    }

    fn find(&self, name: &str) -> Result<&Persistent, BackendError> {
        self.persistent.get(name).ok_or_else(|| BackendError::UnknownValue { name: name.to_owned() })
    }
}

impl<T: Real> Session for CpuSession<T> {
    fn write(&mut self, name: &str, tensor: &HostTensor) -> Result<(), BackendError> {
        let value = self.find(name)?;
        let actual = Type { shape: tensor.shape().clone(), dtype: tensor.dtype() };
        let same_kind = (value.ty.dtype == DType::I32) == (actual.dtype == DType::I32);
        if value.ty.shape != actual.shape || !same_kind {
            return Err(mismatch(name, &value.ty, &actual));
        }
        let (start, len) = (value.block.at(0), actual.shape.len());
        if let Ok(integers) = tensor.as_i32() {
            // SAFETY: the block holds `len` i32; `&mut self` excludes a run.
            unsafe { std::slice::from_raw_parts_mut(start.cast::<i32>(), len) }.copy_from_slice(integers);
            return Ok(());
        }
        // SAFETY: the block holds `len` elements of T; `&mut self` excludes a run.
        let to = unsafe { std::slice::from_raw_parts_mut(start.cast::<T>(), len) };
        T::copy_from(tensor, to).map_err(|_| mismatch(name, &value.ty, &actual))
    }

    fn read(&self, name: &str) -> Result<HostTensor, BackendError> {
        let value = self.find(name)?;
        let (start, len) = (value.block.at(0), value.ty.shape.len());
        let data = if value.ty.dtype == DType::I32 {
            // SAFETY: the block holds `len` i32; `&self` excludes a run, which takes `&mut self`.
            wootz_tensor::Data::I32(unsafe { std::slice::from_raw_parts(start.cast::<i32>(), len) }.to_vec())
        } else {
            // SAFETY: as above, with elements of T.
            T::data(unsafe { std::slice::from_raw_parts(start.cast::<T>(), len) }.to_vec())
        };
        HostTensor::new(value.ty.shape.clone(), data).map_err(|_| mismatch(name, &value.ty, &value.ty))
    }

    fn run(&mut self, index: usize) -> Result<(), BackendError> {
        if self.poison {
            let len = self.arena_bytes / size_of::<T>();
            // SAFETY: the arena is exclusive here and holds at least `len` elements.
            unsafe { std::slice::from_raw_parts_mut(self.arena.at(0).cast::<T>(), len) }.fill(T::NAN);
        }
        let launches = &self.programs[index];
        self.pool.install(|| launches.iter().try_for_each(Launch::run))
    }

    fn trace(&mut self, index: usize) -> Result<Vec<Span>, BackendError> {
        let launches = &self.programs[index];
        let began = Instant::now();
        self.pool.install(|| {
            let timed = launches.iter().map(|launch| {
                let begin_seconds = began.elapsed().as_secs_f64();
                launch.run()?;
                let seconds = began.elapsed().as_secs_f64() - begin_seconds;
                let (name, flops, bytes) = (launch.op.to_owned(), launch.cost.flops, launch.cost.bytes);
                Ok(Span { name, begin_seconds, seconds, flops, bytes })
            });
            timed.collect()
        })
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse {
            persistent_bytes: self.persistent.values().map(|p| p.block.bytes()).sum(),
            arena_bytes: self.arena_bytes,
        }
    }
}

/// How many times wider than binary32 an element is: plans are made for binary32.
fn width<T>() -> usize {
    size_of::<T>() / 4
}

fn element_bytes<T>(dtype: DType) -> usize {
    match dtype {
        DType::I32 => 4,
        DType::F32 | DType::F64 | DType::BF16 => size_of::<T>(),
    }
}

fn mismatch(name: &str, expected: &Type, actual: &Type) -> BackendError {
    BackendError::Mismatch {
        name: name.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }
}
