//! Checks of memory plans, written without the planner's code: lifetimes are worked out anew from the nodes.

use wootz_program::{Node, Plan, Program, Role, Value};

/// Offsets are multiples of what GPUs ask of their operands, four cache lines.
const LINE: usize = 256;

/// What a plan that passed its check needs, and the least that any plan could need.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// The plan's arena, bytes.
    pub arena_bytes: usize,
    /// Largest sum of bytes, in whole lines, that live at one node: no plan with the same aliases needs less.
    pub lower_bound_bytes: usize,
}

impl Peak {
    /// Arena over lower bound; 1 is perfect.
    pub fn ratio(&self) -> f64 {
        self.arena_bytes.max(1) as f64 / self.lower_bound_bytes.max(1) as f64
    }
}

/// A stretch of the arena and the nodes during which it is taken.
struct Extent {
    what: String,
    value: Option<Value>,
    bytes: std::ops::Range<usize>,
    nodes: std::ops::RangeInclusive<usize>,
}

/// Checks that no two values that live at once share memory, other than an output on an input it may take over; that
/// every read follows a write; and that the arena ends where the highest extent ends.
pub fn check(program: &Program, plan: &Plan) -> Result<Peak, String> {
    let extents = extents(program, plan)?;
    for (i, a) in extents.iter().enumerate() {
        for b in &extents[i + 1..] {
            let meet = a.nodes.start() <= b.nodes.end() && b.nodes.start() <= a.nodes.end();
            let overlap = a.bytes.start < b.bytes.end && b.bytes.start < a.bytes.end;
            if meet && overlap && !takes_over(program, plan, a, b) && !takes_over(program, plan, b, a) {
                return Err(format!("{} at {:?} and {} at {:?} overlap", a.what, a.bytes, b.what, b.bytes));
            }
        }
    }
    let end = extents.iter().map(|e| e.bytes.end).max().unwrap_or(0);
    if plan.arena_bytes < end || plan.arena_bytes >= end + LINE {
        return Err(format!("the arena has {} bytes, the highest extent ends at {end}", plan.arena_bytes));
    }
    Ok(Peak { arena_bytes: plan.arena_bytes, lower_bound_bytes: lower_bound(program, plan, &extents) })
}

/// The plan that shares nothing: every value and every scratch has memory of its own. What runs differently under it
/// depends on memory that is not its own.
pub fn without_sharing(program: &Program, scratch_bytes: &dyn Fn(&Program, &Node) -> usize) -> Plan {
    let mut end = 0;
    let mut place = |bytes: usize| {
        let offset = end;
        end += bytes.next_multiple_of(LINE);
        offset
    };
    let mut offsets = vec![None; program.values.len()];
    for value in program.nodes.iter().flat_map(|node| &node.outputs) {
        let info = program.info(*value);
        if info.role == Role::Activation {
            offsets[value.index()] = Some(place(info.ty.bytes()));
        }
    }
    let needs = program.nodes.iter().map(|node| scratch_bytes(program, node));
    let scratch = needs.map(|bytes| (place(bytes), bytes)).collect();
    Plan { offsets, scratch, aliases: vec![None; program.values.len()], arena_bytes: end }
}

fn extents(program: &Program, plan: &Plan) -> Result<Vec<Extent>, String> {
    let mut lives: Vec<Option<(usize, usize)>> = vec![None; program.values.len()];
    for (i, node) in program.nodes.iter().enumerate() {
        for value in node.inputs.iter().filter(|v| program.info(**v).role == Role::Activation) {
            match &mut lives[value.index()] {
                Some((_, end)) => *end = i,
                None => return Err(format!("node {i} {:?} reads {value:?} before it is written", node.op)),
            }
        }
        for value in node.outputs.iter().filter(|v| program.info(**v).role == Role::Activation) {
            if lives[value.index()].replace((i, i)).is_some() {
                return Err(format!("node {i} writes {value:?} a second time"));
            }
        }
    }
    let mut extents = Vec::new();
    for (value, info) in program.iter_values() {
        let Some((begin, end)) = lives[value.index()] else { continue };
        let Some(offset) = plan.offsets[value.index()] else {
            return Err(format!("{value:?} has no place"));
        };
        extents.push(Extent {
            what: format!("{value:?} ({})", info.name),
            value: Some(value),
            bytes: offset..offset + info.ty.bytes(),
            nodes: begin..=end,
        });
    }
    extents.extend(plan.scratch.iter().enumerate().map(|(i, (offset, bytes))| Extent {
        what: format!("scratch of node {i}"),
        value: None,
        bytes: *offset..offset + bytes,
        nodes: i..=i,
    }));
    Ok(extents)
}

/// Whether `new` is written at the node where `old` is read for the last time and once only, the op allows the pair, and
/// both begin at the same place.
fn takes_over(program: &Program, plan: &Plan, old: &Extent, new: &Extent) -> bool {
    let (Some(input), Some(output)) = (old.value, new.value) else { return false };
    let i = *new.nodes.start();
    let node = &program.nodes[i];
    let place = |list: &[Value], v: Value| list.iter().position(|other| *other == v);
    let pair = (place(&node.outputs, output), place(&node.inputs, input));
    let (Some(o), Some(p)) = pair else { return false };
    let once = node.inputs.iter().filter(|v| **v == input).count() == 1;
    *old.nodes.end() == i
        && once
        && old.bytes == new.bytes
        && plan.aliases[output.index()] == Some(input)
        && node.op.in_place(node.inputs.len()).contains(&(o, p))
}

fn lower_bound(program: &Program, plan: &Plan, extents: &[Extent]) -> usize {
    let at = |i: usize| {
        let alive = extents.iter().filter(|e| e.nodes.contains(&i));
        let counted = alive.filter(|e| {
            // An output on its input's memory is counted once, as its input, at the node where they meet.
            let over = e.value.and_then(|v| plan.aliases[v.index()]);
            over.is_none() || *e.nodes.start() != i
        });
        counted.map(|e| e.bytes.len().next_multiple_of(LINE)).sum()
    };
    (0..program.nodes.len()).map(at).max().unwrap_or(0)
}
