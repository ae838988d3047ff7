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
 * of them, or the first only. A must be readable 32 rows on, whatever stands there. */
INLINE void nn_two_by_two(const elem *a, size_t lda, const elem *b, size_t panel, int depth,
                          float *c, int add, int tall, int wide) {
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
    }
    TILE_STORE(0, c, stride);
    if (wide) TILE_STORE(1, c + BLOCK, stride);
    if (tall) TILE_STORE(2, c + 16 * TILE_STRIDE, stride);
    if (tall && wide) TILE_STORE(3, c + 16 * TILE_STRIDE + BLOCK, stride);
}

static void tile_nn(const elem *a, size_t lda, int rows, const elem *b, size_t panel, int blocks,
                    int depth, float *c, int add) {
    if (rows <= NN_ROWS) { /* a tile of so few rows would be mostly empty */
        nn_vectors(a, lda, rows, b, panel, blocks, depth, c, add);
        return;
    }
    for (int n = 0; n < blocks; n += 2) {
        const elem *bn = b + n * panel;
        float *cn = c + n * BLOCK;
        if (rows > 16 && blocks - n > 1) nn_two_by_two(a, lda, bn, panel, depth, cn, add, 1, 1);
        else if (rows > 16) nn_two_by_two(a, lda, bn, panel, depth, cn, add, 1, 0);
        else if (blocks - n > 1) nn_two_by_two(a, lda, bn, panel, depth, cn, add, 0, 1);
        else nn_two_by_two(a, lda, bn, panel, depth, cn, add, 0, 0);
    }
}

/* Rows of B's share that are transposed at a time, and the elems that takes. */
#define TN_CHUNK(blocks) \
    ((1 << 20) / ((blocks) * 32) < 256 ? 256 : UP((1 << 20) / ((blocks) * 32), KPAD))
#define TN_SCRATCH(blocks) ((size_t)(blocks) * TN_CHUNK(blocks) * BLOCK)

/* The left operand of a tile product is row-major, which a panel is not: so B, the narrower of the
 * two, is transposed, the product gives the gradient's transpose, and that is turned at the end. */
static void tile_tn(const elem *a, size_t a_panel, int first, int last, const elem *b, size_t panel,
                    int blocks, int depth, const target *to, elem *scratch) {
    const int chunk = TN_CHUNK(blocks);
    float sums[4][256] __attribute__((aligned(64))), turned[256] __attribute__((aligned(64)));
    for (int start = 0; start < depth; start += chunk) {
        int some = depth - start < chunk ? depth - start : chunk;
        int add = to->add || start > 0;
        for (int n = 0; n < blocks; n++)
            for (int k = 0; k < some; k += 32)
                transpose16((const uint32_t *)(b + n * panel + (size_t)(start + k) * BLOCK), 16,
                            (uint32_t *)(scratch + ((size_t)n * chunk + k) * BLOCK), 16);
        WRITTEN();
        for (int m = first; m < last; m += 2) {
            const elem *am = a + m * a_panel + (size_t)start * BLOCK;
            const rows_map *map = to->map;
            int wide = m + 1 < last && map->pub[(m + 1) % map->nb] >= 0;
            if (!wide && map->pub[m % map->nb] < 0) continue;
            for (int n = 0; n < blocks; n += 2) {
                const elem *bn = scratch + (size_t)n * chunk * BLOCK;
                int tall = n + 1 < blocks;
                TILE_ZERO(0);
                TILE_ZERO(1);
                TILE_ZERO(2);
                TILE_ZERO(3);
                for (int k = 0; k < some; k += 32) {
                    TILE_LOAD(4, bn + (size_t)k * BLOCK, 64);
                    TILE_LOAD(6, am + (size_t)k * BLOCK, 64);
                    TILE_MULTIPLY(0, 4, 6);
                    if (wide) {
                        TILE_LOAD(7, am + a_panel + (size_t)k * BLOCK, 64);
                        TILE_MULTIPLY(1, 4, 7);
                    }
                    if (tall) {
                        TILE_LOAD(5, bn + (size_t)(chunk + k) * BLOCK, 64);
                        TILE_MULTIPLY(2, 5, 6);
                        if (wide) TILE_MULTIPLY(3, 5, 7);
                    }
                }
                TILE_STORE(0, sums[0], 64);
                TILE_STORE(1, sums[1], 64);
                TILE_STORE(2, sums[2], 64);
                TILE_STORE(3, sums[3], 64);
                for (int i = 0; i < 4; i++) {
                    int column_block = m + i % 2, block = n + i / 2;
                    if ((i % 2 && !wide) || block >= blocks) continue;
                    transpose16((const uint32_t *)sums[i], 16, (uint32_t *)turned, 16);
                    for (int lane = 0; lane < BLOCK; lane++) {
                        vf row = vload(turned + lane * BLOCK);
                        emit(to, column_block, lane, block, &row, add);
                    }
                }
            }
        }
    }
}
#endif
