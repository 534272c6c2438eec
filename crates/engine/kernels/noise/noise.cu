// Every word two standard normal bf16 numbers (Box and Muller), so that what is timed on them draws the power that data
// draws; read as binary32, a word is about the number in its upper half.

__device__ __forceinline__ u32 scramble(u32 x) {
    x = (x ^ (x >> 16)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

extern "C" __global__ void __launch_bounds__(256) noise(u32* words, i64 n) {
    await_earlier_kernels();
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) {
        u32 seed = (u32)i * 0x9e3779b9u + 0x7f4a7c15u;
        float u = ((scramble(seed) >> 8) + 1) * 0x1p-24f, v = (scramble(seed ^ 0x5bd1e995u) >> 8) * 0x1p-24f;
        float radius = sqrtf(-2.0f * __logf(u)), sine, cosine;
        __sincosf(6.2831853f * v, &sine, &cosine);
        words[i] = pack_bf16(radius * sine, radius * cosine);
    }
}
