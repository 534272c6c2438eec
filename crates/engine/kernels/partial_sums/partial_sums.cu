// The second half of a sum over blocks: every number is the sum of the blocks' shares in a fixed order, times a factor, and is
// added to a gradient.

#ifndef TA
#define TA float
#endif
#ifndef TB
#define TB float
#endif

// One block for each number: numbers below `first` go to `a`, the others to `b`. partial[number][share].
extern "C" __global__ void __launch_bounds__(256)
    partial_sums(TA* a, TB* b, const float* partial, int first, int shares, float factor) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int number = blockIdx.x;
    float sum = 0;
    for (int i = threadIdx.x; i < shares; i += 256) sum += partial[number * (i64)shares + i];
    sum = factor * block_sum(sum, shared);
    if (threadIdx.x > 0) return;
    if (number < first)
        a[number] = from_f32<TA>(to_f32(a[number]) + sum);
    else
        b[number - first] = from_f32<TB>(to_f32(b[number - first]) + sum);
}
