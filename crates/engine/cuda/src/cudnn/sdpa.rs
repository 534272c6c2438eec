//! The graphs of causal attention, forward and backward, in the form that cuDNN fuses into one kernel each way.
//!
//! cuDNN 9.19 recognises attention by its pattern: the operations below, in this order, with these types of what lies
//! between them. They were recorded from NVIDIA's own graph builder (cudnn-frontend 1.32 against 9.19) for eight shapes:
//! MHA, GQA, GQA with window and sink, GQA with ragged sequences, each forward and backward. The calls that this file
//! causes are those, line for line; the one difference is that the backward graph with a sink numbers Kᵀ, Q and Vᵀ as
//! the other backward graphs do. `tests/cudnn/graphs.rs` holds digests of all eight.
//!
//! The math (FlashAttention-2, arXiv 2307.08691, section 2; sinks as in attention with one more column of scores):
//!
//! ```text
//! z = q kᵀ/√D, −∞ where key s is not visible to query t       visible: t − window ≤ s ≤ t
//! stats = max z + ln Σ exp(z − max z)                          with a sink: max and sum include it
//! p = exp(z − stats);  o = p v
//! δ = Σ do ∘ o  (over D);  dp = do vᵀ;  dz = p ∘ (dp − δ)
//! dv = pᵀ do;  dk = dzᵀ q/√D;  dq = dz k/√D
//! ```
//!
//! Limits: bf16 operands, binary32 statistics and scores; causal only; the head dim a multiple of 8; the gradient of a
//! sink is built as recorded, Σ exp(sink − stats)·δ, which is *minus* the derivative of the loss unless the kernel
//! negates it: nothing here uses it yet.

use super::api::{data, pointwise, reduce};
use super::graph::{ALIGNMENT_BYTES, Dims, Graph, Lengths, Pointwise, Storage, Tensor, TensorId};

/// Distances in elements; columns of a head are adjacent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Strides {
    /// From one sequence to the next.
    pub batch: usize,
    /// From one head to the next.
    pub head: usize,
    /// From one token to the next.
    pub row: usize,
}

/// Strides of all operands that are matrices per head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Layout {
    /// Queries, and their gradient.
    pub q: Strides,
    /// Keys, and their gradient.
    pub k: Strides,
    /// Values, and their gradient.
    pub v: Strides,
    /// Output, and its gradient.
    pub o: Strides,
}

/// What an attention is over. Plans are made for one shape and reused by every layer that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SdpaShape {
    /// B: sequences.
    pub batch: usize,
    /// H: query heads.
    pub heads: usize,
    /// K: key and value heads; divides H.
    pub kv_heads: usize,
    /// T: tokens per sequence, of queries and of keys.
    pub time: usize,
    /// D: columns per head.
    pub head_dim: usize,
    /// Key s is visible to query t if t − window ≤ s ≤ t; without it, if s ≤ t.
    pub window: Option<usize>,
    /// One more column of scores per head, whose value is a parameter and which attends to nothing.
    pub sink: bool,
    /// Sequences of different lengths: T is the longest, and offsets and lengths come with each launch.
    pub ragged: bool,
    /// Ask for a backward pass whose sums have a fixed order. cuDNN 9.19 pays with memory in the order of B·H·T².
    pub deterministic: bool,
    /// Where the operands are.
    pub layout: Layout,
}

/// A shape that cuDNN would take and compute wrongly, or not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plan attention over {shape}: {reason}")]
pub struct ShapeError {
    shape: String,
    reason: &'static str,
}

