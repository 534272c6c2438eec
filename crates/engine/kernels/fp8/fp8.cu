// Matrices in 8 bits with one factor: x = factor * q, where the largest |q| is the format's largest number.
//
// 1. amax: PARTIALS blocks each find the largest |x| of their part. The largest does not depend on any order.
// 2. cast: every block finds the largest of the parts, and writes its tile of q, and of its transpose, from one read of x.
//    Matrix units take 8-bit operands along the sum only, so a product and its two gradients need both. Where a bound of |x|
//    is known beforehand there is no first step.
// With RELU, what is cast is max(x, 0)², which is never written in any other precision.
// amax goes through memory from its end, which the kernel before it wrote last, and cast then from its beginning, which amax read
// last; without amax before it cast goes from the end too. What the second-level cache holds is read from there.
//
// A warp reads and writes whole 128-byte lines: two rows of a tile, and four rows of its transpose. Pieces of 32 bytes would be as
// many bytes, but four times as many requests to the second-level cache.

#ifndef TX
#define TX bf16
#define E5M2 0
#endif
#ifndef RELU
#define RELU 0
#endif

#define PARTIALS 256
#define TILE 128
#define WORDS (TILE * TILE / 4)

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

// The part of a tile that a thread has: eight columns of four rows, twice. In a warp 16 threads go along a row and two down.
struct Part {
    int row0, col0; // of the tile
    int along;      // group of eight columns
    __device__ __forceinline__ Part(int cols, bool backwards) {
        int tiles = (cols + TILE - 1) / TILE, block = backwards ? gridDim.x - 1 - blockIdx.x : blockIdx.x;
        row0 = block / tiles * TILE, col0 = block % tiles * TILE, along = threadIdx.x & 15;
    }
    // Group of four rows.
    __device__ __forceinline__ int down(int half) const { return 16 * half + (threadIdx.x >> 4); }
    __device__ __forceinline__ int row(int half) const { return row0 + 4 * down(half); }
    __device__ __forceinline__ int col() const { return col0 + 8 * along; }
};

// A word of the turned tile has four rows of a column, and a column is 32 words, which lie in another order for every eight
// columns: so a warp's words are in all banks, where it writes two of each of 16 columns and where it reads four columns.
// q: four rows of eight columns.
__device__ __forceinline__ void turn(u32* tile, uint2* q, int along, int down) {
    turn_bytes(q[0].x, q[1].x, q[2].x, q[3].x);
    turn_bytes(q[0].y, q[1].y, q[2].y, q[3].y);
    u32* to = tile + 8 * along * (TILE / 4) + (down ^ 2 * along);
#pragma unroll
    for (int c = 0; c < 4; c++) to[c * (TILE / 4)] = q[c].x, to[(4 + c) * (TILE / 4)] = q[c].y;
}
// A warp writes four columns of the tile at a time: 128 bytes of each of four rows of the transpose.
__device__ __forceinline__ void store_turned(u8* turned, const u32* tile, const Part& part, int rows, int cols) {
    int lane = threadIdx.x & 31, four = lane & 7, row = part.row0 + 16 * four;
#pragma unroll
    for (int c = 4 * (threadIdx.x >> 5) + (lane >> 3); c < TILE; c += 32) {
        uint4 v = reinterpret_cast<const uint4*>(tile)[c * (TILE / 16) + (four ^ c >> 4)];
        if (c & 8) v = {v.z, v.w, v.x, v.y};
        if (part.col0 + c < cols && row < rows)
            *reinterpret_cast<uint4*>(turned + (i64)(part.col0 + c) * rows + row) = v;
    }
}

