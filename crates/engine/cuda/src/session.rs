//! Loaded programs: every node a list of launches, every program one graph.
//!
//! Memory is taken once: one block of everything that persists, and one arena, as large as the largest plan. The first run
//! of a program queues its launches one by one, which lets libraries finish their lazy set-up; the second records them as a
//! graph, and from then on a run is one launch.

use crate::driver::{CudaError, Event, Graph, Memory, Pinned, Pointer, Stream};
use crate::gpu::Gpu;
use crate::launch::{Launch, NodeView, Operand, Scratch};
use crate::{convert, fp8, ops, parts};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use wootz_program::{
    BackendError, MemoryUse, Node, Parts, Planned, Program, Role, Session, Span, Type, Value,
};
use wootz_tensor::{DType, HostTensor};

/// Persistent values and scratch begin at multiples of this.
const ALIGN: usize = 256;

pub(crate) struct CudaSession {
    // Graphs and launches go before the memory that they use.
    programs: Vec<Loaded>,
    staging: Mutex<BTreeMap<String, Staging>>,
    persistent: BTreeMap<String, Persistent>,
    copies: BTreeMap<String, String>,
    cast: BTreeSet<String>,
    limits: BTreeMap<String, i32>,
    _values: Memory,
    arena: Memory,
    values_bytes: usize,
    stream: Arc<Stream>,
    gpu: Arc<Gpu>,
}

struct Loaded {
    launches: Vec<Launch>,
    /// What casts weights, and need not run again until they change.
    casts: Vec<Launch>,
    /// Whether they have changed.
    stale: bool,
    /// Whether a run changes them.
    changes: bool,
    graph: Option<Graph>,
    warm: bool,
}

struct Persistent {
    ty: Type,
    pointer: Pointer,
}

/// Two pinned buffers, so that the host fills one while the other is copied.
struct Staging {
    buffers: [(Pinned, Event); 2],
    next: usize,
}

impl CudaSession {
    pub(crate) fn load(gpu: Arc<Gpu>, programs: Vec<Planned>) -> Result<CudaSession, BackendError> {
        gpu.device.bind().map_err(BackendError::from)?;
        let layout = Layout::of(&programs)?;
        let arena_bytes = programs.iter().map(|p| p.plan.arena_bytes).max().unwrap_or(0);
        let values = Memory::allocate(&gpu.device, layout.bytes)?;
        let arena = Memory::allocate(&gpu.device, arena_bytes)?;
        let stream = Arc::new(Stream::new(&gpu.device)?);
        let persistent: BTreeMap<String, Persistent> = layout
            .values
            .into_iter()
            .map(|(name, (ty, offset))| (name, Persistent { ty, pointer: values.pointer + offset as u64 }))
            .collect();
        let mut session = CudaSession {
            programs: Vec::new(),
            staging: Mutex::default(),
            copies: layout.copies,
            cast: programs.iter().flat_map(|p| cast_weights(&p.program)).collect(),
            limits: limits(&programs),
            persistent,
            _values: values,
            arena,
            values_bytes: layout.bytes,
            stream,
            gpu,
        };
        session.noise()?;
        for planned in &programs {
            let (mut launches, mut casts) = (Vec::new(), Vec::new());
            for (i, node) in planned.program.nodes.iter().enumerate() {
                let keeps = fp8::keeps(&planned.program, node);
                let list = if keeps { &mut casts } else { &mut launches };
                list.extend(session.compile(planned, i, node)?);
            }
            let changes = changes(&planned.program, &session.cast);
            session.programs.push(Loaded { launches, casts, stale: true, changes, graph: None, warm: false });
        }
        // What was timed while compiling has written here.
        session.stream.fill(session._values.pointer, 0, session.values_bytes)?;
        session.stream.synchronize()?;
        Ok(session)
    }

    /// Random numbers everywhere: choices that are timed while compiling are timed on something like real data.
    fn noise(&self) -> Result<(), CudaError> {
        for (pointer, bytes) in
            [(self._values.pointer, self.values_bytes), (self.arena.pointer, self.arena.bytes)]
        {
            crate::noise::fill(&self.gpu, &self.stream, pointer, bytes)?;
        }
        self.stream.synchronize()
    }

