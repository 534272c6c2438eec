//! The small programs a case is put into.

use super::case::{Case, Fill, Kind};
use wootz_ops::{Add, Embedding, ReluSquared};
use wootz_program::{Builder, OpError, Program, Recompute, Role, Type, Value, recompute};
use wootz_tensor::{DType, Shape};

/// What a program stresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Forward; activations die at the op, so that outputs may take over their memory.
    Dying,
    /// As [`Form::Dying`], with all activations of one type one value.
    DyingTied,
    /// Forward; activations are read again behind the op, which must have left them alone.
    Kept,
    /// Forward and backward of one op.
    Once,
    /// The op twice on the same operands, summed: the second rule finds gradients to add to.
    Twice,
    /// The op's output plus its activations of the same type: a gradient meets itself as the one to add to.
    Residual,
    /// Forward and backward with all activations of one type one value.
    Tied,
}

impl Form {
    /// The forms a case is checked in.
    pub fn of(case: &Case) -> Vec<Form> {
        match (case.large, case.differentiable) {
            (true, true) => vec![Form::Once],
            (true, false) => vec![Form::Dying],
            (false, false) => vec![Form::Dying, Form::DyingTied, Form::Kept],
            (false, true) => [&[Form::Dying, Form::DyingTied, Form::Kept][..], Form::WITH_GRADIENTS].concat(),
        }
    }
    /// The forms that run the backward rule.
    pub const WITH_GRADIENTS: &[Form] = &[Form::Once, Form::Twice, Form::Residual, Form::Tied];

    fn forward(self) -> bool {
        matches!(self, Form::Dying | Form::DyingTied | Form::Kept)
    }
    fn tied(self) -> bool {
        matches!(self, Form::DyingTied | Form::Tied)
    }
}

/// A program and what the host writes and reads.
pub(crate) struct Built {
    pub(crate) program: Program,
    /// Persistent values to be filled before every run.
    pub(crate) written: Vec<(String, Shape, Fill)>,
    /// Values to be compared after a run.
    pub(crate) observed: Vec<String>,
    /// Trained operands, of which `gradient.<name>` is observed.
    pub(crate) trained: Vec<String>,
}

/// Name of the value whose derivative is taken.
pub(crate) const ROOT: &str = "root";
/// Name of the gradient of [`ROOT`].
pub(crate) const SEED: &str = "seed";

/// Writes the program of a case in one form.
pub(crate) fn build(case: &Case, form: Form) -> Result<Built, OpError> {
    let mut w = Writer { b: Builder::new(), written: Vec::new() };
    let values = w.operands(case, form)?;
    let outputs = (case.apply)(&mut w.b, &values)?;
    if form.forward() {
        return w.finish_forward(case, form, &values, &outputs);
    }
    let mut root = w.root(case, &outputs)?;
    match form {
        Form::Twice => {
            let again = (case.apply)(&mut w.b, &values)?;
            let again = w.root(case, &again)?;
            root = w.b.apply_one(Add, &[root, again])?;
        }
        Form::Residual => {
            for (value, operand) in values.iter().zip(&case.operands) {
                if operand.kind == Kind::Activation && w.b.ty(*value) == w.b.ty(root) {
                    root = w.b.apply_one(Add, &[root, *value])?;
                }
            }
        }
        _ => {}
    }
    w.finish_backward(root)
}

struct Writer {
    b: Builder,
    written: Vec<(String, Shape, Fill)>,
}

impl Writer {
    fn operands(&mut self, case: &Case, form: Form) -> Result<Vec<Value>, OpError> {
        let mut values: Vec<Value> = Vec::with_capacity(case.operands.len());
        for (i, operand) in case.operands.iter().enumerate() {
            let twin = (0..i).find(|j| {
                let other = &case.operands[*j];
                form.tied()
                    && operand.kind == Kind::Activation
                    && other.kind == operand.kind
                    && other.ty() == operand.ty()
            });
            if let Some(twin) = twin {
                values.push(values[twin]);
                continue;
            }
            let ty = operand.ty();
            self.written.push((operand.name.to_owned(), operand.shape.clone(), operand.fill));
            let value = match operand.kind {
                Kind::Activation if form.forward() => {
                    let value = self.b.input(operand.name, ty);
                    self.computed(value, operand.name)?
                }
                Kind::Activation => self.looked_up(operand.name, &ty.shape)?,
                Kind::Weight => self.b.parameter(operand.name, ty),
                Kind::Input => self.b.input(operand.name, ty),
                Kind::State => self.b.state(operand.name, ty),
            };
            values.push(value);
        }
        Ok(values)
    }

