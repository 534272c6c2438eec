//! Computes an operation graph in binary64, one operation after the other, as cuDNN's documentation defines them.

use std::collections::BTreeMap;
use wootz_cuda::cudnn::api::{pointwise, reduce};
use wootz_cuda::cudnn::graph::{Dims, Graph, Operation, Pointwise, Storage, Tensor, TensorId};

/// Memory of all operands, and where in it each one begins, by uid.
pub struct Memory {
    pub cells: Vec<f64>,
    pub starts: BTreeMap<i64, usize>,
}

/// Values of a tensor in row-major order of its dims.
type Dense = Vec<f64>;

pub fn run(graph: &Graph, memory: &mut Memory) {
    let mut values: BTreeMap<i64, Dense> = BTreeMap::new();
    for operation in graph.operations() {
        let value = |id: TensorId| load(graph.tensor(id), memory, &values);
        let (y, result) = match operation {
            Operation::Matmul { a, b, c, .. } => (*c, matmul(graph, [*a, *b, *c], &value(*a), &value(*b))),
            Operation::Pointwise(of) => {
                (of.y, pointwise(graph, of, &value(of.x), of.b.map(value), of.test.map(value)))
            }
            Operation::Reduction { mode, x, y } => (*y, reduction(graph, *mode, *x, *y, &value(*x))),
            Operation::Reshape { x, y } => (*y, reshape(graph.tensor(*x), graph.tensor(*y), &value(*x))),
        };
        let tensor = graph.tensor(y);
        match tensor.storage {
            Storage::Memory => {
                for (index, value) in indices(tensor.dims).zip(result) {
                    memory.cells[memory.starts[&tensor.uid] + address(tensor, index)] = value;
                }
            }
            _ => {
                values.insert(tensor.uid, result);
            }
        }
    }
}

fn load(tensor: &Tensor, memory: &Memory, values: &BTreeMap<i64, Dense>) -> Dense {
    match tensor.storage {
        Storage::Scalar(value) => vec![f64::from(value)],
        Storage::Virtual => values[&tensor.uid].clone(),
        Storage::Memory => {
            let start = memory.starts[&tensor.uid];
            indices(tensor.dims).map(|index| memory.cells[start + address(tensor, index)]).collect()
        }
    }
}

fn indices(dims: Dims) -> impl Iterator<Item = Dims> {
    (0..dims.iter().product::<i64>()).map(move |mut rest| {
        let mut index = [0; 4];
        for i in (0..4).rev() {
            (index[i], rest) = (rest % dims[i], rest / dims[i]);
        }
        index
    })
}

fn address(tensor: &Tensor, index: Dims) -> usize {
    index.iter().zip(tensor.strides).map(|(i, stride)| i * stride).sum::<i64>() as usize
}

/// The place of an index of a tensor with other dims: dims of size 1 repeat, and so do heads, each for a group.
fn at(dims: Dims, index: Dims, of: Dims) -> usize {
    let mut place = 0;
    for i in 0..4 {
        place = place * dims[i] + index[i] * dims[i] / of[i];
    }
    place as usize
}

fn matmul(graph: &Graph, [a, b, c]: [TensorId; 3], left: &Dense, right: &Dense) -> Dense {
    let [a, b, c] = [a, b, c].map(|id| graph.tensor(id).dims);
    let product = |[n, h, i, j]: Dims| -> f64 {
        let term = |k: i64| {
            let x = at(a, [n, h, i, k], [c[0], c[1], a[2], a[3]]);
            left[x] * right[at(b, [n, h, k, j], [c[0], c[1], b[2], b[3]])]
        };
        (0..a[3]).map(term).sum()
    };
    assert_eq!((a[2], a[3], b[3]), (c[2], b[2], c[3]), "the sizes of a product");
    indices(c).map(product).collect()
}

fn pointwise(graph: &Graph, of: &Pointwise, x: &Dense, b: Option<Dense>, test: Option<Dense>) -> Dense {
    let y = graph.tensor(of.y).dims;
    let operand = |values: &Dense, id: TensorId, index: Dims| values[at(graph.tensor(id).dims, index, y)];
    let truth = |holds: bool| f64::from(u8::from(holds));
    let element = |index: Dims| {
        let x = operand(x, of.x, index);
        let b = b.as_ref().map_or(f64::NAN, |b| operand(b, of.b.unwrap(), index));
        match of.mode {
            pointwise::ADD => x + b,
            pointwise::SUB => x - b,
            pointwise::MUL => x * b,
            pointwise::DIV => x / b,
            pointwise::MAX => x.max(b),
            pointwise::EXP => x.exp(),
            pointwise::LOG => x.ln(),
            pointwise::IDENTITY => x,
            pointwise::CMP_GE => truth(x >= b),
            pointwise::CMP_GT => truth(x > b),
            pointwise::GEN_INDEX => index[of.axis.unwrap() as usize] as f64,
            pointwise::BINARY_SELECT => {
                let holds = operand(test.as_ref().unwrap(), of.test.unwrap(), index) != 0.0;
                if holds { x } else { b }
            }
            mode => panic!("no such mode: {mode}"),
        }
    };
    indices(y).map(element).collect()
}

fn reduction(graph: &Graph, mode: i32, x: TensorId, y: TensorId, values: &Dense) -> Dense {
    let (from, to) = (graph.tensor(x).dims, graph.tensor(y).dims);
    // A maximum that keeps the dims, as in the graph with a sink, is the row's, repeated.
    let rows = if from == to { [to[0], to[1], to[2], 1] } else { to };
    let zero = if mode == reduce::MAX { f64::NEG_INFINITY } else { 0.0 };
    let mut reduced = vec![zero; rows.iter().product::<i64>() as usize];
    for (index, value) in indices(from).zip(values) {
        let cell = &mut reduced[at(rows, index, from)];
        *cell = if mode == reduce::MAX { cell.max(*value) } else { *cell + value };
    }
    indices(to).map(|index| reduced[at(rows, index, to)]).collect()
}

/// The same memory seen through other dims and strides.
fn reshape(x: &Tensor, y: &Tensor, values: &Dense) -> Dense {
    let memory: BTreeMap<usize, f64> =
        indices(x.dims).map(|index| address(x, index)).zip(values.iter().copied()).collect();
    indices(y.dims).map(|index| memory[&address(y, index)]).collect()
}
