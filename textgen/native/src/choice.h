/* The choice of a symbol: filters, softmax and one random draw, as textgen/sampling/filters.py and
 * choice.py specify them, in the same order and precision, so that equal logits give equal symbols.
 *
 * All arrays are padded to whole blocks, what is dropped or padding at -inf.
 */
#ifndef TG_CHOICE_H
#define TG_CHOICE_H

#include <math.h>
#include <stdlib.h>

#include "layout.h"
#include "sample_api.h"

#define VD (VW / 2)
typedef double vd __attribute__((vector_size(VD * 8)));
typedef uint64_t vl __attribute__((vector_size(VD * 8)));
typedef float vf_half __attribute__((vector_size(VD * 4), aligned(4), may_alias));

/* Room for one choice among `padded` symbols, in one block of memory. */
typedef struct {
    double *weights, *sums;
    float *allowed, *sorted;
    uint32_t *spare;
} choice_room;

static size_t choice_room_bytes(int padded) { return (size_t)padded * 28; }

static choice_room choice_room_in(char *memory, int padded) {
    const size_t n = (size_t)padded;
    return (choice_room){(double *)memory, (double *)memory + n, (float *)memory + 4 * n,
                         (float *)memory + 5 * n, (uint32_t *)memory + 6 * n};
}

