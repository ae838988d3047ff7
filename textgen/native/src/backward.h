/* The gradient of a window: back through time, then every weight's as one product over all steps. */
#ifndef TG_BACKWARD_H
#define TG_BACKWARD_H

#include "head.h"

INLINE float *d_below_at(const tg_net *net, const net_layer *y, int t, int unit, int b) {
    return (float *)y->d_below.data + (((size_t)t * net->units + unit) * net->rows + b) * BLOCK;
}

/* A thread's sums of the vectors' gradients, for the units of a block. */
INLINE float *d_peepholes_at(const tg_net *net, const net_layer *y, int tid, int unit) {
    return (float *)y->d_peepholes.data +
           ((size_t)tid * net->units + unit) * net->form->peepholes * BLOCK;
}

/* The factor's share of a step's gates, which waits until nobody reads them: see factor_backward. */
static void put_factor_gates(tg_net *net, net_layer *y, int t, const part *p) {
    const int blocks = net->form->blocks;
    for (int b = p->row0; b < p->row1; b++)
        for (int unit = p->unit0; unit < p->unit1; unit++)
            memcpy(row_at(&y->gates, net->gate_stride, (size_t)t * net->rows + b) +
                       (size_t)(unit * blocks + blocks - 1) * BLOCK,
                   row_at(&y->d_factor_x, net->h_stride, (size_t)b) + unit * BLOCK,
                   BLOCK * sizeof(elem));
}

/* A piece of the cells' gradients. */
INLINE void cells_backward(const step_tile *s, int piece, int cell, int nonlinearity) {
    tg_net *net = s->net;
    const int l = s->l, t = s->t, blocks = cell_forms[cell].blocks, pairs = (s->rows + 1) / 2;
    const int factor = cell_forms[cell].factor, below = cell_forms[cell].below;
    const int u = piece / pairs, here = s->unit + u, column = here * BLOCK;
    const int later = t + 1 < net->window.T;
    net_layer *y = &net->layers[l];
    for (int r = piece % pairs * 2; r < piece % pairs * 2 + 2 && r < s->rows; r += PAIR) {
        vf d[2][MAX_BLOCKS][NV];
        for (int i = 0; i < PAIR; i++) {
            if (r + i >= s->rows) {
                memset(d[i], 0, sizeof d[i]);
                continue;
            }
            const int b = s->row + r + i;
            const size_t place = (size_t)t * net->rows + b;
            const float *mask = mask_of(net, l, b);
            const elem *out = row_at(&y->d_out, net->h_stride, place) + column;
            const int joined = later && !is_reset(net, t + 1, b);
            vf dh[NV];
            for (int v = 0; v < NV; v++) {
                dh[v] = eload(out + v * VW);
                if (mask) dh[v] *= vload(mask + column + v * VW);
                if (joined)
                    dh[v] += vload(s->products + (r + i) * TILE_STRIDE + u * BLOCK + v * VW);
            }
            const float *was = NULL, *now = NULL;
            float *carry = NULL;
            const int reset = is_reset(net, t, b);
            if (cell_forms[cell].carries) {
                now = carry_at(net, y, t + 1, here, b);
                if (!reset) was = carry_at(net, y, t, here, b);
                carry = (float *)y->d_carry.data + ((size_t)here * net->rows + b) * BLOCK;
                if (!later) memset(carry, 0, BLOCK * sizeof(float));
            }
            if (below && l + 1 < net->config.layers) {
                const float *read = d_below_at(net, y, t, here, b);
                for (int at = 0; at < BLOCK; at += VW)
                    vstore(carry + at, vload(carry + at) + vload(read + at));
            }
            const cell_reads reads = reads_at(net, l, t, here, b);
            cell_backward(cell, nonlinearity, dh, saved_at(net, y, t, here, b), was, now, &reads,
                          carry, below && l ? d_below_at(net, y - 1, t, here, b) : NULL,
                          d_peepholes_at(net, y, s->tid, here), d[i]);
            if (factor) memset(d[i][blocks - 1], 0, sizeof d[i][blocks - 1]);
            if (carry && reset) memset(carry, 0, BLOCK * sizeof(float));
            elem *gates = row_at(&y->gates, net->gate_stride, place) + (size_t)column * blocks;
            for (int g = 0; g < blocks; g++)
                for (int v = 0; v < NV; v++) estore(gates + g * BLOCK + v * VW, d[i][g][v]);
        }
        for (int g = 0; g < blocks - factor; g++)
            store_pair(panel_at(y->gates_panel.data, (size_t)net->depth, here * blocks + g,
                                (size_t)t * net->rows + s->row + r),
                       d[0][g], d[1][g]);
    }
}

