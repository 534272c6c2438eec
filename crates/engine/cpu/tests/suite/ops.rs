//! The op suite on the CPU: definitions in binary32, the fast path, and the fast path on several threads.

use std::path::PathBuf;
use wootz_cpu::{CpuBackend, Mode};
use wootz_program::{Backend, BackendError, Node, Planned, Program, Role, Session, Type};
use wootz_testkit::op_suite::{self, Case, Tolerance, Verdict};

fn check(test: impl Fn(&Case) -> Result<(), String>) {
    let failures: Vec<String> = op_suite::cases().iter().filter_map(|case| test(case).err()).collect();
    assert!(failures.is_empty(), "{} cases failed:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn fast_path_agrees_with_the_definitions() {
    let backend = CpuBackend::fast(2).poisoned();
    check(|case| op_suite::agrees_with_reference(case, &backend));
}

#[test]
fn definitions_in_binary32_agree_with_binary64() {
    let backend = CpuBackend::reference(Mode::Reference).poisoned();
    check(|case| op_suite::agrees_with_reference(case, &backend));
}

/// The measure for backends that compute in fewer bits, on one that does not.
#[test]
fn fast_path_agrees_in_norm() {
    let backend = CpuBackend::fast(2).poisoned();
    for round_bf16 in [false, true] {
        // Muon of square matrices turns rounding of small singular values into what it orthogonalises: 4e-3.
        let tolerance = Tolerance { relative: 1e-2, round_bf16 };
        check(|case| match op_suite::agrees_with_reference_within(case, &backend, &tolerance)? {
            Verdict::Agrees { .. } => Ok(()),
            Verdict::Skipped { reason } => Err(reason),
        });
    }
}

/// A device that wants every activation in bfloat16, for which the CPU has no code.
struct Halved(CpuBackend);

impl Backend for Halved {
    fn describe(&self) -> String {
        self.0.describe()
    }
    fn lower(&self, mut programs: Vec<Program>) -> Result<Vec<Program>, BackendError> {
        let values = programs.iter_mut().flat_map(|p| &mut p.values);
        values.filter(|v| v.role == Role::Activation).for_each(|v| v.ty = Type::bf16(v.ty.shape.clone()));
        Ok(programs)
    }
    fn scratch_bytes(&self, program: &Program, node: &Node) -> usize {
        self.0.scratch_bytes(program, node)
    }
    fn load(&self, programs: Vec<Planned>) -> Result<Box<dyn Session>, BackendError> {
        self.0.load(programs)
    }
}

#[test]
fn what_a_backend_does_not_take_is_skipped_not_passed() {
    let cases = op_suite::cases();
    let tolerance = Tolerance { relative: 1.0, round_bf16: true };
    let verdict = op_suite::agrees_with_reference_within(&cases[0], &Halved(CpuBackend::fast(1)), &tolerance);
    let Ok(Verdict::Skipped { reason }) = verdict else { panic!("{verdict:?}") };
    assert_eq!(reason, "add: the CPU computes in binary32, an operand is bf16");
}

#[test]
fn backward_rules_agree_with_finite_differences() {
    check(op_suite::agrees_with_finite_differences);
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let backends = [1, 2, 4].map(|threads| CpuBackend::fast(threads).poisoned());
    let backends: Vec<&dyn Backend> = backends.iter().map(|b| b as &dyn Backend).collect();
    check(|case| op_suite::agrees_bit_for_bit(case, &backends));
}

#[test]
fn not_a_number_is_passed_on() {
    let backend = CpuBackend::fast(1);
    check(|case| op_suite::passes_nan_on(case, &backend));
    let definition = CpuBackend::reference(Mode::Reference);
    check(|case| op_suite::passes_nan_on(case, &definition));
}

#[test]
fn plans_of_all_cases_are_sound() {
    let backend = CpuBackend::fast(2);
    check(|case| op_suite::plan_is_sound(case, &backend));
}

/// Every op that `wootz-ops` defines, backward and update ops too, runs somewhere in the suite; but for collectives, which need
/// ranks and have a test of their own.
#[test]
fn every_op_has_a_case() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../ops/src");
    let mut defined = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("collective.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let names = text.split("op_basics!(\"").skip(1).filter_map(|rest| rest.split('"').next());
        defined.extend(names.map(str::to_owned));
    }
    assert!(defined.len() > 30, "found {defined:?}");
    let covered = op_suite::op_names(&op_suite::cases()).unwrap();
    let missing: Vec<&String> = defined.iter().filter(|name| !covered.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}
