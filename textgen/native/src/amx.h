/* The products on AMX tiles: 16 rows of 64 bytes each, eight of them a core. A pair of products of
 * 32 x 32 x 32 keeps four sums and reads two tiles of each operand for four multiplications.
 *
 * TG_AMX_EMULATED replaces the instructions by plain C, so that the indexing can be tested on a
 * machine without them. */
#ifndef TG_AMX_H
#define TG_AMX_H

#ifdef TG_AMX_EMULATED
#define WRITTEN()
static __thread float tile_sums[8][16][16];
static __thread uint16_t tile_data[8][16][32];
#define TILE_LOAD(t, p, stride) \
    for (int i_ = 0; i_ < 16; i_++) memcpy(tile_data[t][i_], (const char *)(p) + i_ * (stride), 64)
#define TILE_LOAD_SUM(t, p, stride) \
    for (int i_ = 0; i_ < 16; i_++) memcpy(tile_sums[t][i_], (const char *)(p) + i_ * (stride), 64)
#define TILE_STORE(t, p, stride) \
    for (int i_ = 0; i_ < 16; i_++) memcpy((char *)(p) + i_ * (stride), tile_sums[t][i_], 64)
#define TILE_ZERO(t) memset(tile_sums[t], 0, sizeof tile_sums[t])
#define TILE_MULTIPLY(c, a, b) tile_multiply(c, a, b)
static void tile_multiply(int c, int a, int b) {
    for (int m = 0; m < 16; m++)
        for (int k = 0; k < 16; k++)
            for (int n = 0; n < 16; n++)
                for (int i = 0; i < 2; i++)
                    tile_sums[c][m][n] += bf16_float(tile_data[a][m][2 * k + i]) *
                                          bf16_float(tile_data[b][k][2 * n + i]);
}
INLINE void tiles_begin(void) {}
INLINE void tiles_end(void) {}
#else
/* The compiler does not know what a tile load reads: GCC names none of the memory. So all that was
 * written before must really be there. */
#define WRITTEN() __asm__ volatile("" ::: "memory")
#define TILE_LOAD(t, p, stride) _tile_loadd(t, p, stride)
#define TILE_LOAD_SUM(t, p, stride) _tile_loadd(t, p, stride)
#define TILE_STORE(t, p, stride) _tile_stored(t, p, stride)
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_MULTIPLY(c, a, b) _tile_dpbf16ps(c, a, b)

/* All eight tiles whole. A thread sets this before its first product and takes it back after the
 * last, so that the system need not save 8 KB at every switch. */
static void tiles_begin(void) {
    struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } __attribute__((packed, aligned(64))) config;
    memset(&config, 0, sizeof config);
    config.palette = 1;
    for (int t = 0; t < 8; t++) {
        config.bytes[t] = 64;
        config.rows[t] = 16;
    }
    __asm__ volatile("" ::"r"(&config) : "memory");
    _tile_loadconfig(&config);
}
static void tiles_end(void) { _tile_release(); }
#endif

/* Two by two tiles of sums: rows r.. and r + 16.., column blocks n and n + 1. `wide`, `tall`: both
 * of them, or the first only. A must be readable 32 rows on, whatever stands there.
 *
 * `work`, unless NULL, is done meanwhile: `rate` / 256 pieces for each 32 terms of a sum. They touch
 * neither A nor B nor C. */