    fn compile(&self, planned: &Planned, i: usize, node: &Node) -> Result<Vec<Launch>, BackendError> {
        let code = ops::code(&*node.op).ok_or_else(|| BackendError::MissingKernel {
            op: node.op.name().to_owned(),
            backend: self.gpu.device.properties.name.clone(),
        })?;
        let program = &planned.program;
        let (offset, bytes) = planned.plan.scratch[i];
        let place = |value: &Value| self.operand(planned, *value);
        let view = NodeView {
            gpu: &self.gpu,
            op: node.op.name(),
            inputs: node.inputs.iter().map(place).collect(),
            outputs: node.outputs.iter().map(place).collect(),
            scratch: Scratch { pointer: self.arena.pointer + offset as u64, bytes },
            cost: node.op.cost(&program.input_types(node), &program.output_types(node)),
            largest: None,
        };
        let needed = code.scratch_bytes(&view)?;
        if needed > bytes {
            return Err(BackendError::Scratch { op: node.op.name(), planned: bytes, needed });
        }
        Ok(code.compile(&view)?)
    }

    fn operand(&self, planned: &Planned, value: Value) -> Operand {
        let info = planned.program.info(value);
        let pointer = match planned.plan.offsets[value.index()] {
            Some(offset) => {
                let end = offset + info.ty.bytes();
                assert!(end <= self.arena.bytes, "the plan places {end} bytes in {}", self.arena.bytes);
                self.arena.pointer + offset as u64
            }
            None => self.persistent[&info.name].pointer,
        };
        let read = info.role != Role::Activation
            || planned.program.nodes.iter().any(|node| node.inputs.contains(&value));
        Operand { pointer, shape: info.ty.shape.clone(), dtype: info.ty.dtype, read }
    }

    fn find(&self, name: &str) -> Result<&Persistent, BackendError> {
        self.persistent.get(name).ok_or_else(|| BackendError::UnknownValue { name: name.to_owned() })
    }

    fn check_ids(&self, name: &str, tensor: &HostTensor) -> Result<(), BackendError> {
        let (Some(limit), Ok(ids)) = (self.limits.get(name), tensor.as_i32()) else { return Ok(()) };
        match ids.iter().find(|id| **id >= *limit || **id < -1) {
            None => Ok(()),
            Some(id) => Err(BackendError::BadInput {
                op: "embedding".to_owned(),
                reason: format!("{name} holds the id {id}, the table has {limit} rows"),
            }),
        }
    }

    /// Before a run: casts the weights that have changed. After it those that it changes will have.
    fn cast_weights(&mut self, index: usize) -> Result<(), CudaError> {
        let loaded = &mut self.programs[index];
        if loaded.stale {
            loaded.casts.iter().try_for_each(|launch| launch.run(&self.stream))?;
            loaded.stale = false;
        }
        if loaded.changes {
            self.programs.iter_mut().for_each(|loaded| loaded.stale = true);
        }
        Ok(())
    }

    /// Copies bytes to a value.
    fn put(&self, name: &str, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        if bytes.len() <= STAGED_BYTES {
            return self.stage(name, to, bytes);
        }
        self.stream.upload(to, bytes)?;
        self.stream.synchronize()
    }

    /// Copies bytes to a value through pinned memory, so that the host does not wait for the stream.
    fn stage(&self, name: &str, to: Pointer, bytes: &[u8]) -> Result<(), CudaError> {
        let mut known = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains_key(name) {
            let device = &self.gpu.device;
            let buffer = || Ok::<_, CudaError>((Pinned::allocate(device, bytes.len())?, Event::new(device)?));
            known.insert(name.to_owned(), Staging { buffers: [buffer()?, buffer()?], next: 0 });
        }
        let staging = known.get_mut(name).expect("present, because it was inserted above");
        let (pinned, copied) = &mut staging.buffers[staging.next];
        staging.next = 1 - staging.next;
        copied.synchronize()?;
        pinned.bytes()[..bytes.len()].copy_from_slice(bytes);
        self.stream.upload(to, &pinned.bytes()[..bytes.len()])?;
        copied.record(&self.stream)
    }
}

impl Loaded {
    fn run(&mut self, stream: &Stream) -> Result<(), CudaError> {
        let launches = &self.launches;
        if !self.warm {
            launches.iter().try_for_each(|launch| launch.run(stream))?;
            self.warm = true;
            return Ok(());
        }
        if self.graph.is_none() {
            self.graph = Some(stream.capture(|| launches.iter().try_for_each(|launch| launch.run(stream)))?);
        }
        match &self.graph {
            Some(graph) => graph.launch(stream),
            None => Ok(()),
        }
    }
}

