//! Elements between host tensors and device memory.

use wootz_tensor::{DType, Data, HostTensor};

/// The bytes of a tensor in the device's element type.
pub(crate) fn to_device(tensor: &HostTensor, dtype: DType) -> Vec<u8> {
    match (tensor.data(), dtype) {
        (Data::I32(values), _) => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::F32(values), DType::BF16) => bytes_of(values, |x| to_bf16(*x).to_le_bytes()),
        (Data::F32(values), DType::F64) => bytes_of(values, |x| f64::from(*x).to_le_bytes()),
        (Data::F32(values), _) => bytes_of(values, |x| x.to_le_bytes()),
        (Data::F64(values), DType::BF16) => bytes_of(values, |x| to_bf16(*x as f32).to_le_bytes()),
        (Data::F64(values), DType::F64) => bytes_of(values, |x| x.to_le_bytes()),
        (Data::F64(values), _) => bytes_of(values, |x| (*x as f32).to_le_bytes()),
    }
}

/// Elements below which one thread is as fast as several.
const WORTH_THREADS: usize = 1 << 20;

/// The elements one after the other, on all cores where there are many: the weights of a model are a billion.
fn bytes_of<T: Sync, const N: usize>(values: &[T], convert: impl Fn(&T) -> [u8; N] + Sync) -> Vec<u8> {
    let mut bytes = vec![0; N * values.len()];
    let fill = |values: &[T], bytes: &mut [u8]| {
        bytes.chunks_exact_mut(N).zip(values).for_each(|(to, x)| to.copy_from_slice(&convert(x)));
    };
    if values.len() < WORTH_THREADS {
        fill(values, &mut bytes);
        return bytes;
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let each = values.len().div_ceil(threads);
    std::thread::scope(|scope| {
        for (values, bytes) in values.chunks(each).zip(bytes.chunks_mut(N * each)) {
            let fill = &fill;
            scope.spawn(move || fill(values, bytes));
        }
    });
    bytes
}

/// Elements of device memory on the host; bf16 becomes binary32, which holds it exactly.
pub(crate) fn to_host(bytes: &[u8], dtype: DType) -> Data {
    let word = |b: &[u8]| [b[0], b[1], b[2], b[3]];
    match dtype {
        DType::BF16 => Data::F32(
            bytes
                .chunks_exact(2)
                .map(|b| f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16))
                .collect(),
        ),
        DType::F32 => Data::F32(bytes.chunks_exact(4).map(|b| f32::from_le_bytes(word(b))).collect()),
        DType::I32 => Data::I32(bytes.chunks_exact(4).map(|b| i32::from_le_bytes(word(b))).collect()),
        DType::F64 => Data::F64(
            bytes
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]))
                .collect(),
        ),
    }
}

/// Round to nearest, ties to even; NaN stays NaN.
fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() {
        return ((bits >> 16) | 0x40) as u16;
    }
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_elements_keep_their_order() {
        let values: Vec<f32> = (0..WORTH_THREADS + 5).map(|i| (i % 251) as f32).collect();
        let tensor = HostTensor::f32([values.len()], values.clone()).expect("as many elements");
        for dtype in [DType::F32, DType::BF16] {
            assert_eq!(to_host(&to_device(&tensor, dtype), dtype), Data::F32(values.clone()), "{dtype}");
        }
    }

    #[test]
    fn bf16_rounds_to_nearest_even() {
        let check = |x: f32, expected: f32| {
            let tensor = HostTensor::f32([1], vec![x]).expect("one element");
            let back = to_host(&to_device(&tensor, DType::BF16), DType::BF16);
            assert_eq!(back, Data::F32(vec![expected]), "{x}");
        };
        check(1.0, 1.0);
        check(-0.0, -0.0);
        check(1.0 + 1.0 / 256.0, 1.0); // half-way, to even
        check(1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0); // half-way, to even
        check(1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0);
        check(f32::INFINITY, f32::INFINITY);
        assert!(f32::from_bits(u32::from(to_bf16(f32::NAN)) << 16).is_nan());
    }
}
