//! Definitions by numbers worked out by hand, where a reference and a fast kernel share the code that could be wrong.

use wootz_cpu::{CpuBackend, Mode};
use wootz_ops::{Attention, QkNormRope};
use wootz_program::{Backend, Builder, Op, Planned, Type, plan};
use wootz_tensor::HostTensor;

/// Output 0 of an op on these inputs, by definition and on the fast path.
fn outputs(op: impl Op + Clone, inputs: &[(&[usize], &[f32])]) -> Vec<Vec<f32>> {
    let backends = [CpuBackend::reference(Mode::Reference), CpuBackend::fast(1)];
    let run = |backend: &CpuBackend| {
        let (mut b, mut names) = (Builder::new(), Vec::new());
        let mut values = Vec::new();
        for (i, (dims, _)) in inputs.iter().enumerate() {
            names.push(format!("input.{i}"));
            values.push(b.input(&names[i], Type::f32(dims.to_vec())));
        }
        let output = b.apply(op.clone(), &values).unwrap()[0];
        b.output(output, "output");
        let program = b.finish();
        let plan = plan(&program, &|p, n| backend.scratch_bytes(p, n));
        let mut session = backend.load(vec![Planned { program, plan }]).unwrap();
        for (name, (dims, elements)) in names.iter().zip(inputs) {
            session.write(name, &HostTensor::f32(dims.to_vec(), elements.to_vec()).unwrap()).unwrap();
        }
        session.run(0).unwrap();
        session.read("output").unwrap().as_f32().unwrap().to_vec()
    };
    backends.iter().map(run).collect()
}

fn check(op: impl Op + Clone, inputs: &[(&[usize], &[f32])], expected: &[f32]) {
    for actual in outputs(op, inputs) {
        let near = actual.iter().zip(expected).all(|(a, e)| (a - e).abs() < 1e-6);
        assert!(near && actual.len() == expected.len(), "{actual:?} beside {expected:?}");
    }
}

/// Equal keys weigh what is visible equally, so the output is a mean of values.
#[test]
fn attention_sees_its_window_and_its_group() {
    let attend = |window| Attention { heads: 2, kv_heads: 1, window };
    // Rows of two queries, one key and one value.
    let rows = [1.0f32, 3.0, 8.0, 20.0].map(|v| [0.3, 0.3, 1.0, v]).concat();
    let inputs: [(&[usize], &[f32]); 1] = [(&[1, 4, 4], &rows)];
    check(attend(None), &inputs, &[1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 8.0, 8.0]);
    check(attend(Some(0)), &inputs, &[1.0, 1.0, 3.0, 3.0, 8.0, 8.0, 20.0, 20.0]);
    check(attend(Some(1)), &inputs, &[1.0, 1.0, 2.0, 2.0, 5.5, 5.5, 14.0, 14.0]);
    // Two queries a key: heads 0 and 1 read key head 0, heads 2 and 3 read key head 1.
    let grouped = Attention { heads: 4, kv_heads: 2, window: None };
    let inputs: [(&[usize], &[f32]); 1] = [(&[1, 1, 8], &[0.3, 0.3, 0.3, 0.3, 1.0, 1.0, 1.0, 3.0])];
    check(grouped, &inputs, &[1.0, 1.0, 3.0, 3.0]);
}

/// At position 1 and base b the first pair turns by −1, the second by −1/√b; the norm of a head becomes √D·scale.
#[test]
fn heads_are_rotated_backwards_and_normed() {
    let op = QkNormRope { heads: 1, head_dim: 4, base: 4.0, scale: 1.5 };
    let row = [1.0f32, 1.0, 0.0, 0.0];
    let factor = 1.5 * 2.0 / 2.0f32.sqrt();
    let expected = [1.0, 1.0, 0.0, 0.0, 1f32.cos(), 0.5f32.cos(), -(1f32.sin()), -(0.5f32.sin())];
    let inputs: [(&[usize], &[f32]); 1] = [(&[1, 2, 4], &[row, row].concat())];
    check(op.clone(), &inputs, &expected.map(|x| x * factor));
    // A second head that is not normed passes.
    let [first, second] = [&expected[..4], &expected[4..]];
    let passed = [&first.iter().map(|x| x * factor).collect::<Vec<_>>()[..], &row[..]].concat();
    let turned = [&second.iter().map(|x| x * factor).collect::<Vec<_>>()[..], &row[..]].concat();
    let inputs: [(&[usize], &[f32]); 1] = [(&[1, 2, 8], &[row; 4].concat())];
    check(op, &inputs, &[passed, turned].concat());
}
