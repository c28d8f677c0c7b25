/* The moves of a task between its states, and its lease. Each is one statement that also appends
 * the task_state event and notifies, so that no crash can part them; which moves are legal is
 * decided by the trigger task_guard of the schema.
 *
 * A task that no run has touched yet is cancelled at once. Any other has a sandbox and a status
 * comment somewhere: a run takes it up (again) to stop the agent, keep the work and say so. */
#include "bot/store/tasks.h"

#include "bot/store/installations.h"
#include "bot/store/task_row.h"

#include <assert.h>

/* Expired leases first, else work could starve behind a full queue. */
static const struct pg_sql sql_claim = {
    "task_claim",
    "WITH silent AS (SELECT id, true AS expired FROM task_executions"
    "  WHERE state = 'running' AND lease_until < now() ORDER BY lease_until LIMIT 1"
    "  FOR NO KEY UPDATE SKIP LOCKED),"
    " due AS (SELECT id, false AS expired FROM task_executions"
    "  WHERE state = 'queued' AND run_at <= now()"
    "  AND NOT EXISTS (SELECT FROM silent)"
    "  ORDER BY run_at, created_at, id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),"
    " one AS (SELECT * FROM silent UNION ALL SELECT * FROM due),"
    " t AS (UPDATE task_executions e SET state = 'running', lease_owner = $1::text,"
    "  lease_epoch = lease_epoch + 1, lease_until = now() + $2::bigint * interval '1 second',"
    "  started_at = coalesce(started_at, now()), crashes = crashes + one.expired::integer"
    "  FROM one WHERE e.id = one.id RETURNING e.*, one.expired),"
    " changed AS (SELECT id, state FROM t WHERE NOT expired), " TASK_STATE_EVENT
    " SELECT " TASK_COLUMNS ", t.expired, pg_notify('events', t.id)::text FROM t"};

bool task_claim(struct store *s, const char *owner, int lease_s, struct arena *arena,
                struct task *out, bool *found, bool *expired, struct err *err)
{
    struct pg_args a = {0};
    pg_arg_text(&a, owner);
    pg_arg_int(&a, lease_s);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql_claim, &a, &res, err))
        return false;
    *found = PQntuples(res) > 0;
    if (*found) {
        *out = task_read(res, 0, arena);
        *expired = pg_bool(res, 0, TASK_COLUMN_COUNT);
    }
    return true;
}

bool task_heartbeat(struct store *s, const char *owner, int lease_s, struct err *err)
{
    static const struct pg_sql sql = {
        "task_heartbeat",
        "UPDATE task_executions SET lease_until = now() + $2::bigint * interval '1 second'"
        " WHERE state = 'running' AND lease_owner = $1::text"};
    struct pg_args a = {0};
    pg_arg_text(&a, owner);
    pg_arg_int(&a, lease_s);
    return pg_run(s, &sql, &a, NULL, err);
}

bool task_cancel_requests(struct store *s, const char *owner, struct arena *arena,
                          const char ***ids, int *n, struct err *err)
{
    static const struct pg_sql sql = {"task_cancel_requests",
                                      "SELECT id FROM task_executions WHERE state = 'running'"
                                      " AND lease_owner = $1::text AND cancel_requested"};
    struct pg_args a = {0};
    pg_arg_text(&a, owner);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *n = PQntuples(res);
    *ids = arena_alloc(arena, (size_t)(*n + 1) * sizeof(**ids));
    for (int i = 0; i < *n; i++)
        (*ids)[i] = pg_dup(arena, res, i, 0);
    return true;
}

#define LEAVE " lease_owner = NULL, lease_until = NULL"
#define TELL                                                                                       \
    " SELECT pg_notify('events', task_id)::text, pg_notify('tasks', task_id)::text FROM event"

bool task_release(struct store *s, const char *id, int64_t epoch, int delay_s, struct err *err)
{
    static const struct pg_sql sql = {
        "task_release", "WITH changed AS (UPDATE task_executions SET state = 'queued',"
                        " run_at = now() + $3::bigint * interval '1 second'," LEAVE
                        " WHERE id = $1::text AND lease_epoch = $2::bigint AND state = 'running'"
                        " RETURNING id, state), " TASK_STATE_EVENT TELL};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_int(&a, epoch);
    pg_arg_int(&a, delay_s);
    return task_fenced(s, &sql, &a, NULL, err);
}

