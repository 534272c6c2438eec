// bf16 matrix product for Hopper with the feed-forward's elementwise work in its epilogue.
//
//   d[M x N] = epilogue(a[M x K] . b[N x K]^T, extra[M x N]),  fp32 accumulation, bf16 in and out
//
// Purpose: relu^2 and its backward are passes over tensors of 5,120 columns that cost a quarter of the product beside them; here they cost nothing but
// the registers' own arithmetic.
// Trick: a persistent grid of 384-thread blocks. One producer thread keeps a ring of 64-deep stages full through the copy engine (TMA); two warpgroups of
// consumers each own a 64 x TILE_N accumulator and issue wgmma from shared memory. Blocks run in pairs (cluster of 2 along M): each loads half of b's tile
// and multicasts it to both, which takes a third off the L2 traffic. With SPLIT a tile ends and begins by halves of its columns, so that one half's
// epilogue runs under the other's products. Each warp moves its own 16 rows to and from global memory through swizzled boxes of 64 columns, so no
// barrier is needed in the epilogue.
// Weight gradients (EPILOGUE 4) add onto an fp32 matrix. Few tiles and a long K: whole tiles fill whole waves of the machine, the tiles left over are
// cut along K, and the cuts of one tile add their sums in the order of K, each waiting for its turn, so that results do not depend on timing. All
// blocks work on the same stretch of K at a time, since otherwise nothing would be found in L2.
// Limits: K a multiple of 64 and at least 128; rows of every tensor a multiple of 16 bytes and 16-byte aligned; an MN-major operand has a multiple of
// 64 columns. Edge tiles in M and N are the copy engine's business: it reads zeros outside of the tensor and writes nothing there.
// EPILOGUE 4: M a multiple of 128 and N of TILE_N; all blocks must be resident at once.
// Not covered: fp8.
// Source: PTX ISA 9.0, sections on wgmma (matrix descriptor, canonical layouts), cp.async.bulk.tensor, mbarrier. notes.md holds the tensor maps.
//
// Variants, by -D:
//   EPILOGUE   0 plain: d = acc              1 residual: d = acc + extra
//              2 relu_squared: d = max(acc, 0)^2   3 relu_squared_backward: d = 2 sqrt(extra) acc
//              4 accumulate: sums += acc, fp32
//   A_MN, B_MN 0: the operand is stored with K contiguous; 1: with M (or N) contiguous
//   TILE_N     256 or 128       STAGES  depth of the ring        CLUSTER  1 or 2
//   BUFFERS    64-column output boxes per warp; TILE_N / 64 when EPILOGUE reads `extra`
//   LEAD       k-blocks by which the first consumer leads at the start (0: none)
//   SPLIT      1: a tile's first and last k-block are multiplied by halves of 128 columns, so that one half's epilogue runs under the other's products,
//              and the second's under the next tile's
//   ROOTS      1: EPILOGUE 3 turns extra into bf16 roots in shared memory while the matrix units work
//   HINTS      1: b stays in L2, d and extra pass through it first
//   GUARD      1: a wait that polls very long traps, for bring-up

#ifndef EPILOGUE
#define EPILOGUE 0
#endif
#ifndef A_MN
#define A_MN 0
#endif
#ifndef B_MN
#define B_MN 0
#endif
#ifndef TILE_N
#define TILE_N 256
#endif
#ifndef CLUSTER
#define CLUSTER 2
#endif
#define READS_EXTRA (EPILOGUE == 1 || EPILOGUE == 3)
#define ACCUMULATES (EPILOGUE == 4)
#ifndef BUFFERS
#define BUFFERS (ACCUMULATES ? 0 : TILE_N / 64)
#endif
#ifndef STAGES
#define STAGES (TILE_N != 256 ? 5 : BUFFERS > 2 ? 3 : 4)
#endif
#ifndef LEAD
#define LEAD 0
#endif
#ifndef SPLIT
#define SPLIT 0
#endif
#ifndef ROOTS
#define ROOTS 0
#endif
#ifndef HINTS
#define HINTS 0
#endif
#ifndef KERNEL
#define KERNEL gemm
#endif

