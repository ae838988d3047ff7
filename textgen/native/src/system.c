/* Windows, and all else. */
#include "system.h"

#ifdef _WIN32
#include <malloc.h>

#ifndef PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE
#define PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE 68
#endif

void *tg_aligned(size_t alignment, size_t bytes) { return _aligned_malloc(bytes, alignment); }

void tg_aligned_free(void *memory) { _aligned_free(memory); }

void tg_large_pages(void *memory, size_t bytes) {
    (void)memory;
    (void)bytes;
}

double tg_seconds(void) {
    LARGE_INTEGER now, each;
    QueryPerformanceCounter(&now);
    QueryPerformanceFrequency(&each);
    return (double)now.QuadPart / (double)each.QuadPart;
}

int tg_grants_tiles(void) { return 0; }

int tg_tells_of_bf16mmla(void) {
    return IsProcessorFeaturePresent(PF_ARM_V86_BF16_INSTRUCTIONS_AVAILABLE) != 0;
}

void tg_take(tg_lock *lock) { AcquireSRWLockExclusive(lock); }

void tg_give(tg_lock *lock) { ReleaseSRWLockExclusive(lock); }

void tg_sleep(tg_bed *bed, tg_lock *lock) { SleepConditionVariableSRW(bed, lock, INFINITE, 0); }

void tg_wake_all(tg_bed *bed) { WakeAllConditionVariable(bed); }

int tg_start(tg_thread thread, void *argument) {
    HANDLE started = CreateThread(NULL, 0, thread, argument, 0, NULL);
    if (!started) return 0;
    CloseHandle(started);
    return 1;
}

#else
#include <sys/mman.h>
#include <time.h>
#ifdef __linux__
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifndef HWCAP2_BF16
#define HWCAP2_BF16 (1u << 14)
#endif
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

void *tg_aligned(size_t alignment, size_t bytes) { return aligned_alloc(alignment, bytes); }

void tg_aligned_free(void *memory) { free(memory); }

void tg_large_pages(void *memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(memory, bytes, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

double tg_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int tg_grants_tiles(void) {
#if defined(__linux__) && defined(SYS_arch_prctl)
    /* Linux saves the 8 KB of tiles only for a process that asks: ARCH_REQ_XCOMP_PERM, XTILEDATA. */
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return 0;
#endif
}

int tg_tells_of_bf16mmla(void) {
#if defined(__linux__)
    return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
#elif defined(__APPLE__)
    int has = 0;
    size_t size = sizeof has;
    return sysctlbyname("hw.optional.arm.FEAT_BF16", &has, &size, NULL, 0) == 0 && has;
#else
    return 0;
#endif
}

void tg_take(tg_lock *lock) { pthread_mutex_lock(lock); }

void tg_give(tg_lock *lock) { pthread_mutex_unlock(lock); }

void tg_sleep(tg_bed *bed, tg_lock *lock) { pthread_cond_wait(bed, lock); }

void tg_wake_all(tg_bed *bed) { pthread_cond_broadcast(bed); }

int tg_start(tg_thread thread, void *argument) {
    pthread_t started;
    if (pthread_create(&started, NULL, thread, argument)) return 0;
    pthread_detach(started);
    return 1;
}
#endif
