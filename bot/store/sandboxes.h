/* Sandboxes that we asked for: a row exists before the create call, so that one whose answer was
 * lost can be found by its nonce. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct sandbox_row { /* strings in the arena */
    const char *id;  /* uuid */
    const char *nonce;
    const char *e2b_id;
    const char *status;
    const char *task_id;
    const char *repository;
    const char *template_id;
    int cpu_count;
    int memory_mb;
    int64_t created_ms;
    int64_t expires_ms;
    double cost_usd;
};
/* Adds one in CREATED for a task and gives its uuid; ERR_CONFLICT when the task has a live one. */
bool sandbox_row_new(struct store *s, const char *task_id, const char *repository,
                     int64_t repository_id, const char *template_id, const char *nonce,
                     struct arena *arena, const char **id, struct err *err) MUST_CHECK;
bool sandbox_row_running(struct store *s, const char *id, const char *e2b_id, int cpu_count,
                         int memory_mb, int64_t expires_ms, struct err *err) MUST_CHECK;
bool sandbox_row_used(struct store *s, const char *id, int64_t expires_ms,
                      struct err *err) MUST_CHECK;
/* status TERMINATED or ERROR; adds the cost since created_at at the two rates of E2B. */
bool sandbox_row_ended(struct store *s, const char *id, const char *status, double *cost_usd,
                       struct err *err) MUST_CHECK;
bool sandbox_row_get(struct store *s, const char *id, struct arena *arena, struct sandbox_row *out,
                     struct err *err) MUST_CHECK;
/* The live one of a task; *found = false when there is none. */
bool sandbox_row_of_task(struct store *s, const char *task_id, struct arena *arena,
                         struct sandbox_row *out, bool *found, struct err *err) MUST_CHECK;
/* Rows still live whose task is finished or gone, older than grace_s: for the janitor. */
bool sandbox_row_orphans(struct store *s, int grace_s, struct arena *arena,
                         struct sandbox_row **rows, int *n, struct err *err) MUST_CHECK;
bool sandbox_row_counts(struct store *s, int64_t counts[5], struct err *err) MUST_CHECK;
