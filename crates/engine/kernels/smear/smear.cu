// Smear: y[t] = x[t] + λσ(gate · x[t][..G]) x[t−1], y[0] = x[0]; its gradient; and one position of it for decoding.
//
// A warp for each row. The row before, or after, is read again by its neighbour in the block, so that it comes from the cache.
// C is a multiple of 8.

#ifndef C
#define C 1280
#define G 24
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TP
#define TP float
#endif
#ifndef TG
#define TG float
#endif
#ifndef TL
#define TL float
#endif
#ifndef TD
#define TD bf16
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int THREADS = 256, WARPS = 8;
// Rows that a warp of the backward pass takes.
constexpr int TURNS = 4;
constexpr int SLOTS = (G + 31) / 32;

// σ(gate · x[..G]) of a row, on every lane.
__device__ __forceinline__ float gate_of(const TX* row, const TG* gate, int lane) {
    float z = 0;
#pragma unroll
    for (int i = 0; i < SLOTS; i++) {
        int c = i * 32 + lane;
        if (c < G) z += to_f32(row[c]) * to_f32(gate[c]);
    }
    return sigmoid(warp_sum(z));
}

extern "C" __global__ void __launch_bounds__(THREADS)
    smear(TY* y, const TX* __restrict__ x, const TG* __restrict__ gate, const TL* lambda, int t_len, i64 rows) {
    await_earlier_kernels();
    int lane = threadIdx.x % 32;
    i64 row = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    bool first = row % t_len == 0;
    const TX* now = x + row * C;
    float share = first ? 0.0f : to_f32(lambda[0]) * gate_of(now, gate, lane);
#pragma unroll 4
    for (int c = lane * 8; c < C; c += 256) {
        F32x8 v = load8(now + c);
        if (!first) {
            F32x8 before = load8(now - C + c);
#pragma unroll
            for (int j = 0; j < 8; j++) v.at[j] += share * before.at[j];
        }
        store8(y + row * C + c, v);
    }
}

// With pull = dy[t]·x[t−1] and dz = λσ(1 − σ)·pull: dx[t] = dy[t] + dz·gate + λσ[t+1]·dy[t+1]. The block's shares of
// dgate = Σ dz·x[..G] and dλ = Σ σ·pull go to partial[c][block] and partial[G][block].
extern "C" __global__ void __launch_bounds__(THREADS, 3)
    smear_backward(TY* dx, const TD* __restrict__ dy, const TX* __restrict__ x, const TG* __restrict__ gate,
                   const TL* lambda, float* partial, int t_len, i64 rows) {
    await_earlier_kernels();
    __shared__ float shares[WARPS][G + 1];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float scale = to_f32(lambda[0]), of_lambda = 0, of_gate[SLOTS] = {};
    for (int turn = 0; turn < TURNS; turn++) {
        i64 row = (blockIdx.x * (i64)TURNS + turn) * WARPS + warp;
        if (row >= rows) break;
        const TX* now = x + row * C;
        const TD* d_now = dy + row * C;
        bool begins = row % t_len == 0, ends = (row + 1) % t_len == 0;
        float dz = 0, after = 0;
        if (!begins) {
            float sigma = gate_of(now, gate, lane), pull = 0;
#pragma unroll 4
            for (int c = lane * 8; c < C; c += 256) {
                F32x8 d = load8(d_now + c), before = load8(now - C + c);
#pragma unroll
                for (int j = 0; j < 8; j++) pull += d.at[j] * before.at[j];
            }
            pull = warp_sum(pull);
            of_lambda += sigma * pull;
            dz = scale * sigma * (1.0f - sigma) * pull;
#pragma unroll
            for (int i = 0; i < SLOTS; i++) {
                int c = i * 32 + lane;
                if (c < G) of_gate[i] += dz * to_f32(now[c]);
            }
        }
        if (!ends) after = scale * gate_of(now + C, gate, lane);
#pragma unroll 4
        for (int c = lane * 8; c < C; c += 256) {
            F32x8 d = load8(d_now + c);
            if (!ends) {
                F32x8 next = load8(d_now + C + c);
#pragma unroll
                for (int j = 0; j < 8; j++) d.at[j] += after * next.at[j];
            }
            if (c < G)
#pragma unroll
                for (int j = 0; j < 8; j++)
                    if (c + j < G) d.at[j] += dz * to_f32(gate[c + j]);
            store8(dx + row * C + c, d);
        }
    }
#pragma unroll
    for (int i = 0; i < SLOTS; i++)
        if (i * 32 + lane < G) shares[warp][i * 32 + lane] = of_gate[i];
    if (lane == 0) shares[warp][G] = of_lambda;
    __syncthreads();
    for (int c = threadIdx.x; c <= G; c += THREADS) {
        float sum = 0;
        for (int w = 0; w < WARPS; w++) sum += shares[w][c];
        partial[c * (i64)gridDim.x + blockIdx.x] = sum;
    }
}

// One position of each sequence: y = x + λσ(gate·x)·previous, and previous becomes x.
extern "C" __global__ void __launch_bounds__(THREADS)
    smear_decode(TY* y, const TX* x, TP* previous, const TG* gate, const TL* lambda, i64 rows) {
    await_earlier_kernels();
    int lane = threadIdx.x % 32;
    i64 row = blockIdx.x * (i64)WARPS + threadIdx.x / 32;
    if (row >= rows) return;
    float share = to_f32(lambda[0]) * gate_of(x + row * C, gate, lane);
    for (int c = lane * 8; c < C; c += 256) {
        F32x8 now = load8(x + row * C + c), v = load8(previous + row * C + c);
#pragma unroll
        for (int j = 0; j < 8; j++) v.at[j] = now.at[j] + share * v.at[j];
        store8(previous + row * C + c, now);
        store8(y + row * C + c, v);
    }
}
