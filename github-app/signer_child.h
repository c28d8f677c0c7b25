/* Inside of the signer: what parent and child say to each other, and the child's main. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/secret.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SIGNER_TEXT_MAX 4000

struct signer_request {
    uint64_t number;
    int64_t skew_s;
};
/* One datagram: the head and `n` bytes of text. Number 0 is the greeting: the fingerprint, or why
 * the key cannot be used. */
struct signer_answer {
    uint64_t number;
    uint32_t ok; /* 0: text is a message */
    uint32_t n;
    char text[SIGNER_TEXT_MAX];
};
#define SIGNER_HEAD_BYTES ((size_t)16)

/* False in sanitizer builds, which need more system calls than the filter lets through. */
bool signer_child_is_confined(void);
/* Runs in the forked child with its end of the socket and the bot's pid; pem is this process's own
 * copy and is zeroed. */
NORETURN void signer_child_run(int fd, pid_t parent, const struct secret *pem, const char *issuer);
