//! A graph of tensors and operations as data, and the descriptor calls that tell cuDNN about it.
//!
//! The trick: describing a graph is a pure walk over tables into a sink ([`Describe`]). One sink makes real descriptors
//! (`descriptor.rs`), another one writes the calls down as text ([`Record`]), so that what cuDNN would be told can be
//! tested on a machine that has no cuDNN. Not covered: operations that attention does not need.

use super::api::{attr, data, kind, ty};
use std::fmt::Write as _;

/// Sizes or strides of the dims of a tensor; attention's are (batch, head, row, column).
pub type Dims = [i64; 4];

/// A tensor of a graph, by its place in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId(usize);

/// Where a tensor's values are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Storage {
    /// In device memory, at a pointer that is given with each launch.
    Memory,
    /// Nowhere: it lives inside the fused kernel.
    Virtual,
    /// In the launch itself.
    Scalar(f32),
}

/// A tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// The name that bindings use; unique in the graph.
    pub uid: i64,
    /// One of [`data`].
    pub dtype: i32,
    /// Sizes.
    pub dims: Dims,
    /// Distances in elements.
    pub strides: Dims,
    /// Where the values are.
    pub storage: Storage,
    /// First element of each sequence, for sequences of different lengths that stand one after the other.
    pub ragged: Option<TensorId>,
}

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// c = a × b over the last two dims; the others broadcast.
    Matmul {
        /// (…, rows, inner).
        a: TensorId,
        /// (…, inner, columns).
        b: TensorId,
        /// (…, rows, columns).
        c: TensorId,
        /// The real sizes of each sequence, where they differ.
        lengths: Lengths,
    },
    /// y = mode(x, b), element by element; shorter dims broadcast.
    Pointwise(Pointwise),
    /// y = x, reduced over the dims in which y has size 1; a head of y takes its group's heads of x.
    Reduction {
        /// One of [`reduce`](super::api::reduce).
        mode: i32,
        /// Operand.
        x: TensorId,
        /// Result.
        y: TensorId,
    },
    /// y = x in another shape, or with two dims exchanged.
    Reshape {
        /// Operand.
        x: TensorId,
        /// Result.
        y: TensorId,
    },
}

/// The real sizes of a matrix product, one number per sequence; `None` is the tensor's own size.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Lengths {
    /// Rows of a and c.
    pub rows: Option<TensorId>,
    /// Columns of b and c.
    pub columns: Option<TensorId>,
    /// Columns of a and rows of b.
    pub inner: Option<TensorId>,
}

/// An operation on one element at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pointwise {
    /// One of [`pointwise`](super::api::pointwise).
    pub mode: i32,
    /// In which type it is computed.
    pub compute: i32,
    /// Along which dim indices are counted.
    pub axis: Option<i64>,
    /// First operand.
    pub x: TensorId,
    /// Second operand.
    pub b: Option<TensorId>,
    /// Where this is true the result is x, elsewhere b.
    pub test: Option<TensorId>,
    /// Result.
    pub y: TensorId,
}

/// Tensors, and operations in the order in which they are computed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    tensors: Vec<Tensor>,
    operations: Vec<Operation>,
    uids: i64,
}

/// The bytes to which every tensor in memory is aligned. cuDNN believes it without a check.
pub const ALIGNMENT_BYTES: usize = 16;

impl Graph {
    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
    /// The operations.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }
    /// A tensor.
    pub fn tensor(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }
    /// uid and value of each number.
    pub fn scalars(&self) -> Vec<(i64, f32)> {
        let value = |tensor: &Tensor| match tensor.storage {
            Storage::Scalar(value) => Some((tensor.uid, value)),
            Storage::Memory | Storage::Virtual => None,
        };
        self.tensors.iter().filter_map(value).collect()
    }

