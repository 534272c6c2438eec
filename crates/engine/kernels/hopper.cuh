// Hopper's own instructions, as far as the kernels need them: mbarriers, clusters, the copy engine (TMA) and wgmma. It stands behind the prelude in front
// of the sources of attention, gemm and symmetric_product, which are compiled without headers.
// Source: PTX ISA 9.0, sections on mbarrier, cp.async.bulk.tensor, cp.reduce.async.bulk and wgmma (matrix descriptor, register fragments).
// GUARD 1: a wait that polls very long traps, for bring-up.

#ifndef GUARD
#define GUARD 0
#endif

struct alignas(64) TensorMap {
    u64 opaque[16];
};

[[maybe_unused]] constexpr u32 WARPGROUP = 128;
[[maybe_unused]] constexpr float LOG2_E = 1.4426950408889634f;
[[maybe_unused]] constexpr float LN_2 = 0.6931471805599453f;

__device__ __forceinline__ float infinity() {
    return __int_as_float(0x7F800000);
}

// ---- barriers and fences -------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ u32 shared_address(const void* p) {
    return static_cast<u32>(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void barrier_init(u32 barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ bool barrier_try_wait(u32 barrier, u32 parity) {
    u32 done;
    asm volatile(
        "{\n\t.reg .pred p;\n\t"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n\t"
        "selp.u32 %0, 1, 0, p;\n\t}"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
    return done != 0;
}

__device__ __forceinline__ void barrier_wait(u32 barrier, u32 parity) {
#if GUARD
    for (u32 polls = 0; !barrier_try_wait(barrier, parity); ++polls) {
        if (polls > (1u << 18)) __trap();  // each poll already sleeps for a while in hardware
    }
#else
    while (!barrier_try_wait(barrier, parity)) {
    }
#endif
}

__device__ __forceinline__ void barrier_expect(u32 barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void barrier_arrive(u32 barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// One arrival for a whole warp, after all of its lanes are done.
__device__ __forceinline__ void warp_arrive(u32 barrier, u32 lane) {
    __syncwarp();
    if (lane == 0) barrier_arrive(barrier);
}

// Arrives on the barrier at the same place in the shared memory of block `rank` of the cluster.
__device__ __forceinline__ void barrier_arrive_at(u32 barrier, u32 rank) {
    asm volatile(
        "{\n\t.reg .b32 remote;\n\t"
        "mapa.shared::cluster.u32 remote, %0, %1;\n\t"
        "mbarrier.arrive.shared::cluster.b64 _, [remote];\n\t}" ::"r"(barrier),
        "r"(rank)
        : "memory");
}

// Makes barriers that were set up known to the cluster.
__device__ __forceinline__ void fence_barrier_init() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void cluster_sync() {
    asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
}

__device__ __forceinline__ u32 cluster_rank() {
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// The position in a ring of SLOTS slots, and the parity that flips with each turn.
template <u32 SLOTS>
struct Ring {
    u32 slot, parity;

    __device__ __forceinline__ void advance() {
        if (++slot == SLOTS) {
            slot = 0;
            parity ^= 1;
        }
    }
};

// Makes this thread's ordinary writes to shared memory visible to wgmma and the copy engine.
__device__ __forceinline__ void fence_async() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

template <u32 ID, u32 THREADS>
__device__ __forceinline__ void named_sync() {
    asm volatile("bar.sync %0, %1;" ::"n"(ID), "n"(THREADS) : "memory");
}

__device__ __forceinline__ void named_sync(u32 id, u32 threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void named_arrive(u32 id, u32 threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ u32 read_shared(u32 address) {
    u32 value;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(value) : "r"(address) : "memory");
    return value;
}

__device__ __forceinline__ float2 read_shared_pair(u32 address) {
    float2 pair;
    asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(pair.x), "=f"(pair.y) : "r"(address));
    return pair;
}

__device__ __forceinline__ void write_shared(u32 address, u32 value) {
    asm volatile("st.shared.u32 [%0], %1;" ::"r"(address), "r"(value) : "memory");
}

// ---- copies --------------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void prefetch_map(const TensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// Coordinates: column, time, batch. Rows past the end of a sequence are read as zeros and not written.
__device__ __forceinline__ void load_box(u32 target, const TensorMap* map, u32 barrier, u32 column, u32 time, u32 batch) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(target),
        "l"(map), "r"(barrier), "r"(column), "r"(time), "r"(batch)
        : "memory");
}

__device__ __forceinline__ void load_bytes(u32 target, const void* source, u32 bytes, u32 barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(target), "l"(source),
                 "r"(bytes), "r"(barrier)
                 : "memory");
}

__device__ __forceinline__ void commit_stores() {
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

__device__ __forceinline__ void store_box(const TensorMap* map, u32 source, u32 column, u32 time, u32 batch) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(map), "r"(source), "r"(column), "r"(time),
                 "r"(batch)
                 : "memory");
}

// Adds `bytes` of fp32 onto global memory.
__device__ __forceinline__ void reduce_bytes(float* target, u32 source, u32 bytes) {
    asm volatile("cp.reduce.async.bulk.global.shared::cta.bulk_group.add.f32 [%0], [%1], %2;" ::"l"(target), "r"(source), "r"(bytes) : "memory");
}

// Waits until at most PENDING of this thread's groups of stores still have to read their shared memory.
template <u32 PENDING>
__device__ __forceinline__ void wait_stores_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}

// ---- wgmma ---------------------------------------------------------------------------------------------------------------------------

// Low half of a shared-memory matrix descriptor, in 16-byte units. LBO (upper 16 bits) is the step between 64-wide slabs of an MN-major operand (`slab`
// bytes); a K-major operand of one swizzle width does not use it. The high half is the same for all: 128-byte swizzle (1 in bits 30-31), and SBO, the step
// between groups of 8 rows of 128 bytes.
__device__ __forceinline__ u32 descriptor(u32 address, u32 slab = 16) {
    return ((slab >> 4) << 16) | (address >> 4);
}

#define DESCRIPTOR_HIGH "0x40000040"

__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <u32 PENDING>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Keeps the compiler from moving reads of the accumulators above the wait that makes them valid.
template <u32 N>
__device__ __forceinline__ void pin(float (&acc)[N]) {
#pragma unroll
    for (u32 i = 0; i < N; ++i) asm volatile("" : "+f"(acc[i])::"memory");
}

template <u32 N>
__device__ __forceinline__ void pin(u32 (&packed)[N]) {
#pragma unroll
    for (u32 i = 0; i < N; ++i) asm volatile("" : "+r"(packed[i])::"memory");
}

#define ACC4(i) "+f"(acc[i]), "+f"(acc[i + 1]), "+f"(acc[i + 2]), "+f"(acc[i + 3])
#define ACC16(i) ACC4(i), ACC4(i + 4), ACC4(i + 8), ACC4(i + 12)
#define ACC32(i) ACC16(i), ACC16(i + 16)
#define ACC64(i) ACC32(i), ACC32(i + 32)

#define REGISTERS_32 \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    " %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define FIRST_64 \
    "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
    "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
    "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
    "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define REGISTERS_64 "{" FIRST_64 "}"
#define REGISTERS_128 \
    "{" FIRST_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
    "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
    "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
    "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}"

#define NEW4(i) "=&f"(acc[i]), "=&f"(acc[i + 1]), "=&f"(acc[i + 2]), "=&f"(acc[i + 3])
#define NEW16(i) NEW4(i), NEW4(i + 4), NEW4(i + 8), NEW4(i + 12)
#define NEW32(i) NEW16(i), NEW16(i + 16)
#define NEW64(i) NEW32(i), NEW32(i + 32)

// acc[64 x 2 |acc|] = a . b over 16 of K. A_ACROSS, B_ACROSS: the operand is MN-major, it lies with M (N) contiguous, not K. What acc held before is dead, and the compiler knows.
// The steps are added to the descriptors in here, so that the compiler does not keep every sum in a register of its own.
template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma_new(float (&acc)[32], u32 a, u32 a_step, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 a, b;\n\t"
        "add.u32 low, %32, %33;\n\tmov.b64 a, {low, " DESCRIPTOR_HIGH "};\n\t"
        "add.u32 low, %34, %35;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " REGISTERS_32 ", a, b, 0, 1, 1, %36, %37;\n\t}"
        : NEW32(0)
        : "r"(a), "r"(a_step), "r"(b), "r"(b_step), "n"(A_ACROSS), "n"(B_ACROSS));
}

