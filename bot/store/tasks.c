/* Tasks: adding, finding, listing, and the facts that a run learns. The moves between states are
 * in task_moves.c. */
#include "bot/store/tasks.h"

#include "bot/base/enc.h"
#include "bot/store/task_row.h"

#include <assert.h>

/* --------------------------------------------------------------------------------------- insert */

static const struct pg_sql sql_insert = {
    "task_insert",
    "WITH changed AS (INSERT INTO task_executions (id, source, installation_id, repository_id,"
    " repository, issue, title, description, requested_by, requested_by_id, trigger_comment, base,"
    " git_branch, pull_request, pull_request_url, pull_request_state, status_comment, agent, squad,"
    " reviewers, limits, metadata) VALUES ($1::text, $2::text, $3::bigint, $4::bigint, $5::text,"
    " $6::bigint::integer, $7::text, coalesce($8::text, ''), $9::text, $10::bigint, $11::bigint,"
    " $12::text, $13::text, $14::bigint::integer, $15::text, $16::text, $17::bigint, $18::text,"
    " $19::text, coalesce($20::text::jsonb, '[]'), coalesce($21::text::jsonb, '{}'),"
    " coalesce($22::text::jsonb, '{}'))"
    " ON CONFLICT DO NOTHING RETURNING id, state), " TASK_STATE_EVENT
    " SELECT task_id, pg_notify('tasks', task_id)::text, pg_notify('events', task_id)::text"
    " FROM event"};
/* Whoever is in the way: the same id first. */
static const struct pg_sql sql_rival = {
    "task_rival",
    "SELECT id FROM task_executions WHERE id = $1::text OR (task_is_live(state)"
    " AND repository_id = $2::bigint AND (issue = $3::bigint OR git_branch = $4::text))"
    " ORDER BY id = $1::text DESC LIMIT 1"};

static bool try_insert(struct pg *c, const struct task *t, bool *created, struct err *err)
{
    struct pg_args a = {0};
    pg_arg_text(&a, t->id);
    pg_arg_text(&a, t->source);
    pg_arg_id(&a, t->installation_id);
    pg_arg_int(&a, t->repository_id);
    pg_arg_text(&a, t->repository);
    pg_arg_id(&a, t->issue);
    pg_arg_text(&a, t->title);
    pg_arg_text(&a, t->description);
    pg_arg_text(&a, t->requested_by);
    pg_arg_id(&a, t->requested_by_id);
    pg_arg_id(&a, t->trigger_comment);
    pg_arg_text(&a, t->base);
    pg_arg_text(&a, t->branch);
    pg_arg_id(&a, t->pull_request);
    pg_arg_text(&a, t->pull_request_url);
    pg_arg_text(&a, t->pull_request_state);
    pg_arg_id(&a, t->status_comment);
    pg_arg_text(&a, t->agent);
    pg_arg_text(&a, t->squad);
    pg_arg_text(&a, t->reviewers);
    pg_arg_text(&a, t->limits);
    pg_arg_text(&a, t->metadata);
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_exec(c, &sql_insert, &a, &res, err))
        return false;
    *created = PQntuples(res) > 0;
    return true;
}

bool task_insert(struct store *s, const struct task *t, struct arena *arena, bool *created,
                 const char **out_id, struct err *err)
{
    AUTO(pg_givep) struct pg *c = NULL;
    if (!pg_borrow(s, &c, err))
        return false;
    /* Again when the rival ended between the two statements. */
    for (int tries = 0; tries < 5; tries++) {
        bool fresh = false;
        if (!try_insert(c, t, &fresh, err))
            return false;
        if (fresh) {
            *created = true;
            *out_id = arena_str(arena, str_of(t->id));
            return true;
        }
        struct pg_args a = {0};
        pg_arg_text(&a, t->id);
        pg_arg_int(&a, t->repository_id);
        pg_arg_id(&a, t->issue);
        pg_arg_text(&a, t->branch);
        AUTO(pg_resultp) PGresult *res = NULL;
        if (!pg_exec(c, &sql_rival, &a, &res, err))
            return false;
        if (PQntuples(res) > 0) {
            *created = false;
            *out_id = pg_dup(arena, res, 0, 0);
            return true;
        }
    }
    return err_set(err, ERR_UPSTREAM, "task %s: its rival comes and goes", t->id);
}