bool task_enter(struct store *s, const char *id, int64_t epoch, enum task_state to,
                const struct err *error, struct err *err)
{
    static const struct pg_sql sql = {
        "task_enter",
        "WITH changed AS (UPDATE task_executions SET state = $3::text::task_state,"
        " error_kind = $4::text, error_message = $5::text,"
        " finished_at = CASE WHEN task_is_live($3::text::task_state) THEN NULL ELSE now() "
        "END," LEAVE " WHERE id = $1::text AND lease_epoch = $2::bigint AND state = 'running'"
        " RETURNING id, state), " TASK_STATE_EVENT TELL};
    assert(to != TASK_RUNNING && to != TASK_QUEUED); /* task_claim(), task_release() */
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_int(&a, epoch);
    pg_arg_text(&a, task_state_name(to));
    pg_arg_text(&a, error ? err_policy(error->kind)->name : NULL);
    pg_arg_text(&a, error ? error->text : NULL);
    return task_fenced(s, &sql, &a, NULL, err);
}

/* Stops what `victim` selects (id, was). The first reason stays. */
#define STOP(reason)                                                                               \
    "stopped AS (UPDATE task_executions e SET cancel_requested = true,"                            \
    " cancel_reason = coalesce(e.cancel_reason, " reason "),"                                      \
    " state = CASE WHEN victim.was = 'running' THEN e.state"                                       \
    "  WHEN e.started_at IS NOT NULL THEN 'queued' ELSE 'cancelled' END,"                          \
    " finished_at = CASE WHEN e.started_at IS NULL THEN now() END,"                                \
    " run_at = least(e.run_at, now())"                                                             \
    " FROM victim WHERE e.id = victim.id AND task_is_live(victim.was) RETURNING e.id, e.state),"   \
    " changed AS (SELECT id, state FROM stopped WHERE state = 'cancelled'), " TASK_STATE_EVENT "," \
    " told AS (SELECT pg_notify(CASE state WHEN 'running' THEN 'cancel' WHEN 'queued' THEN"        \
    "  'tasks' ELSE 'events' END, id) FROM stopped)"

bool task_cancel(struct store *s, const char *id, const char *reason, enum task_state *was,
                 struct err *err)
{
    static const struct pg_sql sql = {
        "task_cancel",
        "WITH victim AS (SELECT id, state AS was FROM task_executions"
        " WHERE id = $1::text FOR NO KEY UPDATE), " STOP(
            "$2::text") " SELECT was::text, (SELECT count(*) FROM told) FROM victim"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_text(&a, reason);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    if (PQntuples(res) == 0)
        return err_set(err, ERR_GONE, "no task %.64s", id);
    enum task_state before = TASK_QUEUED;
    bool known = task_state_parse(pg_str(res, 0, 0), &before);
    assert(known);
    if (was)
        *was = before;
    return true;
}

bool installation_stop_tasks(struct store *s, int64_t id, const char *reason, int *n,
                             struct err *err)
{
    static const struct pg_sql sql = {
        "installation_stop_tasks",
        "WITH victim AS (SELECT id, state AS was FROM task_executions"
        " WHERE installation_id = $1::bigint AND state IN ('queued', 'running', 'waiting')"
        " ORDER BY id FOR NO KEY UPDATE), " STOP("$2::text") " SELECT count(*) FROM told"};
    struct pg_args a = {0};
    pg_arg_int(&a, id);
    pg_arg_text(&a, reason);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *n = (int)pg_int(res, 0, 0);
    return true;
}

bool task_retry(struct store *s, const char *id, struct err *err)
{
    static const struct pg_sql sql = {
        "task_retry",
        "WITH victim AS (SELECT id, state AS was FROM task_executions WHERE id = $1::text"
        "  FOR NO KEY UPDATE),"
        " changed AS (UPDATE task_executions e SET state = 'queued', attempt = attempt + 1,"
        "  crashes = 0, step = NULL, error_kind = NULL, error_message = NULL, sandbox_id = NULL,"
        "  cancel_requested = false, cancel_reason = NULL, run_at = now(), started_at = NULL,"
        "  finished_at = NULL FROM victim WHERE e.id = victim.id AND NOT task_is_live(victim.was)"
        "  RETURNING e.id, e.state), " TASK_STATE_EVENT
        " SELECT was::text, (SELECT pg_notify('events', task_id)::text FROM event),"
        " (SELECT pg_notify('tasks', task_id)::text FROM event), task_is_live(was) FROM victim"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    if (PQntuples(res) == 0)
        return err_set(err, ERR_GONE, "no task %.64s", id);
    if (pg_bool(res, 0, 3))
        return err_set(err, ERR_CONFLICT, "task %.64s is not finished", id);
    return true;
}
