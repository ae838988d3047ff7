/* A network on windows of many streams: buffers, packing, and the passes over time. */
#ifndef TG_NET_H
#define TG_NET_H

#include <stdlib.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "cell.h"
#include "edit.h"
#include "kernels.h"
#include "threads.h"

/* A buffer that grows. */
typedef struct {
    void *data;
    size_t bytes;
} buffer;

static int buffer_need(buffer *b, size_t bytes) {
    bytes = UP(bytes + 64, 4096); /* vectors may read a little beyond what they use */
    if (bytes <= b->bytes) return 0;
    free(b->data);
    b->bytes = 0;
    size_t page = bytes >= (1 << 22) ? 1 << 21 : 4096;
    b->data = aligned_alloc(page, UP(bytes, page));
    if (!b->data) return -1;
    b->bytes = bytes;
#ifdef MADV_HUGEPAGE
    if (page > 4096) madvise(b->data, UP(bytes, page), MADV_HUGEPAGE);
#endif
#ifdef TG_POISON
    memset(b->data, 0xff, bytes); /* NaN in float and in bf16: a read before a write shows */
#endif
    return 0;
}

typedef struct {
    rows_map input, recurrent; /* public rows of weight_ih and weight_hh */
    int depth;                 /* terms of the input product, padded */
    /* Packed weights: `x @ w.T` forwards, `gradient @ w` backwards; bias in native order, and the
     * vectors that c is multiplied by, [unit block][vector][16]. */
    buffer in_fwd, in_bwd, hh_fwd, hh_bwd, mh_fwd, mh_bwd, bias, peepholes;
    /* The window. Slot t of `h` is what step t reads: resets are in it. The layer's output, masks
     * in it, is `out`: the same memory one slot on where there is neither mask nor reset. */
    buffer h, h_panel, masked, masked_panel, carry, saved, gates, gates_panel, d_out, d_carry, last;
    elem *out, *out_panel;
    int is_residual;
    buffer hidden; /* h of all steps where neither `h` nor `out` has it: in residual layers */
    buffer d_below, d_peepholes; /* gradients of what the layer above read of c; a thread each */
    buffer factor, factor_panel, d_factor, d_factor_panel, d_factor_x; /* of the mLSTM */
    /* Where edits change the new state, h and the output gate are kept for them; c is in `carry`. */
    buffer edit_h, opened;
    buffer edit_parts; /* of projections, for each stream and block, twice */
    int is_edited;
    uint64_t has_direction[2]; /* by state, a bit a round, the last for all beyond */
} net_layer;

struct tg_net {
    tg_net_head head; /* first: see textgen.c */
    tg_config config;
    const cell_form *form;
    int units;         /* blocks of 16 units; H padded to a multiple of 32 */
    int columns;       /* native column blocks of a layer */
    int vocab_blocks, embedding_blocks;
    size_t h_stride, gate_stride, x_stride, logit_stride;
    net_layer *layers;
    rows_map head_map, factor_map;
    buffer head_fwd, head_bwd, head_bias;
    float *embedding; /* the caller's, between pack and the last pass */
    /* The window at hand. */
    tg_window window;
    int rows;    /* streams, padded to an even number where a panel's rows go in pairs */
    int depth;   /* T * rows, padded to KPAD: rows of a panel */
    int h_depth; /* the same for the panels of `h`, which has a slot more */
    buffer mask;
    int edit_rounds; /* the longest list of edits */
    int has_backward, has_window;
    enum { NO_LOSS, FROM_HEAD, FROM_OUTSIDE } has_loss; /* where the output's gradient came from */
    /* The window's own symbols: the first layer's input is a row of `table` for each of them. */
    buffer symbol_of, symbols, starts, order, slot_of, x, x_panel, table, d_table, d_table_rows,
        d_table_panel;
    int num_symbols, symbol_depth;
    buffer logits, d_logits, d_logits_panel, d_head_bias, scratch;
    size_t scratch_bytes;
};

#define CELL_OF(net) ((net)->config.cell)

/* ---- making and packing -------------------------------------------------------------------- */

static tg_net *net_new(const tg_config *config) {
    tg_net *net = calloc(1, sizeof *net);
    if (!net) return NULL;
    net->config = *config;
    net->form = &cell_forms[config->cell];
    net->layers = calloc((size_t)config->layers, sizeof *net->layers);
    if (!net->layers) {
        free(net);
        return NULL;
    }
    int padded = UP(config->hidden, KPAD), embedding = UP(config->embedding, KPAD);
    net->units = padded / BLOCK;
    net->columns = net->units * net->form->blocks;
    net->embedding_blocks = embedding / BLOCK;
    net->vocab_blocks = UP(config->vocab, KPAD) / BLOCK;
    net->h_stride = stride_of((size_t)padded);
    net->gate_stride = stride_of((size_t)net->columns * BLOCK);
    net->x_stride = stride_of((size_t)embedding);
    net->logit_stride = stride_of((size_t)net->vocab_blocks * BLOCK);
    net->head_map = (rows_map){1, {0}, config->vocab, config->hidden};
    net->factor_map = (rows_map){1, {0}, config->hidden, config->hidden};
    for (int l = 0; l < config->layers; l++) {
        net_layer *layer = &net->layers[l];
        int width = l ? config->hidden : config->embedding;
        layer->depth = l ? padded : embedding;
        layer->is_residual = config->residual && l;
        layer->input = (rows_map){.nb = net->form->blocks, .size = config->hidden, .width = width};
        layer->recurrent = layer->input;
        layer->recurrent.width = config->hidden;
        memcpy(layer->input.pub, net->form->input, sizeof layer->input.pub);
        memcpy(layer->recurrent.pub, net->form->recurrent, sizeof layer->recurrent.pub);
    }
    return net;
}

