// RoPE, RMS norm and a scale for the first HEADS heads of packed rows, and the gradient from the output. RoPE: Su et al., arXiv
// 2104.09864, split halves; norm of queries and keys: Henry et al., arXiv 2010.04245.
//
// A warp takes a row. D/16 lanes hold a head, each 8 elements of the first half and the 8 of the second half that they are
// rotated with, so that a rotation stays in a lane; the angles of a lane are the same for all heads of the row. A rotation
// keeps the norm, which is therefore taken before it. The result may lie where the first operand does: then the columns
// after the normed heads are not touched. D is 16 times a power of two, at most 512.
//
// With GATED the columns after the normed heads, the values, take s · table[token] in the same launch (kernels/value_gate), and s is
// made there as well (kernels/gate_strength): other warps do that than those that norm, each with a row in its registers.

#ifndef HEADS
#define HEADS 20
#define D 128
#define WIDTH 3840
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TR
#define TR float
#endif
#ifndef TO
#define TO bf16
#endif
#ifndef TY
#define TY bf16
#endif
#ifndef BASE
#define BASE 100000.0
#endif

// Whether values are gated, by G of the C channels of n.
#ifndef GATED
#define GATED 0
#endif
#if GATED
#ifndef G
#define G 12
#define C 1280
#endif
#ifndef TN
#define TN bf16
#endif
#ifndef TG
#define TG float
#endif
#ifndef TT
#define TT bf16
#endif
#ifndef TS
#define TS float
#endif
#endif

constexpr int THREADS = 128, WARPS = THREADS / 32;
constexpr int LANES = D / 16, AT_ONCE = 32 / LANES, HALF = D / 2;
constexpr int STEPS = (HEADS + AT_ONCE - 1) / AT_ONCE;
// Steps whose loads are in flight at once.
constexpr int BATCH = STEPS <= 5 ? STEPS : 4;
constexpr int BACKWARD_BATCH = STEPS <= 3 ? STEPS : 3;
constexpr float EPS = 1.1920929e-7f;

struct Angles {
    float cos[8], sin[8];
};

__device__ __forceinline__ Angles angles_of(const float2* table, i64 t, int lane) {
    Angles a;
    const float4* from = reinterpret_cast<const float4*>(table + t * HALF + lane * 8);
#pragma unroll
    for (int j = 0; j < 4; j++) {
        float4 two = from[j];
        a.cos[2 * j] = two.x, a.sin[2 * j] = two.y, a.cos[2 * j + 1] = two.z, a.sin[2 * j + 1] = two.w;
    }
    return a;
}

__device__ __forceinline__ float head_sum(float x) {
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}

// (cos, sin) of t·base^(−2j/D) for positions from *start, or 0, in binary64: the angle of a late position has no digits to lose.
extern "C" __global__ void __launch_bounds__(256) qk_norm_rope_angles(float2* table, const int* start, i64 count) {
    await_earlier_kernels();
    i64 i = blockIdx.x * 256ll + threadIdx.x;
    if (i >= count) return;
    double t = (double)((start ? *start : 0) + i / HALF);
    double angle = t * pow(BASE, -2.0 * (double)(i % HALF) / D);
    table[i] = make_float2((float)cos(angle), (float)sin(angle));
}

__device__ __forceinline__ void copy_rest(TY* to, const TX* from, int lane) {
#pragma unroll 2
    for (int c = HEADS * D + lane * 8; c < WIDTH; c += 256) store8(to + c, load8(from + c));
}

#if GATED
constexpr int VALUES = WIDTH - HEADS * D, K = VALUES / D;
constexpr int VECTORS = (VALUES / 8 + 31) / 32;
// Vectors in flight at once.
constexpr int AT_A_TIME = VECTORS < 6 ? VECTORS : 4;
static_assert(K <= 32 && G % 4 == 0 && G <= 16 && C >= 16 && C % 8 == 0, "a lane makes a strength from two vectors of n");

// What lane k needs for the strength of head k.
struct Strength {
    Packed8<TN> n[2];
    Group<4> gate[G / 4];

