// RMS norm of rows of C elements, or of their mix with other rows, in e4m3 both ways: what two passes would write and read between
// them in bf16 is written only where something else reads it.
//
// No element of a norm is larger than the square root of C, so that the factor is known beforehand. The norm is rounded to bf16
// before it is cast, as if it had been in memory.
//
// A warp norms a row after the other and leaves its bytes in shared memory, ROWS of a block in all. Then a thread turns four columns
// of 16 rows at a time, and four neighbours write 64 bytes of a turned row.
//
// C: a multiple of 16, at most 1536.

#ifndef C
#define C 1280
#define THREADS 512
#define MIX 0
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
#ifndef TR
#define TR float
#endif
#ifndef TS
#define TS float
#endif

#define ROWS 64
#define GROUP 16 // rows that a thread turns
#define WORDS (C / 4)
// Words of a group; the next group's lie eight banks further.
#define GROUP_WORDS (GROUP * WORDS + 8)

constexpr int VECTORS = (C / 8 + 31) / 32;
constexpr float EPS = 1.1920929e-7f;

__device__ __forceinline__ bool inside(int i, int lane) { return (i + 1) * 256 <= C || i * 256 + lane * 8 < C; }
__device__ __forceinline__ float low(u32 word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float high(u32 word) { return __uint_as_float(word & 0xffff0000u); }

// With MIX, mixed = resid[layer]·x + skip[layer]·x0, and what is normed is that; otherwise x. mixed, normed, straight: rows x C,
// rstd: the norm's factor of each row; each may be null; turned: C x rows, may be null. rows: a multiple of 16. bound: no element of the norm is larger.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    norm_fp8(TY* mixed, bf16* normed, float* rstd, u8* straight, u8* turned, float* factor, const TX* __restrict__ x,
             const TX0* __restrict__ x0, const TR* resids, const TS* skips, int layer, float bound, int rows) {
    await_earlier_kernels();
    extern __shared__ uint2 kept[];
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, row0 = blockIdx.x * ROWS;
    const float scale = LARGEST_E4M3 / bound;
    const float resid = MIX ? to_f32(resids[layer]) : 1.0f, skip = MIX ? to_f32(skips[layer]) : 0.0f;
    if (blockIdx.x == 0 && threadIdx.x == 0) *factor = bound / LARGEST_E4M3;
    const int here = min(ROWS, rows - row0);
#pragma unroll 1
    for (int r = warp; r < here; r += THREADS / 32) {
        const i64 at = (i64)(row0 + r) * C + lane * 8;
        uint2* words = kept + (r / GROUP * GROUP_WORDS + r % GROUP * WORDS) / 2 + lane;
        Packed8<TX> held[VECTORS];
        float squares = 0;
#if MIX
        Packed8<TX0> x0_held[VECTORS];
        F32x8 mix[VECTORS];
#endif
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) {
                held[i] = packed8(x + at + i * 256);
#if MIX
                x0_held[i] = packed8(x0 + at + i * 256);
#endif
            }
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) {
                F32x8 v = held[i].f32();
#if MIX
                F32x8 b = x0_held[i].f32();
#pragma unroll
                for (int j = 0; j < 8; j++) v.at[j] = resid * v.at[j] + skip * b.at[j];
                mix[i] = v;
                if (mixed) store8(mixed + at + i * 256, v);
#endif
#pragma unroll
                for (int j = 0; j < 8; j++) squares += v.at[j] * v.at[j];
            }
        const float by = rsqrtf(warp_sum(squares) * (1.0f / C) + EPS);
        if (rstd && lane == 0) rstd[row0 + r] = by;
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (inside(i, lane)) {
#if MIX
                F32x8 v = mix[i];
#else
                F32x8 v = held[i].f32();
#endif
                u32 pairs[4];
#pragma unroll
                for (int j = 0; j < 4; j++) {
                    pairs[j] = pack_bf16(v.at[2 * j] * by, v.at[2 * j + 1] * by);
                    v.at[2 * j] = low(pairs[j]) * scale, v.at[2 * j + 1] = high(pairs[j]) * scale;
                }
                if (normed) *reinterpret_cast<uint4*>(normed + at + i * 256) = {pairs[0], pairs[1], pairs[2], pairs[3]};
                uint2 q = pack8<false>(v.at);
                if (straight) *reinterpret_cast<uint2*>(straight + at + i * 256) = q;
                if (turned) words[i * 32] = q;
            }
    }
    if (!turned) return;
    __syncthreads();
    const int group = threadIdx.x & 3;
    if (GROUP * group >= here) return;
    const u32* from = reinterpret_cast<const u32*>(kept) + group * GROUP_WORDS;
#pragma unroll 1
    for (int q = threadIdx.x / 4; q < WORDS; q += THREADS / 4) {
        u32 w[GROUP];
#pragma unroll
        for (int r = 0; r < GROUP; r++) w[r] = from[r * WORDS + q];
#pragma unroll
        for (int r = 0; r < GROUP; r += 4) turn_bytes(w[r], w[r + 1], w[r + 2], w[r + 3]);
        u8* to = turned + 4ll * q * rows + row0 + GROUP * group;
#pragma unroll
        for (int c = 0; c < 4; c++)
            *reinterpret_cast<uint4*>(to + (i64)c * rows) = {w[c], w[4 + c], w[8 + c], w[12 + c]};
    }
}
