// Matrices in 8 bits with one factor: x = factor * q, where the largest |q| is the format's largest number.
//
// 1. amax: PARTIALS blocks each find the largest |x| of their part. The largest does not depend on any order.
// 2. cast: every block finds the largest of the parts, and writes its tile of q, and of its transpose, from one read of x.
//    Matrix units take 8-bit operands along the sum only, so a product and its two gradients need both. Where a bound of |x|
//    is known beforehand there is no first step.
// With RELU, what is cast is max(x, 0)², which is never written in any other precision.
// amax goes through memory from its end, which the kernel before it wrote last, and cast from its beginning, which amax read
// last: what the second-level cache holds is read from there.

#ifndef TX
#define TX bf16
#define E5M2 0
#endif
#ifndef RELU
#define RELU 0
#endif

#define PARTIALS 256
#define TILE 128
#define PITCH 33 // words of a column of the tile, and one: all banks at once

#define LARGEST_E5M2 57344.0f
#define LARGEST_E4M3 448.0f
#define LARGEST (E5M2 ? LARGEST_E5M2 : LARGEST_E4M3)

// What is not a number stays so, or a diverged run would look alive.
__device__ __forceinline__ float positive(float x) { return x < 0.0f ? 0.0f : x; }
__device__ __forceinline__ float size(float x) { return RELU ? x : fabsf(x); }

// x: n elements, a multiple of 8, 16-byte aligned.
extern "C" __global__ void __launch_bounds__(1024) amax(float* partials, const TX* x, i64 n) {
    await_earlier_kernels();
    __shared__ float shared[32];
    i64 groups = n / 8, stride = (i64)PARTIALS * 1024;
    i64 at = groups - 1 - (blockIdx.x * 1024ll + threadIdx.x);
    float largest = 0.0f;
    for (; at >= 3 * stride; at -= 4 * stride) {
        F32x8 v[4];
#pragma unroll
        for (int u = 0; u < 4; u++) v[u] = load8(x + 8 * (at - u * stride));
#pragma unroll
        for (int u = 0; u < 4; u++)
#pragma unroll
            for (int j = 0; j < 8; j++) largest = fmaxf(largest, size(v[u].at[j]));
    }
    for (; at >= 0; at -= stride) {
        F32x8 v = load8(x + 8 * at);
#pragma unroll
        for (int j = 0; j < 8; j++) largest = fmaxf(largest, size(v.at[j]));
    }
    largest = block_max(largest, shared);
    if (threadIdx.x == 0) partials[blockIdx.x] = RELU ? largest * largest : largest;
}

// Two numbers as 8 bits each, the first in the low byte; what is too large becomes the largest.
template <bool WIDE> __device__ __forceinline__ u32 pack8(float low, float high) {
    u16 pair;
    if (WIDE)
        asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    else
        asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
}
template <bool WIDE> __device__ __forceinline__ u32 pack8(float a, float b, float c, float d) {
    return pack8<WIDE>(a, b) | pack8<WIDE>(c, d) << 16;
}

// Eight elements of a thread in each of its four rows, to the turned tile: a word of each column.
template <bool WIDE> __device__ __forceinline__ void turn(u32* tile, const F32x8* v, int along, int down) {
#pragma unroll
    for (int j = 0; j < 8; j++)
        tile[(8 * along + j) * PITCH + down] = pack8<WIDE>(v[0].at[j], v[1].at[j], v[2].at[j], v[3].at[j]);
}
// Eight elements of a row.
template <bool WIDE> __device__ __forceinline__ void store_straight(u8* to, const float* z) {
    *reinterpret_cast<uint2*>(to) = {pack8<WIDE>(z[0], z[1], z[2], z[3]), pack8<WIDE>(z[4], z[5], z[6], z[7])};
}
// A warp writes one column of the tile at a time: 128 bytes of a row of the transpose.
__device__ __forceinline__ void store_turned(u8* turned, const u32* tile, int row0, int col0, int rows, int cols) {
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll 4
    for (int c = warp; c < TILE; c += 8) {
        if (col0 + c < cols && row0 + 4 * lane < rows)
            *reinterpret_cast<u32*>(turned + (i64)(col0 + c) * rows + row0 + 4 * lane) = tile[c * PITCH + lane];
    }
}

