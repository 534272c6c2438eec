//! The functions and numbers of cuDNN's backend API that fused attention needs, under the names of the public header
//! `cudnn_graph_v9.h`.
//!
//! Statuses, attribute names and types are plain integers, not Rust enums: a newer library may return ones that this
//! table does not know. Descriptors and handles are opaque pointers.

use std::ffi::{c_char, c_void};

use crate::library::functions;

/// `cudnnStatus_t`.
pub type Status = i32;
/// `cudnnHandle_t`.
pub type RawHandle = *mut c_void;
/// `cudnnBackendDescriptor_t`.
pub type RawDescriptor = *mut c_void;
/// `CUstream` and `cudaStream_t`, which are the same pointer.
pub type RawStream = *mut c_void;

functions! {
    /// The functions that are called.
    Api {
        fn cudnnGetVersion() -> usize;
        fn cudnnGetErrorString(status: Status) -> *const c_char;
        fn cudnnGetLastErrorString(message: *mut c_char, capacity: usize);
        fn cudnnCreate(handle: *mut RawHandle) -> Status;
        fn cudnnDestroy(handle: RawHandle) -> Status;
        fn cudnnSetStream(handle: RawHandle, stream: RawStream) -> Status;
        fn cudnnBackendCreateDescriptor(kind: i32, descriptor: *mut RawDescriptor) -> Status;
        fn cudnnBackendDestroyDescriptor(descriptor: RawDescriptor) -> Status;
        fn cudnnBackendSetAttribute(
            descriptor: RawDescriptor,
            attribute: i32,
            ty: i32,
            count: i64,
            elements: *const c_void,
        ) -> Status;
        fn cudnnBackendGetAttribute(
            descriptor: RawDescriptor,
            attribute: i32,
            ty: i32,
            capacity: i64,
            count: *mut i64,
            elements: *mut c_void,
        ) -> Status;
        fn cudnnBackendFinalize(descriptor: RawDescriptor) -> Status;
        fn cudnnBackendExecute(handle: RawHandle, plan: RawDescriptor, pack: RawDescriptor) -> Status;
    }
}