template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma_new(float (&acc)[64], u32 a, u32 a_step, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 a, b;\n\t"
        "add.u32 low, %64, %65;\n\tmov.b64 a, {low, " DESCRIPTOR_HIGH "};\n\t"
        "add.u32 low, %66, %67;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " REGISTERS_64 ", a, b, 0, 1, 1, %68, %69;\n\t}"
        : NEW64(0)
        : "r"(a), "r"(a_step), "r"(b), "r"(b_step), "n"(A_ACROSS), "n"(B_ACROSS));
}

// The same with a from registers: four packed registers hold 16 of K, in the order of the accumulators of the product they come from.
template <int B_ACROSS>
__device__ __forceinline__ void wgmma_new(float (&acc)[64], const u32* a, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 b;\n\t"
        "add.u32 low, %68, %69;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " REGISTERS_64 ", {%64, %65, %66, %67}, b, 0, 1, 1, %70;\n\t}"
        : NEW64(0)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(b_step), "n"(B_ACROSS));
}

// acc += a . b
template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma(float (&acc)[32], u32 a, u32 a_step, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 a, b;\n\t"
        "add.u32 low, %32, %33;\n\tmov.b64 a, {low, " DESCRIPTOR_HIGH "};\n\t"
        "add.u32 low, %34, %35;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " REGISTERS_32 ", a, b, 1, 1, 1, %36, %37;\n\t}"
        : ACC32(0)
        : "r"(a), "r"(a_step), "r"(b), "r"(b_step), "n"(A_ACROSS), "n"(B_ACROSS));
}