    __device__ __forceinline__ void load(const TN* row, const TG* weights, int lane) {
        n[0] = packed8(row), n[1] = packed8(row + 8);
#pragma unroll
        for (int i = 0; i < G / 4; i++) gate[i] = load_group<4>(weights + (lane < K ? lane : 0) * G + 4 * i);
    }
    // s = 3σ(gate · n[..G])
    __device__ __forceinline__ float value() const {
        F32x8 low = n[0].f32(), high = n[1].f32();
        float z = 0;
#pragma unroll
        for (int c = 0; c < G; c++) z += (c < 8 ? low.at[c % 8] : high.at[c % 8]) * gate[c / 4].at[c % 4];
        return 3.0f * sigmoid(z);
    }
};

// v + s · table[token], by a warp; a token outside the vocabulary leaves v.
__device__ __forceinline__ void gate_row(TY* y, TS* s, const TX* x, const TN* n, const TG* gate, const TT* __restrict__ table, u32 token,
                                         int vocabulary, i64 row) {
    int lane = threadIdx.x % 32;
    bool known = token < (u32)vocabulary;
    const TT* entry = table + (known ? token : 0) * (i64)VALUES;
    const TX* from = x + row * WIDTH + HEADS * D;
    TY* to = y + row * WIDTH + HEADS * D;
    Strength of_lane;
    of_lane.load(n + row * C, gate, lane);
    float strength = 0;
#pragma unroll
    for (int first = 0; first < VECTORS; first += AT_A_TIME) {
        Packed8<TX> v[AT_A_TIME];
        Packed8<TT> e[AT_A_TIME];
#pragma unroll
        for (int i = 0; i < AT_A_TIME; i++) {
            int c = ((first + i) * 32 + lane) * 8;
            if (c < VALUES) {
                v[i] = packed8(from + c);
                e[i] = packed8(entry + c);
            }
        }
        if (first == 0) {
            strength = of_lane.value();
            if (s && lane < K) s[row * K + lane] = from_f32<TS>(strength);
        }
#pragma unroll
        for (int i = 0; i < AT_A_TIME; i++) {
            int c = ((first + i) * 32 + lane) * 8;
            float share = __shfl_sync(0xffffffffu, strength, c / D % 32);
            if (c < VALUES) {
                F32x8 a = v[i].f32(), b = e[i].f32();
#pragma unroll
                for (int j = 0; j < 8; j++) a.at[j] += (known ? share : 0.0f) * b.at[j];
                store8(to + c, a);
            }
        }
    }
}
#endif

// Threads of a block, and with GATED on Hopper three blocks on a multiprocessor, which costs three registers; other architectures would spill.
#if GATED && __CUDA_ARCH__ == 900
#define BOUNDS 2 * THREADS, 3
#elif GATED
#define BOUNDS 2 * THREADS
#else
#define BOUNDS THREADS
#endif

// y = scale · z / rms(z) with z = rope(x), and rstd = 1 / rms(z), which may be null.
//
// With GATED a block has twice the threads, and its second half gates the values of the rows that the first one norms.
extern "C" __global__ void __launch_bounds__(BOUNDS)
    qk_norm_rope(TY* y, TR* rstd, const TX* x, const float2* __restrict__ table, float scale, int t_len, int copies,
                 i64 rows
#if GATED
                 ,
                 TS* s, const TN* n, const TG* gate, const TT* __restrict__ values, const int* __restrict__ tokens, int vocabulary
#endif
    ) {
    await_earlier_kernels();
#if GATED
    if (threadIdx.x >= THREADS) {
        i64 row = blockIdx.x * (i64)WARPS + threadIdx.x / 32 - WARPS;
        if (row < rows) gate_row(y, s, x, n, gate, values, (u32)tokens[row], vocabulary, row);
        return;
    }
#endif
    int lane = threadIdx.x % LANES, group = threadIdx.x % 32 / LANES;
    i64 row = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    const TX* from = x + row * WIDTH + lane * 8;
    TY* to = y + row * WIDTH + lane * 8;
    Angles angles = angles_of(table, row % t_len, lane);
#pragma unroll
    for (int first = 0; first < STEPS; first += BATCH) {
        Packed8<TX> a_held[BATCH], b_held[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            int head = (first + i) * AT_ONCE + group;
            if (head < HEADS) {
                a_held[i] = packed8(from + head * D);
                b_held[i] = packed8(from + head * D + HALF);
            }
        }
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            if (first + i >= STEPS) break;
            int head = (first + i) * AT_ONCE + group;
            F32x8 a = {}, b = {};
            if (head < HEADS) a = a_held[i].f32(), b = b_held[i].f32();
            float squares = 0;
#pragma unroll
            for (int j = 0; j < 8; j++) squares += a.at[j] * a.at[j] + b.at[j] * b.at[j];
            float r = rsqrtf(head_sum(squares) * (1.0f / D) + EPS), factor = scale * r;
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float p = a.at[j] * factor, q = b.at[j] * factor;
                a.at[j] = p * angles.cos[j] + q * angles.sin[j];
                b.at[j] = q * angles.cos[j] - p * angles.sin[j];
            }
            if (head < HEADS) {
                store8(to + head * D, a);
                store8(to + head * D + HALF, b);
                if (rstd && lane == 0) rstd[row * HEADS + head] = from_f32<TR>(r);
            }
        }
    }
    if (!GATED && copies) copy_rest(y + row * WIDTH, x + row * WIDTH, threadIdx.x % 32);
}

