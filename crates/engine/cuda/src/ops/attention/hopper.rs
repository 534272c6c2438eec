//! Attention by the hand-written kernels for Hopper (kernels/attention), beside which the library was measured to take 9 to
//! 13% longer forward and 10 to 17% backward.
//!
//! The backward pass sums the gradient of the queries in binary32 with atomic additions: its last bits differ between runs,
//! unless the run asks for determinism; then the blocks of keys add in a fixed order, each waiting for its turn, which takes
//! 22 to 39% longer.
//!
//! Limits: compute capability 9.0, bf16, heads of 128 elements; sequences of any length.

use crate::driver::{Arguments, CudaError, Function, Memory, Pointer};
use crate::gemm::hopper::CAPABILITY;
use crate::gpu::Gpu;
use crate::launch::{Launch, NodeView, Operand};
use crate::ops::qk_norm_rope::Angles;
use crate::tensor_map::Map;
use wootz_ops::Attention;
use wootz_program::Cost;
use wootz_tensor::DType;

/// Sequences from which on the forward pass raises its reference by steps of eight powers of two, and not with every score: 0.97 of
/// the time at 65,536, 1.00 at 2,048, 1.02 at 1,024.
const LONG: usize = 16_384;
/// Elements of a head.
pub(crate) const HEAD: usize = 128;
/// Queries of a tile of the forward pass; keys of one of the backward pass.
const TILE: usize = 128;
/// Queries of a step of the backward pass.
const STEP: usize = 64;
const THREADS: u32 = 384;
const CONSUMER_WARPS: usize = 8;
/// Tiles that a multiprocessor gets, times those of each head that wait for the end: simulated, enough to leave 1.3% of the
/// time to the imbalance at 5 tiles each (8 sequences of 1,024, 10 heads), 0.5% at 20.
const EVENING: usize = 16;
const ROW_THREADS: u32 = 256;
/// Heads that a block of `attention_finish_rope` takes in turn, as in the kernel.
const FINISH_HEADS: usize = 4;
/// Its sums of a head and its angles, bytes.
const FINISH_SHARED: u32 = 32 << 10;
/// Its threads, which take half of a step's rows.
const FINISH_THREADS: u32 = 128;
/// Two stages of keys and values, two tiles of queries, 16 barriers, two numbers of tiles.
const FORWARD_SHARED: u32 = 4 * 32_768 + 4 * 16_384 + 16 * 8 + 8;
/// Keys and values of two tiles, two stages of queries and of dy, two ds, two stages of rows' figures, 16 barriers, two
/// tiles' names.
const BACKWARD_SHARED: u32 = 4 * 32_768 + 4 * 16_384 + 2 * 16_384 + 2 * 512 + 16 * 8 + 2 * 16;
/// The number of the next tile, and how many blocks are done.
const COUNTER_BYTES: usize = 8;

/// Whether the kernels take qkv of these dims.
pub(crate) fn takes(op: &Attention, dims: &[usize]) -> bool {
    Sizes::new(op, dims).is_some()
}

/// Sizes that the kernels take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    batch: usize,
    time: usize,
    heads: usize,
    kv_heads: usize,
    window: usize,
}

impl Sizes {
    /// Those of a node with these operands; none: it is the library's.
    pub(super) fn of(
        op: &Attention,
        node: &NodeView<'_>,
        qkv: &Operand,
        statistics: &[&Operand],
    ) -> Option<Sizes> {
        let able = node.gpu.device.properties.capability == CAPABILITY && !node.gpu.options.library_attention;
        let typed = |operand: &Operand| {
            let statistic = statistics.iter().any(|one| std::ptr::eq(*one, operand));
            operand.dtype == if statistic { DType::F32 } else { DType::BF16 }
        };
        let taken = able && node.inputs.iter().chain(&node.outputs).all(typed);
        Sizes::new(op, qkv.shape.dims()).filter(|_| taken)
    }

