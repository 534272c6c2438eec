// One query position against a cache, in two stages: stretches of the cache by one block each, then all stretches.
//
// A key takes LANES lanes of a warp, which hold EACH elements of the query; every such team goes through its keys with a
// running maximum and sum (Milakov & Gimelshein, arXiv 1805.02867), and teams are joined in a fixed order. The row's own key
// and value are read from the row, so that no block waits for the one that writes them to the cache.
//
// TQ, TC, TY: types of the row, the caches and the result. D: head dim. EACH·LANES ≥ D, LANES a power of 2 up to 32; WIDTH:
// elements of one access, which divides EACH and D.

#ifndef TQ
#define TQ bf16
#define TC bf16
#define TY bf16
#define D 128
#define EACH 8
#define LANES 16
#define WIDTH 8
#endif

#define THREADS 128
#define TEAMS (THREADS / LANES)
#define LOG2_E 1.4426950408889634f
#define NEGATIVE_INFINITY __uint_as_float(0xff800000u)

struct Part {
    float top, sum;
    float at[EACH];
};

template <class T> __device__ __forceinline__ void load_part(float (&x)[EACH], const T* from, int first) {
#pragma unroll
    for (int i = 0; i < EACH; i += WIDTH) {
        Group<WIDTH> v = {};
        if (first + i < D) v = load_group<WIDTH>(from + first + i);
#pragma unroll
        for (int j = 0; j < WIDTH; j++) x[i + j] = v.at[j];
    }
}

// The weighted values of two disjoint sets of keys become those of their union.
__device__ __forceinline__ void join(Part& a, const Part& b) {
    float top = fmaxf(a.top, b.top);
    float of_a = a.top == NEGATIVE_INFINITY ? 0.0f : exp2f(a.top - top);
    float of_b = b.top == NEGATIVE_INFINITY ? 0.0f : exp2f(b.top - top);
    a.top = top;
    a.sum = a.sum * of_a + b.sum * of_b;
#pragma unroll
    for (int i = 0; i < EACH; i++) a.at[i] = a.at[i] * of_a + b.at[i] * of_b;
}

// parts: B × H × stretches × (2 + D) floats. Blocks: stretches, heads, batch.
extern "C" __global__ void __launch_bounds__(THREADS)
    decode_stretch(float* parts, const TQ* qkv, TC* keys, TC* values, const int* position, int heads, int kv_heads,
                   int capacity, int stretch, int window, float scale) {
    await_earlier_kernels();
    __shared__ Part shared[TEAMS][LANES];
    int h = blockIdx.y, b = blockIdx.z, at = position[0];
    int team = threadIdx.x / LANES, lane = threadIdx.x % LANES, first = lane * EACH;
    int group = heads / kv_heads, kv = h / group;
    const TQ* row = qkv + (i64)b * (heads + 2 * kv_heads) * D;
    const TQ *own_key = row + (heads + kv) * D, *own_value = row + (heads + kv_heads + kv) * D;
    i64 pitch = (i64)kv_heads * D, head = b * (i64)capacity * pitch + kv * D;
    bool inside = at >= 0 && at < capacity;
    int from = max(max(at - window, 0), (int)blockIdx.x * stretch);
    int to = inside ? min(at + 1, (int)(blockIdx.x + 1) * stretch) : 0;
    if (inside && h % group == 0 && blockIdx.x == at / stretch)
        for (int j = threadIdx.x; j < D; j += THREADS) {
            keys[head + at * pitch + j] = from_f32<TC>(to_f32(own_key[j]));
            values[head + at * pitch + j] = from_f32<TC>(to_f32(own_value[j]));
        }
    float q[EACH];
    load_part(q, row + h * D, first);
    Part part = {NEGATIVE_INFINITY, 0.0f, {}};
    // All lanes of a warp go round equally often, because they exchange their sums.
    for (int base = from; base < to; base += TEAMS) {
        int t = base + team;
        bool real = t < to;
        Part next = {NEGATIVE_INFINITY, 0.0f, {}};
        float k[EACH] = {}, score = 0.0f;
        if (real && t == at) {
            load_part(k, own_key, first);
            load_part(next.at, own_value, first);
        } else if (real) {
            load_part(k, keys + head + t * pitch, first);
            load_part(next.at, values + head + t * pitch, first);
        }
#pragma unroll
        for (int i = 0; i < EACH; i++) score = fmaf(q[i], k[i], score);
#pragma unroll
        for (int offset = LANES / 2; offset > 0; offset /= 2) score += __shfl_xor_sync(0xffffffffu, score, offset);
        if (real) next.top = score * scale * LOG2_E, next.sum = 1.0f;
        join(part, next);
    }
    shared[team][lane] = part;
    __syncthreads();
    if (team > 0) return;
#pragma unroll 1
    for (int i = 1; i < TEAMS; i++) join(part, shared[i][lane]);
    float* out = parts + (((i64)b * heads + h) * gridDim.x + blockIdx.x) * (2 + D);
    if (lane == 0) out[0] = part.top, out[1] = part.sum;
#pragma unroll
    for (int i = 0; i < EACH; i++)
        if (first + i < D) out[2 + first + i] = part.at[i];
}

// One block for each head, heads in x and batch in y. A position outside the cache yields NaN.
extern "C" __global__ void __launch_bounds__(THREADS) decode_join(TY* y, const float* parts, int stretches) {
    await_earlier_kernels();
    i64 head = (i64)blockIdx.y * gridDim.x + blockIdx.x;
    parts += head * stretches * (2 + D);
    float top = NEGATIVE_INFINITY, sum = 0.0f;
    for (int i = 0; i < stretches; i++) top = fmaxf(top, parts[i * (2 + D)]);
    for (int i = 0; i < stretches; i++) sum += exp2f(parts[i * (2 + D)] - top) * parts[i * (2 + D) + 1];
    for (int j = threadIdx.x; j < D; j += THREADS) {
        float all = 0.0f;
        for (int i = 0; i < stretches; i++) all += exp2f(parts[i * (2 + D)] - top) * parts[i * (2 + D) + 2 + j];
        y[head * D + j] = from_f32<TY>(all / sum);
    }
}
