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
// Rows and threads of a block in the backward pass: with 12 channels a thread has one of each operand's numbers.
constexpr int ROWS = 64, BACKWARD_THREADS = 768;
constexpr int STRENGTHS = (ROWS * K + BACKWARD_THREADS - 1) / BACKWARD_THREADS, CHANNELS = (ROWS * G + BACKWARD_THREADS - 1) / BACKWARD_THREADS;

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
//
// The work is small: what counts is that all loads are on their way before anything waits for one.
extern "C" __global__ void __launch_bounds__(BACKWARD_THREADS)
    gate_strength_backward(TY* dn, const TDS* ds, const TS* s, const TN* n, const TG* gate, const TD* sum, float* partial,
                           i64 rows) {
    await_earlier_kernels();
    __shared__ float dz[ROWS * K], channels[ROWS * G], weights[K * G];
    i64 first = blockIdx.x * (i64)ROWS;
    int own = rows - first < ROWS ? (int)(rows - first) : ROWS;
    float strength[STRENGTHS] = {}, ds_held[STRENGTHS] = {}, n_held[CHANNELS] = {}, before[CHANNELS] = {};
#pragma unroll
    for (int r = 0; r < STRENGTHS; r++) {
        int i = r * BACKWARD_THREADS + threadIdx.x;
        if (i < own * K) strength[r] = to_f32(s[first * K + i]), ds_held[r] = to_f32(ds[first * K + i]);
    }
#pragma unroll
    for (int r = 0; r < CHANNELS; r++) {
        int i = r * BACKWARD_THREADS + threadIdx.x;
        i64 at = (first + i / G) * C + i % G;
        if (i < own * G) n_held[r] = to_f32(n[at]);
        if (i < own * G && dn && sum) before[r] = to_f32(sum[at]);
    }
    for (int i = threadIdx.x; i < K * G; i += BACKWARD_THREADS) weights[i] = to_f32(gate[i]);
#pragma unroll
    for (int r = 0; r < STRENGTHS; r++) {
        int i = r * BACKWARD_THREADS + threadIdx.x;
        if (i < own * K) dz[i] = ds_held[r] * strength[r] * (1.0f - strength[r] * (1.0f / 3.0f));
    }
#pragma unroll
    for (int r = 0; r < CHANNELS; r++) {
        int i = r * BACKWARD_THREADS + threadIdx.x;
        if (i < own * G) channels[i] = n_held[r];
    }
    __syncthreads();
    if (dn)
#pragma unroll
        for (int r = 0; r < CHANNELS; r++) {
            int i = r * BACKWARD_THREADS + threadIdx.x, row = i / G, c = i % G;
            if (i >= own * G) break;
            float d = before[r];
#pragma unroll
            for (int k = 0; k < K; k++) d += dz[row * K + k] * weights[k * G + c];
            dn[(first + row) * C + c] = from_f32<TY>(d);
        }
    for (int i = threadIdx.x; i < K * G; i += BACKWARD_THREADS) {
        int k = i / G, c = i % G;
        float share = 0;
#pragma unroll 8
        for (int row = 0; row < own; row++) share += dz[row * K + k] * channels[row * G + c];
        partial[i * (i64)gridDim.x + blockIdx.x] = share;
    }
}

// The channels beyond the first G, where dn lies elsewhere than `sum`: a copy, or zeros where `sum` is null.
extern "C" __global__ void __launch_bounds__(THREADS) gate_strength_rest(TY* dn, const TD* sum, i64 count) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * (i64)THREADS + threadIdx.x; i < count; i += gridDim.x * (i64)THREADS)
        if (i % C >= G) dn[i] = from_f32<TY>(sum ? to_f32(sum[i]) : 0.0f);
}
