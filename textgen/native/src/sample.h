/* Sampling one stream: a matrix-vector product a layer, so that reading the weights once a token is
 * all the work. Rows of the products are divided among the threads, each row summed as one thread
 * would: the numbers do not depend on their number.
 *
 * The first layer's input is a row of a table, made when its symbol is first read; where the table
 * would be large, it is computed for each token.
 */
#ifndef TG_SAMPLE_H
#define TG_SAMPLE_H

#include <time.h>

#include "choice.h"
#include "edit.h"
#include "net.h"

/* Weights read per token that pay for another thread: one alone reads them in 3 us, and waiting
 * for one another takes them some tenths of that. */
#define BYTES_PER_THREAD ((size_t)256 << 10)
#define TABLE_LIMIT ((size_t)64 << 20)

/* Where other programs hold the cores, threads that wait for one another at every token are many
 * times slower than one alone, so what is faster is measured again so often, on so many tokens. */
#define PROBE_SECONDS 0.1
#define PROBE_TOKENS 16

/* Vectors of sums that hide the latency of one multiplication. */
#define SUMS 8
#define GROUP (SUMS / NV) /* column blocks */

/* A matrix for products with one vector: panels, of those gate blocks that are not zero. */
typedef struct {
    rows_map map;
    int slot[MAX_BLOCKS]; /* the native block that each of the map's stands for */
    int blocks, depth;    /* of native columns; terms, padded with zeros */
    elem *panels;
} product;

typedef struct {
    product input, recurrent, factor;
    float *bias;      /* native columns; of the GRU's block without an input, its second bias */
    float *share;     /* of the input in the pre-activations, above the first layer */
    float *h, *c;     /* c: the float state that the cell carries: the GRU's is h itself */
    float *opened;    /* the output gate of cells with c, for edits of c: see cell_forward */
    float *peepholes; /* [unit block][vector][16] */
    elem *x[2];       /* h as products read it, before and after a step in turns */
    elem *out[2];     /* what is read above: the same, or with the layer's input added to it */
} sample_layer;

typedef struct {
    tg_sampler base;
    tg_config config;
    const cell_form *form;
    int units, vocab_blocks; /* of 16 */
    sample_layer *layers;
    product head;
    float *head_bias, *logits;
    const float *embedding, *weight_ih; /* the caller's, for rows of the table */
    float *table;                       /* (V, native columns), or one row for all */
    uint8_t *known;                     /* rows that are made, NULL where there is but one */
    float *from_state;                  /* the state's share of the pre-activations */
    float *of_state;                    /* the state's part of the mLSTM's factor */
    elem *factor;                       /* the factor, as products read it */
    choice_room room;
    tg_edits edits;             /* of the call at work */
    float *edit_parts;          /* of projections, for each block, twice */
    double pace[2], next_probe; /* seconds a token of one thread and of all, 0: not measured */
} sampler;

/* Memory is counted first, then given out: both by the same calls. */
static void *take(char *base, size_t *used, size_t bytes) {
    void *place = base ? base + *used : NULL;
    *used += UP(bytes, 64);
    return place;
}

static product make_product(const int *pub, int native, int size, int width) {
    product p = {.map = {.size = size, .width = width}, .depth = UP(width, KPAD)};
    for (int g = 0; g < native; g++)
        if (pub[g] >= 0) {
            p.slot[p.map.nb] = g;
            p.map.pub[p.map.nb++] = pub[g];
        }
    p.blocks = UP(size, BLOCK) / BLOCK * p.map.nb;
    return p;
}

INLINE int row_floats(const sampler *s) { return s->units * s->form->blocks * BLOCK; }

