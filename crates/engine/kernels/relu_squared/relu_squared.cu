// h = max(u, 0)², and its gradient from the output: 2 √h dh. So et al., arXiv 2109.08668.
//
// UNROLL independent 16-byte accesses a thread keep enough bytes in flight; the last, short group is done one by one. The
// result may lie where the first operand does.

#ifndef TX
#define TX bf16
#endif
#ifndef TH
#define TH bf16
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int THREADS = 256, UNROLL = sizeof(TX) == 2 ? 4 : 2;

// What is not a number stays so, or a diverged run would look alive.
__device__ __forceinline__ float forward(float u) {
    float x = u < 0.0f ? 0.0f : u;
    return x * x;
}
__device__ __forceinline__ float root(float x) {
    float y;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float backward(float dh, float h) { return 2.0f * root(h) * dh; }

extern "C" __global__ void __launch_bounds__(THREADS, 4) relu_squared(TY* h, const TX* u, i64 n) {
    await_earlier_kernels();
    i64 first = blockIdx.x * (i64)(THREADS * UNROLL * 8) + threadIdx.x * 8;
    Packed8<TX> held[UNROLL];
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) held[i] = packed8(u + at);
    }
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            F32x8 x = held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) x.at[j] = forward(x.at[j]);
            store8(h + at, x);
        } else {
            for (; at < n; at++) h[at] = from_f32<TY>(forward(to_f32(u[at])));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4) relu_squared_backward(TY* du, const TX* dh, const TH* h, i64 n) {
    await_earlier_kernels();
    i64 first = blockIdx.x * (i64)(THREADS * UNROLL * 8) + threadIdx.x * 8;
    Packed8<TX> dh_held[UNROLL];
    Packed8<TH> h_held[UNROLL];
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            dh_held[i] = packed8(dh + at);
            h_held[i] = packed8(h + at);
        }
    }
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            F32x8 x = dh_held[i].f32(), y = h_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) x.at[j] = backward(x.at[j], y.at[j]);
            store8(du + at, x);
        } else {
            for (; at < n; at++) du[at] = from_f32<TY>(backward(to_f32(dh[at]), to_f32(h[at])));
        }
    }
}
