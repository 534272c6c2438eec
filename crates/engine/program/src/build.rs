//! Programs and the builder that writes them.

use crate::{Cost, Op, OpError, Role, Type, Value, ValueInfo};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Nodes of one part of a model, e.g. a block: the unit of recomputation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Scope(pub u32);

/// An op applied to values.
#[derive(Debug, Clone)]
pub struct Node {
    /// What is computed.
    pub op: Arc<dyn Op>,
    /// What it reads, and for some ops changes ([`Op::updates`]).
    pub inputs: Vec<Value>,
    /// What it writes.
    pub outputs: Vec<Value>,
    /// The part of the model it belongs to.
    pub scope: Scope,
}

/// A straight line of nodes in the order of execution.
#[derive(Debug, Clone, Default)]
pub struct Program {
    /// All values.
    pub values: Vec<ValueInfo>,
    /// All nodes, in the order of execution.
    pub nodes: Vec<Node>,
}

impl Program {
    /// A value's name, type and role.
    pub fn info(&self, value: Value) -> &ValueInfo {
        &self.values[value.index()]
    }
    /// The same, to be changed by passes over a whole program.
    pub fn info_mut(&mut self, value: Value) -> &mut ValueInfo {
        &mut self.values[value.index()]
    }
    /// One more value, for passes over a whole program; a persistent one of a known name is the known one.
    pub fn add(&mut self, info: ValueInfo) -> Value {
        let known = self.values.iter().position(|v| v.role == info.role && v.name == info.name);
        let index = known.filter(|_| info.role != Role::Activation).unwrap_or_else(|| {
            self.values.push(info);
            self.values.len() - 1
        });
        Value(index as u32)
    }
    /// All values in order.
    pub fn iter_values(&self) -> impl Iterator<Item = (Value, &ValueInfo)> {
        self.values.iter().enumerate().map(|(i, info)| (Value(i as u32), info))
    }
    /// The values of one role, by name.
    pub fn of_role(&self, role: Role) -> BTreeMap<&str, Value> {
        self.iter_values().filter(|(_, i)| i.role == role).map(|(v, i)| (i.name.as_str(), v)).collect()
    }
    /// Types of the inputs of a node.
    pub fn input_types(&self, node: &Node) -> Vec<&Type> {
        node.inputs.iter().map(|v| &self.info(*v).ty).collect()
    }
    /// Types of the outputs of a node.
    pub fn output_types(&self, node: &Node) -> Vec<&Type> {
        node.outputs.iter().map(|v| &self.info(*v).ty).collect()
    }
    /// Work of one run.
    pub fn cost(&self) -> Cost {
        self.nodes.iter().fold(Cost::default(), |sum, node| {
            let cost = node.op.cost(&self.input_types(node), &self.output_types(node));
            Cost { flops: sum.flops + cost.flops, bytes: sum.bytes + cost.bytes }
        })
    }
    /// Adds a value, for passes that rewrite programs; whatever persists must have a name of its own.
    pub fn define(&mut self, info: ValueInfo) -> Value {
        self.values.push(info);
        Value((self.values.len() - 1) as u32)
    }
    /// Drops nodes whose results nobody reads and that change nothing that persists.
    pub fn drop_dead_nodes(&mut self) {
        let mut used = vec![false; self.values.len()];
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            let lives = !node.op.updates().is_empty()
                || node.outputs.iter().any(|v| used[v.index()] || self.info(*v).role != Role::Activation);
            if lives {
                node.inputs.iter().for_each(|v| used[v.index()] = true);
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
    }
}

impl fmt::Display for Program {
    /// One line a node: `%12 h_btc: f32[4×256×256] = linear(%11, blocks.0.attn.c_q.weight)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let outputs: Vec<String> =
                node.outputs.iter().map(|v| format!("{v:?}: {}", self.info(*v).ty)).collect();
            let inputs: Vec<String> = node
                .inputs
                .iter()
                .map(|v| match self.info(*v) {
                    info if info.role == Role::Activation => format!("{v:?}"),
                    info => info.name.clone(),
                })
                .collect();
            writeln!(f, "{} = {:?}({})", outputs.join(", "), node.op, inputs.join(", "))?;
        }
        Ok(())
    }
}