template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma(float (&acc)[64], u32 a, u32 a_step, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 a, b;\n\t"
        "add.u32 low, %64, %65;\n\tmov.b64 a, {low, " DESCRIPTOR_HIGH "};\n\t"
        "add.u32 low, %66, %67;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " REGISTERS_64 ", a, b, 1, 1, 1, %68, %69;\n\t}"
        : ACC64(0)
        : "r"(a), "r"(a_step), "r"(b), "r"(b_step), "n"(A_ACROSS), "n"(B_ACROSS));
}

template <int B_ACROSS>
__device__ __forceinline__ void wgmma(float (&acc)[64], const u32* a, u32 b, u32 b_step) {
    asm volatile(
        "{\n\t.reg .b32 low;\n\t.reg .b64 b;\n\t"
        "add.u32 low, %68, %69;\n\tmov.b64 b, {low, " DESCRIPTOR_HIGH "};\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " REGISTERS_64 ", {%64, %65, %66, %67}, b, 1, 1, 1, %70;\n\t}"
        : ACC64(0)
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b), "r"(b_step), "n"(B_ACROSS));
}

// ---- products of stages in shared memory ---------------------------------------------------------------------------------------------

// Whole shared-memory matrix descriptor, 128-byte swizzle (1 in bits 62-63), all sizes in 16-byte units: SBO is the step between groups of 8 rows of 128
// bytes, LBO the step between 64-wide slabs of an MN-major operand, 64 of K high; a K-major operand of one swizzle width does not use it.
template <bool ACROSS>
__device__ __forceinline__ u64 slab_descriptor(u32 address) {
    const u64 leading = ACROSS ? 64 * 128 : 16, stride = 1024;
    return (1ull << 62) | ((stride >> 4) << 32) | ((leading >> 4) << 16) | ((address & 0x3FFFF) >> 4);
}

// acc = a . b^T + (keep ? acc : 0) over 16 of K.
template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma(float (&acc)[128], u64 a, u64 b, int keep) {
    asm volatile(
        "{\n\t.reg .pred keep;\n\tsetp.ne.b32 keep, %130, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 " REGISTERS_128 ", %128, %129, keep, 1, 1, %131, %132;\n\t}"
        : ACC64(0), ACC64(64)
        : "l"(a), "l"(b), "r"(keep), "n"(A_ACROSS), "n"(B_ACROSS));
}

template <int A_ACROSS, int B_ACROSS>
__device__ __forceinline__ void wgmma(float (&acc)[64], u64 a, u64 b, int keep) {
    asm volatile(
        "{\n\t.reg .pred keep;\n\tsetp.ne.b32 keep, %66, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " REGISTERS_64 ", %64, %65, keep, 1, 1, %67, %68;\n\t}"
        : ACC64(0)
        : "l"(a), "l"(b), "r"(keep), "n"(A_ACROSS), "n"(B_ACROSS));
}

// A stage: 64 of K in four steps. A K-major step is 32 bytes along the swizzled row, an MN-major step is 16 rows of 128 bytes.
template <int A_ACROSS, int B_ACROSS, u32 N>
__device__ __forceinline__ void multiply_stage(float (&acc)[N], u64 a, u64 b, int keep) {
    constexpr u32 A_STEP = (A_ACROSS ? 16 * 128 : 32) >> 4;
    constexpr u32 B_STEP = (B_ACROSS ? 16 * 128 : 32) >> 4;
    wgmma_fence();
#pragma unroll
    for (u32 k = 0; k < 4; ++k) wgmma<A_ACROSS, B_ACROSS>(acc, a + k * A_STEP, b + k * B_STEP, k == 0 ? keep : 1);
    wgmma_commit();
}

// One of two warpgroups goes ahead of the other, so that one's results go out beside the other's products: lets the other start; false, which is what
// `leading` becomes.
__device__ __forceinline__ bool let_follow() {
    named_arrive(1, 256);
    return false;
}

// ---- registers -----------------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ u32 pack(float low, float high) {
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

// Where a lane's row of a warp's 16 rows of 128 bytes begins, for store_block: 16-byte chunk c of row r lies at chunk c ^ (r % 8) (128-byte swizzle).
__device__ __forceinline__ u32 swizzled_line(u32 rows, u32 lane) {
    return rows + (lane & 15) * 128 + (((lane >> 4) ^ (lane & 7)) << 4);
}

// Writes a warp's 16 x 16 block, the number `pair` along the rows: four packed registers, rows 0-7 and 8-15 of two neighbouring groups of 8 columns.
__device__ __forceinline__ void store_block(u32 line, u32 pair, u32 r0, u32 r1, u32 r2, u32 r3) {
    asm volatile(
        "{\n\t.reg .b32 place;\n\txor.b32 place, %0, %1;\n\t"
        "stmatrix.sync.aligned.m8n8.x4.shared.b16 [place], {%2, %3, %4, %5};\n\t}" ::"r"(line),
        "r"(pair << 5), "r"(r0), "r"(r1), "r"(r2), "r"(r3)
        : "memory");
}
