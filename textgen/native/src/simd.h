/* One short vector type, whatever the instruction set: `vf` holds VW floats.
 *
 * GCC's and clang's vector extensions spell arithmetic once for all of them; intrinsics appear only
 * where the extension has no word (broadcast, minimum, bf16). A "block" is 16 columns: the unit in
 * which every matrix of the engine is stored, and 16 / VW vectors.
 *
 * `elem` is the type in which matrices are multiplied: bf16 (as its 16 bits) on instruction sets
 * that multiply it, float elsewhere. Sums are float everywhere.
 */
#ifndef TG_SIMD_H
#define TG_SIMD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(TG_ISA_AMX) || defined(TG_ISA_AVX512BF16)
#define TG_BF16 1
#else
#define TG_BF16 0
#endif

#if TG_BF16 || defined(TG_ISA_AVX512)
#include <immintrin.h>
#define VW 16
#elif defined(TG_ISA_AVX2)
#include <immintrin.h>
#define VW 8
#else
#define VW 4
#endif

#define BLOCK 16
#define INLINE static inline __attribute__((always_inline))

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int32_t vi __attribute__((vector_size(VW * 4)));
typedef float vf_any __attribute__((vector_size(VW * 4), aligned(4), may_alias));

#if TG_BF16
typedef uint16_t elem;
#define PAIR 2 /* rows that one multiplication takes together: see the panel layout in layout.h */
#else
typedef float elem;
#define PAIR 1
#endif

INLINE vf vload(const float *p) { return *(const vf_any *)p; }
INLINE void vstore(float *p, vf x) { *(vf_any *)p = x; }

INLINE vf vset(float x) {
#if VW == 16
    return (vf)_mm512_set1_ps(x);
#elif VW == 8
    return (vf)_mm256_set1_ps(x);
#else
    return (vf){x, x, x, x};
#endif
}

/* Both let a NaN in `x` through, so that a diverged model is noticed and not hidden. */
INLINE vf vat_least(vf x, float low) {
#if VW == 16
    return (vf)_mm512_max_ps(_mm512_set1_ps(low), (__m512)x);
#elif VW == 8
    return (vf)_mm256_max_ps(_mm256_set1_ps(low), (__m256)x);
#else
    vf bound = vset(low);
    vi below = x < bound;
    return (vf)((below & (vi)bound) | (~below & (vi)x));
#endif
}

INLINE vf vat_most(vf x, float high) {
#if VW == 16
    return (vf)_mm512_min_ps(_mm512_set1_ps(high), (__m512)x);
#elif VW == 8
    return (vf)_mm256_min_ps(_mm256_set1_ps(high), (__m256)x);
#else
    vf bound = vset(high);
    vi above = x > bound;
    return (vf)((above & (vi)bound) | (~above & (vi)x));
#endif
}

INLINE vf vmax(vf a, vf b) {
#if VW == 16
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
#elif VW == 8
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
    vi more = a > b;
    return (vf)((more & (vi)a) | (~more & (vi)b));
#endif
}

INLINE float vsum(vf x) {
    float total = 0.0f;
    for (int i = 0; i < VW; i++) total += x[i];
    return total;
}

INLINE float vtop(vf x) {
    float top = x[0];
    for (int i = 1; i < VW; i++) top = x[i] > top ? x[i] : top;
    return top;
}

/* 2^f for |f| <= 1/2, by a polynomial of least relative error there: 9e-8, or 3e-6 where `brief`,
 * a thousandth of a bf16 rounding. */
INLINE vf vexp2_poly(vf f, int brief) {
    if (brief) {
        vf p = vset(9.5828530e-3f);
        p = p * f + vset(5.5906425e-2f);
        p = p * f + vset(2.4024099e-1f);
        p = p * f + vset(6.9312419e-1f);
        return p * f + vset(1.0f);
    }
    vf p = vset(1.3264727e-3f);
    p = p * f + vset(9.6715126e-3f);
    p = p * f + vset(5.5507337e-2f);
    p = p * f + vset(2.4022242e-1f);
    p = p * f + vset(6.9314698e-1f);
    return p * f + vset(1.0f);
}

/* 2^(x * scale). Adding 1.5 * 2^23 + 127 rounds to a whole number that stands, as an exponent, in the
 * low bits of the sum; the rest is exact, for `x * scale - whole` is one fused operation where the
 * machine has it. A product puts the two together, so that any NaN stays one. */
INLINE vf vexp2_scaled(vf x, float scale, int brief) {
    const vf magic = vset(12583039.0f);
    vf shifted = x * vset(scale) + magic;
    vf f = x * vset(scale) - (shifted - magic);
    return vexp2_poly(f, brief) * (vf)((vi)shifted << 23);
}

#define LOG2E 1.44269504f

/* e^x, at least e^-87. */
INLINE vf vexp(vf x) { return vexp2_scaled(vat_most(vat_least(x, -87.0f), 87.0f), LOG2E, 0); }

/* In products of bf16 numbers an error of 6e-5 is a sixtieth of a rounding. */
INLINE vf vreciprocal(vf x) {
#if TG_BF16
    return (vf)_mm512_rcp14_ps((__m512)x);
#else
    return vset(1.0f) / x;
#endif
}

INLINE vf vsigmoid(vf x) {
    vf e = vexp2_scaled(vat_most(vat_least(x, -60.0f), 60.0f), -LOG2E, TG_BF16);
    return vreciprocal(vset(1.0f) + e);
}

INLINE vf vtanh(vf x) {
    vf d = vset(1.0f) + vexp2_scaled(vat_most(vat_least(x, -30.0f), 30.0f), 2.0f * LOG2E, TG_BF16);
    vf r = vreciprocal(d);
#if TG_BF16
    r = r * (vset(2.0f) - d * r); /* near zero 1 - 2 r is a small difference of large numbers */
#endif
    return vset(1.0f) - vset(2.0f) * r;
}

/* Numbers below the normal ones are taken for zero while the engine works, as AMX takes them anyway:
 * moments of symbols that never occur fade into them, and each costs a hundred times an addition. */
INLINE unsigned flush_denormals(void) {
#if defined(__SSE__)
    unsigned before = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(before | 0x8040);
    return before;
#else
    return 0;
#endif
}

INLINE void restore_denormals(unsigned before) {
#if defined(__SSE__)
    __builtin_ia32_ldmxcsr(before);
#else
    (void)before;
#endif
}

INLINE float bf16_float(uint16_t x) {
    uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

/* To the nearest, ties to even; a NaN stays one. */
INLINE uint16_t float_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16);
}

#if TG_BF16
typedef __m512bh vb;
INLINE vf eload(const elem *p) {
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
}
INLINE void estore(elem *p, vf x) {
    _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh((__m512)x));
}
INLINE elem eround(float x) { return float_bf16(x); }
INLINE float efloat(elem x) { return bf16_float(x); }
#else
INLINE vf eload(const elem *p) { return vload(p); }
INLINE void estore(elem *p, vf x) { vstore(p, x); }
INLINE elem eround(float x) { return x; }
INLINE float efloat(elem x) { return x; }
#endif

#endif
