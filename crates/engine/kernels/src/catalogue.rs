//! All kernels, by name.

use crate::Kernel;

macro_rules! kernels {
    (@exact) => { false };
    (@exact only) => { true };
    ($($name:literal: $($only:ident)? $least:literal, $hot:literal, [$([$($macro:literal = $value:literal),*]),*];)*) => {
        &[$(Kernel {
            name: $name,
            source: include_str!(concat!("../", $name, "/", $name, ".cu")),
            variants: &[$(&[$(($macro, $value)),*]),*],
            hot: $hot,
            least_capability: $least,
            exact: kernels!(@exact $($only)?),
        }),*]
    };
}

/// Every kernel: least compute capability, or the `only` one, whether it is hot, and the macros of each variant that is checked.
pub const KERNELS: &[Kernel] = kernels! {
    "add": 80, true, [["TA" = "bf16", "TB" = "bf16", "TY" = "bf16"], ["TA" = "float", "TB" = "float", "TY" = "bf16"]];
    "gemm": only 90, true, [
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "0", "A_MN" = "0", "B_MN" = "1", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "1", "A_MN" = "0", "B_MN" = "0", "LEAD" = "2"],
        ["EPILOGUE" = "1", "A_MN" = "0", "B_MN" = "1", "LEAD" = "2"],
        ["EPILOGUE" = "2", "A_MN" = "0", "B_MN" = "0", "STAGES" = "4", "BUFFERS" = "2"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "CLUSTER" = "1"],
        ["EPILOGUE" = "3", "A_MN" = "0", "B_MN" = "1", "TILE_N" = "128", "STAGES" = "6"],
        ["EPILOGUE" = "4", "A_MN" = "1", "B_MN" = "1"]
    ];
    "noise": 80, false, [[]];
};
