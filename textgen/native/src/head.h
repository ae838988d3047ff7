/* The output layer, softmax and cross-entropy: logits never stand in memory but for a few rows. */
#ifndef TG_HEAD_H
#define TG_HEAD_H

#include <math.h>

#include "net.h"

/* Elems of the logits' gradient kept at a time. */
#define HEAD_ELEMS ((size_t)1 << 25)

typedef struct {
    tg_net *net;
    const int32_t *targets;
    float *nats;
    const tg_weights *gradients;
    int chunk; /* rows of r-space (t * rows + b) at a time */
    float scale; /* of a target's gradient: one over how many count */
} head_job;

/* Logits of up to TILE_ROWS rows of the last layer's output, bias in them. */
static void head_rows(const tg_net *net, size_t row, int rows, float *logits) {
    const net_layer *y = &net->layers[net->config.layers - 1];
    const size_t panel = (size_t)net->units * BLOCK * BLOCK;
    const int vocab = net->vocab_blocks * BLOCK;
    const float *bias = net->head_bias.data;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    for (int block = 0; block < net->vocab_blocks; block += 4) {
        int some = net->vocab_blocks - block < 4 ? net->vocab_blocks - block : 4;
        tile_nn(y->out + row * net->h_stride, net->h_stride, rows,
                (elem *)net->head_fwd.data + block * panel, panel, some, net->units * BLOCK, tile, 0);
        for (int r = 0; r < rows; r++)
            for (int at = 0; at < some * BLOCK; at += VW)
                vstore(logits + (size_t)r * vocab + block * BLOCK + at,
                       vload(tile + r * TILE_STRIDE + at) + vload(bias + block * BLOCK + at));
    }
}

/* Nats of the target; `logits` become softmax's numerators, whose sum is left in `sum`. */
static float row_nats(float *logits, int vocab, int target, float *sum) {
    vf top = vload(logits);
    for (int v = VW; v < vocab; v += VW) top = vmax(top, vload(logits + v));
    const float highest = vtop(top), wanted = logits[target];
    vf total = vset(0.0f);
    for (int v = 0; v < vocab; v += VW) {
        vf e = vexp(vload(logits + v) - vset(highest));
        vstore(logits + v, e);
        total += e;
    }
    *sum = vsum(total);
    return logf(*sum) + highest - wanted;
}

static void head_block(head_job *job, size_t start, int row, int rows, float *logits, elem *d_rows,
                       float *d_bias) {
    tg_net *net = job->net;
    const int vocab = net->vocab_blocks * BLOCK, B = net->window.B, R = net->rows;
    const float scale = job->scale;
    head_rows(net, start + (size_t)row, rows, logits);
    for (int r = 0; r < rows; r++) {
        const size_t place = start + (size_t)(row + r);
        const int t = (int)(place / (size_t)R), b = (int)(place % (size_t)R);
        float *own = logits + (size_t)r * vocab;
        const int target = b < B ? job->targets[(size_t)t * B + b] : -1;
        if (target < 0) {
            if (b < B) job->nats[(size_t)t * B + b] = 0.0f;
            memset(own, 0, sizeof(float) * (size_t)vocab);
        } else {
            float sum;
            job->nats[(size_t)t * B + b] = row_nats(own, vocab, target, &sum);
            if (!job->gradients) continue;
            const vf factor = vset(scale / sum);
            for (int v = 0; v < vocab; v += VW) vstore(own + v, vload(own + v) * factor);
            own[target] -= scale;
            for (int v = 0; v < vocab; v += VW) vstore(d_bias + v, vload(d_bias + v) + vload(own + v));
        }
        if (!job->gradients) continue;
        for (int v = 0; v < vocab; v += VW) estore(d_rows + r * net->logit_stride + v, vload(own + v));
    }
    if (!job->gradients) return;
    for (int block = 0; block < net->vocab_blocks; block++)
        for (int r = 0; r < rows; r += PAIR) {
            vf pair[2][NV];
            load_block(pair[0], logits + (size_t)r * vocab + block * BLOCK, BLOCK);
            load_block(pair[1], logits + (size_t)(r + PAIR - 1) * vocab + block * BLOCK,
                       r + PAIR - 1 < rows ? BLOCK : 0);
            store_pair(panel_at(net->d_logits_panel.data, (size_t)job->chunk, block,
                                (size_t)(row + r)),
                       pair[0], pair[1]);
        }
    net_layer *y = &net->layers[net->config.layers - 1];
    const size_t panel = (size_t)vocab * BLOCK;
    float tile[TILE_ROWS * TILE_STRIDE] __attribute__((aligned(64)));
    for (int unit = 0; unit < net->units; unit += 4) {
        int some = net->units - unit < 4 ? net->units - unit : 4;
        tile_nn(d_rows, net->logit_stride, rows, (elem *)net->head_bwd.data + unit * panel, panel,
                some, vocab, tile, 0);
        for (int r = 0; r < rows; r++) {
            elem *out = row_at(&y->d_out, net->h_stride, start + (size_t)(row + r)) + unit * BLOCK;
            for (int at = 0; at < some * BLOCK; at += VW)
                estore(out + at, vload(tile + r * TILE_STRIDE + at));
        }
    }
}

