/* Internal to bot/store: how a row of task_executions becomes a struct task, and the two pieces of
 * SQL that every state change shares. */
#pragma once

#include "bot/store/pg.h"
#include "bot/store/tasks.h"

#define TASK_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"

/* The order is that of enum task_column in task_row.c; alias t. */
#define TASK_COLUMNS                                                                               \
    "t.id, t.state::text, t.step, t.source, t.installation_id, t.repository_id, t.repository,"     \
    " t.issue, t.title, t.description, t.requested_by, t.requested_by_id, t.trigger_comment,"      \
    " t.base, t.base_sha, t.git_branch, t.head_sha, t.commit_history::text, t.facts::text,"        \
    " t.pull_request, t.pull_request_url, t.pull_request_state, t.status_comment,"                 \
    " t.sandbox_id::text, t.agent, t.squad, t.reviewers::text, t.limits::text,"                    \
    " t.metadata::text, t.attempt, t.crashes, t.error_kind, t.error_message,"                      \
    " t.cost_usd::float8, t.tokens_input, t.tokens_output, t.cancel_requested,"                    \
    " t.cancel_reason, t.lease_epoch, " TASK_MS("t.created_at") ", " TASK_MS(                      \
        "t.started_at") ", " TASK_MS("t.finished_at")

/* How many queued tasks come before, plus one; told exactly up to 1,000. Only where it is shown. */
#define TASK_QUEUE_POSITION                                                                        \
    ", CASE WHEN t.state = 'queued' THEN 1 + (SELECT count(*) FROM (SELECT FROM task_executions q" \
    " WHERE q.state = 'queued' AND (q.run_at, q.created_at, q.id) < (t.run_at, t.created_at, "     \
    "t.id)"                                                                                        \
    " LIMIT 1000) earlier) ELSE 0 END"

/* A CTE that appends the task_state event of every row of `changed` (id, state). */
#define TASK_STATE_EVENT                                                                           \
    "event AS (INSERT INTO task_events (task_id, kind, data)"                                      \
    " SELECT id, 'task_state', jsonb_build_object('state', state) FROM changed RETURNING task_id)"

/* The lease is ours: locks the row, so that nobody can take it before this statement's end. */
#define TASK_FENCE                                                                                 \
    "SELECT id FROM task_executions WHERE id = $1::text AND lease_epoch = $2::bigint"              \
    " AND state = 'running' FOR NO KEY UPDATE"

struct task task_read(const PGresult *res, int row, struct arena *arena);
#define TASK_COLUMN_COUNT 42

/* Runs a fenced statement whose result has a row only when the lease still holds. */
bool task_fenced(struct store *s, const struct pg_sql *q, const struct pg_args *a, PGresult **out,
                 struct err *err) MUST_CHECK;