impl SdpaShape {
    /// Views of one row-major B×T×W buffer, W = (H + 2K)·D: queries at column 0, keys at H·D, values at (H + K)·D; the
    /// gradient in the same places of another one; the output B×T×(H·D).
    pub fn packed(batch: usize, time: usize, heads: usize, kv_heads: usize, head_dim: usize) -> SdpaShape {
        let rows = |row: usize| Strides { batch: time * row, head: head_dim, row };
        let (qkv, o) = (rows((heads + 2 * kv_heads) * head_dim), rows(heads * head_dim));
        SdpaShape {
            layout: Layout { q: qkv, k: qkv, v: qkv, o },
            ..SdpaShape::separate(batch, time, heads, kv_heads, head_dim)
        }
    }
    /// Each operand in its own row-major B×T×(heads·D) buffer.
    pub fn separate(batch: usize, time: usize, heads: usize, kv_heads: usize, head_dim: usize) -> SdpaShape {
        let rows =
            |heads: usize| Strides { batch: time * heads * head_dim, head: head_dim, row: heads * head_dim };
        let (q, k) = (rows(heads), rows(kv_heads));
        let layout = Layout { q, k, v: k, o: q };
        let (window, sink, ragged, deterministic) = (None, false, false, false);
        SdpaShape { batch, heads, kv_heads, time, head_dim, window, sink, ragged, deterministic, layout }
    }
    /// The same with a window.
    pub fn with_window(self, window: Option<usize>) -> SdpaShape {
        SdpaShape { window, ..self }
    }

    /// Columns at which queries, keys and values begin in a packed row.
    pub fn packed_columns(&self) -> [usize; 3] {
        [0, self.heads * self.head_dim, (self.heads + self.kv_heads) * self.head_dim]
    }
    /// Elements of the statistics, B×H×T.
    pub fn statistics(&self) -> usize {
        self.batch * self.heads * self.time
    }

    /// Whether cuDNN computes it, as far as can be said without asking: it checks neither alignment nor divisibility.
    pub fn check(&self) -> Result<(), ShapeError> {
        let Layout { q, k, v, o } = self.layout;
        let aligned = |strides: Strides| {
            [strides.batch, strides.head, strides.row].iter().all(|stride| stride * 2 % ALIGNMENT_BYTES == 0)
        };
        let sizes = [self.batch, self.heads, self.kv_heads, self.time, self.head_dim];
        let small = |n: usize| n <= i32::MAX as usize;
        let reason = if sizes.contains(&0) {
            "every size must be positive"
        } else if !self.heads.is_multiple_of(self.kv_heads) {
            "the number of key heads must divide the number of query heads"
        } else if !self.head_dim.is_multiple_of(8) || self.head_dim > 256 {
            "the head dim must be a multiple of 8, and at most 256"
        } else if ![q, k, v, o].into_iter().all(aligned) {
            "strides must be multiples of 8 elements"
        } else if !sizes.into_iter().all(small) || self.window.is_some_and(|window| window >= 1 << 24) {
            "a size is too large"
        } else if self.ragged && (q != o || k != v) {
            "ragged queries and outputs, and keys and values, share their offsets, so they need the same strides"
        } else {
            return Ok(());
        };
        Err(ShapeError { shape: self.to_string(), reason })
    }
}

impl std::fmt::Display for SdpaShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "B{} H{}:{} T{} D{}", self.batch, self.heads, self.kv_heads, self.time, self.head_dim)?;
        if let Some(window) = self.window {
            write!(f, " window {window}")?;
        }
        let marks = [(self.sink, " sink"), (self.ragged, " ragged"), (self.deterministic, " deterministic")];
        marks.iter().filter(|(present, _)| *present).try_for_each(|(_, mark)| f.write_str(mark))
    }
}

/// What is in device memory at a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operand {
    /// Queries, bf16.
    Q,
    /// Keys, bf16.
    K,
    /// Values, bf16.
    V,
    /// Output, bf16.
    O,
    /// ln Σ exp z per row, binary32 B×H×T.
    Statistics,
    /// The sinks, binary32 H.
    Sink,
    /// Gradient of the output, bf16.
    DO,
    /// Gradient of the queries, bf16.
    DQ,
    /// Gradient of the keys, bf16.
    DK,
    /// Gradient of the values, bf16.
    DV,
    /// Gradient of the sinks, binary32 H; see the module's head for its sign.
    DSink,
    /// δ, binary32 B×H×T; part of the workspace.
    RowSums,
    /// The gradient of the queries while it is being summed, binary32 B×H×T×D; part of the workspace.
    DQSum,
    /// First element of each sequence of queries and outputs, and the end of the last: int32 B+1.
    QueryOffsets,
    /// The same for keys and values.
    KeyOffsets,
    /// Tokens of each sequence of queries, int32 B.
    QueryLengths,
    /// Tokens of each sequence of keys, int32 B.
    KeyLengths,
}