#define BACKWARD_OF(cell, nonlinearity)                                            \
    INLINE void backward_##cell##_##nonlinearity(const void *tile, int piece) {    \
        cells_backward(tile, piece, cell, nonlinearity);                           \
    }
EACH_CELL(BACKWARD_OF)
#undef BACKWARD_OF

/* One step of a layer back; `run` as in step_forward. */
INLINE void step_backward(tg_net *net, int l, int t, const part *p, int tid, int cell,
                          void (*run)(const void *, int)) {
    net_layer *y = &net->layers[l];
    const int factor = cell_forms[cell].factor;
    /* What the output of the step before went into: the gates of this one, or the factor. */
    const int depth = factor ? net->units * BLOCK : net->columns * BLOCK;
    const size_t panel = (size_t)depth * BLOCK;
    const size_t after_stride = factor ? net->h_stride : net->gate_stride;
    const elem *weights = factor ? y->mh_bwd.data : y->hh_bwd.data;
    float products[1 + BESIDE][TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    const tile_order order =
        order_of(p, 4, (size_t)(p->unit1 - p->unit0) * panel * sizeof(elem));
    step_tile before = {net, NULL, l, t, tid, 0, 0, 0, 0};
    for (int i = 0; i < order.rows * order.units; i++) {
        const step_tile now = tile_at(net, l, t, tid, p, &order, 4, i, products[i % (1 + BESIDE)]);
        const step_tile *due = BESIDE ? &before : &now;
        pieces work = pieces_of(due);
        const elem *after =
            factor ? row_at(&y->d_factor, net->h_stride, (size_t)now.row)
                   : row_at(&y->gates, net->gate_stride, (size_t)(t + 1) * net->rows + now.row);
        if (t + 1 < net->window.T)
            tile_nn_beside(after, after_stride, now.rows, weights + now.unit * panel, panel,
                           now.units, depth, now.products, 0, &work, run, due);
        while (work.next < work.count) run(due, work.next++);
        before = now;
    }
    if (!BESIDE) return;
    for (pieces work = pieces_of(&before); work.next < work.count; work.next++)
        run(&before, work.next);
}

/* From the gates' gradients of all units to those of the mLSTM's factor and of its two parts, for
 * this thread's. The input's part belongs among the gates, but others may be reading their rows, so
 * there it stays zero for now. */
static void factor_backward(tg_net *net, int l, int t, const part *p) {
    net_layer *y = &net->layers[l];
    const int blocks = net->form->blocks, depth = net->columns * BLOCK;
    const size_t panel = (size_t)depth * BLOCK;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    for (int row = p->row0; row < p->row1; row += TILE_ROWS) {
        const int rows = p->row1 - row < TILE_ROWS ? p->row1 - row : TILE_ROWS;
        for (int unit = p->unit0; unit < p->unit1; unit += 4) {
            const int some = p->unit1 - unit < 4 ? p->unit1 - unit : 4;
            tile_nn(row_at(&y->gates, net->gate_stride, (size_t)t * net->rows + row),
                    net->gate_stride, rows, (elem *)y->hh_bwd.data + unit * panel, panel, some,
                    depth, tile, 0);
            for (int u = 0; u < some; u++)
                for (int r = 0; r < rows; r += PAIR) {
                    vf of_x[2][NV], of_h[2][NV];
                    const int here = unit + u;
                    const size_t place = (size_t)t * net->rows + row + r;
                    memset(of_x, 0, sizeof of_x);
                    memset(of_h, 0, sizeof of_h);
                    for (int i = 0; i < PAIR && r + i < rows; i++) {
                        const int b = row + r + i;
                        const elem *saved = saved_at(net, y, t, here, b);
                        elem *to_x = row_at(&y->d_factor_x, net->h_stride, (size_t)b) + here * BLOCK;
                        elem *to_h = row_at(&y->d_factor, net->h_stride, (size_t)b) + here * BLOCK;
                        for (int v = 0; v < NV; v++) {
                            const int at = v * VW;
                            vf d = vload(tile + (r + i) * TILE_STRIDE + u * BLOCK + at);
                            of_x[i][v] = d * eload(saved + SAVED_FACTOR_H * BLOCK + at);
                            of_h[i][v] = d * eload(saved + SAVED_FACTOR_X * BLOCK + at);
                            estore(to_x + at, of_x[i][v]);
                            estore(to_h + at, of_h[i][v]);
                        }
                    }
                    store_pair(panel_at(y->gates_panel.data, (size_t)net->depth,
                                        here * blocks + blocks - 1, place),
                               of_x[0], of_x[1]);
                    store_pair(panel_at(y->d_factor_panel.data, (size_t)net->depth, here, place),
                               of_h[0], of_h[1]);
                }
        }
    }
}

static void layer_backward(tg_net *net, int l, const part *p, int tid, int threads) {
    net_layer *y = &net->layers[l];
    const int factor = net->form->factor;
    if (net->form->peepholes)
        memset(d_peepholes_at(net, y, tid, 0), 0,
               sizeof(float) * (size_t)net->units * net->form->peepholes * BLOCK);
    for (int t = net->window.T - 1; t >= 0; t--) {
#define CASE(cell, nonlinearity)                                                  \
    case CELL_KEY(cell, nonlinearity):                                            \
        step_backward(net, l, t, p, tid, cell, backward_##cell##_##nonlinearity); \
        break;
        FOR_CELL(net, CASE)
#undef CASE
        if (p->waits) tg_barrier(threads);
        if (!factor) continue;
        factor_backward(net, l, t, p);
        if (p->waits) tg_barrier(threads);
        put_factor_gates(net, y, t, p);
    }
}

/* The vectors' gradients: the threads' sums. */
static void put_peepholes(const tg_net *net, const net_layer *y, const tg_layer *to, int threads) {
    const int count = net->form->peepholes;
    for (int unit = 0; unit < net->config.hidden; unit++)
        for (int i = 0; i < count; i++) {
            float sum = 0.0f;
            for (int tid = 0; tid < threads; tid++)
                sum += d_peepholes_at(net, y, tid, unit / BLOCK)[i * BLOCK + unit % BLOCK];
            to->peepholes[i][unit] = sum;
        }
}

/* The bias takes the sum of a native column; the GRU's recurrent candidate has a bias of its own. */
INLINE void put_bias(const tg_net *net, int l, const tg_layer *to, int block, const vf *sums) {
    for (int lane = 0; lane < BLOCK; lane++) {
        float sum = sums[lane / VW][lane % VW];
        long row = public_row(&net->layers[l].input, block, lane);
        int unit = block / net->form->blocks * BLOCK + lane;
        if (row >= 0) to->bias[row] = sum;
        else if (to->bias_hn && unit < net->config.hidden &&
                 net->form->input[block % net->form->blocks] < 0)
            to->bias_hn[unit] = sum;
    }
}

/* Sums over all rows of one column block of a panel. */
static void sum_panel(const elem *panel, int depth, vf *sums) {
    for (int v = 0; v < NV; v++) sums[v] = vset(0.0f);
    for (int k = 0; k < depth; k += PAIR) {
#if TG_BF16
        vi both = (vi)_mm512_loadu_si512(panel + (size_t)k * BLOCK);
        sums[0] += (vf)(both << 16) + (vf)(both & (vi)_mm512_set1_epi32((int)0xffff0000));
#else
        for (int v = 0; v < NV; v++) sums[v] += vload(panel + (size_t)k * BLOCK + v * VW);
#endif
    }
}

/* Gradients of this layer's input weights and bias, and of the layer below's output. */
static void into_layer_below(tg_net *net, int l, const tg_layer *to, const part *p, int first,
                             int last, elem *scratch) {
    net_layer *y = &net->layers[l], *below = y - 1;
    const size_t panel = (size_t)net->columns * BLOCK * BLOCK;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    for (int block = first; block < last; block++) {
        vf sums[NV];
        sum_panel(panel_at(y->gates_panel.data, (size_t)net->depth, block, 0), net->depth, sums);
        put_bias(net, l, to, block, sums);
    }
    target into = {to->weight_ih, &y->input, 0};
    tile_tn(y->gates_panel.data, (size_t)net->depth * BLOCK, first, last, below->out_panel,
            out_panel_depth(net, below) * BLOCK, net->units, net->depth, &into, scratch);
    for (int t = 0; t < net->window.T; t++)
        for (int row = p->row0; row < p->row1; row += TILE_ROWS) {
            int rows = p->row1 - row < TILE_ROWS ? p->row1 - row : TILE_ROWS;
            const size_t place = (size_t)t * net->rows + row;
            for (int unit = p->unit0; unit < p->unit1; unit += 4) {
                int some = p->unit1 - unit < 4 ? p->unit1 - unit : 4;
                tile_nn(row_at(&y->gates, net->gate_stride, place), net->gate_stride, rows,
                        (elem *)y->in_bwd.data + unit * panel, panel, some, net->columns * BLOCK,
                        tile, 0);
                for (int r = 0; r < rows; r++) {
                    elem *out = row_at(&below->d_out, net->h_stride, place + (size_t)r) + unit * BLOCK;
                    const elem *own = row_at(&y->d_out, net->h_stride, place + (size_t)r) + unit * BLOCK;
                    for (int at = 0; at < some * BLOCK; at += VW) {
                        vf sum = vload(tile + r * TILE_STRIDE + at);
                        if (y->is_residual) sum += eload(own + at);
                        estore(out + at, sum);
                    }
                }
            }
        }
}

/* The first layer's gates at a token of the window. */
INLINE const elem *gates_at(const tg_net *net, int token) {
    const size_t t = (size_t)(token / net->window.B), b = (size_t)(token % net->window.B);
    return row_at(&net->layers[0].gates, net->gate_stride, t * net->rows + b);
}

/* The first layer: the gradient of a symbol's table row is the sum over its tokens. */
static void into_table(tg_net *net, const tg_layer *to, int first, int last) {
    const size_t gates = (size_t)net->columns * BLOCK, from = (size_t)first * BLOCK;
    const size_t count = (size_t)(last - first) * BLOCK;
    const int32_t *starts = net->starts.data, *order = net->order.data;
    float *table = net->d_table.data;
    for (int s = 0; s < net->num_symbols; s++) {
        float *sum = table + s * gates + from;
        memset(sum, 0, count * sizeof(float));
        for (int i = starts[s]; i < starts[s + 1]; i++) {
            const elem *row = gates_at(net, order[i]) + from;
            const elem *soon = gates_at(net, order[i + 1 < starts[net->num_symbols] ? i + 1 : i]);
            for (size_t at = 0; at < count; at += VW) {
                __builtin_prefetch(soon + from + at); /* The tokens of a symbol lie far apart. */
                vstore(sum + at, vload(sum + at) + eload(row + at));
            }
        }
    }
    for (int block = first; block < last; block++) {
        vf sums[NV], pair[2][NV];
        for (int v = 0; v < NV; v++) sums[v] = vset(0.0f);
        for (int s = 0; s < net->symbol_depth; s += PAIR) {
            for (int i = 0; i < PAIR; i++) {
                load_block(pair[i], table + (s + i) * gates + (size_t)block * BLOCK,
                           s + i < net->num_symbols ? BLOCK : 0);
                elem *row = row_at(&net->d_table_rows, net->gate_stride, (size_t)(s + i)) +
                            block * BLOCK;
                for (int v = 0; v < NV; v++) {
                    sums[v] += pair[i][v];
                    estore(row + v * VW, pair[i][v]);
                }
            }
            store_pair(panel_at(net->d_table_panel.data, (size_t)net->symbol_depth, block, (size_t)s),
                       pair[0], pair[PAIR - 1]);
        }
        put_bias(net, 0, to, block, sums);
    }
}

/* From the table's gradient to the symbols' vectors. */
static void into_embedding(tg_net *net, float *gradient, int tid, int threads) {
    const int E = net->config.embedding, depth = net->columns * BLOCK;
    const size_t panel = (size_t)depth * BLOCK;
    const int32_t *symbols = net->symbols.data;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    int first, last;
    share(net->num_symbols, TILE_ROWS / 4, tid, threads, &first, &last);
    for (int s = first; s < last; s += TILE_ROWS) {
        int rows = last - s < TILE_ROWS ? last - s : TILE_ROWS;
        for (int block = 0; block * BLOCK < E; block += 4) {
            int some = net->embedding_blocks - block < 4 ? net->embedding_blocks - block : 4;
            tile_nn(row_at(&net->d_table_rows, net->gate_stride, (size_t)s), net->gate_stride, rows,
                    (elem *)net->layers[0].in_bwd.data + block * panel, panel, some, depth, tile, 0);
            for (int r = 0; r < rows; r++) {
                float *out = gradient + (size_t)symbols[s + r] * E + block * BLOCK;
                for (int at = 0; at < some * BLOCK && block * BLOCK + at < E; at++) {
                    float own = tile[r * TILE_STRIDE + at];
                    if (net->window.mask_E) own *= net->window.mask_E[block * BLOCK + at];
                    out[at] = net->config.tie ? out[at] + own : own;
                }
            }
        }
    }
}

typedef struct {
    tg_net *net;
    const tg_weights *gradients;
} backward_job;

static void backward_work(void *arg, int tid, int threads) {
    backward_job *job = arg;
    tg_net *net = job->net;
    const tg_weights *to = job->gradients;
    elem *scratch = (elem *)net->scratch.data + (size_t)tid * net->scratch_bytes;
    part p = part_of(net, tid, threads);
    /* Weight gradients are shared out by columns, whoever made the rows. */
    int first, last;
    share(net->units, unit_step(net), tid, threads, &first, &last);
    first *= net->form->blocks;
    last *= net->form->blocks;
    unsigned mode = work_begin();
    if (!net->config.tie || net->has_loss == FROM_OUTSIDE) {
        int from, until;
        share(net->config.vocab, 1, tid, threads, &from, &until);
        memset(to->embedding + (size_t)from * net->config.embedding, 0,
               sizeof(float) * (size_t)(until - from) * net->config.embedding);
    }
    for (int l = net->config.layers - 1; l >= 0; l--) {
        net_layer *y = &net->layers[l];
        if (tid == 0)
            clear_tail(y->gates_panel.data, (size_t)net->depth, net->columns,
                       (size_t)net->window.T * net->rows);
        if (tid == 0 && net->form->factor)
            clear_tail(y->d_factor_panel.data, (size_t)net->depth, net->units,
                       (size_t)net->window.T * net->rows);
        layer_backward(net, l, &p, tid, threads);
        tg_barrier(threads);
        if (tid == 0) put_peepholes(net, y, &to->layers[l], threads);
        target into = {to->layers[l].weight_hh, &y->recurrent, 0};
        if (net->form->factor) {
            target of_h = {to->layers[l].weight_mh, &net->factor_map, 0};
            tile_tn(y->gates_panel.data, (size_t)net->depth * BLOCK, first, last,
                    y->factor_panel.data, (size_t)net->depth * BLOCK, net->units, net->depth, &into,
                    scratch);
            tile_tn(y->d_factor_panel.data, (size_t)net->depth * BLOCK, first / net->form->blocks,
                    last / net->form->blocks, y->h_panel.data, (size_t)net->h_depth * BLOCK,
                    net->units, net->depth, &of_h, scratch);
        } else {
            tile_tn(y->gates_panel.data, (size_t)net->depth * BLOCK, first, last, y->h_panel.data,
                    (size_t)net->h_depth * BLOCK, net->units, net->depth, &into, scratch);
        }
        if (l) {
            into_layer_below(net, l, &to->layers[l], &p, first, last, scratch);
        } else {
            into_table(net, &to->layers[0], first, last);
            target symbols = {to->layers[0].weight_ih, &y->input, 0};
            tile_tn(net->d_table_panel.data, (size_t)net->symbol_depth * BLOCK, first, last,
                    net->x_panel.data, (size_t)net->symbol_depth * BLOCK, net->embedding_blocks,
                    net->symbol_depth, &symbols, scratch);
        }
        tg_barrier(threads);
    }
    into_embedding(net, to->embedding, tid, threads);
    work_end(mode);
}

static int net_backward(tg_net *net, const tg_weights *gradients) {
    if (!net->has_loss) return -2;
    const size_t gates = (size_t)net->columns * BLOCK, T = (size_t)net->window.T;
    const size_t R = (size_t)net->rows, padded = (size_t)net->units * BLOCK;
    const size_t symbols = (size_t)net->symbol_depth;
    int bad = need_scratch(net);
    for (int l = 0; l < net->config.layers; l++) {
        net_layer *y = &net->layers[l];
        bad |= buffer_need(&y->gates, sizeof(elem) * (T * R + TILE_ROWS) * net->gate_stride);
        bad |= buffer_need(&y->gates_panel, sizeof(elem) * gates * (size_t)net->depth);
        bad |= buffer_need(&y->d_out, sizeof(elem) * (size_t)net->depth * net->h_stride);
        if (net->form->carries) bad |= buffer_need(&y->d_carry, sizeof(float) * R * padded);
        bad |= buffer_need(&y->d_peepholes, sizeof(float) * (size_t)net->config.threads * padded *
                                                net->form->peepholes);
        if (net->form->below && l + 1 < net->config.layers)
            bad |= buffer_need(&y->d_below, sizeof(float) * T * R * padded);
        if (!net->form->factor) continue;
        bad |= buffer_need(&y->d_factor, sizeof(elem) * (R + TILE_ROWS) * net->h_stride);
        bad |= buffer_need(&y->d_factor_x, sizeof(elem) * (R + TILE_ROWS) * net->h_stride);
        bad |= buffer_need(&y->d_factor_panel, sizeof(elem) * (size_t)net->depth * padded);
    }
    bad |= buffer_need(&net->d_table, sizeof(float) * symbols * gates);
    bad |= buffer_need(&net->d_table_rows, sizeof(elem) * (symbols + TILE_ROWS) * net->gate_stride);
    bad |= buffer_need(&net->d_table_panel, sizeof(elem) * symbols * gates);
    if (bad) return -1;
    backward_job job = {net, gradients};
    tg_parallel(net->config.threads, backward_work, &job);
    net->has_loss = 0;
    return 0;
}

/* ---- reading what a window left behind ------------------------------------------------------ */

typedef struct {
    tg_net *net;
    int l, what;
    float *out;
} read_job;

static void read_work(void *arg, int tid, int threads) {
    read_job *job = arg;
    tg_net *net = job->net;
    net_layer *y = &net->layers[job->l];
    const int H = net->config.hidden, B = net->window.B;
    int first, last;
    share(net->window.T, 1, tid, threads, &first, &last);
    for (int t = first; t < last; t++)
        for (int b = 0; b < B; b++)
            for (int unit = 0; unit * BLOCK < H; unit++) {
                float values[BLOCK];
                const elem *from = NULL;
                if (job->what == TG_READ_CELL)
                    memcpy(values, carry_at(net, y, t + 1, unit, b), sizeof values);
                else if (job->what >= TG_READ_HIDDEN)
                    from = (job->what == TG_READ_HIDDEN && y->is_residual ? (elem *)y->hidden.data : y->out) +
                           ((size_t)t * net->rows + b) * net->h_stride + unit * BLOCK;
                else
                    from = saved_at(net, y, t, unit, b) + job->what * BLOCK;
                if (from)
                    for (int v = 0; v < NV; v++) vstore(values + v * VW, eload(from + v * VW));
                int left = H - unit * BLOCK < BLOCK ? H - unit * BLOCK : BLOCK;
                memcpy(job->out + ((size_t)t * B + b) * H + unit * BLOCK, values,
                       sizeof(float) * (size_t)left);
            }
}

static int net_read(tg_net *net, int32_t layer, int32_t what, float *out) {
    if (!net->has_window || layer < 0 || layer >= net->config.layers) return -2;
    if (what != TG_READ_OUTPUT && !net->window.save) return -2;
    if (what == TG_READ_CELL ? !net->form->carries
                             : what < TG_READ_HIDDEN && what >= net->form->saved)
        return -2;
    read_job job = {net, layer, what, out};
    tg_parallel(net->config.threads, read_work, &job);
    return 0;
}

#endif
