/* How matrices lie in memory, and how weights get there.
 *
 * Row-major: rows of `elem` with a stride that is no power of two (`stride_of`), so that rows do
 *   not fall on the same cache lines. The left operand of `tile_nn`.
 * Panels: columns in blocks of 16, each block a strip over all rows:
 *   float [column block][row][16];  bf16 [column block][row / 2][16][2], two rows interleaved, as
 *   the dot products of AVX-512 and AMX take them. The right operand of `tile_nn`, both of `tile_tn`.
 *
 * Native columns of a layer: unit blocks of 16, within each the cell's `nb` gate blocks, so that one
 * strip of nb * 16 columns holds all gates of 16 units and the gates are applied while it is in L1.
 */
#ifndef TG_LAYOUT_H
#define TG_LAYOUT_H

#include "simd.h"

#define UP(x, to) (((x) + (to) - 1) / (to) * (to))
#define KPAD 32 /* products run over a multiple of so many terms: an AMX tile's */
#define MAX_BLOCKS 5

INLINE size_t stride_of(size_t columns) { return columns + 32; }

/* Which public row a native column stands for. */
typedef struct {
    int nb;              /* gate blocks */
    int pub[MAX_BLOCKS]; /* their row blocks in the public matrix; -1: none, the weights are zero */
    int size;            /* rows of a public block: H, or V for the head */
    int width;           /* columns of the public matrix */
} rows_map;

INLINE long public_row(const rows_map *map, int column_block, int lane) {
    int block = map->pub[column_block % map->nb];
    int unit = column_block / map->nb * BLOCK + lane;
    return block < 0 || unit >= map->size ? -1 : (long)block * map->size + unit;
}

/* 16 x 16 words of 32 bits, rows of `in` to columns of `out`. */
static void transpose16(const uint32_t *in, size_t in_stride, uint32_t *out, size_t out_stride) {
#if VW == 16
    __m512i r[16], s[16];
    for (int i = 0; i < 16; i++) r[i] = _mm512_loadu_si512(in + i * in_stride);
    for (int i = 0; i < 16; i += 2) {
        s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(s[i], s[i + 8], 0x88));
        _mm512_storeu_si512(out + (i + 8) * out_stride,
                            _mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd));
        _mm512_storeu_si512(out + (i + 4) * out_stride,
                            _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88));
        _mm512_storeu_si512(out + (i + 12) * out_stride,
                            _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd));
    }
#else
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < 16; j++) out[j * out_stride + i] = in[i * in_stride + j];
#endif
}

/* 16 * PAIR floats as 16 words: floats, or pairs of bf16. */
INLINE void words16(uint32_t *out, const float *in, int count) {
    float whole[BLOCK * PAIR];
    if (count < BLOCK * PAIR) {
        memset(whole, 0, sizeof whole);
        if (count > 0) memcpy(whole, in, sizeof(float) * (size_t)count);
        in = whole;
    }
    for (int i = 0; i < BLOCK * PAIR; i += VW) estore((elem *)out + i, vload(in + i));
}

/* The panel of a column block of native columns, from public rows: `depth` is the multiple of KPAD
 * that `map->width` terms are padded to with zeros. For products `x @ weight.T`. */
static void pack_columns(elem *panel, const float *weight, const rows_map *map, int column_block,
                         int depth) {
    uint32_t words[16 * 16];
    for (int k = 0; k < depth; k += BLOCK * PAIR) {
        for (int lane = 0; lane < BLOCK; lane++) {
            long row = public_row(map, column_block, lane);
            words16(words + lane * 16, weight + row * map->width + k,
                    row < 0 ? 0 : map->width - k);
        }
        transpose16(words, 16, (uint32_t *)(panel + (size_t)k * BLOCK), 16);
    }
}

/* Two rows of 16 columns, interleaved as a panel wants them (one row where PAIR is 1). */
INLINE void store_pair(elem *out, const vf *even, const vf *odd) {
#if TG_BF16
    __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)*even));
    __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)*odd));
    _mm512_storeu_si512(out, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
#else
    (void)odd;
    for (int v = 0; v < BLOCK / VW; v++) vstore(out + v * VW, even[v]);
#endif
}

INLINE void load_block(vf *out, const float *in, int count) {
    float whole[BLOCK];
    if (count < BLOCK) {
        memset(whole, 0, sizeof whole);
        if (count > 0) memcpy(whole, in, sizeof(float) * (size_t)count);
        in = whole;
    }
    for (int v = 0; v < BLOCK / VW; v++) out[v] = vload(in + v * VW);
}

/* The panel of columns 16 * block.. of a public matrix whose rows, in native order, are the terms:
 * for products `gradient @ weight`. Native columns `from` to `until`, all of them in `map`. */
static void pack_rows(elem *panel, const float *weight, const rows_map *map, int block, int from,
                      int until) {
    vf pair[2][BLOCK / VW];
    for (int k = from; k < until; k += PAIR) {
        for (int i = 0; i < PAIR; i++) {
            long row = public_row(map, (k + i) / BLOCK, (k + i) % BLOCK);
            load_block(pair[i], weight + row * map->width + block * BLOCK,
                       row < 0 ? 0 : map->width - block * BLOCK);
        }
        store_pair(panel + (size_t)k * BLOCK, pair[0], pair[PAIR - 1]);
    }
}

#endif
