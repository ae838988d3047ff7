#include "threads.h"

#include "system.h"

#include <stdatomic.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define SPINS 2000 /* some 50 us: longer than a step's wait or Python's between two calls */
#define MOST_THREADS 255

static tg_lock turn = TG_LOCK_INIT; /* of callers */
static int workers;             /* threads of the pool, the callers not among them */
static atomic_uint ticket;      /* counts jobs */
static atomic_uint unfinished;  /* workers that have not seen the present job through */
static tg_work job_work;
static void *job_arg;
static int job_threads;

static atomic_int arrived;
static atomic_uint generation;
static atomic_int sleepers;
#ifndef __linux__
static tg_lock lights = TG_LOCK_INIT; /* held to fall asleep, and to wake */
static tg_bed bed = TG_BED_INIT;
#endif

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait until `word` is no longer `value`: spin for the usual short wait, then sleep. To spin on, or
 * to yield, would keep the core from the thread that is waited for where others want it too. */
static void wait_while(atomic_uint *word, unsigned value) {
    for (int spin = 0; spin < SPINS; spin++) {
        if (atomic_load_explicit(word, memory_order_acquire) != value) return;
        relax();
    }
#ifdef __linux__
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(word) == value)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    atomic_fetch_sub(&sleepers, 1);
#else
    tg_take(&lights);
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(word) == value) tg_sleep(&bed, &lights);
    atomic_fetch_sub(&sleepers, 1);
    tg_give(&lights);
#endif
}

/* Wake who sleeps on `word`, which was just written. */
static void wake(atomic_uint *word) {
#ifdef __linux__
    if (atomic_load(&sleepers) > 0) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
#else
    (void)word;
    if (atomic_load(&sleepers) == 0) return;
    tg_take(&lights); /* who has looked at the word and not fallen asleep yet is waited for */
    tg_give(&lights);
    tg_wake_all(&bed);
#endif
}

void tg_barrier(int threads) {
    if (threads == 1) return;
    unsigned now = atomic_load_explicit(&generation, memory_order_acquire);
    if (atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel) < threads - 1) {
        wait_while(&generation, now);
        return;
    }
    atomic_store_explicit(&arrived, 0, memory_order_relaxed);
    atomic_store(&generation, now + 1);
    wake(&generation);
}

TG_THREAD(worker, start) {
    int tid = (int)((size_t)start & 0xff);
    unsigned seen = (unsigned)((size_t)start >> 8);
    for (;;) {
        wait_while(&ticket, seen);
        seen++;
        if (tid < job_threads) job_work(job_arg, tid, job_threads);
        if (atomic_fetch_sub(&unfinished, 1) == 1) wake(&unfinished);
    }
    return TG_THREAD_END;
}

#ifndef _WIN32
/* A forked child has none of its parent's threads. */
static void forget_workers(void) {
    workers = 0;
    atomic_store(&ticket, 0);
    atomic_store(&unfinished, 0);
    atomic_store(&arrived, 0);
    turn = (tg_lock)TG_LOCK_INIT;
    atomic_store(&sleepers, 0);
#ifndef __linux__
    lights = (tg_lock)TG_LOCK_INIT;
    bed = (tg_bed)TG_BED_INIT;
#endif
}
#endif

/* Start threads until there are `wanted`; fewer where the system refuses. A new one is told how many
 * jobs there were before it. */
static void hire(int wanted) {
#ifndef _WIN32
    static int prepared;
    if (!prepared) prepared = pthread_atfork(NULL, NULL, forget_workers) == 0;
#endif
    while (workers < wanted) {
        size_t start = ((size_t)atomic_load(&ticket) << 8) | (size_t)(workers + 1);
        if (!tg_start(worker, (void *)start)) break;
        workers++;
    }
}

void tg_parallel(int threads, tg_work work, void *arg) {
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads <= 1) {
        work(arg, 0, 1);
        return;
    }
    tg_take(&turn);
    hire(threads - 1);
    if (threads > workers + 1) threads = workers + 1;
    job_work = work;
    job_arg = arg;
    job_threads = threads;
    atomic_store(&unfinished, (unsigned)workers);
    atomic_fetch_add(&ticket, 1);
    wake(&ticket);
    work(arg, 0, threads);
    for (unsigned left; (left = atomic_load(&unfinished)) > 0;) wait_while(&unfinished, left);
    tg_give(&turn);
}