static void head_work(void *arg, int tid, int threads) {
    head_job *job = arg;
    tg_net *net = job->net;
    const net_layer *y = &net->layers[net->config.layers - 1];
    const int vocab = net->vocab_blocks * BLOCK;
    const size_t total = (size_t)net->window.T * net->rows;
    float *logits = (float *)net->logits.data + (size_t)tid * TILE_ROWS * vocab;
    elem *d_rows = (elem *)net->d_logits.data + (size_t)tid * TILE_ROWS * net->logit_stride;
    float *d_bias = (float *)net->d_head_bias.data + (size_t)tid * vocab;
    const tg_weights *to = job->gradients;
    float *head_gradient = !to ? NULL : net->config.tie ? to->embedding : to->head;
    if (to) memset(d_bias, 0, sizeof(float) * (size_t)vocab);
    unsigned mode = work_begin();
    for (size_t start = 0; start < total; start += (size_t)job->chunk) {
        int rows = total - start < (size_t)job->chunk ? (int)(total - start) : job->chunk;
        int first, last;
        share(rows, TILE_ROWS, tid, threads, &first, &last);
        for (int row = first; row < last; row += TILE_ROWS)
            head_block(job, start, row, last - row < TILE_ROWS ? last - row : TILE_ROWS, logits,
                       d_rows, d_bias);
        if (!to) continue;
        int depth = UP(rows, KPAD);
        if (tid == 0)
            for (int block = 0; block < net->vocab_blocks; block++)
                memset(panel_at(net->d_logits_panel.data, (size_t)job->chunk, block, (size_t)rows),
                       0, (size_t)(depth - rows) * BLOCK * sizeof(elem));
        tg_barrier(threads);
        share(net->vocab_blocks, 1, tid, threads, &first, &last);
        target into = {head_gradient, &net->head_map, start > 0};
        tile_tn(net->d_logits_panel.data, (size_t)job->chunk * BLOCK, first, last,
                y->out_panel + start * BLOCK, out_panel_depth(net, y) * BLOCK, net->units, depth,
                &into, (elem *)net->scratch.data + (size_t)tid * net->scratch_bytes);
        tg_barrier(threads);
    }
    work_end(mode);
    if (to && tid == 0)
        for (int v = 0; v < net->config.vocab; v++) {
            float sum = 0.0f;
            for (int i = 0; i < threads; i++)
                sum += ((float *)net->d_head_bias.data)[(size_t)i * vocab + v];
            to->head_bias[v] = sum;
        }
}

/* Elems that `tile_tn` wants of each thread, whichever gradient it makes. */
static int need_scratch(tg_net *net) {
    const int columns = net->columns > net->vocab_blocks ? net->columns : net->vocab_blocks;
    size_t most = TN_SCRATCH(columns, net->units);
    if (TN_SCRATCH(net->columns, net->embedding_blocks) > most)
        most = TN_SCRATCH(net->columns, net->embedding_blocks);
    net->scratch_bytes = most;
    return buffer_need(&net->scratch, sizeof(elem) * most * (size_t)net->config.threads);
}

