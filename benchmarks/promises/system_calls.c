/* Calls of the system that fail when they are told to, and that are written down: loaded before the
 * C library (LD_PRELOAD).
 *
 * The process that is tried calls `arm` with a folder; from then on the calls that touch files below
 * it are counted, and the one at the number `at` fails. The plan lies in memory that a parent and its
 * children share, so the parent reads from it what happened. With a file for a log, each call that
 * worked is a line there: its name, the number of the file (its inode), and what else it takes to do
 * it again; the bytes of a write follow their line.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The kinds of calls, in the same order as CALLS in failing_calls.py. */
enum { READING, WRITING, WRITE, FSYNC, RENAME, CLOSE, TRUNCATE, MKDIR, UNLINK };

enum { LISTED = 8192 };

struct plan {
    long kinds;  /* which kinds count: a bit each */
    long at;     /* the number of the call that fails, counted from 1; 0: none */
    long error;  /* errno; 0: half of what is to be written is */
    long later;  /* errno of all calls after it; 0: they work */
    long count;  /* how many were counted */
    long kind;   /* of the call that failed */
    char path[PATH_MAX];
    char kinds_of[LISTED]; /* the kind of each call that was counted */
};

static struct plan *plan;
static char folder[PATH_MAX];
static size_t length;
static int log_file = -1;

struct plan *shared_plan(void) { return plan; }

/* An empty path ends it. An empty name of a log: there is none. */
void arm(const char *path, const char *log) {
    length = strlen(path);
    memcpy(folder, path, length + 1);
    if (*log) log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (!length) log_file = -1;
}

__attribute__((constructor)) static void prepare(void) {
    plan = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (plan == MAP_FAILED) _exit(99);
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static int of_descriptor(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return 1;
}

static int is_inside(const char *path) { return strncmp(path, folder, length) == 0; }

/* What a call is to return in errno; -1: half; 0: nothing is the matter. */
static int refused(int kind, const char *path) {
    if (!(plan->kinds >> kind & 1)) return 0;
    long number = __atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST);
    if (number <= LISTED) plan->kinds_of[number - 1] = (char)kind;
    if (!plan->at || number < plan->at) return 0;
    if (number > plan->at) return (int)plan->later;
    plan->kind = kind;
    strncpy(plan->path, path, PATH_MAX - 1);
    return plan->error ? (int)plan->error : -1;
}

/* The whole path of a file that is named in a call; whether it is below the folder. */
static int whole_path(int directory, const char *name, char *path) {
    path[0] = 0;
    if (!length || !name) return 0;
    if (name[0] != '/') {
        if (directory == AT_FDCWD ? !getcwd(path, PATH_MAX) : !of_descriptor(directory, path))
            return 0;
        strcat(path, "/");
    }
    strncat(path, name, PATH_MAX - 1);
    return is_inside(path);
}

static int refused_name(int kind, int directory, const char *name) {
    char path[2 * PATH_MAX];
    return whole_path(directory, name, path) ? refused(kind, path) : 0;
}

static int refused_descriptor(int kind, int descriptor) {
    char path[PATH_MAX];
    if (!length || !of_descriptor(descriptor, path) || !is_inside(path)) return 0;
    return refused(kind, path);
}

static void note(const char *format, ...) {
    char line[3 * PATH_MAX];
    int kept = errno;
    va_list rest;
    va_start(rest, format);
    int size = vsnprintf(line, sizeof line, format, rest);
    va_end(rest);
    if (syscall(SYS_write, log_file, line, (size_t)size) != size) _exit(98);
    errno = kept;
}

static int noted_name(int directory, const char *name, char *path) {
    return log_file >= 0 && whole_path(directory, name, path);
}

/* The inode of a descriptor that is noted down; 0: it is not. */
static unsigned long noted_inode(int descriptor, struct stat *status) {
    char path[PATH_MAX];
    if (log_file < 0 || !length || !of_descriptor(descriptor, path) || !is_inside(path)) return 0;
    return fstat(descriptor, status) ? 0 : status->st_ino;
}

static int noted_open(int done, int flags, int was_there, const char *path) {
    struct stat status;
    if (done >= 0 && flags & O_CREAT && !was_there && !fstat(done, &status))
        note("create %lu %s\n", (unsigned long)status.st_ino, path);
    return done;
}

static int noted_path(int done, const char *what, const char *path) {
    if (done == 0 && path[0]) note("%s 0 %s\n", what, path);
    return done;
}

#define FAIL_IF(what) \
    do { \
        int found = (what); \
        if (found) { errno = found; return -1; } \
    } while (0)

#define OPENING(flags) ((flags) & (O_WRONLY | O_RDWR | O_CREAT) ? WRITING : READING)
#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

#define DEFINE_OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags, mode) \
        FAIL_IF(refused_name(OPENING(flags), AT_FDCWD, path)); \
        char whole[2 * PATH_MAX]; \
        if (!noted_name(AT_FDCWD, path, whole)) return real(path, flags, mode); \
        int was_there = !access(whole, F_OK); \
        return noted_open(real(path, flags, mode), flags, was_there, whole); \
    }
