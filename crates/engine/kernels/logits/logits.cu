// y = cap·tanh(z / cap) of the first `vocab` columns. z has rows of `stride` elements; it may be y itself.

#ifndef TY
#define TY float
#endif

extern "C" __global__ void __launch_bounds__(256)
    softcap(TY* y, const float* z, i64 rows, int vocab, i64 stride, float cap) {
    await_earlier_kernels();
    float inverse = 1.0f / cap;
    for (i64 row = blockIdx.y; row < rows; row += gridDim.y)
        for (int j = blockIdx.x * 256 + threadIdx.x; j < vocab; j += 256 * gridDim.x)
            y[row * vocab + j] = from_f32<TY>(cap * tanhf(z[row * stride + j] * inverse));
}
