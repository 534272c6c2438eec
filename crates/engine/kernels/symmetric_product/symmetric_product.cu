// d = alpha·x·xᵀ (+ beta·c) for a stack of matrices: products that are symmetric, with the tiles above the diagonal mirrored
// rather than computed.
//
// A cluster of two blocks makes a tile of 256×256: 128 rows a block, and each block loads half of the other operand's rows
// for both (multicast). One thread keeps a ring of stages full through the copy engine; two warpgroups own 64×256 sums each
// and take them to memory themselves, once as they are and, off the diagonal, once transposed. As one tile's sums go out,
// the ring already fills for the next. Units are dealt out in the order of the matrices, so that what neighbouring clusters
// read is the same and lies in the L2 cache.
//
// MN: x is stored transposed, K rows of a matrix's side. EXTRA: adds beta·c.
// Limits: sm_90a; sides are multiples of 256, K of 64 and at least 128.
// Source: PTX ISA 9.0, sections on wgmma (matrix descriptors), cp.async.bulk.tensor, mbarrier, stmatrix.

#ifndef MN
#define MN 0
#define EXTRA 0
#endif

constexpr u32 STAGES = 4;
constexpr u32 TILE_K = 64;
constexpr u32 LEAD = 2; // k-blocks by which the first warpgroup is ahead, so that its results go out beside the other's products
constexpr u32 WARPS = 8;                    // that compute
constexpr u32 SLAB = 64 * 128;              // bytes of 64×64 elements
constexpr u32 ROWS_BYTES = 2 * SLAB;        // a block's 128 rows of one stage
constexpr u32 STAGE_BYTES = 3 * ROWS_BYTES; // its own rows, and the 256 of the other operand
constexpr u32 BOX = 16 * 128;               // bytes of a warp's 16 rows of 64 columns
constexpr u32 RING_BYTES = STAGES * STAGE_BYTES;
constexpr u32 STAGING_BYTES = WARPS * 2 * BOX;
// A launch needs 1024 bytes to align the ring, RING_BYTES, STAGING_BYTES and 16 bytes a stage.

struct Work {
    u32 tiles;    // 256-wide tiles along a side
    u32 count;    // matrices
    u32 k_blocks; // K / 64
    float alpha, beta;
};

// Rows from `row` at k-block `k` of a matrix: for this block alone, or for both.
__device__ __forceinline__ void load_rows(u32 target, const TensorMap* map, u32 full, u32 matrix, u32 side, u32 row,
                                          u32 k, u32 k_blocks, bool both) {
    const unsigned short mask = 3;
#if MN
    u32 line = (matrix * k_blocks + k) * TILE_K, slab = row / 64;
    if (both)
        asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                     "[%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(target),
                     "l"(map), "r"(full), "r"(0), "r"(line), "r"(slab), "h"(mask)
                     : "memory");
    else
        asm volatile("cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes "
                     "[%0], [%1, {%3, %4, %5}], [%2];" ::"r"(target),
                     "l"(map), "r"(full), "r"(0), "r"(line), "r"(slab)
                     : "memory");
#else
    u32 column = k * TILE_K, line = matrix * side + row;
    if (both)
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster "
                     "[%0], [%1, {%3, %4}], [%2], %5;" ::"r"(target),
                     "l"(map), "r"(full), "r"(column), "r"(line), "h"(mask)
                     : "memory");
    else
        asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes "
                     "[%0], [%1, {%3, %4}], [%2];" ::"r"(target),
                     "l"(map), "r"(full), "r"(column), "r"(line)
                     : "memory");
#endif
}

struct Unit {
    u32 matrix, m, n; // tile (m, n) with n ≤ m
};

__device__ __forceinline__ Unit unit_at(const Work& work, u32 index) {
    u32 each = work.tiles * (work.tiles + 1) / 2, tile = index % each, m = 0;
    while ((m + 1) * (m + 2) / 2 <= tile) m++;
    return {index / each, m, tile - m * (m + 1) / 2};
}

struct Places {
    u32 ring, staging, full, empty;
};

