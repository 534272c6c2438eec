//! Training programs with their linears' products in 8 bits.
//!
//! A linear and its two gradients become products of cast operands. What is cast once serves all products that read it: an
//! input its linear and, turned, the weight's gradient; an output's gradient both gradients. An input that the backward pass
//! keeps in bf16 anyway is cast again there, with the largest number known, rather than kept twice.
//!
//! Weights change once a step, not once a micro-step: their casts persist, and the session casts again before a run only what
//! has changed since ([`keeps`]).
//!
//! Where the largest number comes from: a norm's result has a bound, and is cast by the kernel that norms
//! ([`crate::fp8_norm`]); others are looked through. The hidden tensors of feed-forward blocks are cast on their way
//! ([`crate::fp8_hidden`]).
//!
//! Programs without a weight gradient, which evaluate or generate, stay as they are, and so do products whose sides are
//! small or no multiples of 16.

use crate::gemm::{Element, fp8::MULTIPLE, fp8::PARTIALS, fp8::Rule};
use crate::{fp8_hidden, fp8_norm, of_input};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_ops::{Linear, LinearInputGradient, LinearWeightGradient};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, Value, ValueInfo};

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
    /// What is cast of them.
    pub rule: Rule,
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
    // Where something runs again memory is short, and a norm in bf16 takes less of it than the stream and an 8-bit copy.
    if !program.nodes[backward..].iter().any(|node| node.op.as_any().is::<Linear>() || normed(node).is_some())
    {
        of_input::choose(program, &in_8_bits);
    }
    // What something beside a weight's gradient reads in the backward pass stays in memory anyway.
    let readers = program.nodes[backward..].iter().filter(|node| !is_gradient(node));
    let kept = readers.flat_map(|node| node.inputs.iter().copied()).collect();
    let nodes = std::mem::take(&mut program.nodes);
    let normed = nodes.iter().filter_map(normed).collect();
    let mut pass = Pass { program, kept, normed, known: BTreeMap::new(), weights: BTreeMap::new() };
    for node in nodes {
        if !pass.rewrite(&node) {
            pass.program.nodes.push(node);
        }
    }
    fp8_hidden::hide(program);
    fp8_norm::join(program);
}

/// Whether a node is a product that reads its first or second operand in 8 bits.
fn in_8_bits(program: &Program, node: &Node) -> bool {
    let last = |value: Value| program.info(value).ty.shape.last();
    let rows = program.info(node.inputs[0]).ty.shape.rows();
    if node.op.as_any().is::<Linear>() {
        worth([rows, last(node.outputs[0]), last(node.inputs[0])])
    } else {
        node.op.as_any().is::<LinearWeightGradient>()
            && worth([last(node.inputs[0]), last(node.inputs[1]), rows])
    }
}

/// Results of norms.
fn normed(node: &Node) -> Option<Value> {
    match node.op.name() {
        "rms_norm" => Some(node.outputs[0]),
        "residual_mix" => Some(node.outputs[1]),
        _ => None,
    }
}

/// Number of matrices that a node casts; 0: it casts none.
pub(crate) fn matrices(node: &Node) -> usize {
    node.op.as_any().downcast_ref::<Quantize>().map_or(0, |op| op.matrices)
}

/// Whether a node's results persist, as those of weights do: it need not run again while what it reads is the same.
pub(crate) fn keeps(program: &Program, node: &Node) -> bool {
    matrices(node) > 0 && node.outputs.iter().all(|value| program.info(*value).role == Role::State)
}