/* ----------------------------------------------------------------------------------------- find */

/* Zero or one task. */
static bool find(struct store *s, const struct pg_sql *q, const struct pg_args *a,
                 struct arena *arena, struct task *out, bool *found, struct err *err)
{
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, q, a, &res, err))
        return false;
    *found = PQntuples(res) > 0;
    if (*found) {
        *out = task_read(res, 0, arena);
        out->queue_position = (int)pg_int(res, 0, TASK_COLUMN_COUNT);
    }
    return true;
}

#define SELECT_TASK "SELECT " TASK_COLUMNS TASK_QUEUE_POSITION " FROM task_executions t WHERE "
#define NEWEST      " ORDER BY t.created_at DESC, t.id DESC LIMIT 1"

bool task_get(struct store *s, const char *id, struct arena *arena, struct task *out,
              struct err *err)
{
    static const struct pg_sql sql = {"task_get", SELECT_TASK "t.id = $1::text"};
    struct pg_args a = {0};
    bool found = false;
    pg_arg_text(&a, id);
    if (!find(s, &sql, &a, arena, out, &found, err))
        return false;
    return found || err_set(err, ERR_GONE, "no task %.64s", id);
}

bool task_of_issue(struct store *s, int64_t repository_id, int issue, struct arena *arena,
                   struct task *out, bool *found, struct err *err)
{
    static const struct pg_sql sql = {
        "task_of_issue",
        SELECT_TASK "t.repository_id = $1::bigint AND t.issue = $2::bigint" NEWEST};
    struct pg_args a = {0};
    pg_arg_int(&a, repository_id);
    pg_arg_int(&a, issue);
    return find(s, &sql, &a, arena, out, found, err);
}

bool task_of_pull_request(struct store *s, int64_t repository_id, int number, struct arena *arena,
                          struct task *out, bool *found, struct err *err)
{
    static const struct pg_sql sql = {
        "task_of_pull_request",
        SELECT_TASK "t.repository_id = $1::bigint AND t.pull_request = $2::bigint" NEWEST};
    struct pg_args a = {0};
    pg_arg_int(&a, repository_id);
    pg_arg_int(&a, number);
    return find(s, &sql, &a, arena, out, found, err);
}

bool task_branch_owner(struct store *s, int64_t repository_id, const char *branch,
                       struct arena *arena, struct task *newest, bool *found, struct err *err)
{
    static const struct pg_sql sql = {
        "task_branch_owner",
        SELECT_TASK "t.repository_id = $1::bigint AND t.git_branch = $2::text" NEWEST};
    struct pg_args a = {0};
    pg_arg_int(&a, repository_id);
    pg_arg_text(&a, branch);
    return find(s, &sql, &a, arena, newest, found, err);
}

/* ----------------------------------------------------------------------------------------- list */

/* A cursor is base64url of "MICROSECONDS:ID" of the last row shown. */
static char *cursor_write(struct arena *arena, int64_t micros, const char *id)
{
    AUTO(buf_done) struct buf plain = {0};
    AUTO(buf_done) struct buf out = {0};
    buf_printf(&plain, "%lld:%s", (long long)micros, id);
    enc_base64url(&out, plain.data, plain.len);
    return arena_str(arena, buf_str(&out));
}

static bool cursor_read(const char *cursor, struct arena *arena, int64_t *micros, const char **id,
                        struct err *err)
{
    AUTO(buf_done) struct buf plain = {.max = 256};
    struct str rest, number;
    bool ok = strlen(cursor) < 200 && enc_unbase64(str_of(cursor), &plain);
    rest = buf_str(&plain);
    ok = ok && str_split(&rest, ':', &number) && str_to_i64(number, 0, INT64_MAX / 2, micros) &&
         rest.n > 0 && rest.n <= 64 && str_is_utf8(rest) && memchr(rest.p, 0, rest.n) == NULL;
    if (!ok)
        return err_set(err, ERR_INPUT, "cursor: not one of ours");
    *id = arena_str(arena, rest);
    return true;
}

/* The statement is put together from these constant parts, because only then can PostgreSQL plan
 * for the filters given and use their indexes; values stay parameters. */
