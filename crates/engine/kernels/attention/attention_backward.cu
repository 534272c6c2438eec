// Backward of causal attention for Hopper: (dy, qkv, y, lse) -> dqkv, bf16 with fp32 sums, head dimension 128.
//
//   p = exp(q k^T / sqrt(D) - lse)      dv = p^T dy      dp = dy v^T      ds = p (dp - delta), delta = sum(dy y)
//   dk = ds^T q / sqrt(D)               dq = ds k / sqrt(D)
//
// Purpose: the largest piece of a training step that is not a matrix product.
// Trick: a block of threads owns 128 keys of one key/value head and walks the queries that see them, 64 at a time. Each of two consumer warpgroups owns
// 64 of the keys and forms the transposes k q^T and v dy^T, so that p^T and ds^T come out of wgmma in the very registers from which the next wgmma takes
// its left operand: only ds goes through shared memory, for dq. The product for dq lags one step behind, so that a warpgroup seldom waits for the other's ds
// and always has products in flight under its exponentials. dq is summed in fp32 in global memory, in the order of the accumulators' registers.
// A producer thread keeps two stages of q and dy ahead; another loads the next tile's k and v while this one is walked, into the place through which the dk
// and dv of the tile before went out, and takes tiles from a counter: longest first within a section of heads, whose shortest tiles wait until all sections
// are done and even out what the blocks have left.
// On the diagonal the second 64 keys lie behind all queries of the first step, and at the window's far edge the first 64 before all of the last: their
// warpgroup passes, with zeros for ds. The warpgroups change places with each tile, so that both get ahead in turn.
// ORDER 0: sums of dq arrive in any order; `attention_prepare` clears them and `attention_finish` turns them into bf16.
// ORDER 1: deterministic. The key blocks of one query block add in a fixed order (from the diagonal back), each waiting for its turn; the first
// writes, the last converts, so nothing need be cleared or converted by other kernels. Tiles go shortest first: a tile waits only for earlier ones.
// Limits: head dimension 128; every row a multiple of 16 bytes; window < 2^30. Sequences of any length.
// Source: Dao et al., FlashAttention (algorithm 4) and FlashAttention-2; Shah et al., FlashAttention-3 (scheduling). notes.md has maps and figures.
//
// Variants, by -D:
//   ORDER    see above
//   SUMS     how dq is added with ORDER 0: 0 vector reductions from registers, 2 not at all (to time the rest)
//   DYNAMIC  1: tiles come from a counter, 0: tile = block + grid * turn
//   KEYS_FIRST  1: dk before dq: more time for the other warpgroup's ds to arrive, but dq is known later
//   EARLY    1: the next step's k q^T is issued before dq is waited for; 2: before dq is added; 0: after that
//   SETTLE   1: the exponentials are done before dp is waited for; 0: when the compiler likes, which is after
//   DELTA_FIRST  1: the sums of dp begin at -delta, so that nothing is left to subtract (with ORDER 1 ptxas then makes wgmma wait for each other)
//   EVERY_LANE  1: every lane says itself that it has read a step's rows, where else one does for its warp: for race checkers, which do not see that
//               lanes of a warp are ordered among themselves

#ifndef ORDER
#define ORDER 0
#endif
// Whether the largest |dv| is wanted.
#ifndef LARGEST
#define LARGEST 0
#endif
#ifndef SUMS
#define SUMS 0
#endif
#ifndef DYNAMIC
#define DYNAMIC 1
#endif
#ifndef KEYS_FIRST
#define KEYS_FIRST 0
#endif
#ifndef EARLY
#define EARLY 0
#endif
#ifndef SETTLE
#define SETTLE 0
#endif
#ifndef DELTA_FIRST
#define DELTA_FIRST (ORDER == 0)
#endif
#ifndef EVERY_LANE
#define EVERY_LANE 0
#endif

constexpr u32 HEAD = 128;
constexpr u32 KEYS = 128;     // per tile
constexpr u32 QUERIES = 64;   // per step
constexpr u32 SLABS = HEAD / 64;
constexpr u32 CONSUMER_WARPS = 8;
constexpr u32 STAGES = 2;
constexpr u32 NO_TILE = 0xFFFFFFFFu;

constexpr u32 KEY_SLAB = KEYS * 128;         // 128 keys of 64 columns
constexpr u32 KEY_BYTES = SLABS * KEY_SLAB;  // k or v
constexpr u32 QUERY_SLAB = QUERIES * 128;
constexpr u32 QUERY_BYTES = SLABS * QUERY_SLAB;  // q or dy
constexpr u32 DS_BYTES = KEYS * 128;             // ds^T: 128 keys of 64 queries
constexpr u32 ROW_BYTES = 2 * QUERIES * 4;       // lse and delta of a step
constexpr u32 WARP_SUMS = 16 * 64;               // fp32 sums of dq that one warp holds: 16 queries, 64 columns
constexpr u32 STEP_SUMS = QUERIES * HEAD;
constexpr u32 BOX_BYTES = 16 * 128;

