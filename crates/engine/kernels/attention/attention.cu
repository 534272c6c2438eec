// Causal attention for Hopper: qkv -> y, lse; bf16 with fp32 softmax, head dimension 128.
//
//   y = softmax(q k^T / sqrt(D)) v over the keys that a query sees, lse = log sum exp of its scores
//
// Purpose: with its backward the largest piece of a training step that is not a matrix product.
// Trick: a block of threads owns 128 queries of a head; each of two consumer warpgroups keeps 64 of them to itself, with its share of y in registers. The
// next block's scores are multiplied while this block's softmax is taken, and the two warpgroups take turns in issuing products, so that one's exponentials
// run under the other's products. The next tile is no exception: its first scores are multiplied together with the last product of the tile before, whose
// result is then sent out through the place where its queries lay. A producer thread keeps two stages of k and v and two tiles of q ahead, and takes tiles
// from a counter: longest first within a section of heads, whose shortest tiles wait until all sections are done and even out what the blocks have left.
// Limits: head dimension 128; every row a multiple of 16 bytes; window < 2^30. Sequences of any length.
// Source: Dao et al., FlashAttention-2; Shah et al., FlashAttention-3 (sections 3.1 and 3.2). notes.md has maps and figures.
//
// Variants, by -D:
//   DYNAMIC  1: tiles come from a counter, 0: tile = block + grid * turn
//   TURNS    1: the warpgroups take turns in issuing products
//   LARGEST  1: the largest |y| of each warp is handed in
//   SETTLE   1: the exponentials are done before the product with v under them is waited for; 0: when the compiler likes, which is after
//   LAZY     by what power of two a score may exceed the row's reference before that is raised: while no row of a warp raises it, y need not be multiplied.
//            0: the reference is the greatest score so far; -1: that, and y is always multiplied

#ifndef LARGEST
#define LARGEST 0
#endif
#ifndef DYNAMIC
#define DYNAMIC 1
#endif
#ifndef TURNS
#define TURNS 1
#endif
#ifndef SETTLE
#define SETTLE 0
#endif
#ifndef LAZY
#define LAZY -1
#endif

constexpr u32 HEAD = 128;
constexpr u32 QUERIES = 128;  // per tile, half of them for each warpgroup
constexpr u32 KEYS = 128;     // per step
constexpr u32 SLABS = HEAD / 64;
constexpr u32 STAGES = 2;
constexpr u32 CONSUMER_WARPS = 8;
constexpr u32 NO_TILE = 0xFFFFFFFFu;

constexpr u32 KEY_SLAB = KEYS * 128;
constexpr u32 KEY_BYTES = SLABS * KEY_SLAB;
constexpr u32 QUERY_SLAB = 64 * 128;             // one warpgroup's queries, 64 columns
constexpr u32 QUERY_BYTES = SLABS * QUERY_SLAB;  // one warpgroup's queries
constexpr u32 K_AT = 0;
constexpr u32 V_AT = K_AT + STAGES * KEY_BYTES;
constexpr u32 Q_AT = V_AT + STAGES * KEY_BYTES;  // [2 tiles][2 warpgroups]
constexpr u32 BARRIERS_AT = Q_AT + 4 * QUERY_BYTES;
constexpr u32 BARRIERS = 4 * STAGES + 8;
constexpr u32 TILE_AT = BARRIERS_AT + BARRIERS * 8;
constexpr u32 SHARED_BYTES = TILE_AT + 8;  // what the launcher must ask for
static_assert(SHARED_BYTES <= 232448, "more shared memory than an sm_90 block can have");

struct Shape {
    u32 batch, time, heads, kv_heads, window;
    u32 section;  // heads (of all batches) whose tiles are walked together
    float scale;  // 1 / sqrt(D)
    u32 group;    // heads / kv_heads
    u32 blocks;   // of 128 queries: ceil(time / 128)
    u32 tiles;    // batch * heads * blocks
    u32 deferred; // shortest tiles of each head, which come after all sections
};

// One tile: 128 queries of one head, and the blocks of 128 keys that any of them sees.
struct Tile {
    u32 batch, head, block, first;  // `first` of the blocks of keys; the last is the tile's own
};