/* Every buffer of the network, for counting and freeing. */
static size_t net_each_buffer(tg_net *net, int release) {
    size_t bytes = 0;
#define EACH(b) (bytes += (b).bytes, release ? (free((b).data), (b).data = NULL, 0) : 0)
    for (int l = 0; l < net->config.layers; l++) {
        net_layer *y = &net->layers[l];
        buffer *all[] = {&y->in_fwd, &y->in_bwd, &y->hh_fwd, &y->hh_bwd, &y->bias, &y->h,
                         &y->h_panel, &y->masked, &y->masked_panel, &y->carry, &y->saved,
                         &y->gates, &y->gates_panel, &y->d_out, &y->d_carry, &y->last,
                         &y->edit_h, &y->opened, &y->edit_parts, &y->mh_fwd, &y->mh_bwd,
                         &y->peepholes, &y->hidden, &y->d_below, &y->d_peepholes, &y->factor,
                         &y->factor_panel, &y->d_factor, &y->d_factor_panel, &y->d_factor_x};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++) EACH(*all[i]);
    }
    buffer *all[] = {&net->head_fwd, &net->head_bwd, &net->head_bias, &net->mask, &net->symbol_of, &net->symbols, &net->starts, &net->order,
                     &net->slot_of, &net->x, &net->x_panel, &net->table, &net->d_table,
                     &net->d_table_rows, &net->d_table_panel, &net->logits, &net->d_logits,
                     &net->d_logits_panel, &net->d_head_bias, &net->scratch};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) EACH(*all[i]);
#undef EACH
    return bytes;
}

static void net_free(tg_net *net) {
    if (!net) return;
    net_each_buffer(net, 1);
    free(net->layers);
    free(net);
}

static size_t net_bytes(const tg_net *net) { return net_each_buffer((tg_net *)net, 0); }

/* This thread's share of `count` things, in whole multiples of `step`. */
INLINE void share(int count, int step, int tid, int threads, int *first, int *last) {
    int parts = (count + step - 1) / step;
    *first = (int)((long)parts * tid / threads) * step;
    *last = (int)((long)parts * (tid + 1) / threads) * step;
    if (*last > count) *last = count;
}

typedef struct {
    tg_net *net;
    const tg_weights *weights;
    int backward;
} pack_job;

static void pack_all(elem *panels, const float *weight, const rows_map *map, int blocks, int depth,
                     int by_rows, int tid, int threads) {
    int first, last;
    share(blocks, 1, tid, threads, &first, &last);
    /* Along the public rows, so that what comes next is near. */
    for (int k = 0; by_rows && k < depth; k += BLOCK)
        for (int b = first; b < last; b++)
            pack_rows(panels + (size_t)b * depth * BLOCK, weight, map, b, k, k + BLOCK);
    for (int b = first; !by_rows && b < last; b++)
        pack_columns(panels + (size_t)b * depth * BLOCK, weight, map, b, depth);
}

static void pack_work(void *arg, int tid, int threads) {
    pack_job *job = arg;
    tg_net *net = job->net;
    const int gate_depth = net->columns * BLOCK, padded = net->units * BLOCK;
    for (int l = 0; l < net->config.layers; l++) {
        net_layer *y = &net->layers[l];
        const tg_layer *w = &job->weights->layers[l];
        pack_all(y->in_fwd.data, w->weight_ih, &y->input, net->columns, y->depth, 0, tid, threads);
        pack_all(y->hh_fwd.data, w->weight_hh, &y->recurrent, net->columns, padded, 0, tid, threads);
        if (job->backward) {
            pack_all(y->in_bwd.data, w->weight_ih, &y->input, y->depth / BLOCK, gate_depth, 1, tid,
                     threads);
            pack_all(y->hh_bwd.data, w->weight_hh, &y->recurrent, net->units, gate_depth, 1, tid,
                     threads);
        }
        if (net->form->factor) {
            pack_all(y->mh_fwd.data, w->weight_mh, &net->factor_map, net->units, padded, 0, tid,
                     threads);
            if (job->backward)
                pack_all(y->mh_bwd.data, w->weight_mh, &net->factor_map, net->units, padded, 1, tid,
                         threads);
        }
        for (int i = 0; tid == 0 && i < net->units * net->form->peepholes * BLOCK; i++) {
            const int block = i / BLOCK, unit = block / net->form->peepholes * BLOCK + i % BLOCK;
            const float *vector = w->peepholes[block % net->form->peepholes];
            ((float *)y->peepholes.data)[i] = unit < net->config.hidden ? vector[unit] : 0.0f;
        }
        if (tid == 0)
            for (int c = 0; c < gate_depth; c++) {
                long row = public_row(&y->input, c / BLOCK, c % BLOCK);
                int unit = c / BLOCK / net->form->blocks * BLOCK + c % BLOCK;
                float own = row >= 0 ? w->bias[row] : 0.0f;
                if (row < 0 && w->bias_hn && unit < net->config.hidden) own = w->bias_hn[unit];
                ((float *)y->bias.data)[c] = own;
            }
    }
    if (!net->config.has_head) return;
    const float *head = job->weights->head ? job->weights->head : job->weights->embedding;
    const int vocab = net->vocab_blocks * BLOCK;
    pack_all(net->head_fwd.data, head, &net->head_map, net->vocab_blocks, padded, 0, tid, threads);
    if (job->backward)
        pack_all(net->head_bwd.data, head, &net->head_map, net->units, vocab, 1, tid, threads);
    if (tid == 0)
        for (int v = 0; v < vocab; v++)
            /* A padded symbol has no probability. */
            ((float *)net->head_bias.data)[v] =
                v < net->config.vocab ? job->weights->head_bias[v] : -1e30f;
}

