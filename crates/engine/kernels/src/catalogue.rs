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
    "noise": 80, false, [[]];
    "accumulate": 80, false, [[]];
    "backout": 80, true, [[], ["TX" = "float", "TM" = "float", "TY" = "float"]];
    "embedding": 80, true, [["C" = "1280"], ["C" = "768", "TT" = "float", "TY" = "bf16"]];
    "gate_strength": 80, true, [["K" = "10", "G" = "12", "C" = "1280"], ["K" = "2", "G" = "12", "C" = "768", "TN" = "float"]];
    "partial_sums": 80, false, [[], ["TA" = "bf16", "TB" = "bf16"]];
    "qk_norm_rope": 80, true, [
        ["HEADS" = "20", "D" = "128", "WIDTH" = "3840"],
        ["HEADS" = "12", "D" = "128", "WIDTH" = "2304"],
        ["HEADS" = "72", "D" = "64", "WIDTH" = "5120"],
        ["HEADS" = "3", "D" = "64", "WIDTH" = "256", "TX" = "float", "TO" = "float", "TY" = "float"]
    ];
    "relu_squared": 80, true, [[], ["TX" = "float", "TH" = "float", "TY" = "float"]];
    "residual_mix": 80, true, [
        ["C" = "1280", "LANES" = "32", "THREADS" = "128"],
        ["C" = "768", "LANES" = "32", "THREADS" = "128"],
        ["C" = "2048", "LANES" = "64", "THREADS" = "64"],
        ["C" = "8192", "LANES" = "256", "THREADS" = "256"],
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "MIXED" = "0", "NORMED" = "1", "ADDS" = "0"]
    ];
    "rms_norm": 80, true, [
        ["C" = "1280", "LANES" = "32", "THREADS" = "128"],
        ["C" = "768", "LANES" = "32", "THREADS" = "128"],
        ["C" = "2048", "LANES" = "64", "THREADS" = "64"],
        ["C" = "8192", "LANES" = "256", "THREADS" = "256"]
    ];
    "scatter_rows": 80, true, [
        ["C" = "1280", "VECTORS" = "5"],
        ["C" = "768", "VECTORS" = "3", "TG" = "float"],
        ["C" = "1280", "VECTORS" = "3", "STRIDE" = "3840", "OFFSET" = "2560", "GATED" = "1", "D" = "128", "K" = "10"],
        ["C" = "128", "VECTORS" = "1", "STRIDE" = "512", "OFFSET" = "384", "GATED" = "1", "D" = "64", "K" = "2", "TT" = "float"]
    ];
    "smear": 80, true, [["C" = "1280", "G" = "24"], ["C" = "768", "G" = "24"]];
    "token_order": 80, true, [[]];
    "value_gate": 80, true, [["H" = "10", "K" = "10", "D" = "128"], ["H" = "6", "K" = "2", "D" = "64", "TT" = "float"]];
};
