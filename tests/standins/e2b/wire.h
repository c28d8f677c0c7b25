/* What the stand-in and its process 1 inside a jail say to each other over a SOCK_SEQPACKET pair.
 * One fixed message; a START brings descriptors along: a memory file with the texts (cwd, argv…,
 * env…, each ended by NUL), then stdin, stdout, stderr. */
#pragma once

#include <stdint.h>

enum wire_kind {
    WIRE_HELLO,   /* in -> out, brings the jail's root folder (O_PATH) */
    WIRE_START,   /* out -> in: argc, envc, pty */
    WIRE_STARTED, /* in -> out: pid, or pid -1 and error = errno */
    WIRE_SIGNAL,  /* out -> in: pid (-1 = all but process 1), signal */
    WIRE_DONE,    /* in -> out: answer to SIGNAL; error = errno or 0 */
    WIRE_EXITED,  /* in -> out: token, status as wait() gives it */
};

struct wire_message {
    int32_t kind;
    int32_t pid;
    int32_t error;
    int32_t signal;
    int32_t status;
    int32_t pty;
    int32_t silent; /* a SIGNAL that wants no answer */
    int32_t unused; /* no padding */
    uint32_t argc;
    uint32_t envc;
    uint64_t token; /* chosen by the asker, repeated in every answer */
};

#define WIRE_START_FDS 4

/* The life of process 1: `standin-e2b --inside FD`. Never returns. */
void inside_run(int fd) __attribute__((noreturn));