/* The bytes of the whole sampler; with `s->layers` set, its arrays are placed in them. */
static size_t place_arrays(sampler *s, char *base) {
    const tg_config *g = &s->config;
    const size_t row = sizeof(float) * (size_t)row_floats(s);
    const size_t vector = (size_t)UP(g->hidden, KPAD), vocab = (size_t)s->vocab_blocks * BLOCK;
    const int caches = row * (size_t)g->vocab <= TABLE_LIMIT;
    size_t used = 0;
    take(base, &used, sizeof *s);
    sample_layer *layers = take(base, &used, sizeof *layers * (size_t)g->layers);
    static const int whole[MAX_BLOCKS] = {0};
    s->layers = layers;
    for (int l = 0; l < g->layers; l++) {
        sample_layer y;
        y.input = make_product(s->form->input, s->form->blocks, g->hidden, l ? g->hidden : 0);
        y.recurrent = make_product(s->form->recurrent, s->form->blocks, g->hidden, g->hidden);
        y.input.panels = take(base, &used, sizeof(elem) * BLOCK * (size_t)y.input.blocks *
                                               (size_t)y.input.depth);
        y.recurrent.panels = take(base, &used, sizeof(elem) * BLOCK * (size_t)y.recurrent.blocks *
                                                   (size_t)y.recurrent.depth);
        y.bias = take(base, &used, row);
        y.share = take(base, &used, l ? row : 0);
        y.h = take(base, &used, sizeof(float) * vector);
        const size_t c = s->form->has_c ? sizeof(float) * vector : 0;
        y.c = c ? take(base, &used, c) : y.h;
        y.opened = take(base, &used, c);
        y.peepholes = take(base, &used, sizeof(float) * vector * (size_t)s->form->peepholes);
        y.factor = make_product(whole, s->form->factor, g->hidden, g->hidden);
        y.factor.panels = take(base, &used, sizeof(elem) * BLOCK * (size_t)y.factor.blocks *
                                                (size_t)y.factor.depth);
        for (int i = 0; i < 2; i++) y.x[i] = take(base, &used, sizeof(elem) * vector);
        for (int i = 0; i < 2; i++)
            y.out[i] = g->residual && l ? take(base, &used, sizeof(elem) * vector) : y.x[i];
        if (base) layers[l] = y;
    }
    s->head = make_product(whole, 1, g->vocab, g->hidden);
    s->head.panels = take(base, &used, sizeof(elem) * vocab * vector);
    s->head_bias = take(base, &used, sizeof(float) * vocab);
    s->logits = take(base, &used, sizeof(float) * vocab);
    s->from_state = take(base, &used, row);
    s->of_state = take(base, &used, s->form->factor ? sizeof(float) * vector : 0);
    s->factor = take(base, &used, s->form->factor ? sizeof(elem) * vector : 0);
    s->edit_parts = take(base, &used, sizeof(float) * 2 * (size_t)s->units);
    char *room = take(base, &used, choice_room_bytes((int)vocab));
    s->room = choice_room_in(room, (int)vocab);
    s->known = caches ? take(base, &used, (size_t)g->vocab) : NULL;
    /* Last, for its memory comes into being as rows are made. */
    s->table = take(base, &used, caches ? row * (size_t)g->vocab : row);
    return used;
}

static void pack_product(const product *p, const float *weight) {
    for (int b = 0; b < p->blocks; b++)
        pack_columns(p->panels + (size_t)b * p->depth * BLOCK, weight, &p->map, b, p->depth);
}

/* A layer's biases in native order, zero in the padding; the GRU's second one has a block too. */
static void place_bias(const sampler *s, const tg_layer *weights, float *out) {
    for (int i = 0; i < row_floats(s); i++) {
        const int block = i / BLOCK, pub = s->form->input[block % s->form->blocks];
        const int unit = block / s->form->blocks * BLOCK + i % BLOCK, H = s->config.hidden;
        const float own = unit >= H ? 0.0f : pub < 0 ? weights->bias_hn[unit] : 0.0f;
        out[i] = unit < H && pub >= 0 ? weights->bias[pub * H + unit] : own;
    }
}

