// s = 3σ(gate · n[..G]): how much of a value embedding each of K heads takes, from the first G of C channels; and its gradient
// from the output.

#ifndef K
#define K 10
#define G 12
#define C 1280
#endif
#ifndef TN
#define TN bf16
#endif
#ifndef TG
#define TG float
#endif
#ifndef TS
#define TS float
#endif
#ifndef TDS
#define TDS float
#endif
#ifndef TD
#define TD bf16
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int THREADS = 256;
// Rows of a block in the backward pass.
constexpr int ROWS = 64;

// A thread for each strength: the threads of a row read the same channels, which lie in one or two sectors.
extern "C" __global__ void __launch_bounds__(THREADS) gate_strength(TS* s, const TN* n, const TG* gate, i64 count) {
    await_earlier_kernels();
    i64 i = blockIdx.x * (i64)THREADS + threadIdx.x;
    if (i >= count) return;
    const TN* row = n + i / K * C;
    const TG* weights = gate + i % K * G;
    float z = 0;
#pragma unroll
    for (int c = 0; c < G; c++) z += to_f32(row[c]) * to_f32(weights[c]);
    s[i] = from_f32<TS>(3.0f * sigmoid(z));
}

// With dz = ds·s·(1 − s/3): dn[..G] = Σ_k dz·gate (+ sum[..G], where that is not null), and the block's share of
// dgate = Σ dz·n in partial[k·G + c][block]. Other channels of dn are not touched; dn may lie where `sum` does, or be null.
extern "C" __global__ void __launch_bounds__(THREADS)
    gate_strength_backward(TY* dn, const TDS* ds, const TS* s, const TN* n, const TG* gate, const TD* sum, float* partial,
                           i64 rows) {
    await_earlier_kernels();
    __shared__ float dz[ROWS * K], channels[ROWS * G], weights[K * G];
    i64 first = blockIdx.x * (i64)ROWS;
    int own = rows - first < ROWS ? (int)(rows - first) : ROWS;
    for (int i = threadIdx.x; i < own * K; i += THREADS) {
        float strength = to_f32(s[first * K + i]);
        dz[i] = to_f32(ds[first * K + i]) * strength * (1.0f - strength * (1.0f / 3.0f));
    }
    for (int i = threadIdx.x; i < own * G; i += THREADS) channels[i] = to_f32(n[(first + i / G) * C + i % G]);
    for (int i = threadIdx.x; i < K * G; i += THREADS) weights[i] = to_f32(gate[i]);
    __syncthreads();
    for (int i = threadIdx.x; i < K * G; i += THREADS) {
        int k = i / G, c = i % G;
        float share = 0;
        for (int row = 0; row < own; row++) share += dz[row * K + k] * channels[row * G + c];
        partial[i * (i64)gridDim.x + blockIdx.x] = share;
    }
    if (!dn) return;
    for (int i = threadIdx.x; i < own * G; i += THREADS) {
        int row = i / G, c = i % G;
        i64 at = (first + row) * C + c;
        float d = sum ? to_f32(sum[at]) : 0.0f;
#pragma unroll
        for (int k = 0; k < K; k++) d += dz[row * K + k] * weights[k * G + c];
        dn[at] = from_f32<TY>(d);
    }
}

// The channels beyond the first G, where dn lies elsewhere than `sum`: a copy, or zeros where `sum` is null.
extern "C" __global__ void __launch_bounds__(THREADS) gate_strength_rest(TY* dn, const TD* sum, i64 count) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * (i64)THREADS + threadIdx.x; i < count; i += gridDim.x * (i64)THREADS)
        if (i % C >= G) dn[i] = from_f32<TY>(sum ? to_f32(sum[i]) : 0.0f);
}
