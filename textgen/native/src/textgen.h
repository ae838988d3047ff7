/* What the library offers: plain C, plain pointers, no torch and no Python.
 *
 * Shape suffixes as in the Python code: T time, B streams, V vocabulary, E embedding, H hidden,
 * G gate blocks. Every array is contiguous, float32 unless its type says otherwise. A function
 * that computes takes `threads`; the numbers are the same for the same number of threads, always.
 */
#ifndef TEXTGEN_H
#define TEXTGEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define TG_API __declspec(dllexport)
#else
#define TG_API __attribute__((visibility("default")))
#endif
#define TG_ABI_VERSION 8

/* Calls `of` for every cell: its name here, its name in `textgen.cells`, and `with`. The order is
 * that of `textgen.cells.BUILT_IN`. */
#define TG_EACH_CELL(of, with)           \
    of(LSTM, "lstm", with)               \
    of(GRU, "gru", with)                 \
    of(RNN, "rnn", with)                 \
    of(PEEPHOLE, "peephole", with)       \
    of(COUPLED, "coupled", with)         \
    of(DEPTH_GATED, "depth-gated", with) \
    of(MLSTM, "mlstm", with)
#define TG_CELL_NUMBER(cell, name, with) TG_##cell,
enum { TG_EACH_CELL(TG_CELL_NUMBER, ) TG_CELL_COUNT };

/* Best first; `textgen.native.library.ISA_NAMES` has the same order. */
enum { TG_AMX, TG_AVX512BF16, TG_AVX512, TG_AVX2, TG_BF16MMLA, TG_NEON, TG_GENERIC, TG_ISA_COUNT };
enum { TG_TANH, TG_RELU, TG_IDENTITY };
enum { TG_STATE_H, TG_STATE_C };

typedef struct {
    int32_t isa, cell, nonlinearity; /* of the enums above */
    int32_t vocab, embedding, hidden, layers;
    int32_t tie; /* the head multiplies by the embedding: its pointer below is then NULL */
    int32_t residual; /* each layer above the first adds its input to its output */
    int32_t has_head; /* 0: what the last layer's output is for is the caller's business */
    int32_t eight_bit; /* a sampler keeps its weights in 8 bits; a network takes no notice */
    int32_t threads;
} tg_config;

/* One layer's weights or gradients, gate blocks of H rows in the order of the Python cell. */
typedef struct {
    float *weight_ih; /* (G * H, E or H) */
    float *weight_hh; /* (G * H, H); mLSTM: weight_hm, of the factor */
    float *weight_mh; /* (H, H), mLSTM only: what the factor is made of */
    float *bias;      /* (G * H,) */
    float *bias_hn;   /* (H,), GRU only */
    float *peepholes[5]; /* (H,) each: weight_ci, cf, co, and of the depth-gated cd and ld */
} tg_layer;

typedef struct {
    float *embedding; /* (V, E) */
    float *head;      /* (V, H), NULL where tied or where there is none */
    float *head_bias; /* (V,), NULL where there is no head */
    tg_layer *layers;
} tg_weights;

/* A change of one coordinate p of a layer's new state, before anything reads it: p becomes
 * scale * p + shift. With `unit` >= 0 that unit; else p is the projection on `read` and the state
 * moves along `write`. Several act in their order, those of c before those of h. Nobody checks that
 * the layer, state and unit are there. */
typedef struct {
    int32_t layer, state, unit;
    float scale, shift;
    const float *read, *write; /* (H,), of a direction */
} tg_edit;

TG_API int tg_abi_version(void);
TG_API int tg_isa_supported(int isa);

/* A network for windows of many streams: training, evaluation, tracing, sampling of many texts. */
typedef struct tg_net tg_net;
TG_API tg_net *tg_net_new(const tg_config *config);
TG_API void tg_net_free(tg_net *net);
TG_API size_t tg_net_bytes(const tg_net *net);

/* Take over weights: once per update. `backward` packs what the gradient needs too. 0 on success,
 * -1 when memory ran out, -2 when called out of order, -3 when an id is no symbol (so for all that
 * return int). A network serves one caller at a time. */