INLINE void nn_two_by_two(const elem *a, size_t lda, const elem *b, size_t panel, int depth,
                          float *c, int add, int tall, int wide, pieces *work, int rate,
                          void (*run)(const void *, int), const void *with) {
    int due = 0;
    const size_t stride = TILE_STRIDE * sizeof(float), a_stride = lda * sizeof(elem);
    WRITTEN();
    if (add) {
        TILE_LOAD_SUM(0, c, stride);
        if (wide) TILE_LOAD_SUM(1, c + BLOCK, stride);
        if (tall) TILE_LOAD_SUM(2, c + 16 * TILE_STRIDE, stride);
        if (tall && wide) TILE_LOAD_SUM(3, c + 16 * TILE_STRIDE + BLOCK, stride);
    } else {
        TILE_ZERO(0);
        TILE_ZERO(1);
        TILE_ZERO(2);
        TILE_ZERO(3);
    }
    for (int k = 0; k < depth; k += 32) {
        TILE_LOAD(4, a + k, a_stride);
        TILE_LOAD(6, b + (size_t)k * BLOCK, 64);
        TILE_MULTIPLY(0, 4, 6);
        if (wide) {
            TILE_LOAD(7, b + panel + (size_t)k * BLOCK, 64);
            TILE_MULTIPLY(1, 4, 7);
        }
        if (tall) {
            TILE_LOAD(5, a + 16 * lda + k, a_stride);
            TILE_MULTIPLY(2, 5, 6);
            if (wide) TILE_MULTIPLY(3, 5, 7);
        }
        if (!work) continue;
        for (due += rate; due >= 256 && work->next < work->count; due -= 256)
            run(with, work->next++);
    }
    TILE_STORE(0, c, stride);
    if (wide) TILE_STORE(1, c + BLOCK, stride);
    if (tall) TILE_STORE(2, c + 16 * TILE_STRIDE, stride);
    if (tall && wide) TILE_STORE(3, c + 16 * TILE_STRIDE + BLOCK, stride);
    WRITTEN();
}

#define TWO_BY_TWO(tall, wide) \
    nn_two_by_two(a, lda, bn, panel, depth, cn, add, tall, wide, NULL, 0, NULL, NULL)

static void tile_nn(const elem *a, size_t lda, int rows, const elem *b, size_t panel, int blocks,
                    int depth, float *c, int add) {
    if (rows <= NN_ROWS) { /* a tile of so few rows would be mostly empty */
        nn_vectors(a, lda, rows, b, panel, blocks, depth, c, add);
        return;
    }
    for (int n = 0; n < blocks; n += 2) {
        const elem *bn = b + n * panel;
        float *cn = c + n * BLOCK;
        if (rows > 16 && blocks - n > 1) TWO_BY_TWO(1, 1);
        else if (rows > 16) TWO_BY_TWO(1, 0);
        else if (blocks - n > 1) TWO_BY_TWO(0, 1);
        else TWO_BY_TWO(0, 0);
    }
}
#undef TWO_BY_TWO

/* tile_nn, and pieces of other work meanwhile: tiles multiply while vectors compute, if the
 * instructions of both come mixed. What is left of the work is the caller's. */
#define BESIDE 1
INLINE void tile_nn_beside(const elem *a, size_t lda, int rows, const elem *b, size_t panel,
                           int blocks, int depth, float *c, int add, pieces *work,
                           void (*run)(const void *, int), const void *with) {
    if (rows <= 16) {
        tile_nn(a, lda, rows, b, panel, blocks, depth, c, add);
        return;
    }
    const int steps = (blocks + 1) / 2 * (depth / 32), left = work->count - work->next;
    const int rate = left * 256 / steps + 1;
    for (int n = 0; n < blocks; n += 2) {
        const elem *bn = b + n * panel;
        float *cn = c + n * BLOCK;
        if (blocks - n > 1)
            nn_two_by_two(a, lda, bn, panel, depth, cn, add, 1, 1, work, rate, run, with);
        else
            nn_two_by_two(a, lda, bn, panel, depth, cn, add, 1, 0, work, rate, run, with);
    }
}

/* Rows of B that are transposed at a time: few, for a pair of A's blocks is to stay in L1 while all
 * of B goes by. And the column blocks of A whose sums wait for the next of these, in 8 MB. */
#define TN_CHUNK 512
#define TN_GROUP(blocks) ((1 << 13) / UP(blocks, 2) < 2 ? 2 : (1 << 13) / UP(blocks, 2) / 2 * 2)
#define TN_WAITING(columns, blocks) \
    ((size_t)UP((columns) < TN_GROUP(blocks) ? (columns) : TN_GROUP(blocks), 2) * UP(blocks, 2) * 256)
/* The elems that takes for so many column blocks of A. */
#define TN_SCRATCH(columns, blocks) \
    ((size_t)(blocks) * TN_CHUNK * BLOCK + \
     TN_WAITING(columns, blocks) * sizeof(float) / sizeof(elem))

