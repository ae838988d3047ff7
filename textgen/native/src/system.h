/* What systems differ in, behind calls of our own: memory, clock, the CPU, locks, threads. */
#ifndef TG_SYSTEM_H
#define TG_SYSTEM_H

#include <stddef.h>
#include <stdlib.h>

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>
#else
#include <pthread.h>
#endif

/* Memory at a multiple of `alignment`, a power of two, of which `bytes` is a multiple; NULL if there is
 * none. It is given back by tg_aligned_free alone. */
void *tg_aligned(size_t alignment, size_t bytes);
void tg_aligned_free(void *memory);
/* Ask for large pages, where the system has them for who asks. */
void tg_large_pages(void *memory, size_t bytes);

/* Seconds since some moment, by a clock that nobody sets. */
double tg_seconds(void);

/* Whether the system lets this process use the tiles of AMX, which the CPU has. */
int tg_grants_tiles(void);
/* Whether the CPU, an AArch64, has BFMMLA: programs may not ask such a CPU itself. */
int tg_tells_of_bf16mmla(void);

/* A lock, and a place where threads that hold it sleep until all there are woken. */
#ifdef _WIN32
typedef SRWLOCK tg_lock;
typedef CONDITION_VARIABLE tg_bed;
#define TG_LOCK_INIT SRWLOCK_INIT
#define TG_BED_INIT CONDITION_VARIABLE_INIT
#else
typedef pthread_mutex_t tg_lock;
typedef pthread_cond_t tg_bed;
#define TG_LOCK_INIT PTHREAD_MUTEX_INITIALIZER
#define TG_BED_INIT PTHREAD_COND_INITIALIZER
#endif
void tg_take(tg_lock *lock);
void tg_give(tg_lock *lock);
void tg_sleep(tg_bed *bed, tg_lock *lock);
void tg_wake_all(tg_bed *bed);

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
int tg_start(tg_thread thread, void *argument);

#endif