    /// Adds a tensor; its uid is its own business.
    pub fn push(&mut self, tensor: Tensor) -> TensorId {
        self.uids = self.uids.max(tensor.uid);
        self.tensors.push(tensor);
        TensorId(self.tensors.len() - 1)
    }
    /// Adds a tensor in device memory, under the next uid.
    pub fn memory(&mut self, dtype: i32, dims: Dims, strides: Dims) -> TensorId {
        let uid = self.uids + 1;
        self.push(Tensor { uid, dtype, dims, strides, storage: Storage::Memory, ragged: None })
    }
    /// Adds a tensor inside the fused kernel, under the next uid.
    pub fn inner(&mut self, dtype: i32, dims: Dims, strides: Dims) -> TensorId {
        let uid = self.uids + 1;
        self.push(Tensor { uid, dtype, dims, strides, storage: Storage::Virtual, ragged: None })
    }
    /// Says where the sequences of a tensor begin.
    pub fn set_ragged(&mut self, id: TensorId, offsets: Option<TensorId>) {
        self.tensors[id.0].ragged = offsets;
    }
    /// Adds a number, under the next uid.
    pub fn scalar(&mut self, value: f32) -> TensorId {
        self.push(Tensor::scalar(self.uids + 1, value))
    }

    /// c = a × b.
    pub fn matmul(&mut self, a: TensorId, b: TensorId, c: TensorId, lengths: Lengths) {
        self.operations.push(Operation::Matmul { a, b, c, lengths });
    }
    /// y = mode(x).
    pub fn unary(&mut self, mode: i32, x: TensorId, y: TensorId) {
        self.pointwise(Pointwise { mode, compute: data::FLOAT, axis: None, x, b: None, test: None, y });
    }
    /// y = mode(x, b).
    pub fn binary(&mut self, mode: i32, x: TensorId, b: TensorId, y: TensorId) {
        self.pointwise(Pointwise { mode, compute: data::FLOAT, axis: None, x, b: Some(b), test: None, y });
    }
    /// y = mode(x, b), a truth value.
    pub fn compare(&mut self, mode: i32, x: TensorId, b: TensorId, y: TensorId) {
        self.pointwise(Pointwise { mode, compute: data::BOOLEAN, axis: None, x, b: Some(b), test: None, y });
    }
    /// Adds an operation on one element at a time.
    pub fn pointwise(&mut self, operation: Pointwise) {
        self.operations.push(Operation::Pointwise(operation));
    }
    /// y = x, reduced.
    pub fn reduce(&mut self, mode: i32, x: TensorId, y: TensorId) {
        self.operations.push(Operation::Reduction { mode, x, y });
    }
    /// y = x in another shape.
    pub fn reshape(&mut self, x: TensorId, y: TensorId) {
        self.operations.push(Operation::Reshape { x, y });
    }

    /// Makes the calls that tell cuDNN about this graph; returns the descriptor of the whole.
    ///
    /// All tensors first, then each operation after the descriptor of its mode, then the graph.
    pub fn describe<S: Describe>(&self, sink: &mut S) -> Result<S::Id, S::Error> {
        let mut described = Vec::with_capacity(self.tensors.len());
        for tensor in &self.tensors {
            let id = tensor.describe(sink, &described)?;
            described.push(id);
        }
        let at = |id: TensorId| described[id.0];
        let mut operations = Vec::with_capacity(self.operations.len());
        for operation in &self.operations {
            operations.push(operation.describe(sink, &at)?);
        }
        let whole = [
            (attr::OPERATIONGRAPH_OPS, Value::Descriptors(&operations)),
            (attr::OPERATIONGRAPH_HANDLE, Value::Handle),
        ];
        make(sink, kind::OPERATIONGRAPH, &whole)
    }
}

impl Tensor {
    /// A number.
    pub fn scalar(uid: i64, value: f32) -> Tensor {
        let (dims, storage) = ([1; 4], Storage::Scalar(value));
        Tensor { uid, dtype: data::FLOAT, dims, strides: dims, storage, ragged: None }
    }

    fn describe<S: Describe>(&self, sink: &mut S, before: &[S::Id]) -> Result<S::Id, S::Error> {
        let (uid, alignment) = ([self.uid], [ALIGNMENT_BYTES as i64]);
        let mut attributes = vec![
            (attr::TENSOR_DATA_TYPE, Value::DataType(self.dtype)),
            (attr::TENSOR_DIMENSIONS, Value::Int64(&self.dims)),
            (attr::TENSOR_STRIDES, Value::Int64(&self.strides)),
            (attr::TENSOR_UNIQUE_ID, Value::Int64(&uid)),
            (attr::TENSOR_BYTE_ALIGNMENT, Value::Int64(&alignment)),
        ];
        match self.storage {
            Storage::Memory => {}
            Storage::Virtual => attributes.push((attr::TENSOR_IS_VIRTUAL, Value::Bool(true))),
            Storage::Scalar(_) => attributes.push((attr::TENSOR_IS_BY_VALUE, Value::Bool(true))),
        }
        let offsets = self.ragged.map(|offsets| [before[offsets.0]]);
        if let Some(offsets) = &offsets {
            attributes.push((attr::TENSOR_RAGGED_OFFSET_DESC, Value::Descriptors(offsets)));
        }
        make(sink, kind::TENSOR, &attributes)
    }
}

