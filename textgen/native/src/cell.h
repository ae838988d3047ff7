/* The gates of each cell and their gradients, for one stream and one block of 16 units.
 *
 * The specification is textgen/cells. `native` gate blocks: LSTM input, forget, candidate, output,
 * and so with peepholes; coupled without forget; depth-gated with depth after them; GRU reset,
 * update, the recurrent part of the candidate (with its own bias), the input's part; mLSTM as LSTM,
 * and the input's share of the factor; RNN one. So a pre-activation is always product + input. Where
 * the last block has no recurrent product it is `idle`: its weights there are zero.
 */
#ifndef TG_CELL_H
#define TG_CELL_H

#include "textgen.h"
#include "tile.h"

#define MAX_PEEPHOLES 5

typedef struct {
    int blocks;                /* native gate blocks */
    int idle;                  /* the last of them has no recurrent product */
    int saved;                 /* blocks of activations that the gradient needs */
    int carries;               /* has a float state beside the output: c, or the GRU's h */
    int has_c;                 /* that state is c */
    int peepholes;             /* learned vectors that c is multiplied by */
    int below;                 /* reads c of the layer below */
    int factor;                /* the recurrent product is of a factor, not of h */
    int input[MAX_BLOCKS];     /* public row blocks of weight_ih and bias */
    int recurrent[MAX_BLOCKS]; /* of weight_hh */
} cell_form;

static const cell_form cell_forms[] = {
    [TG_LSTM] = {4, 0, 4, 1, 1, 0, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3}},
    [TG_GRU] = {4, 1, 4, 1, 0, 0, 0, 0, {0, 1, -1, 2}, {0, 1, 2, -1}},
    [TG_RNN] = {1, 0, 1, 0, 0, 0, 0, 0, {0}, {0}},
    [TG_PEEPHOLE] = {4, 0, 4, 1, 1, 3, 0, 0, {0, 1, 2, 3}, {0, 1, 2, 3}},
    [TG_COUPLED] = {3, 0, 4, 1, 1, 0, 0, 0, {0, 1, 2}, {0, 1, 2}},
    [TG_DEPTH_GATED] = {5, 1, 5, 1, 1, 5, 1, 0, {0, 1, 2, 3, 4}, {0, 1, 2, 3, -1}},
    [TG_MLSTM] = {5, 1, 6, 1, 1, 0, 0, 1, {1, 2, 3, 4, 0}, {0, 1, 2, 3, -1}},
};

/* Where the mLSTM keeps its factor's two parts among what is saved: the input's and the state's. */
enum { SAVED_FACTOR_X = 4, SAVED_FACTOR_H = 5 };

/* What a cell reads beside its pre-activations and its own state, for the units at hand. */
typedef struct {
    const float *peepholes; /* blocks of 16, one a vector */
    const float *below;     /* c of the layer below at this step; NULL: zero */
} cell_reads;

INLINE vf peephole(const cell_reads *reads, int vector, int at) {
    return vload(reads->peepholes + vector * BLOCK + at);
}

/* Forward. z: the products, blocks of 16 floats; x: the input's share; both are added. `carry`: the
 * float state before, NULL for zero; `next`: after. `saved`: blocks of 16 elems; `opened`: the
 * output gate, or with peepholes its pre-activation without that of c; both NULL: not wanted. */
INLINE void cell_forward(int cell, int nonlinearity, const float *z, const float *x,
                         const float *carry, float *next, const cell_reads *reads, elem *saved,
                         float *opened, vf *h) {
    for (int v = 0; v < NV; v++) {
        const int at = v * VW;
        vf a[MAX_BLOCKS];
        for (int g = 0; g < cell_forms[cell].blocks; g++)
            a[g] = vload(z + g * BLOCK + at) + vload(x + g * BLOCK + at);
        vf before = carry ? vload(carry + at) : vset(0.0f);
        if (cell == TG_GRU) {
            vf r = vsigmoid(a[0]), u = vsigmoid(a[1]), n = vtanh(r * a[2] + a[3]);
            h[v] = n + u * (before - n);
            vstore(next + at, h[v]);
            if (saved) {
                estore(saved + at, r);
                estore(saved + BLOCK + at, u);
                estore(saved + 2 * BLOCK + at, n);
                estore(saved + 3 * BLOCK + at, a[2]);
            }
        } else if (cell == TG_RNN) {
            if (nonlinearity == TG_TANH) h[v] = vtanh(a[0]);
            else if (nonlinearity == TG_RELU) h[v] = vat_least(a[0], 0.0f);
            else h[v] = a[0];
            if (saved) estore(saved + at, h[v]);
        } else {
            const int coupled = cell == TG_COUPLED, looks = cell_forms[cell].peepholes > 0;
            vf depth = vset(0.0f);
            if (looks) {
                a[0] += peephole(reads, 0, at) * before;
                a[1] += peephole(reads, 1, at) * before;
            }
            vf i = vsigmoid(a[0]), f = coupled ? vset(1.0f) - i : vsigmoid(a[1]);
            vf g = vtanh(a[coupled ? 1 : 2]), open = a[coupled ? 2 : 3];
            vf c = f * before + i * g;
            if (cell == TG_DEPTH_GATED) {
                vf below = reads->below ? vload(reads->below + at) : vset(0.0f);
                depth = vsigmoid(a[4] + peephole(reads, 3, at) * before +
                                 peephole(reads, 4, at) * below);
                c += depth * below;
            }
            vstore(next + at, c);
            vf o = vsigmoid(looks ? open + peephole(reads, 2, at) * c : open);
            h[v] = o * vtanh(c);
            if (opened) vstore(opened + at, looks ? open : o);
            if (saved) {
                estore(saved + at, i);
                estore(saved + BLOCK + at, f);
                estore(saved + 2 * BLOCK + at, g);
                estore(saved + 3 * BLOCK + at, o);
                if (cell == TG_DEPTH_GATED) estore(saved + 4 * BLOCK + at, depth);
            }
        }
    }
}