/// A graph and the tensors of it that are in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct SdpaGraph {
    /// The graph.
    pub graph: Graph,
    /// The uid of each operand.
    pub operands: Vec<(Operand, i64)>,
}

/// The forward graph: q, k, v → o, statistics.
pub fn forward(shape: &SdpaShape) -> SdpaGraph {
    let inputs = if shape.ragged { 9 } else { 5 + usize::from(shape.sink) };
    let mut b = Builder::new(shape, inputs);
    let Layout { q, k, v, o } = shape.layout;
    let v = b.heads(Operand::V, Side::Key, v);
    let k = b.transposed(Operand::K, k);
    let q = b.heads(Operand::Q, Side::Query, q);
    let sink = shape.sink.then(|| b.sink(Operand::Sink));
    b.lengths();
    let statistics = b.rows_in_memory(Operand::Statistics);
    let o = b.heads(Operand::O, Side::Query, o);

    let scores = b.scores(q, k);
    let scores = b.padding(scores);
    let scores = b.causal(scores);
    let scores = b.window(scores);
    let p = b.inner(data::BFLOAT16, b.pairs());
    let softmax = match sink {
        None => b.softmax(scores, statistics),
        Some(sink) => b.softmax_with_sink(scores, sink, statistics),
    };
    b.graph.binary(pointwise::DIV, softmax.exponentials, softmax.sum, p);
    b.graph.matmul(p, v, o, Lengths { rows: b.query_lengths, inner: b.key_lengths, columns: None });
    b.done()
}

/// The backward graph: q, k, v, o, do, statistics → dq, dk, dv.
pub fn backward(shape: &SdpaShape) -> SdpaGraph {
    let inputs = if shape.ragged { 13 } else { 9 + 2 * usize::from(shape.sink) };
    let mut b = Builder::new(shape, inputs);
    let Layout { q, k, v, o } = shape.layout;
    let statistics = b.rows_in_memory(Operand::Statistics);
    let d_o = b.heads(Operand::DO, Side::Query, o);
    let o = b.heads(Operand::O, Side::Query, o);
    let (v_strides, k_strides, q_strides) = (v, k, q);
    let v = b.transposed(Operand::V, v_strides);
    let k = b.transposed(Operand::K, k_strides);
    let q = b.heads(Operand::Q, Side::Query, q_strides);
    let sink = shape.sink.then(|| b.sink(Operand::Sink));
    b.lengths();
    let d_v = b.heads(Operand::DV, Side::Key, v_strides);
    let d_k = b.heads(Operand::DK, Side::Key, k_strides);
    let d_q = b.heads(Operand::DQ, Side::Query, q_strides);
    let d_sink = shape.sink.then(|| b.sink(Operand::DSink));

    let row_sums = b.row_sums(d_o, o, statistics, sink.zip(d_sink));

    let scores = b.scores(q, k);
    let exponents = b.inner(data::FLOAT, b.pairs());
    b.graph.binary(pointwise::SUB, scores, statistics, exponents);
    let exponents = b.padding(exponents);
    let exponents = b.causal(exponents);
    let exponents = b.window(exponents);
    let p = b.unary(pointwise::EXP, exponents, b.pairs());
    b.key_gradient(p, d_o, d_v);

    let d_p = b.inner(data::FLOAT, b.pairs());
    b.graph.matmul(d_o, v, d_p, b.score_lengths());
    let difference = b.binary(pointwise::SUB, d_p, row_sums, b.pairs());
    let d_z = b.binary(pointwise::MUL, difference, p, b.pairs());
    let d_z = b.binary(pointwise::MUL, d_z, b.scale, b.pairs());
    b.key_gradient(d_z, q, d_k);
    b.query_gradient(d_z, k, d_q);
    b.done()
}