/// Writes a program, node by node.
#[derive(Debug, Default)]
pub struct Builder {
    pub(crate) program: Program,
    persistent: BTreeMap<String, Value>,
    scope: Scope,
}

impl Builder {
    /// An empty program.
    pub fn new() -> Builder {
        Builder::default()
    }
    /// A trained weight. Asking twice for one name gives one value.
    pub fn parameter(&mut self, name: &str, ty: Type) -> Value {
        self.persistent(name, ty, Role::Parameter)
    }
    /// A persistent value that programs change: moments, caches, sums.
    pub fn state(&mut self, name: &str, ty: Type) -> Value {
        self.persistent(name, ty, Role::State)
    }
    /// A value the host writes before a run.
    pub fn input(&mut self, name: &str, ty: Type) -> Value {
        self.persistent(name, ty, Role::Input)
    }
    /// The accumulated gradient of a parameter.
    pub fn gradient(&mut self, parameter: Value) -> Value {
        let info = self.program.info(parameter);
        let (name, ty) = (gradient_name(&info.name), info.ty.clone());
        self.persistent(&name, ty, Role::Gradient)
    }
    /// Makes a computed value readable by the host under a name.
    pub fn output(&mut self, value: Value, name: &str) {
        let info = &mut self.program.values[value.index()];
        info.role = Role::Output;
        info.name = name.to_owned();
        self.persistent.insert(name.to_owned(), value);
    }
    /// Applies an op to values; its outputs live in the arena.
    pub fn apply(&mut self, op: impl Op, inputs: &[Value]) -> Result<Vec<Value>, OpError> {
        self.push(Arc::new(op), inputs)
    }
    /// Applies an op with exactly one output.
    pub fn apply_one(&mut self, op: impl Op, inputs: &[Value]) -> Result<Value, OpError> {
        let name = op.name();
        match self.apply(op, inputs)?.as_slice() {
            [value] => Ok(*value),
            outputs => Err(OpError::inputs(name, format!("expected one output, it has {}", outputs.len()))),
        }
    }
    /// The type of a value.
    pub fn ty(&self, value: Value) -> &Type {
        &self.program.info(value).ty
    }
    /// Nodes from here on belong to this part of the model.
    pub fn enter(&mut self, scope: Scope) {
        self.scope = scope;
    }
    /// The finished program.
    pub fn finish(mut self) -> Program {
        self.program.drop_dead_nodes();
        self.program
    }
    pub(crate) fn push(&mut self, op: Arc<dyn Op>, inputs: &[Value]) -> Result<Vec<Value>, OpError> {
        let types: Vec<&Type> = inputs.iter().map(|v| &self.program.info(*v).ty).collect();
        for i in op.updates() {
            let operand = inputs.get(i).copied();
            if inputs.iter().filter(|v| Some(**v) == operand).count() > 1 {
                return Err(OpError::inputs(
                    op.name(),
                    format!("input {i} is updated and stands in two places"),
                ));
            }
        }
        let outputs: Vec<Value> = op
            .infer(&types)?
            .into_iter()
            .map(|ty| {
                self.program.define(ValueInfo { name: op.name().to_owned(), ty, role: Role::Activation })
            })
            .collect();
        let node = Node { op, inputs: inputs.to_vec(), outputs: outputs.clone(), scope: self.scope };
        self.program.nodes.push(node);
        Ok(outputs)
    }
    fn persistent(&mut self, name: &str, ty: Type, role: Role) -> Value {
        if let Some(value) = self.persistent.get(name) {
            let known = self.program.info(*value);
            assert!(
                known.ty == ty && known.role == role,
                "{name} is {role:?} {ty}, it was {:?} {}",
                known.role,
                known.ty
            );
            return *value;
        }
        let value = self.program.define(ValueInfo { name: name.to_owned(), ty, role });
        self.persistent.insert(name.to_owned(), value);
        value
    }
}

/// Name of the accumulated gradient of a parameter.
fn gradient_name(parameter: &str) -> String {
    format!("gradient.{parameter}")
}
