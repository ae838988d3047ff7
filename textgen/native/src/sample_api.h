/* Sampling: what the library offers for one stream, and what each instruction set provides. */
#ifndef TG_SAMPLE_API_H
#define TG_SAMPLE_API_H

#include <math.h>

#include "textgen.h"

/* An automaton over symbols that texts are held to: textgen/sampling/forms says what it means. A text
 * counts characters; a symbol is one, or a byte of one, which only its last byte completes. */
typedef struct {
    const int32_t *table;     /* (states, kinds): the next state; negative: there is none */
    const int32_t *kinds;     /* (V,): the kind of each symbol; negative: it is never allowed */
    const int32_t *distances; /* (states,): the fewest characters to an end; those that lie far have
                                 more than any text */
    const uint8_t *ends;      /* (states,): whether `end` may come next */
    int32_t kind_count;
    int32_t whole;            /* the states from this one on stand within a character */
    int32_t end;              /* the symbol for the end of a text, which leaves it where it is */
} tg_form;

/* Where a text stands in its form. Each symbol that is chosen moves it on. */
typedef struct {
    const tg_form *form;
    int64_t left;  /* characters that the text may still have */
    int32_t state; /* negative: nothing was allowed any more */
} tg_place;

/* How symbols are chosen: the settings of textgen/sampling/filters.py and choice.py, in this order,
 * which those files specify. */
typedef struct {
    double repetition_penalty;            /* 1: off */
    double temperature;                   /* 1: off; 0: the likeliest */
    int64_t top_k;                        /* 0: off */
    double top_p, min_p;                  /* 1 and 0: off */
    int64_t repetition_window;
    const int32_t *banned;                /* ids that are never chosen */
    int64_t banned_count;
    const uint8_t *junctions;             /* (V,), NULL: none; b does not follow a where
                                             (junctions[a] >> 4) + (junctions[b] & 15) > 2 */
    uint64_t key;                         /* of the generator: splitmix64(rng, 0) */
    tg_place *places;                     /* of each text in its form; NULL: they have none */
    double typical;                       /* 1: off */
    double mirostat, mirostat_rate;       /* target in bits, 0: off */
    double surprise;                      /* mirostat's bound for the first token, in bits */
    int64_t no_repeat;                    /* so many tokens never stand in the history twice; 0: off */
    const double *turns;                  /* temperatures: draw d of a text has the one of number
                                             d modulo `turn_count`, NULL: all have `temperature` */
    int64_t turn_count;
    const int32_t *biased;                /* symbols, each once, and what their logits get more */
    const float *biases;
    int64_t bias_count;
    const uint8_t *starts;                /* (V,), NULL: none; after a symbol of which it is 0 the
                                             temperature is 0 */
} tg_choice;

/* Mirostat's bound after a symbol that had this probability. */
#define TG_NEXT_SURPRISE(choice, surprise, probability) \
    ((surprise) - (choice)->mirostat_rate * (-log2(probability) - (choice)->mirostat))

/* What was chosen, `(n,)` each. */
typedef struct {
    int32_t *ids;
    double *probabilities; /* after the filters */
    double *logprobs;      /* natural, before them */
    double *prices;        /* with places: the bits that the form cost */
} tg_chosen;

/* Choose one symbol for each of `rows` rows of logits `(rows, V)`. Row r looks back at
 * `recent[r * recent_count ...]`, of which the last `repetition_window` count, follows the symbol
 * `previous[r]` (negative: none; NULL: none for all), and makes draw `counters[r]` of the
 * generator. With `no_repeat` all of `recent` counts. Of a text whose form allows nothing any more it
 * chooses the end. Returns how many rows were chosen for before one whose logits allow no choice, for
 * they are not finite; -1 when memory ran out. */
TG_API int64_t tg_choose(int isa, int threads, const tg_choice *choice, int32_t vocab, int64_t rows,
                         const float *logits, const int32_t *recent, int64_t recent_count,
                         const int32_t *previous, const uint64_t *counters,
                         const tg_chosen *chosen);

/* A network that reads one token at a time, for one caller at a time. It keeps a copy of the weights
 * in its own layout, save embedding, and the first layer's weight_ih and bias, which must outlive
 * it. */
typedef struct tg_sampler tg_sampler;
TG_API tg_sampler *tg_sampler_new(const tg_config *config, const tg_weights *weights);
TG_API void tg_sampler_free(tg_sampler *sampler);
/* How many threads it computes with: no more than pay. The numbers do not depend on it. */
TG_API int tg_sampler_threads(const tg_sampler *sampler);

/* Changes of the states at every token read. */
typedef struct {
    const tg_edit *list; /* NULL: none */
    int32_t count;
} tg_edits;

/* Read `n` tokens. `state` is (L, S, H), S = 2 for the LSTM (h, c), else 1 (h); `logits` (V,). Both
 * are overwritten with what they are after the last token. */
TG_API void tg_sampler_read(tg_sampler *sampler, const int32_t *ids, int64_t n, tg_edits edits,
                            float *state, float *logits);

/* Choose and read up to `n` symbols, the first by `logits`: as `tg_choose` and `tg_sampler_read` in
 * turns, draws `counter`, `counter + 1`, ... `previous` is the symbol before the first. `history`
 * holds `history_count` tokens of context, which choices look back at, and room for n more: those
 * chosen are appended (`chosen->ids` is not used). Returns how many: fewer where `end` was chosen,
 * which is the last then, where the form allowed nothing any more, or where the logits were not
 * finite. */
TG_API int64_t tg_sampler_write(tg_sampler *sampler, const tg_choice *choice, int64_t n,
                                int32_t end, int32_t previous, uint64_t counter, int32_t *history,
                                int64_t history_count, tg_edits edits, float *state,
                                float *logits, const tg_chosen *chosen);

/* The same of one instruction set: the last thing that sample.inc defines. */
typedef struct {
    int64_t (*choose)(int threads, const tg_choice *choice, int32_t vocab, int64_t rows,
                      const float *logits, const int32_t *recent, int64_t recent_count,
                      const int32_t *previous, const uint64_t *counters, const tg_chosen *chosen);
    tg_sampler *(*open)(const tg_config *config, const tg_weights *weights);
    void (*read)(tg_sampler *sampler, const int32_t *ids, int64_t n, tg_edits edits, float *state,
                 float *logits);
    int64_t (*write)(tg_sampler *sampler, const tg_choice *choice, int64_t n, int32_t end,
                     int32_t previous, uint64_t counter, int32_t *history, int64_t history_count,
                     tg_edits edits, float *state, float *logits, const tg_chosen *chosen);
} tg_sample_kernels;

/* The beginning of every sampler. */
struct tg_sampler {
    const tg_sample_kernels *kernels;
    int threads;
};

#endif
