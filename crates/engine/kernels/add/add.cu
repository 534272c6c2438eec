// y = a + b, element by element, for any mix of element types. The last, short group is added one by one.

#ifndef TA
#define TA bf16
#define TB bf16
#define TY bf16
#endif

extern "C" __global__ void __launch_bounds__(256) add(TY* y, const TA* a, const TB* b, i64 n) {
    await_earlier_kernels();
    i64 at = 8 * (blockIdx.x * 256ll + threadIdx.x), stride = 8 * 256ll * gridDim.x;
    for (; at + 8 <= n; at += stride) {
        F32x8 x = load8(a + at), z = load8(b + at);
#pragma unroll
        for (int j = 0; j < 8; j++) x.at[j] += z.at[j];
        store8(y + at, x);
    }
    for (; at < n; at++) y[at] = from_f32<TY>(to_f32(a[at]) + to_f32(b[at]));
}