/* The left operand of a tile product is row-major, which a panel is not: so B, the narrower of the
 * two, is transposed, the product gives the gradient's transpose, and that is turned at the end.
 * Until then the sums wait as tiles, in order: the public gradient's rows lie far apart. */
static void tile_tn(const elem *a, size_t a_panel, int first, int last, const elem *b, size_t panel,
                    int blocks, int depth, const target *to, elem *scratch) {
    const rows_map *map = to->map;
    const int group = TN_GROUP(blocks), pairs = (blocks + 1) / 2;
    float *waiting = (float *)(scratch + (size_t)blocks * TN_CHUNK * BLOCK);
    float sums[4][256] __attribute__((aligned(64))), turned[256] __attribute__((aligned(64)));
    for (int from = first; from < last; from += group)
        for (int start = 0; start < depth; start += TN_CHUNK) {
            const int until = last - from < group ? last : from + group;
            const int some = depth - start < TN_CHUNK ? depth - start : TN_CHUNK;
            const int is_last = start + some == depth;
            for (int n = 0; n < blocks; n++)
                for (int k = 0; k < some; k += 32)
                    transpose16((const uint32_t *)(b + n * panel + (size_t)(start + k) * BLOCK), 16,
                                (uint32_t *)(scratch + ((size_t)n * TN_CHUNK + k) * BLOCK), 16);
            WRITTEN();
            for (int m = from; m < until; m += 2) {
                const elem *am = a + m * a_panel + (size_t)start * BLOCK;
                const int wide = m + 1 < until && map->pub[(m + 1) % map->nb] >= 0;
                if (!wide && map->pub[m % map->nb] < 0) continue;
                for (int n = 0; n < blocks; n += 2) {
                    const elem *bn = scratch + (size_t)n * TN_CHUNK * BLOCK;
                    const int tall = n + 1 < blocks;
                    float *sum = waiting + ((size_t)(m - from) / 2 * pairs + n / 2) * 4 * 256;
                    if (start) {
                        TILE_LOAD_SUM(0, sum, 64);
                        TILE_LOAD_SUM(1, sum + 256, 64);
                        TILE_LOAD_SUM(2, sum + 512, 64);
                        TILE_LOAD_SUM(3, sum + 768, 64);
                    } else {
                        TILE_ZERO(0);
                        TILE_ZERO(1);
                        TILE_ZERO(2);
                        TILE_ZERO(3);
                    }
                    for (int k = 0; k < some; k += 32) {
                        /* The next sums come from afar. */
                        for (int line = 0; line < 4; line++)
                            __builtin_prefetch((const char *)(sum + 4 * 256) + k * 8 + line * 64);
                        TILE_LOAD(4, bn + (size_t)k * BLOCK, 64);
                        TILE_LOAD(6, am + (size_t)k * BLOCK, 64);
                        TILE_MULTIPLY(0, 4, 6);
                        if (wide) {
                            TILE_LOAD(7, am + a_panel + (size_t)k * BLOCK, 64);
                            TILE_MULTIPLY(1, 4, 7);
                        }
                        if (tall) {
                            TILE_LOAD(5, bn + (size_t)(TN_CHUNK + k) * BLOCK, 64);
                            TILE_MULTIPLY(2, 5, 6);
                            if (wide) TILE_MULTIPLY(3, 5, 7);
                        }
                    }
                    float *out = is_last ? sums[0] : sum;
                    TILE_STORE(0, out, 64);
                    TILE_STORE(1, out + 256, 64);
                    TILE_STORE(2, out + 512, 64);
                    TILE_STORE(3, out + 768, 64);
                    WRITTEN();
                    for (int i = 0; is_last && i < 4; i++) {
                        int column_block = m + i % 2, block = n + i / 2;
                        if ((i % 2 && !wide) || block >= blocks) continue;
                        transpose16((const uint32_t *)sums[i], 16, (uint32_t *)turned, 16);
                        for (int lane = 0; lane < BLOCK; lane++) {
                            vf row = vload(turned + lane * BLOCK);
                            emit(to, column_block, lane, block, &row, to->add);
                        }
                    }
                }
            }
        }
}
#endif
