//! Random programs: what the planner shares and what recomputation repeats must not show in any number.

use proptest::prelude::*;
use std::collections::BTreeMap;
use wootz_cpu::{CpuBackend, Mode};
use wootz_ops as op;
use wootz_program::{
    Backend, Builder, Planned, Program, Recompute, Role, Scope, Type, Value, plan, recompute,
};
use wootz_tensor::{Data, HostTensor};
use wootz_testkit::{Random, memory};

/// Dims of every activation between nodes: B×T×C with heads of two channels.
const DIMS: [usize; 3] = [2, 5, 6];

/// One node: which op, and which of the values so far it reads.
#[derive(Debug, Clone)]
struct Choice {
    op: u8,
    a: usize,
    b: usize,
    c: usize,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let one = (0u8..10, 0usize..64, 0usize..64, 0usize..64);
    prop::collection::vec(one.prop_map(|(op, a, b, c)| Choice { op, a, b, c }), 1..14)
}

fn training(choices: &[Choice], policy: Recompute) -> Program {
    let mut b = Builder::new();
    let ty = Type::f32(DIMS);
    let tokens = b.input("tokens", Type::i32([DIMS[0], DIMS[1]]));
    let seed = b.input("seed", ty.clone());
    let c = DIMS[2];
    let table = b.parameter("table", Type::f32([9, c]));
    let mut values = vec![b.apply_one(op::Embedding, &[table, tokens]).unwrap()];
    for (i, choice) in choices.iter().enumerate() {
        b.enter(Scope(i as u32 / 3));
        let of = |pick: usize| values[values.len() - 1 - pick % values.len().min(4)];
        let operands = [of(choice.a), of(choice.b), of(choice.c)];
        values.push(apply(&mut b, choice.op, i, tokens, operands));
    }
    let root = values[values.len() - 1];
    b.output(root, "root");
    let first = op::reverse(&mut b, root, seed).unwrap();
    recompute(b, first, policy)
}

fn rope(heads: usize) -> op::QkNormRope {
    op::QkNormRope { heads, head_dim: 2, base: 10.0, scale: 1.2 }
}

fn apply(b: &mut Builder, kind: u8, i: usize, tokens: Value, [x, y, z]: [Value; 3]) -> Value {
    let c = DIMS[2];
    let mut weight = |name: &str, dims: Vec<usize>| b.parameter(&format!("{name}.{i}"), Type::f32(dims));
    match kind {
        0 | 1 => b.apply_one(op::Add, &[x, y]),
        2 => b.apply(op::RmsNorm, &[x]).map(|outputs| outputs[0]),
        3 => b.apply_one(op::ReluSquared, &[x]),
        4 => {
            let w = weight("linear", vec![c, c]);
            b.apply_one(op::Linear { weights: 1, residual: i.is_multiple_of(2) }, &[x, w, y][..3 - i % 2])
        }
        5 => {
            let lambda = weight("backout", vec![1]);
            b.apply_one(op::Backout, &[x, y, lambda])
        }
        6 => {
            let [resid, skip] = ["resid", "skip"].map(|name| weight(name, vec![3]));
            let [mixed, normed, _] = b.apply(op::ResidualMix { layer: 1 }, &[x, y, resid, skip]).unwrap()[..]
            else {
                panic!("two outputs")
            };
            match i % 3 {
                0 => Ok(mixed),
                1 => Ok(normed),
                _ => b.apply_one(op::Add, &[mixed, normed]),
            }
        }
        7 => {
            let [gate, table] =
                [("gate", vec![1, 4]), ("values", vec![9, 2])].map(|(name, dims)| weight(name, dims));
            let s = b.apply_one(op::GateStrength, &[y, gate]).unwrap();
            b.apply_one(op::ValueGate { heads: 1, kv_heads: 1 }, &[x, s, table, tokens])
        }
        8 => Ok(b.apply(rope(2), &[x]).unwrap()[0]),
        _ => {
            let weights = ["q", "k", "v"].map(|name| weight(name, vec![c, c]));
            let linear = op::Linear { weights: 3, residual: false };
            let packed = b.apply_one(linear, &[z, weights[0], weights[1], weights[2]]).unwrap();
            let packed = b.apply(rope(6), &[packed]).unwrap()[0];
            let attention = op::Attention { heads: 3, kv_heads: 3, window: Some(2) };
            Ok(b.apply(attention, &[packed]).unwrap()[0])
        }
    }
    .unwrap()
}

type Bits = BTreeMap<String, Vec<u64>>;

/// The root and every gradient, as bits.
fn run(backend: &CpuBackend, planned: Planned) -> Bits {
    let values: Vec<_> = planned.program.iter_values().map(|(_, info)| info.clone()).collect();
    let mut session = backend.load(vec![planned]).unwrap();
    for info in values.iter().filter(|i| matches!(i.role, Role::Parameter | Role::Input | Role::Gradient)) {
        let (mut random, n) = (Random::of(3, &info.name), info.ty.shape.len());
        let data = match info.name.as_str() {
            "tokens" => Data::I32((0..n).map(|_| random.below(9) as i32).collect()),
            _ => Data::F32((0..n).map(|_| 0.5 * random.normal() as f32).collect()),
        };
        session.write(&info.name, &HostTensor::new(info.ty.shape.clone(), data).unwrap()).unwrap();
    }
    session.run(0).unwrap();
    let observed = values.iter().filter(|i| matches!(i.role, Role::Output | Role::Gradient));
    let bits = |tensor: HostTensor| match tensor.data() {
        Data::F64(v) => v.iter().map(|x| x.to_bits()).collect(),
        _ => tensor.as_f32().unwrap().iter().map(|x| u64::from(x.to_bits())).collect(),
    };
    observed.map(|info| (info.name.clone(), bits(session.read(&info.name).unwrap()))).collect()
}

fn planned(backend: &CpuBackend, program: &Program) -> Planned {
    let plan = plan(program, &|p, n| backend.scratch_bytes(p, n));
    Planned { program: program.clone(), plan }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Sharing memory changes no bit; neither does recomputing. Plans are sound and within twice the lower bound.
    #[test]
    fn memory_does_not_show(choices in choices()) {
        for backend in [CpuBackend::fast(1).poisoned(), CpuBackend::reference(Mode::Reference64).poisoned()] {
            let kept = training(&choices, Recompute::None);
            let plan = memory::without_sharing(&kept, &|p, n| backend.scratch_bytes(p, n));
            let expected = run(&backend, Planned { program: kept, plan });
            let ranked = [1, 2, 4, 8, usize::MAX].map(Recompute::Ranked);
            for policy in [Recompute::None, Recompute::Cheap, Recompute::Block].into_iter().chain(ranked) {
                let planned = planned(&backend, &training(&choices, policy));
                let peak = memory::check(&planned.program, &planned.plan).map_err(TestCaseError::fail)?;
                prop_assert!(peak.ratio() < 2.0, "{peak:?}");
                prop_assert_eq!(&run(&backend, planned), &expected, "{:?}", policy);
            }
        }
    }
}