constexpr u32 Q_AT = 2 * 2 * KEY_BYTES;  // behind k and v of two tiles
constexpr u32 DY_AT = Q_AT + STAGES * QUERY_BYTES;
constexpr u32 DS_AT = DY_AT + STAGES * QUERY_BYTES;
constexpr u32 ROWS_AT = DS_AT + 2 * DS_BYTES;
constexpr u32 BARRIERS_AT = ROWS_AT + STAGES * ROW_BYTES;
constexpr u32 BARRIERS = 8 + 4 * STAGES;
constexpr u32 NAMES_AT = BARRIERS_AT + BARRIERS * 8;
constexpr u32 SHARED_BYTES = NAMES_AT + 2 * 16;  // what the launcher must ask for
static_assert(SHARED_BYTES <= 232448, "more shared memory than an sm_90 block can have");

struct Shape {
    u32 batch, time, heads, kv_heads, window;
    u32 section;        // key/value heads (of all batches) whose tiles are walked together
    float scale;        // 1 / sqrt(D)
    u32 group;          // heads / kv_heads
    u32 key_blocks;     // of 128: ceil(time / 128)
    u32 query_blocks;   // of 64: 2 key_blocks, so that every tile has at least two steps
    u32 tiles;          // batch * kv_heads * key_blocks
    u32 deferred;       // last tiles of each head, which come after all sections
};

// `rows`: [B, H, query blocks, 2, 64] fp32, lse times log2(e) and -delta. `sums`: [B, H, query blocks, 8 warps, 8, 32 lanes, 4] fp32.
// `turns`: [B, H, query blocks, 8] words, zero before the first launch (ORDER 1). `counter`: two words, zero before the first launch.
struct Buffers {
    const float* rows;
    float* sums;
    u32* turns;
    u32* counter;
    unsigned short* dqkv;
    u32* largest;
};

// One tile: 128 keys of one key/value head, and the blocks of 64 queries that see any of them.
struct Tile {
    u32 batch, kv, block, first, last;
};

__device__ __forceinline__ Tile tile_at(const Shape& s, u32 index) {
    const u32 members = s.batch * s.kv_heads, main = s.key_blocks - s.deferred;
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
    t.batch = member / s.kv_heads;
    t.kv = member % s.kv_heads;
    t.block = ORDER ? s.key_blocks - 1 - rank : rank;
    t.first = t.block * (KEYS / QUERIES);
    t.last = min(s.query_blocks - 1, (t.block * KEYS + KEYS - 1 + s.window) / QUERIES);
    return t;
}

struct Shared {
    u32 base;
    __device__ __forceinline__ u32 barrier(u32 i) const { return base + BARRIERS_AT + i * 8; }
    __device__ __forceinline__ u32 kv_full(u32 place) const { return barrier(place); }
    __device__ __forceinline__ u32 kv_empty(u32 place) const { return barrier(2 + place); }
    __device__ __forceinline__ u32 ds_full() const { return barrier(4); }
    __device__ __forceinline__ u32 named(u32 place) const { return barrier(5 + place); }
    __device__ __forceinline__ u32 wanted() const { return barrier(7); }
    __device__ __forceinline__ u32 q_full(u32 s) const { return barrier(8 + s); }
    __device__ __forceinline__ u32 q_empty(u32 s) const { return barrier(8 + STAGES + s); }
    __device__ __forceinline__ u32 dy_full(u32 s) const { return barrier(8 + 2 * STAGES + s); }
    __device__ __forceinline__ u32 dy_empty(u32 s) const { return barrier(8 + 3 * STAGES + s); }
    __device__ __forceinline__ u32 name(u32 place) const { return base + NAMES_AT + place * 16; }
    __device__ __forceinline__ u32 keys(u32 place) const { return base + place * (2 * KEY_BYTES); }
};

// The tile that a producer named; no tile: its block is NO_TILE.
__device__ __forceinline__ Tile tile_named(u32 name) {
    Tile t;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(t.batch), "=r"(t.kv), "=r"(t.block), "=r"(t.last) : "r"(name) : "memory");
    t.first = t.block * (KEYS / QUERIES);
    return t;
}

// ---- producers ------------------------------------------------------------------------------------------------------------------------

