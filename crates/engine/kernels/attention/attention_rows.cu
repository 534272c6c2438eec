// What the backward of attention needs before and after its main kernel, row by row.
//
// attention_prepare: delta = sum(dy y) for every query and head, beside lse log2(e), in the order in which attention_backward reads them; clears the
// sums of dq. attention_finish: turns those sums, which lie in the order of the tensor cores' registers, into the bf16 columns of q in dqkv.
// Limits: head dimension 128. CLEAR 0: the sums are left alone (attention_backward with ORDER 1, which needs no attention_finish either).
// Bytes, B 32, T 2,048, H 10: prepare reads 2 x 168 MB and writes 336 MB (CLEAR), finish reads 336 MB and writes 168 MB.

#ifndef CLEAR
#define CLEAR 1
#endif

constexpr u32 ROWS_HEAD = 128;
constexpr u32 ROWS_QUERIES = 64;

__device__ __forceinline__ float dot_packed(u32 a, u32 b) {
    return __uint_as_float(a << 16) * __uint_as_float(b << 16) + __uint_as_float(a & 0xFFFF0000u) * __uint_as_float(b & 0xFFFF0000u);
}

// Grid: blocks of 64 queries (an even number), heads, batch; 256 threads. rows: [B, H, blocks, 2, 64]; sums: [B, H, blocks, 8192].
extern "C" __global__ void __launch_bounds__(256)
    attention_prepare(const uint4* __restrict__ dy, const uint4* __restrict__ y, const float* __restrict__ lse, float* __restrict__ rows,
                      float4* __restrict__ sums, u32 time) {
    constexpr u32 LANES = ROWS_HEAD / 8;  // threads of a row, 16 bytes each
    const u32 heads = gridDim.y, head = blockIdx.y, batch = blockIdx.z;
    const u64 block = static_cast<u64>(batch * heads + head) * gridDim.x + blockIdx.x;
    uint4 a[4], b[4];
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        const u32 t = blockIdx.x * ROWS_QUERIES + i * 16 + threadIdx.x / LANES;
        a[i] = b[i] = make_uint4(0, 0, 0, 0);
        if (t < time) {
            const u64 at = ((static_cast<u64>(batch) * time + t) * heads + head) * LANES + threadIdx.x % LANES;
            a[i] = dy[at];
            b[i] = y[at];
        }
    }
    if (CLEAR) {
#pragma unroll
        for (u32 i = 0; i < 8; ++i) sums[block * 2048 + i * 256 + threadIdx.x] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    }
    float* out = rows + block * (2 * ROWS_QUERIES);
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        float sum = dot_packed(a[i].x, b[i].x) + dot_packed(a[i].y, b[i].y) + dot_packed(a[i].z, b[i].z) + dot_packed(a[i].w, b[i].w);
#pragma unroll
        for (u32 step = LANES / 2; step > 0; step /= 2) sum += __shfl_xor_sync(0xFFFFFFFFu, sum, step);
        if (threadIdx.x % LANES == 0) out[ROWS_QUERIES + i * 16 + threadIdx.x / LANES] = sum;
    }
    if (threadIdx.x < ROWS_QUERIES) {
        const u32 t = blockIdx.x * ROWS_QUERIES + threadIdx.x;
        // Past the end: p = exp2(0 - infinity) = 0.
        out[threadIdx.x] = t < time ? lse[static_cast<u64>(batch * heads + head) * time + t] * LOG2_E : infinity();
    }
}

// Grid as above. Sums of a block: [2 halves of the columns][4 warps of 16 rows][8 groups of 8 columns][32 lanes][4]; lane l holds, of its group, columns
// 2 (l % 4) and + 1 of rows l / 4 and l / 4 + 8.
extern "C" __global__ void __launch_bounds__(256)
    attention_finish(const float4* __restrict__ sums, uint4* __restrict__ dqkv, u32 time, u32 width, float scale) {
    const u32 heads = gridDim.y, head = blockIdx.y, batch = blockIdx.z;
    const u64 block = static_cast<u64>(batch * heads + head) * gridDim.x + blockIdx.x;
    float4 v[2][4];
#pragma unroll
    for (u32 i = 0; i < 2; ++i) {
        const u32 item = i * 256 + threadIdx.x;  // (half, warp), row, group: groups fastest, so that rows of dq are written whole
        const u64 at = block * 2048 + (item / 64 * 8 + item % 8) * 32 + item / 8 % 8 * 4;
#pragma unroll
        for (u32 q = 0; q < 4; ++q) v[i][q] = __ldcs(sums + at + q);
    }
#pragma unroll
    for (u32 i = 0; i < 2; ++i) {
        const u32 item = i * 256 + threadIdx.x;
        const u32 t = blockIdx.x * ROWS_QUERIES + item / 64 % 4 * 16 + item / 8 % 8;
        const u64 at = ((static_cast<u64>(batch) * time + t) * width + head * ROWS_HEAD + item / 256 * 64 + item % 8 * 8) / 8;
        const u64 eight_rows = static_cast<u64>(width);
        if (t < time)
            dqkv[at] = make_uint4(pack(v[i][0].x * scale, v[i][0].y * scale), pack(v[i][1].x * scale, v[i][1].y * scale),
                                  pack(v[i][2].x * scale, v[i][2].y * scale), pack(v[i][3].x * scale, v[i][3].y * scale));
        if (t + 8 < time)
            dqkv[at + eight_rows] = make_uint4(pack(v[i][0].z * scale, v[i][0].w * scale), pack(v[i][1].z * scale, v[i][1].w * scale),
                                               pack(v[i][2].z * scale, v[i][2].w * scale), pack(v[i][3].z * scale, v[i][3].w * scale));
    }
}
