/* A few threads for what blocks (database calls of the API and of streams), so that loops never do.
 * crew_add() may be called from any thread. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"

#include <stdbool.h>

struct crew;
/* Embedded by whoever wants something done; run() owns it from then on. */
struct job {
    struct job *next;
    void (*run)(struct job *job);
};

bool crew_start(int threads, struct crew **out, struct err *err) MUST_CHECK;
/* False when too much waits already. `bounded` jobs are limited elsewhere (one a stream) and are
 * always taken. */
bool crew_add(struct crew *w, struct job *job, bool bounded) MUST_CHECK;
void crew_stop(struct crew *w); /* does what waits, takes no more, ends its threads */
void crew_free(struct crew *w); /* NULL is fine */
