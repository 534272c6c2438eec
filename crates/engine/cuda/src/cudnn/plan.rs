//! From a graph to plans that can be executed: one per engine configuration that cuDNN proposes and can compile.
//!
//! The trick: cuDNN's first proposal is a guess, so all proposals of its heuristics are compiled, and the caller measures
//! them once per shape ([`fastest`]); those of its fallback mode only where there are no others. A plan is made once and
//! executed any number of times, also while a stream is being captured; it holds everything that it was made from.
//!
//! Not covered: knobs that no heuristic proposes. On 9.19 every value of every knob was tried for an H200: the engines
//! for it (2 forward, 6 backward) compile with the proposed one only; 1 and 7, for older devices, with some more.

use super::api::{RawStream, attr, heuristic, kind, ty};
use super::descriptor::{CudnnError, Descriptor, Descriptors, Target};
use super::graph::Graph;
use std::ffi::c_void;
use std::sync::Arc;

/// A compiled graph.
pub struct Plan {
    /// The engine and its knobs, as in `eng6_k24=26`.
    pub name: String,
    /// Device memory that an execution needs for itself.
    pub workspace_bytes: usize,
    // Destroyed in this order: the plan before what it was made from.
    plan: Descriptor,
    _config: Descriptor,
    graph: Arc<Described>,
}

/// A graph that cuDNN knows, shared by its plans.
struct Described {
    /// The last one is the graph, the others are its parts.
    descriptors: Vec<Descriptor>,
    scalars: Vec<(i64, f32)>,
    target: Target,
}

/// Device memory of a tensor: its uid, and where it begins.
pub type Binding = (i64, u64);

/// The plans that can be made of a graph, in the order of cuDNN's preference. `title` names the graph in errors.
pub fn candidates(target: &Target, graph: &Graph, title: &str) -> Result<Vec<Plan>, CudnnError> {
    let mut sink = Descriptors::new(target);
    graph.describe(&mut sink)?;
    let descriptors = sink.into_inner();
    let described = Arc::new(Described { descriptors, scalars: graph.scalars(), target: target.clone() });
    let mut plans: Vec<Plan> = Vec::new();
    let mut refusal = None;
    for mode in [heuristic::A, heuristic::B, heuristic::FALLBACK] {
        if mode == heuristic::FALLBACK && !plans.is_empty() {
            break;
        }
        let configs = match described.configs(mode) {
            Ok(configs) => configs,
            Err(error) => {
                refusal = Some(error);
                continue;
            }
        };
        for config in configs {
            let name = name(&config)?;
            if plans.iter().any(|plan| plan.name == name) {
                continue;
            }
            match described.compile(&config) {
                Ok((plan, workspace_bytes)) => {
                    let graph = described.clone();
                    plans.push(Plan { name, workspace_bytes, plan, _config: config, graph });
                }
                Err(error) => refusal = Some(error),
            }
        }
    }
    if plans.is_empty() {
        let reason = refusal.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(CudnnError::NoEngine { graph: title.to_owned(), reason });
    }
    Ok(plans)
}

/// The index of the candidate with the least time, as measured; a candidate that cannot be measured is none, unless none
/// can be.
pub fn fastest<E>(candidates: &[Plan], mut measure: impl FnMut(&Plan) -> Result<f64, E>) -> Result<usize, E> {
    let mut best: Option<(f64, usize)> = None;
    let mut failure = None;
    for (i, plan) in candidates.iter().enumerate() {
        match measure(plan) {
            Ok(time) if best.is_none_or(|(least, _)| time < least) => best = Some((time, i)),
            Ok(_) => {}
            Err(error) => failure = Some(error),
        }
    }
    match (best, failure) {
        (None, Some(error)) => Err(error),
        (best, _) => Ok(best.map_or(0, |(_, i)| i)),
    }
}

