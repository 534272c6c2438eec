//! What the hardware could do at best: the roofs of a roofline.

/// Rates of a device by its data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Dense 16-bit products, FLOP/s.
    pub flops_per_second: f64,
    /// Dense 8-bit products, FLOP/s.
    pub fp8_flops_per_second: f64,
    /// Memory, bytes/s.
    pub bytes_per_second: f64,
}

impl Peaks {
    /// Least seconds of this much work (Williams, Waterman and Patterson, CACM 2009). Launches that compute in 8 bits say so
    /// in their names.
    pub fn least_seconds(&self, name: &str, flops: u64, bytes: u64) -> f64 {
        let in_8_bits = ["fp8", "e4m3", "e5m2"].iter().any(|word| name.contains(word));
        let rate = if in_8_bits { self.fp8_flops_per_second } else { self.flops_per_second };
        (flops as f64 / rate).max(bytes as f64 / self.bytes_per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roof_is_the_slower_of_two() {
        let peaks = Peaks { flops_per_second: 100.0, fp8_flops_per_second: 200.0, bytes_per_second: 10.0 };
        let check = |name: &str, flops, bytes, wanted: f64| {
            assert_eq!(peaks.least_seconds(name, flops, bytes), wanted, "{name}");
        };
        check("norm", 100, 50, 5.0);
        check("gemm", 1000, 50, 10.0);
        check("gemm_e4m3", 1000, 10, 5.0);
    }
}