/// Whose tokens the rows of an operand are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Query,
    Key,
}

struct Softmax {
    exponentials: TensorId,
    sum: TensorId,
}

struct Builder<'a> {
    shape: &'a SdpaShape,
    graph: Graph,
    operands: Vec<(Operand, i64)>,
    /// The uid of the next operand; operands have the first ones.
    uid: i64,
    /// 1/√D.
    scale: TensorId,
    query_offsets: Option<TensorId>,
    key_offsets: Option<TensorId>,
    query_lengths: Option<TensorId>,
    key_lengths: Option<TensorId>,
}

/// Sizes and packed strides.
type Packed = (Dims, Dims);

impl<'a> Builder<'a> {
    /// The scale is described first, and its uid follows those of the `operands`.
    fn new(shape: &'a SdpaShape, operands: usize) -> Builder<'a> {
        let mut graph = Graph::default();
        let scale = graph.push(Tensor::scalar(operands as i64 + 1, 1.0 / (shape.head_dim as f32).sqrt()));
        Builder {
            shape,
            graph,
            operands: Vec::new(),
            uid: 1,
            scale,
            query_offsets: None,
            key_offsets: None,
            query_lengths: None,
            key_lengths: None,
        }
    }
    fn done(self) -> SdpaGraph {
        SdpaGraph { graph: self.graph, operands: self.operands }
    }

    // Sizes.

    fn sizes(&self) -> [i64; 5] {
        let SdpaShape { batch, heads, kv_heads, time, head_dim, .. } = *self.shape;
        [batch, heads, kv_heads, time, head_dim].map(|size| size as i64)
    }
    /// B×H×T×T.
    fn pairs(&self) -> Packed {
        let [b, h, _, t, _] = self.sizes();
        ([b, h, t, t], [h * t * t, t * t, t, 1])
    }
    /// B×H×T×1.
    fn rows(&self) -> Packed {
        let [b, h, _, t, _] = self.sizes();
        ([b, h, t, 1], [h * t, t, 1, 1])
    }
    /// B×H×T×D.
    fn query_heads(&self) -> Packed {
        let [b, h, _, t, d] = self.sizes();
        ([b, h, t, d], [h * t * d, t * d, d, 1])
    }

    // Operands, in memory.

    fn next_uid(&mut self, operand: Operand) -> i64 {
        self.operands.push((operand, self.uid));
        self.uid += 1;
        self.uid - 1
    }
    fn operand(&mut self, operand: Operand, dtype: i32, (dims, strides): Packed) -> TensorId {
        let uid = self.next_uid(operand);
        self.graph.push(Tensor { uid, dtype, dims, strides, storage: Storage::Memory, ragged: None })
    }
    fn matrix(&mut self, operand: Operand, side: Side, (dims, strides): Packed) -> TensorId {
        let uid = self.next_uid(operand);
        let ragged = self.shape.ragged.then(|| self.offsets(side));
        let dtype = data::BFLOAT16;
        self.graph.push(Tensor { uid, dtype, dims, strides, storage: Storage::Memory, ragged })
    }
    /// (B, heads, T, D).
    fn heads(&mut self, operand: Operand, side: Side, strides: Strides) -> TensorId {
        let [b, h, k, t, d] = self.sizes();
        let heads = if side == Side::Query { h } else { k };
        let Strides { batch, head, row } = strides;
        self.matrix(operand, side, ([b, heads, t, d], [batch as i64, head as i64, row as i64, 1]))
    }
    /// Keys and values as they stand in memory, with the last two dims exchanged: (B, K, D, T).
    fn transposed(&mut self, operand: Operand, strides: Strides) -> TensorId {
        let [b, _, k, t, d] = self.sizes();
        let Strides { batch, head, row } = strides;
        self.matrix(operand, Side::Key, ([b, k, d, t], [batch as i64, head as i64, 1, row as i64]))
    }
    /// One int32 per sequence, and one more; made when its first user is.
    fn offsets(&mut self, side: Side) -> TensorId {
        let known = if side == Side::Query { self.query_offsets } else { self.key_offsets };
        if let Some(offsets) = known {
            return offsets;
        }
        let [b, ..] = self.sizes();
        let operand = if side == Side::Query { Operand::QueryOffsets } else { Operand::KeyOffsets };
        let offsets = self.operand(operand, data::INT32, ([b + 1, 1, 1, 1], [1; 4]));
        *(if side == Side::Query { &mut self.query_offsets } else { &mut self.key_offsets }) = Some(offsets);
        offsets
    }
    fn lengths(&mut self) {
        if self.shape.ragged {
            let [b, ..] = self.sizes();
            let each = ([b, 1, 1, 1], [1; 4]);
            self.key_lengths = Some(self.operand(Operand::KeyLengths, data::INT32, each));
            self.query_lengths = Some(self.operand(Operand::QueryLengths, data::INT32, each));
        }
    }
    fn sink(&mut self, operand: Operand) -> TensorId {
        let [_, h, ..] = self.sizes();
        self.operand(operand, data::FLOAT, ([1, h, 1, 1], [h, 1, 1, 1]))
    }
    fn rows_in_memory(&mut self, operand: Operand) -> TensorId {
        self.operand(operand, data::FLOAT, self.rows())
    }
    /// Memory of the workspace: it has a uid among the values between operations.
    fn workspace(&mut self, operand: Operand, (dims, strides): Packed) -> TensorId {
        let id = self.graph.memory(data::FLOAT, dims, strides);
        self.operands.push((operand, self.graph.tensor(id).uid));
        id
    }

    // Values between operations.

    fn inner(&mut self, dtype: i32, (dims, strides): Packed) -> TensorId {
        self.graph.inner(dtype, dims, strides)
    }
    fn unary(&mut self, mode: i32, x: TensorId, size: Packed) -> TensorId {
        let y = self.inner(data::FLOAT, size);
        self.graph.unary(mode, x, y);
        y
    }
    fn binary(&mut self, mode: i32, x: TensorId, other: TensorId, size: Packed) -> TensorId {
        let y = self.inner(data::FLOAT, size);
        self.graph.binary(mode, x, other, y);
        y
    }
    fn reduced(&mut self, mode: i32, x: TensorId, size: Packed) -> TensorId {
        let y = self.inner(data::FLOAT, size);
        self.graph.reduce(mode, x, y);
        y
    }

    // Parts of both passes.

    fn score_lengths(&self) -> Lengths {
        Lengths { rows: self.query_lengths, columns: self.key_lengths, inner: None }
    }
    /// q kᵀ/√D.
    fn scores(&mut self, q: TensorId, k: TensorId) -> TensorId {
        let products = self.inner(data::FLOAT, self.pairs());
        self.graph.matmul(q, k, products, self.score_lengths());
        self.binary(pointwise::MUL, products, self.scale, self.pairs())
    }
    /// The index of each element along a dim: 2 counts queries, 3 counts keys.
    fn index(&mut self, axis: i64, compute: i32, x: TensorId, y: TensorId) {
        let (mode, axis) = (pointwise::GEN_INDEX, Some(axis));
        self.graph.pointwise(Pointwise { mode, compute, axis, x, b: None, test: None, y });
    }
    fn select(&mut self, x: TensorId, other: TensorId, test: TensorId, y: TensorId) {
        let (mode, b, test) = (pointwise::BINARY_SELECT, Some(other), Some(test));
        self.graph.pointwise(Pointwise { mode, compute: data::FLOAT, axis: None, x, b, test, y });
    }
    /// −∞ beyond the end of a sequence.
    fn padding(&mut self, x: TensorId) -> TensorId {
        let (Some(queries), Some(keys)) = (self.query_lengths, self.key_lengths) else { return x };
        let pairs = self.pairs();
        let [row, column] = [(); 2].map(|()| self.inner(data::INT32, pairs));
        let [row_is_real, column_is_real, both] = [(); 3].map(|()| self.inner(data::BOOLEAN, pairs));
        let masked_value = self.graph.scalar(f32::NEG_INFINITY);
        let y = self.inner(data::FLOAT, pairs);
        self.index(2, data::INT32, x, row);
        self.index(3, data::INT32, x, column);
        self.graph.compare(pointwise::CMP_LT, row, queries, row_is_real);
        self.graph.compare(pointwise::CMP_LT, column, keys, column_is_real);
        self.graph.compare(pointwise::LOGICAL_AND, row_is_real, column_is_real, both);
        self.select(x, masked_value, both, y);
        y
    }
    /// −∞ where the key comes after the query.
    fn causal(&mut self, x: TensorId) -> TensorId {
        let pairs = self.pairs();
        let masked_value = self.graph.scalar(f32::NEG_INFINITY);
        let y = self.inner(data::FLOAT, pairs);
        let [row, column] = [(); 2].map(|()| self.inner(data::INT32, pairs));
        let visible = self.inner(data::BOOLEAN, pairs);
        self.index(2, data::FLOAT, x, row);
        self.index(3, data::FLOAT, x, column);
        self.graph.compare(pointwise::CMP_GE, row, column, visible);
        self.select(x, masked_value, visible, y);
        y
    }
    /// −∞ where the key lies before the window.
    ///
    /// cuDNN's bound n keeps what has key + n > query: n keys with the query's own, so "window 128" of the recorded
    /// graphs is 128 keys. Ours keeps query − window ≤ key, which is key + (window + 1) > query: window + 1 keys. The
    /// bound is a binary32 number, exact below 2²⁴.
    fn window(&mut self, x: TensorId) -> TensorId {
        let reaches_all = |window: &usize| *window + 1 >= self.shape.time;
        let Some(window) = self.shape.window.filter(|window| !reaches_all(window)) else { return x };
        let pairs = self.pairs();
        let bound = self.graph.scalar((window + 1) as f32);
        let masked_value = self.graph.scalar(f32::NEG_INFINITY);
        let y = self.inner(data::FLOAT, pairs);
        let [row, column] = [(); 2].map(|()| self.inner(data::INT32, pairs));
        let reach = self.inner(data::FLOAT, pairs);
        let visible = self.inner(data::BOOLEAN, pairs);
        self.index(2, data::FLOAT, x, row);
        self.index(3, data::FLOAT, x, column);
        self.graph.binary(pointwise::ADD, column, bound, reach);
        self.graph.compare(pointwise::CMP_GT, reach, row, visible);
        self.select(x, masked_value, visible, y);
        y
    }

    // Forward.

    fn softmax(&mut self, scores: TensorId, statistics: TensorId) -> Softmax {
        let (pairs, rows) = (self.pairs(), self.rows());
        let max = self.reduced(reduce::MAX, scores, rows);
        let exponents = self.binary(pointwise::SUB, scores, max, pairs);
        let exponentials = self.unary(pointwise::EXP, exponents, pairs);
        let sum = self.reduced(reduce::ADD, exponentials, rows);
        let log = self.unary(pointwise::LOG, sum, rows);
        self.graph.binary(pointwise::ADD, max, log, statistics);
        Softmax { exponentials, sum }
    }
    /// The sink takes part in maximum and sum; no value belongs to it.
    fn softmax_with_sink(&mut self, scores: TensorId, sink: TensorId, statistics: TensorId) -> Softmax {
        let (pairs, rows) = (self.pairs(), self.rows());
        let [b, h, _, t, _] = self.sizes();
        // The sizes and strides that cuDNN's own builder gives to this maximum; it never exists in memory.
        let unreduced = ([b, h, t, t], [h * t * t, 1, t * h, h]);
        let max = self.reduced(reduce::MAX, scores, unreduced);
        let max = self.binary(pointwise::MAX, max, sink, rows);
        let exponents = self.binary(pointwise::SUB, scores, max, pairs);
        let exponentials = self.unary(pointwise::EXP, exponents, pairs);
        let sink = self.binary(pointwise::SUB, sink, max, rows);
        let sink = self.unary(pointwise::EXP, sink, rows);
        let sum = self.reduced(reduce::ADD, exponentials, rows);
        let sum = self.binary(pointwise::ADD, sum, sink, rows);
        let log = self.unary(pointwise::LOG, sum, rows);
        self.graph.binary(pointwise::ADD, max, log, statistics);
        Softmax { exponentials, sum }
    }

    // Backward.

    /// δ, and with a sink its gradient.
    fn row_sums(
        &mut self,
        d_o: TensorId,
        o: TensorId,
        statistics: TensorId,
        sink: Option<(TensorId, TensorId)>,
    ) -> TensorId {
        let ([b, h, _, t, d], rows) = (self.sizes(), self.rows());
        // Strides as recorded; it never exists in memory.
        let products = self.binary(pointwise::MUL, d_o, o, ([b, h, t, d], [h * t * d, t * d, h * d, 1]));
        let sums = self.reduced(reduce::ADD, products, rows);
        if let Some((sink, d_sink)) = sink {
            let exponents = self.binary(pointwise::SUB, sink, statistics, rows);
            let weights = self.unary(pointwise::EXP, exponents, rows);
            let parts = self.binary(pointwise::MUL, weights, sums, rows);
            self.graph.reduce(reduce::ADD, parts, d_sink);
        }
        // The kernel reads δ from memory; the product with one stands where dropout's scale would.
        let one = self.graph.scalar(1.0);
        let stored = self.workspace(Operand::RowSums, rows);
        self.graph.binary(pointwise::MUL, sums, one, stored);
        stored
    }
    /// weightsᵀ × rows, summed over the query heads of each key head.
    fn key_gradient(&mut self, weights: TensorId, rows: TensorId, gradient: TensorId) {
        let [b, h, k, t, d] = self.sizes();
        let transposed = self.inner(data::BFLOAT16, ([b, h, t, t], [h * t * t, t * t, 1, t]));
        self.graph.reshape(weights, transposed);
        let lengths = Lengths { rows: self.key_lengths, inner: self.query_lengths, columns: None };
        if h == k {
            self.graph.matmul(transposed, rows, gradient, lengths);
        } else {
            let per_query_head = self.inner(data::BFLOAT16, ([b, h, t, d], [h * t * d, t * d, d, 1]));
            self.graph.matmul(transposed, rows, per_query_head, lengths);
            self.graph.reduce(reduce::ADD, per_query_head, gradient);
        }
    }
    /// dz × k: summed in binary32 in the workspace, by atomic additions, and rounded; or, deterministic, all at once.
    fn query_gradient(&mut self, d_z: TensorId, k: TensorId, d_q: TensorId) {
        let Tensor { dims: [b, heads, d, t], strides: [batch, head, column, row], ragged, .. } =
            *self.graph.tensor(k);
        let keys = self.inner(data::FLOAT, ([b, heads, t, d], [batch, head, row, column]));
        self.graph.set_ragged(keys, ragged);
        self.graph.reshape(k, keys);
        let lengths = Lengths { rows: self.query_lengths, inner: self.key_lengths, columns: None };
        if self.shape.deterministic {
            self.graph.matmul(d_z, keys, d_q, lengths);
        } else {
            let sum = self.workspace(Operand::DQSum, self.query_heads());
            self.graph.matmul(d_z, keys, sum, lengths);
            self.graph.unary(pointwise::IDENTITY, sum, d_q);
        }
    }
}
