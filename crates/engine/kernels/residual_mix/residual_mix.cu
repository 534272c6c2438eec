// The residual stream entering a block: a learned mix of the stream and the embedding, its norm, and the gradient of both.
//
// LANES threads hold a row in registers, so that every element is read once. C is a multiple of 8. The backward pass works from
// the norm n and its factor: the mix is m = n / rstd, and the stream x = (m − skip·x0) / resid. The gradients of the two scalars are sums over all elements: every block
// leaves its share in `partial`, which `partial_sums` adds in the blocks' order.

#ifndef C
#define C 1280
#define LANES 32
#define THREADS 128
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TX0
#define TX0 bf16
#endif
#ifndef TY
#define TY bf16
#endif
#ifndef TN
#define TN bf16
#endif
#ifndef TR
#define TR float
#endif
#ifndef TS
#define TS float
#endif
#ifndef TDM
#define TDM bf16
#endif
#ifndef TDN
#define TDN bf16
#endif
#ifndef TD0
#define TD0 bf16
#endif
// Which gradients come in, and whether that of x0 is added to.
#ifndef MIXED
#define MIXED 1
#define NORMED 1
#define ADDS 1
#endif
// Whether the largest |dx| is wanted.
#ifndef LARGEST
#define LARGEST 0
#endif
// Rows that a warp, or a block of several, takes in turn.
#ifndef TURNS
#define TURNS 4
#endif

// Whether the backward pass is handed the stream x in place of the norm.
#ifndef INPUT
#define INPUT 0
#endif

static_assert(C % 8 == 0 && (LANES == 32 || LANES == THREADS), "a row has one warp, or the whole block");
constexpr int VECTORS = (C / 8 + LANES - 1) / LANES;
constexpr int ROWS = THREADS / LANES;
constexpr float EPS = 1.1920929e-7f;

__device__ __forceinline__ bool inside(int i, int lane) { return (i + 1) * LANES * 8 <= C || i * LANES * 8 + lane * 8 < C; }

// mixed = resid[layer]·x + skip[layer]·x0 and normed = rstd·mixed; each may be null, rstd without normed is not written.
extern "C" __global__ void __launch_bounds__(THREADS)
    residual_mix(TY* mixed, TN* normed, float* rstd, const TX* __restrict__ x, const TX0* __restrict__ x0, const TR* resids,
                 const TS* skips, int layer, i64 rows) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int lane = threadIdx.x % LANES;
    i64 row = blockIdx.x * (i64)ROWS + threadIdx.x / LANES;
    if (row >= rows) return;
    i64 at = row * C + lane * 8;
    Packed8<TX> x_held[VECTORS];
    Packed8<TX0> x0_held[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            x_held[i] = packed8(x + at + i * LANES * 8);
            x0_held[i] = packed8(x0 + at + i * LANES * 8);
        }
    float resid = to_f32(resids[layer]), skip = to_f32(skips[layer]), squares = 0;
    F32x8 mix[VECTORS];
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
            F32x8 a = x_held[i].f32(), b = x0_held[i].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                mix[i].at[j] = resid * a.at[j] + skip * b.at[j];
                squares += mix[i].at[j] * mix[i].at[j];
            }
            if (mixed) store8(mixed + at + i * LANES * 8, mix[i]);
        }
    if (!normed && !rstd) return;
    float r = rsqrtf(row_sum<LANES>(squares, shared) * (1.0f / C) + EPS);
    if (rstd && lane == 0) rstd[row] = r;
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (inside(i, lane)) {
#pragma unroll
            for (int j = 0; j < 8; j++) mix[i].at[j] *= r;
            if (normed) store8(normed + at + i * LANES * 8, mix[i]);
        }
}

// Shared memory of a row: all operands. TX: type of n.
constexpr int ROW_BYTES = C * (sizeof(TX) + sizeof(TX0) + MIXED * sizeof(TDM) + NORMED * sizeof(TDN) + ADDS * sizeof(TD0));

// With the stream the norm is made of it again.
__device__ __forceinline__ F32x8 norm_of(F32x8 a, const F32x8& x0, float resid, float skip, float r) {
    if (INPUT)
#pragma unroll
        for (int j = 0; j < 8; j++) a.at[j] = r * (resid * a.at[j] + skip * x0.at[j]);
    return a;
}

