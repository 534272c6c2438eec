// The loss of a chunk's logits, and their gradient as e5m2 both along the columns and along the rows: two bytes read and two
// written for every logit. The gradient is in units of which the seed over the count, the largest it can be, is the format's
// largest number.
//
// A product wants its operands stored along its sum, so the gradient is needed turned too, and pieces of a turned row as long as a
// memory sector want 32 rows at once. A cluster of 16 blocks has ROUNDS times 16 rows, one round after the other: each block COLUMNS
// of all of them, each warp a row of a round.
//
// 1. A warp leaves exp(l - cap)·(r - r²) of its logits in shared memory as bf16 (cap.cuh), and gives its sum to all blocks.
// 2. It scales them to e5m2 and writes them over the beginning of its row of logits, all of which the cluster has read by then,
//    and into shared memory: a first round's beside the logits' place, the last one's over them.
// 3. Threads turn four columns of 16 rows at a time: 16 bytes of a turned row. Two neighbours have the two rounds, so that one
//    store writes whole sectors. With one round the other half of a sector is the next cluster's, which runs at the same time;
//    that costs twice the time, and is for tokens that are no multiple of 32 and rows too long for two rounds.
//
// LOW_CAP must hold. COLUMNS: a multiple of 16.

#ifndef COLUMNS
#define COLUMNS 2048
#endif

#ifndef ROUNDS
#define ROUNDS 2
#endif

#define BLOCKS 16
#define ROWS 16
#define THREADS 512
#define EIGHTS (COLUMNS / 8)
#define UNROLL 4
// Words from where a round's logits are kept to the first round's gradient: all of them, and half of the banks.
#define FIRST_ROUND (ROWS * COLUMNS / 2 + 16)

__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
}

// Writes to the same place of the shared memory of another block of the cluster.
__device__ __forceinline__ void give(float* shared, u32 rank, float x) {
    u32 to = (u32)__cvta_generic_to_shared(shared);
    asm volatile("{\n\t.reg .u32 remote;\n\tmapa.shared::cluster.u32 remote, %0, %1;\n\t"
                 "st.shared::cluster.f32 [remote], %2;\n\t}" ::"r"(to), "r"(rank), "f"(x) : "memory");
}

// Two logits' shares as e5m2 in the low half, the first in the low byte; what is too large becomes the largest.
__device__ __forceinline__ u32 narrow(u32 word, float scale) {
    u16 pair;
    asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high(word) * scale), "f"(low(word) * scale));
    return pair;
}

