// One AdamW update, every operand read and written once, and the gradient set to zero.
//
// Whatever persists as bf16 is rounded stochastically: up or down with probabilities that keep the mean, so that updates
// smaller than half a unit in the last place are not lost (Gupta et al., arXiv 1502.02551). The random bits are a hash of
// the step and the element's index: the same in every run. The copy is rounded to nearest from the new, exact p.
//
// TP, TG, TM, TV, TC: types of p, g, both moments and the copy. COPY. WIDTH: elements of one access, 1, 4 or 8. SPLIT: p
// holds the lower halves of the parameters, TP is u16, and the bf16 copy holds their upper halves; it is read too.

#ifndef TP
#define TP float
#define TG float
#define TM float
#define TV float
#define TC bf16
#define COPY 1
#define WIDTH 4
#endif
#ifndef SPLIT
#define SPLIT 0
#endif

// Murmur3's finalizer.
__device__ __forceinline__ u32 mix(u32 x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

template <class T> __device__ __forceinline__ float rounded(float x, u32 random);
template <> __device__ __forceinline__ float rounded<float>(float x, u32) { return x; }
template <> __device__ __forceinline__ float rounded<u16>(float x, u32) { return x; }
// To one of the two bf16 numbers around x; infinities and NaN stay.
template <> __device__ __forceinline__ float rounded<bf16>(float x, u32 random) {
    u32 bits = __float_as_uint(x);
    bool finite = (bits & 0x7f800000u) != 0x7f800000u;
    return finite ? __uint_as_float((bits + (random & 0xffffu)) & 0xffff0000u) : x;
}

template <int Count, class P> __device__ __forceinline__ Group<Count> load_parameters(const P* p, const TC* copy) {
    if constexpr (SPLIT)
        return load_joined<Count>(copy, p);
    else
        return load_group<Count>(p);
}
template <int Count, class P>
__device__ __forceinline__ void store_parameters(P* p, TC* copy, const Group<Count>& rounded, const Group<Count>& exact) {
    if constexpr (SPLIT) {
        store_split<Count>(copy, p, exact);
    } else {
        store_group(p, rounded);
        if (COPY) store_group(copy, exact);
    }
}

struct Rates {
    float beta1, rest1, beta2, rest2, eps;
    float keep;         // 1 - lr·decay
    float step_size;    // lr / (1 - beta1^t)
    float inverse_root; // 1 / sqrt(1 - beta2^t)
};

template <int Count>
__device__ __forceinline__ void update(const Rates& by, TP* p, TG* g, TM* m, TV* v, TC* copy, i64 at, u32 seed) {
    Group<Count> x = load_parameters<Count>(p + at, copy + at), dx = load_group<Count>(g + at), mean = load_group<Count>(m + at),
             square = load_group<Count>(v + at), exact, zero;
#pragma unroll
    for (int i = 0; i < Count; i++) {
        float d = dx.at[i];
        float m1 = by.beta1 * mean.at[i] + by.rest1 * d, v1 = by.beta2 * square.at[i] + by.rest2 * d * d;
        float new_x = x.at[i] * by.keep - by.step_size * (m1 / (sqrtf(v1) * by.inverse_root + by.eps));
        u64 index = (u64)(at + i);
        u32 random = mix((u32)index * 0x9e3779b9u + (u32)(index >> 32) + seed);
        exact.at[i] = new_x;
        x.at[i] = rounded<TP>(new_x, random);
        mean.at[i] = rounded<TM>(m1, random >> 16);
        square.at[i] = rounded<TV>(v1, mix(random + 0x6a09e667u));
        zero.at[i] = 0.0f;
    }
    store_group(g + at, zero);
    store_group(m + at, mean);
    store_group(v + at, square);
    store_parameters(p + at, copy + at, x, exact);
}

// log1, log2: logarithms of the decays, so that 1 - beta^t loses no digits where beta is close to 1.
extern "C" __global__ void __launch_bounds__(256)
    adamw(TP* p, TG* g, TM* m, TV* v, TC* copy, const float* lr_multiplier, const float* step, i64 n, float lr,
          float beta1, float rest1, float beta2, float rest2, float eps, float decay, float log1, float log2) {
    await_earlier_kernels();
    float rate = lr * lr_multiplier[0], t = step[0];
    Rates by = {beta1, rest1, beta2, rest2, eps, 1.0f - rate * decay, rate / -expm1f(t * log1), rsqrtf(-expm1f(t * log2))};
    u32 seed = mix(__float_as_uint(t) * 0x85ebca77u + (u32)n);
    i64 at = WIDTH * (blockIdx.x * 256ll + threadIdx.x), stride = WIDTH * 256ll * gridDim.x;
    for (; at + WIDTH <= n; at += stride) update<WIDTH>(by, p, g, m, v, copy, at, seed);
    for (; at < n; at++) update<1>(by, p, g, m, v, copy, at, seed);
}
