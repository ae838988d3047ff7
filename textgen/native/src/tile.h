/* The two products everything is made of.
 *
 * tile_nn: C[rows][16 n] (+)= A[rows][K] * B, A row-major, B in panels: one time step, the head, an
 *          input projection. C is a small tile that stays in L1.
 * tile_tn: C[16 m][16 n] (+)= A^T * B over all rows of two panels: weight gradients. C is the public
 *          gradient itself.
 *
 * Three versions: AMX tiles, bf16 dot products of AVX-512, and fused multiply-adds of floats.
 */
#ifndef TG_TILE_H
#define TG_TILE_H

#include "layout.h"

/* Rows of a tile at most, and of A's slack after its last row. */
#if defined(TG_ISA_AMX)
#define TILE_ROWS 32
#else
#define TILE_ROWS 36
#endif
#define TILE_COLUMNS 80 /* five column blocks: all of a cell's unit */
#define TILE_STRIDE TILE_COLUMNS

/* Rows and column blocks whose sums the registers hold: 32, 16 or 16 of them. */
#if VW == 16
#define NN_ROWS 6
#define NN_BLOCKS 4
#define TN_ROWS 8
#define TN_BLOCKS 3
#elif VW == 8
#define NN_ROWS 6
#define NN_BLOCKS 1
#define TN_ROWS 6
#define TN_BLOCKS 1
#else
#define NN_ROWS 2
#define NN_BLOCKS 1
#define TN_ROWS 2
#define TN_BLOCKS 1
#endif
#define NV (BLOCK / VW)

/* Where a gradient goes: `weight` public, rows by `map`; `add` to what is there or overwrite. */
typedef struct {
    float *weight;
    const rows_map *map;
    int add;
} target;

/* Put 16 columns of sums into a row of the gradient, no further than its width. */
INLINE void emit(const target *to, int column_block, int lane, int block, const vf *sums, int add) {
    long row = public_row(to->map, column_block, lane);
    if (row < 0) return;
    int width = to->map->width;
    float *out = to->weight + row * width + block * BLOCK;
    if ((block + 1) * BLOCK <= width) {
        for (int v = 0; v < NV; v++) vstore(out + v * VW, add ? vload(out + v * VW) + sums[v] : sums[v]);
        return;
    }
    for (int i = 0; block * BLOCK + i < width; i++)
        out[i] = add ? out[i] + sums[i / VW][i % VW] : sums[i / VW][i % VW];
}

/* Work in pieces that is done beside a product, where another unit than the vectors' multiplies: of
 * `count` pieces `next` is the first that is still to do. */
typedef struct {
    int next, count;
} pieces;

INLINE vf multiply_add(vf sum, const elem *a, const elem *b) {
#if TG_BF16
    int32_t pair;
    memcpy(&pair, a, 4);
    return (vf)_mm512_dpbf16_ps((__m512)sum, (vb)_mm512_set1_epi32(pair),
                                (vb)_mm512_loadu_si512(b));
#else
    return sum + vset(*a) * vload(b);
#endif
}

INLINE void nn_kernel(int rows, int blocks, const elem *a, size_t lda, const elem *b,
                      size_t panel, int depth, float *c, int add) {
    vf sum[NN_ROWS][NN_BLOCKS * NV];
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks * NV; j++)
            sum[r][j] = add ? vload(c + r * TILE_STRIDE + j * VW) : vset(0.0f);
    for (int k = 0; k < depth; k += PAIR) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (int j = 0; j < blocks * NV; j++)
                sum[r][j] = multiply_add(sum[r][j], a + r * lda + k,
                                         b + (j / NV) * panel + (size_t)k * BLOCK + j % NV * VW);
    }
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks * NV; j++) vstore(c + r * TILE_STRIDE + j * VW, sum[r][j]);
}

#define NN_CASE(R, N) \
    case (R) * 8 + (N): nn_kernel(R, N, a, lda, b, panel, depth, c, add); break

INLINE void nn_some(int rows, int blocks, const elem *a, size_t lda, const elem *b, size_t panel,
                    int depth, float *c, int add) {
    switch (rows * 8 + blocks) {
        NN_CASE(1, 1); NN_CASE(2, 1);
#if NN_ROWS == 6
        NN_CASE(4, 1); NN_CASE(6, 1);
#endif
#if NN_BLOCKS == 4
        NN_CASE(1, 2); NN_CASE(2, 2); NN_CASE(4, 2); NN_CASE(6, 2);
        NN_CASE(1, 3); NN_CASE(2, 3); NN_CASE(4, 3); NN_CASE(6, 3);
        NN_CASE(1, 4); NN_CASE(2, 4); NN_CASE(4, 4); NN_CASE(6, 4);
#endif
    }
}