static int net_pack(tg_net *net, const tg_weights *weights, int backward) {
    const size_t padded = (size_t)net->units * BLOCK, gates = (size_t)net->columns * BLOCK;
    const size_t vocab = (size_t)net->vocab_blocks * BLOCK;
    int bad = 0;
    for (int l = 0; l < net->config.layers; l++) {
        net_layer *y = &net->layers[l];
        bad |= buffer_need(&y->in_fwd, gates * y->depth * sizeof(elem));
        bad |= buffer_need(&y->hh_fwd, gates * padded * sizeof(elem));
        bad |= buffer_need(&y->bias, gates * sizeof(float));
        bad |= buffer_need(&y->peepholes, padded * net->form->peepholes * sizeof(float));
        if (net->form->factor) {
            bad |= buffer_need(&y->mh_fwd, padded * padded * sizeof(elem));
            if (backward) bad |= buffer_need(&y->mh_bwd, padded * padded * sizeof(elem));
        }
        if (!backward) continue;
        bad |= buffer_need(&y->in_bwd, gates * y->depth * sizeof(elem));
        bad |= buffer_need(&y->hh_bwd, gates * padded * sizeof(elem));
    }
    const int head = net->config.has_head;
    if (head) bad |= buffer_need(&net->head_fwd, vocab * padded * sizeof(elem));
    if (head) bad |= buffer_need(&net->head_bias, vocab * sizeof(float));
    if (head && backward) bad |= buffer_need(&net->head_bwd, vocab * padded * sizeof(elem));
    if (bad) return -1;
    net->embedding = weights->embedding;
    net->has_backward = backward;
    net->has_window = net->has_loss = 0;
    pack_job job = {net, weights, backward};
    tg_parallel(net->config.threads, pack_work, &job);
    return 0;
}

/* ---- what the passes share ----------------------------------------------------------------- */

/* A thread's part of a time step. Each takes some of the units, so that their weights stay in its
 * core's cache, and waits once per step for the others' part of the output; where there are too few
 * units for that, each takes some of the streams and waits for nobody. */
typedef struct {
    int row0, row1, unit0, unit1, waits;
} part;

/* Column blocks are multiplied two at a time on AMX: a unit of one gate block needs a companion. */
INLINE int unit_step(const tg_net *net) { return net->form->blocks == 1 ? 2 : 1; }

static part part_of(const tg_net *net, int tid, int threads) {
    part p = {0, net->window.B, 0, net->units, threads > 1};
    if (net->units >= 2 * threads) {
        share(net->units, unit_step(net), tid, threads, &p.unit0, &p.unit1);
    } else {
        p.waits = 0;
        share(net->window.B, 2, tid, threads, &p.row0, &p.row1);
    }
    return p;
}

/* A product of a thread's part goes over tiles of TILE_ROWS streams and some units. Where its weights
 * stay in the core's cache, tiles of the same streams come one after another, whose rows then stay in
 * L1; where they do not, tiles of the same units, so that weights come from afar once a step. */
#define OWN_CACHE ((size_t)3 << 19)

typedef struct {
    int rows, units, by_units;
} tile_order;

INLINE tile_order order_of(const part *p, int group, size_t weight_bytes) {
    return (tile_order){(p->row1 - p->row0 + TILE_ROWS - 1) / TILE_ROWS,
                        (p->unit1 - p->unit0 + group - 1) / group, weight_bytes > OWN_CACHE};
}

/* Whether stream b begins a document at step t. */
INLINE int is_reset(const tg_net *net, int t, int b) {
    return net->window.resets && t < net->window.T &&
           net->window.resets[(size_t)t * net->window.B + b];
}

INLINE float *mask_of(const tg_net *net, int l, int b) {
    if (!net->window.mask_LBH) return NULL;
    return (float *)net->mask.data + ((size_t)l * net->rows + b) * net->units * BLOCK;
}

/* Whether the float states of all steps are kept: for the gradient, or for the layer above. */
INLINE int keeps_carry(const tg_net *net) { return net->window.save || net->form->below; }

INLINE float *carry_at(const tg_net *net, const net_layer *y, int t, int unit, int b) {
    int slot = keeps_carry(net) ? t : t & 1;
    return (float *)y->carry.data + (((size_t)slot * net->units + unit) * net->rows + b) * BLOCK;
}

INLINE elem *saved_at(const tg_net *net, const net_layer *y, int t, int unit, int b) {
    return (elem *)y->saved.data +
           (((size_t)t * net->units + unit) * net->rows + b) * net->form->saved * BLOCK;
}

/* What the cells of a unit block of a stream read beside their own state. */
INLINE cell_reads reads_at(const tg_net *net, int l, int t, int unit, int b) {
    net_layer *y = &net->layers[l];
    return (cell_reads){
        (float *)y->peepholes.data + (size_t)unit * net->form->peepholes * BLOCK,
        net->form->below && l ? carry_at(net, y - 1, t + 1, unit, b) : NULL,
    };
}

/* A block of a stream's new state where edits change it: blocks lie as those of `carry`. */
INLINE float *edit_at(const tg_net *net, const buffer *states, int unit, int b) {
    return (float *)states->data + ((size_t)unit * net->rows + b) * BLOCK;
}

INLINE elem *row_at(const buffer *rows, size_t stride, size_t row) {
    return (elem *)rows->data + row * stride;
}

/* Where rows `row`, `row + 1` of column block `block` stand in a panel of `depth` rows. */
INLINE elem *panel_at(elem *panel, size_t depth, int block, size_t row) {
    return panel + ((size_t)block * depth + row) * BLOCK;
}

/* ---- forward ------------------------------------------------------------------------------- */

