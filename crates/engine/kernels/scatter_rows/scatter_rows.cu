// dtable[token] += Σ s·dy over the token's positions, and with GATED ds = dy · table[token] for each head in the same pass.
//
// The positions come sorted by token (`token_order`), so a token is a run. A warp adds a run of up to SHORT positions in their
// order, and touches the table's gradient once: no atomics, the same sums every time. A longer run is cut where the sorted
// positions are cut into pieces of SHORT: a warp for each piece leaves its sum in `partial`, and `scatter_rows_long` adds those
// in order. At most two long runs meet a piece: one that began before it, one that begins in it.
//
// A warp holds COLUMNS of the C columns; blockIdx.y tells which. C is a multiple of 8, a head's D divides 256.

#ifndef C
#define C 1280
#define VECTORS 5
#endif
// A row of dy has STRIDE elements, those of the table begin at OFFSET.
#ifndef STRIDE
#define STRIDE C
#define OFFSET 0
#endif
#ifndef GATED
#define GATED 0
#define D 128
#define K 1
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TG
#define TG bf16
#endif
#ifndef TT
#define TT bf16
#endif
#ifndef TS
#define TS float
#endif
#ifndef TY
#define TY float
#endif

constexpr int THREADS = 128, WARPS = THREADS / 32;
constexpr int COLUMNS = VECTORS * 256;
constexpr int SHORT = 32;
// Sorted positions whose runs a warp takes.
constexpr int OWN = 8;

struct Sum {
    float at[VECTORS][8];
};

struct Operands {
    const TX* dy;
    const TT* table;
    const TS* s;
    TY* ds;
    int vocabulary;
};

__device__ __forceinline__ int column(int i) { return blockIdx.y * COLUMNS + (i * 32 + threadIdx.x % 32) * 8; }

// Adds `count` positions, those that lanes `lane` and following hold, which all have this token.
__device__ __forceinline__ void add_positions(Sum& sum, const Operands& o, u32 token, u32 position, int lane, int count) {
    constexpr int HEAD_LANES = D / 8 < 32 ? D / 8 : 32;
    bool known = token < (u32)o.vocabulary;
    Packed8<TT> entry[VECTORS];
    if (GATED)
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (column(i) < C) entry[i] = packed8(o.table + (known ? token : 0) * (i64)C + column(i));
#pragma unroll 2
    for (int at = 0; at < count; at++) {
        i64 row = __shfl_sync(0xffffffffu, position, lane + at);
        Packed8<TX> held[VECTORS];
#pragma unroll
        for (int i = 0; i < VECTORS; i++)
            if (column(i) < C) held[i] = packed8(o.dy + row * STRIDE + OFFSET + column(i));
#pragma unroll
        for (int i = 0; i < VECTORS; i++) {
            bool inside = column(i) < C;
            F32x8 x = {};
            if (inside) x = held[i].f32();
            if (!GATED) {
#pragma unroll
                for (int j = 0; j < 8; j++) sum.at[i][j] += x.at[j];
                continue;
            }
            F32x8 e = {};
            float strength = 0, dot = 0;
            if (inside) e = entry[i].f32(), strength = to_f32(o.s[row * K + column(i) / D]);
#pragma unroll
            for (int j = 0; j < 8; j++) {
                dot += x.at[j] * e.at[j];
                sum.at[i][j] += strength * x.at[j];
            }
#pragma unroll
            for (int offset = HEAD_LANES / 2; offset > 0; offset /= 2) dot += __shfl_xor_sync(0xffffffffu, dot, offset);
            if (inside && o.ds && threadIdx.x % HEAD_LANES == 0)
                o.ds[row * K + column(i) / D] = from_f32<TY>(known ? dot : 0.0f);
        }
    }
}

// How many of 32 lanes from 0 on hold this token; `index` beyond `count`, or below 0, does not.
__device__ __forceinline__ int run(const uint2* order, i64 index, int count, u32 token) {
    bool same = index >= 0 && index < count && order[index].x == token;
    return __popc(__ballot_sync(0xffffffffu, same));
}

// A run of up to SHORT positions for each run that begins among the OWN of this warp.
__device__ __forceinline__ void short_runs(TG* dtable, const uint2* order, const Operands& o, i64 warp, int count) {
    int lane = threadIdx.x % 32;
    for (i64 at = warp * OWN; at < (warp + 1) * OWN && at < count;) {
        uint2 held = at + lane < count ? order[at + lane] : make_uint2(~0u, 0u);
        u32 token = __shfl_sync(0xffffffffu, held.x, 0);
        int length = __popc(__ballot_sync(0xffffffffu, at + lane < count && held.x == token));
        bool begins = at == 0 || order[at - 1].x != token;
        bool ends = length < SHORT || at + SHORT >= count || order[at + SHORT].x != token;
        if (begins && ends) {
            bool known = token < (u32)o.vocabulary;
            TG* to = dtable + (known ? token : 0) * (i64)C;
            Packed8<TG> before[VECTORS];
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
                if (column(i) < C) before[i] = packed8(to + column(i));
            Sum sum = {};
            add_positions(sum, o, token, held.y, 0, length);
#pragma unroll
            for (int i = 0; i < VECTORS; i++)
                if (column(i) < C && known) {
                    F32x8 x = before[i].f32();
#pragma unroll
                    for (int j = 0; j < 8; j++) x.at[j] += sum.at[i][j];
                    store8(to + column(i), x);
                }
        }
        at += length;
    }
}

