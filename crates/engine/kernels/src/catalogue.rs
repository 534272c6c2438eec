//! All kernels, by name.

use crate::Kernel;

macro_rules! kernels {
    (@exact) => { false };
    (@exact only) => { true };
    (@source $name:literal) => { include_str!(concat!("../", $name, "/", $name, ".cu")) };
    (@source $name:literal $folder:literal) => { include_str!(concat!("../", $folder, "/", $name, ".cu")) };
    (@ahead) => { "" };
    (@ahead $folder:literal $file:literal) => { include_str!(concat!("../", $folder, "/", $file)) };
    ($($name:literal $(of $folder:literal behind $ahead:literal)?: $($only:ident)? $least:literal, $hot:literal,
       [$([$($macro:literal = $value:literal),*]),*];)*) => {
        &[$(Kernel {
            name: $name,
            ahead: kernels!(@ahead $($folder $ahead)?),
            source: kernels!(@source $name $($folder)?),
            variants: &[$(&[$(($macro, $value)),*]),*],
            hot: $hot,
            least_capability: $least,
            exact: kernels!(@exact $($only)?),
        }),*]
    };
}

/// Every kernel: its folder and the file ahead of it where they are not the usual ones, least compute capability, or the `only` one, whether it is hot, and the macros of each variant that is checked.
pub const KERNELS: &[Kernel] = kernels! {
    "adamw": 80, true, [
        ["TP" = "float", "TG" = "float", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4"],
        ["TP" = "float", "TG" = "bf16", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4"],
        ["TP" = "u16", "SPLIT" = "1", "TG" = "float", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4"],
        ["TP" = "u16", "SPLIT" = "1", "TG" = "bf16", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "1"],
        ["TP" = "bf16", "TG" = "bf16", "TM" = "bf16", "TV" = "bf16", "TC" = "bf16", "COPY" = "0", "WIDTH" = "8"],
        ["TP" = "float", "TG" = "float", "TM" = "float", "TV" = "float", "TC" = "bf16", "COPY" = "0", "WIDTH" = "1"]
    ];
    "add": 80, true, [["TA" = "bf16", "TB" = "bf16", "TY" = "bf16"], ["TA" = "float", "TB" = "float", "TY" = "bf16"]];
    "fp8" of "fp8" behind "narrow.cuh": 89, true, [["TX" = "bf16", "E5M2" = "0"], ["TX" = "bf16", "E5M2" = "1"], ["TX" = "float", "E5M2" = "0"], ["TX" = "bf16", "E5M2" = "0", "RELU" = "1"]];
    "norm_fp8" of "fp8" behind "narrow.cuh": 89, true, [
        ["C" = "1280", "THREADS" = "512", "MIX" = "0"],
        ["C" = "1280", "THREADS" = "256", "MIX" = "1"],
        ["C" = "768", "THREADS" = "256", "MIX" = "1"],
        ["C" = "144", "THREADS" = "512", "MIX" = "0"],
        ["C" = "1536", "THREADS" = "256", "MIX" = "0"],
        ["C" = "1536", "THREADS" = "256", "MIX" = "1"]
    ];
    "attention" of "attention" behind "../hopper.cuh": only 90, true, [[], ["LARGEST" = "1"], ["SETTLE" = "1", "LAZY" = "8"]];
    "attention_backward" of "attention" behind "../hopper.cuh": only 90, true, [["ORDER" = "0", "EARLY" = "0"], ["ORDER" = "1", "EARLY" = "0"], ["ORDER" = "0", "EARLY" = "0", "LARGEST" = "1"], ["ORDER" = "0", "EARLY" = "0", "EVERY_LANE" = "1"]];
    "attention_rows" of "attention" behind "../hopper.cuh": only 90, true, [["CLEAR" = "1"], ["CLEAR" = "0"], ["CLEAR" = "1", "LARGEST" = "1"]];
    "attention_decode": 80, false, [
        ["TQ" = "bf16", "TC" = "bf16", "TY" = "bf16", "D" = "128", "EACH" = "8", "LANES" = "16", "WIDTH" = "8"],
        ["TQ" = "bf16", "TC" = "float", "TY" = "bf16", "D" = "64", "EACH" = "8", "LANES" = "8", "WIDTH" = "8"],
        ["TQ" = "bf16", "TC" = "float", "TY" = "bf16", "D" = "3", "EACH" = "1", "LANES" = "4", "WIDTH" = "1"]
    ];
    "global_norm": 80, true, [["TY" = "float"]];
    "linear_cross_entropy_fp8" of "linear_cross_entropy" behind "cap.cuh": only 90, true, [["COLUMNS" = "2048", "ROUNDS" = "2"], ["COLUMNS" = "32", "ROUNDS" = "2"], ["COLUMNS" = "6272", "ROUNDS" = "1"]];
    "linear_cross_entropy" of "linear_cross_entropy" behind "cap.cuh": 80, true, [
        ["KEEP" = "1", "LOW_CAP" = "1", "GRADIENT" = "1", "TS" = "float", "TL" = "float"],
        ["KEEP" = "1", "LOW_CAP" = "0", "GRADIENT" = "1", "TS" = "bf16", "TL" = "float"],
        ["KEEP" = "0", "LOW_CAP" = "1", "GRADIENT" = "1", "TS" = "float", "TL" = "float"],
        ["KEEP" = "0", "LOW_CAP" = "1", "GRADIENT" = "0", "TS" = "float", "TL" = "float"]
    ];
    "logits": 80, false, [["TY" = "float"]];
    "muon": 80, true, [
        ["TG" = "float", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4", "THREADS" = "160", "GROUPS" = "2"],
        ["TG" = "bf16", "TC" = "bf16", "COPY" = "1", "WIDTH" = "4", "THREADS" = "256", "GROUPS" = "5"],
        ["TG" = "float", "TC" = "bf16", "COPY" = "1", "SPLIT" = "1", "WIDTH" = "4", "THREADS" = "160", "GROUPS" = "2"],
        ["TG" = "float", "TC" = "bf16", "COPY" = "0", "WIDTH" = "1", "THREADS" = "32", "GROUPS" = "1"]
    ];
    "gemm" of "gemm" behind "../hopper.cuh": only 90, true, [
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "1", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "1", "A_MN" = "0", "B_MN" = "0", "LEAD" = "2"],
        ["EPILOGUE" = "1", "A_MN" = "0", "B_MN" = "1", "LEAD" = "2"],
        ["EPILOGUE" = "2", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2", "SPLIT" = "1"],
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "1", "STAGES" = "4", "BUFFERS" = "2", "SPLIT" = "1"],
        ["EPILOGUE" = "2", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2", "SPLIT" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "CLUSTER" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "CLUSTER" = "1", "ROOTS" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "ROOTS" = "1", "SPLIT" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "CLUSTER" = "1", "ROOTS" = "1", "SPLIT" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "TILE_N" = "128", "STAGES" = "6"],
        ["EPILOGUE" = "4", "A_MN" = "1", "B_MN" = "1"]
    ];
    "noise": 80, false, [[]];
    "accumulate": 80, false, [[]];
    "backout": 80, true, [[], ["TX" = "float", "TM" = "float", "TY" = "float"]];
    "embedding": 80, true, [["C" = "1280"], ["C" = "768", "TT" = "float", "TY" = "bf16"]];
    "gate_strength": 80, true, [["K" = "10", "G" = "12", "C" = "1280"], ["K" = "2", "G" = "12", "C" = "768", "TN" = "float"]];
    "partial_sums": 80, false, [[]];
    "qk_norm_rope": 80, true, [
        ["HEADS" = "20", "D" = "128", "WIDTH" = "3840"],
        ["HEADS" = "20", "D" = "128", "WIDTH" = "3840", "GATED" = "1", "G" = "12", "C" = "1280"],
        ["HEADS" = "6", "D" = "64", "WIDTH" = "512", "GATED" = "1", "G" = "12", "C" = "256", "TT" = "float", "TX" = "float", "TN" = "float"],
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
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "LARGEST" = "1"],
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "INPUT" = "1", "LARGEST" = "1"],
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "MIXED" = "0", "NORMED" = "1", "ADDS" = "0"]
    ];
    "rms_norm": 80, true, [
        ["C" = "1280", "LANES" = "32", "THREADS" = "128"],
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "LARGEST" = "1"],
        ["C" = "1280", "LANES" = "32", "THREADS" = "128", "INPUT" = "1"],
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
    "symmetric_product" of "symmetric_product" behind "../hopper.cuh": only 90, true, [
        ["MN" = "0", "EXTRA" = "0"],
        ["MN" = "0", "EXTRA" = "1"],
        ["MN" = "1", "EXTRA" = "0"]
    ];
    "token_order": 80, true, [[]];
    "value_gate": 80, true, [["H" = "10", "K" = "10", "D" = "128"], ["H" = "6", "K" = "2", "D" = "64", "TT" = "float"]];
};
