/* Tasks (table task_executions). Every write by a runner names its lease epoch: zero rows changed
 * means the lease is lost and gives ERR_CANCELLED "lease lost". */
#pragma once

#include "bot/base/attr.h"
#include "bot/base/err.h"
#include "bot/base/mem.h"
#include "bot/store/store.h"

#include <stdbool.h>
#include <stdint.h>

enum task_state {
    TASK_QUEUED,
    TASK_RUNNING,
    TASK_WAITING,
    TASK_SUCCEEDED,
    TASK_NO_CHANGES,
    TASK_FAILED,
    TASK_CANCELLED,
    TASK_NEEDS_HUMAN,
    TASK_STATES
};
const char *task_state_name(enum task_state s);
bool task_state_parse(struct str name, enum task_state *out) MUST_CHECK;
bool task_state_is_final(enum task_state s);

/* One row, strings in the arena, NULL = SQL NULL, 0 = none for numbers. */
struct task {
    const char *id;
    enum task_state state;
    const char *step;
    const char *source;
    int64_t installation_id;
    int64_t repository_id;
    const char *repository; /* owner/name */
    int issue;
    const char *title;
    const char *description;
    const char *requested_by;
    int64_t requested_by_id;
    int64_t trigger_comment;
    const char *base;
    const char *base_sha;
    const char *branch;
    const char *head_sha;
    const char *commit_history; /* JSON array */
    const char *facts;          /* JSON object: what the bot itself measured */
    int pull_request;
    const char *pull_request_url;
    const char *pull_request_state;
    int64_t status_comment;
    const char *sandbox_id; /* our uuid */
    const char *agent;
    const char *squad;
    const char *reviewers; /* JSON array */
    const char *limits;    /* JSON object */
    const char *metadata;  /* JSON object */
    int attempt;
    int crashes;
    const char *error_kind;
    const char *error_message;
    double cost_usd;
    int64_t tokens_input;
    int64_t tokens_output;
    bool cancel_requested;
    const char *cancel_reason;
    int64_t lease_epoch;
    int64_t created_ms; /* wall time, ms since 1970; 0 = NULL */
    int64_t started_ms;
    int64_t finished_ms;
    int queue_position; /* 1 = next; 0 = not queued; exact up to 1,000; not by task_claim() */
};

/* id, source, repository_id, repository and title must be set; the rest as known. *created = false
 * when the id exists, or a live task has the same issue: then *out_id (in the arena) is that one.
 */
bool task_insert(struct store *s, const struct task *t, struct arena *arena, bool *created,
                 const char **out_id, struct err *err) MUST_CHECK;
bool task_get(struct store *s, const char *id, struct arena *arena, struct task *out,
              struct err *err) MUST_CHECK; /* ERR_GONE when unknown */
/* The newest task of an issue / of a pull request; *found = false when there is none. */
bool task_of_issue(struct store *s, int64_t repository_id, int issue, struct arena *arena,
                   struct task *out, bool *found, struct err *err) MUST_CHECK;
bool task_of_pull_request(struct store *s, int64_t repository_id, int number, struct arena *arena,
                          struct task *out, bool *found, struct err *err) MUST_CHECK;

struct task_filter {
    const char *state;      /* NULL = any */
    const char *repository; /* owner/name */
    const char *squad;
    const char *cursor; /* opaque, from an earlier page */
    int limit;          /* 1..100 */
};
/* Newest first. *next is NULL on the last page. Rows in the arena. */
bool task_list(struct store *s, const struct task_filter *f, struct arena *arena,
               struct task **rows, int *n, const char **next, struct err *err) MUST_CHECK;

/* Leases: claims one runnable task (queued and due, or running with an expired lease), raises the
 * epoch, enters running, appends a task_state event. *expired = it was taken from a silent owner.
 */
bool task_claim(struct store *s, const char *owner, int lease_s, struct arena *arena,
                struct task *out, bool *found, bool *expired, struct err *err) MUST_CHECK;
/* One statement a process: extends all leases of owner. */
bool task_heartbeat(struct store *s, const char *owner, int lease_s, struct err *err) MUST_CHECK;
/* Ids (arena) of running tasks of owner whose cancel was requested. */
bool task_cancel_requests(struct store *s, const char *owner, struct arena *arena,
                          const char ***ids, int *n, struct err *err) MUST_CHECK;
/* Gives a running task back to the queue without counting an attempt (drain, snooze), also one
 * whose stop was requested: the next run ends it. */
bool task_release(struct store *s, const char *id, int64_t epoch, int delay_s,
                  struct err *err) MUST_CHECK;

/* Facts that the steps learn, one setter with the columns that changed (others NULL/0 = keep). */
struct task_update {
    const char *base, *base_sha, *branch, *head_sha, *commit_history;
    const char *facts; /* JSON object, merged into the stored one */
    int pull_request;
    const char *pull_request_url, *pull_request_state;
    int64_t status_comment;
    const char *sandbox_id;
    const char *repository; /* after a rename */
    double cost_add;
    int64_t tokens_input_add, tokens_output_add;
    const void *patch; /* bytes, NULL = keep */
    size_t patch_n;
};
/* ERR_CONFLICT when the branch has another live owner. */
bool task_update(struct store *s, const char *id, int64_t epoch, const struct task_update *u,
                 struct err *err) MUST_CHECK;

/* The single state setter for runners: from running to `to`, with error (NULL = none), appends the
 * task_state event, NOTIFYs. */
bool task_enter(struct store *s, const char *id, int64_t epoch, enum task_state to,
                const struct err *error, struct err *err) MUST_CHECK;
/* Asks a live task to stop. One that never ran is cancelled at once, of others a run takes care:
 * the task stays running, or is queued and claimed with cancel_requested. *was (may be NULL) =
 * state before. ERR_GONE unknown. Finished ones are left alone. */
bool task_cancel(struct store *s, const char *id, const char *reason, enum task_state *was,
                 struct err *err) MUST_CHECK;
/* A finished task becomes queued again, attempt + 1. ERR_CONFLICT when it is not finished. */
bool task_retry(struct store *s, const char *id, struct err *err) MUST_CHECK;

/* After the end (no lease): pull request state and branch, by the events of GitHub. */
bool task_pull_request_closed(struct store *s, const char *id, const char *state,
                              struct err *err) MUST_CHECK; /* appends pr_merged for "merged" */
bool task_branch_deleted(struct store *s, const char *id, struct err *err) MUST_CHECK;
bool task_patch(struct store *s, const char *id, struct buf *out, struct err *err) MUST_CHECK;
bool task_counts(struct store *s, int64_t counts[TASK_STATES], struct err *err) MUST_CHECK;
/* Is `branch` (task-12) free for this issue, and if not, is it this issue's own open pull request?
 */
bool task_branch_owner(struct store *s, int64_t repository_id, const char *branch,
                       struct arena *arena, struct task *newest, bool *found,
                       struct err *err) MUST_CHECK;