static void place_peepholes(const sampler *s, const tg_layer *weights, float *out) {
    const int count = s->form->peepholes;
    for (int i = 0; i < s->units * count * BLOCK; i++) {
        const int block = i / BLOCK, unit = block / count * BLOCK + i % BLOCK;
        out[i] = unit < s->config.hidden ? weights->peepholes[block % count][unit] : 0.0f;
    }
}

static const tg_sample_kernels sample_kernels;

static tg_sampler *sampler_open(const tg_config *config, const tg_weights *weights) {
    if (!config->has_head) return NULL;
    sampler form = {.config = *config, .form = &cell_forms[config->cell]};
    form.units = UP(config->hidden, BLOCK) / BLOCK;
    form.vocab_blocks = UP(config->vocab, BLOCK) / BLOCK;
    const size_t page = (size_t)1 << 21, bytes = UP(place_arrays(&form, NULL), page);
    char *memory = aligned_alloc(page, bytes);
    if (!memory) return NULL;
#ifdef TG_POISON
    memset(memory, 0xff, bytes); /* as in net.h */
#endif
    sampler *s = (sampler *)memory;
    *s = form;
    place_arrays(s, memory);
#ifdef MADV_HUGEPAGE
    /* But not for the table: of a large page only some rows might be wanted. */
    madvise(memory, (size_t)((char *)s->table - memory) / page * page, MADV_HUGEPAGE);
#endif
    size_t read = 0;
    for (int l = 0; l < config->layers; l++) {
        sample_layer *y = &s->layers[l];
        if (l) pack_product(&y->input, weights->layers[l].weight_ih);
        pack_product(&y->recurrent, weights->layers[l].weight_hh);
        pack_product(&y->factor, weights->layers[l].weight_mh);
        place_bias(s, &weights->layers[l], y->bias);
        place_peepholes(s, &weights->layers[l], y->peepholes);
        /* What is read of the padding stays zero. */
        memset(y->out[0], 0, sizeof(elem) * (size_t)UP(config->hidden, KPAD));
        memset(y->out[1], 0, sizeof(elem) * (size_t)UP(config->hidden, KPAD));
        if (l) memcpy(y->share, y->bias, sizeof(float) * (size_t)row_floats(s));
        read += (size_t)y->input.blocks * (size_t)y->input.depth +
                (size_t)y->recurrent.blocks * (size_t)y->recurrent.depth +
                (size_t)y->factor.blocks * (size_t)y->factor.depth;
    }
    const float *head = config->tie ? weights->embedding : weights->head;
    pack_product(&s->head, head);
    read += (size_t)s->head.blocks * (size_t)s->head.depth;
    for (int v = 0; v < s->vocab_blocks * BLOCK; v++)
        s->head_bias[v] = v < config->vocab ? weights->head_bias[v] : -INFINITY;
    s->embedding = weights->embedding;
    s->weight_ih = weights->layers[0].weight_ih;
    if (s->known) memset(s->known, 0, (size_t)config->vocab);
    /* A block without a product keeps this. */
    memset(s->from_state, 0, sizeof(float) * (size_t)row_floats(s));
    if (s->form->factor) memset(s->factor, 0, sizeof(elem) * (size_t)UP(config->hidden, KPAD));
    const size_t pays = 1 + read * BLOCK * sizeof(elem) / BYTES_PER_THREAD;
    s->base.kernels = &sample_kernels;
    s->base.threads = (size_t)config->threads < pays ? config->threads : (int)pays;
    return &s->base;
}

INLINE vf add_products(vf sum, const elem *x, const elem *panel) {
#if TG_BF16
    int32_t pair;
    memcpy(&pair, x, 4);
    return (vf)_mm512_dpbf16_ps((__m512)sum, (vb)_mm512_set1_epi32(pair),
                                (vb)_mm512_loadu_si512(panel));
#else
    return sum + vset(*x) * vload(panel);
#endif
}

