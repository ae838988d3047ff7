/* Which instruction sets this CPU has, and the way from a public function to that of its set. */
#include "kernels.h"
#include "system.h"

#include <stdatomic.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define X86 1
#endif

int tg_abi_version(void) { return TG_ABI_VERSION; }

#ifdef X86
/* What the system saves at a switch of threads: registers it does not know of must not be used. */
static uint64_t saved_registers(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return ((uint64_t)d << 32) | a;
}

static int leaf7(unsigned sub, unsigned out[4]) {
    return __get_cpuid_count(7, sub, &out[0], &out[1], &out[2], &out[3]);
}

static int has_avx2(void) {
    unsigned a, b, c, d, r[4];
    if ((saved_registers() & 0x6) != 0x6 || !__get_cpuid(1, &a, &b, &c, &d)) return 0;
    return (c & (1u << 12)) && leaf7(0, r) && (r[1] & (1u << 5)); /* FMA, AVX2 */
}

static int has_avx512(void) {
    unsigned r[4];
    const unsigned f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31, all = f | dq | bw | vl;
    return has_avx2() && (saved_registers() & 0xe6) == 0xe6 && leaf7(0, r) && (r[1] & all) == all;
}

static int has_avx512bf16(void) {
    unsigned r[4];
    return has_avx512() && leaf7(1, r) && (r[0] & (1u << 5));
}

#ifdef TG_HAVE_AMX
static int has_amx(void) {
#if defined(TG_AMX_EMULATED)
    return has_avx512bf16();
#else
    unsigned r[4];
    const unsigned bf16 = 1u << 22, tile = 1u << 24;
    if (!has_avx512bf16() || (saved_registers() & 0x60000) != 0x60000) return 0;
    if (!leaf7(0, r) || (r[3] & (bf16 | tile)) != (bf16 | tile)) return 0;
    return tg_grants_tiles();
#endif
}
#endif
#endif

static const tg_kernels *detect(int isa) {
    switch (isa) {
#if defined(TG_HAVE_AMX) && defined(X86)
        case TG_AMX: return has_amx() ? &tg_kernels_amx : NULL;
#endif
#if defined(TG_HAVE_AVX512BF16) && defined(X86)
        case TG_AVX512BF16: return has_avx512bf16() ? &tg_kernels_avx512bf16 : NULL;
#endif
#if defined(TG_HAVE_AVX512) && defined(X86)
        case TG_AVX512: return has_avx512() ? &tg_kernels_avx512 : NULL;
#endif
#if defined(TG_HAVE_AVX2) && defined(X86)
        case TG_AVX2: return has_avx2() ? &tg_kernels_avx2 : NULL;
#endif
#ifdef TG_HAVE_BF16MMLA
        case TG_BF16MMLA: return tg_tells_of_bf16mmla() ? &tg_kernels_bf16mmla : NULL;
#endif
#ifdef TG_HAVE_NEON
        case TG_NEON: return &tg_kernels_neon; /* every AArch64 CPU has it */
#endif
#ifdef TG_HAVE_GENERIC
        case TG_GENERIC: return &tg_kernels_generic;
#endif
        default: return NULL;
    }
}

/* The functions of an instruction set that this library has and this CPU runs, or NULL. Asked once:
 * a virtual machine leaves to its host for every question to the CPU. */
static const tg_kernels *kernels_of(int isa) {
    static const tg_kernels *_Atomic found[TG_ISA_COUNT];
    static atomic_int asked[TG_ISA_COUNT];
    if (isa < 0 || isa >= TG_ISA_COUNT) return NULL;
    if (!atomic_load(&asked[isa])) {
        atomic_store(&found[isa], detect(isa));
        atomic_store(&asked[isa], 1);
    }
    return atomic_load(&found[isa]);
}

int tg_isa_supported(int isa) { return kernels_of(isa) != NULL; }

static const tg_kernels *of(const tg_net *net) { return ((const tg_net_head *)net)->kernels; }

tg_net *tg_net_new(const tg_config *config) {
    const tg_kernels *kernels = kernels_of(config->isa);
    tg_net *net = kernels ? kernels->net_new(config) : NULL;
    if (net) ((tg_net_head *)net)->kernels = kernels;
    return net;
}

void tg_net_free(tg_net *net) {
    if (net) of(net)->net_free(net);
}

size_t tg_net_bytes(const tg_net *net) { return of(net)->net_bytes(net); }

int tg_net_pack(tg_net *net, const tg_weights *weights, int backward) {
    return of(net)->net_pack(net, weights, backward);
}

int tg_net_descend(tg_net *net, const tg_weights *weights, const tg_descent *step) {
    return of(net)->net_descend(net, weights, step);
}

int tg_net_forward(tg_net *net, const tg_window *window) {
    return of(net)->net_forward(net, window);
}

int tg_net_loss(tg_net *net, const int32_t *targets, float *nats, const tg_weights *gradients) {
    return of(net)->net_loss(net, targets, nats, gradients);
}

int tg_net_backward(tg_net *net, const tg_weights *gradients) {
    return of(net)->net_backward(net, gradients);
}

int tg_net_seed(tg_net *net, const float *gradient) { return of(net)->net_seed(net, gradient); }

int tg_net_logits(tg_net *net, int32_t t, float *logits) {
    return of(net)->net_logits(net, t, logits);
}

int tg_net_read(tg_net *net, int32_t layer, int32_t what, float *out) {
    return of(net)->net_read(net, layer, what, out);
}

int tg_adamw_step(int isa, int threads, tg_adamw *update) {
    const tg_kernels *kernels = kernels_of(isa);
    return kernels ? kernels->adamw_step(threads, update) : -1;
}

int tg_descend(int isa, int threads, const tg_descent *step) {
    const tg_kernels *kernels = kernels_of(isa);
    return kernels ? kernels->descend(threads, step) : -1;
}

int64_t tg_choose(int isa, int threads, const tg_choice *choice, int32_t vocab, int64_t rows,
                  const float *logits, const int32_t *recent, int64_t recent_count,
                  const int32_t *previous, const uint64_t *counters, const tg_chosen *chosen) {
    const tg_kernels *kernels = kernels_of(isa);
    if (!kernels) return -1;
    return kernels->sample->choose(threads, choice, vocab, rows, logits, recent, recent_count,
                                   previous, counters, chosen);
}

tg_sampler *tg_sampler_new(const tg_config *config, const tg_weights *weights) {
    const tg_kernels *kernels = kernels_of(config->isa);
    return kernels ? kernels->sample->open(config, weights) : NULL;
}

/* A sampler is one block of memory. */
void tg_sampler_free(tg_sampler *sampler) { tg_aligned_free(sampler); }

int tg_sampler_threads(const tg_sampler *sampler) { return sampler->threads; }

void tg_sampler_read(tg_sampler *sampler, const int32_t *ids, int64_t n, tg_edits edits,
                     float *state, float *logits) {
    sampler->kernels->read(sampler, ids, n, edits, state, logits);
}

int64_t tg_sampler_write(tg_sampler *sampler, const tg_choice *choice, int64_t n, int32_t end,
                         int32_t previous, uint64_t counter, int32_t *history,
                         int64_t history_count, tg_edits edits, float *state, float *logits,
                         const tg_chosen *chosen) {
    return sampler->kernels->write(sampler, choice, n, end, previous, counter, history,
                                   history_count, edits, state, logits, chosen);
}
