//! The hidden tensors of feed-forward blocks in 8-bit training: `h = max(u, 0)²` and the gradient of u exist in 8 bits only.
//!
//! | nodes | become |
//! |---|---|
//! | `h = relu_squared(u)`, `quantize(h)` | `quantize(u)` by the rule of squared ReLU |
//! | `du = relu_squared_backward(dh, h)`, `quantize(du)`, h cast again | one pass over dh and u |
//!
//! The backward pass keeps u in place of h, which is as large. dh is a product of 8-bit operands, and so bounded by their
//! factors: the largest |du| needs no pass of its own.

use crate::fp8::{ProductFp8, Quantize, WeightGradientFp8, lowered, matrices, types};
use crate::gemm::{Element, fp8::Rule};
use std::any::Any;
use std::sync::Arc;
use wootz_program::{Backward, Node, Op, OpError, Program, Role, Type, Value, ValueInfo};
use wootz_tensor::DType;

/// `(dh, u, h's factor, a's factor, b's factor) -> straight, turned, factor, h turned`: `du = 2·max(u, 0)·dh` in e5m2 as
/// [`Quantize`] makes it, and `h = max(u, 0)²` in e4m3, where dh is a product of a in e5m2 and b in e4m3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GradientFp8 {
    /// Length of the product's sums.
    pub sum: usize,
}

impl Op for GradientFp8 {
    lowered!("gradient_fp8");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let [straight, turned, factor, _] = types(inputs[0].shape.rows(), inputs[0].shape.last());
        Ok(vec![straight, turned.clone(), factor, turned])
    }
    fn statistics(&self) -> &'static [usize] {
        &[2]
    }
}

/// Rewrites every squared ReLU whose result only casts and its own gradient read.
pub(crate) fn hide(program: &mut Program) {
    let squares = program.nodes.iter().filter(|node| node.op.name() == "relu_squared");
    for h in squares.map(|node| node.outputs[0]).collect::<Vec<_>>() {
        if let Some(found) = Hidden::find(program, h) {
            found.rewrite(program);
        }
    }
}

/// Places of the nodes around a squared ReLU.
struct Hidden {
    square: usize,
    /// Casts of h; the first finds its largest numbers.
    casts: Vec<usize>,
    backward: Option<Gradient>,
}

/// The gradient of a squared ReLU, and its cast.
struct Gradient {
    node: usize,
    cast: usize,
    /// Factors of the operands of the product that made dh, and the length of its sums.
    factors: [Value; 2],
    sum: usize,
    /// The product of a weight's gradient that reads the cast of h turned, and that cast.
    turned: Option<[usize; 2]>,
}

impl Hidden {
    fn find(program: &Program, h: Value) -> Option<Hidden> {
        let square = producer(program, h)?;
        let u = program.nodes[square].inputs[0];
        let halves = |values: &[Value]| values.iter().all(|v| program.info(*v).ty.dtype == DType::BF16);
        let (mut casts, mut gradients) = (Vec::new(), Vec::new());
        for reader in readers(program, h) {
            let node = &program.nodes[reader];
            if is_cast(node, Element::E4m3) {
                casts.push(reader);
            } else if node.op.name() == "relu_squared_backward" && node.inputs[0] != h {
                gradients.push(reader);
            } else {
                return None;
            }
        }
        if casts.is_empty() || gradients.len() > 1 || !halves(&[u, h]) {
            return None;
        }
        let mut hidden = Hidden { square, casts, backward: None };
        if let Some(node) = gradients.first() {
            hidden.backward = Some(hidden.gradient(program, *node)?);
        }
        (program.info(h).role == Role::Activation).then_some(hidden)
    }

