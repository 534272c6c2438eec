// Root of the sum of squares over many tensors, in two stages of fixed order: pieces by one block each, then all sums.

#ifndef TY
#define TY float
#endif

struct Piece {
    u64 pointer;
    u64 len_and_type; // number of elements, and 1 in the top bit where they are bf16
};

template <class T> __device__ __forceinline__ float squares(const T* x, int n) {
    float sum = 0.0f;
    constexpr int BYTES = 16, WIDE = BYTES / sizeof(T);
    int head = (int)((BYTES - (u64)x % BYTES) % BYTES / sizeof(T));
    head = min(head, n);
    for (int i = threadIdx.x; i < head; i += 256) sum += to_f32(x[i]) * to_f32(x[i]);
    x += head, n -= head;
    int whole = n / WIDE;
#pragma unroll 4
    for (int i = threadIdx.x; i < whole; i += 256) {
        Group<WIDE> v = load_group<WIDE>(x + (i64)i * WIDE);
#pragma unroll
        for (int j = 0; j < WIDE; j++) sum = fmaf(v.at[j], v.at[j], sum);
    }
    for (int i = whole * WIDE + threadIdx.x; i < n; i += 256) sum += to_f32(x[i]) * to_f32(x[i]);
    return sum;
}

extern "C" __global__ void __launch_bounds__(256) piece_squares(float* sums, const Piece* pieces) {
    await_earlier_kernels();
    __shared__ float shared[32];
    Piece piece = pieces[blockIdx.x];
    int n = (int)(piece.len_and_type & 0x7fffffffu);
    float sum = piece.len_and_type >> 63 ? squares((const bf16*)piece.pointer, n) : squares((const float*)piece.pointer, n);
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block.
extern "C" __global__ void __launch_bounds__(1024) root_of_sums(TY* y, const float* sums, int n) {
    await_earlier_kernels();
    __shared__ double shared[32];
    double sum = 0.0;
#pragma unroll 8
    for (int i = threadIdx.x; i < n; i += 1024) sum += sums[i];
    sum = block_sum(sum, shared);
    if (threadIdx.x == 0) y[0] = from_f32<TY>((float)sqrt(sum));
}
