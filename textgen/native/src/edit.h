/* Changes of a state between the moment when it stands and anything reads it. The specification is
 * textgen/model/edit.py; the order of several is that of the list, those of c before those of h.
 *
 * Each thread changes its own units. A unit alone concerns nobody else; the projection on a
 * direction is summed up by blocks of 16 units, so that it does not depend on who sums which, and
 * the threads wait for one another once for each direction.
 */
#ifndef TG_EDIT_H
#define TG_EDIT_H

#include "simd.h"
#include "textgen.h"

INLINE float inner_product(const float *a, const float *b, int n) {
    vf sums[2] = {vset(0.0f), vset(0.0f)};
    int i = 0;
    for (; i + 2 * VW <= n; i += 2 * VW)
        for (int v = 0; v < 2; v++) sums[v] += vload(a + i + v * VW) * vload(b + i + v * VW);
    float sum = vsum(sums[0] + sums[1]);
    for (; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* One stream's new state of a layer in blocks of 16 units, `stride` floats apart, and a thread's
 * part of it: blocks [first, last). `opened` is the output gate, of cells with c. Where that gate
 * looks at c through a vector, `looks`, blocks of which lie `looks_stride` floats apart, `opened` is
 * its pre-activation without c's part, and what it came to goes to `saved`, if that is wanted. */
typedef struct {
    float *c, *h;
    const float *opened;
    size_t stride;
    int H, first, last;
    const float *looks;
    size_t looks_stride;
    elem *saved;
    size_t saved_stride;
} edited_row;

INLINE float *edited_state(const edited_row *row, int state) {
    return state == TG_STATE_C ? row->c : row->h;
}

/* Whether an edit changes that state of that layer. */
INLINE int edit_touches(const tg_edit *e, int layer, int state) {
    return e->layer == layer && e->state == state;
}

INLINE int block_size(const edited_row *row, int block) {
    const int left = row->H - block * BLOCK;
    return left < BLOCK ? left : BLOCK;
}

/* The first half of an edit: a unit is changed; of a direction the parts of the projection are left
 * in `parts`, one for each block. */
INLINE void edit_begin(const edited_row *row, const tg_edit *e, float *parts) {
    float *x = edited_state(row, e->state);
    if (e->unit >= 0) {
        const int b = e->unit / BLOCK;
        if (b < row->first || b >= row->last) return;
        float *own = x + b * row->stride + e->unit % BLOCK;
        *own = e->scale * *own + e->shift;
        return;
    }
    for (int b = row->first; b < row->last && b * BLOCK < row->H; b++)
        parts[b] = inner_product(e->read + b * BLOCK, x + b * row->stride, block_size(row, b));
}

/* The second half, of a direction, when all parts are there. */
INLINE void edit_end(const edited_row *row, const tg_edit *e, const float *parts) {
    if (e->unit >= 0) return;
    float *x = edited_state(row, e->state), p = 0.0f;
    for (int b = 0; b * BLOCK < row->H; b++) p += parts[b];
    const float move = (e->scale - 1.0f) * p + e->shift;
    for (int b = row->first; b < row->last && b * BLOCK < row->H; b++) {
        float *own = x + b * row->stride;
        const float *write = e->write + b * BLOCK;
        const int size = block_size(row, b);
        if (size == BLOCK)
            for (int i = 0; i < BLOCK; i += VW)
                vstore(own + i, vload(own + i) + vset(move) * vload(write + i));
        else
            for (int i = 0; i < size; i++) own[i] += move * write[i];
    }
}

/* h of a block, made of c anew. */
INLINE void open_block(const edited_row *row, int block) {
    const size_t at = block * row->stride;
    for (int i = 0; i < BLOCK; i += VW) {
        vf c = vload(row->c + at + i), o = vload(row->opened + at + i);
        if (row->looks) {
            o = vsigmoid(o + vload(row->looks + block * row->looks_stride + i) * c);
            if (row->saved) estore(row->saved + block * row->saved_stride + i, o);
        }
        vstore(row->h + at + i, o * vtanh(c));
    }
}

/* After the edits of c: the output that is made of it. */
INLINE void edit_open(const edited_row *row, const tg_edit *edits, int count, int layer) {
    int every = 0;
    for (const tg_edit *e = edits; e < edits + count; e++) {
        if (!edit_touches(e, layer, TG_STATE_C)) continue;
        const int b = e->unit / BLOCK;
        if (e->unit < 0) every = 1;
        else if (b >= row->first && b < row->last) open_block(row, b);
    }
    for (int b = row->first; every && b < row->last; b++) open_block(row, b);
}

#endif
