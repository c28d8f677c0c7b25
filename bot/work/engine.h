/* The engine room: four kinds of threads that move work on, each woken by a bell and, because a
 * wake-up may get lost, by a poll too.
 *   dispatcher  inbox → handlers → outbox          (one thread, pure inside its transaction)
 *   performers  outbox → GitHub and tasks          (ENGINE_PERFORMERS threads)
 *   runner      tasks → steps                      (one claiming thread, one thread a running task)
 *   janitor     gauges, leaked sandboxes           (one thread)
 * Main thread calls start and stop. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/task/env.h"

#include <stdbool.h>

#define ENGINE_PERFORMERS 4

struct engine;
struct engine_config {
    const struct task_env *env; /* borrowed, until engine_free */
    int max_tasks;
};
bool engine_start(const struct engine_config *config, struct engine **out,
                  struct err *err) MUST_CHECK;

/* From any thread, also from event loops: something is new there. */
void engine_wake_inbox(struct engine *w);
void engine_wake_outbox(struct engine *w);
void engine_wake_tasks(struct engine *w);
/* A cancel was requested somewhere: look now instead of at the next heartbeat. */
void engine_wake_cancel(struct engine *w);

/* Stops claiming, releases the leases of running tasks (their agents go on in their sandboxes),
 * waits for all threads, at most grace_ms; true when nothing is left. */
bool engine_stop(struct engine *w, int64_t grace_ms);
void engine_free(struct engine *w); /* after a engine_stop that was true */
