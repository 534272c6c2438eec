// Positions sorted by their token, and among equal tokens by position: a stable radix sort, least significant digit first
// (Knuth, The Art of Computer Programming, volume 3, 5.2.5), in two kernels a digit.
//
// Every block owns a tile of consecutive items. `token_order_count` counts the digits of each tile; `token_order_place` finds
// where the tile's items of each digit begin from all counts, and ranks equal digits in a warp by a vote, in the items' order.
// Atomics are on integers whose sum alone is read. A token outside the vocabulary becomes `vocabulary`, and stands last.

constexpr int THREADS = 256, WARPS = 8, ROUNDS = 8, TILE = THREADS * ROUNDS;
constexpr int BITS = 9, BINS = 1 << BITS;

// Item i: (token, position), from the tokens in the first pass and from the pass before in the others.
__device__ __forceinline__ uint2 item(const int* tokens, const uint2* items, u32 vocabulary, int i) {
    if (items) return items[i];
    u32 token = (u32)tokens[i];
    return make_uint2(token < vocabulary ? token : vocabulary, (u32)i);
}

// counts[block][digit]
extern "C" __global__ void __launch_bounds__(THREADS)
    token_order_count(u32* counts, const int* tokens, const uint2* items, int vocabulary, int shift, int count) {
    await_earlier_kernels();
    __shared__ u32 bins[BINS];
    for (int i = threadIdx.x; i < BINS; i += THREADS) bins[i] = 0;
    __syncthreads();
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        int i = blockIdx.x * TILE + round * THREADS + threadIdx.x;
        if (i < count) atomicAdd(&bins[item(tokens, items, vocabulary, i).x >> shift & (BINS - 1)], 1u);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < BINS; i += THREADS) counts[blockIdx.x * BINS + i] = bins[i];
}

// Exclusive sum over the threads of the block of each one's value.
__device__ __forceinline__ u32 exclusive_sum(u32 value, u32* shared) {
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    u32 sum = value;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
        u32 before = __shfl_up_sync(0xffffffffu, sum, offset);
        if (lane >= offset) sum += before;
    }
    if (lane == 31) shared[warp] = sum;
    __syncthreads();
    u32 base = 0;
    for (int w = 0; w < warp; w++) base += shared[w];
    return base + sum - value;
}

extern "C" __global__ void __launch_bounds__(THREADS)
    token_order_place(uint2* sorted, const u32* counts, const int* tokens, const uint2* items, int vocabulary, int shift,
                      int count) {
    await_earlier_kernels();
    __shared__ u32 sums[WARPS], begin[BINS], ranks[WARPS][BINS];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int i = threadIdx.x; i < WARPS * BINS; i += THREADS) ranks[i / BINS][i % BINS] = 0;
    // Where the items of a digit begin: after all smaller digits, and after that digit in the tiles before. A thread has two
    // neighbouring digits.
    u32 total[2] = {}, before[2] = {};
    for (u32 block = 0; block < gridDim.x; block++) {
        uint2 of = reinterpret_cast<const uint2*>(counts + block * BINS)[threadIdx.x];
        total[0] += of.x, total[1] += of.y;
        if (block < blockIdx.x) before[0] += of.x, before[1] += of.y;
    }
    u32 base = exclusive_sum(total[0] + total[1], sums);
    begin[2 * threadIdx.x] = base + before[0];
    begin[2 * threadIdx.x + 1] = base + total[0] + before[1];
    __syncthreads();
    // A warp ranks its items in their order.
    uint2 held[ROUNDS];
    u32 rank[ROUNDS];
    int first = blockIdx.x * TILE + warp * 32 * ROUNDS + lane;
#pragma unroll
    for (int round = 0; round < ROUNDS; round++)
        if (first + round * 32 < count) held[round] = item(tokens, items, vocabulary, first + round * 32);
#pragma unroll
    for (int round = 0; round < ROUNDS; round++) {
        bool valid = first + round * 32 < count;
        u32 digit = valid ? held[round].x >> shift & (BINS - 1) : BINS;
        u32 same = __match_any_sync(0xffffffffu, digit);
        u32 lower = __popc(same & ((1u << lane) - 1));
        u32 seen = valid ? ranks[warp][digit] : 0;
        rank[round] = seen + lower;
        __syncwarp();
        if (valid && lower == 0) ranks[warp][digit] = seen + __popc(same);
        __syncwarp();
    }
    __syncthreads();
    for (int i = threadIdx.x; i < BINS; i += THREADS) {
        u32 sum = begin[i];
        for (int w = 0; w < WARPS; w++) {
            u32 own = ranks[w][i];
            ranks[w][i] = sum;
            sum += own;
        }
    }
    __syncthreads();
#pragma unroll
    for (int round = 0; round < ROUNDS; round++)
        if (first + round * 32 < count)
            sorted[ranks[warp][held[round].x >> shift & (BINS - 1)] + rank[round]] = held[round];
}