/* C (+)= A * B for up to TILE_ROWS rows and 5 column blocks; `panel` elems lie between blocks. */
static void nn_vectors(const elem *a, size_t lda, int rows, const elem *b, size_t panel, int blocks,
                       int depth, float *c, int add) {
    for (int n = 0; n < blocks; n += NN_BLOCKS) {
        int some = blocks - n < NN_BLOCKS ? blocks - n : NN_BLOCKS;
        for (int r = 0; r < rows;) {
            int left = rows - r;
            int height = left >= NN_ROWS ? NN_ROWS : left >= 4 && NN_ROWS > 4 ? 4 : left >= 2 ? 2 : 1;
            nn_some(height, some, a + r * lda, lda, b + n * panel, panel, depth,
                    c + r * TILE_STRIDE + n * BLOCK, add);
            r += height;
        }
    }
}

#if !defined(TG_ISA_AMX)

#define tile_nn nn_vectors

INLINE void tn_kernel(int rows, int blocks, const elem *a, const elem *b, size_t panel, int depth,
                      vf sum[TN_ROWS][TN_BLOCKS * NV]) {
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < blocks * NV; j++) sum[r][j] = vset(0.0f);
    for (int k = 0; k < depth; k += PAIR) {
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 16
            for (int j = 0; j < blocks * NV; j++)
                sum[r][j] = multiply_add(sum[r][j], a + (size_t)k * BLOCK + r * PAIR,
                                         b + (j / NV) * panel + (size_t)k * BLOCK + j % NV * VW);
    }
}

#define TN_CASE(R, N) \
    case (R) * 8 + (N): tn_kernel(R, N, a + lane * PAIR, b, panel, depth, sum); break

/* The gradient of column blocks [first, last) of A against `blocks` of B, over `depth` rows. */
static void tile_tn(const elem *a, size_t a_panel, int first, int last, const elem *b, size_t panel,
                    int blocks, int depth, const target *to, elem *scratch) {
    (void)scratch;
    /* So many rows at a time that their share of B stays in L2. */
    int chunk = (int)((size_t)(1 << 19) / ((size_t)blocks * BLOCK * sizeof(elem)));
    chunk = chunk < 256 ? 256 : UP(chunk, KPAD);
    for (int start = 0; start < depth; start += chunk) {
        int some_depth = depth - start < chunk ? depth - start : chunk;
        int add = to->add || start > 0;
        for (int m = first; m < last; m++) {
            if (to->map->pub[m % to->map->nb] < 0) continue;
            for (int n = 0; n < blocks; n += TN_BLOCKS) {
                int some = blocks - n < TN_BLOCKS ? blocks - n : TN_BLOCKS;
                for (int lane = 0; lane < BLOCK; lane += TN_ROWS) {
                    int rows = BLOCK - lane < TN_ROWS ? BLOCK - lane : TN_ROWS;
                    vf sum[TN_ROWS][TN_BLOCKS * NV];
                    const elem *A = a + m * a_panel + (size_t)start * BLOCK;
                    const elem *B = b + n * panel + (size_t)start * BLOCK;
                    {
                        const elem *a = A, *b = B;
                        int depth = some_depth;
                        switch (rows * 8 + some) {
                            TN_CASE(TN_ROWS, 1);
#if TN_BLOCKS == 3
                            TN_CASE(TN_ROWS, 2); TN_CASE(TN_ROWS, 3);
#endif
#if BLOCK % TN_ROWS != 0
                            TN_CASE(BLOCK % TN_ROWS, 1);
#endif
                        }
                    }
                    for (int r = 0; r < rows; r++)
                        for (int j = 0; j < some; j++)
                            emit(to, m, lane + r, n + j, sum[r] + j * NV, add);
                }
            }
        }
    }
}

INLINE void tiles_begin(void) {}
INLINE void tiles_end(void) {}
#define TN_SCRATCH(columns, blocks) ((size_t)64)

/* The vectors multiply themselves: there is nothing that could be done meanwhile. */
#define BESIDE 0
INLINE void tile_nn_beside(const elem *a, size_t lda, int rows, const elem *b, size_t panel,
                           int blocks, int depth, float *c, int add, pieces *work,
                           void (*run)(const void *, int), const void *with) {
    (void)work, (void)run, (void)with;
    tile_nn(a, lda, rows, b, panel, blocks, depth, c, add);
}

#else
#include "amx.h"
#endif

/* What a thread does before its first product and after its last. */
INLINE unsigned work_begin(void) {
    tiles_begin();
    return flush_denormals();
}

INLINE void work_end(unsigned mode) {
    restore_denormals(mode);
    tiles_end();
}

#endif
