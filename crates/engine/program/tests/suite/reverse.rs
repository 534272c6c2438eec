//! Corners of the reverse transform.

use wootz_cpu::{CpuBackend, Mode};
use wootz_ops::{Accumulate, Add, Attention, Linear, LinearCrossEntropy, RmsNorm, reverse};
use wootz_program::{
    Backend, Builder, OpError, Planned, Recompute, Role, Session, Type, Value, plan, recompute,
};
use wootz_tensor::HostTensor;
use wootz_testkit::Random;

fn load(b: Builder, first_backward: usize) -> Box<dyn Session> {
    let backend = CpuBackend::reference(Mode::Reference64).poisoned();
    let program = recompute(b, first_backward, Recompute::None);
    let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
    let parameters: Vec<_> =
        program.of_role(Role::Parameter).into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
    let types: Vec<Type> = parameters.iter().map(|(_, v)| program.info(*v).ty.clone()).collect();
    let mut session = backend.load(vec![Planned { program, plan }]).unwrap();
    for ((name, _), ty) in parameters.iter().zip(types) {
        let mut random = Random::of(1, name);
        let values = (0..ty.shape.len()).map(|_| random.normal()).collect();
        session.write(name, &HostTensor::f64(ty.shape, values).unwrap()).unwrap();
    }
    session
}

fn scalar(session: &dyn Session, name: &str) -> f64 {
    session.read(name).unwrap().as_f64().unwrap()[0]
}

/// Two heads on one trunk; the sum of their losses is summed on the device.
fn two_losses(b: &mut Builder, with_sum: bool) -> Value {
    let table = b.parameter("table", Type::f32([6, 4]));
    let tokens = b.input("tokens", Type::i32([1, 5]));
    let x = b.apply_one(wootz_ops::Embedding, &[table, tokens]).unwrap();
    let losses = ["a", "b"].map(|name| {
        let head = b.parameter(name, Type::f32([6, 4]));
        b.apply(LinearCrossEntropy { vocab: 6, softcap: 15.0 }, &[x, head, tokens]).unwrap()[0]
    });
    let total = b.apply_one(Add, &losses).unwrap();
    if with_sum {
        let sum = b.state("sum", Type::scalar());
        b.apply(Accumulate, &[total, sum]).unwrap();
    }
    b.output(total, "total");
    total
}

#[test]
fn sums_of_replaced_losses_run_when_the_losses_exist() {
    let mut b = Builder::new();
    two_losses(&mut b, false);
    let forward = b.finish();
    let nodes = forward.nodes.len();
    let mut b = Builder::new();
    two_losses(&mut b, false);
    let mut alone = load(b, nodes);
    alone.run(0).unwrap();
    let expected = scalar(&*alone, "total");
    assert!(expected.is_finite() && expected > 0.1, "{expected}");

    let mut b = Builder::new();
    let total = two_losses(&mut b, true);
    let seed = b.input("seed", Type::scalar());
    let first = reverse(&mut b, total, seed).unwrap();
    let mut session = load(b, first);
    for runs in 1..=2 {
        session.run(0).unwrap();
        assert!((scalar(&*session, "total") - expected).abs() < 1e-12);
        assert!((scalar(&*session, "sum") - expected * f64::from(runs)).abs() < 1e-12);
    }
}

fn error_of(build: impl Fn(&mut Builder) -> Result<(), OpError>) -> String {
    build(&mut Builder::new()).unwrap_err().to_string()
}

#[test]
fn what_would_go_wrong_silently_is_an_error() {
    let lost = error_of(|b| {
        let (a, seed) = (b.parameter("a", Type::f32([2])), b.input("seed", Type::f32([2])));
        let y = b.apply(RmsNorm, &[a])?[0];
        reverse(b, y, seed).map(drop)
    });
    assert_eq!(lost, "build rms_norm: its rule does not train \"a\", a parameter");

    let weight = error_of(|b| {
        let [x, w, seed] = ["x", "w", "seed"].map(|name| b.input(name, Type::f32([2, 2])));
        let p = b.parameter("p", Type::f32([2, 2]));
        let computed = b.apply_one(Linear::PLAIN, &[w, p])?;
        let y = b.apply_one(Linear::PLAIN, &[x, computed])?;
        reverse(b, y, seed).map(drop)
    });
    assert_eq!(weight, "build linear: input 1 must be a parameter to be trained");

    let second = error_of(|b| {
        let (table, seed) = (b.parameter("t", Type::f32([4, 6])), b.input("seed", Type::f32([1, 1, 3])));
        let tokens = b.input("tokens", Type::i32([1, 3]));
        let x = b.apply_one(wootz_ops::Embedding, &[table, tokens])?;
        let lse = b.apply(Attention { heads: 1, kv_heads: 1, window: None }, &[x])?[1];
        reverse(b, lse, seed).map(drop)
    });
    assert_eq!(second, "build attention: its output 1 is not differentiable");

    let twice = error_of(|b| {
        let sum = b.state("sum", Type::scalar());
        b.apply(Accumulate, &[sum, sum]).map(drop)
    });
    assert_eq!(twice, "build accumulate: input 1 is updated and stands in two places");

    let heads = error_of(|b| {
        let qkv = b.input("qkv", Type::f32([1, 2, 6]));
        b.apply(Attention { heads: 4, kv_heads: 4, window: None }, &[qkv]).map(drop)
    });
    assert_eq!(heads, "build attention: [1×2×6] does not split into 4 query and twice 4 key/value heads");
}
