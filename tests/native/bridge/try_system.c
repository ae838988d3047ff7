/* Tries what the engine asks of a system, system.c and threads.c: on Windows, on Linux, and with
 * -U__linux__ as on systems without a futex. Prints what holds; the first fault ends it. */
#include "system.h"
#include "threads.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#ifdef _WIN32
static void pause_for_ms(int ms) { Sleep((DWORD)ms); }
#else
#include <time.h>
static void pause_for_ms(int ms) {
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}
#endif

static void hold(int holds, const char *what) {
    if (holds) return;
    printf("this does not hold: %s\n", what);
    exit(1);
}

static void memory(void) {
    char *taken[200];
    for (size_t i = 0; i < 200; i++) {
        size_t alignment = (size_t)16 << i % 9, bytes = alignment * (1 + i * 37);
        taken[i] = tg_aligned(alignment, bytes);
        int is_aligned = taken[i] && (uintptr_t)taken[i] % alignment == 0;
        hold(is_aligned, "memory lies at a multiple of its alignment");
        memset(taken[i], (int)i, bytes);
    }
    for (size_t i = 0; i < 200; i++) {
        size_t bytes = ((size_t)16 << i % 9) * (1 + i * 37);
        for (size_t k = 0; k < bytes; k += 97)
            hold(taken[i][k] == (char)i, "memory keeps what is written, beside others");
        tg_aligned_free(taken[i]);
    }
    tg_aligned_free(NULL);
    hold(!tg_aligned(64, SIZE_MAX / 128 * 64), "memory that is not there is NULL");
    size_t large = (size_t)3 << 30; /* above what an int can say, and a long of Windows */
    char *room = tg_aligned(1 << 21, large);
    hold(room != NULL, "there are 3 GiB of addresses");
    tg_large_pages(room, large);
    room[0] = room[large - 1] = 1;
    tg_aligned_free(room);
    puts("memory: aligned, apart from each other, given back; 3 GiB at once; none where there is none");
}

static void clock_of_ours(void) {
    double begin = tg_seconds(), last = begin;
    for (int i = 0; i < 100000; i++) {
        double now = tg_seconds();
        hold(now >= last, "the clock does not go back");
        last = now;
    }
    double before = tg_seconds();
    pause_for_ms(200);
    double paused = tg_seconds() - before;
    /* A busy machine may wake us late. */
    hold(paused > 0.19 && paused < 60, "a second of the clock is a second");
    double finest = 1;
    for (int i = 0; i < 1000; i++) {
        double one = tg_seconds(), other;
        while ((other = tg_seconds()) == one) {}
        if (other - one < finest) finest = other - one;
    }
    hold(finest < 1e-4, "the clock tells 0.1 ms apart");
    puts("clock: forwards, at the right pace, finer than 0.1 ms");
}

/* Threads that wait at one gate until all are told. */
enum { SLEEPERS = 24, ROUNDS = 200 };
static tg_lock gate = TG_LOCK_INIT;
static tg_bed bed = TG_BED_INIT;
static int round_now, arrived, counted, ended;

TG_THREAD(sleeper, number) {
    for (int own = 1; own <= ROUNDS; own++) {
        tg_take(&gate);
        counted++;
        if (++arrived == SLEEPERS) {
            arrived = 0;
            round_now++;
            tg_wake_all(&bed);
        }
        while (round_now < own) tg_sleep(&bed, &gate);
        tg_give(&gate);
    }
    tg_take(&gate);
    ended += (int)(size_t)number;
    tg_wake_all(&bed);
    tg_give(&gate);
    return TG_THREAD_END;
}

static void locks(void) {
    for (size_t i = 1; i <= SLEEPERS; i++) hold(tg_start(sleeper, (void *)i), "threads start");
    tg_take(&gate);
    while (ended < SLEEPERS * (SLEEPERS + 1) / 2) tg_sleep(&bed, &gate);
    tg_give(&gate);
    hold(counted == SLEEPERS * ROUNDS, "a lock lets one in at a time");
    puts("locks: 24 threads have slept and been woken together 200 times");
}

/* The pool: each thread writes where its neighbour reads after the barrier. */
enum { MOST = 12, STEPS = 300 };
typedef struct {
    int threads, steps, is_slow;
    atomic_int seen[MOST], wrong;
} job;

static void steps(void *arg, int tid, int threads) {
    job *own = arg;
    if (threads != own->threads) atomic_fetch_add(&own->wrong, 1);
    for (int step = 1; step <= own->steps; step++) {
        if (own->is_slow && tid == step % threads) pause_for_ms(2); /* the others fall asleep */
        atomic_store_explicit(&own->seen[tid], step, memory_order_relaxed);
        tg_barrier(threads);
        if (atomic_load_explicit(&own->seen[(tid + 1) % threads], memory_order_relaxed) != step)
            atomic_fetch_add(&own->wrong, 1);
        tg_barrier(threads);
    }
}

static void run(int threads, int count, int is_slow) {
    job own = {.threads = threads, .steps = count, .is_slow = is_slow};
    tg_parallel(threads, steps, &own);
    hold(atomic_load(&own.wrong) == 0, "a barrier holds all threads back, and lets all go on");
    for (int tid = 0; tid < threads; tid++)
        hold(atomic_load(&own.seen[tid]) == count, "every thread of the pool has worked");
}

static atomic_int callers;

TG_THREAD(caller, number) {
    for (int i = 0; i < 40; i++) run(1 + (i + (int)(size_t)number) % 4, 5, 0);
    atomic_fetch_sub(&callers, 1);
    return TG_THREAD_END;
}

static void pool(void) {
    for (int threads = 1; threads <= MOST; threads++) run(threads, STEPS, 0);
    for (int threads = MOST; threads >= 1; threads--) run(threads, 20, 1);
    puts("pool: 1 to 12 threads, 600 barriers each, and with a thread that comes late");
    atomic_store(&callers, 5);
    for (size_t i = 0; i < 5; i++) hold(tg_start(caller, (void *)i), "threads start");
    for (int waited = 0; atomic_load(&callers); waited++) {
        hold(waited < 120000, "callers of the pool do not wait for ever");
        pause_for_ms(1);
    }
    puts("pool: five callers at once, 40 jobs each");
}

int main(void) {
    memory();
    clock_of_ours();
    locks();
    pool();
    return 0;
}