constexpr u32 TILE_M = 128;
constexpr u32 TILE_K = 64;
constexpr u32 CONSUMER_WARPS = 8;
constexpr u32 ACCUMULATORS = TILE_N / 2;  // fp32 registers per thread: 64 x TILE_N over 128 threads
constexpr u32 SLAB_BYTES = 64 * 128;      // 64 rows of 128 bytes: one 64 x 64 bf16 block, in either orientation
constexpr u32 A_BYTES = TILE_M * TILE_K * 2;
constexpr u32 B_BYTES = TILE_N * TILE_K * 2;
constexpr u32 STAGE_BYTES = A_BYTES + B_BYTES;
constexpr u32 BOX_BYTES = 16 * 128;  // a warp's 16 rows of 64 bf16 columns
constexpr u32 WARP_BYTES = BUFFERS * BOX_BYTES;
constexpr u32 RING_BYTES = STAGES * STAGE_BYTES;
constexpr u32 STAGING_BYTES = CONSUMER_WARPS * WARP_BYTES;
constexpr u32 BARRIER_BYTES = (2 * STAGES + CONSUMER_WARPS) * 8;
// What the launcher must ask for: the base is rounded up to the 1,024 bytes of the swizzle pattern.
constexpr u32 SHARED_BYTES = 1024 + RING_BYTES + STAGING_BYTES + BARRIER_BYTES;

static_assert(SHARED_BYTES <= 232448, "more shared memory than an sm_90 block can have");
static_assert(!READS_EXTRA || BUFFERS == TILE_N / 64, "extra is read whole, before the epilogue");
static_assert(!SPLIT || (TILE_N == 256 && LEAD == 0 && !ACCUMULATES && STAGES > 2), "halves are 128 columns, and the consumers of a block march in step");
static_assert(!ROOTS || EPILOGUE == 3, "there is nothing to take roots of");
static_assert(LEAD < STAGES, "the leading consumer would wait for slots that the other has yet to free");

// ---- copies --------------------------------------------------------------------------------------------------------------------------

constexpr u64 EVICT_FIRST = 0x12F0000000000000ull;
constexpr u64 EVICT_NORMAL = 0x1000000000000000ull;
constexpr u64 EVICT_LAST = 0x14F0000000000000ull;
constexpr u64 POLICY_B = HINTS ? EVICT_LAST : EVICT_NORMAL;
[[maybe_unused]] constexpr u64 POLICY_ONCE = HINTS ? EVICT_FIRST : EVICT_NORMAL;

__device__ __forceinline__ void load_box(u32 target, const TensorMap* map, u32 barrier, u32 column, u32 row, u64 policy) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(target),
        "l"(map), "r"(barrier), "r"(column), "r"(row), "l"(policy)
        : "memory");
}

__device__ __forceinline__ void load_slabs(u32 target, const TensorMap* map, u32 barrier, u32 row, u32 slab, u64 policy) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(target),
        "l"(map), "r"(barrier), "r"(0), "r"(row), "r"(slab), "l"(policy)
        : "memory");
}

// The multicast forms write the same offset in every block of `mask` and complete on the barrier at the same offset there.
__device__ __forceinline__ void load_box_multicast(u32 target, const TensorMap* map, u32 barrier, u32 column, u32 row, unsigned short mask, u64 policy) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
        "[%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(target),
        "l"(map), "r"(barrier), "r"(column), "r"(row), "h"(mask), "l"(policy)
        : "memory");
}

__device__ __forceinline__ void load_slabs_multicast(u32 target, const TensorMap* map, u32 barrier, u32 row, u32 slab, unsigned short mask, u64 policy) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster.L2::cache_hint "
        "[%0], [%1, {%3, %4, %5}], [%2], %6, %7;" ::"r"(target),
        "l"(map), "r"(barrier), "r"(0), "r"(row), "r"(slab), "h"(mask), "l"(policy)
        : "memory");
}

__device__ __forceinline__ void store_box(const TensorMap* map, u32 source, u32 column, u32 row, u64 policy) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group.L2::cache_hint [%0, {%2, %3}], [%1], %4;" ::"l"(map), "r"(source), "r"(column),
                 "r"(row), "l"(policy)
                 : "memory");
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// Whether the barrier's phase is over, without waiting for it.
[[maybe_unused]] __device__ __forceinline__ bool barrier_test(u32 barrier, u32 parity) {
    u32 done;
    asm volatile(
        "{\n\t.reg .pred p;\n\t"
        "mbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
        "selp.u32 %0, 1, 0, p;\n\t}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    return done != 0;
}

// ---- one tile's arithmetic -----------------------------------------------------------------------------------------------------------

__device__ __forceinline__ float low_half(u32 packed) {
    return __uint_as_float(packed << 16);
}

__device__ __forceinline__ float high_half(u32 packed) {
    return __uint_as_float(packed & 0xFFFF0000u);
}

__device__ __forceinline__ float square_root(float x) {
    float root;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(x));
    return root;
}

