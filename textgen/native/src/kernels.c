/* Everything that computes, compiled once for each instruction set. */
#if defined(TG_ISA_AMX)
#define TABLE tg_kernels_amx
#elif defined(TG_ISA_AVX512BF16)
#define TABLE tg_kernels_avx512bf16
#elif defined(TG_ISA_AVX512)
#define TABLE tg_kernels_avx512
#elif defined(TG_ISA_AVX2)
#define TABLE tg_kernels_avx2
#elif defined(TG_ISA_BF16MMLA)
#define TABLE tg_kernels_bf16mmla
#elif defined(TG_ISA_NEON)
#define TABLE tg_kernels_neon
#else
#define TABLE tg_kernels_generic
#endif

#include "kernels.h"
#include "system.h"
#include "threads.h"

/* Each uses what stands above it, and includes none of the others. */
#include "simd.inc"
#include "layout.inc"
#include "tile.inc"
#if defined(TG_ISA_BF16MMLA)
#include "mmla.inc"
#else
#include "dots.inc"
#endif
#include "vectors.inc"
#if defined(TG_ISA_AMX)
#include "amx.inc"
#endif
#include "cell.inc"
#include "edit.inc"
#include "update.inc"
#include "net.inc"
#include "head.inc"
#include "backward.inc"
#include "choice.inc"
#include "sample.inc"

extern const tg_kernels TABLE;
const tg_kernels TABLE = {
    .net_new = net_new,
    .net_free = net_free,
    .net_bytes = net_bytes,
    .net_pack = net_pack,
    .net_descend = net_descend,
    .net_forward = net_forward,
    .net_loss = net_loss,
    .net_backward = net_backward,
    .net_seed = net_seed,
    .net_logits = net_logits,
    .net_read = net_read,
    .adamw_step = adamw_step,
    .descend = descend,
    .sample = &sample_kernels,
};