__device__ __forceinline__ Tile tile_at(const Shape& s, u32 index) {
    const u32 members = s.batch * s.heads, main = s.blocks - s.deferred;
    u32 before = 0, width = members, rank = main, within = index - members * main;
    if (index < members * main) {
        before = index / (s.section * main) * s.section;
        width = min(s.section, members - before);
        rank = 0;
        within = index - before * main;
    }
    const u32 member = before + within % width;
    rank += within / width;
    Tile t;
    t.batch = member / s.heads;
    t.head = member % s.heads;
    t.block = s.blocks - 1 - rank;
    t.first = t.block * QUERIES > s.window ? (t.block * QUERIES - s.window) / KEYS : 0;
    return t;
}

struct Shared {
    u32 base;
    __device__ __forceinline__ u32 barrier(u32 i) const { return base + BARRIERS_AT + i * 8; }
    __device__ __forceinline__ u32 k_full(u32 s) const { return barrier(s); }
    __device__ __forceinline__ u32 k_empty(u32 s) const { return barrier(STAGES + s); }
    __device__ __forceinline__ u32 v_full(u32 s) const { return barrier(2 * STAGES + s); }
    __device__ __forceinline__ u32 v_empty(u32 s) const { return barrier(3 * STAGES + s); }
    __device__ __forceinline__ u32 q_full(u32 slot, u32 warpgroup) const { return barrier(4 * STAGES + slot * 2 + warpgroup); }
    __device__ __forceinline__ u32 q_empty(u32 slot, u32 warpgroup) const { return barrier(4 * STAGES + 4 + slot * 2 + warpgroup); }
    __device__ __forceinline__ u32 tile(u32 slot) const { return base + TILE_AT + slot * 4; }
    __device__ __forceinline__ u32 queries(u32 slot, u32 warpgroup) const { return base + Q_AT + (slot * 2 + warpgroup) * QUERY_BYTES; }
};

// ---- producer ------------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void produce(const Shared& s, const TensorMap* queries, const TensorMap* keys, const Shape& shape, u32* counter) {
    u32 step = 0;
    u32 index = blockIdx.x;
    for (u32 turn = 0;; ++turn) {
        const u32 slot = turn % 2, parity = ((turn / 2) & 1) ^ 1;  // a fresh barrier lets a wait for the odd parity pass
        barrier_wait(s.q_empty(slot, 0), parity);
        barrier_wait(s.q_empty(slot, 1), parity);
        write_shared(s.tile(slot), index < shape.tiles ? index : NO_TILE);
        if (index >= shape.tiles) {
            barrier_arrive(s.q_full(slot, 0));
            barrier_arrive(s.q_full(slot, 1));
            break;
        }
        const Tile t = tile_at(shape, index);
#pragma unroll
        for (u32 w = 0; w < 2; ++w) {
            barrier_expect(s.q_full(slot, w), QUERY_BYTES);
#pragma unroll
            for (u32 i = 0; i < SLABS; ++i)
                load_box(s.queries(slot, w) + i * QUERY_SLAB, queries, s.q_full(slot, w), t.head * HEAD + i * 64, t.block * QUERIES + w * 64, t.batch);
        }
        const u32 k_column = (shape.heads + t.head / shape.group) * HEAD, v_column = k_column + shape.kv_heads * HEAD;
        for (u32 left = t.block - t.first + 1; left != 0; --left, ++step) {
            const u32 key = (t.first + left - 1) * KEYS;
            const u32 stage = step % STAGES, free = ((step / STAGES) & 1) ^ 1;
            barrier_wait(s.k_empty(stage), free);
            barrier_expect(s.k_full(stage), KEY_BYTES);
#pragma unroll
            for (u32 i = 0; i < SLABS; ++i)
                load_box(s.base + K_AT + stage * KEY_BYTES + i * KEY_SLAB, keys, s.k_full(stage), k_column + i * 64, key, t.batch);
            barrier_wait(s.v_empty(stage), free);
            barrier_expect(s.v_full(stage), KEY_BYTES);
#pragma unroll
            for (u32 i = 0; i < SLABS; ++i)
                load_box(s.base + V_AT + stage * KEY_BYTES + i * KEY_SLAB, keys, s.v_full(stage), v_column + i * 64, key, t.batch);
        }
        index = DYNAMIC ? gridDim.x + atomicAdd(counter, 1) : index + gridDim.x;
    }
    // The last block to get here leaves the counter at zero for the next launch.
    if (DYNAMIC && atomicInc(counter + 1, gridDim.x - 1) == gridDim.x - 1) *counter = 0;
}

// ---- consumer ------------------------------------------------------------------------------------------------------------------------

