/* The step journal and the event log.
 *
 * Order: readers follow events by id, so the ids of one task must rise in the order of their
 * commits. Therefore whoever appends an event locks the task's row first: the fence does, and
 * event_append() too. Across tasks there is no such lock; there event_list() stops before a gap in
 * the ids that a transaction under way may still fill.
 *
 * Limits: a gap that an aborted transaction left is waited for at most GAP_S seconds, which is
 * longer than any statement may take. */
#include "bot/store/steps.h"

#include "bot/store/task_row.h"

#include <assert.h>

#define GAP_S "20"

/* ------------------------------------------------------------------------------------- journal */

bool step_get(struct store *s, const char *task_id, int attempt, const char *name,
              struct arena *arena, struct step_row *out, struct err *err)
{
    static const struct pg_sql sql = {
        "step_get", "SELECT state = 'done', tries, intent::text, result::text FROM task_steps"
                    " WHERE task_id = $1::text AND attempt = $2::bigint AND name = $3::text"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, name);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *out = (struct step_row){0};
    if (PQntuples(res) > 0)
        *out = (struct step_row){.exists = true,
                                 .done = pg_bool(res, 0, 0),
                                 .tries = (int)pg_int(res, 0, 1),
                                 .intent = pg_dup(arena, res, 0, 2),
                                 .result = pg_dup(arena, res, 0, 3)};
    return true;
}

/* The event of every row of `changed` (task_id, name, status). */
#define STEP_EVENT                                                                                 \
    "event AS (INSERT INTO task_events (task_id, kind, data)"                                      \
    " SELECT task_id, 'step', jsonb_build_object('step', name, 'status', state) FROM changed"      \
    " RETURNING task_id) SELECT pg_notify('events', task_id)::text FROM event"

bool step_begin(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
                const char *intent_json, struct err *err)
{
    /* A repeat keeps what an earlier try noted. */
    static const struct pg_sql sql = {
        "step_begin",
        "WITH fence AS (UPDATE task_executions SET step = $4::text WHERE id = $1::text"
        "  AND lease_epoch = $2::bigint AND state = 'running' RETURNING id),"
        " changed AS (INSERT INTO task_steps AS s (task_id, attempt, name, state, epoch, intent)"
        "  SELECT id, $3::bigint, $4::text, 'started', $2::bigint,"
        "  coalesce($5::text::jsonb, '{}') FROM fence"
        "  ON CONFLICT (task_id, attempt, name) DO UPDATE SET state = 'started',"
        "  tries = s.tries + 1, epoch = excluded.epoch, intent = s.intent || excluded.intent,"
        "  error = NULL, started_at = now(), finished_at = NULL RETURNING task_id, name, state),"
        " " STEP_EVENT};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, epoch);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, name);
    pg_arg_text(&a, intent_json);
    return task_fenced(s, &sql, &a, NULL, err);
}

/* Distinguishes a lost lease from a step that never began, which is our own mistake. */
static bool changed_step(const PGresult *res, const char *name, struct err *err)
{
    return pg_int(res, 0, 0) > 0 || err_set(err, ERR_BUG, "step %s was not begun", name);
}

bool step_note(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
               const char *json, struct err *err)
{
    static const struct pg_sql sql = {
        "step_note", "WITH fence AS (" TASK_FENCE "),"
                     " changed AS (UPDATE task_steps s SET intent = s.intent || $5::text::jsonb"
                     "  FROM fence WHERE s.task_id = fence.id AND s.attempt = $3::bigint"
                     "  AND s.name = $4::text RETURNING 1)"
                     " SELECT (SELECT count(*) FROM changed) FROM fence"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, epoch);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, name);
    pg_arg_text(&a, json);
    AUTO(pg_resultp) PGresult *res = NULL;
    return task_fenced(s, &sql, &a, &res, err) && changed_step(res, name, err);
}

bool step_end(struct store *s, const char *task_id, int attempt, int64_t epoch, const char *name,
              bool ok, const char *result_json, const char *error, struct err *err)
{
    /* A step that ended shows that its process lives: crashes counts those since the last one. */
    static const struct pg_sql sql = {
        "step_end",
        "WITH fence AS (UPDATE task_executions SET crashes = CASE WHEN $5::bool THEN 0"
        "  ELSE crashes END WHERE id = $1::text AND lease_epoch = $2::bigint"
        "  AND state = 'running' RETURNING id),"
        " changed AS (UPDATE task_steps s SET finished_at = now(), error = $7::text,"
        "  state = CASE WHEN $5::bool THEN 'done'::step_state ELSE 'failed' END,"
        "  result = coalesce($6::text::jsonb, s.result)"
        "  FROM fence WHERE s.task_id = fence.id AND s.attempt = $3::bigint AND s.name = $4::text"
        "  RETURNING s.task_id, s.name, s.state),"
        " event AS (INSERT INTO task_events (task_id, kind, data)"
        "  SELECT task_id, 'step', jsonb_build_object('step', name, 'status', state) FROM changed"
        "  RETURNING task_id)"
        " SELECT (SELECT count(*) FROM changed),"
        " (SELECT pg_notify('events', task_id)::text FROM event) FROM fence"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, epoch);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, name);
    pg_arg_bool(&a, ok);
    pg_arg_text(&a, result_json);
    pg_arg_text(&a, ok ? NULL : error);
    AUTO(pg_resultp) PGresult *res = NULL;
    return task_fenced(s, &sql, &a, &res, err) && changed_step(res, name, err);
}

/* -------------------------------------------------------------------------------------- events */