// One thread: claims tiles, names them to all others, and loads their k and v as soon as the place is left.
__device__ __forceinline__ void produce_keys(const Shared& s, const TensorMap* keys, const Shape& shape, u32* counter) {
    u32 index = blockIdx.x;
    for (u32 turn = 0;; ++turn) {
        const u32 place = turn % 2;
        if (turn != 0) {
            barrier_wait(s.wanted(), (turn - 1) & 1);
            index = DYNAMIC ? gridDim.x + atomicAdd(counter, 1) : index + gridDim.x;
        }
        const Tile t = tile_at(shape, index);
        // The tile that had this name's place before is done: steps of the one between them are on their way.
        write_shared(s.name(place), t.batch);
        write_shared(s.name(place) + 4, t.kv);
        write_shared(s.name(place) + 8, index < shape.tiles ? t.block : NO_TILE);
        write_shared(s.name(place) + 12, t.last);
        barrier_arrive(s.named(place));
        barrier_wait(s.kv_empty(place), ((turn / 2) & 1) ^ 1);  // a fresh barrier lets a wait for the odd parity pass
        if (index >= shape.tiles) {
            barrier_arrive(s.kv_full(place));
            break;
        }
        barrier_expect(s.kv_full(place), 2 * KEY_BYTES);
#pragma unroll
        for (u32 i = 0; i < SLABS; ++i) {
            load_box(s.keys(place) + i * KEY_SLAB, keys, s.kv_full(place), (shape.heads + t.kv) * HEAD + i * 64, t.block * KEYS, t.batch);
            load_box(s.keys(place) + KEY_BYTES + i * KEY_SLAB, keys, s.kv_full(place), (shape.heads + shape.kv_heads + t.kv) * HEAD + i * 64, t.block * KEYS,
                     t.batch);
        }
    }
    // The last block to get here leaves the counter at zero for the next launch.
    if (DYNAMIC && atomicInc(counter + 1, gridDim.x - 1) == gridDim.x - 1) *counter = 0;
}

// Another thread: loads q, dy and their rows' figures, step by step.
__device__ __forceinline__ void produce_steps(const Shared& s, const TensorMap* queries, const TensorMap* dy, const Shape& shape, const float* rows) {
    u32 step = 0;
    for (u32 turn = 0;; ++turn) {
        barrier_wait(s.named(turn % 2), (turn / 2) & 1);
        const Tile t = tile_named(s.name(turn % 2));
        if (t.block == NO_TILE) break;
        const u32 steps = shape.group * (t.last - t.first + 1);
        // The next tile is wanted late, so that tiles go to whoever is free, but early enough for its k and v to be there in time, and not before this
        // tile's second step is on its way.
        const u32 wanting = min(steps - 1, 3);
        u32 head = t.kv * shape.group, m = t.first;
#pragma unroll 1
        for (u32 left = steps; left != 0; --left, ++step) {
            const u32 slot = step % STAGES, parity = ((step / STAGES) & 1) ^ 1;
            const u32 block = (t.batch * shape.heads + head) * shape.query_blocks + m;
            barrier_wait(s.q_empty(slot), parity);
            barrier_expect(s.q_full(slot), QUERY_BYTES + ROW_BYTES);
#pragma unroll
            for (u32 i = 0; i < SLABS; ++i)
                load_box(s.base + Q_AT + slot * QUERY_BYTES + i * QUERY_SLAB, queries, s.q_full(slot), head * HEAD + i * 64, m * QUERIES, t.batch);
            load_bytes(s.base + ROWS_AT + slot * ROW_BYTES, rows + static_cast<u64>(block) * (2 * QUERIES), ROW_BYTES, s.q_full(slot));
            barrier_wait(s.dy_empty(slot), parity);
            barrier_expect(s.dy_full(slot), QUERY_BYTES);
#pragma unroll
            for (u32 i = 0; i < SLABS; ++i)
                load_box(s.base + DY_AT + slot * QUERY_BYTES + i * QUERY_SLAB, dy, s.dy_full(slot), head * HEAD + i * 64, m * QUERIES, t.batch);
            if (++m > t.last) {
                m = t.first;
                ++head;
            }
            if (left == wanting) barrier_arrive(s.wanted());
        }
    }
}

// ---- products of a step ----------------------------------------------------------------------------------------------------------------

// acc[64 keys x 64 queries] = rows of k (or v) . q^T (or dy^T), over the head dimension. Both operands lie with it contiguous.
__device__ __forceinline__ void multiply_heads(float (&acc)[32], u32 a, u32 b) {
    wgmma_fence();
    wgmma_new<0, 0>(acc, a, 0, b, 0);
#pragma unroll
    for (u32 k = 1; k < HEAD / 16; ++k) wgmma<0, 0>(acc, a, (k / 4) * (KEY_SLAB >> 4) + (k % 4) * 2, b, (k / 4) * (QUERY_SLAB >> 4) + (k % 4) * 2);
    wgmma_commit();
}

// acc[64 keys x 64 queries] += the same
__device__ __forceinline__ void add_heads(float (&acc)[32], u32 a, u32 b) {
    wgmma_fence();
#pragma unroll
    for (u32 k = 0; k < HEAD / 16; ++k) wgmma<0, 0>(acc, a, (k / 4) * (KEY_SLAB >> 4) + (k % 4) * 2, b, (k / 4) * (QUERY_SLAB >> 4) + (k % 4) * 2);
    wgmma_commit();
}