__device__ __forceinline__ void produce(const Places& at, const TensorMap* map, const Work& work, u32 units, u32 rank) {
    Ring<STAGES> ring = {0, 1}; // a fresh barrier lets a wait for the odd parity pass
    u32 side = work.tiles * 256;
    for (u32 index = blockIdx.x / 2; index < units; index += gridDim.x / 2) {
        Unit unit = unit_at(work, index);
        u32 row = unit.m * 256 + rank * 128, column = unit.n * 256 + rank * 128;
        for (u32 k = 0; k < work.k_blocks; k++) {
            barrier_wait(at.empty + ring.slot * 8, ring.parity);
            u32 full = at.full + ring.slot * 8, target = at.ring + ring.slot * STAGE_BYTES;
            barrier_expect(full, STAGE_BYTES);
            load_rows(target, map, full, unit.matrix, side, row, k, work.k_blocks, false);
            load_rows(target + (1 + rank) * ROWS_BYTES, map, full, unit.matrix, side, column, k, work.k_blocks, true);
            ring.advance();
        }
    }
}

// A warp is done with a slot: both blocks must know, since each fills half of the other's.
__device__ __forceinline__ void release(const Places& at, u32 slot, u32 lane) {
    if (lane < 2) barrier_arrive_at(at.empty + slot * 8, lane);
    __syncwarp();
}

__device__ __forceinline__ uint4 load_shared(u32 address) {
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(address)
                 : "memory");
    return v;
}
__device__ __forceinline__ void store_shared(u32 address, uint4 v) {
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
}
__device__ __forceinline__ void store_global(bf16* to, uint4 v) {
    asm volatile("st.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

// 16-byte piece `i` of this lane's four in a warp's box of 16 rows by 64 columns: its row and its column.
struct Piece {
    u32 row, chunk;
    __device__ __forceinline__ Piece(u32 lane, u32 i) : row(i * 4 + lane / 8), chunk(lane % 8) {}
    __device__ __forceinline__ u32 place() const { return row * 128 + ((chunk ^ (row & 7)) << 4); }
};

__device__ __forceinline__ void load_box(uint4 (&v)[4], const bf16* from, u32 side, u32 lane) {
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        Piece piece(lane, i);
        v[i] = *reinterpret_cast<const uint4*>(from + (i64)piece.row * side + piece.chunk * 8);
    }
}

__device__ __forceinline__ u32 finished(const Work& work, float low, float high, u32 extra) {
    low *= work.alpha, high *= work.alpha;
    if (EXTRA) {
        low = fmaf(work.beta, __uint_as_float(extra << 16), low);
        high = fmaf(work.beta, __uint_as_float(extra & 0xffff0000u), high);
    }
    return pack_bf16(low, high);
}

// A warp's 16×256 sums: `own` and `extra` point at the first, `mirror` at where the first goes above the diagonal, or nowhere;
// `next` holds the first box of `extra`.
// Of every 8 columns a lane holds two, of rows lane/4 and that plus 8, which is what the matrix forms of shared loads and
// stores exchange: four 8×8 blocks at a time, here rows 0-7 and 8-15 of two neighbouring groups of 8 columns.
__device__ __forceinline__ void finish(const float (&acc)[128], const Work& work, u32 straight, u32 turned, bf16* own,
                                       bf16* mirror, const bf16* extra, uint4 (&next)[4], u32 lane) {
    u32 side = work.tiles * 256, line = (lane & 15) * 128;
    // Rows of `turned` are columns here, 32 bytes each; the two halves change places so that eight rows meet no bank twice.
    u32 turned_line = ((lane >> 4) * 8 + (lane & 7)) * 32 + ((((lane >> 3) ^ (lane >> 2)) & 1) << 4);
#pragma unroll
    for (u32 box = 0; box < 4; box++) {
        if (EXTRA) {
#pragma unroll
            for (u32 i = 0; i < 4; i++) store_shared(straight + Piece(lane, i).place(), next[i]);
            if (box < 3) load_box(next, extra + (box + 1) * 64, side, lane);
            __syncwarp();
        }
#pragma unroll
        for (u32 pair = 0; pair < 4; pair++) {
            u32 address = straight + line + (((2 * pair + (lane >> 4)) ^ (lane & 7)) << 4);
            u32 i = (box * 8 + pair * 2) * 4, e0 = 0, e1 = 0, e2 = 0, e3 = 0;
            if (EXTRA)
                asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                             : "=r"(e0), "=r"(e1), "=r"(e2), "=r"(e3)
                             : "r"(address)
                             : "memory");
            e0 = finished(work, acc[i], acc[i + 1], e0);
            e1 = finished(work, acc[i + 2], acc[i + 3], e1);
            e2 = finished(work, acc[i + 4], acc[i + 5], e2);
            e3 = finished(work, acc[i + 6], acc[i + 7], e3);
            asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(e0),
                         "r"(e1), "r"(e2), "r"(e3)
                         : "memory");
            if (mirror)
                asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(
                                 turned + turned_line + pair * 512),
                             "r"(e0), "r"(e1), "r"(e2), "r"(e3)
                             : "memory");
        }
        __syncwarp();
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            Piece piece(lane, i);
            bf16* to = own + (i64)piece.row * side + box * 64 + piece.chunk * 8;
            store_global(to, load_shared(straight + piece.place()));
        }
        if (mirror)
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                u32 row = i * 16 + lane / 2, half = lane & 1;
                bf16* to = mirror + (i64)(box * 64 + row) * side + half * 8;
                store_global(to, load_shared(turned + row * 32 + ((half ^ ((row >> 2) & 1)) << 4)));
            }
        __syncwarp();
    }
}