// x: rows x cols, both multiples of 16. straight: rows x cols; turned: cols x rows; either may be null. Without partials
// the largest number is `bound`, or less.
// A thread takes four rows of eight columns, twice. In a warp, four threads go along a row and eight down: 64-byte pieces of
// rows, and words of the turned tile in 32 different banks.
extern "C" __global__ void __launch_bounds__(256, sizeof(TX) == 2 ? 4 : 3)
    cast(u8* straight, u8* turned, float* factor, const float* partials, const TX* x, int rows, int cols,
         float bound) {
    await_earlier_kernels();
    __shared__ float shared[32];
    __shared__ u32 tile[TILE * PITCH];
    int tiles = (cols + TILE - 1) / TILE;
    int row0 = blockIdx.x / tiles * TILE, col0 = blockIdx.x % tiles * TILE;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int down = 8 * (warp & 3) + (lane >> 2); // group of four rows
    Packed8<TX> held[2][4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int along = 4 * (2 * half + (warp >> 2)) + (lane & 3); // group of eight columns
        int row = row0 + 4 * down, col = col0 + 8 * along;
        bool inside = row < rows && col < cols;
#pragma unroll
        for (int r = 0; r < 4; r++)
            if (inside) held[half][r] = packed8(x + (i64)(row + r) * cols + col);
    }
    float largest = bound;
    if (partials) largest = fmaxf(block_max(partials[threadIdx.x], shared), 1e-20f);
    float scale = LARGEST / largest;
    if (blockIdx.x == 0 && threadIdx.x == 0) *factor = largest / LARGEST;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int along = 4 * (2 * half + (warp >> 2)) + (lane & 3);
        int row = row0 + 4 * down, col = col0 + 8 * along;
        if (row >= rows || col >= cols) continue;
        F32x8 v[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            v[r] = held[half][r].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float z = RELU ? positive(v[r].at[j]) : v[r].at[j];
                v[r].at[j] = RELU ? z * z * scale : z * scale;
            }
            if (straight) store_straight<E5M2>(straight + (i64)(row + r) * cols + col, v[r].at);
        }
        if (turned) turn<E5M2>(tile, v, along, down);
    }
    if (!turned) return;
    __syncthreads();
    store_turned(turned, tile, row0, col0, rows, cols);
}

// The gradient of squared ReLU, du = 2 max(u, 0) dh, in e5m2 both ways, and h = max(u, 0)² in e4m3, turned, which may be null:
// neither is written in any other precision. dh is a product along k of 8-bit operands with the factors of a (e5m2) and
// b (e4m3), and so |dh| <= k max|a| max|b|; with the largest h, du has a bound that no pass over it has to find. It is some 2^13
// too large, which costs e5m2 nothing: of its 32 powers of two 19 are left.
extern "C" __global__ void __launch_bounds__(256, 3)
    relu_squared_gradient(u8* straight, u8* turned, float* factor, u8* h_turned, const bf16* dh, const bf16* u,
                          const float* h_factor, const float* a_factor, const float* b_factor, float k, int rows, int cols) {
    await_earlier_kernels();
    __shared__ u32 du_tile[TILE * PITCH], h_tile[TILE * PITCH];
    int tiles = (cols + TILE - 1) / TILE;
    int row0 = blockIdx.x / tiles * TILE, col0 = blockIdx.x % tiles * TILE;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
    int down = 8 * (warp & 3) + (lane >> 2); // group of four rows
    float largest_dh = k * (*a_factor * LARGEST_E5M2) * (*b_factor * LARGEST_E4M3);
    float du_factor = fmaxf(2.0f * sqrtf(*h_factor * LARGEST_E4M3) * largest_dh, 1e-20f) / LARGEST_E5M2;
    float du_scale = 2.0f / du_factor, h_scale = 1.0f / *h_factor;
    if (blockIdx.x == 0 && threadIdx.x == 0) *factor = du_factor;
#pragma unroll 1
    for (int half = 0; half < 2; half++) {
        int along = 4 * (2 * half + (warp >> 2)) + (lane & 3); // group of eight columns
        int row = row0 + 4 * down, col = col0 + 8 * along;
        if (row >= rows || col >= cols) continue;
        Packed8<bf16> dh_held[4], u_held[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            dh_held[r] = packed8(dh + (i64)(row + r) * cols + col);
            u_held[r] = packed8(u + (i64)(row + r) * cols + col);
        }
        F32x8 v[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            v[r] = dh_held[r].f32();
            F32x8 z = u_held[r].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) v[r].at[j] *= positive(z.at[j]) * du_scale;
            store_straight<true>(straight + (i64)(row + r) * cols + col, v[r].at);
        }
        turn<true>(du_tile, v, along, down);
        if (!h_turned) continue;
#pragma unroll
        for (int r = 0; r < 4; r++) {
            v[r] = u_held[r].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) v[r].at[j] = positive(v[r].at[j]) * positive(v[r].at[j]) * h_scale;
        }
        turn<false>(h_tile, v, along, down);
    }
    __syncthreads();
    store_turned(turned, du_tile, row0, col0, rows, cols);
    if (h_turned) store_turned(h_turned, h_tile, row0, col0, rows, cols);
}

// Any bytes as small finite numbers of either format, to time products on: the exponent's highest bit becomes zero.
extern "C" __global__ void __launch_bounds__(256) tame(u32* words, i64 n) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) words[i] &= 0xbfbfbfbfu;
}
