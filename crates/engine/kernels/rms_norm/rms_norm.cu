// RMS norm of rows of C elements, and its gradient. Zhang & Sennrich, arXiv 1910.07467.
//
// LANES threads hold a row in registers, so that every element is read once. C is a multiple of 8. Outputs may lie where
// the inputs do: a row is read before it is written.

#ifndef C
#define C 1280
#define LANES 32
#define THREADS 128
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TY
#define TY bf16
#endif
#ifndef TDY
#define TDY bf16
#endif
#ifndef TD
#define TD bf16
#endif
// Whether the largest |dx| is wanted.
#ifndef LARGEST
#define LARGEST 0
#endif

// Whether the backward pass is handed the norm's input in place of y.
#ifndef INPUT
#define INPUT 0
#endif

static_assert(C % 8 == 0 && (LANES == 32 || LANES == THREADS), "a row has one warp, or the whole block");
constexpr int VECTORS = (C / 8 + LANES - 1) / LANES;
constexpr float EPS = 1.1920929e-7f;

__device__ __forceinline__ bool inside(int i, int lane) { return (i + 1) * LANES * 8 <= C || i * LANES * 8 + lane * 8 < C; }

// y = rstd·x with rstd = 1 / sqrt(mean(x²) + eps), which may be null.
extern "C" __global__ void __launch_bounds__(THREADS) rms_norm(TY* y, float* rstd, const TX* x, i64 rows) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int lane = threadIdx.x % LANES;
    i64 row = blockIdx.x * (i64)(THREADS / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    i64 at = row * C + lane * 8;
    Packed8<TX> held[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) held[i] = packed8(x + at + i * LANES * 8);
    float squares = 0;
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            F32x8 v = held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) squares += v.at[j] * v.at[j];
        }
    float r = rsqrtf(row_sum<LANES>(squares, shared) * (1.0f / C) + EPS);
    if (rstd && lane == 0) rstd[row] = r;
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            F32x8 v = held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) v.at[j] *= r;
            store8(y + at + i * LANES * 8, v);
        }
}

// With the norm's input y is rstd times it.
__device__ __forceinline__ F32x8 norm_of(const Packed8<TX>& held, float rstd) {
    F32x8 v = held.f32();
    if (INPUT)
#pragma unroll
        for (int j = 0; j < 8; j++) v.at[j] *= rstd;
    return v;
}

// dx = rstd (dy − y (1 − eps rstd²) Σ dy·y / Σ y²) (+ sum, where that is not null), from what the norm wrote. TX: type of y.
//
// Of the y before it was rounded Σ y² is C (1 − eps rstd²). Of the rounded y it is not quite, and with a division by C a part of
// Σ dy·y would stay along the row, where the gradient of a norm has nothing.
extern "C" __global__ void __launch_bounds__(THREADS)
    rms_norm_backward(TY* dx, const TDY* dy, const TX* y, const float* rstd, const TD* sum, u32* largest, i64 rows) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int lane = threadIdx.x % LANES;
    i64 row = blockIdx.x * (i64)(THREADS / LANES) + threadIdx.x / LANES;
    if (row >= rows) return;
    i64 at = row * C + lane * 8;
    Packed8<TX> y_held[VECTORS];
    Packed8<TDY> dy_held[VECTORS];
    Packed8<TD> sum_held[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            y_held[i] = packed8(y + at + i * LANES * 8);
            dy_held[i] = packed8(dy + at + i * LANES * 8);
        }
    if (sum)
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) sum_held[i] = packed8(sum + at + i * LANES * 8);
    float r = rstd[row], dot = 0, own = 0;
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            F32x8 v = norm_of(y_held[i], r), d = dy_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                dot += d.at[j] * v.at[j];
                own += v.at[j] * v.at[j];
            }
        }
    dot = row_sum<LANES>(dot, shared);
    own = row_sum<LANES>(own, shared);
    float pull = own > 0 ? dot / own * (1.0f - EPS * r * r) : 0.0f, most = 0;
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            F32x8 v = norm_of(y_held[i], r), d = dy_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) d.at[j] = r * (d.at[j] - v.at[j] * pull);
            if (sum) {
                F32x8 s = sum_held[i].f32();
#pragma unroll
                for (int j = 0; j < 8; j++) d.at[j] += s.at[j];
            }
            if (LARGEST)
#pragma unroll
                for (int j = 0; j < 8; j++) most = fmaxf(most, fabsf(d.at[j]));
            store8(dx + at + i * LANES * 8, d);
        }
    if (LARGEST) hand_in_largest(largest, most, blockIdx.x);
}