// acc[64 keys x 128] = (FIRST ? 0 : acc) + a[64 keys x 64 queries] . dy (or q)
template <bool FIRST>
__device__ __forceinline__ void multiply_queries(float (&acc)[64], const u32 (&a)[16], u32 b) {
    wgmma_fence();
    if (FIRST) wgmma_new<1>(acc, a, b, 0);
    else wgmma<1>(acc, a, b, 0);
#pragma unroll
    for (u32 k = 1; k < QUERIES / 16; ++k) wgmma<1>(acc, a + 4 * k, b, k * (2048 >> 4));
    wgmma_commit();
}

// acc[64 queries x 64 columns] = ds . k
__device__ __forceinline__ void multiply_keys(float (&acc)[32], u32 a, u32 b) {
    wgmma_fence();
    wgmma_new<1, 1>(acc, a, 0, b, 0);
#pragma unroll
    for (u32 k = 1; k < KEYS / 16; ++k) wgmma<1, 1>(acc, a, k * (2048 >> 4), b, k * (2048 >> 4));
    wgmma_commit();
}

// ---- dq --------------------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ u32 load_turn(const u32* turn) {
    u32 value;
    asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(turn) : "memory");
    return value;
}

__device__ __forceinline__ void store_turn(u32* turn, u32 value) {
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(turn), "r"(value) : "memory");
}

__device__ __forceinline__ void add_vector(float* p, float a, float b, float c, float d) {
    asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
}

__device__ __forceinline__ void store_vector(float* p, float a, float b, float c, float d) {
    asm volatile("st.global.cg.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(p), "f"(a), "f"(b), "f"(c), "f"(d) : "memory");
}

__device__ __forceinline__ float4 load_vector(const float* p) {
    float4 v;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];" : "=f"(v.x), "=f"(v.y), "=f"(v.z), "=f"(v.w) : "l"(p) : "memory");
    return v;
}

// What a warp remembers of the sums of dq it adds, one step at a time.
struct Adder {
    u32 warp, lane;
    u32 owed;         // ORDER 1: the turn to hand on, once the reductions behind it have landed, and what it becomes
    u32 owed_value;   // zero: none

    // Hands the previous step's turn on. By now its reductions are long done, so the fence is short; it also orders what follows after the turn waited for.
    __device__ __forceinline__ void hand_on(u32* turns) {
        asm volatile("fence.acq_rel.gpu;" ::: "memory");
        __syncwarp();
        if (owed_value != 0 && lane == 0) store_turn(turns + static_cast<u64>(owed) * CONSUMER_WARPS + warp, owed_value);
        owed_value = 0;
    }

    __device__ __forceinline__ void add_any_order(const float (&acc)[32], float* target) {
        if (SUMS == 0) {
#pragma unroll
            for (u32 j = 0; j < 8; ++j) add_vector(target + (j * 32 + lane) * 4, acc[4 * j], acc[4 * j + 1], acc[4 * j + 2], acc[4 * j + 3]);
        } else {
#pragma unroll
            for (u32 j = 0; j < 32; ++j)
                if (acc[j] == 1.2345e33f) store_vector(target, acc[j], 0.0f, 0.0f, 0.0f);
        }
    }

    // `place`: how many key blocks of this query block come before; `end`: whether this is the last.
    __device__ __forceinline__ void add_in_turn(const float (&acc)[32], float* target, u32* turns, u32 block, u32 place, bool end,
                                                unsigned short* dq, u32 rows_left, u32 stride, float scale) {
        u32* turn = turns + static_cast<u64>(block) * CONSUMER_WARPS + warp;
        for (u32 polls = 0; place != 0 && load_turn(turn) != place; ++polls) {
            if (GUARD && polls > (1u << 22)) __trap();
        }
        hand_on(turns);
        if (end) {  // everything else is in: what remains is to convert
            constexpr u32 BATCH = 4;  // loads in flight together
            const u32 row = lane / 4;
            unsigned short* out = dq + row * stride + (lane % 4) * 2;
#pragma unroll
            for (u32 first = 0; first < 8; first += BATCH) {
                float4 sum[BATCH];
#pragma unroll
                for (u32 j = 0; j < BATCH; ++j)
                    sum[j] = place != 0 ? load_vector(target + ((first + j) * 32 + lane) * 4) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
#pragma unroll
                for (u32 j = 0; j < BATCH; ++j) {
                    const u32 i = 4 * (first + j);
                    const u32 above = pack((sum[j].x + acc[i]) * scale, (sum[j].y + acc[i + 1]) * scale);
                    const u32 below = pack((sum[j].z + acc[i + 2]) * scale, (sum[j].w + acc[i + 3]) * scale);
                    if (row < rows_left) *reinterpret_cast<u32*>(out + 2 * i) = above;
                    if (row + 8 < rows_left) *reinterpret_cast<u32*>(out + 8 * stride + 2 * i) = below;
                }
            }
            if (lane == 0) store_turn(turn, 0);  // nobody waits for it any more in this launch
        } else {
#pragma unroll
            for (u32 j = 0; j < 8; ++j) {
                float* p = target + (j * 32 + lane) * 4;
                if (place == 0) store_vector(p, acc[4 * j], acc[4 * j + 1], acc[4 * j + 2], acc[4 * j + 3]);
                else add_vector(p, acc[4 * j], acc[4 * j + 1], acc[4 * j + 2], acc[4 * j + 3]);
            }
            owed = block;
            owed_value = place + 1;
        }
    }
};