struct Pass<'a> {
    program: &'a mut Program,
    kept: BTreeSet<Value>,
    normed: BTreeSet<Value>,
    /// What was cast so far.
    known: BTreeMap<(Value, Element), Quantized>,
    /// The same of weights.
    weights: BTreeMap<Vec<Value>, Quantized>,
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
        let b = self.weights(node, &node.inputs[1..=op.weights]);
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
        let b = self.weights(node, &node.inputs[1..=op.weights]);
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

    /// Weights of a product.
    fn weights(&mut self, node: &Node, of: &[Value]) -> Quantized {
        if let Some(known) = self.weights.get(of) {
            return *known;
        }
        let made = self.cast(node, of, Element::E4m3, None);
        self.weights.insert(of.to_vec(), made);
        made
    }

    fn cast(&mut self, node: &Node, of: &[Value], format: Element, partials: Option<Value>) -> Quantized {
        let rule = if self.normed.contains(&of[0]) { Rule::Norm } else { Rule::Plain };
        let op = Quantize { matrices: of.len(), format, rule };
        let rows = of.iter().map(|value| self.program.info(*value).ty.shape.rows()).sum();
        let first = &self.program.info(of[0]).name;
        let persistent = of.iter().all(|value| self.program.info(*value).role != Role::Activation);
        let role = if persistent { Role::State } else { Role::Activation };
        let names = ["straight", "turned", "factor", "largest"].map(|part| match of.len() {
            1 => format!("fp8.{first}.{part}"),
            count => format!("fp8.{first}.{count}.{part}"),
        });
        let mut types = types(rows, self.last(of[0])).into_iter();
        let outputs = names.map(|name| {
            let ty = types.next().expect("as many types as names");
            self.program.add(ValueInfo { name, ty, role })
        });
        let partials = partials.filter(|_| rule != Rule::Norm);
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

pub(crate) use lowered;

impl Op for Quantize {
    lowered!("quantize");
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        let matrices = inputs.get(..self.matrices).filter(|matrices| !matrices.is_empty());
        let matrices = matrices.ok_or_else(|| OpError::inputs("quantize", "it has no matrix"))?;
        let rows = matrices.iter().map(|ty| ty.shape.rows()).sum();
        Ok(types(rows, matrices[0].shape.last()).to_vec())
    }
    fn statistics(&self) -> &'static [usize] {
        &[2, 3]
    }
}