#define DEFINE_OPENAT(name) \
    int name(int directory, const char *path, int flags, ...) { \
        REAL(name); \
        MODE(flags, mode) \
        FAIL_IF(refused_name(OPENING(flags), directory, path)); \
        char whole[2 * PATH_MAX]; \
        if (!noted_name(directory, path, whole)) return real(directory, path, flags, mode); \
        int was_there = !access(whole, F_OK); \
        return noted_open(real(directory, path, flags, mode), flags, was_there, whole); \
    }
DEFINE_OPEN(open)
DEFINE_OPEN(open64)
DEFINE_OPENAT(openat)
DEFINE_OPENAT(openat64)

ssize_t write(int descriptor, const void *data, size_t size) {
    REAL(write);
    struct stat status;
    if (!length) return real(descriptor, data, size);
    int code = size < 2 ? 0 : refused_descriptor(WRITE, descriptor);
    if (code < 0) size /= 2;
    else FAIL_IF(code);
    unsigned long inode = noted_inode(descriptor, &status);
    ssize_t done = real(descriptor, data, size);
    if (inode && done > 0) {
        long end = lseek(descriptor, 0, SEEK_CUR);
        note("write %lu %ld %ld\n", inode, end - (long)done, (long)done);
        if (syscall(SYS_write, log_file, data, (size_t)done) != done) _exit(98);
    }
    return done;
}

int fsync(int descriptor) {
    REAL(fsync);
    struct stat status;
    char path[PATH_MAX];
    FAIL_IF(refused_descriptor(FSYNC, descriptor));
    int done = real(descriptor);
    unsigned long inode = noted_inode(descriptor, &status);
    if (done == 0 && inode && of_descriptor(descriptor, path))
        note("%s %lu %s\n", S_ISDIR(status.st_mode) ? "syncdir" : "sync", inode, path);
    return done;
}

int close(int descriptor) {
    REAL(close);
    int code = 0;
    /* A file that was only read closes without an error. */
    if (length && (fcntl(descriptor, F_GETFL) & O_ACCMODE) != O_RDONLY)
        code = refused_descriptor(CLOSE, descriptor);
    int done = real(descriptor);  /* Linux closes it even then. */
    FAIL_IF(code);
    return done;
}

int rename(const char *from, const char *to) {
    REAL(rename);
    FAIL_IF(refused_name(RENAME, AT_FDCWD, to));
    char old[2 * PATH_MAX], new[2 * PATH_MAX];
    int is_noted = noted_name(AT_FDCWD, from, old) && noted_name(AT_FDCWD, to, new);
    int done = real(from, to);
    if (done == 0 && is_noted) note("rename 0 %s\t%s\n", old, new);
    return done;
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
    REAL(renameat);
    FAIL_IF(refused_name(RENAME, to_directory, to));
    char old[2 * PATH_MAX], new[2 * PATH_MAX];
    int is_noted = noted_name(from_directory, from, old) && noted_name(to_directory, to, new);
    int done = real(from_directory, from, to_directory, to);
    if (done == 0 && is_noted) note("rename 0 %s\t%s\n", old, new);
    return done;
}

int ftruncate(int descriptor, off_t size) {
    REAL(ftruncate);
    FAIL_IF(refused_descriptor(TRUNCATE, descriptor));
    struct stat status;
    int done = real(descriptor, size);
    unsigned long inode = noted_inode(descriptor, &status);
    if (done == 0 && inode) note("truncate %lu %ld\n", inode, (long)size);
    return done;
}

int ftruncate64(int descriptor, off64_t size) {
    REAL(ftruncate64);
    FAIL_IF(refused_descriptor(TRUNCATE, descriptor));
    struct stat status;
    int done = real(descriptor, size);
    unsigned long inode = noted_inode(descriptor, &status);
    if (done == 0 && inode) note("truncate %lu %ld\n", inode, (long)size);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    FAIL_IF(refused_name(MKDIR, AT_FDCWD, path));
    char whole[2 * PATH_MAX];
    if (!noted_name(AT_FDCWD, path, whole)) whole[0] = 0;
    return noted_path(real(path, mode), "mkdir", whole);
}

int mkdirat(int directory, const char *path, mode_t mode) {
    REAL(mkdirat);
    FAIL_IF(refused_name(MKDIR, directory, path));
    char whole[2 * PATH_MAX];
    if (!noted_name(directory, path, whole)) whole[0] = 0;
    return noted_path(real(directory, path, mode), "mkdir", whole);
}

int unlink(const char *path) {
    REAL(unlink);
    FAIL_IF(refused_name(UNLINK, AT_FDCWD, path));
    char whole[2 * PATH_MAX];
    if (!noted_name(AT_FDCWD, path, whole)) whole[0] = 0;
    return noted_path(real(path), "unlink", whole);
}

int unlinkat(int directory, const char *path, int flags) {
    REAL(unlinkat);
    FAIL_IF(refused_name(UNLINK, directory, path));
    char whole[2 * PATH_MAX];
    if (!noted_name(directory, path, whole)) whole[0] = 0;
    return noted_path(real(directory, path, flags), "unlink", whole);
}

int rmdir(const char *path) {
    REAL(rmdir);
    FAIL_IF(refused_name(UNLINK, AT_FDCWD, path));
    char whole[2 * PATH_MAX];
    if (!noted_name(AT_FDCWD, path, whole)) whole[0] = 0;
    return noted_path(real(path), "unlink", whole);
}