/* Native blocks of `y` for column blocks [block, block + count): `start` (NULL: 0) + x * panels. */
INLINE void multiply_blocks(const product *p, int block, int count, int native, const elem *x,
                            const float *start, float *y) {
    const size_t panel = (size_t)p->depth * BLOCK;
    const elem *w = p->panels + (size_t)block * panel;
    vf sum[GROUP][NV];
    size_t place[GROUP];
    for (int i = 0; i < count; i++) {
        const int b = block + i;
        place[i] = (size_t)(b / p->map.nb * native + p->slot[b % p->map.nb]) * BLOCK;
        for (int v = 0; v < NV; v++)
            sum[i][v] = start ? vload(start + place[i] + v * VW) : vset(0.0f);
    }
    for (int k = 0; k < p->depth; k += PAIR)
#pragma GCC unroll 8
        for (int i = 0; i < count; i++)
#pragma GCC unroll 4
            for (int v = 0; v < NV; v++)
                sum[i][v] = add_products(sum[i][v], x + k,
                                         w + i * panel + (size_t)k * BLOCK + v * VW);
    for (int i = 0; i < count; i++)
        for (int v = 0; v < NV; v++) vstore(y + place[i] + v * VW, sum[i][v]);
}

static void multiply(const product *p, int first, int last, int native, const elem *x,
                     const float *start, float *y) {
    for (; first + GROUP <= last; first += GROUP)
        multiply_blocks(p, first, GROUP, native, x, start, y);
#if GROUP > 4
    if (first + 4 <= last) multiply_blocks(p, first, 4, native, x, start, y), first += 4;
#endif
#if GROUP > 2
    if (first + 2 <= last) multiply_blocks(p, first, 2, native, x, start, y), first += 2;
#endif
    if (first < last) multiply_blocks(p, first, 1, native, x, start, y);
}

/* Units [16 first, 16 last) of the first layer's input for a symbol, from the weights as given. */
static void make_row(const sampler *s, int32_t id, int first, int last, float *row) {
    const int E = s->config.embedding, H = s->config.hidden, blocks = s->form->blocks;
    const float *vector = s->embedding + (size_t)id * E, *bias = s->layers[0].bias;
    for (int i = first * blocks * BLOCK; i < last * blocks * BLOCK; i++) {
        const int block = i / BLOCK, pub = s->form->input[block % blocks];
        const int unit = block / blocks * BLOCK + i % BLOCK;
        row[i] = bias[i];
        if (pub >= 0 && unit < H)
            row[i] += inner_product(s->weight_ih + (size_t)(pub * H + unit) * E, vector, E);
    }
}

static void know(sampler *s, int32_t id) {
    if (!s->known || s->known[id]) return;
    make_row(s, id, 0, s->units, s->table + (size_t)id * row_floats(s));
    s->known[id] = 1;
}

/* The gates of units [16 first, 16 last), of which `input` and `from_state` are the two shares. */
INLINE void apply_gates(const sampler *s, const sample_layer *y, const float *input, int first,
                        int last, elem *out, int cell, int nonlinearity) {
    const int looks = cell_forms[cell].peepholes;
    const float *below = cell_forms[cell].below && y > s->layers ? (y - 1)->c : NULL;
    for (int u = first; u < last; u++) {
        const int at = u * cell_forms[cell].blocks * BLOCK;
        const cell_reads reads = {y->peepholes + u * looks * BLOCK,
                                  below ? below + u * BLOCK : NULL};
        vf h[NV];
        cell_forward(cell, nonlinearity, s->from_state + at, input + at, y->c + u * BLOCK,
                     y->c + u * BLOCK, &reads, NULL, s->edits.list ? y->opened + u * BLOCK : NULL, h);
        for (int v = 0; v < NV; v++) {
            vstore(y->h + u * BLOCK + v * VW, h[v]);
            estore(out + u * BLOCK + v * VW, h[v]);
        }
    }
}