    fn new(op: &Attention, dims: &[usize]) -> Option<Sizes> {
        let &[batch, time, width] = dims else { return None };
        let (heads, kv_heads) = (op.heads, op.kv_heads);
        let window = op.window.unwrap_or(time).min(time);
        let sizes = Sizes { batch, time, heads, kv_heads, window };
        // Offsets inside of a tensor are 64-bit, numbers of tiles and rows 32-bit.
        let small =
            batch * heads * time.next_multiple_of(TILE) < 1 << 31 && batch < 1 << 16 && time < 1 << 30;
        (width == (heads + 2 * kv_heads) * HEAD && batch * time > 0 && small).then_some(sizes)
    }

    fn width(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * HEAD
    }
    /// Tiles of a head.
    fn blocks(&self) -> usize {
        self.time.div_ceil(TILE)
    }
    /// Steps of a query head; even, so that every tile of keys has two at least.
    fn steps(&self) -> usize {
        self.blocks() * (TILE / STEP)
    }
    /// Steps of all heads.
    fn all_steps(&self) -> usize {
        self.batch * self.heads * self.steps()
    }
    /// A block for every step of these heads.
    fn rows_grid(&self, heads: usize) -> [u32; 3] {
        [self.steps() as u32, heads as u32, self.batch as u32]
    }
    /// log-sum-exp and Σ dy·y of every query.
    fn rows_bytes(&self) -> usize {
        self.all_steps() * 2 * STEP * 4
    }
    /// Gradient of the queries in binary32.
    fn sums_bytes(&self) -> usize {
        self.all_steps() * STEP * HEAD * 4
    }
    /// Whose turn it is to add, for every warp of every step.
    fn turns_bytes(&self) -> usize {
        self.all_steps() * CONSUMER_WARPS * 4
    }
    /// Scratch memory of the backward pass.
    pub(super) fn scratch_bytes(&self) -> usize {
        self.rows_bytes() + self.sums_bytes()
    }
    /// Members (heads of all sequences) whose tiles are walked together: about as many as fill the device once, so that what
    /// they read stays in its cache.
    fn section(&self, multiprocessors: u32, members: usize) -> usize {
        let filling = (f64::from(multiprocessors) / self.blocks() as f64).round() as usize;
        filling.clamp(1, members)
    }
    /// Tiles of each member that wait until all sections are done: its shortest ones, and the fewer, the more tiles each
    /// multiprocessor gets. Without them the last section's longest tiles, which come first, end alone.
    fn deferred(&self, multiprocessors: u32, members: usize) -> usize {
        (EVENING * multiprocessors as usize).div_ceil(members * self.blocks()).min(self.blocks())
    }
    fn scale(&self) -> f64 {
        1.0 / (HEAD as f64).sqrt()
    }
    /// The parameter `Shape` of the kernels but its last words.
    fn words(&self, section: usize) -> Vec<u32> {
        let sizes = [self.batch, self.time, self.heads, self.kv_heads, self.window, section];
        let scale = (self.scale() as f32).to_bits();
        let group = self.heads / self.kv_heads;
        sizes.into_iter().map(|size| size as u32).chain([scale, group as u32]).collect()
    }
    fn forward_words(&self, multiprocessors: u32) -> Vec<u64> {
        let members = self.batch * self.heads;
        let mut words = self.words(self.section(multiprocessors, members));
        let deferred = self.deferred(multiprocessors, members);
        words.extend([self.blocks(), members * self.blocks(), deferred].map(|word| word as u32));
        paired(&words)
    }
    /// In order the last tiles are the longest, which must not wait any longer.
    fn backward_words(&self, multiprocessors: u32, ordered: bool) -> Vec<u64> {
        let members = self.batch * self.kv_heads;
        let mut words = self.words(self.section(multiprocessors, members));
        let deferred = if ordered { 0 } else { self.deferred(multiprocessors, members) };
        words
            .extend([self.blocks(), self.steps(), members * self.blocks(), deferred].map(|word| word as u32));
        paired(&words)
    }
    /// Rows of qkv or dqkv, in boxes of `rows`.
    fn packed(&self, gpu: &Gpu, pointer: Pointer, rows: u32) -> Result<[u64; 16], CudaError> {
        Map::sequences(pointer, [self.batch, self.time, self.width()], rows).encode(&gpu.device)
    }
    /// Rows of y or dy, in boxes of `rows`.
    fn heads_only(&self, gpu: &Gpu, pointer: Pointer, rows: u32) -> Result<[u64; 16], CudaError> {
        Map::sequences(pointer, [self.batch, self.time, self.heads * HEAD], rows).encode(&gpu.device)
    }
}

