//! Training programs with their linears' products in 8 bits.
//!
//! A linear and its two gradients become products of cast operands. What is cast once serves all products that read it: an
//! input its linear and, turned, the weight's gradient; an output's gradient both gradients. An input that the backward pass
//! keeps in bf16 anyway is cast again there, with the largest number known, rather than kept twice.
//!
//! Programs without a weight gradient, which evaluate or generate, stay as they are, and so do products whose sides are
//! small or no multiples of 16.

use crate::gemm::{Element, fp8::MULTIPLE, fp8::PARTIALS};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_ops::{Linear, LinearInputGradient, LinearWeightGradient};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, Value, ValueInfo};
use wootz_tensor::DType;

/// Shorter sides are not worth the casts.
const LEAST_SIDE: usize = 128;

/// `(x_1, …, x_n, [partials]) -> straight, turned, factor, partials`: matrices of one width as one 8-bit matrix with one
/// factor, rows × cols and cols × rows, in words of four numbers. With partials, the largest numbers, they are not looked
/// for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quantize {
    /// Number of matrices n, one behind the other.
    pub matrices: usize,
    /// The 8-bit format.
    pub format: Element,
}

/// Squared ReLU or its gradient, with a second output: the largest numbers of the first, which [`Quantize`] takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReluSquaredLargest {
    /// Whether it is the gradient: `(dh, h) -> du` rather than `u -> h`.
    pub gradient: bool,
}

/// `(a_mk, factor, b_nk, factor, [c_mn]) -> y_mn`: `a·bᵀ (+ c)` of 8-bit operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProductFp8 {
    /// Formats of a and b.
    pub formats: [Element; 2],
    /// m, n and k.
    pub shape: [usize; 3],
    /// What it makes.
    pub y: Type,
}

/// `(a_mk, factor, b_nk, factor, dw_1, …, dw_n)`: `[dw_1; …; dw_n] += a·bᵀ` of 8-bit operands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WeightGradientFp8 {
    /// Number of weights n.
    pub weights: usize,
    /// Formats of a and b.
    pub formats: [Element; 2],
    /// m, n and k.
    pub shape: [usize; 3],
}

/// Rewrites a program that trains; others stay as they are.
pub(crate) fn lower(program: &mut Program) {
    let is_gradient = |node: &Node| node.op.as_any().is::<LinearWeightGradient>();
    let Some(backward) = program.nodes.iter().position(is_gradient) else { return };
    // What something beside a weight's gradient reads in the backward pass stays in memory anyway.
    let readers = program.nodes[backward..].iter().filter(|node| !is_gradient(node));
    let kept = readers.flat_map(|node| node.inputs.iter().copied()).collect();
    let nodes = std::mem::take(&mut program.nodes);
    let mut pass = Pass { program, kept, known: BTreeMap::new() };
    for node in nodes {
        if !pass.rewrite(&node) {
            pass.program.nodes.push(node);
        }
    }
    find_largest_early(program);
}

/// Squared ReLUs find the largest numbers of what is cast next.
fn find_largest_early(program: &mut Program) {
    let mut nodes = std::mem::take(&mut program.nodes);
    for i in 0..nodes.len() {
        let alone = nodes[i].inputs.len() == 1 && matrices(&nodes[i]) == 1;
        let producer =
            nodes[..i].iter().rposition(|node| alone && node.outputs.first() == Some(&nodes[i].inputs[0]));
        let Some(producer) = producer else { continue };
        let gradient = match nodes[producer].op.name() {
            "relu_squared" => false,
            "relu_squared_backward" => true,
            _ => continue,
        };
        let operands = nodes[producer].inputs.iter().chain(&nodes[producer].outputs);
        if operands.into_iter().any(|value| program.info(*value).ty.dtype != DType::BF16) {
            continue;
        }
        let name = format!("fp8.{}", program.info(nodes[i].inputs[0]).name);
        let partials = program.add(ValueInfo { name, ty: Type::f32([PARTIALS]), role: Role::Activation });
        nodes[producer].op = Arc::new(ReluSquaredLargest { gradient });
        nodes[producer].outputs.push(partials);
        nodes[i].inputs.push(partials);
        // Whoever casts the same again takes them from there too.
        let unwritten = nodes[i].outputs[3];
        for input in nodes[i..].iter_mut().flat_map(|node| &mut node.inputs) {
            if *input == unwritten {
                *input = partials;
            }
        }
    }
    program.nodes = nodes;
}

