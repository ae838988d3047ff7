/* What systems differ in, behind calls of our own: memory, clock, locks, threads. */
#ifndef TG_SYSTEM_H
#define TG_SYSTEM_H

#include <stddef.h>
#include <stdlib.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

#include <malloc.h>
#else
#include <pthread.h>
#include <time.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#endif

/* Memory at a multiple of `alignment`, a power of two, of which `bytes` is a multiple; NULL if there is
 * none. It is given back by tg_aligned_free alone. */
static inline void *tg_aligned(size_t alignment, size_t bytes) {
#ifdef _WIN32
    return _aligned_malloc(bytes, alignment);
#else
    return aligned_alloc(alignment, bytes);
#endif
}

static inline void tg_aligned_free(void *memory) {
#ifdef _WIN32
    _aligned_free(memory);
#else
    free(memory);
#endif
}

/* Ask for large pages, where the system has them for who asks. */
static inline void tg_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

/* Seconds since some moment, by a clock that nobody sets. */
static inline double tg_seconds(void) {
#ifdef _WIN32
    LARGE_INTEGER now, each;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&each);
    return (double)now.QuadPart / (double)each.QuadPart;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
#endif
}

/* A lock, and a place where threads that hold it sleep until all there are woken. */
#ifdef _WIN32
typedef SRWLOCK tg_lock;
typedef CONDITION_VARIABLE tg_bed;
#define TG_LOCK_INIT SRWLOCK_INIT
#define TG_BED_INIT CONDITION_VARIABLE_INIT
static inline void tg_take(tg_lock *lock) { AcquireSRWLockExclusive(lock); }
static inline void tg_give(tg_lock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void tg_sleep(tg_bed *bed, tg_lock *lock) {
    SleepConditionVariableSRW(bed, lock, INFINITE, 0);
}
static inline void tg_wake_all(tg_bed *bed) { WakeAllConditionVariable(bed); }
#else
typedef pthread_mutex_t tg_lock;
typedef pthread_cond_t tg_bed;
#define TG_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define TG_BED_INIT PTHREAD_COND_INITIALIZER
static inline void tg_take(tg_lock *lock) { pthread_mutex_lock(lock); }
static inline void tg_give(tg_lock *lock) { pthread_mutex_unlock(lock); }
static inline void tg_sleep(tg_bed *bed, tg_lock *lock) { pthread_cond_wait(bed, lock); }
static inline void tg_wake_all(tg_bed *bed) { pthread_cond_broadcast(bed); }
#endif

/* What a thread runs: TG_THREAD(name, argument) { ...; return TG_THREAD_END; } */
#ifdef _WIN32
#define TG_THREAD(name, argument) static DWORD WINAPI name(LPVOID argument)
#define TG_THREAD_END 0
typedef LPTHREAD_START_ROUTINE tg_thread;
#else
#define TG_THREAD(name, argument) static void *name(void *argument)
#define TG_THREAD_END NULL
typedef void *(*tg_thread)(void *argument);
#endif

/* Start a thread that nobody waits for; whether the system let us. */
static inline int tg_start(tg_thread thread, void *argument) {
#ifdef _WIN32
    HANDLE started = CreateThread(NULL, 0, thread, argument, 0, NULL);
    if (!started) return 0;
    CloseHandle(started);
    return 1;
#else
    pthread_t started;
    if (pthread_create(&started, NULL, thread, argument)) return 0;
    pthread_detach(started);
    return 1;
#endif
}

#endif