// Adds a step's 64 x 64 of this warpgroup; `block` counts blocks of queries over all batches and heads.
__device__ __forceinline__ void add_step(Adder& adder, const float (&acc)[32], const Shape& shape, const Buffers& buffers, const Tile& t,
                                         u32 query, u32 block) {
    float* target = buffers.sums + static_cast<u64>(block) * STEP_SUMS + adder.warp * WARP_SUMS;
    if (ORDER == 0) {
        adder.add_any_order(acc, target);
    } else {
        const u32 first = query * QUERIES;
        const u32 oldest = first > shape.window ? (first - shape.window) / KEYS : 0;
        const u32 head = block / shape.query_blocks - t.batch * shape.heads;
        const u32 stride = (shape.heads + 2 * shape.kv_heads) * HEAD;
        const u32 row = first + adder.warp % 4 * 16;
        unsigned short* dq = buffers.dqkv + (static_cast<u64>(t.batch) * shape.time + row) * stride + head * HEAD + adder.warp / 4 * 64;
        adder.add_in_turn(acc, target, buffers.turns, block, query / (KEYS / QUERIES) - t.block,
                          t.block == oldest, dq, shape.time > row ? shape.time - row : 0, stride, shape.scale);
    }
}

// ---- consumer ------------------------------------------------------------------------------------------------------------------------

// Sends a warp's 16 x 128 results out as bf16, in two boxes of 64 columns, through places in shared memory that are `step` apart.
__device__ __forceinline__ void store_rows(const float (&acc)[64], float scale, u32 place, u32 step, const TensorMap* map, u32 column, u32 row, u32 batch,
                                           u32 lane) {
#pragma unroll
    for (u32 box = 0; box < SLABS; ++box) {
        const u32 line = swizzled_line(place + box * step, lane);
#pragma unroll
        for (u32 pair = 0; pair < 4; ++pair) {
            const u32 i = (box * 8 + pair * 2) * 4;
            store_block(line, pair, pack(acc[i] * scale, acc[i + 1] * scale), pack(acc[i + 2] * scale, acc[i + 3] * scale),
                        pack(acc[i + 4] * scale, acc[i + 5] * scale), pack(acc[i + 6] * scale, acc[i + 7] * scale));
        }
    }
    fence_async();
    __syncwarp();
    if (lane == 0) {
#pragma unroll
        for (u32 box = 0; box < SLABS; ++box) store_box(map, place + box * step, column + box * 64, row, batch);
        commit_stores();
    }
}

// A consumer's place in the walk. `step` counts over all tiles (stages and parities follow from it); `block` is that of the queries among all heads'.
struct Walk {
    u32 step, query, block;
};

__device__ __forceinline__ void advance(Walk& walk, const Shape& shape, const Tile& t) {
    ++walk.step;
    ++walk.block;
    if (++walk.query > t.last) {  // the next head of the group
        walk.block += shape.query_blocks - (t.last - t.first + 1);
        walk.query = t.first;
    }
}

struct Consumer {
    u32 warp, lane, warpgroup;
    u32 keys;                  // where k of the tile lies; v lies behind
    u32 half;                  // which 64 of the tile's keys are the warpgroup's
    u32 p16[16], ds16[16];     // p^T and ds^T of the open step
    float dk[64], dv[64];

    // Which 16 keys are the warp's.
    __device__ __forceinline__ u32 rows() const { return half * 4 + warp % 4; }
};

__device__ __forceinline__ void start_scores(const Shared& s, const Consumer& c, float (&sc)[32], u32 step) {
    const u32 slot = step % STAGES;
    barrier_wait(s.q_full(slot), (step / STAGES) & 1);
    multiply_heads(sc, descriptor(c.keys + c.half * (64 * 128)), descriptor(s.base + Q_AT + slot * QUERY_BYTES));
}

// Packed numbers, none of which is negative, are known before what follows is done: the branch, which is never taken, needs them. Left to itself the
// compiler puts most of them off until the next wait for products is over, and the tensor cores then stand under them.
__device__ __forceinline__ void settle(const u32 (&packed)[16]) {
    u32 all = 0;
#pragma unroll
    for (u32 i = 0; i < 16; ++i) all |= packed[i];
    if (static_cast<int>(all) < 0) asm volatile("nanosleep.u32 0;" ::: "memory");
}

