//! All kernels, by name.

use crate::Kernel;

macro_rules! kernels {
    ($($name:literal: $least:literal, $hot:literal, [$([$($macro:literal = $value:literal),*]),*];)*) => {
        &[$(Kernel {
            name: $name,
            source: include_str!(concat!("../", $name, "/", $name, ".cu")),
            variants: &[$(&[$(($macro, $value)),*]),*],
            hot: $hot,
            least_capability: $least,
        }),*]
    };
}

/// Every kernel: least compute capability, whether it is hot, and the macros of each variant that is checked.
pub const KERNELS: &[Kernel] = kernels! {
    "add": 80, true, [["TA" = "bf16", "TB" = "bf16", "TY" = "bf16"], ["TA" = "float", "TB" = "float", "TY" = "bf16"]];
    "fp8": 89, true, [["TX" = "bf16", "E5M2" = "0"], ["TX" = "bf16", "E5M2" = "1"], ["TX" = "float", "E5M2" = "0"]];
    "noise": 80, false, [[]];
};