// logits: gridDim.x / BLOCKS * ROUNDS * ROWS rows of `width` elements, a multiple of 16 and at most BLOCKS * COLUMNS; the first
// `width` bytes of each become the gradient. turned: width x rows. Clusters go through the rows from the last to the first: the
// last were written last and are still in the L2 cache.
extern "C" __global__ void __cluster_dims__(BLOCKS, 1, 1) __launch_bounds__(THREADS, ROUNDS == 2 ? 2 : 3)
    row_losses_fp8(bf16* logits, u8* turned, float* losses, const int* targets, int vocab, int width, float softcap) {
    await_earlier_kernels();
    extern __shared__ uint4 kept[];
    __shared__ float sums[ROUNDS * ROWS * BLOCKS];
    // A block's memory can be written once it runs.
    asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, rank = blockIdx.x % BLOCKS;
    const int clusters = gridDim.x / BLOCKS, row0 = (clusters - 1 - blockIdx.x / BLOCKS) * ROUNDS * ROWS;
    const int column0 = rank * COLUMNS, columns = max(0, min(COLUMNS, width - column0)), eights = columns / 8;
    const int whole = max(0, min(columns, vocab - column0)) / 8;
    const Cap cap = {2.0f * LOG2_E / softcap, -2.0f * LOG2_E * softcap, 0.0f};
    uint4* mine = kept + warp * EIGHTS;
    u32* first_round = reinterpret_cast<u32*>(kept) + FIRST_ROUND;
#pragma unroll
    for (int round = 1; round < ROUNDS; round++) {
        // What the next round reads comes as far as the L2 cache while this one computes.
        const bf16* next = logits + (i64)(row0 + round * ROWS + warp) * width + column0;
        for (int i = 64 * lane; i < columns; i += 32 * 64) asm volatile("prefetch.global.L2 [%0];" ::"l"(next + i));
    }
#pragma unroll 1
    for (int round = 0; round < ROUNDS; round++) {
        const bool last = round == ROUNDS - 1;
        const int row = row0 + round * ROWS + warp, target = targets[row];
        const bool counts = target >= 0 && target < vocab;
        bf16* z = logits + (i64)row * width;
        const float r_target = counts ? cap.r(to_f32(z[target])) : 0.0f;
        const uint4* words = reinterpret_cast<const uint4*>(z + column0);
        float sum = 0.0f;
#pragma unroll 4
        for (int i = lane; i < whole; i += 32) mine[i] = weigh(cap, words[i], sum);
        // The last columns may be fewer than eight, and those behind them take no part.
        for (int i = whole + lane; i < eights; i += 32) mine[i] = weigh_some(cap, words[i], vocab - column0 - 8 * i, sum);
        sum = warp_sum(sum);
        if (round == 0) asm volatile("barrier.cluster.wait;" ::: "memory");
        float* row_sums = sums + (round * ROWS + warp) * BLOCKS;
        if (lane < BLOCKS) give(row_sums + rank, lane, sum);
        // From here on every block has read its part of the rows, and all sums are everywhere.
        cluster_sync();
        sum = warp_sum(lane < BLOCKS ? row_sums[lane] : 0.0f);
        if (rank == 0 && lane == 0) {
            // A target beyond the vocabulary must not pass for a number.
            float none = target < 0 ? 0.0f : __uint_as_float(0x7fffffffu);
            losses[row] = counts ? logf(sum) + 2.0f * softcap * r_target : none;
        }
        if (counts && lane == 0 && target >= column0 && target < column0 + COLUMNS)
            reinterpret_cast<bf16*>(mine)[target - column0] =
                from_f32<bf16>((cap.weight(r_target) - sum) * fmaf(-r_target, r_target, r_target));
        __syncwarp();
        const float scale = 4.0f * LARGEST_E5M2 / sum;
        uint2* straight = reinterpret_cast<uint2*>(reinterpret_cast<u8*>(z) + column0);
        uint2* eight = last ? reinterpret_cast<uint2*>(mine) : reinterpret_cast<uint2*>(first_round) + warp * EIGHTS;
        for (int first = 0; first < eights; first += 32 * UNROLL) {
            uint4 v[UNROLL];
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                int i = first + 32 * u + lane;
                v[u] = counts && i < eights ? mine[i] : uint4{0, 0, 0, 0};
            }
            // What is written lies where this turn or one before it has read.
            __syncwarp();
#pragma unroll
            for (int u = 0; u < UNROLL; u++) {
                int i = first + 32 * u + lane;
                uint2 q = {narrow(v[u].x, scale) | narrow(v[u].y, scale) << 16,
                           narrow(v[u].z, scale) | narrow(v[u].w, scale) << 16};
                if (!counts) q = {0, 0};
                if (i < eights) straight[i] = eight[i] = q;
            }
        }
    }
    __syncthreads();
    const i64 tokens = (i64)clusters * ROUNDS * ROWS;
    // Neighbouring threads have the rounds of the same columns.
    const int round = threadIdx.x % ROUNDS;
    const bool last = round == ROUNDS - 1;
    const u32* from = last ? reinterpret_cast<const u32*>(kept) : first_round;
    const int pitch = last ? COLUMNS / 2 : COLUMNS / 4;
#pragma unroll 1
    for (int q = threadIdx.x / ROUNDS; q < columns / 4; q += THREADS / ROUNDS) {
        u32 w[ROWS];
#pragma unroll
        for (int r = 0; r < ROWS; r++) w[r] = from[r * pitch + q];
#pragma unroll
        for (int r = 0; r < ROWS; r += 4) turn_bytes(w[r], w[r + 1], w[r + 2], w[r + 3]);
        u8* to = turned + (column0 + 4 * q) * tokens + row0 + ROWS * round;
#pragma unroll
        for (int c = 0; c < 4; c++) *reinterpret_cast<uint4*>(to + c * tokens) = {w[c], w[4 + c], w[8 + c], w[12 + c]};
    }
}
