//! Attention as an op sees it: a shape in, launches with pointers out.
//!
//! One workspace per pass holds what cuDNN's kernels need and what the graph keeps in memory between its parts, at
//! multiples of 256 bytes:
//!
//! ```text
//! forward   [engine's own]
//! backward  [sum of dq, binary32 B×H×T×D][δ, binary32 B×H×T][engine's own]
//! ```
//!
//! The sum of dq need not be cleared: the engines of cuDNN 9.6 and newer do that themselves. One workspace serves all
//! layers, since a pass leaves nothing in it.

use super::api::RawStream;
use super::descriptor::{Cudnn, CudnnError, Handle, Target};
use super::graph::ALIGNMENT_BYTES;
use super::plan::{Binding, Plan, candidates, fastest};
use super::sdpa::{Operand, SdpaShape, backward, forward};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Parts of a workspace begin at multiples of this.
const PART_BYTES: usize = 256;

/// Device memory, by address.
pub type Pointer = u64;

/// Where ragged sequences are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequences {
    /// First element of each sequence in q, o and their gradients, and the end of the last: int32 B+1.
    pub query_offsets: Pointer,
    /// The same in k, v and their gradients.
    pub key_offsets: Pointer,
    /// Tokens of each sequence of queries: int32 B.
    pub query_lengths: Pointer,
    /// Tokens of each sequence of keys: int32 B.
    pub key_lengths: Pointer,
}

/// What a forward pass reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardPointers {
    /// Queries, bf16.
    pub q: Pointer,
    /// Keys, bf16.
    pub k: Pointer,
    /// Values, bf16.
    pub v: Pointer,
    /// Output, bf16; written.
    pub o: Pointer,
    /// ln Σ exp of the scaled scores of each row, binary32 B×H×T; written.
    pub statistics: Pointer,
    /// Sinks, binary32 H, where the shape has them.
    pub sink: Option<Pointer>,
    /// Where the shape is ragged.
    pub sequences: Option<Sequences>,
}

/// What a backward pass reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackwardPointers {
    /// What the forward pass had.
    pub forward: ForwardPointers,
    /// Gradient of the output, bf16.
    pub d_o: Pointer,
    /// Gradient of the queries, bf16; written.
    pub d_q: Pointer,
    /// Gradient of the keys, bf16; written.
    pub d_k: Pointer,
    /// Gradient of the values, bf16; written.
    pub d_v: Pointer,
    /// Gradient of the sinks, binary32 H; written where the shape has them.
    pub d_sink: Option<Pointer>,
}

impl ForwardPointers {
    /// Views of a packed B×T×W buffer, see [`SdpaShape::packed`].
    pub fn packed(shape: &SdpaShape, qkv: Pointer, o: Pointer, statistics: Pointer) -> ForwardPointers {
        let [q, k, v] = columns(shape, qkv);
        ForwardPointers { q, k, v, o, statistics, sink: None, sequences: None }
    }
    fn of(&self, operand: Operand) -> Option<Pointer> {
        match operand {
            Operand::Q => Some(self.q),
            Operand::K => Some(self.k),
            Operand::V => Some(self.v),
            Operand::O => Some(self.o),
            Operand::Statistics => Some(self.statistics),
            Operand::Sink => self.sink,
            Operand::QueryOffsets => self.sequences.map(|s| s.query_offsets),
            Operand::KeyOffsets => self.sequences.map(|s| s.key_offsets),
            Operand::QueryLengths => self.sequences.map(|s| s.query_lengths),
            Operand::KeyLengths => self.sequences.map(|s| s.key_lengths),
            _ => None,
        }
    }
}

impl BackwardPointers {
    /// Views of packed B×T×W buffers, see [`SdpaShape::packed`].
    pub fn packed(
        shape: &SdpaShape,
        forward: ForwardPointers,
        d_o: Pointer,
        d_qkv: Pointer,
    ) -> BackwardPointers {
        let [d_q, d_k, d_v] = columns(shape, d_qkv);
        BackwardPointers { forward, d_o, d_q, d_k, d_v, d_sink: None }
    }
    fn of(&self, operand: Operand) -> Option<Pointer> {
        match operand {
            Operand::DO => Some(self.d_o),
            Operand::DQ => Some(self.d_q),
            Operand::DK => Some(self.d_k),
            Operand::DV => Some(self.d_v),
            Operand::DSink => self.d_sink,
            operand => self.forward.of(operand),
        }
    }
}