__device__ __forceinline__ float epilogue(float acc, float extra) {
    if (EPILOGUE == 1) return acc + extra;
    if (EPILOGUE == 2) return acc * fabsf(acc);  // epilogue_pair takes the negative ones away
    if (EPILOGUE == 3) {
        if (ROOTS) return extra * acc;
        const float root = square_root(extra);
        return (root + root) * acc;
    }
    return acc;
}

// Two results. max(x, 0)^2 is max(x |x|, 0), and the conversion has the maximum in it; not a number stays so, or a diverged run would look alive.
__device__ __forceinline__ u32 epilogue_pair(float low, float high, u32 extra) {
    const float first = epilogue(low, low_half(extra)), second = epilogue(high, high_half(extra));
    if (EPILOGUE != 2) return pack(first, second);
    u32 packed;
    asm("cvt.rn.relu.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(second), "f"(first));
    return packed;
}

__device__ __forceinline__ u32 load_turn(const u32* turn) {
    u32 value;
    asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(turn) : "memory");
    return value;
}

__device__ __forceinline__ void store_turn(u32* turn, u32 value) {
    asm volatile("st.release.gpu.global.u32 [%0], %1;" ::"l"(turn), "r"(value) : "memory");
}

// Past the first-level cache, which may hold what this processor read before another one added to it.
__device__ __forceinline__ float2 load_pair(const float* p) {
    float2 pair;
    asm volatile("ld.global.cg.v2.f32 {%0, %1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "l"(p) : "memory");
    return pair;
}

// A unit of work: one tile over one stretch of K.
struct Unit {
    u32 m, n, first_k, last_k, turn;
};

// What the whole grid has to do, in order. The first `whole` tiles are one unit each; the others are cut in `cuts` stretches of K, all tiles of a stretch
// before the next stretch. Tiles go in bands of `band` cluster tiles of M, walked down M first within a band.
struct Work {
    u32 m_count, n_count, k_blocks, band, whole, cuts;

    __device__ __forceinline__ u32 units() const {
        const u32 tiles = m_count * n_count;
        return ACCUMULATES ? whole + (tiles - whole) * cuts : tiles;
    }

    __device__ __forceinline__ Unit at(u32 index) const {
        Unit unit = {0, 0, 0, k_blocks, 0};
        u32 tile = index;
        if (ACCUMULATES && index >= whole) {
            const u32 rest = m_count * n_count - whole;
            unit.turn = (index - whole) / rest;
            tile = whole + (index - whole) % rest;
            unit.first_k = k_blocks * unit.turn / cuts;
            unit.last_k = k_blocks * (unit.turn + 1) / cuts;
        }
        const u32 per_band = band * n_count;
        const u32 first = (tile / per_band) * band;
        const u32 rows = min(band, m_count - first);
        const u32 within = tile % per_band;
        unit.m = first + within % rows;
        unit.n = within / rows;
        return unit;
    }
};

// ---- producer ------------------------------------------------------------------------------------------------------------------------

struct Shared {
    u32 ring, staging, full, empty, extra;
};

// EPILOGUE 4: the fp32 matrix, and for every tile and warp whose turn it is (zero before the first launch; every launch leaves zeros behind).
struct Sums {
    float* values;
    u32* turns;
    u32 rows, columns;
};

__device__ __forceinline__ void produce(const Shared& s, const TensorMap* a, const TensorMap* b, const Work& work, u32 rank) {
    [[maybe_unused]] constexpr unsigned short EVERYONE = (1 << CLUSTER) - 1;
    constexpr u32 B_ROWS = TILE_N / CLUSTER;  // this block's share of b's tile
    Ring<STAGES> ring = {0, 1};               // a fresh barrier lets a wait for the odd parity pass
    for (u32 index = blockIdx.x / CLUSTER; index < work.units(); index += gridDim.x / CLUSTER) {
        const Unit unit = work.at(index);
        const u32 a_row = (unit.m * CLUSTER + rank) * TILE_M;
        const u32 b_row = unit.n * TILE_N + rank * B_ROWS;
        for (u32 k = unit.first_k; k < unit.last_k; ++k) {
            barrier_wait(s.empty + ring.slot * 8, ring.parity);
            const u32 full = s.full + ring.slot * 8;
            const u32 a_target = s.ring + ring.slot * STAGE_BYTES;
            const u32 b_target = a_target + A_BYTES + rank * (B_BYTES / CLUSTER);
            barrier_expect(full, STAGE_BYTES);
#if A_MN
            load_slabs(a_target, a, full, k * TILE_K, a_row / 64, EVICT_NORMAL);
#else
            load_box(a_target, a, full, k * TILE_K, a_row, EVICT_NORMAL);
#endif
#if CLUSTER > 1 && B_MN
            load_slabs_multicast(b_target, b, full, k * TILE_K, b_row / 64, EVERYONE, POLICY_B);
#elif CLUSTER > 1
            load_box_multicast(b_target, b, full, k * TILE_K, b_row, EVERYONE, POLICY_B);
#elif B_MN
            load_slabs(b_target, b, full, k * TILE_K, b_row / 64, POLICY_B);
#else
            load_box(b_target, b, full, k * TILE_K, b_row, POLICY_B);
#endif
            ring.advance();
        }
    }
}

// ---- consumer ------------------------------------------------------------------------------------------------------------------------

#if ACCUMULATES

// Adds the warp's 16 x TILE_N sums onto fp32 rows, when its turn has come. A quad's pairs of columns make whole 32-byte sectors.
__device__ __forceinline__ void add_tile(const float (&acc)[ACCUMULATORS], float* sums, u32 columns, u32 row, u32 column, u32* turn, u32 mine, u32 last, u32 lane) {
    constexpr u32 BATCH = 8;  // groups of 8 columns whose loads are in flight together
    for (u32 polls = 0; mine != 0 && load_turn(turn) != mine; ++polls) {
        if (GUARD && polls > (1u << 24)) __trap();
    }
    float* upper = sums + static_cast<u64>(row + lane / 4) * columns + column + (lane % 4) * 2;
    float* lower = upper + 8 * static_cast<u64>(columns);
#pragma unroll
    for (u32 group = 0; group < TILE_N / 8; group += BATCH) {
        float2 above[BATCH], below[BATCH];
#pragma unroll
        for (u32 i = 0; i < BATCH; ++i) {
            above[i] = load_pair(upper + (group + i) * 8);
            below[i] = load_pair(lower + (group + i) * 8);
        }
#pragma unroll
        for (u32 i = 0; i < BATCH; ++i) {
            const u32 j = (group + i) * 4;
            *reinterpret_cast<float2*>(upper + (group + i) * 8) = make_float2(above[i].x + acc[j], above[i].y + acc[j + 1]);
            *reinterpret_cast<float2*>(lower + (group + i) * 8) = make_float2(below[i].x + acc[j + 2], below[i].y + acc[j + 3]);
        }
    }
    if (last != 0) {  // the tile is cut: hand the turn on, and leave zero behind for the next launch
        __threadfence();
        __syncwarp();
        if (lane == 0) store_turn(turn, mine == last ? 0 : mine + 1);
    }
}

#else

// A warp's 16 x 16 block, the number `pair` along a box, as store_block writes it.
__device__ __forceinline__ void load_block(u32 line, u32 pair, u32 (&e)[4]) {
    asm volatile(
        "{\n\t.reg .b32 place;\n\txor.b32 place, %4, %5;\n\t"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [place];\n\t}"
        : "=r"(e[0]), "=r"(e[1]), "=r"(e[2]), "=r"(e[3])
        : "r"(line), "r"(pair << 5)
        : "memory");
}