/* This thread's part of the changes of a layer's new state: units [16 first, 16 last). */
static void edit_output(const sampler *s, int l, int first, int last, elem *out, int threads) {
    const sample_layer *y = &s->layers[l];
    const int looks = s->form->peepholes;
    const edited_row row = {y->c, y->h, y->opened, BLOCK, s->config.hidden, first, last,
                            looks ? y->peepholes + 2 * BLOCK : NULL, (size_t)looks * BLOCK, NULL, 0};
    const tg_edit *edits = s->edits.list;
    int round = 0;
    for (int state = TG_STATE_C; state >= TG_STATE_H; state--) {
        for (const tg_edit *e = edits; e < edits + s->edits.count; e++) {
            if (!edit_touches(e, l, state)) continue;
            /* Two sets of parts in turns: nobody writes one that another may still read. */
            float *parts = s->edit_parts + (round & 1) * s->units;
            edit_begin(&row, e, parts);
            if (e->unit >= 0) continue;
            tg_barrier(threads);
            edit_end(&row, e, parts);
            round++;
        }
        if (state == TG_STATE_C) edit_open(&row, edits, s->edits.count, l);
    }
    for (int i = first * BLOCK; i < last * BLOCK; i += VW) estore(out + i, vload(y->h + i));
}

/* The mLSTM's factor: this thread's units, then everybody's. */
static void make_factor(const sampler *s, const sample_layer *y, const float *input, const elem *x,
                        int first, int last, int threads) {
    const int blocks = s->form->blocks;
    multiply(&y->factor, first, last, 1, x, NULL, s->of_state);
    for (int u = first; u < last; u++)
        for (int i = 0; i < BLOCK; i += VW)
            estore(s->factor + u * BLOCK + i,
                   vload(input + (u * blocks + blocks - 1) * BLOCK + i) *
                       vload(s->of_state + u * BLOCK + i));
    tg_barrier(threads);
}

/* What is read above a layer that adds its input. */
static void add_input(const sample_layer *y, int turn, int first, int last) {
    for (int i = first * BLOCK; i < last * BLOCK; i += VW)
        estore(y->out[!turn] + i, vload(y->h + i) + eload((y - 1)->out[!turn] + i));
}

/* One token through all layers: this thread's units. `turn` tells which `x` is the present. */
static void sampler_step(const sampler *s, int32_t id, int turn, int tid, int threads) {
    const int blocks = s->form->blocks;
    int first, last;
    share(s->units, 1, tid, threads, &first, &last);
    const float *input = s->table + (s->known ? (size_t)id * row_floats(s) : 0);
    if (!s->known) make_row(s, id, first, last, s->table);
    for (int l = 0; l < s->config.layers; l++) {
        const sample_layer *y = &s->layers[l];
        const product *p = &y->recurrent;
        if (l) {
            const int nb = y->input.map.nb;
            multiply(&y->input, first * nb, last * nb, blocks, s->layers[l - 1].out[!turn], y->bias,
                     y->share);
            input = y->share;
        }
        if (s->form->factor) make_factor(s, y, input, y->x[turn], first, last, threads);
        multiply(p, first * p->map.nb, last * p->map.nb, blocks,
                 s->form->factor ? s->factor : y->x[turn], NULL, s->from_state);
#define CASE(cell, nonlinearity)                                                \
    case CELL_KEY(cell, nonlinearity):                                          \
        apply_gates(s, y, input, first, last, y->x[!turn], cell, nonlinearity); \
        break;
        FOR_CELL(s, CASE)
#undef CASE
        if (s->edits.list) edit_output(s, l, first, last, y->x[!turn], threads);
        if (s->config.residual && l) add_input(y, turn, first, last);
        tg_barrier(threads);
    }
}

/* The logits after a step: this thread's symbols. */
static void sampler_logits(const sampler *s, int turn, int tid, int threads) {
    int first, last;
    share(s->vocab_blocks, 2, tid, threads, &first, &last);
    multiply(&s->head, first, last, 1, s->layers[s->config.layers - 1].out[turn], s->head_bias,
             s->logits);
    tg_barrier(threads);
}