// Which lanes of a piece belong to a long run that begins in it: (first lane, token), or 32 where there is none.
struct Begin {
    int lane;
    u32 token;
};
__device__ __forceinline__ Begin long_run_in(const uint2* order, i64 piece, int count) {
    int lane = threadIdx.x % 32, size = count - piece * SHORT < SHORT ? (int)(count - piece * SHORT) : SHORT;
    if (size < SHORT) return {32, 0};
    u32 own = order[piece * SHORT + lane].x, token = __shfl_sync(0xffffffffu, own, 31);
    int inside = __popc(__ballot_sync(0xffffffffu, own == token));
    bool begins = inside < SHORT || piece == 0 || order[piece * SHORT - 1].x != token;
    int after = run(order, (piece + 1) * SHORT + lane, count, token);
    return {begins && inside + after > SHORT ? SHORT - inside : 32, token};
}

__device__ __forceinline__ void leave(float* partial, i64 slot, const Sum& sum) {
#pragma unroll
    for (int i = 0; i < VECTORS; i++)
        if (column(i) < C) {
            F32x8 x;
#pragma unroll
            for (int j = 0; j < 8; j++) x.at[j] = sum.at[i][j];
            store8(partial + slot * C + column(i), x);
        }
}

// The piece's parts of long runs: partial[piece][0] of one that began before, partial[piece][1] of one that begins here.
__device__ __forceinline__ void long_parts(float* partial, const uint2* order, const Operands& o, i64 piece, int count) {
    int lane = threadIdx.x % 32;
    i64 at = piece * SHORT + lane;
    uint2 held = at < count ? order[at] : make_uint2(~0u, 0u);
    u32 token = __shfl_sync(0xffffffffu, held.x, 0);
    int inside = __popc(__ballot_sync(0xffffffffu, at < count && held.x == token));
    // Positions of this token before the piece, as far as it matters, counted from the nearest.
    int before = run(order, piece * SHORT - 1 - lane, count, token);
    int after = inside < SHORT ? 0 : run(order, (piece + 1) * SHORT + lane, count, token);
    if (before > 0 && before + inside + after > SHORT) {
        Sum sum = {};
        add_positions(sum, o, token, held.y, 0, inside);
        leave(partial, 2 * piece, sum);
    }
    Begin begin = long_run_in(order, piece, count);
    if (begin.lane < 32) {
        Sum sum = {};
        add_positions(sum, o, begin.token, held.y, begin.lane, SHORT - begin.lane);
        leave(partial, 2 * piece + 1, sum);
    }
}

// The first `pieces` warps take pieces of long runs, which are most work; the others the short runs.
extern "C" __global__ void __launch_bounds__(THREADS, GATED ? 3 : 4)
    scatter_rows(TG* dtable, TY* ds, float* partial, const TX* dy, const uint2* order, const TS* s, const TT* table,
                 int vocabulary, int pieces, int count) {
    await_earlier_kernels();
    Operands o = {dy, table, s, ds, vocabulary};
    i64 warp = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (warp < pieces)
        long_parts(partial, order, o, warp, count);
    else
        short_runs(dtable, order, o, warp - pieces, count);
}

// A block for each piece: where a long run begins in it, adds all its parts to the table's gradient.
extern "C" __global__ void __launch_bounds__(THREADS)
    scatter_rows_long(TG* dtable, const float* partial, const uint2* order, int vocabulary, int pieces, int count) {
    await_earlier_kernels();
    i64 piece = blockIdx.x;
    int lane = threadIdx.x % 32;
    Begin begin = long_run_in(order, piece, count);
    if (begin.lane == 32 || begin.token >= (u32)vocabulary) return;
    // Pieces after this one that the run reaches.
    int more = 0;
    for (;;) {
        int reached = run(order, (piece + 1 + more + lane) * SHORT, count, begin.token);
        more += reached;
        if (reached < 32) break;
    }
    for (int c = threadIdx.x * 8; c < C; c += THREADS * 8) {
        F32x8 sum = load8(partial + (2 * piece + 1) * C + c);
#pragma unroll 4
        for (int i = 1; i <= more; i++) {
            F32x8 part = load8(partial + 2 * (piece + i) * C + c);
#pragma unroll
            for (int j = 0; j < 8; j++) sum.at[j] += part.at[j];
        }
        TG* to = dtable + begin.token * (i64)C + c;
        F32x8 x = load8(to);
#pragma unroll
        for (int j = 0; j < 8; j++) x.at[j] += sum.at[j];
        store8(to, x);
    }
}