// g = dmixed + rstd (dnormed − n (1 − eps rstd²) Σ dnormed·n / Σ n²), see rms_norm; dx = resid·g, dx0 = skip·g (+ sum), and the block's shares of
// Σ g·x and Σ g·x0 in partial[0][block] and partial[1][block]. dx may lie where the first gradient does, dx0 where `sum` does.
//
// Five operands are more than the registers hold at a useful occupancy: every thread copies its elements to shared memory,
// asynchronously, and reads them there twice. No other thread reads them, so that nothing waits for another thread.
extern "C" __global__ void __launch_bounds__(THREADS)
    residual_mix_backward(TY* dx, TN* dx0, const TDM* dmixed, const TDN* dnormed, const TX* n, const float* rstd,
                          const TX0* x0, const TR* resids, const TS* skips, const TD0* sum, float* partial, u32* largest,
                          int layer, float least_resid, i64 rows) {
    await_earlier_kernels();
    extern __shared__ uint4 operands[];
    __shared__ float shared[32];
    int lane = threadIdx.x % LANES, group = threadIdx.x / LANES;
    TX* n_here = reinterpret_cast<TX*>(reinterpret_cast<char*>(operands) + group * ROW_BYTES);
    TX0* x0_here = reinterpret_cast<TX0*>(n_here + C);
    TDN* dn_here = reinterpret_cast<TDN*>(x0_here + C);
    TDM* dm_here = reinterpret_cast<TDM*>(dn_here + NORMED * C);
    TD0* sum_here = reinterpret_cast<TD0*>(dm_here + MIXED * C);
    float resid = to_f32(resids[layer]), skip = to_f32(skips[layer]), of_mix = 0, of_x0 = 0, most = 0;
#pragma unroll 1
    for (int turn = 0; turn < TURNS; turn++) {
        i64 row = (blockIdx.x * (i64)TURNS + turn) * ROWS + group;
        if (row >= rows) break;
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) {
                int c = (i * LANES + lane) * 8;
                copy8_async(n_here + c, n + row * C + c);
                copy8_async(x0_here + c, x0 + row * C + c);
                if (NORMED) copy8_async(dn_here + c, dnormed + row * C + c);
                if (MIXED) copy8_async(dm_here + c, dmixed + row * C + c);
                if (ADDS) copy8_async(sum_here + c, sum + row * C + c);
            }
        float r = rstd[row], rms = 1.0f / r, pull = 0;
        wait_for_copies();
        if (NORMED) {
            float dot = 0, own = 0;
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
                if (inside(i, lane)) {
                    int c = (i * LANES + lane) * 8;
                    F32x8 a = load8(n_here + c), dn = load8(dn_here + c);
                    if (INPUT) a = norm_of(a, load8(x0_here + c), resid, skip, r);
#pragma unroll
                    for (int j = 0; j < 8; j++) {
                        dot += dn.at[j] * a.at[j];
                        own += a.at[j] * a.at[j];
                    }
                }
            dot = row_sum<LANES>(dot, shared);
            own = row_sum<LANES>(own, shared);
            pull = own > 0 ? dot / own * (1.0f - EPS * r * r) : 0.0f;
            // The second reading must be one, or all elements would stay in registers.
            __syncwarp();
        }
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) {
                int c = (i * LANES + lane) * 8;
                F32x8 a = load8(n_here + c), b = load8(x0_here + c), g = {}, s = {};
                a = norm_of(a, b, resid, skip, r);
                if (MIXED) g = load8(dm_here + c);
                if (NORMED) {
                    F32x8 dn = load8(dn_here + c);
#pragma unroll
                    for (int j = 0; j < 8; j++) g.at[j] += r * (dn.at[j] - a.at[j] * pull);
                }
                if (ADDS) s = load8(sum_here + c);
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    of_mix += g.at[j] * (a.at[j] * rms);
                    of_x0 += g.at[j] * b.at[j];
                    s.at[j] += skip * g.at[j];
                    g.at[j] *= resid;
                    if (LARGEST) most = fmaxf(most, fabsf(g.at[j]));
                }
                if (dx) store8(dx + row * C + c, g);
                if (dx0) store8(dx0 + row * C + c, s);
            }
    }
    if (LARGEST) hand_in_largest(largest, most, blockIdx.x);
    of_mix = block_sum(of_mix, shared);
    of_x0 = block_sum(of_x0, shared);
    if (threadIdx.x == 0) {
        partial[blockIdx.x] = (of_mix - skip * of_x0) / copysignf(fmaxf(fabsf(resid), least_resid), resid);
        partial[gridDim.x + blockIdx.x] = of_x0;
    }
}