/// Number of matrices that a node casts; 0: it casts none.
fn matrices(node: &Node) -> usize {
    node.op.as_any().downcast_ref::<Quantize>().map_or(0, |op| op.matrices)
}

struct Pass<'a> {
    program: &'a mut Program,
    kept: BTreeSet<Value>,
    /// What was cast so far.
    known: BTreeMap<(Value, Element), Quantized>,
}

/// Outputs of [`Quantize`].
#[derive(Debug, Clone, Copy)]
struct Quantized {
    straight: Value,
    turned: Value,
    factor: Value,
    partials: Value,
}

impl Pass<'_> {
    /// Writes the node's products in 8 bits, where it has any and they are worth it.
    fn rewrite(&mut self, node: &Node) -> bool {
        let op = node.op.as_any();
        if let Some(op) = op.downcast_ref::<Linear>() {
            self.linear(node, op)
        } else if let Some(op) = op.downcast_ref::<LinearInputGradient>() {
            self.input_gradient(node, op)
        } else if let Some(op) = op.downcast_ref::<LinearWeightGradient>() {
            self.weight_gradient(node, op)
        } else {
            false
        }
    }

    fn linear(&mut self, node: &Node, op: &Linear) -> bool {
        let (x, y) = (node.inputs[0], self.program.info(node.outputs[0]).ty.clone());
        let shape = [y.shape.rows(), y.shape.last(), self.last(x)];
        if !worth(shape) {
            return false;
        }
        let a = self.quantized(node, x, Element::E4m3);
        let b = self.cast(node, &node.inputs[1..=op.weights], Element::E4m3, None);
        let mut inputs = vec![a.straight, a.factor, b.straight, b.factor];
        inputs.extend(&node.inputs[op.weights + 1..]);
        let op = ProductFp8 { formats: [Element::E4m3, Element::E4m3], shape, y };
        self.push(node, Arc::new(op), inputs, node.outputs.clone());
        true
    }

    fn input_gradient(&mut self, node: &Node, op: &LinearInputGradient) -> bool {
        let (dy, dx) = (node.inputs[0], self.program.info(node.outputs[0]).ty.clone());
        let shape = [dx.shape.rows(), dx.shape.last(), self.last(dy)];
        if !worth(shape) {
            return false;
        }
        let a = self.quantized(node, dy, Element::E5m2);
        let b = self.cast(node, &node.inputs[1..=op.weights], Element::E4m3, None);
        let mut inputs = vec![a.straight, a.factor, b.turned, b.factor];
        inputs.extend(&node.inputs[op.weights + 1..]);
        let op = ProductFp8 { formats: [Element::E5m2, Element::E4m3], shape, y: dx };
        self.push(node, Arc::new(op), inputs, node.outputs.clone());
        true
    }

    fn weight_gradient(&mut self, node: &Node, op: &LinearWeightGradient) -> bool {
        let (dy, x) = (node.inputs[0], node.inputs[1]);
        let shape = [self.last(dy), self.last(x), self.program.info(x).ty.shape.rows()];
        if !worth(shape) {
            return false;
        }
        let a = self.quantized(node, dy, Element::E5m2);
        let b = match self.known.get(&(x, Element::E4m3)).copied() {
            Some(known) if self.kept.contains(&x) => {
                self.cast(node, &[x], Element::E4m3, Some(known.partials))
            }
            Some(known) => known,
            None => self.quantized(node, x, Element::E4m3),
        };
        let mut inputs = vec![a.turned, a.factor, b.turned, b.factor];
        inputs.extend(&node.inputs[2..]);
        let op = WeightGradientFp8 { weights: op.weights, formats: [Element::E5m2, Element::E4m3], shape };
        self.push(node, Arc::new(op), inputs, Vec::new());
        true
    }

    /// An activation or its gradient, cast once.
    fn quantized(&mut self, node: &Node, value: Value, format: Element) -> Quantized {
        if let Some(known) = self.known.get(&(value, format)) {
            return *known;
        }
        let made = self.cast(node, &[value], format, None);
        self.known.insert((value, format), made);
        made
    }

    fn cast(&mut self, node: &Node, of: &[Value], format: Element, partials: Option<Value>) -> Quantized {
        let op = Quantize { matrices: of.len(), format };
        let rows = of.iter().map(|value| self.program.info(*value).ty.shape.rows()).sum();
        let label = format!("fp8.{}", self.program.info(of[0]).name);
        let outputs = op
            .types(rows, self.last(of[0]))
            .map(|ty| self.program.add(ValueInfo { name: label.clone(), ty, role: Role::Activation }));
        let inputs = of.iter().copied().chain(partials).collect();
        self.push(node, Arc::new(op), inputs, outputs.to_vec());
        let [straight, turned, factor, partials] = outputs;
        Quantized { straight, turned, factor, partials }
    }

    fn push(&mut self, like: &Node, op: Arc<dyn Op>, inputs: Vec<Value>, outputs: Vec<Value>) {
        self.program.nodes.push(Node { op, inputs, outputs, scope: like.scope });
    }
    fn last(&self, value: Value) -> usize {
        self.program.info(value).ty.shape.last()
    }
}