TG_API int tg_net_pack(tg_net *net, const tg_weights *weights, int backward);

typedef struct {
    int32_t T, B;
    const int32_t *ids;      /* (T, B) */
    const uint8_t *resets;   /* (T, B): 1 zeroes a stream's state before its token; NULL: none */
    const float *mask_E;     /* factor on the symbols' vectors, (E,); NULL: none */
    const float *mask_LBH;   /* factor on each layer's output, (L, B, H); NULL: none */
    float *const *h, *const *c; /* per layer (B, H): read, then overwritten. c: cells with one */
    int32_t save;            /* keep what `tg_net_backward` and `tg_net_read` need */
    const int32_t *edit_starts; /* (B + 1,): stream b's edits are edits[edit_starts[b]] .. at */
    const tg_edit *edits;       /* each step; NULL: none. There is no gradient of such a window */
    int32_t chained; /* 1: one text in B pieces, each from the state in which the one before it ended;
                      * h and c are (1, H): before the first, after the last. Without edits */
} tg_window;

TG_API int tg_net_forward(tg_net *net, const tg_window *window);
/* Nats of each target (T, B); a target of -1 is not counted and costs nothing. With `gradients` (the
 * window must have been saved) also the gradient of the mean over those that count: that of the head
 * is overwritten there, the rest waits for tg_net_backward. */
TG_API int tg_net_loss(tg_net *net, const int32_t *targets, float *nats, const tg_weights *gradients);
/* The other gradients of the mean loss, overwritten (a tied embedding: added to the head's share). */
TG_API int tg_net_backward(tg_net *net, const tg_weights *gradients);
/* Instead of tg_net_loss: hand in the gradient of the last layer's output (T, B, H). */
TG_API int tg_net_seed(tg_net *net, const float *gradient);
/* Logits (B, V) after step t of the last window. */
TG_API int tg_net_logits(tg_net *net, int32_t t, float *logits);
/* A saved quantity (T, B, H) of a layer: activated gate blocks by their number, the states c and h,
 * and the output, which is h with masks and, in a residual network, the layer's input in it. It
 * alone needs no saving. */
enum { TG_READ_CELL = 16, TG_READ_HIDDEN = 17, TG_READ_OUTPUT = 18 };
TG_API int tg_net_read(tg_net *net, int32_t layer, int32_t what, float *out);

/* AdamW (Loshchilov and Hutter 2019) on flat arrays of `size`, the first `decayed` of which decay.
 * The gradient is scaled down to `clip` if its norm is above. Nothing changes when `loss` or the
 * norm is not finite: returns 1 then, else 0. */
typedef struct {
    float *parameters, *gradient, *exp_avg, *exp_avg_sq;
    int64_t size, decayed, step; /* step counts from 1 */
    double loss, learning_rate, beta1, beta2, eps, weight_decay, clip, norm; /* norm: out */
} tg_adamw;
TG_API int tg_adamw_step(int isa, int threads, tg_adamw *update);

/* A step of gradient descent that is pulled back: each parameter p becomes q + pull * (start - q) with
 * q = p - rate * gradient. The arrays are flat, in `parts` that end before `stops`, each with a rate of
 * its own. Where the root of the mean square of all `rate * gradient` is above `most`, they are scaled
 * down to it. Nothing changes where it is not finite: returns 1 then, else 0. */
typedef struct {
    float *parameters;
    const float *start, *gradient;
    const int64_t *stops; /* (parts,), rising; the last one is the size of the arrays */
    const float *rates;   /* (parts,) */
    int64_t parts;
    double pull, most;
} tg_descent;
TG_API int tg_descend(int isa, int threads, const tg_descent *step);
/* The same, and then tg_net_pack with `backward`, in one pass over all: of the flat arrays that hold
 * the trained weights of a network with a head, which was packed so before. */
TG_API int tg_net_descend(tg_net *net, const tg_weights *weights, const tg_descent *step);

#endif
