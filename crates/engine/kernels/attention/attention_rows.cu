// What the backward of attention needs before and after its main kernel, row by row.
//
// attention_prepare: -delta = -sum(dy y) for every query and head, beside lse log2(e), in the order in which attention_backward reads them; clears the
// sums of dq. attention_finish: turns those sums, which lie in the order of the tensor cores' registers, into the bf16 columns of q in dqkv.
// attention_finish_rope: the same, and takes the columns of q and k on through the gradient of the RoPE and RMS norm that made them (kernels/qk_norm_rope).
// Limits: head dimension 128. CLEAR 0: the sums are left alone (attention_backward with ORDER 1, which needs no attention_finish either).
// Bytes, B 32, T 2,048, H 10: prepare reads 2 x 168 MB and writes 336 MB (CLEAR), finish reads 336 MB and writes 168 MB.

#ifndef CLEAR
#define CLEAR 1
#endif
// Whether the largest |dqkv| is wanted.
#ifndef LARGEST
#define LARGEST 0
#endif
// Heads that a block of attention_finish_rope takes in turn.
#ifndef HEADS_EACH
#define HEADS_EACH 4
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
    await_earlier_kernels();
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
        if (threadIdx.x % LANES == 0) out[ROWS_QUERIES + i * 16 + threadIdx.x / LANES] = -sum;
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
    await_earlier_kernels();
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

__device__ __forceinline__ float low_half(u32 word) {
    return __uint_as_float(word << 16);
}

__device__ __forceinline__ float high_half(u32 word) {
    return __uint_as_float(word & 0xFFFF0000u);
}

__device__ __forceinline__ void unpack(float (&to)[8], const uint4& from) {
    const u32 words[4] = {from.x, from.y, from.z, from.w};
#pragma unroll
    for (u32 i = 0; i < 4; ++i) {
        to[2 * i] = low_half(words[i]);
        to[2 * i + 1] = high_half(words[i]);
    }
}

__device__ __forceinline__ uint4 packed(const float (&from)[8]) {
    return make_uint4(pack(from[0], from[1]), pack(from[2], from[3]), pack(from[4], from[5]), pack(from[6], from[7]));
}

__device__ __forceinline__ void copy16_async(float4* shared, const float4* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(static_cast<u32>(__cvta_generic_to_shared(shared))), "l"(global) : "memory");
}

constexpr u32 FINISH_THREADS = 128;
// Rows that a block of attention_finish_rope takes: half of a block of sums.
constexpr u32 FINISH_ROWS = 32;

// The sums of 32 queries and a head, in their order but for the low bits of their places, which the group (place / 32 % 8) changes: the threads of 8 groups
// then read from different banks.
__device__ __forceinline__ void fetch_sums(float4* here, const float4* sums) {
#pragma unroll
    for (u32 half = 0; half < 2; ++half) {
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            const u32 place = threadIdx.x ^ (threadIdx.x / 32 + i % 2 * 4);
            copy16_async(here + half * 512 + i * FINISH_THREADS + place, sums + half * 1024 + i * FINISH_THREADS + threadIdx.x);
        }
    }
}

