// The second half of sums over blocks: every number is the sum of the blocks' shares in a fixed order, times a factor, and is
// added to a gradient. One launch for the numbers of many nodes: they stand in stretches, whose places come by value.

constexpr int ENTRIES = 64;

// Numbers that follow one another, `begin` of the launch being the first: partial[number - begin][share].
struct Stretch {
    const float* partial;
    void* to;
    int begin, shares;
    float factor;
    int halved;
};
struct Table {
    Stretch at[ENTRIES];
};

// One block for each number. Stretches that are not used begin behind all blocks.
extern "C" __global__ void __launch_bounds__(256) partial_sums(const __grid_constant__ Table table) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int found = 0;
#pragma unroll
    for (int step = ENTRIES / 2; step > 0; step /= 2)
        if (table.at[found + step].begin <= (int)blockIdx.x) found += step;
    const Stretch& of = table.at[found];
    int number = blockIdx.x - of.begin;
    float sum = 0;
    for (int i = threadIdx.x; i < of.shares; i += 256) sum += of.partial[number * (i64)of.shares + i];
    sum = of.factor * block_sum(sum, shared);
    if (threadIdx.x > 0) return;
    if (of.halved) {
        bf16* to = static_cast<bf16*>(of.to) + number;
        *to = from_f32<bf16>(to_f32(*to) + sum);
    } else {
        static_cast<float*>(of.to)[number] += sum;
    }
}
