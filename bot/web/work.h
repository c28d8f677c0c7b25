/* A few threads for what blocks (database calls of the API and of streams), so that loops never do.
 * work_add() may be called from any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>

struct work;
/* Embedded by whoever wants something done; run() owns it from then on. */
struct job {
    struct job *next;
    void (*run)(struct job *job);
};

bool work_start(int threads, struct work **out, struct err *err) MUST_CHECK;
/* False when too much waits already. `bounded` jobs are limited elsewhere (one a stream) and are
 * always taken. */
bool work_add(struct work *w, struct job *job, bool bounded) MUST_CHECK;
void work_stop(struct work *w); /* does what waits, takes no more, ends its threads */
void work_free(struct work *w); /* NULL is fine */
