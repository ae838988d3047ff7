/* The gates of each cell and their gradients, for one stream and one block of 16 units.
 *
 * The specification is textgen/cells. `native` gate blocks: LSTM input, forget, candidate, output;
 * GRU reset, update, the recurrent part of the candidate (with its own bias), the input's part; RNN
 * one. So a pre-activation is always product + input, and the two parts of the GRU's candidate are
 * blocks whose weights are zero in the other product.
 */
#ifndef TG_CELL_H
#define TG_CELL_H

#include "textgen.h"
#include "tile.h"

typedef struct {
    int blocks;                /* native gate blocks */
    int saved;                 /* blocks of activations that the gradient needs */
    int carries;               /* has a float state beside the output: c, or the GRU's h */
    int input[MAX_BLOCKS];     /* public row blocks of weight_ih and bias */
    int recurrent[MAX_BLOCKS]; /* of weight_hh */
} cell_form;

static const cell_form cell_forms[] = {
    [TG_LSTM] = {4, 4, 1, {0, 1, 2, 3}, {0, 1, 2, 3}},
    [TG_GRU] = {4, 4, 1, {0, 1, -1, 2}, {0, 1, 2, -1}},
    [TG_RNN] = {1, 1, 0, {0}, {0}},
};

/* Forward. z: the products, blocks of 16 floats; x: the input's share; both are added. `carry`: the
 * float state before, NULL for zero; `next`: after. `saved`: blocks of 16 elems; `opened`: the
 * output gate of the LSTM; both NULL: not wanted. */
INLINE void cell_forward(int cell, int nonlinearity, const float *z, const float *x,
                         const float *carry, float *next, elem *saved, float *opened, vf *h) {
    for (int v = 0; v < NV; v++) {
        const int at = v * VW;
        vf a[MAX_BLOCKS];
        for (int g = 0; g < cell_forms[cell].blocks; g++)
            a[g] = vload(z + g * BLOCK + at) + vload(x + g * BLOCK + at);
        vf before = carry ? vload(carry + at) : vset(0.0f);
        if (cell == TG_LSTM) {
            vf i = vsigmoid(a[0]), f = vsigmoid(a[1]), g = vtanh(a[2]), o = vsigmoid(a[3]);
            vf c = f * before + i * g;
            vstore(next + at, c);
            h[v] = o * vtanh(c);
            if (opened) vstore(opened + at, o);
            if (saved) {
                estore(saved + at, i);
                estore(saved + BLOCK + at, f);
                estore(saved + 2 * BLOCK + at, g);
                estore(saved + 3 * BLOCK + at, o);
            }
        } else if (cell == TG_GRU) {
            vf r = vsigmoid(a[0]), u = vsigmoid(a[1]), n = vtanh(r * a[2] + a[3]);
            h[v] = n + u * (before - n);
            vstore(next + at, h[v]);
            if (saved) {
                estore(saved + at, r);
                estore(saved + BLOCK + at, u);
                estore(saved + 2 * BLOCK + at, n);
                estore(saved + 3 * BLOCK + at, a[2]);
            }
        } else {
            if (nonlinearity == TG_TANH) h[v] = vtanh(a[0]);
            else if (nonlinearity == TG_RELU) h[v] = vat_least(a[0], 0.0f);
            else h[v] = a[0];
            if (saved) estore(saved + at, h[v]);
        }
    }
}

/* Backward. dh: the gradient of the output; `before`, `after`: the float state around the step;
 * `carry`: the gradient of the float state, read as that after the step and left as that before
 * (the reset is the caller's). d: gradients of the native pre-activations, [block][vector]. */
INLINE void cell_backward(int cell, int nonlinearity, const vf *dh_row, const elem *saved,
                          const float *before, const float *after, float *carry,
                          vf d[MAX_BLOCKS][NV]) {
    const vf one = vset(1.0f);
    for (int v = 0; v < NV; v++) {
        const int at = v * VW;
        vf dh = dh_row[v];
        if (cell == TG_LSTM) {
            vf i = eload(saved + at), f = eload(saved + BLOCK + at);
            vf g = eload(saved + 2 * BLOCK + at), o = eload(saved + 3 * BLOCK + at);
            vf t = vtanh(vload(after + at));
            vf dc = vload(carry + at) + dh * o * (one - t * t);
            vf was = before ? vload(before + at) : vset(0.0f);
            d[0][v] = dc * g * i * (one - i);
            d[1][v] = dc * was * f * (one - f);
            d[2][v] = dc * i * (one - g * g);
            d[3][v] = dh * t * o * (one - o);
            vstore(carry + at, dc * f);
        } else if (cell == TG_GRU) {
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
        } else {
            vf h = eload(saved + at);
            if (nonlinearity == TG_TANH) d[0][v] = dh * (one - h * h);
            else if (nonlinearity == TG_RELU) d[0][v] = (vf)((vi)dh & (h > vset(0.0f)));
            else d[0][v] = dh;
        }
    }
}

#endif
