/* The end of the bridge beside the engine, on Windows or on Linux: it loads the library, maps the
 * memory that here.c shares, and makes each call that it is asked for, each line in its own thread.
 * Usage: there LIBRARY PORT MEMORY */
#ifdef _WIN32
#include <winsock2.h>
#else
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#endif
#include "bridge.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest arguments are some twenty words. */
#define MOST_BYTES 512

static int port;
static void (*found[CALLS])(void);

static void fail(const char *what) {
    fprintf(stderr, "bridge, beside the engine: %s\n", what);
    exit(70);
}

#ifdef _WIN32
typedef SOCKET line_to;

static void hang_up(line_to line) { closesocket(line); }

static void share_memory(const char *path) {
    char name[200] = "\\\\?\\unix";
    strncat(name, path, 150);
    for (char *c = name; *c; c++)
        if (*c == '/') *c = '\\';
    HANDLE file = CreateFileA(name, GENERIC_READ | GENERIC_WRITE,
                              FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (file == INVALID_HANDLE_VALUE) fail("the memory is not found");
    HANDLE memory = CreateFileMappingA(file, NULL, PAGE_READWRITE, 0, 0, NULL);
    if (!memory) fail("the memory cannot be shared");
    if (MapViewOfFileEx(memory, FILE_MAP_ALL_ACCESS, 0, 0, ARENA_BYTES, ARENA) != ARENA)
        fail("the place of the memory is taken");
}

static void load(const char *library) {
    HMODULE engine = LoadLibraryA(library);
    if (!engine) fail("the library cannot be loaded");
#define CALL(result, name, ...) found[NUMBER_##name] = (void (*)(void))GetProcAddress(engine, #name);
#define CALL_WITHOUT_RESULT(name, ...) CALL(void, name, )
#include "calls.inc"
#undef CALL
#undef CALL_WITHOUT_RESULT
    WSADATA ignored;
    if (WSAStartup(MAKEWORD(2, 2), &ignored)) fail("there are no sockets");
}
#else
typedef int line_to;

static void hang_up(line_to line) { close(line); }

static void share_memory(const char *path) {
    int file = open(path, O_RDWR);
    if (file < 0) fail("the memory is not found");
    if (mmap(ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, file, 0) != ARENA)
        fail("the place of the memory is taken");
}

static void load(const char *library) {
    void *engine = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!engine) fail(dlerror());
#define CALL(result, name, ...) found[NUMBER_##name] = (void (*)(void))dlsym(engine, #name);
#define CALL_WITHOUT_RESULT(name, ...) CALL(void, name, )
#include "calls.inc"
#undef CALL
#undef CALL_WITHOUT_RESULT
}
#endif

#define CALL(result, name, parameters, fields, keep, passed) \
    static void make_##name(void *bytes) {                     \
        struct {                                               \
            fields result returned;                            \
        } *a = bytes;                                          \
        a->returned = ((result(*) parameters)found[NUMBER_##name])passed; \
    }
#define CALL_WITHOUT_RESULT(name, parameters, fields, keep, passed) \
    static void make_##name(void *bytes) {                            \
        struct {                                                      \
            fields                                                    \
        } *a = bytes;                                                 \
        ((void(*) parameters)found[NUMBER_##name])passed;             \
    }
#include "calls.inc"
#undef CALL
#undef CALL_WITHOUT_RESULT

static void (*const make[CALLS])(void *) = {
#define CALL(result, name, ...) [NUMBER_##name] = make_##name,
#define CALL_WITHOUT_RESULT(name, ...) CALL(void, name, )
#include "calls.inc"
};

/* Send or receive all; 0 where the other end has hung up. */
static int all(line_to line, void *bytes, size_t count, int is_sent) {
    for (char *at = bytes; count;) {
        int part = (int)count, done;
        done = is_sent ? (int)send(line, at, part, 0) : (int)recv(line, at, part, 0);
        if (done <= 0) return 0;
        at += done;
        count -= (size_t)done;
    }
    return 1;
}

static line_to called(void) {
    struct sockaddr_in at = {0};
    at.sin_family = AF_INET;
    at.sin_port = htons((unsigned short)port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    line_to line = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(line, IPPROTO_TCP, TCP_NODELAY, (const char *)&yes, sizeof yes);
    if (connect(line, (struct sockaddr *)&at, sizeof at)) fail("Python does not listen");
    return line;
}

TG_THREAD(answer, unused) {
    (void)unused;
    line_to line = called();
    question asked;
    while (all(line, &asked, sizeof asked, 0)) {
        _Alignas(16) char arguments[MOST_BYTES];
        if (asked.call >= CALLS || asked.bytes > MOST_BYTES) fail("a question that is none");
        if (!found[asked.call]) fail("the library lacks a call");
        if (!all(line, arguments, asked.bytes, 0)) break;
        make[asked.call](arguments);
        if (!all(line, arguments, asked.bytes, 1)) break;
    }
    hang_up(line);
    return TG_THREAD_END;
}

int main(int count, char **words) {
    if (count != 4) fail("usage: there LIBRARY PORT MEMORY");
    port = atoi(words[2]);
    share_memory(words[3]);
    load(words[1]);
    line_to line = called();
    for (question asked; all(line, &asked, sizeof asked, 0);) /* until Python ends */
        if (asked.call != ANOTHER_LINE || !tg_start(answer, NULL)) fail("no thread");
    return 0;
}
