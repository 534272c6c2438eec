// Running sums, a few numbers each.

#ifndef TX
#define TX float
#endif
#ifndef TS
#define TS float
#endif
#ifndef TY
#define TY float
#endif

extern "C" __global__ void __launch_bounds__(256) accumulate(TS* sum, const TX* x, i64 n) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll)
        sum[i] = from_f32<TS>(to_f32(sum[i]) + to_f32(x[i]));
}

// Returns the sum, where anything reads it, and begins anew.
extern "C" __global__ void __launch_bounds__(256) drain(TY* y, TS* sum, i64 n) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) {
        if (y) y[i] = from_f32<TY>(to_f32(sum[i]));
        sum[i] = from_f32<TS>(0.0f);
    }
}
