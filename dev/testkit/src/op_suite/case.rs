//! An op with its operands, as data.

use crate::Random;
use wootz_program::{Builder, Op, OpError, Type, Value};
use wootz_tensor::{Data, HostTensor, Shape};

type Apply = Box<dyn Fn(&mut Builder, &[Value]) -> Result<Vec<Value>, OpError> + Send + Sync>;

/// One op, its settings and its operands.
pub struct Case {
    /// The op and its operands, for messages.
    pub name: String,
    pub(crate) apply: Apply,
    pub(crate) operands: Vec<Operand>,
    pub(crate) differentiable: bool,
    pub(crate) aligned: bool,
    pub(crate) cancels: bool,
    pub(crate) sums: bool,
    pub(crate) roots: Vec<usize>,
    pub(crate) large: bool,
    pub(crate) tolerance: f64,
}

impl Case {
    /// A case that is compared with the definition to within 1e-5 of the largest element.
    pub fn new(op: impl Op + Clone, operands: impl Into<Vec<Operand>>) -> Case {
        Case::chain(&format!("{op:?}"), operands, move |b, inputs| b.apply(op.clone(), inputs))
    }
    /// Several ops in a row, which a backend may have one code for.
    pub fn chain(
        name: &str,
        operands: impl Into<Vec<Operand>>,
        apply: impl Fn(&mut Builder, &[Value]) -> Result<Vec<Value>, OpError> + Send + Sync + 'static,
    ) -> Case {
        let operands = operands.into();
        let dims: Vec<String> = operands.iter().map(|o| format!("{} {}", o.name, o.shape)).collect();
        Case {
            name: format!("{name}({})", dims.join(", ")),
            apply: Box::new(apply),
            operands,
            differentiable: false,
            aligned: false,
            cancels: false,
            sums: false,
            roots: vec![0],
            large: false,
            tolerance: 1e-5,
        }
    }
    /// The first output, or those of [`Case::through`], have a gradient, which is checked too. Activations need at least one dim.
    pub fn differentiable(self) -> Case {
        Case { differentiable: true, ..self }
    }
    /// The outputs through which gradients come in: the first one's as it is drawn, the others' through a squared ReLU.
    pub fn through(self, outputs: &[usize]) -> Case {
        let name = format!("{} through {outputs:?}", self.name);
        Case { roots: outputs.to_vec(), name, ..self }
    }
    /// Of sizes that devices with tiles take; finite differences are left to smaller cases.
    pub fn aligned(self) -> Case {
        Case { aligned: true, ..self }
    }
    /// Some gradients are zero but for rounding, so that an error relative to them says nothing.
    pub fn cancels(self) -> Case {
        Case { cancels: true, ..self }
    }
    /// The gradients of few numbers are sums over all elements of rounded values, in which almost all cancels: a backend that
    /// computes in fewer bits is measured against the gradients of all operands there.
    pub fn sums(self) -> Case {
        Case { sums: true, ..self }
    }
    /// Too large to be run in every form, and for finite differences.
    pub fn large(self) -> Case {
        Case { large: true, ..self }
    }
    /// Whether it is too large for slow checkers.
    pub fn is_large(&self) -> bool {
        self.large
    }
    /// Another bound for the comparison with the definition.
    pub fn tolerance(self, tolerance: f64) -> Case {
        Case { tolerance, ..self }
    }
}

/// What an operand is to its op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value computed by other ops, differentiable.
    Activation,
    /// A parameter.
    Weight,
    /// A value from the host, not differentiable.
    Input,
    /// A persistent value that the op changes.
    State,
}

/// Where the elements come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// Normal, of this deviation.
    Normal(f64),
    /// Uniform between two bounds.
    Uniform(f64, f64),
    /// Integers below a limit.
    Ids(usize),
    /// Integers below a limit, and a fifth of them −1.
    Targets(usize),
    /// Integers, all of them −1.
    Ignored,
    /// The integers from 0 in their order.
    Order,
    /// One number everywhere.
    Constant(f64),
}

/// One operand.
#[derive(Debug, Clone)]
pub struct Operand {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) shape: Shape,
    pub(crate) fill: Fill,
}

impl Operand {
    /// A differentiable value computed by other ops.
    pub fn activation(name: &'static str, dims: impl Into<Shape>) -> Operand {
        Operand { name, kind: Kind::Activation, shape: dims.into(), fill: Fill::Normal(1.0) }
    }
    /// A parameter; matrices are scaled so that a product keeps the variance.
    pub fn weight(name: &'static str, dims: impl Into<Shape>) -> Operand {
        let shape = dims.into();
        let fill = Fill::Normal(1.0 / (shape.last() as f64).sqrt());
        Operand { name, kind: Kind::Weight, shape, fill }
    }
    /// A value from the host.
    pub fn input(name: &'static str, dims: impl Into<Shape>, fill: Fill) -> Operand {
        Operand { name, kind: Kind::Input, shape: dims.into(), fill }
    }
    /// A persistent value that the op changes.
    pub fn state(name: &'static str, dims: impl Into<Shape>, fill: Fill) -> Operand {
        Operand { name, kind: Kind::State, shape: dims.into(), fill }
    }
    /// The same operand with other elements.
    pub fn filled(self, fill: Fill) -> Operand {
        Operand { fill, ..self }
    }
    pub(crate) fn ty(&self) -> Type {
        match self.fill {
            Fill::Ids(_) | Fill::Targets(_) | Fill::Ignored | Fill::Order => Type::i32(self.shape.clone()),
            _ => Type::f32(self.shape.clone()),
        }
    }
}

/// The elements of [`draw`], reals rounded to bfloat16 numbers where `bf16` says so.
pub(crate) fn draw_rounded(seed: u64, name: &str, shape: &Shape, fill: Fill, bf16: bool) -> HostTensor {
    let drawn = draw(seed, name, shape, fill);
    match drawn.as_f32() {
        Ok(reals) if bf16 => {
            let rounded = reals.iter().map(|x| round_to_bf16(*x)).collect();
            HostTensor::f32(shape.clone(), rounded).expect("as many elements as before, one for each")
        }
        _ => drawn,
    }
}

/// The nearest bfloat16 number, ties to even.
fn round_to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    f32::from_bits((bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff_0000)
}

/// Elements for a value of this name. Reals are binary32 numbers, so that every backend starts from the same.
pub(crate) fn draw(seed: u64, name: &str, shape: &Shape, fill: Fill) -> HostTensor {
    let mut random = Random::of(seed, name);
    let n = shape.len();
    let mut reals =
        |f: &dyn Fn(&mut Random) -> f64| Data::F32((0..n).map(|_| f(&mut random) as f32).collect());
    let data = match fill {
        Fill::Normal(scale) => reals(&|r| scale * r.normal()),
        Fill::Uniform(low, high) => reals(&|r| low + (high - low) * r.unit()),
        Fill::Constant(x) => reals(&|_| x),
        Fill::Ids(limit) => Data::I32((0..n).map(|_| random.below(limit) as i32).collect()),
        Fill::Order => Data::I32((0..n as i32).collect()),
        Fill::Ignored => Data::I32(vec![-1; n]),
        Fill::Targets(limit) => {
            let target = |r: &mut Random| if r.below(5) == 0 { -1 } else { r.below(limit) as i32 };
            Data::I32((0..n).map(|_| target(&mut random)).collect())
        }
    };
    HostTensor::new(shape.clone(), data)
        .expect("as many elements as the shape has, because they were drawn for it")
}
