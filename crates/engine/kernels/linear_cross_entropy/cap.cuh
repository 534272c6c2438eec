// A capped logit and its weight, for the sources of this folder.
//
// With l = cap·tanh(z/cap), e = exp(2z/cap) and r = 1/(1+e): l = cap·(1 - 2r) and 1 - (l/cap)² = 4(r - r²). A low cap bounds
// the logits: then exp(l - cap) is a normal number, and nobody needs the row's maximum. No difference of close numbers decides
// anything.

#ifndef LOW_CAP
#define LOW_CAP 1
#endif

#define LOG2_E 1.4426950408889634f
#define LARGEST_E5M2 57344.0f

__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float reciprocal(float x) {
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
__device__ __forceinline__ float low(u32 word) { return __uint_as_float(word << 16); }
__device__ __forceinline__ float high(u32 word) { return __uint_as_float(word & 0xffff0000u); }

struct Cap {
    float in;   // 2·log2(e) / cap: e = exp2(in·z)
    float out;  // -2·cap·log2(e): exp(l - top) = exp2(out·(r - r of the top))
    float base; // -out·(r of the top), 0 where the top is the cap itself
    __device__ __forceinline__ float r(float z) const { return reciprocal(exp2_fast(in * z) + 1.0f); }
    __device__ __forceinline__ float weight(float r) const {
        return exp2_fast(LOW_CAP ? out * r : fmaf(out, r, base));
    }
};

// Two logits as one word become their weights' shares of the gradient; adds the weights to `sum`.
__device__ __forceinline__ u32 weigh(const Cap& cap, u32 word, float& sum) {
    float r0 = cap.r(low(word)), r1 = cap.r(high(word));
    float w0 = cap.weight(r0), w1 = cap.weight(r1);
    sum += w0;
    sum += w1;
    return pack_bf16(w0 * fmaf(-r0, r0, r0), w1 * fmaf(-r1, r1, r1));
}
__device__ __forceinline__ uint4 weigh(const Cap& cap, uint4 v, float& sum) {
    return {weigh(cap, v.x, sum), weigh(cap, v.y, sum), weigh(cap, v.z, sum), weigh(cap, v.w, sum)};
}
// The same of the first `left` of a word's two, or of eight; what stands behind them counts nothing and may be no number.
__device__ __forceinline__ u32 weigh_some(const Cap& cap, u32 word, int left, float& sum) {
    float r0 = cap.r(low(word)), r1 = cap.r(high(word));
    float w0 = left > 0 ? cap.weight(r0) : 0.0f, w1 = left > 1 ? cap.weight(r1) : 0.0f;
    sum += w0;
    sum += w1;
    return pack_bf16(left > 0 ? w0 * fmaf(-r0, r0, r0) : 0.0f, left > 1 ? w1 * fmaf(-r1, r1, r1) : 0.0f);
}
__device__ __forceinline__ uint4 weigh_some(const Cap& cap, uint4 v, int left, float& sum) {
    return {weigh_some(cap, v.x, left, sum), weigh_some(cap, v.y, left - 2, sum), weigh_some(cap, v.z, left - 4, sum),
            weigh_some(cap, v.w, left - 6, sum)};
}