// With n = y / scale: dz = rstd·scale·(dy − n·mean(n·dy)), turned back by the angle. dx may lie where dy does.
extern "C" __global__ void __launch_bounds__(THREADS)
    qk_norm_rope_backward(TY* dx, const TX* dy, const TO* __restrict__ y, const TR* __restrict__ rstd,
                          const float2* __restrict__ table, float scale, int t_len, int copies, i64 rows) {
    await_earlier_kernels();
    int lane = threadIdx.x % LANES, group = threadIdx.x % 32 / LANES;
    i64 row = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    const TX* from = dy + row * WIDTH + lane * 8;
    const TO* out = y + row * WIDTH + lane * 8;
    TY* to = dx + row * WIDTH + lane * 8;
    Angles angles = angles_of(table, row % t_len, lane);
    float inverse = 1.0f / (scale * scale * D);
#pragma unroll
    for (int first = 0; first < STEPS; first += BACKWARD_BATCH) {
        Packed8<TX> a_held[BACKWARD_BATCH], b_held[BACKWARD_BATCH];
        Packed8<TO> p_held[BACKWARD_BATCH], q_held[BACKWARD_BATCH];
        float r_held[BACKWARD_BATCH];
#pragma unroll
        for (int i = 0; i < BACKWARD_BATCH; i++) {
            int head = (first + i) * AT_ONCE + group;
            if (head < HEADS) {
                a_held[i] = packed8(from + head * D);
                b_held[i] = packed8(from + head * D + HALF);
                p_held[i] = packed8(out + head * D);
                q_held[i] = packed8(out + head * D + HALF);
                r_held[i] = to_f32(rstd[row * HEADS + head]);
            }
        }
#pragma unroll
        for (int i = 0; i < BACKWARD_BATCH; i++) {
            if (first + i >= STEPS) break;
            int head = (first + i) * AT_ONCE + group;
            F32x8 a = {}, b = {}, p = {}, q = {};
            float r = 0;
            if (head < HEADS) {
                a = a_held[i].f32(), b = b_held[i].f32(), p = p_held[i].f32(), q = q_held[i].f32();
                r = r_held[i] * scale;
            }
            float dot = 0;
#pragma unroll
            for (int j = 0; j < 8; j++) dot += a.at[j] * p.at[j] + b.at[j] * q.at[j];
            float pull = head_sum(dot) * inverse;
#pragma unroll
            for (int j = 0; j < 8; j++) {
                float u = r * (a.at[j] - p.at[j] * pull), v = r * (b.at[j] - q.at[j] * pull);
                a.at[j] = u * angles.cos[j] - v * angles.sin[j];
                b.at[j] = v * angles.cos[j] + u * angles.sin[j];
            }
            if (head < HEADS) {
                store8(to + head * D, a);
                store8(to + head * D + HALF, b);
            }
        }
    }
    if (copies) copy_rest(dx + row * WIDTH, dy + row * WIDTH, threadIdx.x % 32);
}