/// Words of 32 bits as they lie in memory.
fn paired(words: &[u32]) -> Vec<u64> {
    words
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | pair.get(1).map_or(0, |high| u64::from(*high) << 32))
        .collect()
}

/// `qkv -> y, lse`.
pub(super) fn forward(node: &NodeView<'_>, sizes: &Sizes) -> Result<Vec<Launch>, CudaError> {
    let (gpu, qkv, y, lse) = (node.gpu, node.input(0), node.output(0), node.output(1));
    let multiprocessors = multiprocessors(gpu);
    let counter = gpu.zeros(COUNTER_BYTES)?;
    let arguments = Arguments::new()
        .block(&sizes.packed(gpu, qkv.pointer, STEP as u32)?)
        .block(&sizes.packed(gpu, qkv.pointer, TILE as u32)?)
        .block(&sizes.heads_only(gpu, y.pointer, 16)?)
        .block(&sizes.forward_words(multiprocessors))
        .pointer(lse.pointer)
        .pointer(counter.pointer)
        .pointer(node.largest.unwrap_or(0));
    let mut macros: Vec<_> = node.largest.map(|_| ("LARGEST", "1".to_owned())).into_iter().collect();
    if sizes.time >= gpu.options.long_sequences.unwrap_or(LONG) {
        macros.extend([("SETTLE", "1".to_owned()), ("LAZY", "8".to_owned())]);
    }
    let function = node.function("attention", "attention", &macros)?;
    function.allow_shared(FORWARD_SHARED)?;
    let tiles = sizes.batch * sizes.heads * sizes.blocks();
    let grid = tiles.min(multiprocessors as usize) as u32;
    let main = Persistent { function, grid, shared_bytes: FORWARD_SHARED, arguments, states: vec![counter] };
    Ok(vec![main.launch("attention", node.cost)])
}

/// `dy, qkv, y, lse -> dqkv`; with the norm's factors, its scale and the angles, on through RoPE and norm.
pub(super) fn backward(
    node: &NodeView<'_>,
    sizes: &Sizes,
    rope: Option<(&Operand, f64, Angles)>,
) -> Result<Vec<Launch>, CudaError> {
    let ordered = node.gpu.options.deterministic;
    let rows = node.scratch.pointer;
    let sums = rows + sizes.rows_bytes() as Pointer;
    let mut launches =
        vec![prepare(node, sizes, ordered, rows, sums)?, main_backward(node, sizes, ordered, rows, sums)?];
    if let Some((rstd, scale, angles)) = rope {
        launches.push(finish_rope(node, sizes, sums, rstd, scale, angles)?);
    } else if !ordered {
        let dqkv = node.output(0);
        let arguments = Arguments::new()
            .pointer(sums)
            .pointer(dqkv.pointer)
            .i32(sizes.time)
            .i32(sizes.width())
            .f32(sizes.scale());
        let function = rows_function(node, "attention_finish", ordered)?;
        let grid = sizes.rows_grid(sizes.heads);
        let launch = Launch::kernel("attention finish", function, grid, [ROW_THREADS, 1, 1], 0, arguments);
        launches.push(launch.costs(moving(sizes.sums_bytes() + node.input(0).bytes())));
    }
    Ok(launches)
}