/* The state goes in and out as the caller keeps it: (L, h and c or h alone, H). */
static void take_state(sampler *s, float *state, int out) {
    const size_t H = (size_t)s->config.hidden, padded = (size_t)UP(s->config.hidden, KPAD);
    for (int l = 0; l < s->config.layers; l++) {
        sample_layer *y = &s->layers[l];
        float *parts[] = {y->h, y->c};
        for (int i = 0; i < (s->form->has_c ? 2 : 1); i++, state += H) {
            memcpy(out ? state : parts[i], out ? parts[i] : state, sizeof(float) * H);
            if (!out) memset(parts[i] + H, 0, sizeof(float) * (padded - H));
        }
        if (out) continue;
        for (size_t i = 0; i < padded; i += VW) estore(y->x[0] + i, vload(y->h + i));
        memcpy(y->x[1], y->x[0], sizeof(elem) * padded); /* a step leaves its last padding alone */
    }
}

typedef struct {
    sampler *s;
    const tg_choice *choice; /* NULL: read only */
    int64_t n, stop, count;
    uint64_t counter;
    int32_t end, *history; /* of `read`: the tokens */
    int64_t history_count;
    const tg_chosen *chosen;
    int ended, goes_on, turn;
} sample_job;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether all threads are faster than one, as far as is known. */
INLINE int all_pay(const sampler *s) {
    return s->base.threads > 1 && (s->pace[0] == 0.0 || s->pace[1] < s->pace[0]);
}

/* Thread 0: the next symbol, if there is one. */
static int choose_next(sample_job *job) {
    sampler *s = job->s;
    const int64_t k = job->count, seen = job->history_count + k;
    if (k == job->stop || job->ended) return 0;
    const int64_t window = window_of(job->choice, seen);
    if (choose_symbol(&s->room, job->choice, s->config.vocab, s->logits,
                      job->history + seen - window, window, job->counter + (uint64_t)k,
                      job->history + seen, job->chosen->probabilities + k,
                      job->chosen->logprobs + k)) {
        job->ended = 1;
        return 0;
    }
    know(s, job->history[seen]);
    job->ended = job->history[seen] == job->end;
    job->count++;
    return 1;
}

static void sampler_write_work(void *arg, int tid, int threads) {
    sample_job *job = arg;
    for (int turn = job->turn;; turn = !turn) {
        if (tid == 0) job->goes_on = choose_next(job);
        tg_barrier(threads);
        if (!job->goes_on) return;
        sampler_step(job->s, job->history[job->history_count + job->count - 1], turn, tid, threads);
        sampler_logits(job->s, !turn, tid, threads);
    }
}

static void sampler_read_work(void *arg, int tid, int threads) {
    sample_job *job = arg;
    int turn = job->turn;
    for (int64_t i = 0; i < job->n; i++, turn = !turn)
        sampler_step(job->s, job->history[i], turn, tid, threads);
    sampler_logits(job->s, turn, tid, threads);
}

static void sampler_read(tg_sampler *base, const int32_t *ids, int64_t n, tg_edits edits,
                         float *state, float *logits) {
    sampler *s = (sampler *)base;
    s->edits = edits;
    sample_job job = {.s = s, .n = n, .history = (int32_t *)ids};
    take_state(s, state, 0);
    for (int64_t i = 0; i < n; i++) know(s, ids[i]);
    tg_parallel(all_pay(s) ? base->threads : 1, sampler_read_work, &job);
    take_state(s, state, 1);
    memcpy(logits, s->logits, sizeof(float) * (size_t)s->config.vocab);
}

/* Logits of the caller's, padded. */
static void take_logits(float *out, const float *logits, int vocab) {
    memcpy(out, logits, sizeof(float) * (size_t)vocab);
    for (int v = vocab; v < UP(vocab, BLOCK); v++) out[v] = -INFINITY;
}

