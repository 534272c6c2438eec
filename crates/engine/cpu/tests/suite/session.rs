//! Loading: what does not fit is an error, not a fault.

use wootz_cpu::CpuBackend;
use wootz_ops::{Add, Attention};
use wootz_program::{Backend, Builder, Planned, Type, plan};
use wootz_tensor::HostTensor;

#[test]
fn a_plan_for_another_device_is_refused() {
    let mut b = Builder::new();
    let q = b.input("qkv", Type::f32([1, 70, 24]));
    let y = b.apply(Attention { heads: 1, kv_heads: 1, window: None }, &[q]).unwrap()[0];
    b.output(y, "y");
    let program = b.finish();
    let plan = plan(&program, &|_, _| 0);
    let error = CpuBackend::fast(1).load(vec![Planned { program, plan }]).err().unwrap();
    let expected = "load attention: it needs 17920 bytes of scratch memory, the plan gives it 0";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn tensors_of_another_type_are_refused() {
    let mut b = Builder::new();
    let [x, y] = ["x", "y"].map(|name| b.input(name, Type::f32([2, 3])));
    let sum = b.apply_one(Add, &[x, y]).unwrap();
    b.output(sum, "sum");
    let program = b.finish();
    let plan = plan(&program, &|_, _| 0);
    let mut session = CpuBackend::fast(1).load(vec![Planned { program, plan }]).unwrap();
    let mut write = |name: &str, tensor: HostTensor| session.write(name, &tensor).unwrap_err().to_string();
    let flat = HostTensor::f32([6], vec![0.0; 6]).unwrap();
    assert_eq!(write("x", flat), "write \"x\": it holds f32[2×3], got f32[6]");
    let integers = HostTensor::i32([2, 3], vec![0; 6]).unwrap();
    assert_eq!(write("x", integers), "write \"x\": it holds f32[2×3], got i32[2×3]");
    let unknown = write("z", HostTensor::scalar(0.0));
    assert_eq!(unknown, "find the value \"z\" in the loaded programs");
}