/// Where q, k and v begin in a packed buffer of bf16.
fn columns(shape: &SdpaShape, buffer: Pointer) -> [Pointer; 3] {
    shape.packed_columns().map(|column| buffer + 2 * column as u64)
}

/// A pass over one shape: its plans, and how operands become bindings.
struct Pass {
    shape: SdpaShape,
    plans: Vec<Plan>,
    chosen: OnceLock<usize>,
    operands: Vec<(Operand, i64)>,
}

impl Pass {
    /// Bytes of the part of the workspace that is not the engine's.
    fn own_bytes(&self) -> usize {
        self.part_bytes(Operand::DQSum) + self.part_bytes(Operand::RowSums)
    }
    fn part_bytes(&self, part: Operand) -> usize {
        let rows = self.shape.statistics() * size_of::<f32>();
        let bytes = if part == Operand::DQSum { rows * self.shape.head_dim } else { rows };
        let present = self.operands.iter().any(|(operand, _)| *operand == part);
        if present { bytes.next_multiple_of(PART_BYTES) } else { 0 }
    }
    fn workspace_bytes(&self, plan: &Plan) -> usize {
        self.own_bytes() + plan.workspace_bytes
    }
    fn chosen(&self) -> &Plan {
        &self.plans[self.chosen.get().copied().unwrap_or(0)]
    }
    fn tune<E>(&self, mut measure: impl FnMut(&Plan) -> Result<f64, E>) -> Result<(), E> {
        if self.chosen.get().is_none() {
            let best = if self.plans.len() == 1 { 0 } else { fastest(&self.plans, &mut measure)? };
            // Two threads that measure the same shape at once agree on the first one's choice.
            let _ = self.chosen.set(best);
        }
        Ok(())
    }

    /// Pointers for the uids of the graph.
    fn bindings(
        &self,
        of: impl Fn(Operand) -> Option<Pointer>,
        workspace: Pointer,
    ) -> Result<Vec<Binding>, CudnnError> {
        let row_sums = workspace + self.part_bytes(Operand::DQSum) as u64;
        let bind = |(operand, uid): &(Operand, i64)| {
            let pointer = match operand {
                Operand::DQSum => Some(workspace),
                Operand::RowSums => Some(row_sums),
                other => of(*other),
            };
            let pointer =
                pointer.filter(|p| *p != 0).ok_or(CudnnError::Unbound { operand: title(*operand) })?;
            if pointer % ALIGNMENT_BYTES as u64 != 0 {
                return Err(CudnnError::Misaligned { operand: title(*operand) });
            }
            Ok((*uid, pointer))
        };
        self.operands.iter().map(bind).collect()
    }
}

fn title(operand: Operand) -> &'static str {
    match operand {
        Operand::Q => "q",
        Operand::K => "k",
        Operand::V => "v",
        Operand::O => "o",
        Operand::Statistics => "the statistics",
        Operand::Sink => "the sinks",
        Operand::DO => "the gradient of o",
        Operand::DQ => "the gradient of q",
        Operand::DK => "the gradient of k",
        Operand::DV => "the gradient of v",
        Operand::DSink => "the gradient of the sinks",
        Operand::RowSums | Operand::DQSum => "the workspace",
        Operand::QueryOffsets | Operand::KeyOffsets => "the offsets of the sequences",
        Operand::QueryLengths | Operand::KeyLengths => "the lengths of the sequences",
    }
}