struct Consumer {
    u32 warp, lane, warpgroup;
    u32 step, turn;           // blocks of keys, and tiles, over all tiles: stages and parities follow from them
    float y[64];
    u32 p16[32];              // p of the block whose product with v is due
    float top[2], sum[2];     // of rows lane / 4 and + 8: greatest score, and this thread's share of the sum of exponentials
};

// sc[64 queries x 128 keys] = q k^T for the block of `step`, with the queries of tile `turn`.
__device__ __forceinline__ void start_scores(const Shared& s, const Consumer& c, float (&sc)[64], u32 step, u32 turn) {
    const u32 stage = step % STAGES;
    barrier_wait(s.k_full(stage), (step / STAGES) & 1);
    const u32 q = descriptor(s.queries(turn % 2, c.warpgroup)), k = descriptor(s.base + K_AT + stage * KEY_BYTES);
    wgmma_fence();
    wgmma_new<0, 0>(sc, q, 0, k, 0);
#pragma unroll
    for (u32 i = 1; i < HEAD / 16; ++i) wgmma<0, 0>(sc, q, (i / 4) * (QUERY_SLAB >> 4) + (i % 4) * 2, k, (i / 4) * (KEY_SLAB >> 4) + (i % 4) * 2);
    wgmma_commit();
}

// y += p v for the block of c.step.
__device__ __forceinline__ void start_values(const Shared& s, Consumer& c) {
    const u32 stage = c.step % STAGES;
    barrier_wait(s.v_full(stage), (c.step / STAGES) & 1);
    const u32 v = descriptor(s.base + V_AT + stage * KEY_BYTES, KEY_SLAB);
    wgmma_fence();
#pragma unroll
    for (u32 i = 0; i < KEYS / 16; ++i) wgmma<1>(c.y, c.p16 + 4 * i, v, i * (2048 >> 4));
    wgmma_commit();
}

__device__ __forceinline__ void take_turn(const Consumer& c) {
    if (TURNS) named_sync(1 + c.warpgroup, 256);
}

__device__ __forceinline__ void give_turn(const Consumer& c) {
    if (TURNS) named_arrive(2 - c.warpgroup, 256);
}

// Key s is seen by query t iff 0 <= t - s <= window: one unsigned comparison.
__device__ __forceinline__ void mask(const Consumer& c, const Shape& shape, float (&sc)[64], u32 first_query, u32 first_key) {
    if (first_key + KEYS - 1 <= first_query && first_query + 63 - first_key <= shape.window) return;
    const u32 ahead = first_query + (c.warp % 4) * 16 + c.lane / 4 - first_key - (c.lane % 4) * 2;
#pragma unroll
    for (u32 e = 0; e < 64; ++e)
        if (ahead + (e % 4 / 2) * 8 - (e / 4) * 8 - (e % 2) > shape.window) sc[e] = -infinity();
}

// sc becomes exp(score - top); `shrink` is what was summed before must be multiplied by.
__device__ __forceinline__ void soften(Consumer& c, float (&sc)[64], float scale_log2, float (&shrink)[2]) {
#pragma unroll
    for (u32 r = 0; r < 2; ++r) {
        float top = fmaxf(sc[2 * r], sc[2 * r + 1]);
#pragma unroll
        for (u32 j = 1; j < 16; ++j) top = fmaxf(top, fmaxf(sc[4 * j + 2 * r], sc[4 * j + 2 * r + 1]));
        top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 1));
        top = fmaxf(top, __shfl_xor_sync(0xFFFFFFFFu, top, 2));
        top = fmaxf(top, c.top[r]);
        if (LAZY > 0 && (top - c.top[r]) * scale_log2 <= LAZY) top = c.top[r];
        shrink[r] = exp2_approx((c.top[r] - top) * scale_log2);
        c.top[r] = top;
        const float offset = -top * scale_log2;
        float sum = 0.0f;
#pragma unroll
        for (u32 j = 0; j < 16; ++j) {
            float* p = sc + 4 * j + 2 * r;
            p[0] = exp2_approx(fmaf(p[0], scale_log2, offset));
            p[1] = exp2_approx(fmaf(p[1], scale_log2, offset));
            sum += p[0] + p[1];
        }
        c.sum[r] = c.sum[r] * shrink[r] + sum;
    }
}