    /// The gradient, where a product of 8-bit operands makes what comes in and only a cast reads what goes out.
    fn gradient(&self, program: &Program, node: usize) -> Option<Gradient> {
        let (dh, du) = (program.nodes[node].inputs[0], program.nodes[node].outputs[0]);
        let product = &program.nodes[producer(program, dh)?];
        let op = product.op.as_any().downcast_ref::<ProductFp8>()?;
        let [cast] = readers(program, du)[..] else { return None };
        let cast_node = &program.nodes[cast];
        let fits = self.casts[0] < cast
            && op.formats == [Element::E5m2, Element::E4m3]
            && op.y.dtype == DType::BF16
            && product.inputs.len() == 4
            && is_cast(cast_node, Element::E5m2)
            && readers(program, cast_node.outputs[3]).is_empty()
            && program.info(du).role == Role::Activation;
        let factors = [product.inputs[1], product.inputs[3]];
        let turned = self.turned(program, cast);
        fits.then_some(Gradient { node, cast, factors, sum: op.shape[2], turned })
    }

    /// The weight's gradient that reads a later cast of h, where it may as well be computed after the gradient's cast.
    fn turned(&self, program: &Program, cast: usize) -> Option<[usize; 2]> {
        let [_, again] = self.casts[..] else { return None };
        let outputs = &program.nodes[again].outputs;
        let [reader] = readers(program, outputs[1])[..] else { return None };
        let product = &program.nodes[reader];
        let weights = product.op.as_any().downcast_ref::<WeightGradientFp8>()?.weights;
        let between = program.nodes.get(reader + 1..=cast).unwrap_or_default();
        let written = &product.inputs[4..4 + weights];
        let moves = !between.iter().any(|node| node.inputs.iter().any(|value| written.contains(value)));
        let alone = readers(program, outputs[0]).is_empty() && readers(program, outputs[3]).is_empty();
        (moves && alone && product.inputs[2] == outputs[1]).then_some([reader, again])
    }

    fn rewrite(self, program: &mut Program) {
        let u = program.nodes[self.square].inputs[0];
        let h_factor = program.nodes[self.casts[0]].outputs[2];
        for cast in &self.casts {
            let node = &mut program.nodes[*cast];
            node.op = Arc::new(Quantize { matrices: 1, format: Element::E4m3, rule: Rule::ReluSquared });
            node.inputs[0] = u;
        }
        let mut gone = vec![self.square];
        let mut moved = None;
        if let Some(gradient) = self.backward {
            let mut outputs = program.nodes[gradient.cast].outputs[..3].to_vec();
            let info = |of: Value| ValueInfo { role: Role::Activation, ..program.info(of).clone() };
            let h_turned = info(program.nodes[self.casts[0]].outputs[1]);
            outputs.push(program.add(h_turned));
            gone.push(gradient.node);
            if let Some([product, again]) = gradient.turned {
                program.nodes[product].inputs[2..4].copy_from_slice(&[outputs[3], h_factor]);
                gone.push(again);
                if product < gradient.cast {
                    gone.push(product);
                    moved = Some((gradient.cast, program.nodes[product].clone()));
                }
            }
            let dh = program.nodes[gradient.node].inputs[0];
            let node = &mut program.nodes[gradient.cast];
            node.op = Arc::new(GradientFp8 { sum: gradient.sum });
            node.inputs = vec![dh, u, h_factor, gradient.factors[0], gradient.factors[1]];
            node.outputs = outputs;
        }
        let nodes = std::mem::take(&mut program.nodes);
        for (i, node) in nodes.into_iter().enumerate().filter(|(i, _)| !gone.contains(i)) {
            program.nodes.push(node);
            program.nodes.extend(moved.take_if(|(after, _)| *after == i).map(|(_, node)| node));
        }
    }
}

fn is_cast(node: &Node, format: Element) -> bool {
    let op = node.op.as_any().downcast_ref::<Quantize>();
    op.is_some_and(|op| op.format == format && op.rule == Rule::Plain) && matrices(node) == 1
}

fn producer(program: &Program, value: Value) -> Option<usize> {
    program.nodes.iter().position(|node| node.outputs.contains(&value))
}

fn readers(program: &Program, value: Value) -> Vec<usize> {
    let reads = |(_, node): &(usize, &Node)| node.inputs.contains(&value);
    program.nodes.iter().enumerate().filter(reads).map(|(i, _)| i).collect()
}