/// Named numbers of one enum of the header.
macro_rules! numbers {
    ($(#[$doc:meta])* $module:ident { $($name:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[allow(missing_docs, reason = "the header's names, less the prefix that the module's head says")]
        pub mod $module {
            $(pub const $name: i32 = $value;)*
        }
    };
}

numbers! {
    /// `cudnnBackendDescriptorType_t`: `CUDNN_BACKEND_<name>_DESCRIPTOR`.
    kind {
        POINTWISE = 0,
        ENGINE = 2,
        ENGINECFG = 3,
        ENGINEHEUR = 4,
        EXECUTION_PLAN = 5,
        KNOB_CHOICE = 7,
        OPERATION_POINTWISE = 13,
        OPERATIONGRAPH = 15,
        VARIANT_PACK = 16,
        TENSOR = 17,
        MATMUL = 18,
        OPERATION_MATMUL = 19,
        REDUCTION = 21,
        OPERATION_REDUCTION = 22,
        OPERATION_RESHAPE = 31,
        DEVICEPROP = 38,
    }
}

numbers! {
    /// `cudnnBackendAttributeType_t`: `CUDNN_TYPE_<name>`.
    ty {
        HANDLE = 0,
        DATA_TYPE = 1,
        BOOLEAN = 2,
        INT64 = 3,
        FLOAT = 4,
        VOID_PTR = 6,
        HEUR_MODE = 8,
        KNOB_TYPE = 9,
        POINTWISE_MODE = 14,
        BACKEND_DESCRIPTOR = 15,
        REDUCTION_OPERATOR_TYPE = 18,
        CHAR = 24,
    }
}

numbers! {
    /// `cudnnBackendAttributeName_t`: `CUDNN_ATTR_<name>`.
    attr {
        POINTWISE_MODE = 0,
        POINTWISE_MATH_PREC = 1,
        POINTWISE_AXIS = 9,
        ENGINEHEUR_MODE = 200,
        ENGINEHEUR_OPERATION_GRAPH = 201,
        ENGINEHEUR_RESULTS = 202,
        ENGINEHEUR_DEVICEPROP = 204,
        ENGINECFG_ENGINE = 300,
        ENGINECFG_KNOB_CHOICES = 302,
        EXECUTION_PLAN_HANDLE = 400,
        EXECUTION_PLAN_ENGINE_CONFIG = 401,
        EXECUTION_PLAN_WORKSPACE_SIZE = 402,
        EXECUTION_PLAN_DEVICEPROP = 407,
        KNOB_CHOICE_KNOB_TYPE = 600,
        KNOB_CHOICE_KNOB_VALUE = 601,
        OPERATION_POINTWISE_PW_DESCRIPTOR = 750,
        OPERATION_POINTWISE_XDESC = 751,
        OPERATION_POINTWISE_BDESC = 752,
        OPERATION_POINTWISE_YDESC = 753,
        OPERATION_POINTWISE_ALPHA1 = 754,
        OPERATION_POINTWISE_ALPHA2 = 755,
        OPERATION_POINTWISE_TDESC = 758,
        OPERATIONGRAPH_HANDLE = 800,
        OPERATIONGRAPH_OPS = 801,
        TENSOR_BYTE_ALIGNMENT = 900,
        TENSOR_DATA_TYPE = 901,
        TENSOR_DIMENSIONS = 902,
        TENSOR_STRIDES = 903,
        TENSOR_UNIQUE_ID = 906,
        TENSOR_IS_VIRTUAL = 907,
        TENSOR_IS_BY_VALUE = 908,
        TENSOR_RAGGED_OFFSET_DESC = 913,
        VARIANT_PACK_UNIQUE_IDS = 1000,
        VARIANT_PACK_DATA_POINTERS = 1001,
        VARIANT_PACK_WORKSPACE = 1003,
        ENGINE_GLOBAL_INDEX = 1301,
        MATMUL_COMP_TYPE = 1500,
        OPERATION_MATMUL_ADESC = 1520,
        OPERATION_MATMUL_BDESC = 1521,
        OPERATION_MATMUL_CDESC = 1522,
        OPERATION_MATMUL_DESC = 1523,
        OPERATION_MATMUL_GEMM_M_OVERRIDE_DESC = 1525,
        OPERATION_MATMUL_GEMM_N_OVERRIDE_DESC = 1526,
        OPERATION_MATMUL_GEMM_K_OVERRIDE_DESC = 1527,
        REDUCTION_OPERATOR = 1600,
        REDUCTION_COMP_TYPE = 1601,
        REDUCTION_IS_DETERMINISTIC = 1602,
        OPERATION_REDUCTION_XDESC = 1610,
        OPERATION_REDUCTION_YDESC = 1611,
        OPERATION_REDUCTION_DESC = 1612,
        OPERATION_RESHAPE_XDESC = 2200,
        OPERATION_RESHAPE_YDESC = 2201,
        DEVICEPROP_JSON_REPRESENTATION = 2702,
    }
}

numbers! {
    /// `cudnnDataType_t`: `CUDNN_DATA_<name>`.
    data {
        FLOAT = 0,
        INT32 = 4,
        BFLOAT16 = 9,
        BOOLEAN = 11,
    }
}

numbers! {
    /// `cudnnPointwiseMode_t`: `CUDNN_POINTWISE_<name>`.
    pointwise {
        ADD = 0,
        MUL = 1,
        MAX = 3,
        DIV = 6,
        SUB = 9,
        EXP = 13,
        LOG = 15,
        IDENTITY = 21,
        CMP_GT = 302,
        CMP_GE = 303,
        CMP_LT = 304,
        LOGICAL_AND = 400,
        GEN_INDEX = 501,
        BINARY_SELECT = 601,
    }
}

numbers! {
    /// `cudnnReduceTensorOp_t`: `CUDNN_REDUCE_TENSOR_<name>`.
    reduce {
        ADD = 0,
        MAX = 3,
    }
}

numbers! {
    /// `cudnnBackendHeurMode_t`: `CUDNN_HEUR_MODE_<name>`.
    heuristic {
        B = 1,
        FALLBACK = 2,
        A = 3,
    }
}