impl Operation {
    fn describe<S: Describe>(&self, sink: &mut S, at: &dyn Fn(TensorId) -> S::Id) -> Result<S::Id, S::Error> {
        match *self {
            Operation::Matmul { a, b, c, lengths } => {
                let mode =
                    make(sink, kind::MATMUL, &[(attr::MATMUL_COMP_TYPE, Value::DataType(data::FLOAT))])?;
                let operands = [
                    (attr::OPERATION_MATMUL_ADESC, Some(at(a))),
                    (attr::OPERATION_MATMUL_BDESC, Some(at(b))),
                    (attr::OPERATION_MATMUL_CDESC, Some(at(c))),
                    (attr::OPERATION_MATMUL_DESC, Some(mode)),
                    (attr::OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC, lengths.rows.map(at)),
                    (attr::OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC, lengths.columns.map(at)),
                    (attr::OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC, lengths.inner.map(at)),
                ];
                make_of(sink, kind::OPERATION_MATMUL, &operands, &[])
            }
            Operation::Pointwise(operation) => operation.describe(sink, at),
            Operation::Reduction { mode, x, y } => {
                let attributes = [
                    (attr::REDUCTION_COMP_TYPE, Value::DataType(data::FLOAT)),
                    (attr::REDUCTION_OPERATOR, Value::Reduction(mode)),
                    (attr::REDUCTION_IS_DETERMINISTIC, Value::Bool(false)),
                ];
                let mode = make(sink, kind::REDUCTION, &attributes)?;
                let operands = [
                    (attr::OPERATION_REDUCTION_DESC, Some(mode)),
                    (attr::OPERATION_REDUCTION_XDESC, Some(at(x))),
                    (attr::OPERATION_REDUCTION_YDESC, Some(at(y))),
                ];
                make_of(sink, kind::OPERATION_REDUCTION, &operands, &[])
            }
            Operation::Reshape { x, y } => {
                let operands = [
                    (attr::OPERATION_RESHAPE_XDESC, Some(at(x))),
                    (attr::OPERATION_RESHAPE_YDESC, Some(at(y))),
                ];
                make_of(sink, kind::OPERATION_RESHAPE, &operands, &[])
            }
        }
    }
}

impl Pointwise {
    fn describe<S: Describe>(&self, sink: &mut S, at: &dyn Fn(TensorId) -> S::Id) -> Result<S::Id, S::Error> {
        let axis = self.axis.map(|axis| [axis]);
        let mut attributes = vec![
            (attr::POINTWISE_MODE, Value::PointwiseMode(self.mode)),
            (attr::POINTWISE_MATH_PREC, Value::DataType(self.compute)),
        ];
        if let Some(axis) = &axis {
            attributes.push((attr::POINTWISE_AXIS, Value::Int64(axis)));
        }
        let mode = make(sink, kind::POINTWISE, &attributes)?;
        let operands = [
            (attr::OPERATION_POINTWISE_PW_DESCRIPTOR, Some(mode)),
            (attr::OPERATION_POINTWISE_XDESC, Some(at(self.x))),
            (attr::OPERATION_POINTWISE_YDESC, Some(at(self.y))),
            (attr::OPERATION_POINTWISE_BDESC, self.b.map(at)),
            (attr::OPERATION_POINTWISE_TDESC, self.test.map(at)),
        ];
        let factors = [
            (attr::OPERATION_POINTWISE_ALPHA1, Value::Float(1.0)),
            (attr::OPERATION_POINTWISE_ALPHA2, Value::Float(1.0)),
        ];
        make_of(sink, kind::OPERATION_POINTWISE, &operands, &factors)
    }
}

