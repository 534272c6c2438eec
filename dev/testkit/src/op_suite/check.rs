//! The checks; each returns the first thing that is wrong, with the case, the form and the value it is about.

use super::case::{Case, Fill, Kind, draw, draw_rounded};
use super::form::{Built, Form, ROOT, SEED, build};
use super::tolerance::{Tolerance, Verdict, relative_error};
use crate::{Random, memory};
use std::collections::{BTreeMap, BTreeSet};
use wootz_cpu::{CpuBackend, Mode};
use wootz_program::{Backend, BackendError, Planned, Session, plan};
use wootz_tensor::{DType, Data, HostTensor, Shape};

/// Numbers by the name of the value.
type Observed = BTreeMap<String, Vec<f64>>;

/// Rounds with inputs of their own in one session: what one leaves behind must not show in the next.
const ROUNDS: u64 = 2;
/// Numbers of an operand whose gradients may be sums over all rows.
const FEW: usize = 64;
/// Elements below this share of 1 are compared absolutely: sums that cancel leave the rounding of their terms.
const FLOOR: f64 = 0.05;
/// Step of the central differences, and what they may be off by, relative to the largest of 1 and the derivative.
const STEP: f64 = 1e-5;
const DIFFERENCE_TOLERANCE: f64 = 1e-6;
/// Elements of each operand that get a difference of their own, beside one along a random direction.
const PROBES: usize = 6;

/// Runs a case in all its forms on a backend and by its definition in binary64, on the same fresh inputs.
pub fn agrees_with_reference(case: &Case, backend: &dyn Backend) -> Result<(), String> {
    let definition = CpuBackend::reference(Mode::Reference64).poisoned();
    for form in Form::of(case) {
        let built = build_named(case, form)?;
        let (expected, actual) = (runs(&built, &definition, case)?, runs(&built, backend, case)?);
        for (expected, actual) in expected.iter().zip(&actual) {
            for (name, expected) in expected {
                compare(expected, &actual[name], case.tolerance)
                    .map_err(|what| format!("{}, {form:?}: {name}: {what}", case.name))?;
            }
        }
    }
    Ok(())
}

/// Runs a case in all its forms on a backend, lowered by it, and by its definition in binary64, on the same fresh inputs. For
/// backends that compute in fewer bits: the measure is one of whole values. A case that the backend has no code for at its
/// sizes is skipped, not passed.
pub fn agrees_with_reference_within(
    case: &Case,
    backend: &dyn Backend,
    tolerance: &Tolerance,
) -> Result<Verdict, String> {
    let definition = CpuBackend::reference(Mode::Reference64).poisoned();
    let (mut worst, mut skipped) = (0.0f64, None);
    for form in Form::of(case) {
        let built = build_named(case, form)?;
        let named = |what: String| format!("{}, {form:?}: {what}", case.name);
        let mut actual = match load(&built, backend) {
            Ok(session) => session,
            Err(BackendError::Unsupported { op, reason }) => {
                skipped = Some(format!("{op}: {reason}"));
                continue;
            }
            Err(error) => return Err(named(error.to_string())),
        };
        let mut expected = load(&built, &definition).map_err(|e| named(e.to_string()))?;
        for seed in 0..rounds(case) {
            let inputs = inputs(&built, seed, tolerance.round_bf16);
            let expected = run(&built, &mut *expected, &inputs).map_err(named)?;
            let actual = run(&built, &mut *actual, &inputs).map_err(named)?;
            let all = norm(expected.values().flatten());
            for (name, expected) in &expected {
                let before = inputs.iter().find(|(written, _)| *written == name && !case.cancels);
                let before = before.map(|(_, tensor)| numbers(tensor));
                let sum = case.sums && before.is_some() && expected.len() < FEW;
                let least = if sum { all / 2.0 } else { 0.0 };
                let error = relative_error(expected, &actual[name], before.as_deref(), least);
                if error.is_nan() || error > tolerance.relative {
                    return Err(named(format!("{name} is off by {error:.2e} of its norm")));
                }
                worst = worst.max(error);
            }
        }
    }
    Ok(match skipped {
        Some(reason) => Verdict::Skipped { reason },
        None => Verdict::Agrees { worst },
    })
}