impl Described {
    fn graph(&self) -> &Descriptor {
        self.descriptors.last().expect("present, because a graph is described last")
    }
    /// The configurations that one of the heuristics proposes.
    fn configs(&self, mode: i32) -> Result<Vec<Descriptor>, CudnnError> {
        let mut heuristics = Descriptor::new(self.target.cudnn(), kind::ENGINEHEUR)?;
        heuristics.set_descriptors(attr::ENGINEHEUR_OPERATION_GRAPH, &[self.graph().raw()])?;
        // SAFETY: HEUR_MODE is an enum, which is int.
        unsafe { heuristics.set(attr::ENGINEHEUR_MODE, ty::HEUR_MODE, &[mode]) }?;
        if let Target::Described { properties, .. } = &self.target {
            heuristics.set_descriptors(attr::ENGINEHEUR_DEVICEPROP, &[properties.raw()])?;
        }
        heuristics.finalize("ask for engines")?;
        let count = heuristics.count(attr::ENGINEHEUR_RESULTS, ty::BACKEND_DESCRIPTOR)?;
        heuristics.descriptors(attr::ENGINEHEUR_RESULTS, kind::ENGINECFG, count)
    }
    /// A plan and its workspace.
    fn compile(&self, config: &Descriptor) -> Result<(Descriptor, usize), CudnnError> {
        let mut plan = Descriptor::new(self.target.cudnn(), kind::EXECUTION_PLAN)?;
        match &self.target {
            Target::Handle(handle) => {
                // SAFETY: HANDLE is a pointer.
                unsafe { plan.set(attr::EXECUTION_PLAN_HANDLE, ty::HANDLE, &[handle.raw()]) }?;
            }
            Target::Described { properties, .. } => {
                plan.set_descriptors(attr::EXECUTION_PLAN_DEVICEPROP, &[properties.raw()])?;
            }
        }
        plan.set_descriptors(attr::EXECUTION_PLAN_ENGINE_CONFIG, &[config.raw()])?;
        plan.finalize("compile a plan")?;
        let bytes = plan.number(attr::EXECUTION_PLAN_WORKSPACE_SIZE)?;
        Ok((plan, bytes.max(0) as usize))
    }
}

/// More knobs than an engine has. Their number cannot be asked for: cuDNN answers zero.
const MOST_KNOBS: usize = 64;

/// The engine of a configuration and its knobs.
fn name(config: &Descriptor) -> Result<String, CudnnError> {
    let engines = config.descriptors(attr::ENGINECFG_ENGINE, kind::ENGINE, 1)?;
    let mut name = "eng".to_owned();
    for engine in engines {
        name += &engine.number(attr::ENGINE_GLOBAL_INDEX)?.to_string();
    }
    for knob in config.descriptors(attr::ENGINECFG_KNOB_CHOICES, kind::KNOB_CHOICE, MOST_KNOBS)? {
        let mut key = [0_i32];
        // SAFETY: KNOB_TYPE is an enum, which is int.
        unsafe { knob.read(attr::KNOB_CHOICE_KNOB_TYPE, ty::KNOB_TYPE, &mut key) }?;
        name += &format!("_k{}={}", key[0], knob.number(attr::KNOB_CHOICE_KNOB_VALUE)?);
    }
    Ok(name)
}

impl Plan {
    /// Queues an execution on a stream. Plans for a described device cannot be executed.
    ///
    /// # Safety
    /// Every tensor of the graph that is in memory is bound to device memory of its size on the device of the plan's
    /// handle, the workspace has [`Plan::workspace_bytes`], and both stay valid until the stream has passed this work.
    /// The stream is one of that device, and its context is current on this thread.
    pub unsafe fn execute(
        &self,
        stream: RawStream,
        bindings: &[Binding],
        workspace: u64,
    ) -> Result<(), CudnnError> {
        let Target::Handle(handle) = &self.graph.target else {
            return Err(CudnnError::Unbound { operand: "a device" });
        };
        let pack = self.pack(bindings, workspace)?;
        // SAFETY: the plan was compiled with this handle; the rest is this function's contract. The scalars, which are
        // host memory, are read before the call returns.
        unsafe { handle.execute(stream, self.plan.raw(), pack.raw()) }
    }

    /// The pointers of one execution.
    fn pack(&self, bindings: &[Binding], workspace: u64) -> Result<Descriptor, CudnnError> {
        let scalars =
            self.graph.scalars.iter().map(|(uid, value)| (*uid, std::ptr::from_ref(value) as *mut c_void));
        let tensors = bindings.iter().map(|(uid, pointer)| (*uid, *pointer as *mut c_void));
        let (uids, pointers): (Vec<i64>, Vec<*mut c_void>) = tensors.chain(scalars).unzip();
        let mut pack = Descriptor::new(self.graph.target.cudnn(), kind::VARIANT_PACK)?;
        // SAFETY: INT64 is int64_t, VOID_PTR is a pointer; cuDNN copies the pointers themselves.
        unsafe {
            pack.set(attr::VARIANT_PACK_UNIQUE_IDS, ty::INT64, &uids)?;
            pack.set(attr::VARIANT_PACK_DATA_POINTERS, ty::VOID_PTR, &pointers)?;
            pack.set(attr::VARIANT_PACK_WORKSPACE, ty::VOID_PTR, &[workspace as *mut c_void])?;
        }
        pack.finalize("bind pointers")?;
        Ok(pack)
    }
}
