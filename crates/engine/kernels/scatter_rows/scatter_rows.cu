// dtable[token] += Σ s·dy over the token's positions, and with GATED ds = dy · table[token] for each head in the same pass.
//
// The positions come sorted by token (`token_order`), so a token is a run. A warp adds a run of up to SHORT positions in their
// order, and touches the table's gradient once: the same sums every time. A longer run is cut where the sorted positions are cut
// into pieces of SHORT: a warp for each piece leaves its sum in `partial`, and the warp that is last to leave one, whichever that
// is, adds all of them in the order of the pieces. At most two long runs meet a piece: one that began before it, one that begins in it.
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
// Sorted positions whose runs a warp takes. One run is a chain of two latencies of memory, and a warp has them one after the other.
constexpr int OWN = 2;
// No token: larger than every vocabulary.
constexpr u32 NONE = ~0u;

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

__device__ __forceinline__ uint2 item(const uint2* order, i64 index, int count) {
    return index >= 0 && index < count ? order[index] : make_uint2(NONE, 0u);
}

// How many of the items from `first` on, `step` apart and as far as they exist, are of this token without a gap.
__device__ __forceinline__ int reach(const uint2* order, i64 first, int step, int count, u32 token) {
    int reached = 0;
    for (;;) {
        int more = __popc(__ballot_sync(0xffffffffu, item(order, first + (reached + threadIdx.x % 32) * (i64)step, count).x == token));
        reached += more;
        if (more < 32) return reached;
    }
}

// A run of up to SHORT positions for each run that begins among the OWN of this warp. All that tells where runs end is read at once.
__device__ __forceinline__ void short_runs(TG* dtable, const uint2* order, const Operands& o, i64 warp, int count) {
    static_assert(SHORT == 32 && OWN < 32, "a lane for each position of a run");
    int lane = threadIdx.x % 32;
    i64 first = warp * OWN;
    if (first >= count) return;
    u32 before_token = item(order, first - 1, count).x;
    uint2 held = item(order, first + lane, count);
    uint2 beyond = lane <= OWN ? item(order, first + 32 + lane, count) : make_uint2(NONE, 0u);
#pragma unroll 1
    for (int i = 0; i < OWN && first + i < count; i++) {
        u32 token = __shfl_sync(0xffffffffu, held.x, i);
        bool begins = token != before_token;
        before_token = token;
        // Of the run's first SHORT + 1 positions the last ones stand in `beyond`.
        int length = __popc(__ballot_sync(0xffffffffu, lane >= i && held.x == token)) +
                     __popc(__ballot_sync(0xffffffffu, lane <= i && beyond.x == token));
        if (!begins || length > SHORT) continue;
        bool known = token < (u32)o.vocabulary;
        TG* to = dtable + (known ? token : 0) * (i64)C;
        Packed8<TG> before[VECTORS];
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            if (column(v) < C) before[v] = packed8(to + column(v));
        Sum sum = {};
        add_positions(sum, o, token, lane >= i ? held.y : beyond.y, i, length);
#pragma unroll
        for (int v = 0; v < VECTORS; v++)
            if (column(v) < C && known) {
                F32x8 x = before[v].f32();
#pragma unroll
                for (int j = 0; j < 8; j++) x.at[j] += sum.at[v][j];
                store8(to + column(v), x);
            }
    }
}

// A run of more than SHORT positions: the piece in which it begins, and how many pieces have a part of it.
struct Long {
    u32 token;
    i64 piece;
    int parts;
};

// Eight elements that another warp has written in this launch.
__device__ __forceinline__ void add_fresh(F32x8& sum, const float* part) {
    float4 a = __ldcg(reinterpret_cast<const float4*>(part)), b = __ldcg(reinterpret_cast<const float4*>(part) + 1);
    float x[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int j = 0; j < 8; j++) sum.at[j] += x[j];
}