/// Σ dy·y and lse in the order that the main kernel reads them in, and sums at zero.
fn prepare(
    node: &NodeView<'_>,
    sizes: &Sizes,
    ordered: bool,
    rows: Pointer,
    sums: Pointer,
) -> Result<Launch, CudaError> {
    let (dy, y, lse) = (node.input(0), node.input(2), node.input(3));
    let arguments = Arguments::new()
        .pointer(dy.pointer)
        .pointer(y.pointer)
        .pointer(lse.pointer)
        .pointer(rows)
        .pointer(sums)
        .i32(sizes.time);
    let function = rows_function(node, "attention_prepare", ordered)?;
    let grid = sizes.rows_grid(sizes.heads);
    let launch = Launch::kernel("attention prepare", function, grid, [ROW_THREADS, 1, 1], 0, arguments);
    let cleared = if ordered { 0 } else { sizes.sums_bytes() };
    Ok(launch.costs(moving(dy.bytes() + y.bytes() + lse.bytes() + sizes.rows_bytes() + cleared)))
}

/// The gradient of queries and keys through RoPE and norm.
fn finish_rope(
    node: &NodeView<'_>,
    sizes: &Sizes,
    sums: Pointer,
    rstd: &Operand,
    scale: f64,
    angles: Angles,
) -> Result<Launch, CudaError> {
    let (qkv, dqkv) = (node.input(1), node.output(0));
    let arguments = Arguments::new()
        .pointer(sums)
        .pointer(dqkv.pointer)
        .pointer(qkv.pointer)
        .pointer(rstd.pointer)
        .pointer(angles.pointer)
        .i32(sizes.time)
        .i32(sizes.heads)
        .i32(sizes.heads + sizes.kv_heads)
        .i32(sizes.width())
        .f32(sizes.scale())
        .f32(scale)
        .pointer(node.largest.unwrap_or(0));
    let function = rows_function(node, "attention_finish_rope", false)?;
    function.allow_shared(FINISH_SHARED)?;
    function.prefer_shared()?;
    let [steps, sets, batch] = sizes.rows_grid((sizes.heads + sizes.kv_heads).div_ceil(FINISH_HEADS));
    let grid = [2 * steps, sets, batch];
    let launch = Launch::new("attention finish rope", move |stream| {
        let _held = &angles;
        function.launch(stream, grid, [FINISH_THREADS, 1, 1], FINISH_SHARED, &arguments)
    });
    // Of the packed rows, keys in, queries and keys of qkv in, both out.
    let head = qkv.bytes() / (sizes.heads + 2 * sizes.kv_heads);
    let heads = 2 * sizes.heads + 3 * sizes.kv_heads;
    Ok(launch.costs(moving(sizes.sums_bytes() + rstd.bytes() + head * heads)))
}

fn rows_function(node: &NodeView<'_>, name: &'static str, ordered: bool) -> Result<Function, CudaError> {
    let mut macros = vec![("CLEAR", u32::from(!ordered).to_string())];
    macros.extend(node.largest.map(|_| ("LARGEST", "1".to_owned())));
    node.function("attention_rows", name, &macros)
}

/// The cost of a launch that only moves bytes.
fn moving(bytes: usize) -> Cost {
    Cost { flops: 0, bytes: bytes as u64 }
}

fn main_backward(
    node: &NodeView<'_>,
    sizes: &Sizes,
    ordered: bool,
    rows: Pointer,
    sums: Pointer,
) -> Result<Launch, CudaError> {
    let (gpu, dy, qkv, dqkv) = (node.gpu, node.input(0), node.input(1), node.output(0));
    let multiprocessors = multiprocessors(gpu);
    let counter = gpu.zeros(COUNTER_BYTES)?;
    let turns = gpu.zeros(if ordered { sizes.turns_bytes() } else { 0 })?;
    let arguments = Arguments::new()
        .block(&sizes.packed(gpu, qkv.pointer, TILE as u32)?)
        .block(&sizes.packed(gpu, qkv.pointer, STEP as u32)?)
        .block(&sizes.heads_only(gpu, dy.pointer, STEP as u32)?)
        .block(&sizes.packed(gpu, dqkv.pointer, 16)?)
        .block(&sizes.backward_words(multiprocessors, ordered))
        .block(&[rows, sums, turns.pointer, counter.pointer, dqkv.pointer, node.largest.unwrap_or(0)]);
    let mut macros = vec![("ORDER", u32::from(ordered).to_string()), ("EARLY", "0".to_owned())];
    macros.extend(node.largest.map(|_| ("LARGEST", "1".to_owned())));
    if gpu.options.for_race_checkers {
        macros.push(("EVERY_LANE", "1".to_owned()));
    }
    let function = node.function("attention_backward", "attention_backward", &macros)?;
    function.allow_shared(BACKWARD_SHARED)?;
    let tiles = sizes.batch * sizes.kv_heads * sizes.blocks();
    let grid = tiles.min(multiprocessors as usize) as u32;
    // Of the sums of the queries' gradient no more is counted than the main kernel must write once.
    let bytes = qkv.bytes() + dy.bytes() + dqkv.bytes() + sizes.rows_bytes();
    let cost = Cost { flops: node.cost.flops, bytes: bytes as u64 };
    let shared_bytes = BACKWARD_SHARED;
    let main = Persistent { function, grid, shared_bytes, arguments, states: vec![counter, turns] };
    Ok(main.launch("attention backward", cost))
}

