//! Programs in the precision the device computes in.
//!
//! - Activations become bf16, but for what an op names as statistics, and scalars.
//! - Weights of products are read through compute copies in bf16, which the optimizer writes. A copy is the upper half of the
//!   binary32 master; the parameter itself keeps the lower half only, so that both together take no more than the master
//!   would, and the optimizer moves fewer bytes. No bit of the master is lost ([`crate::convert::halves`]).
//! - The gradients of looked-up tables share one sort of the tokens, and sums over blocks are finished together.
//! - Tables, their gradients and moments may be bf16 altogether (nanochat's choice), and other gradients bf16.

use crate::gpu::Precision;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wootz_ops::{AdamW, Muon};
use wootz_program::{BackendError, Node, Op, Program, Role, Type, Value, ValueInfo};
use wootz_tensor::DType;

/// Prefix of the names of compute copies.
pub(crate) const COPY: &str = "compute.";

/// Lowers the programs that are loaded together.
pub(crate) fn lower(programs: Vec<Program>, precision: Precision) -> Result<Vec<Program>, BackendError> {
    let uses = Uses::of(&programs);
    let mut programs = programs;
    let mut split = BTreeSet::new();
    for program in &mut programs {
        read_copies(program, &uses.products);
        split.extend(write_copies(program, &uses.products));
    }
    for program in &mut programs {
        lower_halves(program, &split);
        activations(program);
        if precision.fp8 {
            crate::fp8::lower(program);
        }
        persistent(program, &uses, precision);
        crate::token_order::share(program);
        crate::partial_sums::gather(program);
    }
    Ok(programs)
}

/// What the parameters are to the programs, by name.
struct Uses {
    /// Weights of products.
    products: BTreeSet<String>,
    /// Looked-up tables that nothing else reads.
    tables: BTreeSet<String>,
}

impl Uses {
    fn of(programs: &[Program]) -> Uses {
        let (mut products, mut tables) = (BTreeSet::new(), BTreeSet::new());
        for program in programs {
            for node in &program.nodes {
                let parameters = node.inputs.iter().enumerate().filter_map(|(i, v)| {
                    let info = program.info(*v);
                    (info.role == Role::Parameter).then_some((i, info.name.clone()))
                });
                for (i, name) in parameters {
                    match node.op.name() {
                        "linear"
                        | "linear_input_gradient"
                        | "linear_cross_entropy"
                        | "linear_cross_entropy_backward"
                        | "logits"
                        | "linear_relu_squared"
                        | "linear_input_gradient_relu_squared" => {
                            products.insert(name);
                        }
                        "embedding" => {
                            tables.insert(name);
                        }
                        "value_gate" if i == 2 => {
                            tables.insert(name);
                        }
                        _ => {}
                    }
                }
            }
        }
        tables.retain(|name| !products.contains(name));
        Uses { products, tables }
    }
}

/// Products read the copies of their weights.
fn read_copies(program: &mut Program, products: &BTreeSet<String>) {
    let mut copies: BTreeMap<String, Value> = BTreeMap::new();
    let mut nodes = std::mem::take(&mut program.nodes);
    for node in nodes.iter_mut().filter(|node| !is_update(&*node.op)) {
        for value in &mut node.inputs {
            let info = program.info(*value);
            if info.role == Role::Parameter && products.contains(&info.name) {
                let (name, shape) = (info.name.clone(), info.ty.shape.clone());
                *value = *copies.entry(name.clone()).or_insert_with(|| {
                    program.add(ValueInfo {
                        name: format!("{COPY}{name}"),
                        ty: Type { shape, dtype: DType::BF16 },
                        role: Role::State,
                    })
                });
            }
        }
    }
    program.nodes = nodes;
}

fn is_update(op: &dyn Op) -> bool {
    matches!(op.name(), "adamw" | "muon")
}