/// Of the outputs of [`Quantize`].
pub(crate) fn types(rows: usize, cols: usize) -> [Type; 4] {
    [Type::i32([rows, cols / 4]), Type::i32([cols, rows / 4]), Type::scalar(), Type::f32([PARTIALS])]
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
    use wootz_ops::{ReluSquared, RmsNorm};
    use wootz_program::{Builder, Recompute, Scope, recompute};
    use wootz_tensor::DType;

    /// A feed-forward block with a norm and a residual, in bf16; trained or not.
    fn block(width: usize, trained: bool) -> Program {
        block_by(width, trained, Recompute::None)
    }

    fn block_by(width: usize, trained: bool, policy: Recompute) -> Program {
        let mut b = Builder::new();
        let x = b.input("x", Type::f32([2, 64, width]));
        let up = b.parameter("up", Type::f32([4 * width, width]));
        let down = b.parameter("down", Type::f32([width, 4 * width]));
        b.enter(Scope(0));
        let n = b.apply(RmsNorm, &[x]).expect("fits")[0];
        let u = b.apply_one(Linear::PLAIN, &[n, up]).expect("fits");
        let h = b.apply_one(ReluSquared, &[u]).expect("fits");
        let y = b.apply_one(Linear { weights: 1, residual: true }, &[h, down, n]).expect("fits");
        let y = b.apply(RmsNorm, &[y]).expect("fits")[0];
        b.output(y, "y");
        let mut program = if trained {
            let seed = b.input("seed", Type::f32([2, 64, width]));
            let first = wootz_ops::reverse(&mut b, y, seed).expect("differentiable");
            recompute(b, first, policy)
        } else {
            b.finish()
        };
        // But for the factors of rows.
        let flows = |info: &&mut ValueInfo| {
            [Role::Activation, Role::Input].contains(&info.role) && info.ty.shape.dims().len() > 2
        };
        program.values.iter_mut().filter(flows).for_each(|info| info.ty.dtype = DType::BF16);
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
        let products =
            after.iter().filter(|name| ["product_fp8", "weight_gradient_fp8"].contains(name)).count();
        assert_eq!(products, before, "{after:?}");
        let casts: Vec<&Node> = program.nodes.iter().filter(|node| node.op.name() == "quantize").collect();
        let rule = |node: &&&Node| node.op.as_any().downcast_ref::<Quantize>().map(|op| op.rule);
        let by = |what: Rule| casts.iter().filter(|node| rule(node) == Some(what)).count();
        // Of n, by its norm's kernel; of u, by the rule of squared ReLU; of dy and each weight, twice where both passes multiply with it.
        let weights =
            casts.iter().filter(|node| program.info(node.inputs[0]).role == Role::Parameter).count();
        assert_eq!(
            [by(Rule::Norm), by(Rule::ReluSquared), by(Rule::Plain) - weights],
            [0, 1, 1],
            "{after:?}"
        );
        assert_eq!(after.iter().filter(|name| **name == "norm_fp8").count(), 1, "{after:?}");
        assert_eq!(after.iter().filter(|name| **name == "gradient_fp8").count(), 1, "{after:?}");
        for node in &casts {
            let [x, straight] = [node.inputs[0], node.outputs[0]].map(|v| program.info(v).ty.shape.len());
            assert_eq!(x, 4 * straight, "a byte an element");
        }
    }

    #[test]
    fn hidden_tensors_exist_in_8_bits_only() {
        for policy in [Recompute::None, Recompute::Cheap, Recompute::Block] {
            let mut program = block_by(128, true, policy);
            lower(&mut program);
            let after = names(&program);
            assert!(!after.iter().any(|name| name.starts_with("relu_squared")), "{policy:?}: {after:?}");
            let mut known: BTreeSet<Value> = BTreeSet::new();
            for node in &program.nodes {
                for value in &node.inputs {
                    let made = program.info(*value).role != Role::Activation || known.contains(value);
                    assert!(made, "{policy:?}: {} reads what is not made yet", node.op.name());
                }
                known.extend(&node.outputs);
            }
            // What turns h for the weight's gradient: that of u, or what computes h again for nothing else.
            let gradient = program.nodes.iter().rfind(|node| match policy {
                Recompute::Cheap => {
                    node.op.as_any().downcast_ref::<Quantize>().is_some_and(|op| op.rule == Rule::ReluSquared)
                }
                _ => node.op.name() == "gradient_fp8",
            });
            let gradient = gradient.expect("one");
            let h_turned = if policy == Recompute::Cheap { gradient.outputs[1] } else { gradient.outputs[3] };
            let weight = program.nodes.iter().find(|node| node.inputs.get(2) == Some(&h_turned));
            let written = weight.map(|node| program.info(node.inputs[4]).name.clone());
            assert_eq!(written.as_deref(), Some("gradient.down"), "{policy:?}: {after:?}");
        }
    }

    #[test]
    fn a_hidden_tensor_that_is_read_elsewhere_stays() {
        let mut program = block(128, true);
        let square = program.nodes.iter().find(|node| node.op.name() == "relu_squared").expect("one");
        let h = square.outputs[0];
        program.info_mut(h).role = Role::Output;
        lower(&mut program);
        assert!(names(&program).contains(&"relu_squared_backward"));
    }

    #[test]
    fn the_largest_of_a_gradient_is_found_where_it_is_made() {
        let mut program = block(128, true);
        lower(&mut program);
        let looking = |program: &Program| {
            let looks = |node: &&Node| matrices(node) == node.inputs.len() && !keeps(program, node);
            let looking = program.nodes.iter().filter(looks).filter(|node| matrices(node) > 0);
            looking.map(|node| node.inputs[0]).collect::<Vec<Value>>()
        };
        assert_eq!(looking(&program).len(), 2, "u and dy");
        crate::largest::find_early(&mut program, false);
        assert_eq!(looking(&program).len(), 1);
        let norm = program.nodes.iter().find(|node| node.op.name() == "rms_norm_backward").expect("one");
        let cast = program.nodes.iter().find(|node| node.inputs == norm.outputs);
        assert!(cast.is_some_and(|node| node.op.as_any().is::<Quantize>()), "{:?}", names(&program));
        let inferred = norm.op.infer(&program.input_types(norm)).expect("fits");
        assert_eq!(Some(&inferred[1]), program.output_types(norm).last().copied());
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
        let ours = ["quantize", "norm_fp8", "product_fp8", "weight_gradient_fp8", "gradient_fp8"];
        for node in program.nodes.iter().filter(|node| ours.contains(&node.op.name())) {
            let inferred = node.op.infer(&program.input_types(node)).expect("fits");
            let written: Vec<Type> = program.output_types(node).into_iter().cloned().collect();
            assert_eq!(inferred, written, "{}", node.op.name());
        }
    }
}