// Sends boxes FIRST to LAST of the warp's 16 x TILE_N results out. Lane l holds, of every 8 columns, columns 2(l%4) and +1 of rows l/4 and l/4+8, which is
// what the matrix forms of the shared loads and stores exchange: four 8 x 8 blocks (rows 0-7 and 8-15 of two neighbouring groups of 8 columns) at a time.
template <u32 FIRST, u32 LAST>
__device__ __forceinline__ void finish_boxes(float (&acc)[ACCUMULATORS], u32 buffers, const TensorMap* d, u32 row, u32 column, u32 lane) {
#pragma unroll
    for (u32 box = FIRST; box < LAST; ++box) {
        const u32 buffer = buffers + (box % BUFFERS) * BOX_BYTES;
        const u32 line = swizzled_line(buffer, lane);
        if (!READS_EXTRA) {
            wait_stores_read<BUFFERS - 1>();  // lanes other than the first have none to wait for
            __syncwarp();
        }
        u32 extra[4][4] = {};
#pragma unroll
        for (u32 pair = 0; pair < 4; ++pair) {  // all are on their way before the first is needed
            if (READS_EXTRA) load_block(line, pair, extra[pair]);
        }
#pragma unroll
        for (u32 pair = 0; pair < 4; ++pair) {
            const u32 i = (box * 8 + pair * 2) * 4;
            const u32(&e)[4] = extra[pair];
            store_block(line, pair, epilogue_pair(acc[i], acc[i + 1], e[0]), epilogue_pair(acc[i + 2], acc[i + 3], e[1]),
                        epilogue_pair(acc[i + 4], acc[i + 5], e[2]), epilogue_pair(acc[i + 6], acc[i + 7], e[3]));
        }
        fence_async();
        __syncwarp();
        if (lane == 0) store_box(d, buffer, column + box * 64, row, POLICY_ONCE);
    }
    __syncwarp();
}

