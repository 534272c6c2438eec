// What every kernel shares: element types, 16-byte accesses, reductions over a warp and a block.
//
// bf16 is a 16-bit integer here: the header that defines it is not needed, and conversions are one instruction each.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

// The first statement of every kernel. A kernel may be launched while the one before it in the stream still runs (programmatic
// dependent launch, from Hopper on): nothing may be read or written until all of that is done, and seen from here. As each kernel
// waits for the one before, all earlier ones are done too. With EARLY_DEPENDENTS the next kernel's blocks may come as soon as all blocks of
// this one are running, where there is room for them; otherwise when this one's blocks have ended.
#ifndef EARLY_DEPENDENTS
#define EARLY_DEPENDENTS 0
#endif
__device__ __forceinline__ void await_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#if EARLY_DEPENDENTS
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
#endif
}

struct bf16 {
    u16 bits;
};

__device__ __forceinline__ float to_f32(float x) { return x; }
__device__ __forceinline__ float to_f32(bf16 x) { return __uint_as_float((u32)x.bits << 16); }

template <class T> __device__ __forceinline__ T from_f32(float x);
template <> __device__ __forceinline__ float from_f32<float>(float x) { return x; }
template <> __device__ __forceinline__ bf16 from_f32<bf16>(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// Two values as one word, the first in the low half.
__device__ __forceinline__ u32 pack_bf16(float low, float high) {
    u32 word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

// Eight consecutive elements, 16-byte aligned in memory for bf16 and 32-byte for binary32.
struct F32x8 {
    float at[8];
};

__device__ __forceinline__ F32x8 load8(const bf16* p) {
    uint4 words = *reinterpret_cast<const uint4*>(p);
    u32 w[4] = {words.x, words.y, words.z, words.w};
    F32x8 x;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x.at[2 * i] = __uint_as_float(w[i] << 16);
        x.at[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
    }
    return x;
}
__device__ __forceinline__ F32x8 load8(const float* p) {
    float4 a = reinterpret_cast<const float4*>(p)[0], b = reinterpret_cast<const float4*>(p)[1];
    return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}
__device__ __forceinline__ void store8(bf16* p, const F32x8& x) {
    uint4 words = {pack_bf16(x.at[0], x.at[1]), pack_bf16(x.at[2], x.at[3]), pack_bf16(x.at[4], x.at[5]),
                   pack_bf16(x.at[6], x.at[7])};
    *reinterpret_cast<uint4*>(p) = words;
}
__device__ __forceinline__ void store8(float* p, const F32x8& x) {
    reinterpret_cast<float4*>(p)[0] = {x.at[0], x.at[1], x.at[2], x.at[3]};
    reinterpret_cast<float4*>(p)[1] = {x.at[4], x.at[5], x.at[6], x.at[7]};
}

__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
    return x;
}

// Eight consecutive elements as they lie in memory: half the registers of binary32 where they are bf16.
template <class T> struct Packed8;
template <> struct Packed8<bf16> {
    uint4 words;
    __device__ __forceinline__ F32x8 f32() const {
        u32 w[4] = {words.x, words.y, words.z, words.w};
        F32x8 x;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            x.at[2 * i] = __uint_as_float(w[i] << 16);
            x.at[2 * i + 1] = __uint_as_float(w[i] & 0xffff0000u);
        }
        return x;
    }
};
template <> struct Packed8<float> {
    float4 low, high;
    __device__ __forceinline__ F32x8 f32() const {
        return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
    }
};
__device__ __forceinline__ Packed8<bf16> packed8(const bf16* p) { return {*reinterpret_cast<const uint4*>(p)}; }
__device__ __forceinline__ Packed8<float> packed8(const float* p) {
    return {reinterpret_cast<const float4*>(p)[0], reinterpret_cast<const float4*>(p)[1]};
}

// Sum over a block of at most 1024 threads, a multiple of 32, in a fixed order; every thread gets it. `shared` holds 32
// floats and may be used again at once.
__device__ __forceinline__ float block_sum(float x, float* shared) {
    x = warp_sum(x);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? shared[lane] : 0.0f);
}
__device__ __forceinline__ float block_max(float x, float* shared) {
    x = warp_max(x);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_max(lane < warps ? shared[lane] : __uint_as_float(0xff800000u));
}