/// Whether all sides of a product are long, and multiples of what the casts take.
fn worth(shape: [usize; 3]) -> bool {
    shape.into_iter().all(|side| side >= LEAST_SIDE && side.is_multiple_of(MULTIPLE))
}

macro_rules! lowered {
    ($name:literal) => {
        fn name(&self) -> &'static str {
            $name
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
        fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
            Err(OpError::NotDifferentiable { op: $name })
        }
    };
}

impl Op for Quantize {
    lowered!("quantize");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let matrices = inputs.get(..self.matrices).filter(|matrices| !matrices.is_empty());
        let matrices = matrices.ok_or_else(|| OpError::inputs("quantize", "it has no matrix"))?;
        let rows = matrices.iter().map(|ty| ty.shape.rows()).sum();
        Ok(self.types(rows, matrices[0].shape.last()).to_vec())
    }
    fn statistics(&self) -> &'static [usize] {
        &[2, 3]
    }
}

impl Quantize {
    fn types(&self, rows: usize, cols: usize) -> [Type; 4] {
        [Type::i32([rows, cols / 4]), Type::i32([cols, rows / 4]), Type::scalar(), Type::f32([PARTIALS])]
    }
}

impl Op for ReluSquaredLargest {
    lowered!("relu_squared_largest");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        Ok(vec![inputs[0].clone(), Type::f32([PARTIALS])])
    }
    fn statistics(&self) -> &'static [usize] {
        &[1]
    }
    fn in_place(&self, _inputs: usize) -> Vec<(usize, usize)> {
        vec![(0, 0)]
    }
}

impl Op for ProductFp8 {
    lowered!("product_fp8");
    fn infer(&self, _inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        Ok(vec![self.y.clone()])
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        cost(self.shape, inputs, outputs)
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        if inputs == 5 { vec![(0, 4)] } else { Vec::new() }
    }
}

impl Op for WeightGradientFp8 {
    lowered!("weight_gradient_fp8");
    fn infer(&self, _inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        Ok(Vec::new())
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        cost(self.shape, inputs, outputs)
    }
    fn updates(&self) -> Vec<usize> {
        (4..4 + self.weights).collect()
    }
}

