/* The end of the bridge in Python: what `ctypes` loads in place of the engine. Every call of the engine
 * is handed to another program, there.c, which has loaded the real library. The programs share all
 * memory that Python allocates: this library is preloaded, too, and malloc is its own. Each thread
 * of Python has a line to a thread of the other program. */
#define _GNU_SOURCE
#include "bridge.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Memory: blocks of a few sizes, 4, 5, 6 or 7 times a power of two. A block that was freed waits for
 * the next of its size. */

typedef struct block {
    struct block *next;
} block;

/* Before what a caller has. */
typedef struct {
    char *begin;
    size_t size;
} label;

static atomic_flag busy = ATOMIC_FLAG_INIT;
static int arena = -1;
static char *fresh, *end; /* what no block was made of yet */
static block *freed[256];

static void no_arena(const char *what) {
    char text[200];
    int length = snprintf(text, sizeof text, "bridge: %s: %s\n", what, strerror(errno));
    if (write(2, text, (size_t)length) < 0) {}
    _exit(70);
}

static void open_arena(void) {
    arena = memfd_create("textgen-bridge", MFD_CLOEXEC);
    if (arena < 0 || ftruncate(arena, (off_t)ARENA_BYTES)) no_arena("memory to share");
    fresh = mmap(ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, arena, 0);
    if (fresh != ARENA) no_arena("the place of the memory to share");
    end = ARENA + ARENA_BYTES;
}

/* The number of the smallest size that is not below `bytes`, and that size. */
static int size_of(size_t bytes, size_t *size) {
    if (bytes < 64) bytes = 64;
    int power = 61 - __builtin_clzll(bytes - 1); /* bytes - 1 is 4 to 7 of these */
    size_t quarters = ((bytes - 1) >> power) + 1;
    *size = quarters << power;
    return 4 * power + (int)quarters - 5;
}

static void *take(size_t alignment, size_t bytes, int zero) {
    if (alignment < 16) alignment = 16;
    if (bytes > ARENA_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    size_t size;
    int number = size_of(bytes + sizeof(label) + alignment, &size), is_new = 0;
    while (atomic_flag_test_and_set(&busy)) sched_yield();
    if (!fresh) open_arena();
    char *begin = (char *)freed[number];
    if (begin) {
        freed[number] = freed[number]->next;
    } else if (size <= (size_t)(end - fresh)) {
        begin = fresh;
        fresh += size;
        is_new = 1;
    }
    atomic_flag_clear(&busy);
    if (!begin) {
        errno = ENOMEM;
        return NULL;
    }
    uintptr_t after = (uintptr_t)begin + sizeof(label);
    char *given = (char *)((after + alignment - 1) / alignment * alignment);
    ((label *)given)[-1] = (label){begin, size};
    if (zero && !is_new) memset(given, 0, bytes);
    return given;
}

static size_t room_of(void *given) {
    label *found = (label *)given - 1;
    return (size_t)(found->begin + found->size - (char *)given);
}

void *malloc(size_t bytes) { return take(16, bytes, 0); }

void free(void *given) {
    if (!given) return;
    label found = ((label *)given)[-1];
    size_t size;
    int number = size_of(found.size, &size);
    while (atomic_flag_test_and_set(&busy)) sched_yield();
    ((block *)found.begin)->next = freed[number];
    freed[number] = (block *)found.begin;
    atomic_flag_clear(&busy);
}

void *calloc(size_t count, size_t bytes) {
    if (bytes && count > ARENA_BYTES / bytes) {
        errno = ENOMEM;
        return NULL;
    }
    return take(16, count * bytes, 1);
}

void *realloc(void *given, size_t bytes) {
    if (given && bytes <= room_of(given)) return given;
    void *larger = malloc(bytes);
    if (larger && given) {
        memcpy(larger, given, room_of(given));
        free(given);
    }
    return larger;
}

void *aligned_alloc(size_t alignment, size_t bytes) { return take(alignment, bytes, 0); }

void *memalign(size_t alignment, size_t bytes) { return take(alignment, bytes, 0); }

int posix_memalign(void **given, size_t alignment, size_t bytes) {
    void *found = take(alignment, bytes, 0);
    if (!found) return ENOMEM;
    *given = found;
    return 0;
}

size_t malloc_usable_size(void *given) { return given ? room_of(given) : 0; }

/* The other program, and the lines to it. */

#define LONGEST_START_MS 120000

static pthread_mutex_t lines = PTHREAD_MUTEX_INITIALIZER;
static int first = -1;    /* the line by which others are asked for */
static int listener = -1; /* where the other program calls */
static pid_t program;
static pthread_key_t closing;
static __thread int own = -1; /* the line of this thread */

static void fail(const char *what) {
    fprintf(stderr, "bridge: %s\n", what);
    _exit(70);
}

static void all(int line, void *bytes, size_t count, int is_sent, const char *call) {
    for (char *at = bytes; count;) {
        ssize_t done = is_sent ? send(line, at, count, MSG_NOSIGNAL) : recv(line, at, count, 0);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) {
            char text[120];
            snprintf(text, sizeof text, "the program with the engine has ended in %s", call);
            fail(text);
        }
        at += done;
        count -= (size_t)done;
    }
}