// Issues the reads of `extra` once the last tile's stores have read the buffers, which a k-block later is long past.
__device__ __forceinline__ void fetch_extra(u32 buffers, u32 barrier, const TensorMap* extra, u32 row, u32 column, u32 lane) {
    if (lane == 0) {
        wait_stores_read<0>();
        barrier_expect(barrier, WARP_BYTES);
#pragma unroll
        for (u32 box = 0; box < BUFFERS; ++box) load_box(buffers + box * BOX_BYTES, extra, barrier, column + box * 64, row, POLICY_ONCE);
    }
    __syncwarp();
}

// The warp's 16 x TILE_N of `extra`: asked for, waited for, and with ROOTS turned into 2 sqrt(extra) as the tile's products go on, two blocks a k-block.
struct Extra {
    u32 buffers, barrier, lane, parity, blocks;
    bool here;

    static constexpr u32 BLOCKS = TILE_N / 16;

    __device__ __forceinline__ void fetch(const TensorMap* extra, u32 row, u32 column) {
        fetch_extra(buffers, barrier, extra, row, column, lane);
        here = false;
        blocks = 0;
    }
    // Beside the products: waits for nothing.
    __device__ __forceinline__ void step() {
        if (blocks == BLOCKS) return;
        if (!here) here = __all_sync(0xFFFFFFFFu, barrier_test(barrier, parity));
        if (!here) return;
        take();
        take();
    }
    // What is left. From here on the buffers hold what the epilogue needs.
    __device__ __forceinline__ void complete() {
        if (!ROOTS || !here) barrier_wait(barrier, parity);
        parity ^= 1;
        if constexpr (ROOTS) {
#pragma unroll 1
            while (blocks < BLOCKS) take();
            __syncwarp();
        }
    }
    __device__ __forceinline__ void take() {
        const u32 line = swizzled_line(buffers + (blocks / 4) * BOX_BYTES, lane);
        u32 e[4];
        load_block(line, blocks % 4, e);
#pragma unroll
        for (u32 i = 0; i < 4; ++i) {
            e[i] = pack(square_root(low_half(e[i])), square_root(high_half(e[i])));
            asm("{\n\t.reg .b32 two;\n\tmov.b32 two, 0x40004000;\n\tmul.rn.bf16x2 %0, %0, two;\n\t}" : "+r"(e[i]));
        }
        store_block(line, blocks % 4, e[0], e[1], e[2], e[3]);
        ++blocks;
    }
};
#endif

// The 18 bits of an address that a descriptor has room for. In the second block of a cluster the block's number lies above them, where it would be added to
// the step between slabs, which only MN-major operands use.
template <bool MN>
__device__ __forceinline__ u32 window(u32 address) {
    return CLUSTER > 1 && MN ? address & 0x3FFFF : address;
}

// Where a consumer stands, what it reads, and whom it tells.
struct Consumer {
    u32 warp, lane, a, b, empty, signals;

