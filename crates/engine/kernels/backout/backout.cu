// y = x − λ·middle; backward dmiddle = −λ·dy and the share of dλ = −Σ dy·middle that every block leaves for `partial_sums`.

#ifndef TX
#define TX bf16
#endif
#ifndef TM
#define TM bf16
#endif
#ifndef TL
#define TL float
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int THREADS = 256, UNROLL = sizeof(TX) == 2 ? 4 : 2;

// y may lie where x does.
extern "C" __global__ void __launch_bounds__(THREADS, 4) backout(TY* y, const TX* x, const TM* middle, const TL* lambda, i64 n) {
    await_earlier_kernels();
    float share = to_f32(lambda[0]);
    i64 first = blockIdx.x * (i64)(THREADS * UNROLL * 8) + threadIdx.x * 8;
    Packed8<TX> x_held[UNROLL];
    Packed8<TM> m_held[UNROLL];
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            x_held[i] = packed8(x + at);
            m_held[i] = packed8(middle + at);
        }
    }
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            F32x8 a = x_held[i].f32(), m = m_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) a.at[j] -= share * m.at[j];
            store8(y + at, a);
        } else {
            for (; at < n; at++) y[at] = from_f32<TY>(to_f32(x[at]) - share * to_f32(middle[at]));
        }
    }
}

extern "C" __global__ void __launch_bounds__(THREADS, 4)
    backout_backward(TY* dmiddle, const TX* dy, const TM* middle, const TL* lambda, float* partial, i64 n) {
    await_earlier_kernels();
    __shared__ float shared[32];
    float share = -to_f32(lambda[0]), sum = 0;
    i64 first = blockIdx.x * (i64)(THREADS * UNROLL * 8) + threadIdx.x * 8;
    Packed8<TX> d_held[UNROLL];
    Packed8<TM> m_held[UNROLL];
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            d_held[i] = packed8(dy + at);
            m_held[i] = packed8(middle + at);
        }
    }
#pragma unroll
    for (int i = 0; i < UNROLL; i++) {
        i64 at = first + i * THREADS * 8;
        if (at + 8 <= n) {
            F32x8 d = d_held[i].f32(), m = m_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                sum += d.at[j] * m.at[j];
                d.at[j] *= share;
            }
            if (dmiddle) store8(dmiddle + at, d);
        } else {
            for (; at < n; at++) {
                float d = to_f32(dy[at]);
                sum += d * to_f32(middle[at]);
                if (dmiddle) dmiddle[at] = from_f32<TY>(share * d);
            }
        }
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}
