// Matrices in 8 bits with one factor: x = factor * q, where the largest |q| is the format's largest number.
//
// 1. amax: PARTIALS blocks each find the largest |x| of their part. The largest does not depend on any order.
// 2. cast: every block finds the largest of the parts, and writes its tile of q, and of its transpose, from one read of x.
//    Matrix units take 8-bit operands along the sum only, so a product and its two gradients need both.
// amax goes through memory from its end, which the kernel before it wrote last, and cast from its beginning, which amax read
// last: what the second-level cache holds is read from there.

#ifndef TX
#define TX bf16
#define E5M2 0
#endif

#define PARTIALS 256
#define TILE 128
#define PITCH 33 // words of a column of the tile, and one: all banks at once

#if E5M2
#define LARGEST 57344.0f
#else
#define LARGEST 448.0f
#endif

// x: n elements, a multiple of 8, 16-byte aligned.
extern "C" __global__ void __launch_bounds__(1024) amax(float* partials, const TX* x, i64 n) {
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
            for (int j = 0; j < 8; j++) largest = fmaxf(largest, fabsf(v[u].at[j]));
    }
    for (; at >= 0; at -= stride) {
        F32x8 v = load8(x + 8 * at);
#pragma unroll
        for (int j = 0; j < 8; j++) largest = fmaxf(largest, fabsf(v.at[j]));
    }
    largest = block_max(largest, shared);
    if (threadIdx.x == 0) partials[blockIdx.x] = largest;
}

// Two numbers as 8 bits each, the first in the low byte; what is too large becomes the largest.
__device__ __forceinline__ u32 pack8(float low, float high) {
    u16 pair;
#if E5M2
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
#else
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
#endif
    return pair;
}

// x: rows x cols, both multiples of 16. straight: rows x cols; turned: cols x rows; either may be null.
// A thread takes four rows of eight columns, twice. In a warp, four threads go along a row and eight down: 64-byte pieces of
// rows, and words of the turned tile in 32 different banks.
extern "C" __global__ void __launch_bounds__(256, sizeof(TX) == 2 ? 4 : 3)
    cast(u8* straight, u8* turned, float* factor, const float* partials, const TX* x, int rows, int cols) {
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
    float largest = fmaxf(block_max(partials[threadIdx.x], shared), 1e-20f);
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
            for (int j = 0; j < 8; j++) v[r].at[j] *= scale;
            const float* z = v[r].at;
            if (straight) {
                uint2 words = {pack8(z[0], z[1]) | pack8(z[2], z[3]) << 16, pack8(z[4], z[5]) | pack8(z[6], z[7]) << 16};
                *reinterpret_cast<uint2*>(straight + (i64)(row + r) * cols + col) = words;
            }
        }
        if (turned) {
#pragma unroll
            for (int j = 0; j < 8; j++) {
                u32 low = pack8(v[0].at[j], v[1].at[j]), high = pack8(v[2].at[j], v[3].at[j]);
                tile[(8 * along + j) * PITCH + down] = low | high << 16;
            }
        }
    }
    if (!turned) return;
    __syncthreads();
    // A warp writes one column of the tile at a time: 128 bytes of a row of the transpose.
#pragma unroll 4
    for (int c = warp; c < TILE; c += 8) {
        if (col0 + c < cols && row0 + 4 * lane < rows)
            *reinterpret_cast<u32*>(turned + (i64)(col0 + c) * rows + row0 + 4 * lane) = tile[c * PITCH + lane];
    }
}

// Squared ReLU and its gradient from the output (kernel relu_squared) with the largest result of each part, which saves amax
// a read. All bf16; n a multiple of 8; the result may lie where the first operand does.
__device__ __forceinline__ float root(float x) {
    float y;
    asm("sqrt.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

template <bool BACKWARD>
__device__ __forceinline__ void relu_squared_parts(bf16* y, float* partials, const bf16* x, const bf16* h, i64 n) {
    __shared__ float shared[32];
    constexpr int UNROLL = BACKWARD ? 1 : 2;
    i64 stride = (i64)PARTIALS * 1024;
    float largest = 0.0f;
    for (i64 at = n / 8 - 1 - (blockIdx.x * 1024ll + threadIdx.x); at >= 0; at -= UNROLL * stride) {
        Packed8<bf16> first[UNROLL], second[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            i64 from = 8 * (at - u * stride);
            if (from < 0) continue;
            first[u] = packed8(x + from);
            if (BACKWARD) second[u] = packed8(h + from);
        }
#pragma unroll
        for (int u = 0; u < UNROLL; u++) {
            i64 to = 8 * (at - u * stride);
            if (to < 0) continue;
            F32x8 v = first[u].f32(), z = v;
            if (BACKWARD) z = second[u].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float positive = v.at[j] < 0.0f ? 0.0f : v.at[j];
                v.at[j] = BACKWARD ? 2.0f * root(z.at[j]) * v.at[j] : positive * positive;
                largest = fmaxf(largest, fabsf(v.at[j]));
            }
            store8(y + to, v);
        }
    }
    largest = block_max(largest, shared);
    if (threadIdx.x == 0) partials[blockIdx.x] = largest;
}

extern "C" __global__ void __launch_bounds__(1024, 2) relu_squared_amax(bf16* h, float* partials, const bf16* u, i64 n) {
    relu_squared_parts<false>(h, partials, u, u, n);
}
extern "C" __global__ void __launch_bounds__(1024, 2)
    relu_squared_backward_amax(bf16* du, float* partials, const bf16* dh, const bf16* h, i64 n) {
    relu_squared_parts<true>(du, partials, dh, h, n);
}

// Any bytes as small finite numbers of either format, to time products on: the exponent's highest bit becomes zero.
extern "C" __global__ void __launch_bounds__(256) tame(u32* words, i64 n) {
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) words[i] &= 0xbfbfbfbfu;
}