static void list_sql(const struct task_filter *f, int64_t micros, const char *id, struct buf *sql,
                     struct pg_args *a)
{
    buf_puts(sql, "SELECT " TASK_COLUMNS TASK_QUEUE_POSITION
                  ", (extract(epoch FROM t.created_at) * 1000000)::bigint"
                  " FROM task_executions t WHERE true");
    if (f->state) {
        pg_arg_text(a, f->state);
        buf_printf(sql, " AND t.state = $%d::text::task_state", a->n);
    }
    if (f->repository) {
        pg_arg_text(a, f->repository);
        buf_printf(sql, " AND t.repository = $%d::text", a->n);
    }
    if (f->squad) {
        pg_arg_text(a, f->squad);
        buf_printf(sql, " AND t.squad = $%d::text", a->n);
    }
    if (id) {
        pg_arg_int(a, micros);
        pg_arg_text(a, id);
        buf_printf(sql,
                   " AND (t.created_at, t.id) < ('epoch'::timestamptz +"
                   " $%d::bigint * interval '1 microsecond', $%d::text)",
                   a->n - 1, a->n);
    }
    pg_arg_int(a, f->limit + 1); /* one more tells whether there is a next page */
    buf_printf(sql, " ORDER BY t.created_at DESC, t.id DESC LIMIT $%d::bigint", a->n);
}

bool task_list(struct store *s, const struct task_filter *f, struct arena *arena,
               struct task **rows, int *n, const char **next, struct err *err)
{
    enum task_state state;
    int64_t micros = 0;
    const char *id = NULL;
    if (f->limit < 1 || f->limit > 100)
        return err_set(err, ERR_INPUT, "limit: 1 to 100");
    if (f->state && !task_state_parse(str_of(f->state), &state))
        return err_set(err, ERR_INPUT, "state: not a task state");
    if (f->cursor && !cursor_read(f->cursor, arena, &micros, &id, err))
        return false;
    AUTO(buf_done) struct buf sql = {0};
    AUTO(pg_givep) struct pg *c = NULL;
    AUTO(pg_resultp) PGresult *res = NULL;
    struct pg_args a = {0};
    list_sql(f, micros, id, &sql, &a);
    if (!pg_borrow(s, &c, err) || !pg_exec_once(c, buf_cstr(&sql), &a, &res, err))
        return false;
    int count = PQntuples(res);
    bool more = count > f->limit;
    if (more)
        count--;
    *rows = arena_alloc(arena, (size_t)(count + 1) * sizeof(**rows));
    for (int i = 0; i < count; i++) {
        (*rows)[i] = task_read(res, i, arena);
        (*rows)[i].queue_position = (int)pg_int(res, i, TASK_COLUMN_COUNT);
    }
    *next = more ? cursor_write(arena, pg_int(res, count - 1, TASK_COLUMN_COUNT + 1),
                                (*rows)[count - 1].id)
                 : NULL;
    *n = count;
    return true;
}

/* ---------------------------------------------------------------------------------------- facts */