    __device__ __forceinline__ Consumer(const Shared& s) {
        // From lane 0, so that the compiler sees one number a warp and keeps what follows from it in uniform registers. With SPLIT it cannot then place
        // the accumulators of both shapes in the same registers, and would wait for each product (NVRTC 13.0; `cargo xtask kernels` finds out).
        const u32 index = SPLIT ? threadIdx.x / 32 : __shfl_sync(0xFFFFFFFFu, threadIdx.x / 32, 0);
        const u32 warpgroup = SPLIT ? threadIdx.x / WARPGROUP - 1 : index / 4 - 1;
        warp = index - 4;
        lane = threadIdx.x % 32;
        // Both orientations put a warpgroup's 64 rows of a in one slab.
        a = descriptor(window<A_MN>(s.ring) + warpgroup * SLAB_BYTES, A_MN ? SLAB_BYTES : 16);
        b = descriptor(window<B_MN>(s.ring) + A_BYTES, B_MN ? SLAB_BYTES : 16);
        // The same, for what the block has one of.
        if (SPLIT && ROOTS && CLUSTER == 1) asm volatile("mov.b32 %0, %0;" : "+r"(b));
        signals = warp % 4 < CLUSTER && lane == 0 ? 1 : 0;
        asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(empty) : "r"(s.empty), "r"(signals ? warp % 4 : 0));
    }
    __device__ __forceinline__ u32 a_at(u32 slot) const {
        return a + slot * (STAGE_BYTES >> 4);
    }
    __device__ __forceinline__ u32 b_at(u32 slot) const {
        return b + slot * (STAGE_BYTES >> 4);
    }
    // A warpgroup is done with a slot: both blocks of the cluster must know, since each fills half of the other's b. Its products are one operation of all
    // four warps, so one of them may speak for all when it has waited for them: the first to block 0, the second to block 1.
    __device__ __forceinline__ void release(u32 slot) const {
        asm volatile(
            "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %1, 0;\n\t"
            "@p mbarrier.arrive.shared::cluster.b64 _, [%0];\n\t}" ::"r"(empty + slot * 8),
            "r"(signals)
            : "memory");
        __syncwarp();
    }
};

// 16 of K, by the low words of the descriptors and a step. The high words are constants, and adding the step to a word takes no carry to them.
#define PRODUCT(SHAPE, REGISTERS, LOW_A, STEP_A, LOW_B, STEP_B, KEEP, ACROSS_A, ACROSS_B) \
    "{\n\t.reg .pred keep;\n\t.reg .b32 low;\n\t.reg .b64 a, b;\n\t" \
    "setp.ne.b32 keep, " KEEP ", 0;\n\t" \
    "add.u32 low, " LOW_A ", " STEP_A ";\n\tmov.b64 a, {low, " DESCRIPTOR_HIGH "};\n\t" \
    "add.u32 low, " LOW_B ", " STEP_B ";\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t" \
    "wgmma.mma_async.sync.aligned." SHAPE ".f32.bf16.bf16 " REGISTERS ", a, b, keep, 1, 1, " ACROSS_A ", " ACROSS_B ";\n\t}"

constexpr u32 A_STEP = (A_MN ? 16 * 128 : 32) >> 4;
constexpr u32 B_STEP = (B_MN ? 16 * 128 : 32) >> 4;

__device__ __forceinline__ void product(float (&acc)[128], u32 a, u32 b, u32 k, int keep) {
    asm volatile(PRODUCT("m64n256k16", REGISTERS_128, "%128", "%129", "%130", "%131", "%132", "%133", "%134")
                 : ACC64(0), ACC64(64)
                 : "r"(a), "r"(k * A_STEP), "r"(b), "r"(k * B_STEP), "r"(keep), "n"(A_MN), "n"(B_MN));
}