// This warp has read a step's q, lse and delta.
__device__ __forceinline__ void release_queries(const Shared& s, u32 slot, const Consumer& c) {
    if (EVERY_LANE)
        barrier_arrive(s.q_empty(slot));
    else
        warp_arrive(s.q_empty(slot), c.lane);
}

// The first half of a step, up to p and ds. k q^T is in flight; nothing is when this returns.
__device__ __forceinline__ void open_step(const Shared& s, Consumer& c, const Shape& shape, const Tile& t, const Walk& now, float (&sc)[32],
                                          bool free_queries) {
    const u32 slot = now.step % STAGES;
    float dp[32];
    barrier_wait(s.dy_full(slot), (now.step / STAGES) & 1);
    const u32 rows = s.base + ROWS_AT + slot * ROW_BYTES + (c.lane % 4) * 8;
    if (DELTA_FIRST) {
#pragma unroll
        for (u32 j = 0; j < 8; ++j) {
            const float2 minus_delta = read_shared_pair(rows + QUERIES * 4 + j * 32);
            dp[4 * j] = dp[4 * j + 2] = minus_delta.x;
            dp[4 * j + 1] = dp[4 * j + 3] = minus_delta.y;
        }
        add_heads(dp, descriptor(c.keys + KEY_BYTES + c.half * (64 * 128)), descriptor(s.base + DY_AT + slot * QUERY_BYTES));
    } else {
        multiply_heads(dp, descriptor(c.keys + KEY_BYTES + c.half * (64 * 128)), descriptor(s.base + DY_AT + slot * QUERY_BYTES));
    }
    wgmma_wait<1>();  // k q^T, and dk of the step before
    pin(sc);
    if (free_queries) release_queries(s, slot ^ 1, c);

    const u32 first_query = now.query * QUERIES, first_key = t.block * KEYS + c.half * 64;
    if (first_query < first_key + 63 || first_query + 63 - first_key > shape.window) {
        // Key s is seen by query t iff 0 <= t - s <= window: one unsigned comparison.
        const u32 ahead = first_query + (c.lane % 4) * 2 - (first_key + (c.warp % 4) * 16 + c.lane / 4);
#pragma unroll
        for (u32 e = 0; e < 32; ++e)
            if (ahead + (e / 4) * 8 + (e % 2) - (e % 4 / 2) * 8 > shape.window) sc[e] = -infinity();
    }
    const float scale_log2 = shape.scale * LOG2_E;
#pragma unroll
    for (u32 j = 0; j < 8; ++j) {
        float* p = sc + 4 * j;
        const float2 lse = read_shared_pair(rows + j * 32);
        p[0] = exp2_approx(fmaf(p[0], scale_log2, -lse.x));
        p[1] = exp2_approx(fmaf(p[1], scale_log2, -lse.y));
        p[2] = exp2_approx(fmaf(p[2], scale_log2, -lse.x));
        p[3] = exp2_approx(fmaf(p[3], scale_log2, -lse.y));
    }
#pragma unroll
    for (u32 j = 0; j < 16; ++j) c.p16[j] = pack(sc[2 * j], sc[2 * j + 1]);
    if (SETTLE) settle(c.p16);
    wgmma_wait<0>();
    pin(dp);
#pragma unroll
    for (u32 j = 0; j < 8; ++j) {
        const float* p = sc + 4 * j;
        if (!DELTA_FIRST) {
            const float2 minus_delta = read_shared_pair(rows + QUERIES * 4 + j * 32);
            dp[4 * j] += minus_delta.x;
            dp[4 * j + 1] += minus_delta.y;
            dp[4 * j + 2] += minus_delta.x;
            dp[4 * j + 3] += minus_delta.y;
        }
        c.ds16[2 * j] = pack(p[0] * dp[4 * j], p[1] * dp[4 * j + 1]);
        c.ds16[2 * j + 1] = pack(p[2] * dp[4 * j + 2], p[3] * dp[4 * j + 3]);
    }
    pin(c.p16);  // computed here, not between the next products
    pin(c.ds16);
}

// A step whose queries see none of this warpgroup's keys: ds is zero, and there is nothing else to do. It is waited for all the same, so that no barrier
// gets an arrival that belongs to its next phase. q stays with whoever is at the end of its tile.
template <bool LAST>
__device__ __forceinline__ void pass_step(const Shared& s, const Consumer& c, u32 step) {
    const u32 slot = step % STAGES;
    const u32 line = swizzled_line(s.base + DS_AT + (step & 1) * DS_BYTES + c.rows() * (16 * 128), c.lane);
#pragma unroll
    for (u32 j = 0; j < 4; ++j) store_block(line, j, 0, 0, 0, 0);
    fence_async();
    warp_arrive(s.ds_full(), c.lane);
    barrier_wait(s.q_full(slot), (step / STAGES) & 1);
    if (!LAST) release_queries(s, slot, c);
    barrier_wait(s.dy_full(slot), (step / STAGES) & 1);
    warp_arrive(s.dy_empty(slot), c.lane);
}