/// Runs a case in all its forms on several backends: the results are the same bits.
pub fn agrees_bit_for_bit(case: &Case, backends: &[&dyn Backend]) -> Result<(), String> {
    for form in Form::of(case) {
        let built = build_named(case, form)?;
        let mut results = Vec::new();
        for backend in backends {
            results.push((backend.describe(), runs(&built, *backend, case)?));
        }
        let (first, expected) = &results[0];
        for (name, actual) in &results[1..] {
            for (expected, actual) in expected.iter().zip(actual) {
                let differs = expected
                    .iter()
                    .find(|(name, e)| e.iter().zip(&actual[*name]).any(|(e, a)| e.to_bits() != a.to_bits()));
                if let Some((value, _)) = differs {
                    return Err(format!(
                        "{}, {form:?}: {value} differs between {first} and {name}",
                        case.name
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Compares every gradient of a case with central differences of Σ seed·output, in binary64.
pub fn agrees_with_finite_differences(case: &Case) -> Result<(), String> {
    if !case.differentiable || case.large || case.aligned {
        return Ok(());
    }
    for form in Form::WITH_GRADIENTS {
        let built = build_named(case, *form)?;
        differences(&built).map_err(|what| format!("{}, {form:?}: {what}", case.name))?;
    }
    Ok(())
}

/// Runs a case with no number in its first activation: the results show it, or a run that diverged would go on unseen.
pub fn passes_nan_on(case: &Case, backend: &dyn Backend) -> Result<(), String> {
    let first = case.operands.iter().find(|o| o.kind == Kind::Activation);
    let all_ignored = case.operands.iter().any(|o| o.fill == Fill::Ignored);
    let Some(first) = first.filter(|_| !all_ignored) else { return Ok(()) };
    let built = build_named(case, Form::Dying)?;
    let mut session = load(&built, backend).map_err(|e| e.to_string())?;
    for (name, shape, fill) in &built.written {
        session.write(name, &draw(0, name, shape, *fill)).map_err(|e| e.to_string())?;
    }
    write(&mut *session, first.name, &first.shape, vec![f64::NAN; first.shape.len()])?;
    session.run(0).map_err(|e| e.to_string())?;
    for name in &built.observed {
        if read(&*session, name)?.iter().any(|x| x.is_nan()) {
            return Ok(());
        }
    }
    Err(format!("{}: a NaN in {} is gone", case.name, first.name))
}

/// Checks the memory plans of a case's programs.
pub fn plan_is_sound(case: &Case, backend: &dyn Backend) -> Result<(), String> {
    for form in Form::of(case) {
        let program = build_named(case, form)?.program;
        let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
        memory::check(&program, &plan).map_err(|what| format!("{}, {form:?}: {what}", case.name))?;
    }
    Ok(())
}

/// Names of the ops that the programs of these cases hold.
pub fn op_names<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Result<BTreeSet<&'static str>, String> {
    let mut names = BTreeSet::new();
    for case in cases {
        for form in Form::of(case) {
            names.extend(build_named(case, form)?.program.nodes.iter().map(|node| node.op.name()));
        }
    }
    Ok(names)
}

fn build_named(case: &Case, form: Form) -> Result<Built, String> {
    build(case, form).map_err(|e| format!("{}, {form:?}: {e}", case.name))
}

fn load(built: &Built, backend: &dyn Backend) -> Result<Box<dyn Session>, BackendError> {
    let lowered = backend.lower(vec![built.program.clone()])?;
    let planned = lowered.into_iter().map(|program| {
        let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
        Planned { program, plan }
    });
    backend.load(planned.collect())
}

fn norm<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

fn rounds(case: &Case) -> u64 {
    if case.large { 1 } else { ROUNDS }
}

/// What the host writes before a run.
fn inputs(built: &Built, seed: u64, round_bf16: bool) -> Vec<(&String, HostTensor)> {
    let draw =
        |(name, shape, fill): &'_ (String, Shape, Fill)| draw_rounded(seed, name, shape, *fill, round_bf16);
    built.written.iter().map(|written| (&written.0, draw(written))).collect()
}

/// What a few runs in one session leave in the observed values.
fn runs(built: &Built, backend: &dyn Backend, case: &Case) -> Result<Vec<Observed>, String> {
    let named = |e: String| format!("{}: {e}", case.name);
    let mut session = load(built, backend).map_err(|e| named(e.to_string()))?;
    (0..rounds(case))
        .map(|seed| run(built, &mut *session, &inputs(built, seed, false)).map_err(named))
        .collect()
}

fn run(
    built: &Built,
    session: &mut dyn Session,
    written: &[(&String, HostTensor)],
) -> Result<Observed, String> {
    for name in &built.observed {
        let tensor = session.read(name).map_err(|e| e.to_string())?;
        let poison = poison(tensor.shape(), tensor.dtype()).map_err(|e| e.to_string())?;
        session.write(name, &poison).map_err(|e| e.to_string())?;
    }
    for (name, tensor) in written {
        session.write(name, tensor).map_err(|e| e.to_string())?;
    }
    session.run(0).map_err(|e| e.to_string())?;
    let mut observed = Observed::new();
    for name in &built.observed {
        observed.insert(name.clone(), read(session, name)?);
    }
    for (name, before) in written {
        let (before, changes) = (numbers(before), built.observed.contains(name));
        let kept = observed.get(&format!("kept.{name}"));
        if (!changes && read(session, name)? != before) || kept.is_some_and(|kept| *kept != before) {
            return Err(format!("{name} was changed"));
        }
    }
    Ok(observed)
}

fn differences(built: &Built) -> Result<(), String> {
    let backend = CpuBackend::reference(Mode::Reference64).poisoned();
    let mut session = load(built, &backend).map_err(|e| e.to_string())?;
    let mut values = BTreeMap::new();
    for (name, shape, fill) in &built.written {
        let tensor = draw(7, name, shape, *fill);
        if built.trained.contains(name) {
            values.insert(name.as_str(), (shape, numbers(&tensor)));
        }
        match name.starts_with("gradient.") {
            true => write(&mut *session, name, shape, vec![0.0; shape.len()])?,
            false => session.write(name, &tensor).map_err(|e| e.to_string())?,
        }
    }
    session.run(0).map_err(|e| e.to_string())?;
    let mut gradients = BTreeMap::new();
    for name in values.keys() {
        gradients.insert(*name, read(&*session, &format!("gradient.{name}"))?);
    }
    let seed = read(&*session, SEED)?;
    let mut along = |direction: &BTreeMap<&str, Vec<f64>>| -> Result<(), String> {
        let mut root = |step: f64| -> Result<f64, String> {
            for (name, direction) in direction {
                let (shape, at) = &values[name];
                let moved = at.iter().zip(direction).map(|(x, d)| x + step * d).collect();
                write(&mut *session, name, shape, moved)?;
            }
            session.run(0).map_err(|e| e.to_string())?;
            Ok(dot(&read(&*session, ROOT)?, &seed))
        };
        let difference = (root(STEP)? - root(-STEP)?) / (2.0 * STEP);
        root(0.0)?;
        let expected: f64 = direction.iter().map(|(name, d)| dot(d, &gradients[name])).sum();
        let names: Vec<&str> = direction.keys().copied().collect();
        match (difference - expected).abs() <= DIFFERENCE_TOLERANCE * expected.abs().max(1.0) {
            true => Ok(()),
            false => {
                Err(format!("along {names:?}: the rule gives {expected:e}, the difference {difference:e}"))
            }
        }
    };
    let mut random = Random::of(7, "directions");
    let all = values.iter().map(|(name, (_, v))| (*name, v.iter().map(|_| random.normal()).collect()));
    along(&all.collect())?;
    for (name, (_, value)) in &values {
        for _ in 0..PROBES.min(value.len()) {
            let mut direction = vec![0.0; value.len()];
            direction[random.below(value.len())] = 1.0;
            along(&BTreeMap::from([(*name, direction)]))?;
        }
    }
    Ok(())
}

fn compare(expected: &[f64], actual: &[f64], tolerance: f64) -> Result<(), String> {
    let largest = expected.iter().fold(FLOOR, |largest, e| largest.max(e.abs()));
    if expected.len() != actual.len() || expected.iter().any(|e| !e.is_finite()) {
        return Err(format!("the definition gives {expected:?}"));
    }
    let error =
        |(_, (e, a)): &(usize, (&f64, &f64))| if a.is_nan() { f64::INFINITY } else { (*e - *a).abs() };
    let pairs = expected.iter().zip(actual).enumerate();
    match pairs.max_by(|x, y| error(x).total_cmp(&error(y))) {
        Some(worst) if error(&worst) > tolerance * largest => {
            let (i, (e, a)) = worst;
            Err(format!("element {i} is {a:e}, by definition {e:e}; the largest is {largest:e}"))
        }
        _ => Ok(()),
    }
}

/// What no result may keep.
fn poison(shape: &Shape, dtype: DType) -> Result<HostTensor, wootz_tensor::TensorError> {
    match dtype {
        DType::F64 => HostTensor::f64(shape.clone(), vec![f64::NAN; shape.len()]),
        _ => HostTensor::f32(shape.clone(), vec![f32::NAN; shape.len()]),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn write(session: &mut dyn Session, name: &str, shape: &Shape, values: Vec<f64>) -> Result<(), String> {
    let tensor = HostTensor::f64(shape.clone(), values).map_err(|e| e.to_string())?;
    session.write(name, &tensor).map_err(|e| e.to_string())
}

fn read(session: &dyn Session, name: &str) -> Result<Vec<f64>, String> {
    session.read(name).map(|tensor| numbers(&tensor)).map_err(|e| e.to_string())
}

fn numbers(tensor: &HostTensor) -> Vec<f64> {
    match tensor.data() {
        Data::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Data::F64(v) => v.clone(),
        Data::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
    }
}
