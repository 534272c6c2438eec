//! Peak rates of devices, from NVIDIA's data sheets: dense products, without sparsity.

use wootz_program::Peaks;

/// Beginnings of names, 16-bit and 8-bit TFLOP/s, TB/s. The first that fits counts.
const SHEETS: &[(&str, f64, f64, f64)] = &[
    ("NVIDIA H200", 989.0, 1979.0, 4.8),
    ("NVIDIA GH200", 989.0, 1979.0, 4.9),
    ("NVIDIA H100 NVL", 835.0, 1671.0, 3.9),
    ("NVIDIA H100 PCIe", 756.0, 1513.0, 2.0),
    ("NVIDIA H100", 989.0, 1979.0, 3.35),
    ("NVIDIA H800", 989.0, 1979.0, 3.35),
    ("NVIDIA B200", 2250.0, 4500.0, 8.0),
    ("NVIDIA A100-SXM4-80GB", 312.0, 312.0, 2.039),
    ("NVIDIA A100", 312.0, 312.0, 1.555),
];

/// The peaks of a device by its name; none for those without an entry.
pub(crate) fn of(name: &str) -> Option<Peaks> {
    let (_, tflops, fp8_tflops, tb) = SHEETS.iter().find(|(beginning, ..)| name.starts_with(beginning))?;
    Some(Peaks {
        flops_per_second: tflops * 1e12,
        fp8_flops_per_second: fp8_tflops * 1e12,
        bytes_per_second: tb * 1e12,
    })
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_longer_name_counts() {
        let rate = |name: &str| of(name).map(|peaks| peaks.bytes_per_second);
        assert_eq!(rate("NVIDIA H200"), Some(4.8e12));
        assert_eq!(rate("NVIDIA H100 PCIe"), Some(2.0e12));
        assert_eq!(rate("NVIDIA H100 80GB HBM3"), Some(3.35e12));
        assert_eq!(rate("Some GPU"), None);
    }
}
