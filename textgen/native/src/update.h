/* Clipping and AdamW in one pass over flat arrays, after one pass for the norm. */
#ifndef TG_UPDATE_H
#define TG_UPDATE_H

#include <math.h>

#include "net.h"

typedef struct {
    tg_adamw *update;
    double *squares; /* one a thread */
    int masked;
} update_job;

INLINE vf vsqrt(vf x) {
#if VW == 16
    return (vf)_mm512_sqrt_ps((__m512)x);
#elif VW == 8
    return (vf)_mm256_sqrt_ps((__m256)x);
#else
    vf root;
    for (int i = 0; i < VW; i++) root[i] = sqrtf(x[i]);
    return root;
#endif
}

INLINE void adamw_vector(float *p, float *m, float *s, vf g, float keep, float rate, float beta1,
                         float beta2, float root, float eps) {
    vf first = vload(m) * vset(beta1) + g * vset(1.0f - beta1);
    vf second = vload(s) * vset(beta2) + g * g * vset(1.0f - beta2);
    vstore(m, first);
    vstore(s, second);
    vstore(p, vload(p) * vset(keep) - vset(rate) * first / (vsqrt(second) * vset(root) + vset(eps)));
}

static void update_work(void *arg, int tid, int threads) {
    update_job *job = arg;
    tg_adamw *u = job->update;
    unsigned mode = flush_denormals();
    /* Whole vectors to each thread; the rest to the last. */
    int64_t parts = u->size / VW, first = parts * tid / threads * VW;
    int64_t last = tid == threads - 1 ? u->size : parts * (tid + 1) / threads * VW;
    double squares = 0.0;
    for (int64_t i = first; i < last;) {
        /* Sums of a few thousand in float, of those in double. */
        int64_t stop = i + 4096 < last ? i + 4096 : last;
        vf sum = vset(0.0f);
        for (; i + VW <= stop; i += VW) sum += vload(u->gradient + i) * vload(u->gradient + i);
        squares += vsum(sum);
        for (; i < stop; i++) squares += (double)u->gradient[i] * u->gradient[i];
    }
    job->squares[tid] = squares;
    tg_barrier(threads);
    if (tid == 0) {
        double total = 0.0;
        for (int i = 0; i < threads; i++) total += job->squares[i];
        u->norm = sqrt(total);
        job->masked = !isfinite(u->norm) || !isfinite(u->loss);
    }
    tg_barrier(threads);
    const float scale = u->norm > u->clip ? (float)(u->clip / u->norm) : 1.0f;
    const float rate = (float)(u->learning_rate / (1.0 - pow(u->beta1, (double)u->step)));
    const float root = (float)(1.0 / sqrt(1.0 - pow(u->beta2, (double)u->step)));
    const float decay = (float)(1.0 - u->learning_rate * u->weight_decay);
    const float beta1 = (float)u->beta1, beta2 = (float)u->beta2, eps = (float)u->eps;
    for (int64_t i = first; i < last && !job->masked;) {
        int64_t stop = i < u->decayed && last > u->decayed ? u->decayed : last;
        const float keep = i < u->decayed ? decay : 1.0f;
        for (; i + VW <= stop; i += VW)
            adamw_vector(u->parameters + i, u->exp_avg + i, u->exp_avg_sq + i,
                         vload(u->gradient + i) * vset(scale), keep, rate, beta1, beta2, root, eps);
        if (i < stop) {
            float p[VW] = {0}, m[VW] = {0}, s[VW] = {0}, g[VW] = {0};
            size_t bytes = sizeof(float) * (size_t)(stop - i);
            memcpy(p, u->parameters + i, bytes);
            memcpy(m, u->exp_avg + i, bytes);
            memcpy(s, u->exp_avg_sq + i, bytes);
            memcpy(g, u->gradient + i, bytes);
            adamw_vector(p, m, s, vload(g) * vset(scale), keep, rate, beta1, beta2, root, eps);
            memcpy(u->parameters + i, p, bytes);
            memcpy(u->exp_avg + i, m, bytes);
            memcpy(u->exp_avg_sq + i, s, bytes);
            i = stop;
        }
    }
    restore_denormals(mode);
}

static int adamw_step(int threads, tg_adamw *update) {
    double squares[256];
    update_job job = {update, squares, 0};
    if (threads > 255) threads = 255;
    tg_parallel(threads, update_work, &job);
    return job.masked;
}

#endif