// The same of binary64 numbers, for sums whose every digit shows. `shared` holds 32 of them.
__device__ __forceinline__ double warp_sum(double x) {
#pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}
__device__ __forceinline__ double block_sum(double x, double* shared) {
    x = warp_sum(x);
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    __syncthreads();
    if (lane == 0) shared[warp] = x;
    __syncthreads();
    return warp_sum(lane < warps ? shared[lane] : 0.0);
}

// Four words of four bytes become their transpose.
__device__ __forceinline__ void turn_bytes(u32& a, u32& b, u32& c, u32& d) {
    u32 ab01 = __byte_perm(a, b, 0x5140), ab23 = __byte_perm(a, b, 0x7362);
    u32 cd01 = __byte_perm(c, d, 0x5140), cd23 = __byte_perm(c, d, 0x7362);
    a = __byte_perm(ab01, cd01, 0x5410);
    b = __byte_perm(ab01, cd01, 0x7632);
    c = __byte_perm(ab23, cd23, 0x5410);
    d = __byte_perm(ab23, cd23, 0x7632);
}

// Hands in the largest of a warp's numbers, none of them negative, at one of 256 places, which must be zero before the kernel.
// Every thread of the warp must get here. The largest of all does not depend on who comes first.
__device__ __forceinline__ void hand_in_largest(u32* places, float largest, u32 block) {
    largest = warp_max(largest);
    u32 place = (block * (blockDim.x >> 5) + (threadIdx.x >> 5)) % 256;
    // Such numbers are in the order of their bits.
    if ((threadIdx.x & 31) == 0) atomicMax(places + place, __float_as_uint(largest));
}

// A binary32 number in two halves: the upper one is the bf16 number next to it, of two at equal distance the one further from
// zero, and the lower one the difference of their bits, from −32768 to 32767. All numbers come back as they were; all NaN are one.
__device__ __forceinline__ float joined(u32 upper, u32 lower) {
    return __uint_as_float((upper << 16) + (u32)(int)(short)(u16)lower);
}
// The bits whose sum with 0x8000 has the upper half on top, and which end in the lower half.
__device__ __forceinline__ u32 bits_to_split(float x) { return x != x ? 0x7fc00000u : __float_as_uint(x); }

// Consecutive elements, Count = 1, 4 or 8, aligned in memory to the whole of them but to no more than 16 bytes.
template <int Count> struct Group {
    float at[Count];
};
template <int Count, class T> __device__ __forceinline__ Group<Count> load_group(const T* p) {
    Group<Count> x;
    if constexpr (Count == 1) {
        x.at[0] = to_f32(p[0]);
    } else if constexpr (sizeof(T) == 4) {
#pragma unroll
        for (int i = 0; i < Count / 4; i++) {
            float4 v = reinterpret_cast<const float4*>(p)[i];
            x.at[4 * i] = v.x, x.at[4 * i + 1] = v.y, x.at[4 * i + 2] = v.z, x.at[4 * i + 3] = v.w;
        }
    } else {
        u32 words[Count / 2];
        if constexpr (Count == 4) {
            uint2 v = *reinterpret_cast<const uint2*>(p);
            words[0] = v.x, words[1] = v.y;
        } else {
            uint4 v = *reinterpret_cast<const uint4*>(p);
            words[0] = v.x, words[1] = v.y, words[2] = v.z, words[3] = v.w;
        }
#pragma unroll
        for (int i = 0; i < Count / 2; i++) {
            x.at[2 * i] = __uint_as_float(words[i] << 16);
            x.at[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
    return x;
}
template <int Count, class T> __device__ __forceinline__ void store_group(T* p, const Group<Count>& x) {
    if constexpr (Count == 1) {
        p[0] = from_f32<T>(x.at[0]);
    } else if constexpr (sizeof(T) == 4) {
#pragma unroll
        for (int i = 0; i < Count / 4; i++)
            reinterpret_cast<float4*>(p)[i] = {x.at[4 * i], x.at[4 * i + 1], x.at[4 * i + 2], x.at[4 * i + 3]};
    } else if constexpr (Count == 4) {
        *reinterpret_cast<uint2*>(p) = {pack_bf16(x.at[0], x.at[1]), pack_bf16(x.at[2], x.at[3])};
    } else {
        *reinterpret_cast<uint4*>(p) = {pack_bf16(x.at[0], x.at[1]), pack_bf16(x.at[2], x.at[3]),
                                        pack_bf16(x.at[4], x.at[5]), pack_bf16(x.at[6], x.at[7])};
    }
}

// Of numbers in halves; Count = 1 or 4.
template <int Count> __device__ __forceinline__ Group<Count> load_joined(const bf16* upper, const u16* lower) {
    static_assert(Count == 1 || Count == 4, "vectors are of four numbers");
    Group<Count> x;
    if constexpr (Count == 1) {
        x.at[0] = joined(upper[0].bits, lower[0]);
    } else {
        uint2 u = *reinterpret_cast<const uint2*>(upper), l = *reinterpret_cast<const uint2*>(lower);
        x.at[0] = joined(u.x & 0xffffu, l.x), x.at[1] = joined(u.x >> 16, l.x >> 16);
        x.at[2] = joined(u.y & 0xffffu, l.y), x.at[3] = joined(u.y >> 16, l.y >> 16);
    }
    return x;
}
template <int Count> __device__ __forceinline__ void store_split(bf16* upper, u16* lower, const Group<Count>& x) {
    static_assert(Count == 1 || Count == 4, "vectors are of four numbers");
    u32 bits[Count];
#pragma unroll
    for (int i = 0; i < Count; i++) bits[i] = bits_to_split(x.at[i]);
    if constexpr (Count == 1) {
        upper[0].bits = (u16)((bits[0] + 0x8000u) >> 16);
        lower[0] = (u16)bits[0];
    } else {
        uint2 u, l;
        u.x = (bits[0] + 0x8000u) >> 16 | ((bits[1] + 0x8000u) & 0xffff0000u);
        u.y = (bits[2] + 0x8000u) >> 16 | ((bits[3] + 0x8000u) & 0xffff0000u);
        l.x = (bits[0] & 0xffffu) | bits[1] << 16;
        l.y = (bits[2] & 0xffffu) | bits[3] << 16;
        *reinterpret_cast<uint2*>(upper) = u;
        *reinterpret_cast<uint2*>(lower) = l;
    }
}
// Sum over the threads that share a row: a warp, or the whole block.
template <int ROW_LANES> __device__ __forceinline__ float row_sum(float x, float* shared) {
    static_assert(ROW_LANES >= 32, "a row has a warp at least");
    if constexpr (ROW_LANES == 32) return warp_sum(x);
    return block_sum(x, shared);
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

// Copies eight elements from global to shared memory while the thread goes on; `wait_for_copies` waits for all that the calling
// thread began, and then that thread may read them.
template <class T> __device__ __forceinline__ void copy8_async(T* shared, const T* global) {
    u32 to = (u32)__cvta_generic_to_shared(shared);
#pragma unroll
    for (int i = 0; i < (int)sizeof(T) / 2; i++)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to + 16 * i), "l"((const char*)global + 16 * i)
                     : "memory");
}
__device__ __forceinline__ void wait_for_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }
