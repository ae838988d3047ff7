/* Counts of a text and their mixture with a network: what the library offers. */
#ifndef TG_COUNT_API_H
#define TG_COUNT_API_H

#include "sample_api.h"

/* The counts of every context of up to `order` symbols; textgen/mixing/count_model.py says what
 * they mean. Many may read it at the same time, if nobody adds to it. */
typedef struct tg_counts tg_counts;

/* Empty counts of `vocab` symbols; after the symbol `end` nothing before it is seen. NULL when
 * memory ran out. */
TG_API tg_counts *tg_counts_new(int32_t vocab, int32_t order, int32_t end);
TG_API void tg_counts_free(tg_counts *counts);
/* Read `n` symbols and count them, after what was added before. Returns how many were added: fewer
 * when memory ran out. */
TG_API int64_t tg_counts_add(tg_counts *counts, const int32_t *symbols, int64_t n);
/* What is added next is the beginning of another text, as after `end`. Returns 0, or -1 when memory
 * ran out. */
TG_API int tg_counts_restart(tg_counts *counts);
/* Take the discounts from the counts as they are, and put them where they are read fast: contexts
 * from before are no longer those of anything. */
TG_API void tg_counts_settle(tg_counts *counts);
/* The discounts: `(order + 1, 3)`, of counts of 1, 2, and 3 or more. */
TG_API void tg_counts_discounts(const tg_counts *counts, double *discounts);
TG_API size_t tg_counts_bytes(const tg_counts *counts);
/* The contexts after all that was added: `(order,)`, as `tg_counts_move` takes them. */
TG_API void tg_counts_here(const tg_counts *counts, int32_t *context);
/* The contexts after one more symbol. All zeros are those of no symbol at all. */
TG_API void tg_counts_move(const tg_counts *counts, int32_t *context, int32_t symbol);
/* The distribution of the next symbol, `(vocab,)`. Returns the length of the longest context that
 * was seen before. */
TG_API int32_t tg_counts_predict(const tg_counts *counts, const int32_t *context, double *next);

/* A mixture of two distributions: textgen/mixing/gate.py says how it is computed. */
typedef struct {
    const tg_counts *counts;
    double *weights;  /* (sets, 2), which sets: see `tg_mix` */
    double *squares;  /* of the gradients so far, the same shape; not read where nothing is learned */
    double rate;      /* 0: nothing is learned */
    double *room;     /* (4, vocab), overwritten */
    int32_t *context; /* (order,) */
} tg_mixer;

/* How many sets of weights a mixture with these counts has. */
TG_API int32_t tg_mix_sets(const tg_counts *counts);

/* Put the logarithms of the mixed distribution into the place of a network's logits, `(vocab,)`. */
TG_API void tg_mix(const tg_mixer *mixer, float *logits);

/* Read `n` symbols, each after `logits (n, vocab)`, which are overwritten with the logarithms of
 * the mixture: each symbol is predicted first, then the gate learns of it if it has a rate, and
 * `learning`, which are the counts of the mixer or NULL, count it. `nats (n,)` is what each
 * costs. Returns how many were read: fewer when memory ran out. */
TG_API int64_t tg_mix_read(const tg_mixer *mixer, tg_counts *learning, const int32_t *symbols,
                           int64_t n, float *logits, double *nats);

/* Choose and read up to `n` symbols, as `tg_sampler_write`, `isa` being that of the sampler. All
 * logits are those of the mixture, the first and the last ones too; the mixer's contexts, which are
 * those of the first symbol, become those after the last one. Returns how many. */
TG_API int64_t tg_mix_write(const tg_mixer *mixer, tg_sampler *sampler, int isa,
                            const tg_choice *choice, int64_t n, int32_t end, int32_t previous,
                            uint64_t counter, int32_t *history, int64_t history_count,
                            tg_edits edits, float *state, float *logits, const tg_chosen *chosen);

#endif