/* The same as `splitmix64` in choice.py. */
INLINE uint64_t splitmix64(uint64_t seed, uint64_t n) {
    uint64_t z = seed + (n + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* e^x for x <= 0, to about one rounding: 2^n * e^f with |f| <= ln(2) / 2, a Taylor series to f^13.
 * NumPy's exp is as exact and no two of its builds round alike, so no more is to be had. */
INLINE vd exp_double(vd x) {
    const vd low = (vd){} - 746.0, magic = (vd){} + 0x1.8p52; /* below -746 all is 0 */
    const double factors[] = {1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
                              1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    vl under = (vl)(x < low);
    x = (vd)((under & (vl)low) | (~under & (vl)x));
    vd whole = x * 0x1.71547652b82fep0 + magic;
    vl n = (vl)whole;
    whole -= magic;
    vd f = x - whole * 0x1.62e42fefa3800p-1 - whole * 0x1.ef35793c76730p-45;
    vd p = f * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
    for (int i = 0; i < 12; i++) p = p * f + factors[i];
    /* Times 2^(n + 128), then 2^-128: what lies below the normal numbers comes out right too. */
    return (vd)((vl)p + ((n + 128) << 52)) * 0x1p-128;
}

/* weights[i] = e^(values[i] - top), in double. */
static void relative(const float *values, int padded, float top, double *weights) {
    for (int i = 0; i < padded; i += VD)
        *(vd *)(weights + i) = exp_double(
            __builtin_convertvector(*(const vf_half *)(values + i), vd) - (double)top);
}

/* The largest value; NaN where one is NaN. */
INLINE float top_of(const float *values, int padded) {
    vf top = vset(-INFINITY);
    vi nan = {0};
    for (int i = 0; i < padded; i += VW) {
        vf x = vload(values + i);
        nan |= x != x;
        top = vmax(x, top);
    }
    float result = vtop(top);
    for (int i = 0; i < VW; i++)
        if (nan[i]) result = NAN;
    return result;
}

/* A float as a whole number of the opposite order, and back. */
INLINE uint32_t falling_key(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits >> 31 ? bits : ~bits & 0x7fffffffu;
}

INLINE float of_falling_key(uint32_t key) {
    uint32_t bits = key >> 31 ? key : ~key & 0x7fffffffu;
    float x;
    memcpy(&x, &bits, 4);
    return x;
}

/* The values, the largest first: by the four bytes of their keys, the lowest byte first. */
static void sort_falling(choice_room *room, int padded) {
    uint32_t counts[4][256] = {{0}};
    uint32_t *from = (uint32_t *)room->sorted, *to = room->spare;
    for (int i = 0; i < padded; i++) {
        uint32_t key = falling_key(room->allowed[i]);
        from[i] = key;
        for (int byte = 0; byte < 4; byte++) counts[byte][key >> (8 * byte) & 255]++;
    }
    for (int byte = 0; byte < 4; byte++) {
        uint32_t *starts = counts[byte], start = 0;
        for (int value = 0; value < 256; value++) {
            uint32_t count = starts[value];
            starts[value] = start;
            start += count;
        }
        for (int i = 0; i < padded; i++) to[starts[from[i] >> (8 * byte) & 255]++] = from[i];
        uint32_t *other = from;
        from = to;
        to = other;
    }
    for (int i = 0; i < padded; i++) {
        float value = of_falling_key(from[i]);
        memcpy(from + i, &value, 4);
    }
}

/* How many of the sorted values, of which `kept` are left, top-p keeps. */
static int count_top_p(const choice_room *room, int kept, int padded, double top_p) {
    relative(room->sorted, padded, room->sorted[0], room->weights);
    double tail = 0.0;
    for (int i = kept - 1; i >= 0; i--) room->sums[i] = tail += room->weights[i];
    const double limit = (1.0 - top_p) * tail;
    int count = 1;
    while (count < kept && room->sums[count] > limit) count++;
    return count;
}

/* Keep the `kept` largest; of equal ones at the border those of the lowest ids. */
static void keep_largest(choice_room *room, int kept, int padded) {
    const float border = room->sorted[kept - 1];
    int room_left = kept;
    for (int i = 0; i < padded; i++) room_left -= room->allowed[i] > border;
    for (int i = 0; i < padded; i++) {
        int tie = room->allowed[i] == border;
        if (tie ? room_left <= 0 : room->allowed[i] < border) room->allowed[i] = -INFINITY;
        room_left -= tie;
    }
}

/* Choose a symbol by `logits`, padded. `recent`: the tokens that the repetition penalty looks at.
 * 0, or -1 where no choice is possible. */
static int choose_symbol(choice_room *room, const tg_choice *choice, int vocab, const float *logits,
                         const int32_t *recent, int64_t recent_count, uint64_t counter, int32_t *id,
                         double *probability, double *logprob) {
    const int padded = UP(vocab, BLOCK);
    float *allowed = room->allowed;
    memcpy(allowed, logits, sizeof(float) * (size_t)padded);
    for (int64_t i = 0; i < recent_count; i++) { /* of the logit itself: once, however often */
        const float penalty = (float)choice->repetition_penalty, seen = logits[recent[i]];
        allowed[recent[i]] = seen < 0.0f ? seen * penalty : seen / penalty;
    }
    for (int64_t i = 0; i < choice->banned_count; i++) allowed[choice->banned[i]] = -INFINITY;

    const double temperature = choice->temperature;
    float top = top_of(allowed, padded);
    if (temperature == 0.0) {
        int best = 0;
        while (best < vocab - 1 && allowed[best] != top) best++;
        for (int i = 0; i < padded; i++)
            if (i != best) allowed[i] = -INFINITY;
    } else if (temperature < 1e-3) { /* the quotient could overflow */
        for (int i = 0; i < vocab; i++)
            allowed[i] = (float)(((double)allowed[i] - (double)top) / temperature);
        top = isfinite(top) ? 0.0f : NAN;
    } else if (temperature != 1.0) {
        const vf divisor = vset((float)temperature);
        for (int i = 0; i < padded; i += VW) vstore(allowed + i, vload(allowed + i) / divisor);
        top /= (float)temperature;
    }
    if (!(top > -INFINITY && top < INFINITY)) return -1;

    int kept = choice->top_k > 0 && choice->top_k < vocab ? (int)choice->top_k : vocab;
    if (temperature > 0.0 && (kept < vocab || choice->top_p < 1.0)) {
        sort_falling(room, padded);
        if (choice->top_p < 1.0) kept = count_top_p(room, kept, padded, choice->top_p);
        keep_largest(room, kept, padded);
    }
    relative(allowed, padded, top, room->weights);
    double sum = 0.0;
    for (int i = 0; i < vocab; i++) {
        if (room->weights[i] < choice->min_p) room->weights[i] = 0.0;
        room->sums[i] = sum += room->weights[i];
    }
    const uint64_t bits = splitmix64(choice->key, splitmix64(0, counter));
    const double draw = (double)(bits >> 11) * 0x1p-53 * sum;
    int chosen = 0;
    while (chosen < vocab - 1 && !(room->sums[chosen] > draw)) chosen++;
    *id = chosen;
    *probability = room->weights[chosen] / sum;

    const float model_top = top_of(logits, padded);
    relative(logits, padded, model_top, room->weights);
    sum = 0.0;
    for (int i = 0; i < vocab; i++) sum += room->weights[i];
    *logprob = (double)logits[chosen] - (double)model_top - log(sum);
    return 0;
}

/* The end of a history that the repetition penalty looks at: how many tokens. */
INLINE int64_t window_of(const tg_choice *choice, int64_t history_count) {
    if (choice->repetition_penalty == 1.0) return 0;
    return history_count < choice->repetition_window ? history_count : choice->repetition_window;
}

#endif
