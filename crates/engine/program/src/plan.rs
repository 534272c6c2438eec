//! The memory plan: every activation gets a place in one arena.
//!
//! Lifetimes come from the order of execution. An output takes over the memory of an input that dies at the same node
//! where the op allows it. What is left is packed by size, largest first, each at the lowest offset that is free for
//! its whole life (Pisarchyk & Lee, "Efficient Memory Management for Deep Neural Net Inference", arXiv 2001.03288,
//! greedy by size). Scratch memory of a node is one more buffer that lives at that node only.

use crate::{Node, Program, Role, Value};

/// Offsets in the arena are multiples of this many bytes: cache lines, and what vector loads and matrix libraries of GPUs ask
/// of their operands.
const ALIGN: usize = 256;

/// Where every activation of a program lives.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Offset of each value in the arena, bytes; none for persistent and unused values.
    pub offsets: Vec<Option<usize>>,
    /// Offset and size of each node's scratch memory, bytes.
    pub scratch: Vec<(usize, usize)>,
    /// For each value: the input whose memory it took over.
    pub aliases: Vec<Option<Value>>,
    /// Size of the arena: the peak of all activations and scratch, bytes.
    pub arena_bytes: usize,
}

/// Lays a program out. `scratch_bytes` is the backend's need of scratch memory for a node.
pub fn plan(program: &Program, scratch_bytes: &dyn Fn(&Program, &Node) -> usize) -> Plan {
    let lives = lifetimes(program);
    let aliases = alias_in_place(program, &lives);
    let mut buffers = Vec::new();
    let mut buffer_of: Vec<Option<usize>> = vec![None; program.values.len()];
    for node in &program.nodes {
        for value in &node.outputs {
            let Some((begin, end)) = lives[value.index()] else { continue };
            match aliases[value.index()].and_then(|input: Value| buffer_of[input.index()]) {
                Some(shared) => {
                    let buffer: &mut Buffer = &mut buffers[shared];
                    buffer.end = buffer.end.max(end);
                    buffer_of[value.index()] = Some(shared);
                }
                None => {
                    buffer_of[value.index()] = Some(buffers.len());
                    buffers.push(Buffer { bytes: program.info(*value).ty.bytes(), begin, end, offset: 0 });
                }
            }
        }
    }
    let first_scratch = buffers.len();
    let needs: Vec<usize> = program.nodes.iter().map(|node| scratch_bytes(program, node)).collect();
    buffers.extend(needs.iter().enumerate().map(|(i, n)| Buffer { bytes: *n, begin: i, end: i, offset: 0 }));
    let arena_bytes = pack(&mut buffers);
    Plan {
        offsets: buffer_of.iter().map(|b| b.map(|b| buffers[b].offset)).collect(),
        scratch: needs.iter().enumerate().map(|(i, n)| (buffers[first_scratch + i].offset, *n)).collect(),
        aliases,
        arena_bytes,
    }
}

struct Buffer {
    bytes: usize,
    begin: usize,
    end: usize,
    offset: usize,
}

/// First and last node of each activation's life.
fn lifetimes(program: &Program) -> Vec<Option<(usize, usize)>> {
    let mut lives = vec![None; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        for value in &node.outputs {
            if program.info(*value).role == Role::Activation {
                lives[value.index()] = Some((i, i));
            }
        }
        for value in &node.inputs {
            if let Some((_, end)) = &mut lives[value.index()] {
                *end = i;
            }
        }
    }
    lives
}

fn alias_in_place(program: &Program, lives: &[Option<(usize, usize)>]) -> Vec<Option<Value>> {
    let mut aliases = vec![None; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        let mut taken = Vec::new();
        for (output, input) in node.op.in_place(node.inputs.len()) {
            let (output, input) = (
                node.outputs[output],
                match node.inputs.get(input) {
                    Some(input) => *input,
                    None => continue,
                },
            );
            let dies = lives[input.index()].is_some_and(|(_, end)| end == i);
            let fits = program.info(output).ty.bytes() == program.info(input).ty.bytes();
            let free = aliases[output.index()].is_none() && !taken.contains(&input);
            // A value in two places would be overwritten in one while it is read in the other.
            let once = node.inputs.iter().filter(|v| **v == input).count() == 1;
            if dies && fits && free && once && lives[output.index()].is_some() {
                aliases[output.index()] = Some(input);
                taken.push(input);
            }
        }
    }
    aliases
}

/// Gives every buffer an offset such that no two that live at once overlap; returns the end of the highest.
fn pack(buffers: &mut [Buffer]) -> usize {
    let mut order: Vec<usize> = (0..buffers.len()).filter(|i| buffers[*i].bytes > 0).collect();
    order.sort_by_key(|i| (std::cmp::Reverse(buffers[*i].bytes), buffers[*i].begin, *i));
    let mut placed: Vec<usize> = Vec::with_capacity(order.len());
    let mut peak = 0;
    for i in order {
        let (begin, end, bytes) =
            (buffers[i].begin, buffers[i].end, buffers[i].bytes.next_multiple_of(ALIGN));
        let mut offset = 0;
        // `placed` is sorted by offset: the first gap that is long enough is the lowest.
        for other in placed.iter().map(|p| &buffers[*p]).filter(|o| o.begin <= end && begin <= o.end) {
            if other.offset >= offset + bytes {
                break;
            }
            offset = offset.max(other.offset + other.bytes.next_multiple_of(ALIGN));
        }
        buffers[i].offset = offset;
        peak = peak.max(offset + bytes);
        let at = placed.partition_point(|p| buffers[*p].offset <= offset);
        placed.insert(at, i);
    }
    peak
}