// Leaves a part in `partial`: [piece][0] of a run that began before the piece, [piece][1] of one that begins in it. Where all parts
// of the run are there now, adds them to the table's gradient, from the first to the last.
__device__ __forceinline__ void leave(TG* dtable, float* partial, u32* left, const Sum& sum, i64 slot, const Long& run, int pieces) {
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int v = 0; v < VECTORS; v++)
        if (column(v) < C) {
            F32x8 x;
#pragma unroll
            for (int j = 0; j < 8; j++) x.at[j] = sum.at[v][j];
            store8(partial + slot * C + column(v), x);
        }
    __threadfence();
    __syncwarp();
    u32* of_run = left + blockIdx.y * (i64)pieces + run.piece;
    int earlier = 0;
    if (lane == 0) earlier = (int)atomicAdd(of_run, 1u);
    if (__shfl_sync(0xffffffffu, earlier, 0) < run.parts - 1) return;
    __threadfence();
    // Zero again for the next launch.
    if (lane == 0) *of_run = 0;
    const float* parts = partial + 2 * run.piece * C;
#pragma unroll 1
    for (int v = 0; v < VECTORS; v++) {
        if (column(v) >= C) break;
        TG* to = dtable + run.token * (i64)C + column(v);
        F32x8 all = {}, x = load8(to);
        add_fresh(all, parts + C + column(v));
#pragma unroll 8
        for (int i = 1; i < run.parts; i++) add_fresh(all, parts + 2 * i * (i64)C + column(v));
#pragma unroll
        for (int j = 0; j < 8; j++) x.at[j] += all.at[j];
        store8(to, x);
    }
}

// The piece's parts of long runs. Tokens outside the vocabulary have a gradient of their strengths, and no other.
__device__ __forceinline__ void long_parts(TG* dtable, float* partial, u32* left, const uint2* order, const Operands& o, i64 piece,
                                           int pieces, int count) {
    int lane = threadIdx.x % 32;
    i64 at = piece * SHORT;
    uint2 held = item(order, at + lane, count);
    // Nearest first: as many as matter of what comes before and after the piece.
    u32 ahead = item(order, at - 1 - lane, count).x, behind = item(order, at + SHORT + lane, count).x;
    u32 first = __shfl_sync(0xffffffffu, held.x, 0), last = __shfl_sync(0xffffffffu, held.x, SHORT - 1);
    int inside = __popc(__ballot_sync(0xffffffffu, held.x == first));
    int before = __popc(__ballot_sync(0xffffffffu, ahead == first));
    int after = inside < SHORT ? 0 : __popc(__ballot_sync(0xffffffffu, behind == first));
    if (before > 0 && before + inside + after > SHORT) {
        Sum sum = {};
        add_positions(sum, o, first, held.y, 0, inside);
        if (first < (u32)o.vocabulary) {
            int earlier = reach(order, at - 1, -SHORT, count, first);
            int later = inside < SHORT ? 0 : reach(order, at + SHORT, SHORT, count, first);
            leave(dtable, partial, left, sum, 2 * piece, {first, piece - earlier, earlier + 1 + later}, pieces);
        }
    }
    // One that begins here reaches the piece's end.
    if (last == NONE || (last == first && before > 0)) return;
    inside = __popc(__ballot_sync(0xffffffffu, held.x == last));
    after = __popc(__ballot_sync(0xffffffffu, behind == last));
    if (inside + after <= SHORT) return;
    Sum sum = {};
    add_positions(sum, o, last, held.y, SHORT - inside, inside);
    if (last < (u32)o.vocabulary)
        leave(dtable, partial, left, sum, 2 * piece + 1, {last, piece, 1 + reach(order, at + SHORT, SHORT, count, last)}, pieces);
}

// The first `pieces` warps take pieces of long runs, which are most work; the others the short runs. `left`: zero, for each piece and
// blockIdx.y how many parts of the run that begins there have been left.
extern "C" __global__ void __launch_bounds__(THREADS, GATED ? 3 : 4)
    scatter_rows(TG* dtable, TY* ds, float* partial, u32* left, const TX* dy, const uint2* order, const TS* s, const TT* table,
                 int vocabulary, int pieces, int count) {
    await_earlier_kernels();
    Operands o = {dy, table, s, ds, vocabulary};
    i64 warp = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (warp < pieces)
        long_parts(dtable, partial, left, order, o, warp, pieces, count);
    else
        short_runs(dtable, order, o, warp - pieces, count);
}