// dq of a step of which both warpgroups have announced ds. Nothing is in flight when this returns.
__device__ __forceinline__ void finish_queries(const Shared& s, const Consumer& c, float (&dq)[32], u32 step) {
    barrier_wait(s.ds_full(), step & 1);
    multiply_keys(dq, descriptor(s.base + DS_AT + (step & 1) * DS_BYTES, DS_BYTES), descriptor(c.keys + c.warpgroup * KEY_SLAB, KEY_SLAB));
    wgmma_wait<0>();
    pin(dq);
}

// The second half: dv, ds, dk, and dq of the step before; it opens the next step. FIRST: there is no step before. LAST: no step of this tile follows.
template <bool FIRST, bool LAST>
__device__ __forceinline__ void close_step(const Shared& s, Consumer& c, const Shape& shape, const Buffers& buffers, const Tile& t, Adder& adder, Walk& now,
                                           Walk& due) {
    const u32 slot = now.step % STAGES;
    float sc[32], dq[32];
    multiply_queries<FIRST>(c.dv, c.p16, descriptor(s.base + DY_AT + slot * QUERY_BYTES, QUERY_SLAB));
    if (KEYS_FIRST) multiply_queries<FIRST>(c.dk, c.ds16, descriptor(s.base + Q_AT + slot * QUERY_BYTES, QUERY_SLAB));
    if (!FIRST) {
        barrier_wait(s.ds_full(), due.step & 1);
        multiply_keys(dq, descriptor(s.base + DS_AT + (due.step & 1) * DS_BYTES, DS_BYTES), descriptor(c.keys + c.warpgroup * KEY_SLAB, KEY_SLAB));
    }
    if (!KEYS_FIRST) multiply_queries<FIRST>(c.dk, c.ds16, descriptor(s.base + Q_AT + slot * QUERY_BYTES, QUERY_SLAB));
    wgmma_wait<FIRST ? 1 : 2>();  // dv
    warp_arrive(s.dy_empty(slot), c.lane);
    if (EARLY == 1 && !LAST) {
        start_scores(s, c, sc, now.step + 1);
        wgmma_wait<KEYS_FIRST ? 1 : 2>();  // dq of the step before
    } else {
        wgmma_wait<KEYS_FIRST ? 0 : 1>();
    }
    // Whoever has announced its ds of the step before had by then finished with the ds before that, whose place this is.
    const u32 line = swizzled_line(s.base + DS_AT + (now.step & 1) * DS_BYTES + c.rows() * (16 * 128), c.lane);
#pragma unroll
    for (u32 j = 0; j < 4; ++j) store_block(line, j, c.ds16[4 * j], c.ds16[4 * j + 1], c.ds16[4 * j + 2], c.ds16[4 * j + 3]);
    fence_async();
    warp_arrive(s.ds_full(), c.lane);
    if (EARLY == 2 && !LAST) start_scores(s, c, sc, now.step + 1);
    if (!FIRST) {
        pin(dq);
        add_step(adder, dq, shape, buffers, t, due.query, due.block);
    }
    due = now;
    advance(now, shape, t);
    if (!LAST) {
        if (EARLY == 0) start_scores(s, c, sc, now.step);
        open_step(s, c, shape, t, now, sc, true);
    }
}

// Gives the place of k and v of an earlier tile back, once what went out through it has been read.
__device__ __forceinline__ void leave_keys(const Shared& s, const Consumer& c, u32 turn) {
    if (c.lane == 0) {
        wait_stores_read<0>();
        barrier_arrive(s.kv_empty(turn % 2));
    }
    __syncwarp();
}