/// The two passes differ in their graph and their pointers only.
macro_rules! pass {
    ($(#[$doc:meta])* $name:ident, $graph:path, $pointers:ty) => {
        $(#[$doc])*
        pub struct $name(Pass);

        impl $name {
            /// Makes every plan that cuDNN has for the shape; up to a second each.
            pub fn new(target: &Target, shape: SdpaShape) -> Result<$name, CudnnError> {
                shape.check()?;
                let made = $graph(&shape);
                let title = format!("attention {} {shape}", stringify!($graph));
                let plans = candidates(target, &made.graph, &title)?;
                Ok($name(Pass { shape, plans, chosen: OnceLock::new(), operands: made.operands }))
            }
            /// The shape.
            pub fn shape(&self) -> &SdpaShape {
                &self.0.shape
            }
            /// The plans, in the order of cuDNN's preference.
            pub fn candidates(&self) -> &[Plan] {
                &self.0.plans
            }
            /// Forgets the plans that need this many times the workspace of the first one, or more.
            pub fn limit_workspace(&mut self, times: f64) {
                let first = self.0.workspace_bytes(&self.0.plans[0]) as f64;
                let own = self.0.own_bytes();
                let mut index = 0;
                self.0.plans.retain(|plan| {
                    index += 1;
                    index == 1 || (((own + plan.workspace_bytes) as f64) < times * first)
                });
            }
            /// Workspace that is enough for a launch of any plan.
            pub fn workspace_bytes(&self) -> usize {
                self.0.plans.iter().map(|plan| self.0.workspace_bytes(plan)).max().unwrap_or(0)
            }
            /// The plan that [`Self::launch`] uses: the measured one, before that cuDNN's first.
            pub fn chosen(&self) -> &Plan {
                self.0.chosen()
            }
            /// Chooses the fastest plan, once: `measure` returns the time of a launch of the plan it is given.
            pub fn tune<E>(&self, measure: impl FnMut(&Plan) -> Result<f64, E>) -> Result<(), E> {
                self.0.tune(measure)
            }
            /// Queues the chosen plan on a stream, also on one that is being captured.
            ///
            /// # Safety
            /// The pointers are device memory as the shape describes it, the workspace has [`Self::workspace_bytes`],
            /// and all stay valid until the stream has passed this work; the stream's context is current on this thread.
            pub unsafe fn launch(&self, stream: RawStream, pointers: &$pointers, workspace: Pointer) -> Result<(), CudnnError> {
                // SAFETY: by this function's contract.
                unsafe { self.launch_with(self.chosen(), stream, pointers, workspace) }
            }
            /// The same with a plan of [`Self::candidates`].
            ///
            /// # Safety
            /// As [`Self::launch`].
            pub unsafe fn launch_with(
                &self,
                plan: &Plan,
                stream: RawStream,
                pointers: &$pointers,
                workspace: Pointer,
            ) -> Result<(), CudnnError> {
                let bindings = self.0.bindings(|operand| pointers.of(operand), workspace)?;
                // SAFETY: the bindings are those of the plan's graph; the rest is this function's contract.
                unsafe { plan.execute(stream, &bindings, workspace + self.0.own_bytes() as u64) }
            }
        }
    };
}

pass!(
    /// The forward pass: q, k, v → o, statistics.
    Forward,
    forward,
    ForwardPointers
);
pass!(
    /// The backward pass: q, k, v, o, do, statistics → dq, dk, dv, which are written, not added to.
    Backward,
    backward,
    BackwardPointers
);

/// Plans that need this many times the workspace of cuDNN's first choice are not worth a measurement.
const WORKSPACE_TIMES: f64 = 1.5;

/// Attention on one device: the passes of every shape that was asked for, each made once.
pub struct Attention {
    target: Target,
    forward: Mutex<BTreeMap<SdpaShape, Arc<Forward>>>,
    backward: Mutex<BTreeMap<SdpaShape, Arc<Backward>>>,
}

impl Attention {
    /// On the device whose context is current on this thread.
    pub fn new(cudnn: &Arc<Cudnn>) -> Result<Attention, CudnnError> {
        Ok(Attention::of(Target::Handle(Handle::new(cudnn)?)))
    }
    /// For a device that may only be described.
    pub fn of(target: Target) -> Attention {
        Attention { target, forward: Mutex::default(), backward: Mutex::default() }
    }
    /// The forward pass of a shape.
    pub fn forward(&self, shape: SdpaShape) -> Result<Arc<Forward>, CudnnError> {
        let mut known = self.forward.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&shape) {
            return Ok(found.clone());
        }
        let mut made = Forward::new(&self.target, shape)?;
        made.limit_workspace(WORKSPACE_TIMES);
        let made = Arc::new(made);
        known.insert(shape, made.clone());
        Ok(made)
    }
    /// The backward pass of a shape.
    pub fn backward(&self, shape: SdpaShape) -> Result<Arc<Backward>, CudnnError> {
        let mut known = self.backward.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(&shape) {
            return Ok(found.clone());
        }
        let mut made = Backward::new(&self.target, shape)?;
        made.limit_workspace(WORKSPACE_TIMES);
        let made = Arc::new(made);
        known.insert(shape, made.clone());
        Ok(made)
    }
}