/* Write two rows' outputs of one unit block to where later passes read them. */
INLINE void put_output(tg_net *net, net_layer *y, int l, int t, int b, int unit, vf (*h)[NV],
                       int count) {
    const int T = net->window.T, column = unit * BLOCK;
    vf next[2][NV];
    for (int v = 0; v < NV; v++) next[1][v] = vset(0.0f);
    for (int i = 0; i < count; i++) {
        int zero = is_reset(net, t + 1, b + i);
        elem *out = row_at(&y->h, net->h_stride, (size_t)(t + 1) * net->rows + b + i) + column;
        for (int v = 0; v < NV; v++) {
            next[i][v] = zero ? vset(0.0f) : h[i][v];
            estore(out + v * VW, next[i][v]);
        }
        if (t == T - 1) {
            float *last = (float *)y->last.data + ((size_t)unit * net->rows + b + i) * BLOCK;
            for (int v = 0; v < NV; v++) vstore(last + v * VW, h[i][v]);
        }
    }
    if (net->window.save)
        store_pair(panel_at(y->h_panel.data, net->h_depth, unit, (size_t)(t + 1) * net->rows + b),
                   next[0], next[1]);
    if (y->out != (elem *)y->masked.data) return;
    for (int i = 0; i < count; i++) {
        const float *mask = mask_of(net, l, b + i);
        const size_t at = ((size_t)t * net->rows + b + i) * net->h_stride + column;
        elem *out = (elem *)y->masked.data + at;
        for (int v = 0; v < NV; v++) {
            if (y->is_residual && net->window.save)
                estore((elem *)y->hidden.data + at + v * VW, h[i][v]);
            if (mask) h[i][v] *= vload(mask + column + v * VW);
            if (y->is_residual) h[i][v] += eload((y - 1)->out + at + v * VW);
            estore(out + v * VW, h[i][v]);
        }
    }
    if (net->window.save)
        store_pair(panel_at(y->masked_panel.data, net->depth, unit, (size_t)t * net->rows + b), h[0],
                   h[1]);
}

/* The same of one row or two, which go in pairs only where a panel's rows do. */
INLINE void put_outputs(tg_net *net, net_layer *y, int l, int t, int b, int unit, vf (*h)[NV],
                        int count) {
#if PAIR == 2
    put_output(net, y, l, t, b, unit, h, count);
#else
    put_output(net, y, l, t, b, unit, h, 1);
    if (count == 2) put_output(net, y, l, t, b + 1, unit, h + 1, 1);
#endif
}

/* This thread's part of the changes of a layer's new states: its streams and units. Round by round,
 * a round being one place in the streams' lists. */
static void edit_forward(tg_net *net, int l, int t, const part *p, int threads) {
    net_layer *y = &net->layers[l];
    const int32_t *starts = net->window.edit_starts;
    const tg_edit *edits = net->window.edits;
    const size_t set = (size_t)net->rows * net->units;
    const int has_c = net->form->has_c, looks = net->form->peepholes;
    const size_t saved_stride = (size_t)net->rows * net->form->saved * BLOCK;
    int turn = 0;
#define ROW(b)                                                                                  \
    (edited_row){has_c ? carry_at(net, y, t + 1, 0, b) : NULL, edit_at(net, &y->edit_h, 0, b),   \
                 edit_at(net, &y->opened, 0, b), (size_t)net->rows * BLOCK, net->config.hidden, \
                 p->unit0, p->unit1, looks ? (float *)y->peepholes.data + 2 * BLOCK : NULL,     \
                 (size_t)looks * BLOCK,                                                         \
                 net->window.save ? saved_at(net, y, t, 0, b) + 3 * BLOCK : NULL, saved_stride}
#define EACH_STREAM(call)                                                                       \
    for (int b = p->row0; b < p->row1; b++) {                                                   \
        const tg_edit *e = edits + starts[b] + i;                                               \
        float *parts = (float *)y->edit_parts.data + turn * set + (size_t)b * net->units;       \
        if (starts[b] + i < starts[b + 1] && edit_touches(e, l, state)) {                       \
            const edited_row row = ROW(b);                                                      \
            call(&row, e, parts);                                                               \
        }                                                                                       \
    }
    for (int state = TG_STATE_C; state >= TG_STATE_H; state--) {
        for (int i = 0; i < net->edit_rounds; i++) {
            EACH_STREAM(edit_begin)
            if (!(y->has_direction[state] >> (i < 63 ? i : 63) & 1)) continue;
            if (p->waits) tg_barrier(threads);
            EACH_STREAM(edit_end)
            turn = !turn; /* nobody writes parts that another may still read */
        }
        if (state == TG_STATE_H) break;
        for (int b = p->row0; b < p->row1; b++) {
            const edited_row row = ROW(b);
            edit_open(&row, edits + starts[b], starts[b + 1] - starts[b], l);
        }
    }
#undef EACH_STREAM
#undef ROW
    for (int b = p->row0; b < p->row1; b += 2) {
        const int count = p->row1 - b < 2 ? 1 : 2;
        for (int unit = p->unit0; unit < p->unit1; unit++) {
            vf h[2][NV];
            for (int v = 0; v < NV; v++) h[1][v] = vset(0.0f);
            for (int i = 0; i < count; i++)
                for (int v = 0; v < NV; v++) {
                    h[i][v] = vload(edit_at(net, &y->edit_h, unit, b + i) + v * VW);
                    /* The GRU carries h itself. */
                    if (net->form->carries && !has_c)
                        vstore(carry_at(net, y, t + 1, unit, b + i) + v * VW, h[i][v]);
                }
            put_outputs(net, y, l, t, b, unit, h, count);
        }
    }
}

/* Some streams and units of one step of a layer, whose products are made together. */
typedef struct {
    tg_net *net;
    float *products; /* TILE_ROWS x TILE_STRIDE */
    int l, t, tid, row, rows, unit, units;
} step_tile;

/* The i-th tile of a step, of `group` unit blocks at most. */
INLINE step_tile tile_at(tg_net *net, int l, int t, int tid, const part *p, const tile_order *order,
                         int group, int i, float *products) {
    step_tile s = {net, products, l, t, tid, 0, 0, 0, 0};
    s.row = p->row0 + (order->by_units ? i % order->rows : i / order->units) * TILE_ROWS;
    s.unit = p->unit0 + (order->by_units ? i / order->rows : i % order->units) * group;
    s.rows = p->row1 - s.row < TILE_ROWS ? p->row1 - s.row : TILE_ROWS;
    s.units = p->unit1 - s.unit < group ? p->unit1 - s.unit : group;
    return s;
}

