// Muon's work around its products, for all matrices of one shape at once.
//
// `update_direction` advances the momentum and writes X, bf16 rows of norm `scale`, padded with zeros to multiples of 8; the
// products run on X; `row_squares` or `column_squares`, `factors` and `step` make the update of the result. A block's y is
// the matrix, whose operands it finds in a table of pointers: p, g, buffer, second, copy. All sums have a fixed order.
//
// SPLIT: p holds the lower halves of a matrix, and the bf16 copy the upper ones. TG, TC: types of the gradient and the copy. COPY. WIDTH: elements of one access to p, g, buffer, copy. THREADS, GROUPS:
// accesses of one thread cover a row.

#ifndef TG
#define TG float
#define TC bf16
#define COPY 1
#define WIDTH 4
#define THREADS 160
#define GROUPS 2
#endif
#ifndef SPLIT
#define SPLIT 0
#endif

#if SPLIT
typedef u16 Stored;
#else
typedef float Stored;
#endif

struct Operands {
    Stored* p;
    TG* g;
    float* buffer;
    float* second;
    TC* copy;
};

struct Sizes {
    int rows, cols;               // of p
    int padded_rows, padded_cols; // of X
};

// buffer, g and X of one row; squares: of the rows of X over scale², in binary32 before rounding.
extern "C" __global__ void __launch_bounds__(THREADS)
    update_direction(bf16* x, float* squares, const Operands* table, const float* momentum, Sizes by, float scale) {
    await_earlier_kernels();
    __shared__ float shared[32];
    int row = blockIdx.x;
    i64 matrix = blockIdx.y;
    x += (matrix * by.padded_rows + row) * by.padded_cols;
    if (row >= by.rows) {
        for (int j = threadIdx.x; j < by.padded_cols; j += THREADS) x[j] = from_f32<bf16>(0.0f);
        return;
    }
    Operands of = table[matrix];
    float* buffer = of.buffer + (i64)row * by.cols;
    TG* g = of.g + (i64)row * by.cols;
    float mu = momentum[0], rest = 1.0f - mu, sum = 0.0f;
    Group<WIDTH> u[GROUPS], b[GROUPS], zero = {};
    // All loads first: the compiler does not take one past a store.
#pragma unroll
    for (int k = 0; k < GROUPS; k++) {
        int j = (k * THREADS + threadIdx.x) * WIDTH;
        u[k] = b[k] = zero;
        if (j < by.cols) u[k] = load_group<WIDTH>(g + j), b[k] = load_group<WIDTH>(buffer + j);
    }
#pragma unroll
    for (int k = 0; k < GROUPS; k++) {
        int j = (k * THREADS + threadIdx.x) * WIDTH;
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            b[k].at[i] = mu * b[k].at[i] + rest * u[k].at[i];
            u[k].at[i] = rest * u[k].at[i] + mu * b[k].at[i];
            sum = fmaf(u[k].at[i], u[k].at[i], sum);
        }
        if (j < by.cols) store_group(buffer + j, b[k]), store_group(g + j, zero);
    }
    sum = block_sum(sum, shared);
    float inverse = 1.0f / fmaxf(sqrtf(sum), 1e-7f);
    if (threadIdx.x == 0) squares[matrix * by.rows + row] = sum * inverse * inverse;
#pragma unroll
    for (int k = 0; k < GROUPS; k++) {
        int j = (k * THREADS + threadIdx.x) * WIDTH;
        if (j >= by.cols) continue;
#pragma unroll
        for (int i = 0; i < WIDTH; i++) u[k].at[i] *= inverse * scale;
        store_group(x + j, u[k]);
    }
    for (int j = by.cols + threadIdx.x; j < by.padded_cols; j += THREADS) x[j] = from_f32<bf16>(0.0f);
}

// X was scaled as if all its rows had norm 1; where rows (almost) vanish, it is scaled anew. Else this only adds up the rows.
extern "C" __global__ void __launch_bounds__(256)
    rescale(bf16* x, const float* squares, Sizes by, float scale) {
    await_earlier_kernels();
    __shared__ float shared[32];
    i64 matrix = blockIdx.y, size = (i64)by.padded_rows * by.padded_cols;
    float sum = 0.0f;
    for (int i = threadIdx.x; i < by.rows; i += 256) sum += squares[matrix * by.rows + i];
    float factor = 1.0f / ((1.01f * sqrtf(block_sum(sum, shared)) + 1e-6f) * scale);
    if (fabsf(factor - 1.0f) < 1e-4f) return;
    x += matrix * size;
    for (i64 i = 8 * (blockIdx.x * 256ll + threadIdx.x); i < size; i += 8 * 256ll * gridDim.x) {
        F32x8 v = load8(x + i);
#pragma unroll
        for (int j = 0; j < 8; j++) v.at[j] *= factor;
        store8(x + i, v);
    }
}

__device__ __forceinline__ float sum_of_squares(const F32x8& v) {
    float sum = 0.0f;
#pragma unroll
    for (int j = 0; j < 8; j++) sum = fmaf(v.at[j], v.at[j], sum);
    return sum;
}