__device__ __forceinline__ void consume(const Shared& s, const TensorMap* out, const Shape& shape, const Buffers& buffers) {
    Consumer c;
    c.warp = threadIdx.x / 32 - 4;
    c.lane = threadIdx.x % 32;
    c.warpgroup = __shfl_sync(0xFFFFFFFFu, c.warp / 4, 0);
    Adder adder = {c.warp, c.lane, 0, 0};
    Walk now = {0, 0, 0};
    for (u32 turn = 0;; ++turn) {
        barrier_wait(s.kv_full(turn % 2), (turn / 2) & 1);
        const Tile t = tile_named(s.name(turn % 2));
        if (t.block == NO_TILE) break;
        c.keys = s.keys(turn % 2);
        c.half = c.warpgroup ^ (turn & 1);
        now.query = t.first;
        now.block = (t.batch * shape.heads + t.kv * shape.group) * shape.query_blocks + t.first;
        Walk due = now;

        float sc[32];
        if (c.half == 0) {
            start_scores(s, c, sc, now.step);
            open_step(s, c, shape, t, now, sc, false);
            if (turn != 0) leave_keys(s, c, turn - 1);
            close_step<true, false>(s, c, shape, buffers, t, adder, now, due);
        } else {
            pass_step<false>(s, c, now.step);
            if (turn != 0) leave_keys(s, c, turn - 1);
#pragma unroll
            for (u32 i = 0; i < 64; ++i) c.dk[i] = c.dv[i] = 0.0f;
            advance(now, shape, t);
            start_scores(s, c, sc, now.step);
            open_step(s, c, shape, t, now, sc, false);
        }
        const u32 steps = shape.group * (t.last - t.first + 1);
        // Whether the first 64 keys are out of the last queries' window.
        const bool passed = c.half == 0 && steps > 2 && t.last * QUERIES > t.block * KEYS + 63 + shape.window;
        for (u32 left = steps - (passed ? 3 : 2); left != 0; --left) close_step<false, false>(s, c, shape, buffers, t, adder, now, due);
        close_step<false, true>(s, c, shape, buffers, t, adder, now, due);
        if (passed) {
            float dq[32];
            finish_queries(s, c, dq, due.step);
            release_queries(s, due.step % STAGES, c);
            pass_step<true>(s, c, now.step);
            add_step(adder, dq, shape, buffers, t, due.query, due.block);
            due = now;
            advance(now, shape, t);
        }

        float dq[32];
        finish_queries(s, c, dq, due.step);
        pin(c.dk);
        pin(c.dv);
        release_queries(s, due.step % STAGES, c);
        add_step(adder, dq, shape, buffers, t, due.query, due.block);
        if (LARGEST) {
            float most = 0.0f;
#pragma unroll
            for (u32 i = 0; i < 64; ++i) most = fmaxf(most, fabsf(c.dv[i]));
            hand_in_largest(buffers.largest, most, blockIdx.x + gridDim.x * turn);
        }
        // dv goes out through this warpgroup's rows of v, dk through the half of k's columns that only its dq reads now: whoever has announced its last ds
        // is done with k q^T.
        named_sync(1 + c.warpgroup, WARPGROUP);
        const u32 row = t.block * KEYS + c.rows() * 16;
        store_rows(c.dv, 1.0f, c.keys + KEY_BYTES + c.rows() * BOX_BYTES, KEY_SLAB, out, (shape.heads + shape.kv_heads + t.kv) * HEAD, row, t.batch, c.lane);
        store_rows(c.dk, shape.scale, c.keys + c.warpgroup * KEY_SLAB + c.warp % 4 * (SLABS * BOX_BYTES), BOX_BYTES, out, (shape.heads + t.kv) * HEAD, row,
                   t.batch, c.lane);
        if (ORDER) adder.hand_on(buffers.turns);
    }
    if (c.lane == 0) wait_stores_read<0>();  // shared memory must outlive the stores
}

// ---- kernel --------------------------------------------------------------------------------------------------------------------------

// Grid: min(tiles, SMs) blocks of 384 threads. Maps: notes.md.
extern "C" __global__ void __launch_bounds__(384, 1)
    attention_backward(const __grid_constant__ TensorMap keys, const __grid_constant__ TensorMap queries, const __grid_constant__ TensorMap dy,
                       const __grid_constant__ TensorMap out, const Shape shape, const Buffers buffers) {
    await_earlier_kernels();
    // The swizzle pattern repeats every 1,024 bytes. Dynamic shared memory starts at such a place, and a base known to the compiler saves registers.
    extern __shared__ __align__(1024) unsigned char raw[];
    const Shared s = {shared_address(raw)};
    if (threadIdx.x == 0) {
        if (s.base % 1024 != 0) __trap();
        for (u32 i = 0; i < 2; ++i) {
            barrier_init(s.kv_full(i), 1);
            barrier_init(s.kv_empty(i), CONSUMER_WARPS);
            barrier_init(s.named(i), 1);
        }
        barrier_init(s.wanted(), 1);
        barrier_init(s.ds_full(), CONSUMER_WARPS);
        for (u32 i = 0; i < STAGES; ++i) {
            barrier_init(s.q_full(i), 1);
            barrier_init(s.q_empty(i), CONSUMER_WARPS * (EVERY_LANE ? 32 : 1));
            barrier_init(s.dy_full(i), 1);
            barrier_init(s.dy_empty(i), CONSUMER_WARPS);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
        prefetch_map(&keys);
        prefetch_map(&queries);
        prefetch_map(&dy);
        prefetch_map(&out);
    }
    __syncthreads();

    if (threadIdx.x < WARPGROUP) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 24;");
        if (threadIdx.x == 0) produce_steps(s, &queries, &dy, shape, buffers.rows);
        if (threadIdx.x == 32) produce_keys(s, &keys, shape, buffers.counter);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 240;");
        consume(s, &out, shape, buffers);
    }
}