// x: rows x cols, both multiples of 16. straight: rows x cols; turned: cols x rows; either may be null. Without partials
// the largest number is `bound`, or less. backwards: from the end of x.
extern "C" __global__ void __launch_bounds__(256, sizeof(TX) == 2 ? 4 : 2)
    cast(u8* straight, u8* turned, float* factor, const float* partials, const TX* x, int rows, int cols,
         float bound, int backwards) {
    await_earlier_kernels();
    __shared__ float shared[32];
    __shared__ uint4 tile[WORDS / 4];
    const Part part(cols, backwards);
    const int col = part.col();
    Packed8<TX> held[2][4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        bool inside = part.row(half) < rows && col < cols;
#pragma unroll
        for (int r = 0; r < 4; r++)
            if (inside) held[half][r] = packed8(x + (i64)(part.row(half) + r) * cols + col);
    }
    float largest = bound;
    if (partials) largest = fmaxf(block_max(partials[threadIdx.x], shared), 1e-20f);
    float scale = LARGEST / largest;
    if (blockIdx.x == 0 && threadIdx.x == 0) *factor = largest / LARGEST;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int row = part.row(half);
        if (row >= rows || col >= cols) continue;
        uint2 q[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            F32x8 v = held[half][r].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float z = RELU ? positive(v.at[j]) : v.at[j];
                v.at[j] = RELU ? z * z * scale : z * scale;
            }
            q[r] = pack8<E5M2>(v.at);
            if (straight) *reinterpret_cast<uint2*>(straight + (i64)(row + r) * cols + col) = q[r];
        }
        if (turned) turn(reinterpret_cast<u32*>(tile), q, part.along, part.down(half));
    }
    if (!turned) return;
    __syncthreads();
    store_turned(turned, reinterpret_cast<const u32*>(tile), part, rows, cols);
}

// The gradient of squared ReLU, du = 2 max(u, 0) dh, in e5m2 both ways, and h = max(u, 0)² in e4m3, turned, which may be null:
// neither is written in any other precision. dh is a product along k of 8-bit operands with the factors of a (e5m2) and
// b (e4m3), and so |dh| <= k max|a| max|b|; with the largest h, du has a bound that no pass over it has to find. It is some 2^13
// too large, which costs e5m2 nothing: of its 32 powers of two 19 are left. It goes from the end, which the product wrote last.
extern "C" __global__ void __launch_bounds__(256, 4)
    relu_squared_gradient(u8* straight, u8* turned, float* factor, u8* h_turned, const bf16* dh, const bf16* u,
                          const float* h_factor, const float* a_factor, const float* b_factor, float k, int rows, int cols) {
    await_earlier_kernels();
    __shared__ uint4 du_tile[WORDS / 4], h_tile[WORDS / 4];
    const Part part(cols, true);
    const int col = part.col();
    float largest_dh = k * (*a_factor * LARGEST_E5M2) * (*b_factor * LARGEST_E4M3);
    float du_factor = fmaxf(2.0f * sqrtf(*h_factor * LARGEST_E4M3) * largest_dh, 1e-20f) / LARGEST_E5M2;
    float du_scale = 2.0f / du_factor, h_scale = 1.0f / *h_factor;
    if (blockIdx.x == 0 && threadIdx.x == 0) *factor = du_factor;
#pragma unroll 1
    for (int half = 0; half < 2; half++) {
        int row = part.row(half);
        if (row >= rows || col >= cols) continue;
        Packed8<bf16> dh_held[4], u_held[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            dh_held[r] = packed8(dh + (i64)(row + r) * cols + col);
            u_held[r] = packed8(u + (i64)(row + r) * cols + col);
        }
        uint2 q[4], h[4];
#pragma unroll
        for (int r = 0; r < 4; r++) {
            F32x8 d = dh_held[r].f32(), z = u_held[r].f32();
#pragma unroll
            for (int j = 0; j < 8; j++) {
                z.at[j] = positive(z.at[j]);
                d.at[j] *= z.at[j] * du_scale;
                z.at[j] = z.at[j] * z.at[j] * h_scale;
            }
            q[r] = pack8<true>(d.at);
            h[r] = pack8<false>(z.at);
            *reinterpret_cast<uint2*>(straight + (i64)(row + r) * cols + col) = q[r];
        }
        turn(reinterpret_cast<u32*>(du_tile), q, part.along, part.down(half));
        if (h_turned) turn(reinterpret_cast<u32*>(h_tile), h, part.along, part.down(half));
    }
    __syncthreads();
    store_turned(turned, reinterpret_cast<const u32*>(du_tile), part, rows, cols);
    if (h_turned) store_turned(h_turned, reinterpret_cast<const u32*>(h_tile), part, rows, cols);
}

// Any bytes as small finite numbers of either format, to time products on: the exponent's highest bit becomes zero.
extern "C" __global__ void __launch_bounds__(256) tame(u32* words, i64 n) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) words[i] &= 0xbfbfbfbfu;
}