/* Start the program: the words of TEXTGEN_BRIDGE, and our port and memory. */
static void start(void) {
    const char *words = getenv("TEXTGEN_BRIDGE"), *from = getenv("PYTHONMALLOC");
    if (!words) fail("TEXTGEN_BRIDGE is to have the command of the program with the engine");
    if (!from || strcmp(from, "malloc")) fail("PYTHONMALLOC is to be malloc");
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 8) ||
        getsockname(listener, (struct sockaddr *)&at, &length))
        fail("no port is free");
    char command[4000];
    snprintf(command, sizeof command, "unset LD_PRELOAD; exec %s %d /proc/%d/fd/%d", words,
             ntohs(at.sin_port), (int)getpid(), arena);
    char *arguments[] = {"sh", "-c", command, NULL};
    if (posix_spawn(&program, "/bin/sh", NULL, NULL, arguments, environ)) fail("no /bin/sh");
    pthread_key_create(&closing, (void (*)(void *))(void *)close);
}

static int answer_the_call(void) {
    for (int waited = 0; waited < LONGEST_START_MS; waited += 100) {
        struct pollfd calls = {listener, POLLIN, 0};
        if (poll(&calls, 1, 100) > 0) {
            int line = accept4(listener, NULL, NULL, SOCK_CLOEXEC), yes = 1;
            setsockopt(line, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
            return line;
        }
        if (waitpid(program, NULL, WNOHANG) == program) fail("the program with the engine has ended");
    }
    fail("the program with the engine does not call");
    return -1;
}

static int line_of_this_thread(void) {
    if (own >= 0) return own;
    pthread_mutex_lock(&lines);
    if (first < 0) {
        start();
        first = answer_the_call();
    }
    question another = {ANOTHER_LINE, 0};
    all(first, &another, sizeof another, 1, "its start");
    own = answer_the_call();
    pthread_setspecific(closing, (void *)(size_t)own);
    pthread_mutex_unlock(&lines);
    return own;
}

static void ask(uint32_t call, void *arguments, size_t bytes, const char *name) {
    int line = line_of_this_thread();
    question asked = {call, (uint32_t)bytes};
    all(line, &asked, sizeof asked, 1, name);
    all(line, arguments, bytes, 1, name);
    all(line, arguments, bytes, 0, name);
}

/* `keep` copies the parameters into the fields of `a`, which travel. */
#define CALL(result, name, parameters, fields, keep, ...) \
    result name parameters {                              \
        struct {                                          \
            fields result returned;                       \
        } a;                                              \
        keep ask(NUMBER_##name, &a, sizeof a, #name);     \
        return a.returned;                                \
    }
#define CALL_WITHOUT_RESULT(name, parameters, fields, keep, ...) \
    void name parameters {                                       \
        struct {                                                 \
            fields                                               \
        } a;                                                     \
        keep ask(NUMBER_##name, &a, sizeof a, #name);            \
    }
#include "calls.inc"