// Grid: blocks of 32 queries, sets of HEADS_EACH of the `all` heads of queries and keys, batch; 128 threads, 32 KB of shared memory. The first `heads` come
// from the sums, times `scale`; those of k, which attention_backward wrote, from dqkv; results go to dqkv. A thread has 8 columns of each half of two rows of
// a head: both elements of a rotation, and 8 neighbouring threads have the whole head. `angles`: [time, 64] pairs of cosine and sine, which the heads of a
// block share. `rstd`: [B, T, all]. With n = qkv / norm_scale, dz = rstd norm_scale (d - n mean(n d)), turned back by the angle.
extern "C" __global__ void __launch_bounds__(FINISH_THREADS, 5)
    attention_finish_rope(const float4* __restrict__ sums, uint4* dqkv, const uint4* __restrict__ qkv, const float* __restrict__ rstd,
                          const float4* __restrict__ angles, u32 time, u32 heads, u32 all, u32 width, float scale, float norm_scale,
                          u32* largest) {
    await_earlier_kernels();
    extern __shared__ float4 shared[];
    float4 *sums_here = shared, *angles_here = shared + 1024;
    const u32 batch = blockIdx.z;
    const u32 group = threadIdx.x % 8, line = threadIdx.x / 8 % 8, warp = threadIdx.x / 64;
    const u32 first = blockIdx.x * FINISH_ROWS + warp * 16 + line;  // the other row is 8 later
    const float4* of_thread = sums_here + warp * 256 + group * 32 + ((line * 4) ^ (group & 4));
    const float4* turns = angles_here + (warp * 16 + line) * 32 + group * 4;
    const u32 begin = blockIdx.y * HEADS_EACH, end = begin + HEADS_EACH < all ? begin + HEADS_EACH : all;
    const float inverse = 1.0f / (norm_scale * norm_scale * ROWS_HEAD);
    const auto sums_of = [&](u32 head) {
        return sums + static_cast<u64>((batch * heads + head) * (gridDim.x / 2) + blockIdx.x / 2) * 2048 + blockIdx.x % 2 * 512;
    };
    if (begin < heads) fetch_sums(sums_here, sums_of(begin));
#pragma unroll
    for (u32 i = 0; i < 8; ++i) {
        // The low bits of the place change with the pair of groups, item / 8 % 4.
        if (blockIdx.x * FINISH_ROWS + i * 4 + threadIdx.x / 32 < time)
            copy16_async(angles_here + i * FINISH_THREADS + (threadIdx.x ^ (threadIdx.x / 8 % 4)),
                         angles + (blockIdx.x * 8 + i) * FINISH_THREADS + threadIdx.x);
    }
    float most = 0.0f;
#pragma unroll 1
    for (u32 head = begin; head < end; ++head) {
        float d[2][2][8];  // row, half
        uint4 held[2][2];
        float factor[2];
        // In vectors of 8 columns; 8 rows are `width` of them.
        const u32 at = (batch * time + first) * (width / 8) + head * (ROWS_HEAD / 8) + group;
#pragma unroll
        for (u32 r = 0; r < 2; ++r) {
            const u32 t = first + r * 8;
            factor[r] = 0.0f;
            held[r][0] = held[r][1] = make_uint4(0, 0, 0, 0);
            if (t < time) {
                held[r][0] = qkv[at + r * width];
                held[r][1] = qkv[at + r * width + 8];
                factor[r] = rstd[(batch * time + t) * all + head] * norm_scale;
            }
        }
        uint4 keys[2][2];
        if (head >= heads) {
#pragma unroll
            for (u32 r = 0; r < 2; ++r) {
                keys[r][0] = keys[r][1] = make_uint4(0, 0, 0, 0);
                if (first + r * 8 < time) {
                    keys[r][0] = dqkv[at + r * width];
                    keys[r][1] = dqkv[at + r * width + 8];
                }
            }
        }
        wait_for_copies();
        __syncthreads();
        if (head < heads) {
#pragma unroll
            for (u32 half = 0; half < 2; ++half) {
#pragma unroll
                for (u32 q = 0; q < 4; ++q) {
                    const float4 v = of_thread[half * 512 + (q ^ (group % 4))];
                    d[0][half][2 * q] = v.x * scale;
                    d[0][half][2 * q + 1] = v.y * scale;
                    d[1][half][2 * q] = v.z * scale;
                    d[1][half][2 * q + 1] = v.w * scale;
                }
            }
        } else {
#pragma unroll
            for (u32 r = 0; r < 2; ++r) {
                unpack(d[r][0], keys[r][0]);
                unpack(d[r][1], keys[r][1]);
            }
        }
        // Those of the next head are on their way while this one is finished.
        __syncthreads();
        if (head + 1 < end && head + 1 < heads) fetch_sums(sums_here, sums_of(head + 1));
#pragma unroll
        for (u32 r = 0; r < 2; ++r) {
            const u32 t = first + r * 8;
            float p[8], q[8], dot = 0.0f;
            unpack(p, held[r][0]);
            unpack(q, held[r][1]);
#pragma unroll
            for (u32 j = 0; j < 8; ++j) dot += d[r][0][j] * p[j] + d[r][1][j] * q[j];
#pragma unroll
            for (u32 step = 4; step > 0; step /= 2) dot += __shfl_xor_sync(0xFFFFFFFFu, dot, step);
            if (t >= time) continue;
            const float pull = dot * inverse;
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                const float4 two = turns[r * 256 + (i ^ (group / 2))];
                const float cosines[2] = {two.x, two.z}, sines[2] = {two.y, two.w};
#pragma unroll
                for (u32 e = 0; e < 2; ++e) {
                    const u32 j = 2 * i + e;
                    const float u = factor[r] * (d[r][0][j] - p[j] * pull), v = factor[r] * (d[r][1][j] - q[j] * pull);
                    d[r][0][j] = u * cosines[e] - v * sines[e];
                    d[r][1][j] = v * cosines[e] + u * sines[e];
                }
            }
            dqkv[at + r * width] = packed(d[r][0]);
            dqkv[at + r * width + 8] = packed(d[r][1]);
            if (LARGEST) {
#pragma unroll
                for (u32 j = 0; j < 8; ++j) most = fmaxf(most, fmaxf(fabsf(d[r][0][j]), fabsf(d[r][1][j])));
            }
        }
    }
    if (LARGEST) hand_in_largest(largest, most, blockIdx.x + gridDim.x * blockIdx.y);
}