// The exponentials are known before what follows is done: the branch, which is never taken, needs their sums, which are not negative. The compiler otherwise
// draws the next wait for products up to before them, and nothing of this warpgroup would be in flight under them.
__device__ __forceinline__ void settle(const Consumer& c) {
    if (fminf(c.sum[0], c.sum[1]) < 0.0f) asm volatile("nanosleep.u32 0;" ::: "memory");
}

__device__ __forceinline__ void keep_packed(Consumer& c, const float (&sc)[64]) {
#pragma unroll
    for (u32 i = 0; i < 32; ++i) c.p16[i] = pack(sc[2 * i], sc[2 * i + 1]);
    pin(c.p16);  // computed here, not between the next products
}

__device__ __forceinline__ void begin_tile(Consumer& c) {
#pragma unroll
    for (u32 i = 0; i < 64; ++i) c.y[i] = 0.0f;
    c.top[0] = c.top[1] = -infinity();
    c.sum[0] = c.sum[1] = 0.0f;
}

// Sends the warp's 16 rows of y out through the place of its queries, and their lse.
__device__ __forceinline__ void end_tile(const Shared& s, Consumer& c, const Shape& shape, const Tile& t, const TensorMap* out, float* lse,
                                         u32* largest) {
    const u32 row = t.block * QUERIES + c.warp * 16;
    float invert[2];
#pragma unroll
    for (u32 r = 0; r < 2; ++r) {
        float sum = c.sum[r];
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
        sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 2);
        invert[r] = 1.0f / sum;
        const u32 time = row + c.lane / 4 + r * 8;
        if (c.lane % 4 == 0 && time < shape.time)
            lse[static_cast<u64>(t.batch * shape.heads + t.head) * shape.time + time] = c.top[r] * shape.scale + __log2f(sum) * LN_2;
    }
    if (LARGEST) {
        float most = 0.0f;
#pragma unroll
        for (u32 r = 0; r < 2; ++r) {
            float of_row = 0.0f;
#pragma unroll
            for (u32 i = 2 * r; i < 64; i += 4) of_row = fmaxf(of_row, fmaxf(fabsf(c.y[i]), fabsf(c.y[i + 1])));
            if (row + c.lane / 4 + r * 8 < shape.time) most = fmaxf(most, of_row * invert[r]);
        }
        hand_in_largest(largest, most, blockIdx.x + gridDim.x * c.turn);
    }
    named_sync(3 + c.warpgroup, 128);  // no warp of the group still reads the queries
    const u32 place = s.queries(c.turn % 2, c.warpgroup) + c.warp % 4 * (16 * 128);
#pragma unroll
    for (u32 box = 0; box < SLABS; ++box) {
        const u32 line = swizzled_line(place + box * QUERY_SLAB, c.lane);
#pragma unroll
        for (u32 pair = 0; pair < 4; ++pair) {
            const u32 i = (box * 8 + pair * 2) * 4;
            store_block(line, pair, pack(c.y[i] * invert[0], c.y[i + 1] * invert[0]), pack(c.y[i + 2] * invert[1], c.y[i + 3] * invert[1]),
                        pack(c.y[i + 4] * invert[0], c.y[i + 5] * invert[0]), pack(c.y[i + 6] * invert[1], c.y[i + 7] * invert[1]));
        }
    }
    fence_async();
    __syncwarp();
    if (c.lane == 0) {
#pragma unroll
        for (u32 box = 0; box < SLABS; ++box) store_box(out, place + box * QUERY_SLAB, t.head * HEAD + box * 64, row, t.batch);
        commit_stores();
    }
}

