//! What the graphs compute: attention, and its derivatives, on packed rows.

use super::interpreter::{Memory, run};
use std::collections::BTreeMap;
use wootz_cuda::cudnn::SdpaShape;
use wootz_cuda::cudnn::sdpa::{Operand, SdpaGraph, backward, forward};

/// Attention by its definition.
fn attend(shape: &SdpaShape, qkv: &[f64], sinks: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let SdpaShape { batch, heads, kv_heads, time, head_dim, .. } = *shape;
    let row = (heads + 2 * kv_heads) * head_dim;
    let (mut y, mut lse) = (vec![0.0; batch * time * heads * head_dim], vec![0.0; batch * heads * time]);
    for (b, h, t) in cells([batch, heads, time]) {
        let kv_head = h * kv_heads / heads;
        let at = |s: usize, column: usize| &qkv[(b * time + s) * row + column * head_dim..][..head_dim];
        let first = shape.window.map_or(0, |window| t.saturating_sub(window));
        let score = |s: usize| -> f64 {
            let products = at(t, h).iter().zip(at(s, heads + kv_head)).map(|(q, k)| q * k);
            products.sum::<f64>() / (head_dim as f64).sqrt()
        };
        let scores: Vec<f64> = (first..=t).map(score).collect();
        let sink = if shape.sink { sinks[h].exp() } else { 0.0 };
        let sum = scores.iter().map(|z| z.exp()).sum::<f64>() + sink;
        lse[(b * heads + h) * time + t] = sum.ln();
        for (s, z) in (first..=t).zip(&scores) {
            let into = &mut y[((b * time + t) * heads + h) * head_dim..][..head_dim];
            for (y, v) in into.iter_mut().zip(at(s, heads + kv_heads + kv_head)) {
                *y += z.exp() / sum * v;
            }
        }
    }
    (y, lse)
}

fn cells([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |i| (i / (b * c), i / c % b, i % c))
}

/// Numbers in (−1, 1) that look random.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1_u32 << 30) - 1.0
    };
    (0..count).map(next).collect()
}

/// Memory with these operands, one after the other; those that are not named are zeros of a size that is enough.
fn memory(graph: &SdpaGraph, shape: &SdpaShape, named: &[(Operand, &[f64])], packed: [&[f64]; 2]) -> Memory {
    let mut memory = Memory { cells: Vec::new(), starts: BTreeMap::new() };
    let qkv_start = [0, packed[0].len()];
    memory.cells.extend(packed.concat());
    let columns = shape.packed_columns();
    for (operand, uid) in &graph.operands {
        let column = match operand {
            Operand::Q => Some(columns[0]),
            Operand::K => Some(columns[1]),
            Operand::V => Some(columns[2]),
            Operand::DQ => Some(qkv_start[1] + columns[0]),
            Operand::DK => Some(qkv_start[1] + columns[1]),
            Operand::DV => Some(qkv_start[1] + columns[2]),
            _ => None,
        };
        let start = column.unwrap_or(memory.cells.len());
        if column.is_none() {
            match named.iter().find(|(name, _)| name == operand) {
                Some((_, values)) => memory.cells.extend_from_slice(values),
                None => memory.cells.resize(start + shape.statistics() * shape.head_dim, 0.0),
            }
        }
        memory.starts.insert(*uid, start);
    }
    memory
}

fn read(memory: &Memory, graph: &SdpaGraph, operand: Operand, count: usize) -> Vec<f64> {
    let uid = graph.operands.iter().find(|(name, _)| *name == operand).unwrap().1;
    memory.cells[memory.starts[&uid]..][..count].to_vec()
}

fn close(what: &str, found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < 1e-6, "{what}[{i}] is {found}, not {expected}");
    }
}

fn check(shape: SdpaShape) {
    let SdpaShape { batch, heads, kv_heads, time, head_dim, .. } = shape;
    let elements = batch * time * (heads + 2 * kv_heads) * head_dim;
    let (qkv, sinks) = (noise(elements, 1), noise(heads, 2));
    let (y, lse) = attend(&shape, &qkv, &sinks);

    let graph = forward(&shape);
    let mut found = memory(&graph, &shape, &[(Operand::Sink, &sinks)], [&qkv, &[]]);
    run(&graph.graph, &mut found);
    close("y", &read(&found, &graph, Operand::O, y.len()), &y);
    close("lse", &read(&found, &graph, Operand::Statistics, lse.len()), &lse);

    let dy = noise(y.len(), 3);
    let loss = |qkv: &[f64], sinks: &[f64]| -> f64 {
        attend(&shape, qkv, sinks).0.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    let step = 1e-4;
    let derivative = |values: &[f64], i: usize, loss: &dyn Fn(&[f64]) -> f64| {
        let moved = |by: f64| {
            let mut values = values.to_vec();
            values[i] += by;
            loss(&values)
        };
        (moved(step) - moved(-step)) / (2.0 * step)
    };
    let graph = backward(&shape);
    let named =
        [(Operand::Sink, &sinks[..]), (Operand::Statistics, &lse), (Operand::O, &y), (Operand::DO, &dy)];
    let mut found = memory(&graph, &shape, &named, [&qkv, &vec![f64::NAN; elements]]);
    run(&graph.graph, &mut found);
    let dqkv: Vec<f64> = (0..elements).map(|i| derivative(&qkv, i, &|qkv| loss(qkv, &sinks))).collect();
    close("dqkv", &found.cells[elements..2 * elements], &dqkv);
    if shape.sink {
        let minus: Vec<f64> =
            (0..heads).map(|i| -derivative(&sinks, i, &|sinks| loss(&qkv, sinks))).collect();
        close("minus the gradient of the sinks", &read(&found, &graph, Operand::DSink, heads), &minus);
    }
}

#[test]
fn the_graphs_are_attention_and_its_derivatives() {
    let packed = |heads, kv_heads| SdpaShape::packed(2, 5, heads, kv_heads, 8);
    check(packed(3, 3));
    check(packed(4, 2));
    check(SdpaShape { deterministic: true, ..packed(4, 2) });
    check(packed(2, 1).with_window(Some(0)));
    check(packed(2, 1).with_window(Some(2)));
    check(packed(2, 2).with_window(Some(4)));
    check(SdpaShape { sink: true, ..packed(4, 2).with_window(Some(1)) });
}