/* What follows the products of a tile comes in pieces: two streams of one unit block each. */
INLINE pieces pieces_of(const step_tile *s) {
    return (pieces){0, s->units * ((s->rows + 1) / 2)};
}

/* A piece of the cells. */
INLINE void cells_forward(const step_tile *s, int piece, int cell, int nonlinearity) {
    tg_net *net = s->net;
    const int l = s->l, t = s->t, blocks = cell_forms[cell].blocks, pairs = (s->rows + 1) / 2;
    const int u = piece / pairs, r = piece % pairs * 2, unit = s->unit + u, b = s->row + r;
    const int count = s->rows - r < 2 ? 1 : 2;
    net_layer *y = &net->layers[l];
    const int32_t *slot = net->slot_of.data;
    vf h[2][NV];
    for (int v = 0; v < NV; v++) h[1][v] = vset(0.0f);
    for (int i = 0; i < count; i++) {
        const float *x = l ? (float *)y->bias.data
                           : (float *)net->table.data +
                                 (size_t)slot[(size_t)t * net->window.B + b + i] * net->columns *
                                     BLOCK;
        const float *carry = NULL;
        float *next = NULL;
        if (cell_forms[cell].carries) {
            next = carry_at(net, y, t + 1, unit, b + i);
            if (!is_reset(net, t, b + i)) carry = carry_at(net, y, t, unit, b + i);
        }
        const cell_reads reads = reads_at(net, l, t, unit, b + i);
        cell_forward(cell, nonlinearity, s->products + (r + i) * TILE_STRIDE + u * blocks * BLOCK,
                     x + (size_t)unit * blocks * BLOCK, carry, next, &reads,
                     net->window.save ? saved_at(net, y, t, unit, b + i) : NULL,
                     y->is_edited ? edit_at(net, &y->opened, unit, b + i) : NULL, h[i]);
        for (int v = 0; y->is_edited && v < NV; v++)
            vstore(edit_at(net, &y->edit_h, unit, b + i) + v * VW, h[i][v]);
    }
    if (!y->is_edited) put_outputs(net, y, l, t, b, unit, h, count);
}

/* One step of a layer for this thread's streams and units. `run` does a piece of the cells: where
 * something else multiplies, those of a tile are done beside the products of the next. */