/// What receives the calls.
pub trait Describe {
    /// A descriptor.
    type Id: Copy;
    /// Why a call failed.
    type Error;
    /// Creates a descriptor of a [`kind`].
    fn create(&mut self, kind: i32) -> Result<Self::Id, Self::Error>;
    /// Sets an attribute, one of [`attr`].
    fn set(&mut self, id: Self::Id, attribute: i32, value: Value<'_, Self::Id>) -> Result<(), Self::Error>;
    /// Ends the description.
    fn finalize(&mut self, id: Self::Id) -> Result<(), Self::Error>;
}

/// The value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a, Id> {
    /// The handle of the library, where there is one.
    Handle,
    /// One of [`data`].
    DataType(i32),
    /// A truth value.
    Bool(bool),
    /// Whole numbers.
    Int64(&'a [i64]),
    /// A real number.
    Float(f32),
    /// One of [`pointwise`](super::api::pointwise).
    PointwiseMode(i32),
    /// One of [`reduce`](super::api::reduce).
    Reduction(i32),
    /// Other descriptors.
    Descriptors(&'a [Id]),
}

impl<Id> Value<'_, Id> {
    /// cuDNN's number for the type.
    pub fn ty(&self) -> i32 {
        match self {
            Value::Handle => ty::HANDLE,
            Value::DataType(_) => ty::DATA_TYPE,
            Value::Bool(_) => ty::BOOLEAN,
            Value::Int64(_) => ty::INT64,
            Value::Float(_) => ty::FLOAT,
            Value::PointwiseMode(_) => ty::POINTWISE_MODE,
            Value::Reduction(_) => ty::REDUCTION_OPERATOR_TYPE,
            Value::Descriptors(_) => ty::BACKEND_DESCRIPTOR,
        }
    }
    /// How many values it is.
    pub fn count(&self) -> usize {
        match self {
            Value::Int64(values) => values.len(),
            Value::Descriptors(values) => values.len(),
            _ => 1,
        }
    }
}

/// Creates a descriptor, sets its attributes in their order, and finalizes it.
pub(super) fn make<S: Describe>(
    sink: &mut S,
    kind: i32,
    attributes: &[(i32, Value<'_, S::Id>)],
) -> Result<S::Id, S::Error> {
    let id = sink.create(kind)?;
    for (attribute, value) in attributes {
        sink.set(id, *attribute, *value)?;
    }
    sink.finalize(id)?;
    Ok(id)
}

/// The same for a descriptor that mostly names others.
fn make_of<S: Describe>(
    sink: &mut S,
    kind: i32,
    operands: &[(i32, Option<S::Id>)],
    more: &[(i32, Value<'_, S::Id>)],
) -> Result<S::Id, S::Error> {
    let present: Vec<(i32, [S::Id; 1])> =
        operands.iter().filter_map(|(attribute, id)| id.map(|id| (*attribute, [id]))).collect();
    let mut attributes: Vec<(i32, Value<'_, S::Id>)> =
        present.iter().map(|(attribute, id)| (*attribute, Value::Descriptors(id))).collect();
    attributes.extend_from_slice(more);
    make(sink, kind, &attributes)
}

/// Writes the calls down, one per line: `create #id type T`, `set #id attr A type Y n N : values`, `finalize #id`.
#[derive(Debug, Default)]
pub struct Record {
    /// The lines.
    pub text: String,
    attributes: Vec<usize>,
}

impl Describe for Record {
    type Id = usize;
    type Error = std::fmt::Error;

    fn create(&mut self, kind: i32) -> Result<usize, std::fmt::Error> {
        let id = self.attributes.len();
        self.attributes.push(0);
        writeln!(self.text, "create #{id} type {kind}")?;
        Ok(id)
    }
    fn set(&mut self, id: usize, attribute: i32, value: Value<'_, usize>) -> Result<(), std::fmt::Error> {
        self.attributes[id] += 1;
        let (ty, count) = (value.ty(), value.count());
        write!(self.text, "  set #{id} attr {attribute} type {ty} n {count} :")?;
        match value {
            Value::Handle => write!(self.text, " H")?,
            Value::DataType(n) | Value::PointwiseMode(n) | Value::Reduction(n) => write!(self.text, " {n}")?,
            Value::Bool(truth) => write!(self.text, " {}", u8::from(truth))?,
            Value::Int64(values) => values.iter().try_for_each(|n| write!(self.text, " {n}"))?,
            Value::Float(n) => write!(self.text, " {n}")?,
            Value::Descriptors(ids) => ids.iter().try_for_each(|id| write!(self.text, " #{id}"))?,
        }
        writeln!(self.text)
    }
    fn finalize(&mut self, id: usize) -> Result<(), std::fmt::Error> {
        writeln!(self.text, "  finalize #{id} ({} attrs)", self.attributes[id])
    }
}
