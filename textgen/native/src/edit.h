/* Changes of a state between the moment when it stands and anything reads it. The specification is
 * textgen/model/edit.py; the order of several is that of the list.
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

/* Whether any of them changes that state of that layer. */
INLINE int edits_touch(const tg_edit *edits, int count, int layer, int state) {
    for (int i = 0; i < count; i++)
        if (edits[i].layer == layer && edits[i].state == state) return 1;
    return 0;
}

/* One stream's state of a layer, H units side by side. */
static void edit_state(const tg_edit *edits, int count, int layer, int state, float *x, int H) {
    for (const tg_edit *e = edits; e < edits + count; e++) {
        if (e->layer != layer || e->state != state) continue;
        if (e->unit >= 0) {
            x[e->unit] = e->scale * x[e->unit] + e->shift;
            continue;
        }
        const float move = (e->scale - 1.0f) * inner_product(e->read, x, H) + e->shift;
        for (int i = 0; i < H; i++) x[i] += move * e->write[i];
    }
}

/* One stream's new state of a layer, `padded` units side by side: c, then h, which is made anew
 * where c was changed. `opened` is the output gate. Of cells without c that is never asked. */
static void edit_layer(const tg_edit *edits, int count, int layer, float *c, float *h,
                       const float *opened, int H, int padded) {
    if (edits_touch(edits, count, layer, TG_STATE_C)) {
        edit_state(edits, count, layer, TG_STATE_C, c, H);
        for (int i = 0; i < padded; i += VW)
            vstore(h + i, vload(opened + i) * vtanh(vload(c + i)));
    }
    edit_state(edits, count, layer, TG_STATE_H, h, H);
}

#endif
