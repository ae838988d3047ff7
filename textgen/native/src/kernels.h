/* What each instruction set provides. */
#ifndef TG_KERNELS_H
#define TG_KERNELS_H

#include "sample_api.h"
#include "textgen.h"

typedef struct {
    tg_net *(*net_new)(const tg_config *config);
    void (*net_free)(tg_net *net);
    size_t (*net_bytes)(const tg_net *net);
    int (*net_pack)(tg_net *net, const tg_weights *weights, int backward);
    int (*net_descend)(tg_net *net, const tg_weights *weights, const tg_descent *step);
    int (*net_forward)(tg_net *net, const tg_window *window);
    int (*net_loss)(tg_net *net, const int32_t *targets, float *nats, const tg_weights *gradients);
    int (*net_backward)(tg_net *net, const tg_weights *gradients);
    int (*net_seed)(tg_net *net, const float *gradient);
    int (*net_logits)(tg_net *net, int32_t t, float *logits);
    int (*net_read)(tg_net *net, int32_t layer, int32_t what, float *out);
    int (*adamw_step)(int threads, tg_adamw *update);
    int (*descend)(int threads, const tg_descent *step);
    const tg_sample_kernels *sample;
} tg_kernels;

/* The beginning of every network. */
typedef struct {
    const tg_kernels *kernels;
} tg_net_head;

#ifdef TG_HAVE_AMX
extern const tg_kernels tg_kernels_amx;
#endif
#ifdef TG_HAVE_AVX512BF16
extern const tg_kernels tg_kernels_avx512bf16;
#endif
#ifdef TG_HAVE_AVX512
extern const tg_kernels tg_kernels_avx512;
#endif
#ifdef TG_HAVE_AVX2
extern const tg_kernels tg_kernels_avx2;
#endif
#ifdef TG_HAVE_BF16MMLA
extern const tg_kernels tg_kernels_bf16mmla;
#endif
#ifdef TG_HAVE_NEON
extern const tg_kernels tg_kernels_neon;
#endif
#ifdef TG_HAVE_GENERIC
extern const tg_kernels tg_kernels_generic;
#endif

#endif
