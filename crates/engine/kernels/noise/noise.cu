// Every word two bf16 numbers of uniform mantissa and sign and an exponent of 2^-1 .. 2^0, which read as binary32 is such
// a number too.

extern "C" __global__ void __launch_bounds__(256) noise(u32* words, i64 n) {
    for (i64 i = blockIdx.x * 256ll + threadIdx.x; i < n; i += gridDim.x * 256ll) {
        u32 x = (u32)i * 0x9e3779b9u + 0x7f4a7c15u;
        x = (x ^ (x >> 16)) * 0x85ebca6bu;
        x = (x ^ (x >> 13)) * 0xc2b2ae35u;
        x ^= x >> 16;
        words[i] = (x & 0x80ff80ffu) | 0x3f003f00u;
    }
}