INLINE void step_forward(tg_net *net, int l, int t, const part *p, int cell,
                         void (*run)(const void *, int)) {
    net_layer *y = &net->layers[l];
    const int blocks = cell_forms[cell].blocks, group = blocks > 4 ? 1 : 4 / blocks;
    const size_t in_panel = (size_t)y->depth * BLOCK;
    const size_t hh_panel = (size_t)net->units * BLOCK * BLOCK;
    float products[1 + BESIDE][TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    /* The recurrent product has nothing for an idle block: what the input left there stands, or
     * zero. The factor has had its input's share. */
    const int idle = cell_forms[cell].idle, factor = cell_forms[cell].factor;
    if (idle && (!l || factor)) memset(products, 0, sizeof products);
    const tile_order order =
        order_of(p, group,
                 (size_t)(p->unit1 - p->unit0) * blocks *
                            (hh_panel + (l ? in_panel : 0)) * sizeof(elem));
    step_tile before = {net, NULL, l, t, 0, 0, 0, 0, 0};
    for (int i = 0; i < order.rows * order.units; i++) {
        const step_tile now = tile_at(net, l, t, 0, p, &order, group, i, products[i % (1 + BESIDE)]);
        const step_tile *due = BESIDE ? &before : &now;
        pieces work = pieces_of(due);
        const int column = now.unit * blocks, columns = now.units * blocks;
        const elem *state = factor ? row_at(&y->factor, net->h_stride, (size_t)now.row)
                                   : row_at(&y->h, net->h_stride, (size_t)t * net->rows + now.row);
        if (l) {
            const elem *below =
                net->layers[l - 1].out + ((size_t)t * net->rows + now.row) * net->h_stride;
            pieces some = {0, work.count / 2};
            tile_nn_beside(below, net->h_stride, now.rows, (elem *)y->in_fwd.data + column * in_panel,
                           in_panel, columns - factor, y->depth, now.products, 0, &some, run, due);
            work.next = some.next;
        }
        tile_nn_beside(state, net->h_stride, now.rows, (elem *)y->hh_fwd.data + column * hh_panel,
                       hh_panel, columns - idle, net->units * BLOCK, now.products, l > 0, &work, run,
                       due);
        while (work.next < work.count) run(due, work.next++);
        before = now;
    }
    if (!BESIDE) return;
    for (pieces work = pieces_of(&before); work.next < work.count; work.next++)
        run(&before, work.next);
}

/* The mLSTM's factor for this thread's streams and units: the input's share times the state's. */
static void factor_forward(tg_net *net, int l, int t, const part *p) {
    net_layer *y = &net->layers[l];
    const int blocks = net->form->blocks, last = blocks - 1;
    const size_t in_panel = (size_t)y->depth * BLOCK;
    const size_t mh_panel = (size_t)net->units * BLOCK * BLOCK;
    const int32_t *slot = net->slot_of.data;
    float of_h[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    float of_x[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    if (!l) memset(of_x, 0, sizeof of_x);
    for (int row = p->row0; row < p->row1; row += TILE_ROWS) {
        const int rows = p->row1 - row < TILE_ROWS ? p->row1 - row : TILE_ROWS;
        for (int unit = p->unit0; unit < p->unit1; unit += 4) {
            const int some = p->unit1 - unit < 4 ? p->unit1 - unit : 4;
            if (l)
                tile_nn(net->layers[l - 1].out + ((size_t)t * net->rows + row) * net->h_stride,
                        net->h_stride, rows,
                        (elem *)y->in_fwd.data + (size_t)(unit * blocks + last) * in_panel,
                        (size_t)blocks * in_panel, some, y->depth, of_x, 0);
            tile_nn(row_at(&y->h, net->h_stride, (size_t)t * net->rows + row), net->h_stride, rows,
                    (elem *)y->mh_fwd.data + unit * mh_panel, mh_panel, some, net->units * BLOCK,
                    of_h, 0);
            for (int u = 0; u < some; u++)
                for (int r = 0; r < rows; r += PAIR) {
                    vf m[2][NV];
                    const size_t column = (size_t)((unit + u) * blocks + last) * BLOCK;
                    memset(m, 0, sizeof m);
                    for (int i = 0; i < PAIR && r + i < rows; i++) {
                        const int b = row + r + i, at = (r + i) * TILE_STRIDE + u * BLOCK;
                        const float *x =
                            l ? (float *)y->bias.data
                              : (float *)net->table.data +
                                    (size_t)slot[(size_t)t * net->window.B + b] * net->columns *
                                        BLOCK;
                        elem *out = row_at(&y->factor, net->h_stride, (size_t)b) +
                                    (unit + u) * BLOCK;
                        elem *saved = net->window.save ? saved_at(net, y, t, unit + u, b) : NULL;
                        for (int v = 0; v < NV; v++) {
                            vf of_input = vload(of_x + at + v * VW) + vload(x + column + v * VW);
                            vf of_state = vload(of_h + at + v * VW);
                            m[i][v] = of_input * of_state;
                            estore(out + v * VW, m[i][v]);
                            if (!saved) continue;
                            estore(saved + SAVED_FACTOR_X * BLOCK + v * VW, of_input);
                            estore(saved + SAVED_FACTOR_H * BLOCK + v * VW, of_state);
                        }
                    }
                    if (net->window.save)
                        store_pair(panel_at(y->factor_panel.data, (size_t)net->depth, unit + u,
                                            (size_t)t * net->rows + row + r),
                                   m[0], m[1]);
                }
        }
    }
}

/* The passes are compiled once for each cell, so that its gates are chosen outside the loops. */
#define EACH_CELL(call)             \
    call(TG_LSTM, TG_TANH)          \
    call(TG_GRU, TG_TANH)           \
    call(TG_RNN, TG_TANH)           \
    call(TG_RNN, TG_RELU)           \
    call(TG_RNN, TG_IDENTITY)       \
    call(TG_PEEPHOLE, TG_TANH)      \
    call(TG_COUPLED, TG_TANH)       \
    call(TG_DEPTH_GATED, TG_TANH)   \
    call(TG_MLSTM, TG_TANH)
#define CELL_KEY(cell, nonlinearity) ((cell) * 4 + ((cell) == TG_RNN ? (nonlinearity) : 0))
#define FOR_CELL(of, cases)                                       \
    switch (CELL_KEY(CELL_OF(of), (of)->config.nonlinearity)) {   \
        EACH_CELL(cases)                                          \
    }

#define FORWARD_OF(cell, nonlinearity)                                             \
    INLINE void forward_##cell##_##nonlinearity(const void *tile, int piece) {     \
        cells_forward(tile, piece, cell, nonlinearity);                            \
    }
EACH_CELL(FORWARD_OF)
#undef FORWARD_OF

static void layer_forward(tg_net *net, int l, const part *p, int threads) {
    for (int t = 0; t < net->window.T; t++) {
        if (net->form->factor) {
            factor_forward(net, l, t, p);
            if (p->waits) tg_barrier(threads);
        }
#define CASE(cell, nonlinearity)                                           \
    case CELL_KEY(cell, nonlinearity):                                     \
        step_forward(net, l, t, p, cell, forward_##cell##_##nonlinearity); \
        break;
        FOR_CELL(net, CASE)
#undef CASE
        if (net->layers[l].is_edited) edit_forward(net, l, t, p, threads);
        if (p->waits) tg_barrier(threads);
    }
}

/* The state before the window, into slot 0. */
static void state_in(tg_net *net, int l, const part *p) {
    net_layer *y = &net->layers[l];
    const int H = net->config.hidden;
    for (int unit = p->unit0; unit < p->unit1; unit++)
        for (int b = p->row0; b < p->row1; b += 2) {
            vf h[2][NV];
            for (int i = 0; i < 2; i++) {
                for (int v = 0; v < NV; v++) h[i][v] = vset(0.0f);
                if (b + i >= p->row1) continue;
                const size_t at = (size_t)(b + i) * H + unit * BLOCK;
                const int left = H - unit * BLOCK;
                const float *carry = net->form->has_c ? net->window.c[l] : net->window.h[l];
                if (net->form->carries) {
                    vf c[NV];
                    load_block(c, carry + at, left);
                    for (int v = 0; v < NV; v++)
                        vstore(carry_at(net, y, 0, unit, b + i) + v * VW, c[v]);
                }
                if (!is_reset(net, 0, b + i)) load_block(h[i], net->window.h[l] + at, left);
                elem *out = row_at(&y->h, net->h_stride, (size_t)(b + i)) + unit * BLOCK;
                for (int v = 0; v < NV; v++) estore(out + v * VW, h[i][v]);
            }
            if (!net->window.save) continue;
            store_pair(panel_at(y->h_panel.data, net->h_depth, unit, (size_t)b), h[0], h[1]);
            if (PAIR == 1 && b + 1 < p->row1)
                store_pair(panel_at(y->h_panel.data, net->h_depth, unit, (size_t)b + 1), h[1],
                           h[1]);
        }
}

/* The state after the window, to the caller. */
static void state_out(tg_net *net, int l, const part *p) {
    net_layer *y = &net->layers[l];
    const int H = net->config.hidden;
    for (int unit = p->unit0; unit < p->unit1; unit++) {
        int left = H - unit * BLOCK < BLOCK ? H - unit * BLOCK : BLOCK;
        if (left <= 0) break;
        for (int b = p->row0; b < p->row1; b++) {
            const size_t at = (size_t)b * H + unit * BLOCK;
            memcpy(net->window.h[l] + at,
                   (float *)y->last.data + ((size_t)unit * net->rows + b) * BLOCK,
                   sizeof(float) * (size_t)left);
            if (net->form->has_c)
                memcpy(net->window.c[l] + at, carry_at(net, y, net->window.T, unit, b),
                       sizeof(float) * (size_t)left);
        }
    }
}

/* Sort the window's tokens by symbol: `symbols` in rising order, the tokens of number s being
 * order[starts[s]] .. order[starts[s + 1]]. -3: one of them is no symbol. */
static int find_symbols(tg_net *net) {
    const int count = net->window.T * net->window.B;
    int32_t *number = net->symbol_of.data, *symbols = net->symbols.data;
    int32_t *starts = net->starts.data, *order = net->order.data, *slot = net->slot_of.data;
    memset(number, 0, sizeof *number * (size_t)net->config.vocab);
    for (int i = 0; i < count; i++) {
        if ((uint32_t)net->window.ids[i] >= (uint32_t)net->config.vocab) return -3;
        number[net->window.ids[i]]++;
    }
    net->num_symbols = 0;
    int start = 0;
    for (int v = 0; v < net->config.vocab; v++) {
        if (!number[v]) continue;
        symbols[net->num_symbols] = v;
        starts[net->num_symbols] = start;
        start += number[v];
        number[v] = net->num_symbols++;
    }
    starts[net->num_symbols] = start;
    for (int i = 0; i < count; i++) {
        slot[i] = number[net->window.ids[i]];
        order[starts[slot[i]]++] = i;
    }
    for (int s = net->num_symbols; s > 0; s--) starts[s] = starts[s - 1];
    starts[0] = 0;
    net->symbol_depth = UP(net->num_symbols, KPAD);
    return 0;
}

/* Rows of the symbols' vectors, masks in them. */
static void gather_vectors(tg_net *net, int tid, int threads) {
    const int E = net->config.embedding;
    const int32_t *symbols = net->symbols.data;
    int first, last;
    share(net->symbol_depth, 2, tid, threads, &first, &last);
    for (int s = first; s < last; s += 2)
        for (int block = 0; block < net->embedding_blocks; block++) {
            vf x[2][NV];
            for (int i = 0; i < 2; i++) {
                int left = E - block * BLOCK;
                if (s + i >= net->num_symbols || left < 0) left = 0;
                const float *vector = net->embedding;
                if (left > 0) vector += (size_t)symbols[s + i] * E + block * BLOCK;
                load_block(x[i], vector, left);
                if (net->window.mask_E && left > 0) {
                    vf mask[NV];
                    load_block(mask, net->window.mask_E + block * BLOCK, left);
                    for (int v = 0; v < NV; v++) x[i][v] *= mask[v];
                }
                elem *row = row_at(&net->x, net->x_stride, (size_t)(s + i)) + block * BLOCK;
                for (int v = 0; v < NV; v++) estore(row + v * VW, x[i][v]);
            }
            if (!net->window.save) continue;
            store_pair(panel_at(net->x_panel.data, net->symbol_depth, block, (size_t)s), x[0], x[1]);
            if (PAIR == 1)
                store_pair(panel_at(net->x_panel.data, net->symbol_depth, block, (size_t)s + 1),
                           x[1], x[1]);
        }
}

/* The first layer's input, a row a symbol: vectors @ weight_ih.T + bias. */
static void make_table(tg_net *net, int tid, int threads) {
    net_layer *y = &net->layers[0];
    const size_t panel = (size_t)y->depth * BLOCK;
    const float *bias = y->bias.data;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    int first, last;
    share(net->columns, 4, tid, threads, &first, &last);
    for (int s = 0; s < net->num_symbols; s += TILE_ROWS) {
        int rows = net->num_symbols - s < TILE_ROWS ? net->num_symbols - s : TILE_ROWS;
        for (int c = first; c < last; c += 4) {
            int some = last - c < 4 ? last - c : 4;
            tile_nn(row_at(&net->x, net->x_stride, (size_t)s), net->x_stride, rows,
                    (elem *)y->in_fwd.data + c * panel, panel, some, y->depth, tile, 0);
            for (int r = 0; r < rows; r++) {
                float *row = (float *)net->table.data +
                             ((size_t)(s + r) * net->columns + c) * BLOCK;
                for (int at = 0; at < some * BLOCK; at += VW)
                    vstore(row + at, vload(tile + r * TILE_STRIDE + at) + vload(bias + c * BLOCK + at));
            }
        }
    }
}

/* Rows of a panel after the last one: zeros, for products run over them. */
static void clear_tail(elem *panel, size_t depth, int blocks, size_t rows) {
    for (int block = 0; block < blocks; block++)
        memset(panel_at(panel, depth, block, rows), 0, (depth - rows) * BLOCK * sizeof(elem));
}

static void forward_work(void *arg, int tid, int threads) {
    tg_net *net = arg;
    part p = part_of(net, tid, threads);
    unsigned mode = work_begin();
    for (int l = 0; l < net->config.layers; l++) {
        net_layer *y = &net->layers[l];
        state_in(net, l, &p);
        if (tid == 0 && net->window.save) {
            const size_t rows = (size_t)net->window.T * net->rows;
            clear_tail(y->h_panel.data, net->h_depth, net->units, rows + net->rows);
            if (y->masked_panel.data && y->out == (elem *)y->masked.data)
                clear_tail(y->masked_panel.data, net->depth, net->units, rows);
            if (net->form->factor) clear_tail(y->factor_panel.data, net->depth, net->units, rows);
        }
        if (tid == 0 && net->window.mask_LBH)
            for (int b = 0; b < net->window.B; b++) {
                float *mask = mask_of(net, l, b);
                memset(mask, 0, sizeof(float) * (size_t)net->units * BLOCK);
                memcpy(mask,
                       net->window.mask_LBH +
                           ((size_t)l * net->window.B + b) * net->config.hidden,
                       sizeof(float) * (size_t)net->config.hidden);
            }
    }
    tg_barrier(threads);
    gather_vectors(net, tid, threads);
    tg_barrier(threads);
    make_table(net, tid, threads);
    tg_barrier(threads);
    for (int l = 0; l < net->config.layers; l++) {
        layer_forward(net, l, &p, threads);
        state_out(net, l, &p);
    }
    work_end(mode);
}

/* Whether the window's edits change a layer, and in which rounds they look along a direction. */
static void find_edits(tg_net *net, int l) {
    net_layer *y = &net->layers[l];
    const int32_t *starts = net->window.edit_starts;
    y->is_edited = net->edit_rounds = 0;
    y->has_direction[0] = y->has_direction[1] = 0;
    for (int b = 0; net->window.edits && b < net->window.B; b++) {
        const int count = starts[b + 1] - starts[b];
        if (count > net->edit_rounds) net->edit_rounds = count;
        for (int i = 0; i < count; i++) {
            const tg_edit *e = net->window.edits + starts[b] + i;
            if (e->layer != l) continue;
            y->is_edited = 1;
            if (e->unit < 0) y->has_direction[e->state] |= (uint64_t)1 << (i < 63 ? i : 63);
        }
    }
}

static int net_forward(tg_net *net, const tg_window *window) {
    const tg_config *config = &net->config;
    const size_t T = (size_t)window->T, B = (size_t)window->B;
    net->window = *window;
    net->rows = (int)UP(B, PAIR);
    net->depth = (int)UP(T * net->rows, KPAD);
    net->h_depth = (int)UP((T + 1) * net->rows, KPAD) + KPAD;
    net->has_window = net->has_loss = 0;
    const size_t padded = (size_t)net->units * BLOCK, gates = (size_t)net->columns * BLOCK;
    const size_t R = (size_t)net->rows, depth = (size_t)net->depth;
    const size_t most = T * B < (size_t)config->vocab ? T * B : (size_t)config->vocab;
    const size_t symbols = UP(most, KPAD);
    const int save = window->save;
    int bad = 0;
    bad |= buffer_need(&net->symbol_of, sizeof(int32_t) * (size_t)config->vocab);
    bad |= buffer_need(&net->symbols, sizeof(int32_t) * most);
    bad |= buffer_need(&net->starts, sizeof(int32_t) * (most + 1));
    bad |= buffer_need(&net->order, sizeof(int32_t) * T * B);
    bad |= buffer_need(&net->slot_of, sizeof(int32_t) * T * B);
    bad |= buffer_need(&net->x, sizeof(elem) * (symbols + TILE_ROWS) * net->x_stride);
    bad |= buffer_need(&net->table, sizeof(float) * most * gates);
    if (save) bad |= buffer_need(&net->x_panel, sizeof(elem) * symbols * net->embedding_blocks * BLOCK);
    if (window->mask_LBH)
        bad |= buffer_need(&net->mask, sizeof(float) * config->layers * R * padded);
    for (int l = 0; l < config->layers; l++) {
        net_layer *y = &net->layers[l];
        const int apart = window->mask_LBH || window->resets || y->is_residual;
        bad |= buffer_need(&y->h, sizeof(elem) * ((T + 1) * R + TILE_ROWS) * net->h_stride);
        bad |= buffer_need(&y->last, sizeof(float) * R * padded);
        if (net->form->carries)
            bad |= buffer_need(&y->carry,
                               sizeof(float) * (keeps_carry(net) ? T + 1 : 2) * R * padded);
        if (net->form->factor)
            bad |= buffer_need(&y->factor, sizeof(elem) * (R + TILE_ROWS) * net->h_stride);
        if (net->form->factor && save)
            bad |= buffer_need(&y->factor_panel, sizeof(elem) * depth * padded);
        if (y->is_residual && save)
            bad |= buffer_need(&y->hidden, sizeof(elem) * T * R * net->h_stride);
        if (apart) bad |= buffer_need(&y->masked, sizeof(elem) * (T * R + TILE_ROWS) * net->h_stride);
        find_edits(net, l);
        if (y->is_edited) {
            bad |= buffer_need(&y->edit_h, sizeof(float) * R * padded);
            bad |= buffer_need(&y->opened, sizeof(float) * R * padded);
            bad |= buffer_need(&y->edit_parts, sizeof(float) * 2 * R * net->units);
        }
        if (save) {
            bad |= buffer_need(&y->saved, sizeof(elem) * T * R * padded * net->form->saved);
            bad |= buffer_need(&y->h_panel, sizeof(elem) * (size_t)net->h_depth * padded);
            if (apart) bad |= buffer_need(&y->masked_panel, sizeof(elem) * depth * padded);
        }
        if (bad) return -1;
        y->out = apart ? (elem *)y->masked.data : row_at(&y->h, net->h_stride, R);
        y->out_panel = apart ? (elem *)y->masked_panel.data : panel_at(y->h_panel.data, 0, 0, R);
    }
    if (find_symbols(net)) return -3;
    tg_parallel(config->threads, forward_work, net);
    net->has_window = 1;
    return 0;
}

/* The rows between two column blocks of a layer's output panel. */
INLINE size_t out_panel_depth(const tg_net *net, const net_layer *y) {
    return (size_t)(y->out == (elem *)y->masked.data ? net->depth : net->h_depth);
}

#endif