/* Backward. dh: the gradient of the output; `before`, `after`: the float state around the step;
 * `carry`: the gradient of the float state, read as that after the step and left as that before
 * (the reset is the caller's). d: gradients of the native pre-activations, [block][vector]; of the
 * mLSTM's factor none. `d_below`, NULL where there is no layer below, takes the gradient of what was
 * read of it; to `d_peepholes` the vectors' own are added. */
INLINE void cell_backward(int cell, int nonlinearity, const vf *dh_row, const elem *saved,
                          const float *before, const float *after, const cell_reads *reads,
                          float *carry, float *d_below, float *d_peepholes,
                          vf d[MAX_BLOCKS][NV]) {
    const vf one = vset(1.0f);
    for (int v = 0; v < NV; v++) {
        const int at = v * VW;
        vf dh = dh_row[v];
        if (cell == TG_GRU) {
            vf r = eload(saved + at), u = eload(saved + BLOCK + at);
            vf n = eload(saved + 2 * BLOCK + at), hn = eload(saved + 3 * BLOCK + at);
            vf was = before ? vload(before + at) : vset(0.0f);
            dh += vload(carry + at);
            vf dn = dh * (one - u) * (one - n * n);
            d[0][v] = dn * hn * r * (one - r);
            d[1][v] = dh * (was - n) * u * (one - u);
            d[2][v] = dn * r;
            d[3][v] = dn;
            vstore(carry + at, dh * u);
        } else if (cell == TG_RNN) {
            vf h = eload(saved + at);
            if (nonlinearity == TG_TANH) d[0][v] = dh * (one - h * h);
            else if (nonlinearity == TG_RELU) d[0][v] = (vf)((vi)dh & (h > vset(0.0f)));
            else d[0][v] = dh;
        } else {
            const int coupled = cell == TG_COUPLED, looks = cell_forms[cell].peepholes > 0;
            vf i = eload(saved + at), f = eload(saved + BLOCK + at);
            vf g = eload(saved + 2 * BLOCK + at), o = eload(saved + 3 * BLOCK + at);
            vf c = vload(after + at), t = vtanh(c);
            vf was = before ? vload(before + at) : vset(0.0f);
            vf d_o = dh * t * o * (one - o);
            vf dc = vload(carry + at) + dh * o * (one - t * t);
            if (looks) dc += d_o * peephole(reads, 2, at);
            vf d_i = dc * (coupled ? g - was : g) * i * (one - i);
            vf d_g = dc * i * (one - g * g), d_f = dc * was * f * (one - f);
            vf left = dc * f;
            d[0][v] = d_i;
            if (!coupled) d[1][v] = d_f;
            d[coupled ? 1 : 2][v] = d_g;
            d[coupled ? 2 : 3][v] = d_o;
            if (looks) {
                left += d_i * peephole(reads, 0, at) + d_f * peephole(reads, 1, at);
                const vf own[3] = {d_i * was, d_f * was, d_o * c};
                for (int p = 0; p < 3; p++) {
                    float *sum = d_peepholes + p * BLOCK + at;
                    vstore(sum, vload(sum) + own[p]);
                }
            }
            if (cell == TG_DEPTH_GATED) {
                vf depth = eload(saved + 4 * BLOCK + at);
                vf below = reads->below ? vload(reads->below + at) : vset(0.0f);
                vf d_d = dc * below * depth * (one - depth);
                d[4][v] = d_d;
                left += d_d * peephole(reads, 3, at);
                float *sum = d_peepholes + 3 * BLOCK + at;
                vstore(sum, vload(sum) + d_d * was);
                sum += BLOCK;
                vstore(sum, vload(sum) + d_d * below);
                if (d_below)
                    vstore(d_below + at, dc * depth + d_d * peephole(reads, 4, at));
            }
            vstore(carry + at, left);
        }
    }
}

#endif
