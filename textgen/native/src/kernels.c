/* Everything that computes, compiled once for each instruction set. */
#if defined(TG_ISA_AMX)
#define TABLE tg_kernels_amx
#elif defined(TG_ISA_AVX512BF16)
#define TABLE tg_kernels_avx512bf16
#elif defined(TG_ISA_AVX512)
#define TABLE tg_kernels_avx512
#elif defined(TG_ISA_AVX2)
#define TABLE tg_kernels_avx2
#else
#define TABLE tg_kernels_generic
#endif

#include "kernels.h"

#include "backward.h"
#include "update.h"
#if __has_include("sample.h")
#include "sample.h"
#define SAMPLE &sample_kernels
#else
#define SAMPLE NULL
#endif

extern const tg_kernels TABLE;
const tg_kernels TABLE = {
    .net_new = net_new,
    .net_free = net_free,
    .net_bytes = net_bytes,
    .net_pack = net_pack,
    .net_forward = net_forward,
    .net_loss = net_loss,
    .net_backward = net_backward,
    .net_seed = net_seed,
    .net_logits = net_logits,
    .net_read = net_read,
    .adamw_step = adamw_step,
    .sample = SAMPLE,
};
