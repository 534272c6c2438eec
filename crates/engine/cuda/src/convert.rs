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

/// The upper and the lower halves of numbers in binary32. The upper one is the bf16 number next to it, of two at equal distance
/// the one further from zero; the lower one is the difference of their bits, from −32768 to 32767. All NaN become one.
pub(crate) fn halves(tensor: &HostTensor) -> [Vec<u8>; 2] {
    let both = |bits: fn(u32) -> u16| match tensor.data() {
        Data::F32(values) => bytes_of(values, |x| bits(bits_to_split(*x)).to_le_bytes()),
        Data::F64(values) => bytes_of(values, |x| bits(bits_to_split(*x as f32)).to_le_bytes()),
        Data::I32(_) => Vec::new(),
    };
    [both(|bits| ((bits + 0x8000) >> 16) as u16), both(|bits| bits as u16)]
}

fn bits_to_split(x: f32) -> u32 {
    if x.is_nan() { 0x7fc0_0000 } else { x.to_bits() }
}

/// The numbers whose halves these are.
pub(crate) fn joined(upper: &[u8], lower: &[u8]) -> Data {
    let half = |b: &[u8]| u16::from_le_bytes([b[0], b[1]]);
    let pairs = upper.chunks_exact(2).zip(lower.chunks_exact(2)).map(|(u, l)| (half(u), half(l)));
    let join = |(upper, lower): (u16, u16)| {
        f32::from_bits((u32::from(upper) << 16).wrapping_add_signed(i32::from(lower as i16)))
    };
    Data::F32(pairs.map(join).collect())
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
    fn halves_keep_every_bit_and_the_upper_one_is_near() {
        let ends = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x10000];
        let around = [0u32, 0x3f80_0000, 0x3f81_0000, 0x7f7f_0000, 0x0080_0000, 0x4049_0000];
        let values: Vec<f32> = around
            .iter()
            .flat_map(|bits| ends.map(|end| f32::from_bits(bits + end)))
            .flat_map(|x| [x, -x])
            .chain([f32::INFINITY, f32::NEG_INFINITY])
            .collect();
        let tensor = HostTensor::f32([values.len()], values.clone()).expect("as many elements");
        let [upper, lower] = halves(&tensor);
        let Data::F32(back) = joined(&upper, &lower) else { unreachable!("they are binary32") };
        let bits = |of: &[f32]| of.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        assert_eq!(bits(&back), bits(&values));
        let Data::F32(near) = to_host(&upper, DType::BF16) else { unreachable!("they are bf16") };
        for (near, x) in near.iter().zip(&values).filter(|(near, _)| near.is_finite()) {
            let step = f32::from_bits((x.to_bits() & 0x7f80_0000).max(0x0080_0000)) / 128.0;
            assert!((near - x).abs() <= step / 2.0, "{x:e} became {near:e}");
        }
        let none = HostTensor::f32([1], vec![-f32::NAN]).expect("one element");
        let [upper, lower] = halves(&none);
        assert!(matches!(joined(&upper, &lower), Data::F32(x) if x[0].is_nan()));
        assert!(matches!(to_host(&upper, DType::BF16), Data::F32(x) if x[0].is_nan()));
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