static int64_t sampler_write(tg_sampler *base, const tg_choice *choice, int64_t n, int32_t end,
                             uint64_t counter, int32_t *history, int64_t history_count,
                             tg_edits edits, float *state, float *logits,
                             const tg_chosen *chosen) {
    sampler *s = (sampler *)base;
    s->edits = edits;
    sample_job job = {.s = s, .choice = choice, .n = n, .counter = counter, .end = end,
                      .history = history, .history_count = history_count, .chosen = chosen};
    take_logits(s->logits, logits, s->config.vocab);
    take_state(s, state, 0);
    while (job.count < n && !job.ended) {
        const double began = seconds_now();
        const int64_t before = job.count;
        int all = all_pay(s);
        const int probes = base->threads > 1 && s->pace[1] > 0.0 &&
                           (s->pace[0] == 0.0 || began > s->next_probe);
        if (probes) {
            all = !all;
            s->next_probe = began + PROBE_SECONDS;
        }
        job.turn = (int)(before & 1); /* every token turns the two copies of h */
        job.stop = probes && before + PROBE_TOKENS < n ? before + PROBE_TOKENS : n;
        tg_parallel(all ? base->threads : 1, sampler_write_work, &job);
        if (job.count - before >= PROBE_TOKENS / 2)
            s->pace[all] = (seconds_now() - began) / (double)(job.count - before);
    }
    take_state(s, state, 1);
    memcpy(logits, s->logits, sizeof(float) * (size_t)s->config.vocab);
    return job.count;
}

typedef struct {
    const tg_choice *choice;
    int vocab;
    int64_t rows, recent_count;
    const float *logits;
    const int32_t *recent;
    const uint64_t *counters;
    const tg_chosen *chosen;
    char *memory;      /* for each thread: room for a choice, and for its logits padded */
    size_t each;
    int64_t *refused;  /* for each thread: its first row without a choice, or `rows` */
} choice_job;

static void choice_work(void *arg, int tid, int threads) {
    const choice_job *job = arg;
    const int padded = UP(job->vocab, BLOCK);
    choice_room room = choice_room_in(job->memory + job->each * (size_t)tid, padded);
    float *logits = (float *)(job->memory + job->each * (size_t)tid + choice_room_bytes(padded));
    const int64_t window = window_of(job->choice, job->recent_count);
    const int64_t last = job->rows * (tid + 1) / threads;
    for (int64_t r = job->rows * tid / threads; r < last; r++) {
        take_logits(logits, job->logits + r * job->vocab, job->vocab);
        if (choose_symbol(&room, job->choice, job->vocab, logits,
                          job->recent + (r + 1) * job->recent_count - window, window,
                          job->counters[r], job->chosen->ids + r, job->chosen->probabilities + r,
                          job->chosen->logprobs + r)) {
            job->refused[tid] = r;
            return;
        }
    }
}

static int64_t choose(int threads, const tg_choice *choice, int32_t vocab, int64_t rows,
                      const float *logits, const int32_t *recent, int64_t recent_count,
                      const uint64_t *counters, const tg_chosen *chosen) {
    const size_t padded = (size_t)UP(vocab, BLOCK);
    choice_job job = {choice, vocab, rows, recent_count, logits, recent, counters, chosen, NULL,
                      UP(choice_room_bytes((int)padded) + sizeof(float) * padded, 64), NULL};
    const size_t rooms = job.each * (size_t)threads;
    job.memory = aligned_alloc(64, UP(rooms + sizeof(int64_t) * (size_t)threads, 64));
    if (!job.memory) return -1;
    job.refused = (int64_t *)(job.memory + rooms);
    for (int i = 0; i < threads; i++) job.refused[i] = rows;
    tg_parallel(threads, choice_work, &job);
    int64_t done = rows;
    for (int i = threads - 1; i >= 0; i--)
        if (job.refused[i] < done) done = job.refused[i];
    free(job.memory);
    return done;
}

static const tg_sample_kernels sample_kernels = {
    .choose = choose,
    .open = sampler_open,
    .read = sampler_read,
    .write = sampler_write,
};

#endif