/// A kernel whose blocks take tiles from a counter.
struct Persistent {
    function: Function,
    grid: u32,
    shared_bytes: u32,
    arguments: Arguments,
    // Zero before the first launch, and every launch leaves zeros behind.
    states: Vec<Memory>,
}

impl Persistent {
    fn launch(self, name: &str, cost: Cost) -> Launch {
        let block = [THREADS, 1, 1];
        let launch =
            Launch::kernel(name, self.function, [self.grid, 1, 1], block, self.shared_bytes, self.arguments);
        launch.holding(self.states).costs(cost)
    }
}

/// Multiprocessors that blocks may stay on.
fn multiprocessors(gpu: &Gpu) -> u32 {
    let all = gpu.device.properties.multiprocessors;
    all - gpu.options.spare_multiprocessors.min(all / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(dims: [usize; 3], heads: usize, kv_heads: usize, window: Option<usize>) -> Option<Sizes> {
        Sizes::new(&Attention { heads, kv_heads, window }, &dims)
    }

    #[test]
    fn heads_of_128_are_taken_whatever_the_length() {
        let taken = sizes([2, 131, 3840], 10, 10, None).expect("heads of 128");
        assert_eq!((taken.window, taken.blocks(), taken.steps()), (131, 2, 4));
        assert_eq!(sizes([1, 40, 512], 2, 1, Some(7)).map(|s| s.window), Some(7));
        assert_eq!(sizes([2, 128, 384], 2, 2, None), None, "heads of 64");
    }

    #[test]
    fn words_are_those_of_the_notes() {
        let taken = sizes([16, 2048, 5 * 1024], 20, 10, Some(512)).expect("heads of 128");
        let scale = u64::from(0.088_388_346_f32.to_bits());
        let pair = |low: u64, high: u64| low | high << 32;
        // 132 multiprocessors hold 8 heads of 16 tiles.
        let shared = [pair(16, 2048), pair(20, 10), pair(512, 8), pair(scale, 2)];
        assert_eq!(taken.forward_words(132), [&shared[..], &[pair(16, 16 * 20 * 16), 1]].concat());
        let backward = |deferred| [&shared[..], &[pair(16, 32), pair(16 * 10 * 16, deferred)]].concat();
        assert_eq!(taken.backward_words(132, false), backward(1));
        assert_eq!(taken.backward_words(132, true), backward(0));
        assert_eq!(taken.scratch_bytes(), 16 * 20 * 32 * (512 + 32_768));
    }

    #[test]
    fn a_section_is_neither_empty_nor_larger_than_all() {
        let long = sizes([1, 65_536, 384], 1, 1, None).expect("heads of 128");
        assert_eq!(long.section(132, 1), 1);
        let short = sizes([2, 40, 384], 1, 1, None).expect("heads of 128");
        assert_eq!(short.section(132, 2), 2);
    }

    #[test]
    fn shared_memory_is_that_of_the_notes() {
        assert_eq!((FORWARD_SHARED, BACKWARD_SHARED), (196_744, 230_560));
    }
}