    /// The sum of the outputs that gradients come in through; those behind the first are squared, so that no two of them get
    /// the same gradient.
    fn root(&mut self, case: &Case, outputs: &[Value]) -> Result<Value, OpError> {
        let mut root = outputs[case.roots[0]];
        for i in &case.roots[1..] {
            let squared = self.b.apply_one(ReluSquared, &[outputs[*i]])?;
            root = self.b.apply_one(Add, &[root, squared])?;
        }
        Ok(root)
    }

    /// The same numbers as a value in the arena.
    fn computed(&mut self, value: Value, name: &str) -> Result<Value, OpError> {
        let (zero, ty) = (format!("zero.{name}"), self.b.ty(value).clone());
        self.written.push((zero.clone(), ty.shape.clone(), Fill::Constant(0.0)));
        let zero = self.b.input(&zero, ty);
        self.b.apply_one(Add, &[value, zero])
    }

    /// The rows of a parameter in their order, as a value whose gradient reaches the parameter.
    fn looked_up(&mut self, name: &str, shape: &Shape) -> Result<Value, OpError> {
        let dims = shape.dims();
        let rows: Vec<usize> = dims[..dims.len() - 1].to_vec();
        let table = self.b.parameter(name, Type::f32([shape.rows(), shape.last()]));
        if let Some((_, written, _)) = self.written.iter_mut().find(|(written, ..)| written == name) {
            *written = Shape::from([shape.rows(), shape.last()]);
        }
        let order = format!("order.{name}");
        self.written.push((order.clone(), Shape::from(rows.clone()), Fill::Order));
        let order = self.b.input(&order, Type::i32(rows));
        self.b.apply_one(Embedding, &[table, order])
    }

    fn finish_forward(
        mut self,
        case: &Case,
        form: Form,
        values: &[Value],
        outputs: &[Value],
    ) -> Result<Built, OpError> {
        let mut observed = Vec::new();
        let mut readable: Vec<(String, Value)> =
            outputs.iter().enumerate().map(|(i, v)| (format!("output.{i}"), *v)).collect();
        for (operand, value) in case.operands.iter().zip(values) {
            match operand.kind {
                Kind::Activation if form == Form::Kept => {
                    readable.push((format!("kept.{}", operand.name), *value));
                }
                Kind::State => observed.push(operand.name.to_owned()),
                _ => {}
            }
        }
        for (name, value) in readable {
            let copy = self.computed(value, &name)?;
            self.b.output(copy, &name);
            observed.push(name);
        }
        Ok(Built { program: self.b.finish(), written: self.written, observed, trained: Vec::new() })
    }

    fn finish_backward(mut self, root: Value) -> Result<Built, OpError> {
        let ty: Type = self.b.ty(root).clone();
        self.written.push((SEED.to_owned(), ty.shape.clone(), Fill::Normal(1.0)));
        let seed = self.b.input(SEED, ty);
        // In the arena, so that rules which may write over the gradient they are given do.
        let seed = self.computed(seed, SEED)?;
        self.b.output(root, ROOT);
        let first_backward = wootz_ops::reverse(&mut self.b, root, seed)?;
        let program = recompute(self.b, first_backward, Recompute::None);
        let is_trained = |name: &&String| program.of_role(Role::Parameter).contains_key(name.as_str());
        let trained: Vec<String> =
            self.written.iter().map(|(name, ..)| name).filter(is_trained).cloned().collect();
        let mut observed = vec![ROOT.to_owned()];
        for (name, info) in program.iter_values().map(|(_, info)| (&info.name, info)) {
            if info.role == Role::Gradient {
                debug_assert_eq!(info.ty.dtype, DType::F32);
                observed.push(name.clone());
                self.written.push((name.clone(), info.ty.shape.clone(), Fill::Normal(1.0)));
            }
        }
        Ok(Built { program, written: self.written, observed, trained })
    }
}
