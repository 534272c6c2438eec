// y[row] = table[token[row]]: a warp for each row of C elements, a multiple of 8. A token outside the table gives zeros. The
// gradient is in `scatter_rows`.

#ifndef C
#define C 1280
#endif
#ifndef TT
#define TT bf16
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int VECTORS = (C / 8 + 31) / 32;

extern "C" __global__ void __launch_bounds__(256)
    embedding(TY* y, const TT* __restrict__ table, const int* __restrict__ tokens, int vocabulary, i64 rows) {
    await_earlier_kernels();
    int lane = threadIdx.x % 32;
    i64 row = blockIdx.x * 8ll + threadIdx.x / 32;
    if (row >= rows) return;
    u32 token = (u32)tokens[row];
    bool known = token < (u32)vocabulary;
    const TT* from = table + (known ? token : 0) * (i64)C;
#pragma unroll 5
    for (int i = 0; i < VECTORS; i++) {
        int c = (i * 32 + lane) * 8;
        if (c < C) {
            F32x8 v = load8(from + c);
            if (!known) v = {};
            store8(y + row * C + c, v);
        }
    }
}