__device__ __forceinline__ void consume(const Places& at, bf16* d, const bf16* c, const Work& work, u32 units, u32 rank) {
    u32 group = threadIdx.x / 128 - 1, warp = threadIdx.x / 32 - 4, lane = threadIdx.x % 32;
    u32 straight = at.staging + warp * 2 * BOX, side = work.tiles * 256;
    // Whichever way the operand is stored, 64 rows are one slab.
    u64 a = slab_descriptor<MN>(at.ring + group * SLAB), b = slab_descriptor<MN>(at.ring + ROWS_BYTES);
    float acc[128];
#pragma unroll
    for (u32 i = 0; i < 128; i++) acc[i] = 0.0f;
    Ring<STAGES> ring = {0, 0};
    bool leads = group == 0; // until it has let the other start
    if (group == 1) asm volatile("bar.sync 1, 256;" ::: "memory");
    for (u32 index = blockIdx.x / 2; index < units; index += gridDim.x / 2) {
        Unit unit = unit_at(work, index);
        u32 row = unit.m * 256 + rank * 128 + warp * 16, column = unit.n * 256;
        i64 matrix = (i64)unit.matrix * side * side;
        i64 straight_at = matrix + (i64)row * side + column, turned_at = matrix + (i64)column * side + row;
        barrier_wait(at.full + ring.slot * 8, ring.parity);
        multiply_stage<MN, MN>(acc, a + ring.slot * (STAGE_BYTES >> 4), b + ring.slot * (STAGE_BYTES >> 4), 0);
        u32 previous = ring.slot;
        ring.advance();
        for (u32 k = 1; k < work.k_blocks; k++) {
            barrier_wait(at.full + ring.slot * 8, ring.parity);
            multiply_stage<MN, MN>(acc, a + ring.slot * (STAGE_BYTES >> 4), b + ring.slot * (STAGE_BYTES >> 4), 1);
            wgmma_wait<1>();
            release(at, previous, lane);
            previous = ring.slot;
            ring.advance();
            if (leads && k == LEAD) leads = let_follow();
        }
        if (leads) leads = let_follow();
        uint4 first[4];
        if (EXTRA) load_box(first, c + straight_at, side, lane);
        wgmma_wait<0>();
        pin(acc);
        release(at, previous, lane);
        finish(acc, work, straight, straight + BOX, d + straight_at, unit.m == unit.n ? nullptr : d + turned_at,
               c + straight_at, first, lane);
    }
}

static_assert(LEAD < STAGES, "the leading warpgroup would wait for slots that the other has yet to free");

// Grid: two blocks for each cluster, as many as fit the device and no more than there are units.
extern "C" __global__ void __cluster_dims__(2, 1, 1) __launch_bounds__(384, 1)
    symmetric_product(const __grid_constant__ TensorMap x, bf16* d, const bf16* c, const Work work) {
    await_earlier_kernels();
    extern __shared__ unsigned char raw[];
    u32 base = (shared_address(raw) + 1023) & ~1023u, barriers = base + RING_BYTES + STAGING_BYTES, rank = cluster_rank();
    Places at = {base, base + RING_BYTES, barriers, barriers + STAGES * 8};
    if (threadIdx.x == 0) {
        for (u32 i = 0; i < STAGES; i++) {
            barrier_init(at.full + i * 8, 1);
            barrier_init(at.empty + i * 8, 2 * WARPS);
        }
        fence_barrier_init();
        prefetch_map(&x);
    }
    cluster_sync();
    u32 units = work.count * (work.tiles * (work.tiles + 1) / 2);
    if (threadIdx.x < 128) {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) produce(at, &x, work, units, rank);
    } else {
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        consume(at, d, c, work, units, rank);
    }
    cluster_sync(); // a block's memory and barriers must outlive what its partner sends
}
