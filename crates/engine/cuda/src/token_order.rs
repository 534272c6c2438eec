//! One sort of a program's tokens for all tables that they look up.
//!
//! The gradient of a table is summed token by token, from the positions in the order of their tokens. That order depends on the
//! tokens and on the vocabulary alone: a node of its own makes it before the first such gradient, and all of them read it.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use wootz_ops::{EmbeddingBackward, ValueGateBackward};
use wootz_program::{Backward, Cost, Node, Op, OpError, Program, Role, Type, Value, ValueInfo};

/// `(tokens_bt) -> order_m2`: (token, position) in the order of the tokens, and of the positions where those are equal. Tokens
/// outside the vocabulary stand last, as the number `vocabulary`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenOrder {
    /// Rows of the tables.
    pub vocabulary: usize,
}

impl Op for TokenOrder {
    fn name(&self) -> &'static str {
        "token_order"
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        match inputs {
            [tokens] => Ok(vec![Type::i32([tokens.shape.len(), 2])]),
            _ => Err(OpError::inputs(self.name(), format!("expected 1 input, got {}", inputs.len()))),
        }
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

/// A gradient of a table that has the order of its tokens as one more input, the last.
#[derive(Debug, Clone)]
pub(crate) struct Ordered<T>(
    /// The op without it.
    pub T,
);

impl<T: Op> Op for Ordered<T> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn infer(&self, inputs: &[&Type]) -> Result<Vec<Type>, OpError> {
        self.0.infer(without_last(inputs))
    }
    fn cost(&self, inputs: &[&Type], outputs: &[&Type]) -> Cost {
        self.0.cost(without_last(inputs), outputs)
    }
    fn in_place(&self, inputs: usize) -> Vec<(usize, usize)> {
        self.0.in_place(inputs - 1)
    }
    fn updates(&self) -> Vec<usize> {
        self.0.updates()
    }
    fn statistics(&self) -> &'static [usize] {
        self.0.statistics()
    }
    fn backward(&self, _: &mut Backward<'_>) -> Result<(), OpError> {
        Err(OpError::NotDifferentiable { op: self.name() })
    }
}

fn without_last<'a, 'b>(inputs: &'a [&'b Type]) -> &'a [&'b Type] {
    inputs.split_last().map_or(inputs, |(_, rest)| rest)
}

/// Gives every gradient of a table the order of its tokens.
pub(crate) fn share(program: &mut Program) {
    let mut known: BTreeMap<(Value, usize), Value> = BTreeMap::new();
    for mut node in std::mem::take(&mut program.nodes) {
        if let Some((op, tokens, dtable)) = ordered(&node) {
            let vocabulary = program.info(node.inputs[dtable]).ty.shape.dims()[0];
            let tokens = node.inputs[tokens];
            let key = (tokens, vocabulary);
            let order = match known.get(&key) {
                Some(order) => *order,
                None => {
                    let ty = Type::i32([program.info(tokens).ty.shape.len(), 2]);
                    let name = format!("order.{}", program.info(tokens).name);
                    let order = program.add(ValueInfo { name, ty, role: Role::Activation });
                    let sort = Arc::new(TokenOrder { vocabulary });
                    let (inputs, outputs) = (vec![tokens], vec![order]);
                    program.nodes.push(Node { op: sort, inputs, outputs, scope: node.scope });
                    known.insert(key, order);
                    order
                }
            };
            node.op = op;
            node.inputs.push(order);
        }
        program.nodes.push(node);
    }
}

/// The op with the order, and which inputs the tokens and the table's gradient are.
fn ordered(node: &Node) -> Option<(Arc<dyn Op>, usize, usize)> {
    let op = node.op.as_any();
    if let Some(op) = op.downcast_ref::<EmbeddingBackward>() {
        Some((Arc::new(Ordered(op.clone())), 1, 2))
    } else if let Some(op) = op.downcast_ref::<ValueGateBackward>() {
        Some((Arc::new(Ordered(op.clone())), 3, 4))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wootz_program::Builder;

    /// Gradients of an embedding and two value embeddings of one vocabulary, and of a table of another.
    fn scatters() -> Program {
        let mut b = Builder::new();
        let tokens = b.input("tokens", Type::i32([2, 8]));
        let s = b.input("s", Type::f32([2, 8, 1]));
        let qkv = b.input("qkv", Type::f32([2, 8, 48]));
        let gate = ValueGateBackward(wootz_ops::ValueGate { heads: 1, kv_heads: 1 });
        for (i, rows) in [32, 32, 64].into_iter().enumerate() {
            let table = b.parameter(&format!("table{i}"), Type::f32([rows, 16]));
            let dtable = b.parameter(&format!("gradient{i}"), Type::f32([rows, 16]));
            let ds = b.apply_one(gate.clone(), &[qkv, s, table, tokens, dtable]).expect("fits");
            b.output(ds, &format!("ds{i}"));
        }
        let dx = b.input("dx", Type::f32([2, 8, 16]));
        let dtable = b.parameter("gradient", Type::f32([32, 16]));
        b.apply(EmbeddingBackward, &[dx, tokens, dtable]).expect("fits");
        b.finish()
    }

    #[test]
    fn one_sort_for_each_vocabulary() {
        let mut program = scatters();
        share(&mut program);
        let names: Vec<&str> = program.nodes.iter().map(|node| node.op.name()).collect();
        let gate = "value_gate_backward";
        assert_eq!(names, ["token_order", gate, gate, "token_order", gate, "embedding_backward"]);
        let order = |i: usize| *program.nodes[i].inputs.last().expect("it has inputs");
        assert_eq!(order(1), program.nodes[0].outputs[0]);
        assert_eq!([order(2), order(5)], [order(1), order(1)]);
        assert_eq!(order(4), program.nodes[3].outputs[0]);
        for node in &program.nodes {
            let inferred = node.op.infer(&program.input_types(node)).expect("operands that fit");
            let written: Vec<Type> = program.output_types(node).into_iter().cloned().collect();
            assert_eq!(inferred, written, "{}", node.op.name());
        }
    }
}
