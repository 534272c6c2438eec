// The value columns of packed rows take s · table[token], head by head; queries and keys pass. A warp for each row.
//
// A row has H + 2K heads of D elements, D a multiple of 8; the values are the last K. The result may lie where the input does:
// then only the values are touched. The gradient is in `scatter_rows`, which reads the table once for each token that occurs.

#ifndef H
#define H 10
#define K 10
#define D 128
#endif
#ifndef TX
#define TX bf16
#endif
#ifndef TS
#define TS float
#endif
#ifndef TT
#define TT bf16
#endif
#ifndef TY
#define TY bf16
#endif

constexpr int WIDTH = (H + 2 * K) * D, FIRST = (H + K) * D, COLUMNS = K * D;
constexpr int VECTORS = (COLUMNS / 8 + 31) / 32;
// Vectors in flight at once.
constexpr int BATCH = VECTORS < 6 ? VECTORS : 4;

extern "C" __global__ void __launch_bounds__(256)
    value_gate(TY* y, const TX* x, const TS* __restrict__ s, const TT* __restrict__ table, const int* __restrict__ tokens,
               int vocabulary, int copies, i64 rows) {
    await_earlier_kernels();
    int lane = threadIdx.x % 32;
    i64 row = blockIdx.x * 8ll + threadIdx.x / 32;
    if (row >= rows) return;
    u32 token = (u32)tokens[row];
    bool known = token < (u32)vocabulary;
    const TT* entry = table + (known ? token : 0) * (i64)COLUMNS;
    const TX* from = x + row * WIDTH;
    TY* to = y + row * WIDTH;
    for (int first = 0; first < VECTORS; first += BATCH) {
        Packed8<TX> v[BATCH];
        Packed8<TT> e[BATCH];
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            int c = ((first + i) * 32 + lane) * 8;
            if (c < COLUMNS) {
                v[i] = packed8(from + FIRST + c);
                e[i] = packed8(entry + c);
            }
        }
#pragma unroll
        for (int i = 0; i < BATCH; i++) {
            int c = ((first + i) * 32 + lane) * 8;
            if (c < COLUMNS) {
                float share = known ? to_f32(s[row * K + c / D]) : 0.0f;
                F32x8 a = v[i].f32(), b = e[i].f32();
#pragma unroll
                for (int j = 0; j < 8; j++) a.at[j] += share * b.at[j];
                store8(to + FIRST + c, a);
            }
        }
    }
    if (!copies) return;
#pragma unroll 4
    for (int c = lane * 8; c < FIRST; c += 256) store8(to + c, load8(from + c));
}