__device__ __forceinline__ void consume(const Shared& s, const TensorMap* out, const Shape& shape, float* lse, u32* largest) {
    Consumer c;
    c.warp = threadIdx.x / 32 - 4;
    c.lane = threadIdx.x % 32;
    c.warpgroup = __shfl_sync(0xFFFFFFFFu, c.warp / 4, 0);
    c.step = c.turn = 0;
    const float scale_log2 = shape.scale * LOG2_E;
    if (TURNS && c.warpgroup == 1) named_arrive(1, 256);

    barrier_wait(s.q_full(0, c.warpgroup), 0);
    u32 index = read_shared(s.tile(0));
    Tile t = tile_at(shape, index);  // a grid is never larger than the number of tiles
    u32 block = t.block;
    {
        float sc[64], shrink[2];
        start_scores(s, c, sc, 0, 0);
        wgmma_wait<0>();
        pin(sc);
        warp_arrive(s.k_empty(0), c.lane);
        begin_tile(c);
        mask(c, shape, sc, t.block * QUERIES + c.warpgroup * 64, block * KEYS);
        soften(c, sc, scale_log2, shrink);
        keep_packed(c, sc);
    }
    for (;;) {
        for (; block != t.first; ++c.step) {
            float sc[64], shrink[2];
            --block;
            take_turn(c);
            start_scores(s, c, sc, c.step + 1, c.turn);
            start_values(s, c);
            give_turn(c);
            wgmma_wait<1>();
            pin(sc);
            warp_arrive(s.k_empty((c.step + 1) % STAGES), c.lane);
            mask(c, shape, sc, t.block * QUERIES + c.warpgroup * 64, block * KEYS);
            soften(c, sc, scale_log2, shrink);
            if (SETTLE) settle(c);
            wgmma_wait<0>();
            pin(c.y);
            warp_arrive(s.v_empty(c.step % STAGES), c.lane);
            if (LAZY < 0 || __any_sync(0xFFFFFFFFu, shrink[0] != 1.0f || shrink[1] != 1.0f)) {
#pragma unroll
                for (u32 i = 0; i < 64; ++i) c.y[i] *= shrink[i % 4 / 2];
            }
            keep_packed(c, sc);
        }
        barrier_wait(s.q_full((c.turn + 1) % 2, c.warpgroup), ((c.turn + 1) / 2) & 1);
        index = read_shared(s.tile((c.turn + 1) % 2));
        if (index == NO_TILE) break;
        float sc[64], shrink[2];
        take_turn(c);
        start_scores(s, c, sc, c.step + 1, c.turn + 1);
        start_values(s, c);
        give_turn(c);
        wgmma_wait<0>();
        pin(sc);
        pin(c.y);
        warp_arrive(s.k_empty((c.step + 1) % STAGES), c.lane);
        warp_arrive(s.v_empty(c.step % STAGES), c.lane);
        end_tile(s, c, shape, t, out, lse, largest);
        t = tile_at(shape, index);
        block = t.block;
        begin_tile(c);
        mask(c, shape, sc, t.block * QUERIES + c.warpgroup * 64, block * KEYS);
        soften(c, sc, scale_log2, shrink);
        keep_packed(c, sc);
        if (c.lane == 0) {
            wait_stores_read<0>();
            barrier_arrive(s.q_empty(c.turn % 2, c.warpgroup));
        }
        __syncwarp();
        ++c.step;
        ++c.turn;
    }
    take_turn(c);
    start_values(s, c);
    if (c.warpgroup == 0) give_turn(c);  // nobody waits for the other's last turn
    wgmma_wait<0>();
    pin(c.y);
    end_tile(s, c, shape, t, out, lse, largest);
    if (c.lane == 0) wait_stores_read<0>();  // shared memory must outlive the stores
}

// ---- kernel --------------------------------------------------------------------------------------------------------------------------

// Grid: min(tiles, SMs) blocks of 384 threads. `counter`: two words, zero before the first launch. Maps: notes.md.
extern "C" __global__ void __launch_bounds__(384, 1)
    attention(const __grid_constant__ TensorMap queries, const __grid_constant__ TensorMap keys, const __grid_constant__ TensorMap out, const Shape shape,
              float* lse, u32* counter, u32* largest) {
    await_earlier_kernels();
    // The swizzle pattern repeats every 1,024 bytes. Dynamic shared memory starts at such a place, and a base known to the compiler saves registers.
    extern __shared__ __align__(1024) unsigned char raw[];
    const Shared s = {shared_address(raw)};
    if (threadIdx.x == 0) {
        if (s.base % 1024 != 0) __trap();
        for (u32 i = 0; i < STAGES; ++i) {
            barrier_init(s.k_full(i), 1);
            barrier_init(s.k_empty(i), CONSUMER_WARPS);
            barrier_init(s.v_full(i), 1);
            barrier_init(s.v_empty(i), CONSUMER_WARPS);
        }
        for (u32 i = 0; i < 4; ++i) {
            barrier_init(s.q_full(i / 2, i % 2), 1);
            barrier_init(s.q_empty(i / 2, i % 2), CONSUMER_WARPS / 2);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        prefetch_map(&queries);
        prefetch_map(&keys);
        prefetch_map(&out);
    }
    __syncthreads();

    if (threadIdx.x < WARPGROUP) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x == 0) produce(s, &queries, &keys, shape, counter);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        consume(s, &out, shape, lse, largest);
    }
}