impl Session for CudaSession {
    fn write(&mut self, name: &str, tensor: &HostTensor) -> Result<(), BackendError> {
        self.gpu.device.bind()?;
        let value = self.find(name)?;
        let actual = Type { shape: tensor.shape().clone(), dtype: tensor.dtype() };
        let same_kind = (value.ty.dtype == DType::I32) == (actual.dtype == DType::I32);
        if value.ty.shape != actual.shape || !same_kind {
            return Err(mismatch(name, &value.ty, &actual));
        }
        self.check_ids(name, tensor)?;
        let (pointer, dtype) = (value.pointer, value.ty.dtype);
        let copy = self.copies.get(name).cloned();
        if [Some(name), copy.as_deref()].into_iter().flatten().any(|name| self.cast.contains(name)) {
            self.programs.iter_mut().for_each(|loaded| loaded.stale = true);
        }
        let Some(copy) = copy else {
            return Ok(self.put(name, pointer, &convert::to_device(tensor, dtype))?);
        };
        let [upper, lower] = match dtype {
            DType::BF16 => convert::halves(tensor),
            whole => [DType::BF16, whole].map(|dtype| convert::to_device(tensor, dtype)),
        };
        self.put(name, pointer, &lower)?;
        Ok(self.put(&copy, self.find(&copy)?.pointer, &upper)?)
    }

    fn read(&self, name: &str) -> Result<HostTensor, BackendError> {
        let value = self.find(name)?;
        let download = |value: &Persistent| {
            let mut bytes = vec![0; value.ty.bytes()];
            self.stream.download(&mut bytes, value.pointer).map(|()| bytes)
        };
        let bytes = download(value)?;
        let data = match self.copies.get(name) {
            Some(copy) if value.ty.dtype == DType::BF16 => {
                convert::joined(&download(self.find(copy)?)?, &bytes)
            }
            _ => convert::to_host(&bytes, value.ty.dtype),
        };
        HostTensor::new(value.ty.shape.clone(), data).map_err(|_| mismatch(name, &value.ty, &value.ty))
    }

    fn run(&mut self, index: usize) -> Result<(), BackendError> {
        self.gpu.device.bind()?;
        self.cast_weights(index)?;
        self.programs[index].run(&self.stream)?;
        Ok(())
    }

    fn synchronize(&mut self) -> Result<(), BackendError> {
        Ok(self.stream.synchronize()?)
    }

    fn trace(&mut self, index: usize) -> Result<Vec<Span>, BackendError> {
        self.gpu.device.bind()?;
        self.cast_weights(index)?;
        let launches = &self.programs[index].launches;
        let events = (0..=launches.len())
            .map(|_| Event::new(&self.gpu.device))
            .collect::<Result<Vec<Event>, CudaError>>()?;
        let queue = |record: &dyn Fn(&Event) -> Result<(), CudaError>| {
            record(&events[0])?;
            launches.iter().zip(&events[1..]).try_for_each(|(launch, passed)| {
                launch.run(&self.stream)?;
                record(passed)
            })
        };
        self.stream.synchronize()?;
        // As a graph, as in training: queued one by one, short kernels would be timed at the speed of the host. What cannot be
        // captured is queued all the same.
        let replayed = self.programs[index]
            .warm
            .then(|| self.stream.capture(|| queue(&|event: &Event| event.record_in_graph(&self.stream))));
        match &replayed {
            Some(Ok(graph)) => graph.launch(&self.stream)?,
            _ => queue(&|event: &Event| event.record(&self.stream))?,
        }
        self.stream.synchronize()?;
        let mut spans = Vec::with_capacity(launches.len());
        for (i, launch) in launches.iter().enumerate() {
            spans.push(Span {
                name: launch.name.clone(),
                begin_seconds: events[i].seconds_since(&events[0])?,
                seconds: events[i + 1].seconds_since(&events[i])?,
                flops: launch.cost.flops,
                bytes: launch.cost.bytes,
            });
        }
        Ok(spans)
    }

    fn time_parts(&mut self, index: usize) -> Result<Option<Parts>, BackendError> {
        self.gpu.device.bind()?;
        self.cast_weights(index)?;
        let stream = &self.stream;
        // The second run records the graph.
        (0..2).try_for_each(|_| self.programs[index].run(stream))?;
        let Loaded { launches, graph: Some(graph), .. } = &self.programs[index] else { return Ok(None) };
        Ok(Some(parts::time(&self.gpu, stream, launches, |stream| graph.launch(stream))?))
    }

    fn memory(&self) -> MemoryUse {
        MemoryUse { persistent_bytes: self.values_bytes, arena_bytes: self.arena.bytes }
    }
}

/// Larger values are written rarely, and need no pinned memory of their own.
const STAGED_BYTES: usize = 8 << 20;

fn mismatch(name: &str, expected: &Type, actual: &Type) -> BackendError {
    BackendError::Mismatch {
        name: name.to_owned(),
        expected: expected.to_string(),
        actual: actual.to_string(),
    }
}

