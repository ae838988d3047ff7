/* What the two ends of the bridge share: where the memory lies, and what is said. */
#ifndef BRIDGE_H
#define BRIDGE_H

#include "count_api.h"

/* The same address in both programs, so that every pointer into it holds in both. Nothing else lies
 * there, on Linux and on Windows. Wine maps no more than the machine has. */
#define ARENA ((char *)0x100000000000)
#define ARENA_BYTES ((size_t)4 << 30)

/* A question is this, and then the arguments, which come back with the result. */
typedef struct {
    uint32_t call, bytes;
} question;

/* The numbers of the calls. */
#define CALL(result, name, ...) NUMBER_##name,
#define CALL_WITHOUT_RESULT(name, ...) NUMBER_##name,
enum {
#include "calls.inc"
    CALLS,
    ANOTHER_LINE = CALLS /* not a call: another thread of Python wants a line of its own */
};
#undef CALL
#undef CALL_WITHOUT_RESULT

#endif
