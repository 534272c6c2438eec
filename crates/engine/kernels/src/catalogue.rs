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
    "adamw": 80, true, [
        ["TP" = "float", "TG" = "float", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4"],
        ["TP" = "float", "TG" = "bf16", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4"],
        ["TP" = "bf16", "TG" = "bf16", "TM" = "bf16", "TV" = "bf16", "TC" = "bf16", "COPY" = "0", "WIDTH" = "8"],
        ["TP" = "float", "TG" = "float", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "0", "WIDTH" = "1"]
    ];
    "add": 80, true, [["TA" = "bf16", "TB" = "bf16", "TY" = "bf16"], ["TA" = "float", "TB" = "float", "TY" = "bf16"]];
    "attention_decode": 80, false, [
        ["TQ" = "bf16", "TC" = "bf16", "TY" = "bf16", "D" = "128", "EACH" = "8", "LANES" = "16", "WIDTH" = "8"],
        ["TQ" = "bf16", "TC" = "float", "TY" = "bf16", "D" = "64", "EACH" = "8", "LANES" = "8", "WIDTH" = "8"],
        ["TQ" = "bf16", "TC" = "float", "TY" = "bf16", "D" = "3", "EACH" = "1", "LANES" = "4", "WIDTH" = "1"]
    ];
    "global_norm": 80, true, [["TY" = "float"]];
    "linear_cross_entropy": 80, true, [
        ["KEEP" = "1", "LOW_CAP" = "1", "GRADIENT" = "1", "TS" = "float", "TL" = "float"],
        ["KEEP" = "1", "LOW_CAP" = "0", "GRADIENT" = "1", "TS" = "bf16", "TL" = "float"],
        ["KEEP" = "0", "LOW_CAP" = "1", "GRADIENT" = "1", "TS" = "float", "TL" = "float"],
        ["KEEP" = "0", "LOW_CAP" = "1", "GRADIENT" = "0", "TS" = "float", "TL" = "float"]
    ];
    "logits": 80, false, [["TY" = "float"]];
    "muon": 80, true, [
        ["TG" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4", "THREADS" = "160", "GROUPS" = "2"],
        ["TG" = "bf16", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4", "THREADS" = "256", "GROUPS" = "5"],
        ["TG" = "float", "TC" = "bf16", "COPY" = "0", "WIDTH" = "1", "THREADS" = "32", "GROUPS" = "1"]
    ];
    "noise": 80, false, [[]];
};