static int net_loss(tg_net *net, const int32_t *targets, float *nats, const tg_weights *gradients) {
    const int has_gradient = net->window.save && net->has_backward && !net->window.edits;
    if (!net->config.has_head || !net->has_window || (gradients && !has_gradient)) return -2;
    size_t counted = 0;
    for (size_t i = 0; i < (size_t)net->window.T * net->window.B; i++) {
        if (targets[i] < -1 || targets[i] >= net->config.vocab) return -3;
        counted += targets[i] >= 0;
    }
    const size_t vocab = (size_t)net->vocab_blocks * BLOCK, threads = (size_t)net->config.threads;
    size_t chunk = HEAD_ELEMS / vocab / KPAD * KPAD;
    if (chunk < 8 * KPAD) chunk = 8 * KPAD;
    if (chunk > (size_t)net->depth) chunk = (size_t)net->depth;
    int bad = buffer_need(&net->logits, sizeof(float) * threads * TILE_ROWS * vocab);
    if (gradients) {
        net_layer *y = &net->layers[net->config.layers - 1];
        bad |= buffer_need(&net->d_logits,
                           sizeof(elem) * (threads + 1) * TILE_ROWS * net->logit_stride);
        bad |= buffer_need(&net->d_logits_panel, sizeof(elem) * vocab * chunk);
        bad |= buffer_need(&net->d_head_bias, sizeof(float) * threads * vocab);
        bad |= buffer_need(&y->d_out, sizeof(elem) * (size_t)net->depth * net->h_stride);
        bad |= need_scratch(net);
    }
    if (bad) return -1;
    head_job job = {net, targets, nats, gradients, (int)chunk, counted ? 1.0f / (float)counted : 0.0f};
    tg_parallel(net->config.threads, head_work, &job);
    net->has_loss = gradients ? FROM_HEAD : NO_LOSS;
    return 0;
}

typedef struct {
    tg_net *net;
    const float *gradient;
} seed_job;

static void seed_work(void *arg, int tid, int threads) {
    const seed_job *job = arg;
    tg_net *net = job->net;
    net_layer *y = &net->layers[net->config.layers - 1];
    const int B = net->window.B, H = net->config.hidden;
    int first, last;
    share(net->window.T, 1, tid, threads, &first, &last);
    for (int t = first; t < last; t++)
        for (int b = 0; b < B; b++) {
            elem *out = row_at(&y->d_out, net->h_stride, (size_t)t * net->rows + b);
            for (int unit = 0; unit < net->units; unit++) {
                vf block[NV];
                int left = H - unit * BLOCK;
                load_block(block, job->gradient + ((size_t)t * B + b) * H + unit * BLOCK,
                           left < 0 ? 0 : left);
                for (int v = 0; v < NV; v++) estore(out + unit * BLOCK + v * VW, block[v]);
            }
        }
}

/* A gradient from elsewhere, in place of the loss's. */
static int net_seed(tg_net *net, const float *gradient) {
    if (!net->has_window || !net->window.save || !net->has_backward || net->window.edits)
        return -2;
    net_layer *y = &net->layers[net->config.layers - 1];
    if (buffer_need(&y->d_out, sizeof(elem) * (size_t)net->depth * net->h_stride)) return -1;
    seed_job job = {net, gradient};
    tg_parallel(net->config.threads, seed_work, &job);
    net->has_loss = FROM_OUTSIDE;
    return 0;
}

typedef struct {
    tg_net *net;
    int t;
    float *logits;
} logits_job;

static void logits_work(void *arg, int tid, int threads) {
    logits_job *job = arg;
    tg_net *net = job->net;
    const int vocab = net->vocab_blocks * BLOCK, V = net->config.vocab;
    float *logits = (float *)net->logits.data + (size_t)tid * TILE_ROWS * vocab;
    int first, last;
    share(net->window.B, TILE_ROWS, tid, threads, &first, &last);
    unsigned mode = work_begin();
    for (int b = first; b < last; b += TILE_ROWS) {
        int rows = last - b < TILE_ROWS ? last - b : TILE_ROWS;
        head_rows(net, (size_t)job->t * net->rows + b, rows, logits);
        for (int r = 0; r < rows; r++)
            memcpy(job->logits + (size_t)(b + r) * V, logits + (size_t)r * vocab,
                   sizeof(float) * (size_t)V);
    }
    work_end(mode);
}

static int net_logits(tg_net *net, int32_t t, float *logits) {
    if (!net->config.has_head || !net->has_window || t < 0 || t >= net->window.T) return -2;
    const size_t vocab = (size_t)net->vocab_blocks * BLOCK;
    if (buffer_need(&net->logits, sizeof(float) * (size_t)net->config.threads * TILE_ROWS * vocab))
        return -1;
    logits_job job = {net, t, logits};
    tg_parallel(net->config.threads, logits_work, &job);
    return 0;
}

#endif