/// Places of the persistent values.
struct Layout {
    values: BTreeMap<String, (Type, usize)>,
    /// Compute copies by the name of their parameter.
    copies: BTreeMap<String, String>,
    bytes: usize,
}

impl Layout {
    /// Groups of packed weights stand together, in their order; everything else follows by name.
    fn of(programs: &[Planned]) -> Result<Layout, BackendError> {
        let mut types: BTreeMap<String, Type> = BTreeMap::new();
        for (_, info) in programs.iter().flat_map(|p| p.program.iter_values()) {
            if info.role == Role::Activation {
                continue;
            }
            match types.get(&info.name) {
                Some(known) if *known != info.ty => return Err(mismatch(&info.name, known, &info.ty)),
                _ => types.insert(info.name.clone(), info.ty.clone()),
            };
        }
        let mut layout = Layout { values: BTreeMap::new(), copies: BTreeMap::new(), bytes: 0 };
        for group in programs.iter().flat_map(|p| packed_groups(&p.program)).collect::<BTreeSet<_>>() {
            layout.bytes = layout.bytes.next_multiple_of(ALIGN);
            for name in &group {
                layout.place(name, &types[name]);
            }
        }
        for (name, ty) in &types {
            if !layout.values.contains_key(name) {
                layout.bytes = layout.bytes.next_multiple_of(ALIGN);
                layout.place(name, ty);
            }
            if let Some(parameter) = name.strip_prefix(crate::lower::COPY) {
                layout.copies.insert(parameter.to_owned(), name.clone());
            }
        }
        layout.bytes = layout.bytes.next_multiple_of(ALIGN);
        Ok(layout)
    }
    fn place(&mut self, name: &str, ty: &Type) {
        if self.values.insert(name.to_owned(), (ty.clone(), self.bytes)).is_none() {
            self.bytes += ty.bytes();
        }
    }
}

/// Names of the weights whose casts persist.
fn cast_weights(program: &Program) -> Vec<String> {
    let keeping = program.nodes.iter().filter(|node| fp8::keeps(program, node));
    keeping.flat_map(|node| &node.inputs).map(|value| program.info(*value).name.clone()).collect()
}

/// Whether a program changes any of these values.
fn changes(program: &Program, names: &BTreeSet<String>) -> bool {
    let changed = |node: &Node| node.op.updates().into_iter().map(|i| node.inputs[i]).collect::<Vec<_>>();
    program.nodes.iter().flat_map(changed).any(|value| names.contains(&program.info(value).name))
}

/// Names of the weights, and of the gradients, of products with several weights.
fn packed_groups(program: &Program) -> Vec<Vec<String>> {
    let names = |node: &Node, from: usize, count: usize| {
        node.inputs[from..from + count].iter().map(|v| program.info(*v).name.clone()).collect::<Vec<_>>()
    };
    let group = |node: &Node| {
        let op = node.op.as_any();
        let (from, count) = if let Some(op) = op.downcast_ref::<wootz_ops::Linear>() {
            (1, op.weights)
        } else if let Some(op) = op.downcast_ref::<wootz_ops::LinearInputGradient>() {
            (1, op.weights)
        } else if let Some(op) = op.downcast_ref::<wootz_ops::LinearWeightGradient>() {
            (2, op.weights)
        } else if let Some(op) = op.downcast_ref::<fp8::Quantize>() {
            (0, op.matrices)
        } else if let Some(op) = op.downcast_ref::<fp8::WeightGradientFp8>() {
            (4, op.weights)
        } else {
            return None;
        };
        (count > 1).then(|| names(node, from, count))
    };
    program.nodes.iter().filter_map(group).collect()
}

/// For the name of each input of ids: the number of rows of the table they lead to.
fn limits(programs: &[Planned]) -> BTreeMap<String, i32> {
    let mut limits = BTreeMap::new();
    for program in programs.iter().map(|p| &p.program) {
        for node in &program.nodes {
            let ids = node.inputs.iter().map(|v| program.info(*v)).find(|info| info.ty.dtype == DType::I32);
            let table = node
                .inputs
                .iter()
                .map(|v| program.info(*v))
                .find(|info| info.role == Role::Parameter && info.ty.shape.dims().len() == 2);
            let looks_up = matches!(node.op.name(), "embedding" | "value_gate" | "linear_cross_entropy");
            if let (true, Some(ids), Some(table)) = (looks_up, ids, table) {
                let rows = table.ty.shape.dims()[0] as i32;
                let limit = limits.entry(ids.name.clone()).or_insert(rows);
                *limit = rows.min(*limit);
            }
        }
    }
    limits
}
