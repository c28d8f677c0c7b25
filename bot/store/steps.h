/* The step journal and the event log of a task. All writes are fenced by the lease epoch. */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/base/str.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct step_row { /* strings in the arena */
    bool exists;
    bool done;
    int tries;
    const char *intent; /* JSON object */
    const char *result; /* JSON object */
};
bool step_get(struct store *s, const char *task_id, int attempt, const char *name,
              struct arena *arena, struct step_row *out, struct err *err) MUST_CHECK;
/* Before the effect: stores the intent, sets task.step, counts the try, appends a `step` event. */
bool step_begin(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
                const char *intent_json, struct err *err) MUST_CHECK;
/* More intent for a step under way (ids learned in its middle): merged into the stored object. */
bool step_note(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
               const char *json, struct err *err) MUST_CHECK;
/* After the effect. ok = false stores the error instead. */
bool step_end(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
              bool ok, const char *result_json, const char *error, struct err *err) MUST_CHECK;

/* Appends one event; data_json is an object without "task" and "at" (added when streamed). */
bool event_append(struct store *s, const char *task_id, const char *kind, const char *data_json,
                  struct err *err) MUST_CHECK;
/* Log lines and the new log position in one transaction; fenced. Lines are whole, without LF. */
bool log_append(struct store *s, const char *task_id, int attempt, int64_t epoch,
                const char *stream, const struct str *lines, int n, int64_t position,
                struct err *err) MUST_CHECK;
bool log_position(struct store *s, const char *task_id, int attempt, const char *stream,
                  int64_t *position, struct err *err) MUST_CHECK;

struct buf;
/* The texts of the task's last `lines` log lines, each with LF, in order. */
bool log_tail(struct store *s, const char *task_id, int lines, struct buf *out,
              struct err *err) MUST_CHECK;

struct event_row { /* strings in the arena */
    int64_t id;
    const char *task_id;
    const char *kind;
    const char *at;   /* RFC 3339 */
    const char *data; /* JSON object */
};
/* Events after an id, in order; task_id NULL = of all tasks. */
bool event_list(struct store *s, const char *task_id, int64_t after, int limit, struct arena *arena,
                struct event_row **rows, int *n, struct err *err) MUST_CHECK;