__device__ __forceinline__ void product(float (&acc)[64], u32 a, u32 b, u32 k, int keep) {
    asm volatile(PRODUCT("m64n128k16", REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
                 : ACC64(0)
                 : "r"(a), "r"(k * A_STEP), "r"(b), "r"(k * B_STEP), "r"(keep), "n"(A_MN), "n"(B_MN));
}

// A stage: 64 of K in four steps. A K-major step is 32 bytes along the swizzled row, an MN-major step is 16 rows of 128 bytes.
__device__ __forceinline__ void multiply(float (&acc)[ACCUMULATORS], u32 a, u32 b, int keep) {
    wgmma_fence();
#pragma unroll
    for (u32 k = 0; k < 4; ++k) product(acc, a, b, k, k == 0 ? keep : 1);
    wgmma_commit();
}

#if SPLIT

// A stage's products with half of b's columns. The accumulators of the halves are those of a whole one, in order; where the shapes of two products on the
// same registers differ, wgmma.fence is what orders them.
template <u32 HALF, bool FRESH>
__device__ __forceinline__ void multiply_half(float (&acc)[128], u32 a, u32 b) {
    constexpr u32 FIRST = HALF * 64;
    constexpr u32 COLUMNS = HALF * (2 * SLAB_BYTES >> 4);  // 128 rows, or two slabs
    wgmma_fence();
#pragma unroll
    for (u32 k = 0; k < 4; ++k) {
        if (FRESH && k == 0) {  // what the registers held is dead, and the compiler knows
            asm volatile(PRODUCT("m64n128k16", REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
                         : NEW64(FIRST)
                         : "r"(a), "r"(0), "r"(b), "r"(COLUMNS), "r"(0), "n"(A_MN), "n"(B_MN));
        } else {
            asm volatile(PRODUCT("m64n128k16", REGISTERS_64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
                         : ACC64(FIRST)
                         : "r"(a), "r"(k * A_STEP), "r"(b), "r"(COLUMNS + k * B_STEP), "r"(1), "n"(A_MN), "n"(B_MN));
        }
    }
    wgmma_commit();
}

template <u32 HALF>
__device__ __forceinline__ void pin_half(float (&acc)[128]) {
#pragma unroll
    for (u32 i = HALF * 64; i < HALF * 64 + 64; ++i) asm volatile("" : "+f"(acc[i])::"memory");
}

// Units follow one another without a gap: of a unit's last k-block the left half's products come first, and while the right half's run, the left half's
// results go out; then the next unit's first k-block begins with its left half, beside which the right half's results go out. A consumer never waits for a
// stage with more than one slot that it has not given back.
__device__ __forceinline__ void consume(const Shared& s, const TensorMap* extra, const TensorMap* d, const Work& work, const Sums&, u32 rank) {
    const Consumer me(s);
    const u32 buffers = s.staging + me.warp * WARP_BYTES;
    [[maybe_unused]] Extra added = {buffers, s.extra + me.warp * 8, me.lane, 0, 0, false};
    const u32 units = work.units(), stride = gridDim.x / CLUSTER, last_k = work.k_blocks - 1;
    float acc[ACCUMULATORS];
    Ring<STAGES> ring = {0, 0};
    u32 index = blockIdx.x / CLUSTER;  // a grid has no more clusters than there are units
    barrier_wait(s.full, 0);
    multiply_half<0, true>(acc, me.a_at(0), me.b_at(0));
    for (;;) {
        const Unit unit = work.at(index);
        const u32 row = (unit.m * CLUSTER + rank) * TILE_M + me.warp * 16;
        const u32 column = unit.n * TILE_N;
        multiply_half<1, true>(acc, me.a_at(ring.slot), me.b_at(ring.slot));
        u32 previous = ring.slot;
        ring.advance();
        for (u32 k = 1; k < last_k; ++k) {
            barrier_wait(s.full + ring.slot * 8, ring.parity);
            multiply(acc, me.a_at(ring.slot), me.b_at(ring.slot), 1);
#if ROOTS
            if (k > 1) added.step();
#endif
            wgmma_wait<1>();
            me.release(previous);
            previous = ring.slot;
            ring.advance();
#if READS_EXTRA
            if (k == 1) added.fetch(extra, row, column);
#endif
        }
        barrier_wait(s.full + ring.slot * 8, ring.parity);
        multiply_half<0, false>(acc, me.a_at(ring.slot), me.b_at(ring.slot));
        multiply_half<1, false>(acc, me.a_at(ring.slot), me.b_at(ring.slot));
        wgmma_wait<2>();
        me.release(previous);
        previous = ring.slot;
        ring.advance();
#if READS_EXTRA
        if (last_k == 1) added.fetch(extra, row, column);
        added.complete();
#endif
        wgmma_wait<1>();
        pin_half<0>(acc);
        finish_boxes<0, 2>(acc, buffers, d, row, column, me.lane);

        // Behind the last unit these are products of what lies in the slot, which nothing reads, and the wait is for the phase before: branches around them
        // would cost the compiler its view.
        index += stride;
        barrier_wait(s.full + ring.slot * 8, ring.parity ^ (index < units ? 0 : 1));
        multiply_half<0, true>(acc, me.a_at(ring.slot), me.b_at(ring.slot));
        wgmma_wait<1>();
        pin_half<1>(acc);
        me.release(previous);
        finish_boxes<2, 4>(acc, buffers, d, row, column, me.lane);
        if (index >= units) break;
    }
    wgmma_wait<0>();
    if (me.lane == 0) wait_stores_read<0>();  // the buffers must outlive the stores
}

#else

__device__ __forceinline__ void consume(const Shared& s, const TensorMap* extra, const TensorMap* d, const Work& work, const Sums& sums, u32 rank) {
    const Consumer me(s);
    const u32 warp = me.warp, lane = me.lane;
    [[maybe_unused]] const u32 buffers = s.staging + warp * WARP_BYTES;
#if READS_EXTRA
    Extra added = {buffers, s.extra + warp * 8, lane, 0, 0, false};
#endif
    float acc[ACCUMULATORS];
#pragma unroll
    for (u32 i = 0; i < ACCUMULATORS; ++i) acc[i] = 0.0f;

    Ring<STAGES> ring = {0, 0};
    [[maybe_unused]] bool leading = threadIdx.x / WARPGROUP == 1;  // until it has let the other start
    if (LEAD > 0 && !leading) asm volatile("bar.sync 1, 256;" ::: "memory");
    for (u32 index = blockIdx.x / CLUSTER; index < work.units(); index += gridDim.x / CLUSTER) {
        const Unit unit = work.at(index);
        const u32 row = (unit.m * CLUSTER + rank) * TILE_M + warp * 16;
        const u32 column = unit.n * TILE_N;

        barrier_wait(s.full + ring.slot * 8, ring.parity);
        multiply(acc, me.a_at(ring.slot), me.b_at(ring.slot), 0);
        u32 previous = ring.slot;
        ring.advance();
        for (u32 k = unit.first_k + 1; k < unit.last_k; ++k) {
            barrier_wait(s.full + ring.slot * 8, ring.parity);
            multiply(acc, me.a_at(ring.slot), me.b_at(ring.slot), 1);
#if ROOTS
            if (k > 1) added.step();
#endif
            wgmma_wait<1>();
            me.release(previous);
            previous = ring.slot;
            ring.advance();
#if READS_EXTRA
            if (k == 1) added.fetch(extra, row, column);
#endif
            if (LEAD > 0 && leading && k == unit.first_k + LEAD) leading = let_follow();
        }
        if (LEAD > 0 && leading) leading = let_follow();
#if READS_EXTRA
        if (ROOTS) added.complete();
#endif
        wgmma_wait<0>();
        pin(acc);
        me.release(previous);
#if ACCUMULATES
        const u32 tile = (unit.m * CLUSTER + rank) * work.n_count + unit.n;
        const u32 last = unit.last_k - unit.first_k == work.k_blocks ? 0 : work.cuts - 1;
        if (row < sums.rows) add_tile(acc, sums.values, sums.columns, row, column, sums.turns + tile * CONSUMER_WARPS + warp, unit.turn, last, lane);
#else
#if READS_EXTRA
        if (!ROOTS) added.complete();
#endif
        finish_boxes<0, TILE_N / 64>(acc, buffers, d, row, column, lane);
#endif
    }
    if (lane == 0) wait_stores_read<0>();  // the buffers must outlive the stores
}

#endif

// ---- kernel --------------------------------------------------------------------------------------------------------------------------

// Grid: CLUSTER * min(cluster tiles, SMs / CLUSTER) blocks of 384 threads. m_count counts cluster tiles of CLUSTER * 128 rows.
extern "C" __global__ void __cluster_dims__(CLUSTER, 1, 1) __launch_bounds__(384, 1)
    KERNEL(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, const __grid_constant__ TensorMap extra,
           const __grid_constant__ TensorMap d, const Work work, const Sums sums) {
    await_earlier_kernels();
    extern __shared__ unsigned char raw[];
    const u32 base = (shared_address(raw) + 1023) & ~1023u;
    const u32 barriers = base + RING_BYTES + STAGING_BYTES;
    const Shared s = {base, base + RING_BYTES, barriers, barriers + STAGES * 8, barriers + 2 * STAGES * 8};
    const u32 rank = CLUSTER > 1 ? cluster_rank() : 0;

    if (threadIdx.x == 0) {
        for (u32 i = 0; i < STAGES; ++i) {
            barrier_init(s.full + i * 8, 1);
            barrier_init(s.empty + i * 8, 2 * CLUSTER);
        }
        for (u32 i = 0; i < CONSUMER_WARPS; ++i) barrier_init(s.extra + i * 8, 1);
        fence_barrier_init();
        prefetch_map(&a);
        prefetch_map(&b);
        if (!ACCUMULATES) prefetch_map(&d);
        if (READS_EXTRA) prefetch_map(&extra);
    }
    cluster_sync();

    if (threadIdx.x < WARPGROUP) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) produce(s, &a, &b, work, rank);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume(s, &extra, &d, work, sums, rank);
    }
    cluster_sync();  // a block's shared memory and barriers must outlive its partner's copies and arrivals
}