fn cost([m, n, k]: [usize; 3], inputs: &[&Type], outputs: &[&Type]) -> Cost {
    let bytes = inputs.iter().chain(outputs).map(|ty| ty.bytes() as u64).sum();
    Cost { flops: (2 * m * n * k) as u64, bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_ops::{Add, ReluSquared};
    use wootz_program::Builder;

    /// A feed-forward block with a residual, in bf16; trained or not.
    fn block(width: usize, trained: bool) -> Program {
        let mut b = Builder::new();
        let x = b.input("x", Type::f32([2, 64, width]));
        let up = b.parameter("up", Type::f32([4 * width, width]));
        let down = b.parameter("down", Type::f32([width, 4 * width]));
        let n = b.apply_one(Add, &[x, x]).expect("fits");
        let u = b.apply_one(Linear::PLAIN, &[n, up]).expect("fits");
        let h = b.apply_one(ReluSquared, &[u]).expect("fits");
        let y = b.apply_one(Linear { weights: 1, residual: true }, &[h, down, n]).expect("fits");
        b.output(y, "y");
        if trained {
            let seed = b.input("seed", Type::f32([2, 64, width]));
            wootz_ops::reverse(&mut b, y, seed).expect("differentiable");
        }
        let mut program = b.finish();
        for info in program.values.iter_mut().filter(|info| info.role == Role::Activation) {
            info.ty.dtype = DType::BF16;
        }
        program
    }

    fn names(program: &Program) -> Vec<&'static str> {
        program.nodes.iter().map(|node| node.op.name()).collect()
    }

    #[test]
    fn every_tensor_is_cast_once_a_pass() {
        let mut program = block(128, true);
        let before = names(&program).iter().filter(|name| name.starts_with("linear")).count();
        lower(&mut program);
        let after = names(&program);
        assert!(!after.iter().any(|name| name.starts_with("linear")), "{after:?}");
        let products = after.iter().filter(|name| name.ends_with("_fp8")).count();
        assert_eq!(products, before, "{after:?}");
        let casts: Vec<&Node> = program.nodes.iter().filter(|node| node.op.name() == "quantize").collect();
        // n and h, two gradients; the weights for each of their two products or one; h again, which relu's rule keeps.
        let of = |value: &str| casts.iter().filter(|node| program.info(node.inputs[0]).name == value).count();
        assert_eq!([of("up"), of("down")], [1 + usize::from(before == 6), 2], "{after:?}");
        let largest = |node: &&&Node| matrices(node) < node.inputs.len();
        let known: Vec<Value> =
            casts.iter().filter(largest).map(|node| node.inputs[matrices(node)]).collect();
        assert_eq!(known.len(), 3, "h, h again and du");
        let found = program.nodes.iter().filter(|node| node.op.name() == "relu_squared_largest");
        let found: Vec<Value> = found.map(|node| node.outputs[1]).collect();
        assert_eq!(known, [found[0], found[0], found[1]], "found on the way, never read unwritten");
        for node in &casts {
            let [x, straight] = [node.inputs[0], node.outputs[0]].map(|v| program.info(v).ty.shape.len());
            assert_eq!(x, 4 * straight, "a byte an element");
        }
    }

    #[test]
    fn evaluation_and_narrow_products_stay() {
        for mut program in [block(128, false), block(120, true), block(64, true)] {
            let before = names(&program);
            lower(&mut program);
            assert_eq!(names(&program), before);
        }
    }

    #[test]
    fn infers_what_the_pass_writes() {
        let mut program = block(128, true);
        lower(&mut program);
        let ours = ["quantize", "product_fp8", "weight_gradient_fp8", "relu_squared_largest"];
        for node in program.nodes.iter().filter(|node| ours.contains(&node.op.name())) {
            let inferred = node.op.infer(&program.input_types(node)).expect("fits");
            let written: Vec<Type> = program.output_types(node).into_iter().cloned().collect();
            assert_eq!(inferred, written, "{}", node.op.name());
        }
    }
}