// A warp has a row.
extern "C" __global__ void __launch_bounds__(256) row_squares(float* squares, const bf16* x, Sizes by) {
    await_earlier_kernels();
    int row = blockIdx.x * 8 + threadIdx.x / 32;
    if (row >= by.rows) return;
    i64 matrix = blockIdx.y;
    x += (matrix * by.padded_rows + row) * by.padded_cols;
    float sum = 0.0f;
#pragma unroll 4
    for (int j = threadIdx.x % 32 * 8; j < by.padded_cols; j += 256) sum += sum_of_squares(load8(x + j));
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) squares[matrix * by.rows + row] = sum;
}

// A block has 256 columns, each of its warps every eighth row of them.
extern "C" __global__ void __launch_bounds__(256) column_squares(float* squares, const bf16* x, Sizes by) {
    await_earlier_kernels();
    __shared__ float parts[8][256];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, first = blockIdx.x * 256;
    i64 matrix = blockIdx.y;
    F32x8 sum = {};
    if (first + lane * 8 < by.padded_cols) {
        x += matrix * by.padded_rows * by.padded_cols + first + lane * 8;
#pragma unroll 4
        for (int row = warp; row < by.rows; row += 8) {
            F32x8 v = load8(x + (i64)row * by.padded_cols);
#pragma unroll
            for (int j = 0; j < 8; j++) sum.at[j] = fmaf(v.at[j], v.at[j], sum.at[j]);
        }
    }
#pragma unroll
    for (int j = 0; j < 8; j++) parts[warp][lane * 8 + j] = sum.at[j];
    __syncthreads();
    int col = first + threadIdx.x;
    if (col >= by.cols) return;
    float all = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++) all += parts[i][threadIdx.x];
    squares[matrix * by.cols + col] = all;
}

// From the squares of the rows (columns) of what the products made: the second moments, and the factors that take it to the
// update. `sigma` times X is the orthogonalised matrix; `norm` is the Frobenius norm it gets. One block for each matrix.
extern "C" __global__ void __launch_bounds__(1024)
    factors(float* factor, const float* squares, const Operands* table, int len, float reduced, float sigma, float norm,
            float beta2, float rest2) {
    await_earlier_kernels();
    __shared__ float shared[32];
    i64 matrix = blockIdx.x;
    float* second = table[matrix].second;
    squares += matrix * len;
    factor += matrix * len;
    float sum = 0.0f, changed = 0.0f;
    for (int i = threadIdx.x; i < len; i += 1024) sum += squares[i];
    float whole = sqrtf(block_sum(sum, shared));
    float snap = sigma * norm / fmaxf(sigma * whole, 1e-7f);
    for (int i = threadIdx.x; i < len; i += 1024) {
        float square = squares[i] * snap * snap;
        float next = beta2 * second[i] + rest2 * (square / reduced);
        second[i] = next;
        changed += square / fmaxf(next, 1e-10f);
    }
    float back = snap * whole / fmaxf(sqrtf(block_sum(changed, shared)), 1e-10f);
    // Each thread reads what it has written itself.
    for (int i = threadIdx.x; i < len; i += 1024) factor[i] = snap * back * rsqrtf(fmaxf(second[i], 1e-10f));
}

template <int Count, class P> __device__ __forceinline__ Group<Count> load_parameters(const P* p, const TC* copy) {
    if constexpr (SPLIT)
        return load_joined<Count>(copy, p);
    else
        return load_group<Count>(p);
}
template <int Count, class P>
__device__ __forceinline__ void store_parameters(P* p, TC* copy, const Group<Count>& x) {
    if constexpr (SPLIT) {
        store_split<Count>(copy, p, x);
    } else {
        store_group(p, x);
        if (COPY) store_group(copy, x);
    }
}

// p and its copy, one row. by_row: a factor for each row, else for each column.
extern "C" __global__ void __launch_bounds__(THREADS)
    step(const bf16* x, const float* factor, const Operands* table, const float* lr_multiplier, const float* weight_decay,
         Sizes by, int by_row, float lr) {
    await_earlier_kernels();
    int row = blockIdx.x;
    i64 matrix = blockIdx.y;
    Operands of = table[matrix];
    x += (matrix * by.padded_rows + row) * by.padded_cols;
    factor += matrix * (by_row ? by.rows : by.cols);
    Stored* p = of.p + (i64)row * by.cols;
    TC* copy = of.copy + (i64)row * by.cols;
    float rate = lr * lr_multiplier[0], decay = rate * weight_decay[0];
    Group<WIDTH> v[GROUPS], d[GROUPS];
#pragma unroll
    for (int k = 0; k < GROUPS; k++) {
        int j = (k * THREADS + threadIdx.x) * WIDTH;
        if (j < by.cols) v[k] = load_parameters<WIDTH>(p + j, copy + j), d[k] = load_group<WIDTH>(x + j);
    }
#pragma unroll
    for (int k = 0; k < GROUPS; k++) {
        int j = (k * THREADS + threadIdx.x) * WIDTH;
        if (j >= by.cols) continue;
#pragma unroll
        for (int i = 0; i < WIDTH; i++) {
            // Factors of one matrix stand behind those of another, and need not be aligned.
            float change = d[k].at[i] * factor[by_row ? row : j + i];
            float pull = change * v[k].at[i] >= 0.0f ? decay : 0.0f;
            v[k].at[i] -= rate * change + pull * v[k].at[i];
        }
        store_parameters(p + j, copy + j, v[k]);
    }
}
