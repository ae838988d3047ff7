/* A small pool of threads: torch's or OpenMP's would wake for each time step, or bring a second
 * runtime into the process that fights over the cores. */
#ifndef TG_THREADS_H
#define TG_THREADS_H

typedef void (*tg_work)(void *arg, int tid, int threads);

/* Run `work` once on each of `threads` threads, the caller being number 0; returns when all have
 * ended. One call at a time: further callers wait. */
void tg_parallel(int threads, tg_work work, void *arg);

/* Inside `work`: wait until all `threads` threads are here. Spins, for the wait is shorter than a
 * switch; sleeps when it lasts, for the machine may have fewer free cores than we were told. */
void tg_barrier(int threads);

#endif