/// Optimizer ops write the copies. Returns the names of the parameters whose copies they write.
fn write_copies(program: &mut Program, products: &BTreeSet<String>) -> Vec<String> {
    let mut written = Vec::new();
    let mut nodes = std::mem::take(&mut program.nodes);
    for node in nodes.iter_mut().filter(|node| is_update(&*node.op)) {
        if let Some(op) = node.op.as_any().downcast_ref::<AdamW>() {
            if products.contains(&program.info(node.inputs[2]).name) {
                let copy = copy_of(program, node.inputs[2]);
                written.push(program.info(node.inputs[2]).name.clone());
                (node.op, node.inputs) =
                    (Arc::new(AdamW { copy: true, ..op.clone() }), [&node.inputs[..], &[copy]].concat());
            }
        } else if let Some(op) = node.op.as_any().downcast_ref::<Muon>() {
            let op = op.clone();
            written.extend(with_muon_copies(program, node, op, products));
        }
    }
    program.nodes = nodes;
    written
}

/// All matrices of a node have copies, or none: gates of one shape have none, weights of products of one shape all do.
fn with_muon_copies(
    program: &mut Program,
    node: &mut Node,
    op: Muon,
    products: &BTreeSet<String>,
) -> Vec<String> {
    let matrices: Vec<Vec<Value>> = node.inputs[3..].chunks_exact(4).map(<[Value]>::to_vec).collect();
    if !matrices.iter().all(|of| products.contains(&program.info(of[0]).name)) {
        return Vec::new();
    }
    let mut inputs = node.inputs[..3].to_vec();
    let names = matrices.iter().map(|of| program.info(of[0]).name.clone()).collect();
    for matrix in matrices {
        let copy = copy_of(program, matrix[0]);
        inputs.extend(matrix);
        inputs.push(copy);
    }
    node.inputs = inputs;
    node.op = Arc::new(Muon { copies: true, ..op });
    names
}

fn copy_of(program: &mut Program, parameter: Value) -> Value {
    let info = program.info(parameter);
    let ty = Type { shape: info.ty.shape.clone(), dtype: DType::BF16 };
    let name = format!("{COPY}{}", info.name);
    program.add(ValueInfo { name, ty, role: Role::State })
}

/// Of the parameters that have copies no more is kept than the copies lack: 16 bits, which the type of a bf16 number stands
/// for. Nothing but the optimizer and the host reads them.
fn lower_halves(program: &mut Program, split: &BTreeSet<String>) {
    for info in program.values.iter_mut().filter(|info| info.role == Role::Parameter) {
        if split.contains(&info.name) {
            info.ty.dtype = DType::BF16;
        }
    }
}

/// Activations and what is computed for the host, but for statistics and scalars.
fn activations(program: &mut Program) {
    let mut kept: BTreeSet<Value> = BTreeSet::new();
    for node in &program.nodes {
        kept.extend(node.op.statistics().iter().map(|i| node.outputs[*i]));
    }
    for node in std::mem::take(&mut program.nodes) {
        for value in node.outputs.iter().filter(|v| !kept.contains(v)) {
            let info = program.info_mut(*value);
            let computed = matches!(info.role, Role::Activation | Role::Output);
            if computed && info.ty.dtype == DType::F32 && !info.ty.shape.dims().is_empty() {
                info.ty.dtype = DType::BF16;
            }
        }
        program.nodes.push(node);
    }
}

fn persistent(program: &mut Program, uses: &Uses, precision: Precision) {
    let mut halved: BTreeSet<Value> = BTreeSet::new();
    for node in program.nodes.iter().filter(|node| node.op.name() == "adamw") {
        if precision.bf16_tables && uses.tables.contains(&program.info(node.inputs[2]).name) {
            halved.extend(&node.inputs[2..6]);
        }
    }
    for (value, info) in program.iter_values() {
        let table = |name: &str| precision.bf16_tables && uses.tables.contains(name);
        let halve = match info.role {
            Role::Parameter => table(&info.name),
            Role::Gradient => {
                precision.bf16_gradients && info.ty.shape.dims().len() > 1
                    || info.name.strip_prefix("gradient.").is_some_and(table)
            }
            _ => false,
        };
        if halve {
            halved.insert(value);
        }
    }
    for value in halved {
        program.info_mut(value).ty.dtype = DType::BF16;
    }
}
