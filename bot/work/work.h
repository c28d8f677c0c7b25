/* The engine room: four kinds of threads that move work on, each woken by a bell and, because a
 * wake-up may get lost, by a poll too.
 *   dispatcher  inbox → handlers → outbox          (one thread, pure inside its transaction)
 *   performers  outbox → GitHub and tasks          (WORK_PERFORMERS threads)
 *   runner      tasks → steps                      (one claiming thread, one thread a running task)
 *   janitor     gauges, leaked sandboxes           (one thread)
 * Main thread calls start and stop. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/task/env.h"

#include <stdbool.h>

#define WORK_PERFORMERS 4

struct work;
struct work_config {
    const struct task_env *env; /* borrowed, until work_free */
    int max_tasks;
};
bool work_start(const struct work_config *config, struct work **out, struct err *err) MUST_CHECK;

/* From any thread, also from event loops: something is new there. */
void work_wake_inbox(struct work *w);
void work_wake_outbox(struct work *w);
void work_wake_tasks(struct work *w);
/* A cancel was requested somewhere: look now instead of at the next heartbeat. */
void work_wake_cancel(struct work *w);

/* Stops claiming, releases the leases of running tasks (their agents go on in their sandboxes),
 * waits for all threads, at most grace_ms; true when nothing is left. */
bool work_stop(struct work *w, int64_t grace_ms);
void work_free(struct work *w); /* after a work_stop that was true */