bool event_append(struct store *s, const char *task_id, const char *kind, const char *data_json,
                  struct err *err)
{
    static const struct pg_sql sql = {
        "event_append",
        "WITH task AS (SELECT id FROM task_executions WHERE id = $1::text FOR NO KEY UPDATE),"
        " event AS (INSERT INTO task_events (task_id, kind, data)"
        "  SELECT id, $2::text, $3::text::jsonb FROM task RETURNING task_id)"
        " SELECT pg_notify('events', task_id)::text FROM event"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_text(&a, kind);
    pg_arg_text(&a, data_json);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    return PQntuples(res) > 0 || err_set(err, ERR_GONE, "no task %.64s", task_id);
}

static const struct pg_sql sql_log = {
    "log_append", "WITH fence AS (" TASK_FENCE "),"
                  " position AS (INSERT INTO task_log_position (task_id, attempt, stream, bytes)"
                  "  SELECT id, $3::bigint, $4::text, $5::bigint FROM fence"
                  "  ON CONFLICT (task_id, attempt, stream) DO UPDATE SET bytes = excluded.bytes),"
                  " event AS (INSERT INTO task_events (task_id, kind, data)"
                  "  SELECT fence.id, 'log', jsonb_build_object('stream', $4::text, 'text', line)"
                  "  FROM fence, unnest($6::text[]) WITH ORDINALITY AS u(line, nr) ORDER BY nr)"
                  " SELECT pg_notify('events', id)::text FROM fence"};
/* Only the position: an array of no lines has no binary form worth sending. */
static const struct pg_sql sql_log_position = {
    "log_append_position",
    "WITH fence AS (" TASK_FENCE "),"
    " position AS (INSERT INTO task_log_position (task_id, attempt, stream, bytes)"
    "  SELECT id, $3::bigint, $4::text, $5::bigint FROM fence"
    "  ON CONFLICT (task_id, attempt, stream) DO UPDATE SET bytes = excluded.bytes)"
    " SELECT id FROM fence"};

bool log_append(struct store *s, const char *task_id, int attempt, int64_t epoch,
                const char *stream, const struct str *lines, int n, int64_t position,
                struct err *err)
{
    assert(n >= 0);
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, epoch);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, stream);
    pg_arg_int(&a, position);
    if (n == 0)
        return task_fenced(s, &sql_log_position, &a, NULL, err);

    AUTO(buf_done) struct buf array = {0};
    pg_array_begin(&array, PG_TEXT, n);
    for (int i = 0; i < n; i++)
        pg_array_add_text(&array, lines[i]);
    if (array.overflow)
        return err_set(err, ERR_LIMIT, "too many log lines at once");
    pg_arg_array(&a, &array);
    return task_fenced(s, &sql_log, &a, NULL, err);
}

bool log_position(struct store *s, const char *task_id, int attempt, const char *stream,
                  int64_t *position, struct err *err)
{
    static const struct pg_sql sql = {"log_position",
                                      "SELECT bytes FROM task_log_position WHERE task_id = $1::text"
                                      " AND attempt = $2::bigint AND stream = $3::text"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, attempt);
    pg_arg_text(&a, stream);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    *position = PQntuples(res) > 0 ? pg_int(res, 0, 0) : 0;
    return true;
}

bool log_tail(struct store *s, const char *task_id, int lines, struct buf *out, struct err *err)
{
    static const struct pg_sql sql = {
        "log_tail", "SELECT text FROM (SELECT id, data->>'text' AS text FROM task_events"
                    " WHERE task_id = $1::text AND kind = 'log' ORDER BY id DESC"
                    " LIMIT $2::bigint) AS tail ORDER BY id"};
    struct pg_args a = {0};
    pg_arg_text(&a, task_id);
    pg_arg_int(&a, lines);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    for (int i = 0; i < PQntuples(res); i++) {
        buf_add_str(out, pg_str(res, i, 0));
        buf_putc(out, '\n');
    }
    return true;
}

#define EVENT_COLUMNS                                                                              \
    "id, task_id, kind, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'),"      \
    " data::text"

bool event_list(struct store *s, const char *task_id, int64_t after, int limit, struct arena *arena,
                struct event_row **rows, int *n, struct err *err)
{
    static const struct pg_sql of_task = {"event_list_task",
                                          "SELECT " EVENT_COLUMNS ", true FROM task_events"
                                          " WHERE id > $1::bigint AND task_id = $3::text"
                                          " ORDER BY id LIMIT $2::bigint"};
    /* The last column: can nothing come in before this row any more? */
    static const struct pg_sql of_all = {
        "event_list_all",
        "SELECT " EVENT_COLUMNS ", at < now() - interval '" GAP_S " seconds'"
        " OR pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())"
        " FROM task_events WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint"};
    struct pg_args a = {0};
    pg_arg_int(&a, after);
    pg_arg_int(&a, limit);
    if (task_id)
        pg_arg_text(&a, task_id);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, task_id ? &of_task : &of_all, &a, &res, err))
        return false;
    int count = PQntuples(res), kept = 0;
    *rows = arena_alloc(arena, (size_t)(count + 1) * sizeof(**rows));
    for (; kept < count; kept++) {
        int64_t id = pg_int(res, kept, 0);
        if (id != after + 1 && !pg_bool(res, kept, 5))
            break;
        after = id;
        (*rows)[kept] = (struct event_row){.id = id,
                                           .task_id = pg_dup(arena, res, kept, 1),
                                           .kind = pg_dup(arena, res, kept, 2),
                                           .at = pg_dup(arena, res, kept, 3),
                                           .data = pg_dup(arena, res, kept, 4)};
    }
    *n = kept;
    return true;
}
