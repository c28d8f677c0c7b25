/* Named threads with small explicit stacks, and a stop flag with a condition. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THREAD_STACK_BYTES ((size_t)512 * 1024)

/* name: at most 15 characters. All signals are blocked in the new thread. */
bool thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg,
                  struct err *err) MUST_CHECK;

/* A bell: ring() wakes one waiter now or makes the next wait return at once. Waits use the
 * monotonic clock. */
struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    uint64_t rung;
    uint64_t heard;
};
void bell_init(struct bell *b);
void bell_done(struct bell *b);
void bell_ring(struct bell *b);
bool bell_wait(struct bell *b, int64_t ms); /* true = rung, false = time over */