bool task_update(struct store *s, const char *id, int64_t epoch, const struct task_update *u,
                 struct err *err)
{
    static const struct pg_sql sql = {
        "task_update",
        "UPDATE task_executions SET base = coalesce($3::text, base),"
        " base_sha = coalesce($4::text, base_sha), git_branch = coalesce($5::text, git_branch),"
        " head_sha = coalesce($6::text, head_sha),"
        " commit_history = coalesce($7::text::jsonb, commit_history),"
        " facts = facts || coalesce($8::text::jsonb, '{}'),"
        " pull_request = coalesce($9::bigint::integer, pull_request),"
        " pull_request_url = coalesce($10::text, pull_request_url),"
        " pull_request_state = coalesce($11::text, pull_request_state),"
        " status_comment = coalesce($12::bigint, status_comment),"
        " sandbox_id = coalesce($13::text::uuid, sandbox_id),"
        " repository = coalesce($14::text, repository),"
        " cost_usd = cost_usd + $15::float8::numeric(14, 6),"
        " tokens_input = tokens_input + $16::bigint, tokens_output = tokens_output + $17::bigint,"
        " patch = coalesce($18::bytea, patch)"
        " WHERE id = $1::text AND lease_epoch = $2::bigint AND state = 'running' RETURNING id"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_int(&a, epoch);
    pg_arg_text(&a, u->base);
    pg_arg_text(&a, u->base_sha);
    pg_arg_text(&a, u->branch);
    pg_arg_text(&a, u->head_sha);
    pg_arg_text(&a, u->commit_history);
    pg_arg_text(&a, u->facts);
    pg_arg_id(&a, u->pull_request);
    pg_arg_text(&a, u->pull_request_url);
    pg_arg_text(&a, u->pull_request_state);
    pg_arg_id(&a, u->status_comment);
    pg_arg_text(&a, u->sandbox_id);
    pg_arg_text(&a, u->repository);
    pg_arg_num(&a, u->cost_add);
    pg_arg_int(&a, u->tokens_input_add);
    pg_arg_int(&a, u->tokens_output_add);
    pg_arg_bytes(&a, u->patch, u->patch_n);
    return task_fenced(s, &sql, &a, NULL, err);
}

bool task_pull_request_closed(struct store *s, const char *id, const char *state, struct err *err)
{
    static const struct pg_sql sql = {
        "task_pull_request_closed",
        "WITH changed AS (UPDATE task_executions SET pull_request_state = $2::text"
        " WHERE id = $1::text AND pull_request_state IS DISTINCT FROM $2::text"
        " RETURNING id, pull_request, pull_request_url, pull_request_state),"
        " event AS (INSERT INTO task_events (task_id, kind, data)"
        " SELECT id, CASE WHEN pull_request_state = 'merged' THEN 'pr_merged' ELSE 'pr_updated' "
        "END,"
        " jsonb_build_object('number', pull_request, 'url', pull_request_url,"
        " 'state', pull_request_state) FROM changed RETURNING task_id)"
        " SELECT pg_notify('events', task_id)::text FROM event"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    pg_arg_text(&a, state);
    return pg_run(s, &sql, &a, NULL, err);
}

bool task_branch_deleted(struct store *s, const char *id, struct err *err)
{
    static const struct pg_sql sql = {
        "task_branch_deleted",
        "WITH changed AS (UPDATE task_executions SET branch_deleted_at = now()"
        " WHERE id = $1::text AND branch_deleted_at IS NULL RETURNING id, git_branch),"
        " event AS (INSERT INTO task_events (task_id, kind, data)"
        " SELECT id, 'branch_deleted', jsonb_build_object('branch', git_branch) FROM changed"
        " RETURNING task_id)"
        " SELECT pg_notify('events', task_id)::text FROM event"};
    struct pg_args a = {0};
    pg_arg_text(&a, id);
    return pg_run(s, &sql, &a, NULL, err);
}

bool task_patch(struct store *s, const char *id, struct buf *out, struct err *err)
{
    static const struct pg_sql sql = {"task_patch",
                                      "SELECT patch FROM task_executions WHERE id = $1::text"};
    struct pg_args a = {0};
    AUTO(pg_resultp) PGresult *res = NULL;
    pg_arg_text(&a, id);
    if (!pg_run(s, &sql, &a, &res, err))
        return false;
    if (PQntuples(res) == 0)
        return err_set(err, ERR_GONE, "no task %.64s", id);
    if (PQgetisnull(res, 0, 0))
        return err_set(err, ERR_GONE, "task %.64s has no patch yet", id);
    buf_add_str(out, pg_str(res, 0, 0));
    return !out->overflow || err_set(err, ERR_LIMIT, "patch is too long");
}

bool task_counts(struct store *s, int64_t counts[TASK_STATES], struct err *err)
{
    static const struct pg_sql sql = {
        "task_counts", "SELECT state::text, count(*) FROM task_executions GROUP BY state"};
    AUTO(pg_resultp) PGresult *res = NULL;
    if (!pg_run(s, &sql, NULL, &res, err))
        return false;
    memset(counts, 0, TASK_STATES * sizeof(*counts));
    for (int r = 0; r < PQntuples(res); r++) {
        enum task_state state;
        if (task_state_parse(pg_str(res, r, 0), &state))
            counts[state] = pg_int(res, r, 1);
    }
    return true;
}
