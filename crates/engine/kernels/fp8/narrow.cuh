// Numbers as 8 bits, for the sources of this folder.

#define LARGEST_E5M2 57344.0f
#define LARGEST_E4M3 448.0f

// Two numbers as 8 bits each, the first in the low byte; what is too large becomes the largest.
template <bool WIDE> __device__ __forceinline__ u32 pack8(float low, float high) {
    u16 pair;
    if (WIDE)
        asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    else
        asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(high), "f"(low));
    return pair;
}
// Eight elements of a row.
template <bool WIDE> __device__ __forceinline__ uint2 pack8(const float* z) {
    return {pack8<WIDE>(z[0], z[1]) | pack8<WIDE>(z[2], z[3]) << 16, pack8<WIDE>(z[4], z[5]) | pack8<WIDE>(z[6], z[7]) << 16};
}
