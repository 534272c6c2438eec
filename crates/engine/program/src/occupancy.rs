//! What holds the memory of a plan at its peak, for people who look for what to keep no longer.

use crate::{Node, Plan, Program, Role, Value};
use std::collections::BTreeMap;

/// The arena at the node with the most bytes alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupancy {
    /// Op of the node.
    pub op: &'static str,
    /// Its place among the nodes.
    pub node: usize,
    /// Bytes alive there, scratch memory included.
    pub live_bytes: usize,
    /// Size of the arena; what it has beyond `live_bytes` is lost to gaps.
    pub arena_bytes: usize,
    /// What lives there, largest first.
    pub held: Vec<Held>,
}

/// Tensors of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The op that made them, with the weight that it read, and their type: `linear mlp.c_proj bf16[1×2048×768]`.
    pub what: String,
    /// How many.
    pub count: usize,
    /// Bytes of all.
    pub bytes: usize,
}

/// Looks at a plan's peak.
pub fn occupancy(program: &Program, plan: &Plan) -> Occupancy {
    let buffers = buffers(program, plan);
    let mut live: Vec<usize> = plan.scratch.iter().map(|(_, bytes)| *bytes).collect();
    for buffer in buffers.values() {
        live[buffer.begin..=buffer.end].iter_mut().for_each(|bytes| *bytes += buffer.bytes);
    }
    // The first of equals.
    let node = (0..live.len()).rev().max_by_key(|node| live[*node]).unwrap_or(0);
    let mut held: BTreeMap<String, Held> = BTreeMap::new();
    let mut add = |what: String, bytes: usize| {
        let entry = held.entry(what.clone()).or_insert(Held { what, count: 0, bytes: 0 });
        entry.count += 1;
        entry.bytes += bytes;
    };
    for buffer in buffers.values().filter(|b| (b.begin..=b.end).contains(&node)) {
        // Of those that took over one another's memory, the one that is there.
        let there = buffer.values.iter().rfind(|(made, _)| *made <= node);
        if let Some((made, value)) = there {
            let name = label(program, &program.nodes[*made]);
            add(format!("{name} {}", program.info(*value).ty), buffer.bytes);
        }
    }
    let scratch = plan.scratch.get(node).map_or(0, |(_, bytes)| *bytes);
    if scratch > 0 {
        add(format!("scratch of {}", label(program, &program.nodes[node])), scratch);
    }
    let mut held: Vec<Held> = held.into_values().collect();
    held.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.what.cmp(&b.what)));
    Occupancy {
        op: program.nodes.get(node).map_or("", |node| node.op.name()),
        node,
        live_bytes: live.get(node).copied().unwrap_or(0),
        arena_bytes: plan.arena_bytes,
        held,
    }
}

/// Memory that values took over from one another.
struct Buffer {
    bytes: usize,
    begin: usize,
    end: usize,
    /// The node that made each of them, in order.
    values: Vec<(usize, Value)>,
}

/// By the first of their values.
fn buffers(program: &Program, plan: &Plan) -> BTreeMap<Value, Buffer> {
    let mut buffers: BTreeMap<Value, Buffer> = BTreeMap::new();
    let mut first: BTreeMap<Value, Value> = BTreeMap::new();
    for (i, node) in program.nodes.iter().enumerate() {
        for value in &node.inputs {
            if let Some(buffer) = first.get(value).and_then(|root| buffers.get_mut(root)) {
                buffer.end = i;
            }
        }
        for value in node.outputs.iter().filter(|v| program.info(**v).role == Role::Activation) {
            let root = plan.aliases[value.index()].and_then(|input| first.get(&input)).copied();
            let root = root.unwrap_or(*value);
            first.insert(*value, root);
            let bytes = program.info(*value).ty.bytes();
            let buffer =
                buffers.entry(root).or_insert(Buffer { bytes, begin: i, end: i, values: Vec::new() });
            buffer.end = i;
            buffer.values.push((i, *value));
        }
    }
    buffers
}

/// An op with the weight that it reads, without the number of its layer.
fn label(program: &Program, node: &Node) -> String {
    let mut infos = node.inputs.iter().map(|v| program.info(*v));
    let name = node.op.name();
    let weight = infos.find(|info| {
        info.name.ends_with(".weight") && matches!(info.role, Role::Parameter | Role::State | Role::Gradient)
    });
    match weight {
        None => name.to_owned(),
        Some(info) => {
            let parts: Vec<&str> = info.name.split('.').collect();
            let layer = parts.iter().position(|part| part.bytes().all(|b| b.is_ascii_digit()));
            let part = &parts[layer.map_or(0, |at| at + 1)..parts.len() - 1];
            format!("{name} {}", part.join("."))
        }
    }
}
