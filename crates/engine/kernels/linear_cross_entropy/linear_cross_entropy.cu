// The loss of a chunk's logits, and their gradient in place: one read and one write of every logit.
//
// A logit costs two exponentials and a reciprocal (cap.cuh). A block has a row; its first pass leaves exp(l - top)·(r - r²) in
// shared memory as bf16, which the second pass only scales.
//
// LOW_CAP: see cap.cuh; else the row is read for its maximum first. KEEP: the row fits in shared memory; else it is read
// and weighed again. GRADIENT: else only the losses are written. TS, TL: types of the seed and of the mean loss.

#ifndef KEEP
#define KEEP 1
#define GRADIENT 1
#define TS float
#define TL float
#endif

#define THREADS 512
#define BLOCKS 3

__device__ __forceinline__ u32 scaled(u32 word, float scale) { return pack_bf16(low(word) * scale, high(word) * scale); }
__device__ __forceinline__ uint4 scaled(uint4 v, float scale) {
    return {scaled(v.x, scale), scaled(v.y, scale), scaled(v.z, scale), scaled(v.w, scale)};
}

// Largest logit of a row.
__device__ __forceinline__ float row_top(const bf16* z, int vocab, float* shared) {
    float top = __uint_as_float(0xff800000u);
    const uint4* words = reinterpret_cast<const uint4*>(z);
    for (int i = threadIdx.x; i < vocab / 8; i += THREADS) {
        uint4 v = words[i];
        top = fmaxf(fmaxf(fmaxf(low(v.x), high(v.x)), fmaxf(low(v.y), high(v.y))), top);
        top = fmaxf(fmaxf(fmaxf(low(v.z), high(v.z)), fmaxf(low(v.w), high(v.w))), top);
    }
    for (int j = vocab / 8 * 8 + threadIdx.x; j < vocab; j += THREADS) top = fmaxf(top, to_f32(z[j]));
    return block_max(top, shared);
}

// logits: rows of `stride` elements, a multiple of 8, of which the first `width`, also a multiple of 8, become the gradient.
// Blocks go through the rows from the last to the first: the last were written last and are still in the L2 cache.
extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)
    row_losses(bf16* logits, float* losses, const int* targets, const TS* seed, const int* count, int vocab, int width,
               i64 stride, float softcap) {
    await_earlier_kernels();
    extern __shared__ uint4 kept[];
    __shared__ float shared[32];
    int row = gridDim.x - 1 - blockIdx.x, target = targets[row];
    bf16* z = logits + row * stride;
    uint4* words = reinterpret_cast<uint4*>(z);
    const int whole = vocab / 8, eights = width / 8;
    if (target < 0 || target >= vocab) {
        if (GRADIENT)
            for (int i = threadIdx.x; i < eights; i += THREADS) words[i] = {0, 0, 0, 0};
        // A target beyond the vocabulary must not pass for a number.
        if (threadIdx.x == 0) losses[row] = target < 0 ? 0.0f : __uint_as_float(0x7fffffffu);
        return;
    }
    Cap cap = {2.0f * LOG2_E / softcap, -2.0f * LOG2_E * softcap, 0.0f};
    float r_target = cap.r(to_f32(z[target])), r_top = 0.0f, sum = 0.0f;
    if (!LOW_CAP) {
        r_top = cap.r(row_top(z, vocab, shared));
        cap.base = -cap.out * r_top;
    }
#pragma unroll 4
    for (int i = threadIdx.x; i < whole; i += THREADS) {
        uint4 v = weigh(cap, words[i], sum);
        if (KEEP && GRADIENT) kept[i] = v;
    }
    // The last columns may be fewer than eight, and those behind them take no part.
    for (int i = whole + threadIdx.x; i < eights; i += THREADS) {
        uint4 v = weigh_some(cap, words[i], vocab - 8 * i, sum);
        if (KEEP && GRADIENT) kept[i] = v;
    }
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) losses[row] = logf(sum) + 2.0f * softcap * (r_target - r_top);
    if (!GRADIENT) return;
    float each = 4.0f * to_f32(seed[0]) / (float)count[0], scale = each / sum, again = 0.0f;
    float at_target = (cap.weight(r_target) / sum - 1.0f) * each * fmaf(-r_target, r_target, r_target);
    if (KEEP) {
        // Every thread reads what it has written itself.
#pragma unroll 4
        for (int i = threadIdx.x; i < whole; i += THREADS) words[i] = scaled(kept[i], scale);
        for (int i = whole + threadIdx.x; i < eights; i += THREADS) words[i] = scaled(kept[i], scale);
    } else {
#pragma unroll 4
        for (int i = threadIdx.x; i < whole; i += THREADS) words[i] = scaled(weigh(cap, words[i], again), scale);
        for (int i = whole + threadIdx.x; i < eights; i += THREADS)
            words[i] = scaled(weigh_some(cap, words[i], vocab - 8 * i, again), scale);
    }
    // The thread that wrote the target's column puts it right.
    int eighth = target / 8;
    if ((eighth < whole ? eighth : eighth - whole) % THREADS == threadIdx.x) z[target] = from_f32<bf16>(at_target);
}

// Number of targets that count, at least 1; and the factor of a gradient in 8 bits (linear_cross_entropy_fp8) or null. One block.
extern "C" __global__ void __launch_bounds__(1024)
    count_targets(int* count, const int* targets, int n, float* factor, const TS* seed) {
    await_earlier_kernels();
    __shared__ int shared[32];
    int sum = 0;
#pragma unroll 8
    for (int i = threadIdx.x; i < n; i += 1024) sum += targets[i] >= 0;
    sum = __reduce_add_sync(0xffffffffu, sum);
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x < 32) {
        sum = __reduce_add_sync(0xffffffffu, shared[threadIdx.x]);
        if (threadIdx.x != 0) return;
        count[0] = max(sum, 1);
        if (factor) factor[0] = to_f32(seed[0]) / ((float)max(sum, 1) * LARGEST_E5M2);
    }
}

// Sum of the losses over the count, in a fixed order. One block.
extern "C" __global__ void __launch_bounds__(1024) mean_loss(TL* loss, const float* losses, const int* count, int n) {
    await_earlier_kernels();
    __shared__ double shared[32];
    double sum = 0.0;
#pragma unroll 8
    for (int i = threadIdx.x; i < n; i += 1024) sum += losses[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) loss[0] = from_f32<TL>((float)(sum / count[0]));
}
